from dataclasses import replace

import pytest

from tests.builders import make_run
from tests.report.suites import evidence, judged
from touchstone.judging.overall import judge_models
from touchstone.records.runs import Record
from touchstone.records.verdicts import Terms
from touchstone.report.page import Page, make_page

WIDE = Terms(against="released", model="org/released", margin=0.3, alpha=0.05)


def page(*records: Record) -> Page:
    run = make_run(*records)
    return make_page(replace(run, suites=judge_models(run.records)))


def drawn(type_name: str, delta: float) -> Record:
    return judged("drawn", delta, "regressed", type=type_name, rule="threshold", evidence=evidence(delta, changed=10))


def test_a_case_judged_by_its_score_has_a_hollow_point_whatever_is_known_of_its_draws() -> None:
    found = page(drawn("Clustering", -0.1))

    (shot,) = found.cases
    assert shot.forest is not None
    assert "hollow" in shot.forest
    assert "95 %" not in shot.forest
    assert found.marks == {"margin": True, "hollow": True, "tested": False}
    assert found.groups[0].interval is None
    assert found.groups[0].delta == pytest.approx(-0.1)


def test_types_come_by_what_they_lost_and_those_without_a_baseline_last() -> None:
    found = page(
        judged("a", 0.02, "pass", type="A"),
        judged("b", -0.01, "pass", type="C"),
        drawn("B", -0.2),
        replace(judged("d", 0.0, "missing", type="0"), baseline=None, delta=None),
    )

    assert [group.type for group in found.groups] == ["B", "C", "A", "0"]
    assert [group.interval is None for group in found.groups] == [True, False, False, True]


def test_the_axis_reaches_the_margin() -> None:
    assert "+30" in page(judged("a", 0.0, "pass", terms=WIDE)).axis


def test_the_reason_of_a_case_that_was_not_judged_is_shown_whole() -> None:
    found = page(
        judged("a", 0.0, "missing", rule=None, reason="no baseline for a; record one", terms=None),
        judged("b", -0.1, "regressed", reason="f1 1.00, was 2.00; worst: q1; about 5 samples would settle it"),
    )

    assert {shot.record.task: shot.why for shot in found.cases} == {
        "a": "No baseline for a; record one.",
        "b": "About 5 samples would settle it.",
    }
