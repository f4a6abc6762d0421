"""Stored measurements judged by each other, as the run judged that measured them."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import (
    DATA_REVISION,
    ENV,
    FINGERPRINT,
    OTHER_FINGERPRINT,
    make_baseline,
    make_reference,
    make_row,
    make_run,
)
from tests.session.test_update import N, samples
from touchstone.baselines.files import Baselines
from touchstone.config.options import Options
from touchstone.errors import BaselineError, TouchstoneError
from touchstone.judging.gate import Comparison, judge
from touchstone.judging.pairing import pair
from touchstone.records.baselines import Reference
from touchstone.records.cases import Policy
from touchstone.records.runs import Record
from touchstone.records.samples import encode_samples
from touchstone.records.verdicts import Slice, Terms
from touchstone.report.json import render_json
from touchstone.session.compare import Side, _case, _outcome, compare, load_side
from touchstone.store.folder import Store

TASKS = ("SciFact", "NFCorpus")


def record(task: str, score: float, file: str | None, **changes: Any) -> Record:
    defaults: dict[str, Any] = {"type": "Retrieval", "metric": "ndcg_at_10", "n": N, "fingerprint": FINGERPRINT}
    defaults |= {"samples": file, "dataset_revision": DATA_REVISION}
    return make_row(task, score=score, **defaults | changes)


def write_run(folder: Path, name: str, score: float, *, keep: bool = True, **changes: Any) -> Side:
    """Write a run of two tasks and its samples, and load it as a side."""
    store = Store(folder / "store" if keep else folder / "elsewhere")
    content = encode_samples(samples(score))
    fingerprint = changes.get("fingerprint", FINGERPRINT)
    records = [record(task, score, store.write_samples(fingerprint, task, content), **changes) for task in TASKS]
    (folder / name).write_text(render_json(make_run(*records)))
    return load(folder, name)


def load(folder: Path, name: str) -> Side:
    return load_side(name, folder, Baselines(folder / "own", folder / "none"), folder / "store")


def words(records: tuple[Record, ...]) -> set[str | None]:
    return {one.verdict for one in records}


def override(folder: Path, **typed: str) -> Callable[[Policy], Policy]:
    return Options.parse(typed, root=folder, cwd=folder).override


def test_a_case_is_judged_by_the_terms_of_its_own_run_and_what_is_typed_goes_before_them(tmp_path: Path) -> None:
    said = Policy(margin=0.2, alpha=0.1, bound=0.15, suite_margin=0.1, gated=41, plan="0123456789ab")
    before = write_run(tmp_path, "a.json", 0.8, fingerprint=OTHER_FINGERPRINT, terms=Terms(margin=0.005, gated=7))
    after = write_run(tmp_path, "b.json", 0.7, terms=Terms(**asdict(said), against="x", differences=("y",)))
    for one in compare(before, after):
        assert one.terms == Terms(**asdict(said), against="a.json", model=before.model)
        assert one.verdict == "pass"
    typed = override(tmp_path, margin="0.01", suite_margin="0.02", bound="0.001", alpha="0.02", gate="paired")
    for one in compare(before, after, override=typed):
        wanted = replace(said, margin=0.01, suite_margin=0.02, bound=0.001, alpha=0.02, rule="paired")
        assert one.terms == Terms(**asdict(wanted), against="a.json", model=before.model)
        assert one.verdict == "regressed"


def test_the_floor_of_a_run_holds(tmp_path: Path) -> None:
    before = write_run(tmp_path, "a.json", 0.8, fingerprint=OTHER_FINGERPRINT)
    after = write_run(tmp_path, "b.json", 0.8, terms=Terms(floor=0.9))
    assert {(one.verdict, one.rule) for one in compare(before, after)} == {("regressed", "floor")}


def test_a_record_without_terms_is_judged_at_the_level_of_the_cases_compared(tmp_path: Path) -> None:
    before = write_run(tmp_path, "a.json", 0.8, fingerprint=OTHER_FINGERPRINT)
    after = write_run(tmp_path, "b.json", 0.8)
    assert {one.terms and one.terms.gated for one in compare(before, after)} == {2}


@pytest.mark.parametrize(("known", "expected"), [({"gated": 41, "plan": "0123456789ab"}, 41), ({}, 1)])
def test_a_baseline_is_judged_at_the_level_of_the_run_that_recorded_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: dict[str, Any], expected: int
) -> None:
    entry = make_baseline(0.8, metric="ndcg_at_10", **known)
    monkeypatch.setattr(Baselines, "aliases", lambda _: ["new"])
    monkeypatch.setattr(Baselines, "entries", lambda *_: {"SciFact": replace(make_reference(), baseline=entry)})
    (one,) = compare(write_run(tmp_path, "a.json", 0.8, samples=None), load(tmp_path, "new"))
    assert one.terms is not None
    assert (one.terms.gated, one.terms.plan) == (expected, known.get("plan"))


@pytest.mark.parametrize("lost", ["a.json", "b.json"])
def test_samples_that_a_record_names_and_that_are_gone_make_its_cases_incomparable(tmp_path: Path, lost: str) -> None:
    before = write_run(tmp_path, "a.json", 0.8, keep=lost != "a.json", fingerprint=OTHER_FINGERPRINT)
    after = write_run(tmp_path, "b.json", 0.2, keep=lost != "b.json")
    found = compare(before, after)
    assert words(found) == {"incomparable"}
    for one in found:
        assert one.reason is not None
        assert one.reason.startswith("not comparable with a.json: samples/")
        assert one.reason.endswith(f" is not in {tmp_path / 'store'}; name the store that has it with --store")
    assert words(compare(before, after, override=override(tmp_path, gate="threshold"))) == {"regressed"}, (
        "it needs none"
    )


def test_samples_are_looked_for_in_the_store_of_the_record_and_in_the_one_typed(tmp_path: Path) -> None:
    (tmp_path / "other" / "runs").mkdir(parents=True)
    write_run(tmp_path, "a.json", 0.8)
    (tmp_path / "a.json").rename(tmp_path / "other" / "runs" / "a.json")
    side = load(tmp_path, "other/runs/a.json")
    assert all(one.samples is not None for one in side.measured.values())
    (tmp_path / "store").rename(tmp_path / "gone")
    for one in load(tmp_path, "other/runs/a.json").measured.values():
        assert one.lost is not None
        assert f"is not in {tmp_path / 'other'} or {tmp_path / 'store'}; " in one.lost


def test_a_baseline_with_an_anchor_judges_by_both_as_a_run_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same numbers, judged by the run's own way and by that of stored measurements, are the same verdict."""
    reference = _anchored(tmp_path)
    monkeypatch.setattr(Baselines, "aliases", lambda _: ["minilm"])
    monkeypatch.setattr(Baselines, "entries", lambda *_: dict.fromkeys(TASKS, reference))
    monkeypatch.setattr(Baselines, "check_samples", lambda *_: None)
    before, after = load(tmp_path, "minilm"), write_run(tmp_path, "b.json", 0.595, terms=Terms(gated=6))
    for one in compare(before, after):
        case = replace(_case(one.task, after, "Retrieval", lambda policy: policy), alias="minilm")
        comparison = Comparison(
            reference=reference,
            env=ENV,
            paired=pair(samples(0.595), samples(0.6)),
            anchored=pair(samples(0.595), samples(0.7)),
        )
        wanted = judge(case, _outcome(after.measured[one.task], after), comparison)
        assert (one.verdict, one.reason, one.terms) == (wanted.word, wanted.reason, wanted.terms)
        assert (one.evidence, one.anchor) == (wanted.evidence, wanted.anchor)
        assert one.verdict == "regressed"
        assert one.anchor is not None
        assert one.anchor.delta == pytest.approx(-0.105)


