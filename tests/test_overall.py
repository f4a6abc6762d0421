"""The verdict over all cases of a model, and the exit code that it asks for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.overall import exit_code, judge_models, render_suite
from evals.recording import Record
from evals.records import Evidence


def record(task: str, delta: float | None = 0.0, error: float = 0.001, **changes: Any) -> Record:
    evidence = None
    if delta is not None:
        interval = (delta - 2 * error, delta + 2 * error)
        evidence = Evidence(error=error, degrees=None, interval=interval, p=0.5, n=500, changed=50, detectable=0.01)
    defaults: dict[str, Any] = {
        "case": f"m:{task}",
        "alias": "m",
        "model": "org/m",
        "revision": None,
        "task": task,
        "type": "STS",
        "languages": ("eng",),
        "outcome": "passed",
        "metric": "cosine_spearman",
        "verdict": "pass",
        "delta": delta,
        "evidence": evidence,
    }
    return Record(**defaults | changes)


FAILED: dict[str, Any] = {"outcome": "failed", "verdict": "regressed"}
ERROR: dict[str, Any] = {"outcome": "error", "verdict": None}
MISSING: dict[str, Any] = {"outcome": "failed", "verdict": "missing"}


@pytest.mark.parametrize(
    ("records", "verdict", "code"),
    [
        ([record("A"), record("B")], "PASS", 0),
        ([record("A", None), record("B", None)], "PASS", 0),
        ([record("A", verdict="unresolved")], "INCONCLUSIVE", 0),
        ([record("A"), record("B", **FAILED)], "FAIL", 1),
        ([record("A", -0.007, 0.0005), record("B", -0.007, 0.0005)], "FAIL", 1),
        ([record("A", -0.007, 0.02), record("B", -0.007, 0.02)], "INCONCLUSIVE", 0),
        ([record("A", 0.0, 0.02), record("B", 0.0, 0.02)], "INCONCLUSIVE", 0),
        ([record("A"), record("B", None, **ERROR)], "INCONCLUSIVE", 1),
        ([record("A"), record("B", None, **MISSING)], "INCONCLUSIVE", 1),
        ([record("A"), record("B"), record("C", None, **ERROR), record("D", **FAILED)], "FAIL", 1),
    ],
)
def test_verdict_and_exit_code(records: list[Record], verdict: str, code: int) -> None:
    (suite,) = judge_models(records)
    assert suite.verdict == verdict
    assert exit_code(records, [suite], "warn") == code


def test_undecided_fails_with_nine_where_that_was_asked_for_and_one_wins() -> None:
    wide = [record("A", 0.0, 0.02), record("B", 0.0, 0.02)]
    assert exit_code(wide, judge_models(wide), "fail") == 9
    worse = [*wide, record("C", **FAILED)]
    assert exit_code(worse, judge_models(worse), "fail") == 1


def test_all_together_lost_though_no_case_is_red() -> None:
    (suite,) = judge_models([record(name, -0.007, 0.002) for name in "ABCDEFGH"])
    assert suite.verdict == "FAIL"
    assert "no single case is red, but all together lost −0.70" in render_suite(suite)


def test_cases_without_samples_are_counted_in_the_line() -> None:
    (suite,) = judge_models([record("A"), record("B"), record("C", None, type="Retrieval")])
    assert (suite.paired, suite.cases) == (2, 3)
    assert "over 2 tasks, 1 without samples" in render_suite(suite)
    assert list(suite.by_type) == ["STS"]


def test_nothing_judged_has_no_verdict() -> None:
    records = [record("A", None, verdict=None)]
    assert judge_models(records) == ()
    assert exit_code(records, (), "fail") == 0


@given(st.permutations([record("A", -0.01), record("B", 0.02), record("C", None), record("D", 0.0, type="Retrieval")]))
def test_order_of_records_does_not_matter(records: list[Record]) -> None:
    (suite,) = judge_models(records)
    (sorted_one,) = judge_models(sorted(records, key=lambda one: one.task))
    assert (suite.verdict, suite.by_type) == (sorted_one.verdict, sorted_one.by_type)
    assert suite.delta == pytest.approx(sorted_one.delta)
