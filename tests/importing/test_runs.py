from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import ENV, FINGERPRINT, MODEL, REVISION, make_row, make_run
from touchstone.errors import BaselineError, ConfigError
from touchstone.importing.entries import Note
from touchstone.importing.request import Imported, Request
from touchstone.importing.runs import NO_SAMPLES, NOT_MEASURED, WORSE_NOTE, import_run
from touchstone.records.flat import flatten
from touchstone.records.runs import Record
from touchstone.store.folder import Store


def measured(task: str = "STSBenchmark", score: float = 0.8, **changes: Any) -> Record:
    known: dict[str, Any] = {"score": score, "subsets": {"test/default": score}, "fingerprint": FINGERPRINT, "n": 9}
    return make_row(task, **known | changes)


def put(folder: Path, *records: Record, name: str = "20261121T120000", started: str | None = None) -> Path:
    run = make_run(*records)
    return Store(folder).write_run(name, flatten(run if started is None else replace(run, started=started)))


def read(folder: Path, source: str, **changes: Any) -> tuple[Imported, ...]:
    return import_run(Request(source=source, folder=folder, **changes))


def test_a_run_of_a_store_becomes_entries_with_their_samples(tmp_path: Path) -> None:
    file = Store(tmp_path / ".touchstone").write_samples(FINGERPRINT, "STSBenchmark.parquet", b"samples")
    rows = (measured(samples=file), measured("NFCorpus", 0.3, limit=100))
    path = put(tmp_path / ".touchstone", *rows, started="2026-10-03T12:00:00+00:00")
    (found,) = read(tmp_path, ".touchstone")
    assert (found.alias, found.model, found.revision) == ("minilm", MODEL, REVISION)
    assert set(found.entries) == {"STSBenchmark", "NFCorpus?limit=100"}
    entry = found.entries["STSBenchmark"]
    assert (entry.score, entry.fingerprint, entry.n, entry.recorded, entry.env) == (
        0.8, FINGERPRINT, 9, "2026-10-03", ENV,
    )  # fmt: skip
    assert entry.samples is not None
    assert found.samples == {"STSBenchmark": b"samples"}
    assert found.notes == ()
    assert read(tmp_path, str(path)) == (found,)


def test_the_newest_run_of_a_store_is_taken(tmp_path: Path) -> None:
    put(tmp_path, measured(score=0.1), name="20261120T120000")
    put(tmp_path, measured(score=0.2), name="20261121T120000")
    (found,) = read(tmp_path, ".")
    assert found.entries["STSBenchmark"].score == 0.2


def test_what_was_not_measured_or_failed_or_lost_its_samples_is_told(tmp_path: Path) -> None:
    put(
        tmp_path,
        measured(outcome="failed", verdict="regressed", samples=f"samples/{'0' * 12}/gone.0123456789ab.blob"),
        make_row("NFCorpus", outcome="error", error="out of memory"),
    )
    (found,) = read(tmp_path, ".")
    assert list(found.entries) == ["STSBenchmark"]
    assert (found.entries["STSBenchmark"].samples, found.samples) == (None, {})
    assert [note.reason.partition(" ../")[0] for note in found.notes[:2]] == [NOT_MEASURED, WORSE_NOTE]
    assert found.notes[2].reason.startswith(NO_SAMPLES)
    assert found.notes[0] == Note(reason=NOT_MEASURED, what="NFCorpus")


def test_each_model_is_imported_or_the_one_that_is_named(tmp_path: Path) -> None:
    path = put(tmp_path, measured(), measured(alias="other"))
    assert [one.alias for one in read(tmp_path, ".")] == ["minilm", "other"]
    (found,) = read(tmp_path, f"{path}:other", alias="mine")
    assert found.alias == "mine"


@pytest.mark.parametrize(
    ("source", "changes", "sentence"),
    [
        ("runs/two.json", {"alias": "mine"}, "has 2 models; name one for --alias: two.json:minilm"),
        ("runs/two.json:minlm", {}, 'has no model "minlm"; did you mean "minilm"?'),
        ("runs/two.json", {"revision": "abc"}, "--revision is not for a run record: it says itself what was measured"),
        ("runs/none.json", {}, "none.json: measured nothing"),
        ("runs/gone.json", {}, "gone.json: no such file"),
        ("runs/torn.json", {}, "torn.json: not JSON: "),
        ("empty", {}, "has no run records; a store has them in its folder runs"),
        ("runs/mixed.json", {}, "minilm is more than one model in that run: a/b at "),
        ("runs/bare.json", {}, "[records.0] score = 0.8; expected the mean of its subsets"),
        ("runs/one.json", {"alias": "a b"}, '--alias = "a b" is not a name that pytest -k can select'),
    ],
)
def test_what_cannot_be_imported_is_refused(
    tmp_path: Path, source: str, changes: dict[str, Any], sentence: str
) -> None:
    put(tmp_path, measured(), measured(alias="other"), name="two")
    put(tmp_path, measured(), name="one")
    put(tmp_path, make_row(outcome="error", error="x"), name="none")
    put(tmp_path, measured(model="a/b"), measured("STS13", model="a/c"), name="mixed")
    bare = flatten(make_run(measured()))
    bare["records"][0]["subsets"] = None
    Store(tmp_path).write_run("bare", bare)
    (tmp_path / "runs" / "torn.json").write_text('{"suite": "smo')
    (tmp_path / "empty").mkdir()
    with pytest.raises((BaselineError, ConfigError)) as caught:
        read(tmp_path, source, **changes)
    assert sentence in str(caught.value)
