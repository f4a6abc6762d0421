"""The verdict over all cases of a model, and the exit code that it asks for."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from touchstone.judging.overall import detectable_mean, difference_of, exit_code, judge_models, policy_of
from touchstone.judging.statistics import over_tasks
from touchstone.judging.units import make_sketch
from touchstone.records.cases import Policy
from touchstone.records.runs import Record, SuiteVerdict
from touchstone.records.verdicts import Anchored, Evidence, Terms
from touchstone.report.text import render_power, render_suite


def known(delta: float, error: float = 0.001, **changes: Any) -> Evidence:
    interval = (delta - 2 * error, delta + 2 * error)
    defaults: dict[str, Any] = {"degrees": None, "interval": interval, "p": 0.5, "n": 500, "changed": 50}
    return Evidence(error=error, detectable=0.01, **defaults | changes)


def record(task: str, delta: float | None = 0.0, error: float = 0.001, **changes: Any) -> Record:
    inside = {name: changes.pop(name) for name in ("degrees", "worst", "best", "sketch", "changed") if name in changes}
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
        "rule": "paired",
        "delta": delta,
        "evidence": None if delta is None else known(delta, error, **inside),
    }
    return Record(**defaults | changes)


def verdict_of(records: list[Record]) -> SuiteVerdict:
    (suite,) = judge_models(records)
    return suite


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
        ([record("A"), record("B", None, **ERROR)], "INCOMPLETE", 1),
        ([record("A"), record("B", None, **MISSING)], "INCONCLUSIVE", 1),
        ([record("A"), record("B", None, **INCOMPARABLE)], "INCONCLUSIVE", 1),
        ([record("A"), record("B", None, **UNMEASURED)], "INCOMPLETE", 1),
        ([record("A"), record("B", None, **UNMEASURED), record("C", None, **MISSING)], "INCOMPLETE", 1),
        ([record("A"), record("B"), record("C", None, verdict="inconclusive")], "INCONCLUSIVE", 0),
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
    assert exit_code(wide, judge_models(wide), "pass") == 0
    worse = [*wide, record("C", **FAILED)]
    assert exit_code(worse, judge_models(worse), "fail") == 1


@pytest.mark.parametrize(("inconclusive", "code"), [("warn", 9), ("fail", 9), ("pass", 0)])
def test_a_suspect_ends_with_nine_unless_pass_is_asked_for(inconclusive: str, code: int) -> None:
    found = [record("A"), record("B", verdict="inconclusive", suspect=True)]
    assert verdict_of(found).verdict == "PASS"
    assert exit_code(found, judge_models(found), inconclusive) == code
    worse = [*found, record("C", **FAILED)]
    assert exit_code(worse, judge_models(worse), inconclusive) == 1
    assert exit_code(found, [replace(verdict_of(found), verdict="FAIL")], inconclusive) == 1


# The level of the mean, and what it bears.


@pytest.mark.parametrize(("alpha", "anchored"), [(0.05, False), (0.05, True), (0.2, False)])
def test_the_mean_has_half_of_alpha_and_a_quarter_with_an_anchor(alpha: float, anchored: bool) -> None:
    level = alpha / (4 if anchored else 2)
    terms = Terms(alpha=alpha)
    for factor, verdict in ((0.99, "FAIL"), (1.01, "INCONCLUSIVE")):
        error = 0.006 * math.sqrt(2) / stats.norm.ppf(1 - factor * level)
        rows = [record(name, -0.006, error, terms=terms) for name in "AB"]
        if anchored:
            same = Anchored(baseline=0.5, delta=-0.006, word="pass", evidence=known(-0.006, error))
            rows = [replace(row, anchor=same) for row in rows]
        assert verdict_of(rows).verdict == verdict


def test_a_p_value_of_the_mean_at_the_level_is_not_below_it() -> None:
    rows = [record(name, -0.006, 0.004) for name in "AB"]
    mean = over_tasks([found for row in rows if (found := difference_of(row)) is not None])
    for factor, verdict in ((1, "INCONCLUSIVE"), (1 + 1e-12, "FAIL")):
        terms = Terms(alpha=2 * mean.p_loss() * factor)
        assert verdict_of([replace(row, terms=terms) for row in rows]).verdict == verdict


def test_a_pass_of_the_mean_has_the_whole_of_alpha() -> None:
    for alpha in (0.05, 0.01):
        z, terms = stats.norm.ppf(1 - alpha), Terms(alpha=alpha)
        for factor, verdict in ((0.999, "PASS"), (1.001, "INCONCLUSIVE")):
            found = verdict_of([record(name, 0.0, factor * 0.005 * math.sqrt(2) / z, terms=terms) for name in "AB"])
            assert found.verdict == verdict
    assert "99 % confident" in verdict_of([record(name, terms=Terms(alpha=0.01)) for name in "AB"]).reason


def test_the_margin_of_the_suite_is_that_of_its_terms() -> None:
    for margin, lost, verdict in ((0.005, -0.003, "PASS"), (0.003, -0.003, "FAIL"), (0.003, -0.0029, "INCONCLUSIVE")):
        found = verdict_of([record(name, lost, 0.0005, terms=Terms(suite_margin=margin)) for name in "AB"])
        assert found.verdict == verdict
    assert found.reason == "a mean loss of 0.3 point cannot be ruled out"
    assert policy_of([record("A"), record("B", terms=Terms(suite_margin=0.003))]).suite_margin == 0.003
    assert policy_of([record("A")]) == Policy()


def test_the_mean_bears_the_one_worst_sample_of_all_cases() -> None:
    """By hand: of two cases the worst sample moves the mean by half its shift; 1.645 of it come on top."""
    tiny = 1e-9
    for shift, verdict in ((-0.00377, "PASS"), (-0.00379, "INCONCLUSIVE")):
        found = verdict_of([record("A", 0.0, tiny, worst=shift), record("B", 0.0, tiny, worst=-0.0001)])
        assert found.verdict == verdict, "0.5 x 2.645 x 0.378 point = 0.5 point"
    # Two samples more are not borne.
    assert verdict_of([record(name, 0.0, tiny, worst=-0.00377) for name in "AB"]).verdict == "PASS"


def test_a_loss_of_the_mean_bears_the_one_best_sample_of_all_cases() -> None:
    """By hand: -0.6 point with 0.1 more is -0.5, which is -5 errors of 0.1; with 0.3 it is -0.3, and -1."""
    for shift, verdict in ((0.002, "FAIL"), (0.006, "INCONCLUSIVE")):
        rows = [record("A", -0.006, 1e-9, best=shift), record("B", -0.006, 1e-9, best=0.0001)]
        assert verdict_of(rows).verdict == verdict


def test_what_the_mean_could_detect_bears_the_one_best_sample_and_the_level_of_anchors() -> None:
    rows = [record("A", 0.0, 0.004, best=0.006), record("B", 0.0, 0.004, best=0.0001)]
    error, found = 0.004 / math.sqrt(2), stats.norm.ppf(0.8)
    anchored = Anchored(baseline=0.5, delta=0.0, word="pass", evidence=known(0.0, 0.004))
    for level, anchor in ((0.025, None), (0.0125, anchored)):
        by_chance = 0.003 + stats.norm.ppf(1 - level) * math.hypot(error, 0.003)
        assert detectable_mean([replace(row, anchor=anchor) for row in rows]) == pytest.approx(
            by_chance + found * error
        )


def test_a_shift_never_helps() -> None:
    """One sample more that loses everything does not lift a mean that is lower, and none that gains lowers one."""
    assert verdict_of([record("A", 0.0, 1e-9, worst=0.01), record("B", 0.0, 1e-9, worst=0.01)]).verdict == "PASS"
    rows = [record("A", -0.006, 1e-9, best=-0.01), record("B", -0.006, 1e-9, best=-0.01)]
    assert verdict_of(rows).verdict == "FAIL"


def test_the_same_model_again_has_no_sample_more() -> None:
    rows = [record(name, 0.0, 1e-9, worst=-0.1, best=0.1, rule="reproduce") for name in "AB"]
    assert verdict_of(rows).verdict == "PASS"
    lost = [record(name, -0.006, 1e-9, worst=-0.1, best=0.1, rule="reproduce") for name in "AB"]
    assert verdict_of(lost).verdict == "FAIL"


def test_one_case_with_samples_is_no_mean() -> None:
    """It lost more than the suite's margin, for sure, but less than its own."""
    rows = [record("A", -0.007, 0.0001), record("B", None)]
    found = verdict_of(rows)
    assert (found.verdict, found.reason, found.delta) == ("PASS", "each case passed", None)
    assert detectable_mean(rows) is None
    assert verdict_of(rows[:1]).verdict == "PASS"


