import hashlib
import json
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from touchstone.encoding.keys import make_keys
from touchstone.errors import ConfigError
from touchstone.store.blobs import open_blob, write_blob
from touchstone.store.folder import OUTCOMES, RANKINGS, VERDICTS, Store, is_store, make_marker
from touchstone.store.hashes import KEY


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write(content: bytes, file: BinaryIO) -> None:
    file.write(content)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def rewrite_in_place(path: Path, content: bytes) -> None:
    """Change a file's content and nothing else that can be set by hand."""
    before = path.stat()
    with path.open("r+b") as handle:
        handle.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)


def test_a_file_rewritten_in_place_with_its_old_size_and_time_has_the_new_hash(file: Path, folder: Path) -> None:
    store = Store(folder)
    assert store.file_sha256(file) == sha256(b"weights")

    rewrite_in_place(file, b"retrain")

    assert store.file_sha256(file) == sha256(b"retrain")
    assert Store(folder).file_sha256(file) == sha256(b"retrain")


def test_a_file_replaced_under_its_name_has_the_new_hash(file: Path, folder: Path, tmp_path: Path) -> None:
    store = Store(folder)
    store.file_sha256(file)
    other = tmp_path / "other"
    other.write_bytes(b"retrain")
    before = file.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))

    other.replace(file)

    assert store.file_sha256(file) == sha256(b"retrain")


