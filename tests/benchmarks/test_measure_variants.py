"""The words and tables of the comparison with fixed thresholds. The measuring is done by hand."""

from typing import Any

import pytest

from tests.benchmarks.measure_variants import (
    Claim,
    Fault,
    find_fault,
    fixed_claim,
    judge_thrice,
    render_cases,
    render_counts,
    render_elsewhere,
    render_matrix,
    render_repetition,
)
from tests.builders import make_row, make_run
from touchstone.records.verdicts import Evidence


def row(task: str, delta: float, low: float, high: float, verdict: str, **changes: Any) -> Any:
    evidence = Evidence(
        error=(high - low) / 3.92, degrees=None, interval=(low, high), p=0.01, n=500, changed=90, detectable=0.01
    )
    return make_row(task, score=0.8, delta=delta, verdict=verdict, rule="paired", evidence=evidence, **changes)


@pytest.mark.parametrize(
    ("claim", "low", "high", "fault"),
    [
        ("FAIL", -0.02, -0.001, None),
        ("FAIL", -0.02, 0.0, "unfounded"),
        ("FAIL", -0.02, 0.004, "unfounded"),
        ("PASS", -0.009, -0.001, None),  # real, and within the point
        ("PASS", -0.01, -0.001, None),
        ("PASS", -0.011, -0.001, "let through"),
        ("PASS", -0.011, 0.0, "unproven"),
        ("PASS", 0.0, 0.0, None),
        ("inconclusive", -0.05, -0.001, "left open"),
        ("inconclusive", -0.05, 0.0, None),
        ("inconclusive", -0.009, -0.001, None),
    ],
)
def test_what_the_interval_has_against_a_claim(claim: Claim, low: float, high: float, fault: Fault | None) -> None:
    assert find_fault(claim, (low, high), 0.01) == fault


def test_a_fixed_threshold_looks_at_the_difference_alone() -> None:
    assert [fixed_claim(delta, 0.005) for delta in (-0.0051, -0.005, 0.02)] == ["FAIL", "PASS", "PASS"]


def test_each_rule_is_held_against_the_interval_by_its_own_threshold() -> None:
    judged = judge_thrice(row("RTE3", -0.007, -0.012, -0.002, "inconclusive"))
    assert [(one.rule, one.claim, one.fault) for one in judged] == [
        ("touchstone", "inconclusive", "left open"),
        ("fixed 0.5", "FAIL", None),
        ("fixed 1", "PASS", "let through"),
    ]
    assert judge_thrice(make_row(delta=-0.02, verdict="pass")) == []


def test_the_tables() -> None:
    runs = {
        "a": make_run(
            row("RTE3", -0.007, -0.012, -0.002, "inconclusive"), row("STS16", -0.03, -0.04, -0.02, "regressed")
        ),
        "b": make_run(row("RTE3", -0.012, -0.026, 0.002, "pass")),
    }
    matrix = list(render_matrix(runs))
    assert matrix[2] == "| RTE3 | −0.70 [−1.20, −0.20] inconclusive | −1.20 [−2.60, +0.20] pass |"
    assert matrix[3] == "| STS16 | −3.00 [−4.00, −2.00] regressed | not measured |"
    assert list(render_cases(runs))[2:] == [
        "| a | RTE3 | −0.70 | [−1.20, −0.20] | inconclusive: left open | FAIL | PASS: let through |",
        "| a | STS16 | −3.00 | [−4.00, −2.00] | regressed | FAIL | FAIL |",
        "| b | RTE3 | −1.20 | [−2.60, +0.20] | pass: unproven | FAIL: unfounded | FAIL: unfounded |",
    ]
    assert list(render_counts(runs)) == [
        "| rule | FAIL | unfounded | PASS | let through | unproven | inconclusive | left open |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| touchstone | 1 | 0 | 1 | 0 | 1 | 1 | 1 |",
        "| fixed 0.5 | 3 | 1 | 0 | 0 | 0 | 0 | 0 |",
        "| fixed 1 | 2 | 1 | 1 | 1 | 0 | 0 | 0 |",
    ]


def test_the_lines_below_the_tables() -> None:
    run = make_run(row("XQuADRetrieval", -0.011, -0.016, -0.006, "pass"), row("STS16", 0.0, 0.0, 0.0, "pass"))
    assert list(render_elsewhere(run)) == ["XQuADRetrieval: -1.10 ± 0.26, elsewhere -1.10 ± 0.25"]
    (line,) = render_repetition(run)
    assert line.endswith(
        "2 pass by paired; 180 of 1000 samples changed; largest Δ of a score -1.1 points (XQuADRetrieval)"
    )