def test_strata_that_hide_a_loss_hide_it_from_no_suite() -> None:
    """Strata of 1 000 and 20: the small one's worst sample moves its case by 1/21/2 of a whole, ±1.645 of the same."""
    shift = -1 / 21 / 2
    few = [record(f"T{number}", 0.0, 0.001, worst=shift) for number in range(10)]
    assert verdict_of(few).verdict == "INCONCLUSIVE"
    many = [record(f"T{number}", 0.0, 0.001, worst=shift) for number in range(30)]
    assert verdict_of(many).verdict == "PASS"


# Tasks that share units.


def sketched(task: str, shared: float, **changes: Any) -> Record:
    """A task of 400 texts, a share of which are those of all other tasks, with the same influences."""
    generator = np.random.default_rng(0)
    influences, count = generator.normal(0, 5e-5, 400), int(400 * shared)
    units = [[f"t{number}" if number < count else f"{task} {number}"] for number in range(400)]
    error = float(np.sqrt(influences @ influences))
    return record(task, 0.0, error, sketch=make_sketch(units, influences, error), **changes)


@pytest.mark.parametrize("shared", [0.0, 0.3, 1.0])
def test_texts_that_tasks_share_widen_the_interval_of_their_mean(shared: float) -> None:
    found = verdict_of([sketched(name, shared) for name in "ABCD"])
    assert found.interval is not None
    error = sketched("A", 0).evidence.error  # type: ignore[union-attr]
    generator = np.random.default_rng(0)
    influences = generator.normal(0, 5e-5, 400)
    common = influences[: int(400 * shared)]
    correlation = float(common @ common) / float(influences @ influences)
    expected = 1.96 * error * math.sqrt((1 + 3 * correlation) / 4)
    assert found.interval[1] == pytest.approx(expected, rel=1e-4 if shared == 0 else 0.12)


