"""What a store holds, and what pruning leaves alone."""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import make_row, make_run
from touchstone.__main__ import main
from touchstone.encoding.keys import make_keys
from touchstone.errors import ConfigError
from touchstone.records.flat import flatten
from touchstone.store import hashes
from touchstone.store.blobs import read_blob, write_blob
from touchstone.store.folder import OUTCOMES, RANKINGS, SPACE, VERDICTS, Store
from touchstone.store.pruning import prune, take_stock
from touchstone.store.vectors import SUFFIX

FIRST = {"model": "local/a", "fingerprint": "0123456789ab", "dtype": "float32", "device": "cpu", "torch": "2.13.0"}

FOUND_BY = {"fingerprint": "0123456789ab", "task": "NFCorpus"}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with a run that names one of two old samples, a data cache, and vectors in twelve segments."""
    store = Store(tmp_path / "store")
    named = store.write_samples("0123456789ab", "STS16.parquet", b"named")
    orphan = store.write_samples("0123456789ab", "STS16.parquet", b"orphan")
    store.write_run(
        "20261121T000000", flatten(make_run(make_row("STS16", score=0.5, samples=named), make_row("STS17", score=0.5)))
    )
    cache, _ = store.data_cache("c" * 64, "all")
    cache.mkdir(parents=True)
    (cache / "rows.arrow").write_bytes(b"rows")
    store.put(RANKINGS, FOUND_BY, lambda file: file.write(b"found"))
    store.put(OUTCOMES, FOUND_BY, b"0.5")
    store.put(VERDICTS, FOUND_BY, b"pass")
    vectors = store.embeddings(FIRST)
    monkeypatch.setattr("touchstone.store.vectors.FANOUT", 100)
    for number in range(12):
        vectors.put(make_keys([str(number)]), np.full((1, 4), number, np.float32))
        vectors.flush()
    for file in filter(None, (named, orphan)):
        os.utime(store.folder / file, (time.time() - 50 * 86_400,) * 2)
    return store


def age(folder: Path, days: float) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - days * 86_400,) * 2)


def test_every_part_is_listed_with_its_size(store: Store) -> None:
    parts = {part.name: part for part in take_stock(store)}
    assert list(parts) == [
        "runs",
        "samples",
        "data cccccccccccccccc",
        "outcomes 0123456789ab",
        "verdicts 0123456789ab",
        "rankings 0123456789ab",
        "vectors local/a 0123456789ab float32 cpu, torch 2.13.0",
    ]
    sizes = [path.stat().st_size for path in (store.folder / "samples" / "0123456789ab").iterdir()]
    assert (parts["samples"].files, parts["samples"].size) == (2, sum(sizes))
    assert parts["data cccccccccccccccc"].idle < 1


def test_a_store_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no store; a run makes one$"):
        take_stock(Store(tmp_path / "nothing"))


def test_pruning_keeps_what_was_used_lately_and_every_run(store: Store) -> None:
    gone, orphans = prune(store, 30)
    assert (gone, orphans) == ((), 1)
    assert len(list((store.folder / "samples").rglob("*.blob"))) == 1
    assert len(list((store.folder / "runs").iterdir())) == 1


def test_pruning_removes_old_caches_and_vectors_alone(store: Store) -> None:
    age(store.folder, 40)
    gone, _ = prune(store, 30)
    assert [part.name.partition(" ")[0] for part in gone] == [
        "data", "outcomes", "verdicts", "rankings", "vectors",
    ]  # fmt: skip
    assert {part.name for part in take_stock(store)} == {"runs", "samples"}


def test_using_what_is_known_keeps_it(store: Store) -> None:
    age(store.folder, 40)
    store.embeddings(FIRST)
    assert store.get(RANKINGS, FOUND_BY) == b"found"
    assert store.get(OUTCOMES, FOUND_BY) == b"0.5"
    assert store.get(VERDICTS, FOUND_BY) == b"pass"
    gone, _ = prune(store, 30)
    assert [part.name.partition(" ")[0] for part in gone] == ["data"]


def test_what_nothing_asks_for_any_more_goes_from_beside_what_is_used(store: Store) -> None:
    store.put(OUTCOMES, FOUND_BY | {"code": "old"}, b"0.4")
    age(store.folder, 40)
    assert store.get(OUTCOMES, FOUND_BY) == b"0.5"
    prune(store, 30)
    assert store.get(OUTCOMES, FOUND_BY) == b"0.5"
    assert store.get(OUTCOMES, FOUND_BY | {"code": "old"}) is None


def test_pruning_merges_segments_and_loses_no_vector(store: Store) -> None:
    space = next((store.folder / "embeddings").iterdir())
    assert len(list(space.glob(f"*{SUFFIX}"))) == 12
    prune(store, 30)
    assert len(list(space.glob(f"*{SUFFIX}"))) == 1
    known, vectors = store.embeddings(FIRST).get(make_keys([str(number) for number in range(12)]))
    assert known.all()
    assert vectors[:, 0].tolist() == list(range(12))


def test_other_models_dtypes_and_libraries_share_no_vectors(store: Store) -> None:
    for change in ({"fingerprint": "other"}, {"dtype": "bfloat16"}, {"device": "cuda"}, {"torch": "2.14.0"}):
        assert not store.embeddings({**FIRST, **change}).get(make_keys(["1"]))[0].any()
    assert store.embeddings(dict(reversed(FIRST.items()))).get(make_keys(["1"]))[0].all()


def test_the_command_shows_and_prunes(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "show", "--store", str(store.folder)]) == 0
    shown = capsys.readouterr().out
    assert "vectors local/a 0123456789ab float32 cpu, torch 2.13.0" in shown
    assert shown.splitlines()[-1].endswith(" in all")
    assert main(["store", "prune", "--store", str(store.folder), "--days", "0"]) == 0
    assert "removed data cccccccccccccccc, 0.0 kB" in capsys.readouterr().out
    assert main(["store", "prune", "--store", str(store.folder), "--days", "soon"]) == 4


def test_hashes_of_many_files_are_written_once(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[str] = []

    def write(path: Path, key: Any, write: Any) -> None:
        writes.append(path.name)
        write_blob(path, key, write)

    monkeypatch.setattr("touchstone.store.hashes.write_blob", write)
    files = [(name, tmp_path / name) for name in "abc"]
    for name, path in files:
        path.write_text(name, encoding="utf-8")
    store.files_sha256(files)
    assert len(writes) == 1
    assert len(json.loads(read_blob(store.folder / "hashes.blob", hashes.KEY) or b"")) == 3
    store.files_sha256(files)
    assert len(writes) == 1


def test_a_space_says_what_it_is(store: Store) -> None:
    space = next((store.folder / "embeddings").iterdir())
    assert json.loads((space / SPACE).read_text(encoding="utf-8")) == FIRST
