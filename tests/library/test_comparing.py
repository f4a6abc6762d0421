"""Two models or runs compared, and runs judged: the numbers that a command gives, and that arithmetic gives."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.library.changing import shake
from touchstone import Model, Result, TouchstoneError, compare, judge, load_run, measure
from touchstone.__main__ import main
from touchstone.records.samples import decode_samples
from touchstone.store.folder import Store

TASKS = ["SmokeSTS", "SmokeRetrieval"]


@pytest.fixture(scope="module")
def two(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Result]:
    """A tiny model, and the same one shaken a little."""
    from sentence_transformers import SentenceTransformer

    model, store = SentenceTransformer(str(folder), device="cpu"), tmp_path_factory.mktemp("store")
    before = measure(Model(model, "before"), "smoke", select=TASKS, store=store)
    shake(model, size=0.1)
    return before, measure(Model(model, "after"), "smoke", select=TASKS, store=store)


def test_the_published_loss_of_a_shorter_vector_is_found(minilm: Result) -> None:
    result = measure(
        "minilm@truncate_dim=64", "smoke", select=["SmokeSTS"], against="minilm", device="cpu", store=minilm.store
    )
    (record,) = result.records
    assert record.evidence is not None
    figures = [record.score, record.baseline, record.delta, *record.evidence.interval]
    # As README.md shows them, in points.
    assert [round(100 * (one or 0), 2) for one in figures] == [76.5, 77.31, -0.82, -2.86, 1.15]
    assert result.verdict == "INCONCLUSIVE"


def test_the_difference_of_a_case_is_the_mean_over_its_paired_samples(two: tuple[Result, Result]) -> None:
    result = compare(*two)
    sides = []
    for one in two:
        (record,) = (r for r in one.records if r.task == "SmokeRetrieval")
        samples = decode_samples(Store(one.store).read_samples(str(record.samples)) or b"", "")
        assert samples.value is not None
        sides.append(dict(zip(samples.id.tolist(), samples.value.tolist(), strict=True)))
    before, after = sides
    (found,) = (r for r in result.records if r.task == "SmokeRetrieval")
    assert found.delta == pytest.approx(np.mean([after[key] - before[key] for key in before]), abs=2e-5)
    assert abs(found.delta or 0) > 1e-4
    assert found.alias == "after"


def test_a_command_gives_the_same_verdicts_of_the_same_runs(two: tuple[Result, Result], tmp_path: Path) -> None:
    files = []
    for name, one in zip("ab", two, strict=True):
        one.save(tmp_path / f"{name}.json")
        files.append(str(tmp_path / f"{name}.json"))
    code = main(["compare", *files, "--store", str(two[0].store), "--report", str(tmp_path / "compared.json")])
    by_command = json.loads((tmp_path / "compared.json").read_text())
    result = compare(*two)
    for record, said in zip(result.records, by_command["records"], strict=True):
        assert (record.verdict, record.delta, record.score) == (said["verdict"], said["delta"], said["score"])
    assert result.verdict == by_command["suites"][0]["verdict"]
    assert result.exit_code == code
    by_file = compare(*files, store=two[0].store)
    assert [r.delta for r in by_file.records] == [r.delta for r in result.records]


def test_models_are_measured_first_where_tasks_are_said(two: tuple[Result, Result], folder: Path, tiny: Any) -> None:
    other = compare(Model(folder, "before"), Model(shaken(tiny), "after"), "smoke", select=TASKS, store=two[0].store)
    assert [r.delta for r in other.records] == [r.delta for r in compare(*two).records]
    assert other.verdict == compare(*two).verdict


def shaken(model: Any) -> Any:
    shake(model, size=0.1)
    return model


def test_judging_changes_no_number_and_keeps_what_was_measured(two: tuple[Result, Result]) -> None:
    judged = judge(two[1], two[0])
    for before, after in zip(two[1].records, judged.records, strict=True):
        assert before.verdict is None
        assert after.verdict is not None
        kept = ("score", "samples", "seconds", "prompts", "device", "measurement", "command")
        assert all(getattr(before, name) == getattr(after, name) for name in kept)
    strict = judge(judged, two[1])  # by itself
    assert {record.rule for record in strict.records} == {"reproduce"}
    assert strict.verdict == "PASS"


def test_a_gate_that_is_said_wins(two: tuple[Result, Result]) -> None:
    (margin,) = {r.terms.margin for r in judge(two[1], two[0], margin=0.2).records if r.terms}
    assert margin == 0.2


def test_a_case_without_a_number_stays_an_error_and_no_verdict_is_pass(two: tuple[Result, Result]) -> None:
    first, *others = two[0].records
    broken = replace(first, measurement=None, outcome="error", error="the data is gone", samples=None)
    result = judge(replace(two[0], run=replace(two[0].run, records=(broken, *others))), two[0])
    assert result.records[0] == broken
    assert result.verdict == "INCOMPLETE"
    nothing = replace(two[0], run=replace(two[0].run, records=(broken,)))
    assert judge(nothing, two[0]).verdict == "INCOMPLETE"
    with pytest.raises(TouchstoneError, match="its run measured nothing"):
        judge(two[0], nothing)


def test_what_only_one_has_is_told(two: tuple[Result, Result]) -> None:
    part = replace(two[1], run=replace(two[1].run, records=two[1].records[:1]))
    result = judge(part, two[0])
    assert any(note.startswith("only in before, not compared: ") for note in result.notes)
    whole = judge(two[0], part)
    assert [r.verdict for r in whole.records][1] == "missing"
    assert whole.verdict != "PASS"


def test_a_stored_run_is_loaded_with_its_samples(two: tuple[Result, Result]) -> None:
    newest = load_run(sorted((two[0].store / "runs").iterdir())[1])
    assert newest.run == two[1].run
    assert load_run(two[0].store).run.started >= newest.run.started
    assert compare(two[0], newest).verdict == compare(*two).verdict


def test_judged_by_a_run_a_case_has_texts_and_the_page_lists_what_changed(
    folder: Path, two: tuple[Result, Result], tmp_path: Path
) -> None:
    result = measure(Model(folder, "again"), "smoke", select=TASKS, against=two[1], store=two[1].store, device="cpu")
    for record in result.records:
        assert record.shown is not None, record.task
        assert record.shown.note is None
        assert all(example.texts for example in record.shown.lost + record.shown.gained)
    result.save(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count(": all in a list</summary>") == len(TASKS)
    assert "not listed" not in page