def test_a_type_and_the_anchors_have_the_covariance_too() -> None:
    rows = [sketched(name, 1.0, type=kind) for name, kind in (("A", "STS"), ("B", "STS"), ("C", "X"))]
    apart = [sketched(name, 0.0, type=kind) for name, kind in (("A", "STS"), ("B", "STS"), ("C", "X"))]
    assert verdict_of(rows).by_type["STS"][2] > 1.3 * verdict_of(apart).by_type["STS"][2]
    rows = [replace(row, anchor=Anchored(baseline=0.5, delta=0.0, word="pass", evidence=row.evidence)) for row in rows]
    apart = [
        replace(row, anchor=Anchored(baseline=0.5, delta=0.0, word="pass", evidence=row.evidence)) for row in apart
    ]
    together, alone = verdict_of(rows).anchor, verdict_of(apart).anchor
    assert together is not None
    assert alone is not None
    assert together[2] > 1.5 * alone[2]


# Types.


def test_each_type_has_a_verdict_and_they_share_alpha() -> None:
    """Two types: each mean is tested at 0.05/2/2, and passes at 97.5 %."""
    for p, verdict in ((0.0124, "FAIL"), (0.0126, "INCONCLUSIVE")):
        error = 0.006 * math.sqrt(2) / stats.norm.ppf(1 - p)
        rows = [record(name, -0.006, error) for name in "AB"]
        rows += [record(name, 0.006, 0.0001, type="Retrieval") for name in "CD"]
        found = verdict_of(rows)
        assert found.verdicts == {"Retrieval": "PASS", "STS": verdict}
    for factor, verdict in ((0.99, "PASS"), (1.01, "INCONCLUSIVE")):
        error = factor * 0.005 * math.sqrt(2) / stats.norm.ppf(0.95)
        rows = [record(name, 0.0, error) for name in "AB"]
        rows += [record(name, 0.006, 0.0001, type="Retrieval") for name in "CD"]
        assert verdict_of(rows).verdicts == {"Retrieval": "PASS", "STS": verdict}


