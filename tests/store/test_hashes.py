"""Files that are watched: whatever happens to one is seen, also where its bytes come back."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from touchstone.encoding.keys import make_keys
from touchstone.errors import ModelError
from touchstone.store import hashes
from touchstone.store.folder import Store
from touchstone.store.hashes import Hashes


def rewrite(path: Path) -> None:
    before = path.stat()
    path.write_text("new")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("old")
    other.replace(path)


def change_and_put_back(path: Path) -> None:
    path.write_text("new")
    path.write_text("old")


@pytest.mark.parametrize("change", [rewrite, replace, change_and_put_back, os.utime, os.remove])
@pytest.mark.parametrize("linked", [False, True])
def test_whatever_happens_to_a_file_is_seen(tmp_path: Path, change: Callable[[Path], object], linked: bool) -> None:
    file = path = tmp_path / "file"
    file.write_text("old")
    if linked:
        path = tmp_path / "link"
        path.symlink_to(file)
    known = Hashes(tmp_path / "hashes.json")
    with known.watching() as watch:
        known.of(path)
    assert watch.moved() is None
    change(file)
    assert watch.moved() == path


def test_a_link_that_leads_elsewhere_is_seen(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text("the same")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "one")
    known = Hashes(tmp_path / "hashes.json")
    with known.watching() as watch:
        known.of(link)
    link.unlink()
    link.symlink_to(tmp_path / "two")
    assert watch.moved() == link


def test_what_was_seen_first_counts(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    known = Hashes(tmp_path / "hashes.json")
    with known.watching() as watch:
        before = known.of(file)
        file.write_text("new")
        assert known.of(file) != before
    assert watch.moved() == file


def test_a_file_rests_for_a_tick_before_it_is_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("new")
    Hashes(tmp_path / "hashes.json").of(file)
    assert time.time_ns() - file.stat().st_ctime_ns >= hashes.TICK


def test_vectors_of_a_model_that_has_changed_are_not_written(tmp_path: Path) -> None:
    def check() -> None:
        raise ModelError("it changed")

    keys, vectors = make_keys(["a"]), np.ones((1, 3), np.float32)
    space = Store(tmp_path).embeddings({"a": "b"}, check=check)
    space.put(keys, vectors)
    with pytest.raises(ModelError, match="it changed"):
        space.flush()
    space.flush()
    assert not Store(tmp_path).embeddings({"a": "b"}).get(keys)[0].any()


def test_other_canaries_forget_what_was_measured_under_the_fingerprint(tmp_path: Path) -> None:
    ones = np.ones((2, 3), np.float32)
    key = {"fingerprint": "abc", "x": "y"}
    first = Store(tmp_path)
    first.embeddings({"a": "b"}, fingerprint="abc", canaries=ones, within=1e-5)
    for kind in ("outcomes", "rankings"):
        first.put(kind, key, b"known")
    first.put("outcomes", {**key, "fingerprint": "other"}, b"known")
    Store(tmp_path).embeddings({"a": "b"}, fingerprint="abc", canaries=ones, within=1e-5)
    assert first.get("outcomes", key) == b"known"
    Store(tmp_path).embeddings({"a": "b"}, fingerprint="abc", canaries=ones * 1.1, within=1e-5)
    assert (first.get("outcomes", key), first.get("rankings", key)) == (None, None)
    assert first.get("outcomes", {**key, "fingerprint": "other"}) == b"known"
