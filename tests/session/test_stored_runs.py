from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import make_row, make_run
from tests.report.suites import evidence, judged, small_run
from touchstone.errors import BaselineError
from touchstone.judging.overall import judge_models
from touchstone.records.runs import Run
from touchstone.report.json import render_json
from touchstone.session.stored_runs import merge_runs
from touchstone.store.runs import load_runs, read_run


def dated(run: Run, day: int, **changes: object) -> Run:
    return replace(run, started=f"2026-11-{day:02}T12:00:00+00:00", **changes)  # type: ignore[arg-type]


OLD = dated(make_run(judged("STS13", -0.1, "regressed"), judged("STS16", 0.0, "pass")), 1, commit="a", suite="two")
NEW = dated(make_run(judged("STS16", -0.2, "regressed"), judged("STS17", 0.0, "pass")), 2, commit="b", suite="one")


def test_runs_are_read_oldest_first_and_only_the_newest_where_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    for day in (3, 1, 2):
        run = dated(small_run(), day)
        (tmp_path / "runs" / f"2026110{day}.json").write_text(render_json(run))

    assert [run.started[8:10] for run in load_runs(tmp_path)] == ["01", "02", "03"]
    assert [run.started[8:10] for run in load_runs(tmp_path, 2)] == ["02", "03"]
    assert load_runs(tmp_path)[0] == dated(small_run(), 1)
    assert load_runs(tmp_path / "nowhere") == ()


def test_a_damaged_run_is_one_sentence_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"schema": 1}')
    for path, said in ((tmp_path / "r.json", "needs a key"), (tmp_path / "no.json", "no such file")):
        with pytest.raises(BaselineError, match=said) as caught:
            read_run(path)
        assert str(path) in str(caught.value)


def test_a_case_of_two_runs_is_taken_from_the_newest_and_that_is_said() -> None:
    merged, notes = merge_runs([NEW, OLD])

    assert {record.task: record.delta for record in merged.records} == {"STS13": -0.1, "STS16": -0.2, "STS17": 0.0}
    assert notes == ("minilm:STS16: in two runs, taken from 2026-11-02T12:00:00+00:00",)
    assert (merged.suite, merged.commit, merged.started) == ("two + one", None, NEW.started)


def test_a_newer_run_that_could_not_measure_a_case_does_not_hide_it() -> None:
    merged, notes = merge_runs([OLD, dated(make_run(make_row("STS13", outcome="error", error="CUDA")), 2)])

    assert {record.task: record.score for record in merged.records} == {"STS13": 0.8 - 0.1, "STS16": 0.8}
    assert notes == ("minilm:STS13: not measured in 2026-11-02T12:00:00+00:00, taken from 2026-11-01T12:00:00+00:00",)


def test_models_that_were_judged_are_judged_over_all_their_cases() -> None:
    one = dated(small_run(), 1)
    two = dated(make_run(judged("STS17", -0.3, "regressed"), judged("STS17", -0.3, "regressed", alias="jina")), 2)
    suite, other = merge_runs([one, two])[0].suites

    assert (suite.model, suite.paired, other.model) == ("minilm", 6, "jina")
    assert suite.reason == "NFCorpus, STS17 worse than expected"


def of_plan(run: Run, gated: int, plan: str | None = None) -> Run:
    records = [replace(one, terms=replace(one.terms, gated=gated, plan=plan)) for one in run.records if one.terms]
    return replace(run, records=tuple(records))


@pytest.mark.parametrize(("one", "two", "expected"), [(41, 41, 41), (41, 2, 41), (1, 1, 3)])
def test_merged_cases_are_judged_at_the_level_of_the_whole_plan(one: int, two: int, expected: int) -> None:
    """Of the plan of the most cases, and never of fewer than there are."""
    merged, _ = merge_runs([of_plan(OLD, one), of_plan(NEW, two)])
    assert {record.terms and record.terms.gated for record in merged.records} == {expected}
    assert [suite.planned for suite in judge_models(merged.records)] == [expected]


def test_a_loss_that_is_none_among_all_cases_is_taken_back_and_suspect() -> None:
    """It was told from chance among the cases of its shard only: p = 0.001."""
    found = replace(evidence(-0.1, p=1e-3), changed=60)
    alone = dated(make_run(judged("STS13", -0.1, "regressed", evidence=found)), 1)
    merged, _ = merge_runs([of_plan(alone, 1), of_plan(NEW, 41)])
    taken = {record.task: (record.verdict, record.outcome, record.suspect) for record in merged.records}
    assert taken["STS13"] == ("inconclusive", "passed", True)
    assert taken["STS16"] == ("regressed", "failed", False)


def test_each_model_has_a_level_of_its_own() -> None:
    other = dated(make_run(judged("STS13", 0.0, "pass", alias="jina")), 2)
    merged, _ = merge_runs([of_plan(OLD, 41), of_plan(other, 6)])
    assert {(record.alias, record.terms and record.terms.gated) for record in merged.records} == {
        ("minilm", 41),
        ("jina", 6),
    }


def test_cases_of_several_plans_are_told() -> None:
    merged, notes = merge_runs([of_plan(OLD, 41, "0123456789ab"), of_plan(NEW, 41, "ba9876543210")])
    assert notes[0] == (
        "minilm: its cases are of 2 plans, 0123456789ab, ba9876543210: other tasks, limits or terms of the gate"
    )
    same = merge_runs([of_plan(OLD, 41, "0123456789ab"), of_plan(NEW, 41, "0123456789ab")])
    assert not any("plans" in note for note in same[1])
    assert len(merged.records) == 3


def test_versions_that_differ_are_all_named() -> None:
    other = replace(NEW, environment={**NEW.environment, "torch": "3.0", "cuda": "13"})
    merged, _ = merge_runs([OLD, other])

    assert merged.environment["torch"] == "2.9.0 / 3.0"
    assert merged.environment["cuda"] == "none / 13"
    assert merged.environment["mteb"] == "2.26.1"


def test_one_run_is_itself() -> None:
    assert merge_runs([OLD]) == (OLD, ())


@given(st.permutations([OLD, NEW, dated(small_run(), 3)]))
def test_the_order_of_runs_does_not_matter(runs: list[Run]) -> None:
    assert merge_runs(runs) == merge_runs([OLD, NEW, dated(small_run(), 3)])