def test_types_take_margin_and_alpha_of_the_terms() -> None:
    for margin, verdict in ((0.005, "PASS"), (0.003, "FAIL")):
        rows = [record(name, -0.004, 0.0001, type="X", terms=Terms(suite_margin=margin)) for name in "AB"]
        assert verdict_of(rows).verdicts == {"X": verdict}
    for alpha, verdict in ((0.05, "FAIL"), (0.01, "INCONCLUSIVE")):
        error = 0.006 * math.sqrt(2) / stats.norm.ppf(1 - 0.01)
        rows = [record(name, -0.006, error, type="X", terms=Terms(alpha=alpha)) for name in "AB"]
        assert verdict_of(rows).verdicts == {"X": verdict}


def test_one_type_alone_has_the_level_of_the_suite() -> None:
    for p, verdict in ((0.0249, "FAIL"), (0.0251, "INCONCLUSIVE")):
        found = verdict_of([record(name, -0.006, 0.006 * math.sqrt(2) / stats.norm.ppf(1 - p)) for name in "AB"])
        assert (found.verdict, found.verdicts) == (verdict, {"STS": verdict})


def test_a_type_with_a_worse_case_fails_alone() -> None:
    rows = [record("A", **FAILED), record("B"), record("C", type="X"), record("D", None, type="Y")]
    found = verdict_of(rows)
    assert found.verdicts == {"STS": "FAIL", "X": "PASS"}
    assert list(found.by_type) == ["STS", "X"]


def test_the_mean_over_types_counts_each_type_alike() -> None:
    rows = [record("A", -0.01, 0.003), record("B", -0.01, 0.003), record("C", 0.002, 0.004, type="X")]
    found = verdict_of(rows)
    assert found.delta == pytest.approx(-0.018 / 3)
    assert found.over_types is not None
    half = 1.959964 * math.sqrt(0.003**2 / 2 + 0.004**2) / 2
    assert found.over_types == pytest.approx((-0.004, -0.004 - half, -0.004 + half))
    assert verdict_of(rows[:2]).over_types is None


# Anchors.


def since(delta: float, error: float = 0.001, word: Any = "pass") -> Anchored:
    return Anchored(baseline=0.5, delta=delta, word=word, evidence=known(delta, error))


def test_a_mean_that_lost_since_its_anchors_fails() -> None:
    """Each release lost 0.3 on all tasks: the mean against the last passes, that against the first does not."""
    rows = [record(name, -0.003, 0.0005) for name in "AB"]
    assert verdict_of(rows).verdict == "PASS"
    lost = verdict_of([replace(row, anchor=since(-0.006)) for row in rows])
    assert (lost.verdict, lost.reason) == (
        "FAIL",
        "no single case is red, but their mean lost 0.60 against the anchors, p = 1.1e-17 < 0.0125",
    )
    open_ = verdict_of([replace(row, anchor=since(-0.003, 0.01)) for row in rows])
    assert open_.verdict == "INCONCLUSIVE"
    assert open_.reason == "a mean loss of 0.5 point cannot be ruled out against the anchors"
    kept = verdict_of([replace(row, anchor=since(-0.001)) for row in rows])
    assert kept.verdict == "PASS"
    assert kept.anchor is not None
    assert kept.anchor[0] == pytest.approx(-0.001)
    assert verdict_of(rows).anchor is None


def test_a_case_without_an_anchor_of_its_own_counts_against_what_it_has() -> None:
    found = verdict_of([record("A", -0.002, 0.0005, anchor=since(-0.004)), record("B", -0.001, 0.0005)])
    assert found.anchor is not None
    assert found.anchor[0] == pytest.approx((-0.004 - 0.001) / 2)
    assert found.delta == pytest.approx(-0.0015)


def test_an_anchor_without_evidence_is_not_in_the_mean() -> None:
    bare = Anchored(baseline=0.5, delta=-0.1, word="pass")
    assert verdict_of([record("A", 0.0, anchor=bare)]).anchor is None
    found = verdict_of([record("A", 0.0, anchor=bare), record("B", -0.001)])
    assert found.anchor is not None
    assert found.anchor[0] == pytest.approx(-0.001)


# Equivalence, and what a pass may hide.


