"""Several stores put into one: all that is whole, the same bytes in any order, nothing that is somebody else's."""

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from touchstone.encoding.keys import make_keys
from touchstone.errors import ConfigError
from touchstone.store.folder import OUTCOMES, RANKINGS, Store
from touchstone.store.gathering import gather, take

CANARIES = np.eye(3, dtype=np.float32)


def join(old: bytes, new: bytes) -> bytes:
    return json.dumps(json.loads(old) | json.loads(new), sort_keys=True).encode()


def make_store(folder: Path, *texts: str, canaries: "np.ndarray[Any, Any]" = CANARIES, **results: object) -> Store:
    store = Store(folder)
    store.make()
    space = store.embeddings({"model": "m"}, name="m", fingerprint="0123456789ab", canaries=canaries)
    space.put(make_keys(texts), np.array([[len(text), 1, 2] for text in texts], np.float32).reshape(-1, 3))
    space.flush()
    for text in texts:
        store.put(OUTCOMES, {"fingerprint": "0123456789ab", "text": text}, text.encode())
        store.put(RANKINGS, {"fingerprint": "0123456789ab", "text": text}, text.encode())
        store.write_samples("0123456789ab", f"Task@{text}", text.encode())
    for name, value in results.items():
        path = folder / "results" / "m" / "r" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    store.leave()
    return store


def contents(folder: Path) -> dict[str, bytes]:
    kept = ("outcomes", "rankings", "samples", "results", "embeddings")
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] in kept
    }


def knows(store: Store, *texts: str) -> list[bool]:
    space = store.embeddings({"model": "m"}, canaries=CANARIES)
    known: list[bool] = space.get(make_keys(texts))[0].tolist()
    return known


def test_everything_is_there_and_the_order_changes_no_byte(tmp_path: Path) -> None:
    sources = [
        make_store(tmp_path / "one", "a", "b", STS12={"x": 1}, Both={"x": 1}).folder,
        make_store(tmp_path / "two", "c", STS13={"x": 2}, Both={"y": 2}).folder,
        make_store(tmp_path / "three", STS14={"x": 3}, Both={"y": 3}).folder,
    ]
    found = []
    for number, order in enumerate(permutations(sources)):
        into = Store(tmp_path / f"into{number}")
        into.make()
        assert gather(into.folder, order, join) == ()
        found.append(contents(into.folder))
        assert knows(into, "a", "b", "c", "d") == [True, True, True, False]
        assert into.get(OUTCOMES, {"fingerprint": "0123456789ab", "text": "c"}) == b"c"
        assert len(list((into.folder / "samples").rglob("*.blob"))) == 3
    assert all(one == found[0] for one in found)
    assert json.loads(found[0]["results/m/r/Both.json"]).keys() == {"x", "y"}


def test_once_more_changes_nothing_and_a_store_into_itself_neither(tmp_path: Path) -> None:
    source = make_store(tmp_path / "one", "a", STS12={"x": 1}).folder
    into = make_store(tmp_path / "into", "b").folder
    gather(into, [source], join)
    before = contents(into)
    assert gather(into, [source, into, source], join) == ()
    assert contents(into) == before


def test_what_is_damaged_or_of_another_name_is_not_taken(tmp_path: Path) -> None:
    source, into = make_store(tmp_path / "one", "a", "b").folder, make_store(tmp_path / "into").folder
    first, second = sorted((source / "samples").rglob("*.blob"))
    first.write_bytes(first.read_bytes()[:-1])
    second.rename(second.with_name(second.name.replace("Task", "Other")))
    (source / "samples" / "notes.txt").write_text("mine")
    (source / "outcomes" / "link").symlink_to(tmp_path)
    gather(into, [source], join)
    assert list((into / "samples").rglob("*")) == []
    assert not (into / "outcomes" / "link").exists()


def test_vectors_that_were_computed_otherwise_stay_and_what_was_measured_with_them(tmp_path: Path) -> None:
    source = make_store(tmp_path / "one", "a", canaries=2 * CANARIES).folder
    into = make_store(tmp_path / "into", "b")
    (note,) = gather(into.folder, [source], join)
    assert "another processor or library made those" in note
    assert knows(into, "a", "b") == [False, True]
    assert into.get(OUTCOMES, {"fingerprint": "0123456789ab", "text": "a"}) is None
    assert len(list((into.folder / "samples").rglob("*.blob"))) == 2  # samples are of what was measured there


def test_a_damaged_blob_gives_way_to_a_whole_one(tmp_path: Path) -> None:
    source, into = make_store(tmp_path / "one", "a").folder, make_store(tmp_path / "into", "a").folder
    (there,) = (into / "outcomes").rglob("*.blob")
    whole = there.read_bytes()
    there.write_bytes(b"x" * 100)
    gather(into, [source], join)
    assert there.read_bytes() == whole


def test_no_name_leads_out_of_the_store(tmp_path: Path) -> None:
    into = make_store(tmp_path / "into").folder
    (into / "results").mkdir(exist_ok=True)
    (into / "results" / "m").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="leads out of"):
        take(into, "results/m/r/STS12.json", b"{}")


def test_what_is_no_store_is_one_sentence(tmp_path: Path) -> None:
    into = make_store(tmp_path / "into").folder
    (tmp_path / "folder").mkdir()
    for source, said in ((tmp_path / "folder", "is no store"), (tmp_path / "nowhere", "there is no store")):
        with pytest.raises(ConfigError, match=said):
            gather(into, [source], join)
