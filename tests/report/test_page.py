from dataclasses import replace

import pytest

from tests.builders import make_run
from tests.report.suites import evidence, judged, shown
from touchstone.judging.overall import judge_models
from touchstone.records.examples import Document, Shown
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
    assert found.marks == {"margin": True, "hollow": True, "units": False, "tested": False}
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


def found_first(*places: tuple[str, int | None, bool]) -> Shown:
    """Return samples that lost, with a first document each: its name, its place before, and if it is relevant."""
    documents = [Document(id=id_, text=f"text of {id_}", relevant=r, before=b, after=1) for id_, b, r in places]
    (example,) = shown(1, 0).lost
    lost = tuple(replace(example, texts={"query": f"q{d.id}"}, documents=(d,)) for d in documents)
    return replace(shown(0, 0), lost=lost)


def test_a_document_that_several_of_those_that_lost_most_now_find_first_is_named() -> None:
    trap = found_first(("a", None, False), ("b", 3, False), ("a", 2, False))
    usual = found_first(("a", 1, False), ("a", 1, False), ("b", 2, True), ("b", 2, True), ("c", 2, False))
    found = page(judged("trap", -0.1, "regressed", shown=trap), judged("usual", -0.1, "regressed", shown=usual))

    assert {shot.name: shot.magnet for shot in found.cases} == {"trap": (2, "text of a"), "usual": None}


def test_a_case_to_look_at_has_the_sample_that_lost_most_in_brief() -> None:
    (lost, gained) = page(
        judged("lost", -0.1, "regressed", shown=found_first(("a", 1, False))),
        judged("gained", 0.1, "improved", shown=found_first(("a", 1, False))),
    ).look

    assert (lost.worst, gained.worst) == (("qa", "1.00 → 0.25"), None)


def test_no_half_of_a_secret_is_in_a_text_in_brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret_value")
    (example,) = shown(1, 0).lost
    text = f"{'a' * 98} hf_very_secret_value"
    found = replace(shown(0, 0), lost=(replace(example, texts={"query": text}),))
    (shot,) = page(judged("a", -0.1, "regressed", shown=found)).look

    assert shot.worst is not None
    assert "hf_" not in shot.worst[0]


@pytest.mark.parametrize(("scores", "drawn"), [((0.8, 0.8), False), ((0.8, 0.8, 0.8), True), ((0.8, 0.7), True)])
def test_a_line_over_runs_is_drawn_where_it_moved_or_has_three(scores: tuple[float, ...], drawn: bool) -> None:
    runs = [
        replace(make_run(judged("a", score - 0.8, "pass")), started=f"2026-11-{day}T12:00:00+00:00")
        for day, score in enumerate(scores, start=20)
    ]
    (shot,) = make_page(runs[-1], runs).cases

    assert (shot.history is not None, shot.spark is not None) == (drawn, drawn)
