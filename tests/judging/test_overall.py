"""The verdict over all cases of a model, and the exit code that it asks for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone.judging.overall import exit_code, judge_models
from touchstone.records.runs import Record
from touchstone.records.verdicts import Evidence
from touchstone.report.text import render_power, render_suite


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
DRIFTED: dict[str, Any] = {"outcome": "failed", "verdict": "drifted"}
INCOMPARABLE: dict[str, Any] = {"outcome": "failed", "verdict": "incomparable"}
UNMEASURED: dict[str, Any] = {"outcome": "not measured", "verdict": None}
ERROR: dict[str, Any] = {"outcome": "error", "verdict": None}
MISSING: dict[str, Any] = {"outcome": "failed", "verdict": "missing"}


@pytest.mark.parametrize(
    ("records", "verdict", "code"),
    [
        ([record("A"), record("B")], "PASS", 0),
        ([record("A", None), record("B", None)], "PASS", 0),
        ([record("A", verdict="inconclusive")], "INCONCLUSIVE", 0),
        ([record("A"), record("B", **FAILED)], "FAIL", 1),
        ([record("A"), record("B", **DRIFTED)], "FAIL", 1),
        ([record("A", -0.007, 0.0005), record("B", -0.007, 0.0005)], "FAIL", 1),
        ([record("A", -0.005, 0.0005), record("B", -0.005, 0.0005)], "FAIL", 1),
        ([record("A", -0.003, 0.0005), record("B", -0.003, 0.0005)], "PASS", 0),
        ([record("A", -0.007, 0.02), record("B", -0.007, 0.02)], "INCONCLUSIVE", 0),
        ([record("A", 0.0, 0.02), record("B", 0.0, 0.02)], "INCONCLUSIVE", 0),
        ([record("A"), record("B", None, **ERROR)], "INCONCLUSIVE", 1),
        ([record("A"), record("B", None, **MISSING)], "INCONCLUSIVE", 1),
        ([record("A"), record("B", None, **INCOMPARABLE)], "INCONCLUSIVE", 1),
        ([record("A"), record("B", None, **UNMEASURED)], "INCONCLUSIVE", 1),
        ([record("A"), record("B"), record("C", None, **ERROR), record("D", **FAILED)], "FAIL", 1),
    ],
)
def test_verdict_and_exit_code(records: list[Record], verdict: str, code: int) -> None:
    (suite,) = judge_models(records)
    assert suite.verdict == verdict
    assert exit_code(records, [suite], "warn") == code


def test_inconclusive_fails_with_nine_where_that_was_asked_for_and_one_wins() -> None:
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


def test_line_of_the_suite_has_mean_and_interval_of_everything_and_of_each_type() -> None:
    """By hand: errors of 0.3 and 0.4 points make 0.25 in the mean; 1.96 of them to either side."""
    (suite,) = judge_models([record("A", -0.01, 0.003), record("B", 0.002, 0.004, type="Retrieval")])
    assert render_suite(suite) == (
        "m: INCONCLUSIVE: a mean loss of 0.5 point cannot be ruled out"
        " (mean Δ −0.40, 95 % [−0.89, +0.09] over 2 tasks)\n"
        "by type: Retrieval +0.20 [−0.58, +0.98]; STS −1.00 [−1.59, −0.41]"
    )


def test_few_degrees_of_freedom_widen_the_interval() -> None:
    def interval(degrees: float | None) -> Any:
        kept = Evidence(error=0.001, degrees=degrees, interval=(0, 0), p=0.5, n=9, changed=9, detectable=0.01)
        return judge_models([record(name, 0.0, evidence=kept) for name in "AB"])[0].interval

    normal, student = interval(None), interval(4.5)
    assert normal == pytest.approx((-1.959964e-3 / 2**0.5, 1.959964e-3 / 2**0.5))
    # Two errors alike with 4.5 degrees each make one with 9.
    assert student == pytest.approx((-2.262157e-3 / 2**0.5, 2.262157e-3 / 2**0.5))


@pytest.mark.parametrize(
    ("records", "line"),
    [
        ([record("A", **FAILED), record("B", **DRIFTED)], "m: FAIL: A, B worse than expected (mean "),
        ([record("A", None, **ERROR), record("B", None, **MISSING)], "m: INCONCLUSIVE: not compared: A, B"),
        ([record("A", None), record("B")], "m: PASS: scores only"),
        # Judged by a threshold: a difference, but no samples that give its error.
        ([record("A", -0.001, evidence=None), record("B")], "m: PASS: scores only"),
        (
            [record("A", 0.0, 0.0), record("B", 0.0, 0.0)],
            "m: PASS: 95 % confident that it lost less than 0.5 point (mean Δ +0.00, 95 % [+0.00, +0.00] over 2 tasks)",
        ),
    ],
)
def test_reason_names_what_decided(records: list[Record], line: str) -> None:
    (suite,) = judge_models(records)
    told = render_suite(suite)
    assert told.startswith(line) if line.endswith(" ") else told == line


def test_each_model_has_a_verdict_of_its_own() -> None:
    found = judge_models([record("A"), record("A", alias="n", **FAILED), record("B"), record("B", alias="n")])
    assert [(suite.model, suite.verdict) for suite in found] == [("m", "PASS"), ("n", "FAIL")]


@pytest.mark.parametrize(
    ("scale", "mean"),
    [
        (1.0, "−0.71"),  # 0.5 point is more than 1.645 errors of 0.25; 0.842 of them on top
        (10.0, "−6.22"),  # 1.645 and 0.842 errors of 2.5 points
    ],
)
def test_power_of_each_task_and_of_the_mean(scale: float, mean: str) -> None:
    told = render_power([record("A", 0.0, 0.003 * scale), record("B", None), record("C", -0.3, 0.004 * scale)])
    assert told.splitlines() == [
        f"A: −1.00 with 500 samples (standard error {0.3 * scale:.2f}, 50 changed)",
        "B: no samples on both sides",
        f"C: −1.00 with 500 samples (standard error {0.4 * scale:.2f}, 50 changed)",
        f"the mean over 2 tasks: {mean}",
    ]
    assert render_power([record("A")]).splitlines() == ["A: −1.00 with 500 samples (standard error 0.10, 50 changed)"]


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


def test_all_that_is_inconclusive_is_named() -> None:
    rows = [record("A", None, verdict="inconclusive"), record("B", None, verdict="inconclusive"), record("C", None)]
    (suite,) = judge_models(rows)
    assert (suite.verdict, suite.reason) == ("INCONCLUSIVE", "inconclusive: A, B")