def _anchored(folder: Path) -> Reference:
    references = []
    for score in (0.6, 0.7):
        (folder / f"{score}.parquet").write_bytes(encode_samples(samples(score)))
        references.append(replace(make_reference(score, metric="ndcg_at_10"), samples=folder / f"{score}.parquet"))
    return replace(references[0], anchor=references[1])


def test_the_slices_that_a_run_showed_are_those_of_its_cases(tmp_path: Path) -> None:
    parts = tuple(Slice(field="language", value=value, n=9, score=0.5, baseline=0.5) for value in ("deu", "eng"))
    side = write_run(tmp_path, "a.json", 0.8, slices=parts)
    assert {one.slices for one in side.measured.values()} == {("language",)}


def test_a_store_is_its_newest_run_unless_it_has_the_name_of_an_alias(tmp_path: Path) -> None:
    for name, score in (("1", 0.5), ("2", 0.6)):
        (tmp_path / "store" / "runs").mkdir(parents=True, exist_ok=True)
        (tmp_path / "store" / "runs" / f"{name}.json").write_text(render_json(make_run(make_row("STS13", score=score))))
    side = load(tmp_path, "store")
    assert (side.name, side.measured["STS13"].baseline.score) == ("store", 0.6)
    (tmp_path / "own").mkdir()
    with pytest.raises(TouchstoneError, match="own: has no run records"):
        load(tmp_path, "own")


def test_what_has_no_score_is_no_side(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "x.json").write_text('{"model": "a/b", "revision": null, "tasks": {}}')
    (tmp_path / "none.json").write_text(render_json(make_run(make_row(outcome="error", error="x"))))
    two = make_run(make_row("STS13", score=0.5), make_row("STS13", score=0.6, alias="other"))
    (tmp_path / "two.json").write_text(render_json(two))
    for text, sentence in (
        ("x", "x: its baselines have no entry"),
        ("none.json", "none.json: measured nothing"),
        ("two.json", "two.json: has 2 models; name one: two.json:minilm"),
        ("two.json:othr", 'two.json: has no model "othr"; did you mean "other"?'),
        ("gone.json", "gone.json: no such file"),
    ):
        with pytest.raises(TouchstoneError, match=re.escape(sentence)):
            load(tmp_path, text)
    assert load(tmp_path, "two.json:other").alias == "other"


def test_what_was_not_measured_has_the_alias_of_what_was(tmp_path: Path) -> None:
    """Else one model had two verdicts, a PASS of what was measured among them."""
    before = write_run(tmp_path, "a.json", 0.8, fingerprint=OTHER_FINGERPRINT)
    after = write_run(tmp_path, "b.json", 0.8)
    lost = replace(record(TASKS[0], 0.8, None), measurement=None, outcome="error", error="gone")
    for name in ("runs/b.json", "b-", "after"):
        records = compare(before, replace(after, unmeasured=(lost,)).called(name))
        assert len({one.alias for one in records}) == 1, name
    assert replace(after, name="b-").record_alias == "b-"


def test_a_damaged_run_hides_no_other_of_an_alias(tmp_path: Path) -> None:
    (tmp_path / "store" / "runs").mkdir(parents=True)
    write_run(tmp_path, "a.json", 0.8)
    shutil.copy(tmp_path / "a.json", tmp_path / "store" / "runs" / "1.json")
    (tmp_path / "store" / "runs" / "2.json").write_text("{")
    alias = json.loads((tmp_path / "a.json").read_text())["records"][0]["alias"]
    with pytest.raises(BaselineError, match=r"has no baselines; to compare its newest run, give store/runs/1\.json"):
        load(tmp_path, alias)
