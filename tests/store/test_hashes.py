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
    known = Hashes(tmp_path / "hashes.blob")
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
    known = Hashes(tmp_path / "hashes.blob")
    with known.watching() as watch:
        known.of(link)
    link.unlink()
    link.symlink_to(tmp_path / "two")
    assert watch.moved() == link


def test_what_was_seen_first_counts(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    known = Hashes(tmp_path / "hashes.blob")
    with known.watching() as watch:
        before = known.of(file)
        file.write_text("new")
        assert known.of(file) != before
    assert watch.moved() == file


def test_a_file_rests_for_a_tick_before_it_is_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("new")
    Hashes(tmp_path / "hashes.blob").of(file)
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


def swap_folders(folder: Path, other: Path) -> None:
    """Let two folders change places."""
    beside = folder.with_name("beside")
    folder.rename(beside)
    other.rename(folder)
    beside.rename(other)


@pytest.mark.parametrize("above", [False, True])
def test_a_folder_that_was_another_for_a_moment_is_seen(tmp_path: Path, above: bool) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "file").write_text(name)
    known = Hashes(tmp_path / "hashes.blob")
    with known.watching() as watch:
        known.of(tmp_path / "one" / "inner" / "file")
    inner = "" if above else "inner"
    for _ in range(2):
        swap_folders(tmp_path / "one" / inner, tmp_path / "two" / inner)
    assert (tmp_path / "one" / "inner" / "file").read_text() == "one"
    assert watch.moved() is not None


def test_a_linked_folder_that_was_another_for_a_moment_is_seen(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    link = tmp_path / "link"
    link.symlink_to("one")
    known = Hashes(tmp_path / "hashes.blob")
    with known.watching() as watch:
        known.of(link / "file")
    for target in ("two", "one"):
        (tmp_path / "new").symlink_to(target)
        (tmp_path / "new").replace(link)
    assert (link / "file").read_text() == "one"
    assert watch.moved() == link


def test_what_comes_and_goes_beside_a_file_counts_only_where_that_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    known = Hashes(tmp_path / "hashes" / "hashes.blob")
    with known.watching() as watch:
        known.of(tmp_path / "file")
    (tmp_path / "more").write_text("new")
    (tmp_path / "more").unlink()
    assert watch.moved() is None
    assert watch.moved(beside=True) == tmp_path


def test_what_a_link_led_to_for_a_moment_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    link, look = tmp_path / "link", hashes._at_rest
    link.symlink_to("one")

    def look_and_retarget(path: Path) -> object:
        found = look(path)
        link.unlink()
        link.symlink_to("two")
        return found

    known = Hashes(tmp_path / "hashes.blob")
    with monkeypatch.context() as patched:
        patched.setattr(hashes, "_at_rest", look_and_retarget)
        assert known.of(link) == hashes.sha256_of(tmp_path / "two")
    assert known.of(tmp_path / "one") == hashes.sha256_of(tmp_path / "one")


def test_a_computation_that_comes_back_forgets_what_the_other_measured(tmp_path: Path) -> None:
    ones, space = np.ones((2, 3), np.float32), {"a": "b"}
    key = {"fingerprint": "abc"}
    for scale in (1, 2, 1):
        store = Store(tmp_path, run="run")
        store.embeddings(space, fingerprint="abc", canaries=ones * scale, within=1e-5)
        assert store.get("outcomes", key) is None, "it is another's"
        store.put("outcomes", key, b"known")
    assert Store(tmp_path, run="run").has_forgotten("abc"), "the processes of a run tell each other"
    assert not Store(tmp_path, run="other").has_forgotten("abc")


def test_what_a_process_measures_that_still_computes_otherwise_is_forgotten_too(tmp_path: Path) -> None:
    ones, space, key = np.ones((2, 3), np.float32), {"a": "b"}, {"fingerprint": "abc"}
    old = Store(tmp_path)
    old.embeddings(space, fingerprint="abc", canaries=ones, within=1e-5)
    Store(tmp_path).embeddings(space, fingerprint="abc", canaries=ones * 2, within=1e-5)
    old.put("outcomes", key, b"of the first computation")
    Store(tmp_path).embeddings(space, fingerprint="abc", canaries=ones * 2, within=1e-5)
    assert Store(tmp_path).get("outcomes", key) is None


def test_what_hangs_on_the_vectors_of_a_model_is_forgotten_with_it(tmp_path: Path) -> None:
    ones, space, key = np.ones((2, 3), np.float32), {"a": "b"}, {"fingerprint": "pipeline"}
    store = Store(tmp_path)
    store.embeddings(space, fingerprint="abc", canaries=ones, within=1e-5)
    store.depend("pipeline", on="abc")
    store.put("outcomes", key, b"known")
    Store(tmp_path).embeddings(space, fingerprint="abc", canaries=ones * 2, within=1e-5)
    assert store.get("outcomes", key) is None