def test_an_unchanged_file_is_not_read_again_by_a_later_process(
    file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store(folder).file_sha256(file)
    really_open = Path.open

    def refuse(path: Path, *args: Any, **kwargs: Any) -> Any:
        assert path != file, "the file was read again"
        return really_open(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)

    assert Store(folder).file_sha256(file) == sha256(b"weights")


def test_two_stores_on_one_folder_agree_after_each_has_written(file: Path, folder: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.write_bytes(b"tokenizer")
    one, two = Store(folder), Store(folder)

    assert (one.file_sha256(file), two.file_sha256(second)) == (sha256(b"weights"), sha256(b"tokenizer"))
    rewrite_in_place(file, b"retrain")

    assert two.file_sha256(file) == one.file_sha256(file) == sha256(b"retrain")
    assert one.file_sha256(second) == sha256(b"tokenizer")


def test_a_memo_of_hashes_with_one_wrong_byte_is_computed_again(file: Path, folder: Path) -> None:
    Store(folder).file_sha256(file)
    memo = folder / "hashes.blob"
    whole = memo.read_bytes()
    for place in range(len(whole)):
        memo.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert Store(folder).file_sha256(file) == sha256(b"weights")


@pytest.mark.parametrize("memo", [b"", b"{", b"[]", b"3", b'{"FILE": [7]}', b'{"FILE": [1, 2, 3, 4, 5]}'])
@pytest.mark.parametrize("sealed", [True, False])
def test_a_corrupt_memo_is_computed_again(memo: bytes, *, sealed: bool, file: Path, folder: Path) -> None:
    content = memo.replace(b"FILE", str(file).encode())
    folder.mkdir()
    (folder / "hashes.blob").write_bytes(content)
    if sealed:
        write_blob(folder / "hashes.blob", KEY, lambda blob: blob.write(content))
    assert Store(folder).file_sha256(file) == sha256(b"weights")
    assert Store(folder).file_sha256(file) == sha256(b"weights")


def test_a_hash_is_looked_at_again_before_it_is_denied(file: Path, folder: Path) -> None:
    """As where somebody wrote a file, and every time and number of it is as it was."""
    store = Store(folder)
    store.file_sha256(file)
    store._memo._memo = {name: (*seen[:4], "0" * 64) for name, seen in store._memo._load().items()}
    assert store.file_sha256(file) == "0" * 64
    assert store.has_sha256(file, sha256(b"weights"))
    assert not store.has_sha256(file, "1" * 64)


def write_files(folder: Path, contents: dict[str, str]) -> list[tuple[str, Path]]:
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_text(content)
    return [(name, folder / name) for name in contents]


def test_the_hash_of_files_depends_on_neither_their_order_nor_their_place(folder: Path, tmp_path: Path) -> None:
    store = Store(folder)
    here = write_files(tmp_path / "here", {"a": "1", "b": "2"})
    there = write_files(tmp_path / "there", {"b": "2", "a": "1"})

    assert store.files_sha256(here) == store.files_sha256(reversed(here)) == store.files_sha256(there)


def test_the_hash_of_files_depends_on_names_contents_and_which_belongs_to_which(folder: Path, tmp_path: Path) -> None:
    variants = [{"a": "1", "b": "2"}, {"a": "1", "c": "2"}, {"a": "1", "b": "3"}, {"a": "2", "b": "1"}, {"a": "1"}]
    store = Store(folder)

    hashes = [store.files_sha256(write_files(tmp_path / str(i), content)) for i, content in enumerate(variants)]

    assert len(set(hashes)) == len(variants)


def test_samples_of_two_runs_of_one_model_do_not_overwrite_each_other(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, two = (str(store.write_samples("0123456789ab", "STS22.v2-limit-5", one)) for one in (b"1", b"2"))
    assert one != two
    assert (store.read_samples(one), store.read_samples(two)) == (b"1", b"2")
    shutil.copy(tmp_path / two, tmp_path / one)
    assert store.read_samples(one) is None, "other content than the name says"
    assert store.read_samples("samples/gone.parquet") is None


def test_rankings_are_kept_by_key_and_the_newest_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keys: list[dict[str, object]] = [{"fingerprint": "0123456789ab", "limit": limit} for limit in (None, 5)]
    assert store.get(RANKINGS, keys[0]) is None
    for content in (b"first", b"second"):
        store.put(RANKINGS, keys[0], partial(write, content))
        assert store.get(RANKINGS, keys[0]) == content
    assert store.get(RANKINGS, keys[1]) is None
    (file,) = (tmp_path / RANKINGS).rglob("*.blob")
    file.write_bytes(file.read_bytes().replace(b"second", b"secund"))
    assert store.get(RANKINGS, keys[0]) is None
    store.put(RANKINGS, keys[0], partial(write, b"second"))
    assert store.get(RANKINGS, keys[0]) == b"second"


def test_what_is_kept_under_a_key_is_replaced_whole_and_never_given_damaged(tmp_path: Path) -> None:
    store, key = Store(tmp_path), {"fingerprint": "0123456789ab", "task": "STS16"}
    assert store.get(OUTCOMES, key) is None
    for content in (b'{"score": 0.5}', b'{"score": 0.6}'):
        store.put(OUTCOMES, key, content)
        assert store.get(OUTCOMES, key) == content
    (file,) = (tmp_path / OUTCOMES).rglob("*.blob")
    assert file.parent.name == "0123456789ab"
    assert b'"task": "STS16"' in file.read_bytes(), "it says what it was made for"
    assert store.get(OUTCOMES, key | {"task": "STS17"}) is None
    assert store.get(VERDICTS, key) is None
    (tmp_path / VERDICTS / file.parent.name).mkdir(parents=True)
    (tmp_path / VERDICTS / file.parent.name / file.name).write_bytes(file.read_bytes())
    assert store.get(VERDICTS, key) is None, "it says itself which kind it is"
    file.write_bytes(file.read_bytes().replace(b"0.6", b"0.7"))
    assert store.get(OUTCOMES, key) is None


def test_a_store_that_overwrites_gives_nothing_away_and_keeps_what_is_new(tmp_path: Path) -> None:
    key = {"fingerprint": "0123456789ab"}
    old, keys, vector = Store(tmp_path), make_keys(["text"]), np.ones((1, 4), np.float32)
    old.put(OUTCOMES, key, b"0.5")
    old.put(RANKINGS, key, lambda file: file.write(b"found"))
    old.embeddings(key).put(keys, vector)
    anew = Store(tmp_path, overwrite=True)
    assert anew.get(OUTCOMES, key) is None
    assert anew.get(RANKINGS, key) is None
    vectors = anew.embeddings(key)
    assert not vectors.get(keys)[0].any()
    vectors.put(keys, vector * 2)
    assert vectors.get(keys)[0].all()
    anew.put(OUTCOMES, key, b"0.6")
    assert Store(tmp_path).get(OUTCOMES, key) == b"0.6"


def test_a_store_says_what_it_is_and_keeps_out_of_git(file: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "new")
    assert store.read_samples("samples/x/y.parquet") is None
    assert not store.folder.exists(), "reading makes nothing"
    store.file_sha256(file)
    assert (store.folder / ".gitignore").read_text() == "*\n"
    assert json.loads((store.folder / "store.json").read_text()) == make_marker(1)


def test_a_model_that_computes_otherwise_has_another_space(folder: Path) -> None:
    canaries = np.array([[1.0, 0.0], [0.0, 2.0]], dtype=np.float32)
    space = {"fingerprint": "0123456789ab"}
    first = Store(folder).embeddings(space, name="a", canaries=canaries, within=1e-5)
    rounded = Store(folder).embeddings(space, name="b", canaries=canaries * (1 + 1e-7), within=1e-5)
    other = Store(folder).embeddings(space, name="a", canaries=canaries * 1.01, within=1e-5)
    wider = Store(folder).embeddings(space, canaries=np.ones((2, 3), np.float32), within=1e-5)
    assert first.folder == rounded.folder, "the name is no part of it"
    assert len({first.folder, other.folder, wider.folder}) == 3
    again = Store(folder).embeddings(space, canaries=canaries * 1.01, within=1e-5)
    assert again.folder == other.folder
    (first.folder / "canaries.npy").write_bytes(b"damaged")
    damaged = Store(folder).embeddings(space, canaries=canaries, within=1e-5)
    assert damaged.folder not in (first.folder, other.folder, wider.folder), "nobody knows whose vectors those are"


def test_a_store_of_a_newer_version_is_one_sentence(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "store.json").write_text(json.dumps(make_marker(99)))
    with pytest.raises(ConfigError) as caught:
        Store(folder)
    assert str(caught.value) == f"{folder}: a newer touchstone made this store; run that one, or name another --store"
    (folder / "store.json").write_text("damaged")
    assert Store(folder).get(OUTCOMES, {"fingerprint": "x"}) is None


def test_a_marker_with_one_wrong_byte_is_written_again(folder: Path) -> None:
    marker = folder / "store.json"
    Store(folder).make()
    whole = marker.read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            marker.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            Store(folder).make()
            assert is_store(folder)


def test_a_folder_in_the_place_of_the_marker_is_put_aside(folder: Path) -> None:
    (folder / "store.json" / "inside").mkdir(parents=True)
    store = Store(folder)
    store.make()
    assert is_store(folder)
    assert store.trouble is None


def read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the right to write to a folder away, from root too."""
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode == os.W_OK and Path(path) == folder))


def test_a_store_that_can_only_be_read_gives_what_it_has_and_keeps_the_rest_for_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = {"fingerprint": "0123456789ab", "task": "old"}, {"fingerprint": "0123456789ab", "task": "new"}
    Store(folder).put(OUTCOMES, old, b"0.5")
    before = sorted(folder.rglob("*"))
    read_only(folder, monkeypatch)
    store, worker = Store(folder, run="a" * 32), Store(folder, run="a" * 32)
    for one in (store, worker):
        one.make()
    store.put(OUTCOMES, new, b"0.6")
    samples = worker.write_samples("0123456789ab", "STS16", b"samples")
    assert samples is not None
    assert (worker.get(OUTCOMES, old), worker.get(OUTCOMES, new)) == (b"0.5", b"0.6")
    assert store.read_samples(samples) == b"samples"
    store.write_run("20261121T000000", {})
    cache, _ = store.data_cache("c" * 64, "all")
    assert not cache.is_relative_to(folder)
    why = "Permission denied"
    assert store.trouble == f"{folder} cannot be written ({why}): later runs know nothing of what this run measured"
    assert sorted(folder.rglob("*")) == before
    store.leave()
    assert worker.get(OUTCOMES, new) is None, "it was for that run alone"


def test_what_a_full_disk_does_not_take_is_told_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, key = Store(folder), {"fingerprint": "0123456789ab"}
    store.make()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("touchstone.store.folder.write_blob", full)
    assert store.write_samples("0123456789ab", "STS16", b"samples") is None
    store.put(OUTCOMES, key, b"0.5")
    assert store.get(OUTCOMES, key) is None
    assert store.trouble is not None
    assert "(No space left on device)" in store.trouble


@pytest.mark.parametrize("name", ["file", "file/store"])
def test_a_store_that_cannot_be_made_is_one_sentence(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match=r"no store can be made there: .+; name another --store$"):
        Store(tmp_path / name).make()
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_of_somebody_else_s_is_not_kept_out_of_git(folder: Path) -> None:
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    Store(folder).make()
    assert sorted(path.name for path in folder.iterdir()) == ["mine.txt", "store.json"]


@pytest.mark.parametrize("what", ["in the place of the file", "in the place of the folder", "in the place of the kind"])
def test_what_is_in_the_way_is_put_aside(what: str, folder: Path) -> None:
    store, key = Store(folder), {"fingerprint": "0123456789ab"}
    store.put(OUTCOMES, key, b"0.5")
    (blob,) = folder.rglob("*.blob")
    there = {"file": blob, "folder": blob.parent, "kind": blob.parents[1]}[what.rpartition(" ")[2]]
    shutil.rmtree(there) if there.is_dir() else there.unlink()
    if there == blob:
        (there / "inside").mkdir(parents=True)
    else:
        there.write_text("mine")
    assert store.get(OUTCOMES, key) is None
    store.put(OUTCOMES, key, b"0.6")
    assert store.get(OUTCOMES, key) == b"0.6"
    assert len(list(folder.rglob("*.aside-*"))) == 1, "nothing of somebody else's is lost"
    assert store.trouble is None


def test_what_was_remembered_and_is_no_text_is_asked_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.remember("files", lambda: "a list")
    (blob,) = store.folder.glob("remembered/*/*.blob")
    found = open_blob(blob)
    assert found is not None
    write_blob(blob, found[0], lambda file: file.write(b"\xff"))
    assert store.remember("files", lambda: "another list") == "another list"
    assert store.remember("files", lambda: "a third list") == "another list"