def test_a_suite_of_equivalences_passes_when_each_case_does() -> None:
    """However sure their mean is: that nothing was lost does not prove that all are the same."""
    rows = [record("A", rule="equivalent"), record("B", rule="equivalent")]
    assert (verdict_of(rows).verdict, verdict_of(rows).reason) == ("PASS", "each case passed")
    open_ = [rows[0], replace(rows[1], verdict="inconclusive")]
    assert (verdict_of(open_).verdict, verdict_of(open_).reason) == ("INCONCLUSIVE", "too little evidence: B")
    both = [replace(row, verdict="inconclusive") for row in rows]
    assert verdict_of(both).reason == "too little evidence: A, B"
    wide = [record(name, 0.0, 0.02, rule="equivalent") for name in "AB"]
    assert verdict_of(wide).verdict == "PASS"
    drifted = [rows[0], record("B", 0.1, rule="equivalent", **DRIFTED)]
    assert verdict_of(drifted).verdict == "FAIL"


def test_a_pass_says_in_which_case_it_could_hide_most() -> None:
    """By hand: -0.002 - 1.645 x 0.01 = -1.84; with a worst sample of -0.01, -0.012 - 1.645 x 0.01414 = -3.53."""
    terms = Terms()
    rest = [record(f"T{number}", 0.004, 0.001, terms=terms) for number in range(18)]
    one, two = record("A", -0.002, 0.01, terms=terms), record("B", -0.002, 0.01, worst=-0.01, terms=terms)
    assert verdict_of([*rest, one]).reason.endswith(" 0.5 point; could hide a loss of 1.84 in A")
    assert verdict_of([*rest, one, two]).reason.endswith(" 0.5 point; could hide a loss of 3.53 in B")
    assert verdict_of(rest).reason.endswith("0.5 point")
    assert verdict_of([*rest, two, one]).reason.endswith(" 0.5 point; could hide a loss of 3.53 in B")
    # What the anchor may hide is its own affair.
    assert verdict_of([*rest, replace(one, anchor=since(0.0, 0.02))]).reason.endswith("could hide a loss of 1.84 in A")
    assert verdict_of([*rest, record("A", -0.01, 0.0, terms=terms)]).reason.endswith("could hide a loss of 1.00 in A")
    for hidden in (
        replace(one, rule="reproduce"),
        record("A", 0.0, 0.01, changed=0, terms=terms),
    ):
        assert verdict_of([*rest, hidden]).reason.endswith("0.5 point")
    everything = record("A", 0.0, 0.01, worst=-0.9, terms=terms)
    assert verdict_of([*[replace(row, delta=0.5) for row in rest], everything]).reason.endswith(
        "hide a loss of 100.00 in A"
    )


def test_the_cases_planned_are_counted() -> None:
    assert verdict_of([record("A", terms=Terms(gated=41)), record("B", terms=Terms(gated=41))]).planned == 41
    assert verdict_of([record("A"), record("B")]).planned == 2


def test_skew_and_degrees_of_the_record_are_used() -> None:
    found = difference_of(record("A", -0.02, evidence=known(-0.02, 0.01, degrees=7.5, skew=0.1, bias=0.05)))
    assert found is not None
    assert (found.mean, found.error, found.degrees, found.n) == (-0.02, 0.01, 7.5, 500)
    assert (found.skew, found.bias) == (0.1, 0.05)
    plain = difference_of(record("A", -0.02))
    assert plain is not None
    assert plain.degrees == math.inf
    assert difference_of(record("A", -0.02, anchor=since(-0.5))) == plain
    assert difference_of(record("A", None)) is None
    assert difference_of(replace(record("A"), delta=None)) is None


def test_all_together_lost_though_no_case_is_red() -> None:
    (suite,) = judge_models([record(name, -0.007, 0.002) for name in "ABCDEFGH"])
    assert suite.verdict == "FAIL"
    assert "no single case is red, but their mean lost 0.70, p = " in render_suite(suite)


def test_cases_without_samples_are_counted_in_the_line() -> None:
    (suite,) = judge_models([record("A"), record("B"), record("C", None, type="Retrieval")])
    assert (suite.paired, suite.cases) == (2, 3)
    assert "over 2 tasks, 1 not paired by samples" in render_suite(suite)
    assert list(suite.by_type) == ["STS"]


