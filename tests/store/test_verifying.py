"""Every file of a store is looked at; what is damaged is named and can go, and nothing else does."""

import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import make_row, make_run
from touchstone.__main__ import main
from touchstone.encoding.keys import make_keys
from touchstone.errors import BaselineError, ConfigError
from touchstone.files.locking import locked
from touchstone.records.flat import flatten
from touchstone.store.folder import OUTCOMES, RANKINGS, Store
from touchstone.store.pruning import prune, take_stock
from touchstone.store.segments import HEADER_BYTES
from touchstone.store.vectors import LEFTOVER_AGE_S
from touchstone.store.verifying import verify

SPACE = {"model": "local/a", "fingerprint": "0123456789ab", "dtype": "float32", "device": "cpu", "torch": "2.13.0"}
KEY = {"fingerprint": "0123456789ab", "task": "NFCorpus"}
CANARIES = np.eye(4, dtype=np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with a file of each kind."""
    store = Store(tmp_path / "store")
    samples = store.write_samples("0123456789ab", "STS16", b"samples")
    store.write_run("20261121T000000.000000Z", flatten(make_run(make_row("STS16", score=0.5, samples=samples))))
    store.write_result(store.result_path("org__m", "main", "STS16"), lambda _, new: write(new, "{}"), {"name": "m"})
    cache, _ = store.data_cache("c" * 64, "all")
    cache.mkdir(parents=True)
    (cache / "rows.arrow").write_bytes(b"rows")
    store.keep_data_cache(cache)
    store.put(OUTCOMES, KEY, b"0.5")
    store.put(RANKINGS, KEY, b"found")
    store.remember("files", lambda: "a list")
    vectors = store.embeddings(SPACE, canaries=CANARIES, within=1e-5, fingerprint="0123456789ab")
    vectors.put(make_keys([str(number) for number in range(9)]), np.ones((9, 4), np.float32))
    vectors.flush()
    return store.folder


def write(path: Path, text: str) -> None:
    path.write_text(text)


def one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def test_a_whole_store_is_whole(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(verify(folder)) == []
    assert main(["store", "verify", "--store", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder} is whole\n"


def flip(place: int) -> Callable[[Path], Any]:
    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[place] ^= 1
        path.write_bytes(bytes(data))

    return change


@pytest.mark.parametrize("change", [flip(0), flip(-1), *(partial(write, text=text) for text in ("", "{"))])
@pytest.mark.parametrize(
    "pattern",
    ["outcomes/*/*.blob", "rankings/*/*.blob", "samples/*/*.blob", "remembered/*/*.blob", "hashes.blob",
     "runs/*.json", "results/*/*/STS16.json", "data/*/rows.arrow", "data/*/.whole", "embeddings/*/canaries.npy"],
)  # fmt: skip
def test_what_is_damaged_is_named_and_goes(
    pattern: str, change: Callable[[Path], Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = one(folder, pattern)
    files = {each for each in folder.rglob("*") if each.is_file()}
    before = path.read_bytes()
    change(path)
    found = list(verify(folder))
    if not found:  # JSON and canaries have no checksum: another digit is as good
        assert path.suffix in (".json", ".npy")
        assert len(path.read_bytes()) == len(before)
        return
    assert [each.what for each in found] == ["is damaged"]
    assert main(["store", "verify", "--store", str(folder)]) == 1
    assert "1 damaged; touchstone store verify --repair removes that" in capsys.readouterr().out
    assert main(["store", "verify", "--repair", "--store", str(folder)]) == 0
    assert capsys.readouterr().out.startswith(f"removed: {found[0].path} is damaged")
    assert list(verify(folder)) == []
    left = {each for each in folder.rglob("*") if each.is_file()}
    assert files - left == ({each for each in files if each.parent == path.parent} if "data" in pattern else {path})


def test_a_damaged_vector_goes_alone(folder: Path) -> None:
    segment = one(folder, "embeddings/*/*.vectors")
    data = bytearray(segment.read_bytes())
    data[-70] ^= 1  # the last vector, before the header that is there again
    segment.write_bytes(bytes(data))
    assert [each.what for each in verify(folder)] == ["has 1 damaged of 9 vectors"]
    assert main(["store", "verify", "--repair", "--store", str(folder)]) == 0
    assert list(verify(folder)) == []
    assert len(Store(folder).embeddings(SPACE)) == 8


def test_a_blob_under_another_name_is_told(folder: Path) -> None:
    blob = one(folder, "outcomes/*/*.blob")
    shutil.copy(blob, blob.with_name("0" * 16 + ".blob"))
    assert [each.what for each in verify(folder)] == ["is of another name"]


def test_what_no_store_wrote_is_told_and_stays(folder: Path, tmp_path: Path) -> None:
    (folder / "data" / "mine").mkdir()
    (folder / "data" / "mine" / "train.jsonl").write_text("{}")
    (folder / "notes.txt").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / ("0" * 16 + ".blob")).write_text("mine")
    (folder / "outcomes" / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "data" / "0123456789abcdef-0123456789ab-01234567").symlink_to(tmp_path / "elsewhere")
    told = {each.path.name: each.mend for each in verify(folder)}
    assert told == dict.fromkeys(("train.jsonl", "notes.txt", "linked", "0123456789abcdef-0123456789ab-01234567"))
    assert main(["store", "verify", "--repair", "--store", str(folder)]) == 0
    prune(Store(folder), -1)
    assert (folder / "data" / "mine" / "train.jsonl").is_file()
    assert (folder / "notes.txt").is_file()
    assert list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("pattern", ["runs/*.json", "outcomes/*/*.blob", "hashes.blob", "embeddings/*/*.vectors"])
def test_a_folder_in_a_file_s_place_is_put_aside(pattern: str, folder: Path) -> None:
    path = one(folder, pattern)
    path.unlink()
    path.mkdir()
    (path / "mine.txt").write_text("mine")
    assert [each.what for each in verify(folder)] == ["is a folder in the place of a file"]
    assert main(["store", "verify", "--repair", "--store", str(folder)]) == 0
    assert list(verify(folder)) == []
    assert [each.read_text() for each in folder.rglob("mine.txt")] == ["mine"]


def test_what_a_killed_process_left_goes_when_it_is_old(folder: Path) -> None:
    half = folder / "runs" / ".20261121T000000.000000Z.json.abcd1234"
    half.write_text("{")
    assert list(verify(folder)) == []
    old = time.time() - LEFTOVER_AGE_S - 60
    os.utime(half, (old, old))
    assert [each.what for each in verify(folder)] == ["was left behind by a process that was killed"]
    assert main(["store", "verify", "--repair", "--store", str(folder)]) == 0
    assert not half.exists()


def test_a_store_that_a_run_uses_is_neither_pruned_nor_repaired(folder: Path) -> None:
    store = Store(folder)
    store.make()
    with pytest.raises(ConfigError, match="is used by a run; wait until that has ended"):
        prune(Store(folder), 0)
    assert main(["store", "verify", "--repair", "--store", str(folder)]) == 4
    assert main(["store", "verify", "--store", str(folder)]) == 0
    store.leave()
    assert prune(Store(folder), -1)[0]


def test_a_run_waits_for_what_prunes(folder: Path) -> None:
    with locked(folder / "store.json") as alone, locked(folder / "store.json", shared=True, wait=False) as shared:
        assert (alone, shared) == (True, False)


@pytest.mark.parametrize("look", [take_stock, lambda store: prune(store, 0), lambda store: list(verify(store.folder))])
def test_a_folder_that_is_no_store_is_left_alone(look: Callable[[Store], object], tmp_path: Path) -> None:
    (tmp_path / "data" / "0123456789abcdef-0123456789ab-01234567").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"is no store: it has no store.json that says so"):
        look(Store(tmp_path))
    assert list((tmp_path / "data").iterdir())


def test_pruning_does_not_guess_what_a_damaged_record_names(folder: Path) -> None:
    one(folder, "runs/*.json").write_text("{")
    with pytest.raises(BaselineError, match="20261121T000000"):
        prune(Store(folder), -1)
    assert list(folder.glob("samples/*/*"))


def test_segment_without_one_whole_row_goes(folder: Path) -> None:
    path = one(folder, "embeddings/*/*.vectors")
    data = path.read_bytes()
    path.write_bytes(data[:HEADER_BYTES] + bytes(len(data) - 2 * HEADER_BYTES) + data[-HEADER_BYTES:])
    (damage,) = verify(folder)
    assert damage.what == "is damaged"
    assert damage.mend is not None
    damage.mend()
    assert list(verify(folder)) == []


def test_canaries_with_any_header_are_damaged_and_no_error(folder: Path) -> None:
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 4"
    path = one(folder, "embeddings/*/canaries.npy")
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
    (damage,) = verify(folder)
    assert damage.path == path
    found = Store(folder).embeddings(SPACE, canaries=CANARIES, within=1e-5)
    assert found.folder != path.parent