def test_line_of_the_suite_has_mean_and_interval_of_everything_and_of_each_type() -> None:
    """By hand: errors of 0.3 and 0.4 points make 0.25 in the mean; 1.96 of them to either side."""
    (suite,) = judge_models([record("A", -0.01, 0.003), record("B", 0.002, 0.004, type="Retrieval")])
    assert render_suite(suite) == (
        "m: INCONCLUSIVE: a mean loss of 0.5 point cannot be ruled out"
        " (mean Δ −0.40, 95 % [−0.89, +0.09] over 2 tasks)\n"
        "by type: Retrieval PASS +0.20 [−0.58, +0.98]; STS PASS −1.00 [−1.59, −0.41]"
    )


def test_line_by_type_is_folded_between_types() -> None:
    (suite,) = judge_models([record(name, -0.01, 0.003, type=name) for name in ("BitextMining", "Retrieval", "STS")])
    whole, folded = render_suite(suite), render_suite(suite, width=80)
    lines = folded.splitlines()
    assert "by type: BitextMining PASS −1.00 [−1.59, −0.41];" in lines
    assert max(map(len, lines)) <= 80
    assert " ".join(line.strip() for line in lines) == " ".join(whole.splitlines())


@pytest.mark.parametrize("width", range(40, 120, 7))
def test_verdict_is_folded_and_no_interval_is_broken(width: int) -> None:
    (suite,) = judge_models([record(name, -0.012, 0.001, type=name) for name in ("Retrieval", "STS")])
    whole, lines = render_suite(suite), render_suite(suite, width=width).splitlines()
    assert " ".join(line.strip() for line in lines) == " ".join(whole.splitlines())
    assert all(line.count("[") == line.count("]") and not line.endswith(("Δ", "95")) for line in lines)


def test_mean_over_types_is_told_where_it_is_another() -> None:
    (one,) = judge_models([record("A", -0.012), record("B", -0.002, type="Retrieval")])
    assert "over types" not in render_suite(one)
    (several,) = judge_models([record("A", -0.012), record("B", -0.002, type="Retrieval"), record("C", -0.012)])
    assert "; over types −0.70 [" in render_suite(several)


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
        (
            [record("A", None, **ERROR), record("B", None, **UNMEASURED), record("C", None, **MISSING)],
            "m: INCOMPLETE: not measured: A, B",
        ),
        (
            [record("A", None, **INCOMPARABLE), record("B", None, **MISSING)],
            "m: INCONCLUSIVE: not compared: A, B",
        ),
        ([record("A", None), record("B")], "m: PASS: each case passed"),
        ([record("A", None), record("B", None)], "m: PASS: compared with nothing"),
        # Judged by a threshold: a difference, but no samples that give its error.
        ([record("A", -0.001, evidence=None), record("B")], "m: PASS: each case passed"),
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


def test_a_model_of_which_nothing_was_measured_is_incomplete() -> None:
    (suite,) = judge_models([record("A", None, **ERROR), record("B", None, **UNMEASURED)])
    assert render_suite(suite) == "m: INCOMPLETE: not measured: A, B"
    assert judge_models([record("A", None, **ERROR | {"outcome": "passed", "error": None})]) == ()


def test_each_model_has_a_verdict_of_its_own() -> None:
    found = judge_models([record("A"), record("A", alias="n", **FAILED), record("B"), record("B", alias="n")])
    assert [(suite.model, suite.verdict) for suite in found] == [("m", "PASS"), ("n", "FAIL")]


@pytest.mark.parametrize(
    ("scale", "mean"),
    [
        (1.0, "−0.71"),  # 0.5 point is more than 1.960 errors of 0.25; 0.842 of them on top
        (10.0, "−7.00"),  # 1.960 and 0.842 errors of 2.5 points
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
    rows = [record("A", verdict="inconclusive"), record("B", None), record("C", None)]
    found = verdict_of(rows)
    assert (found.verdict, found.reason) == ("INCONCLUSIVE", "too little evidence: A")


def test_no_evidence_is_not_innocence() -> None:
    """However sure the others are: a case whose interval cannot be computed keeps the suite from passing."""
    rows = [record("A", None, verdict="inconclusive"), record("B", None, verdict="inconclusive")]
    rows += [record("C"), record("D"), record("E", None)]
    found = verdict_of(rows)
    assert (found.verdict, found.reason) == ("INCONCLUSIVE", "no interval can be computed for A, B")
