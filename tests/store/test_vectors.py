"""Stored vectors: what is put comes back, from any process, and what is damaged never does."""

import os
import random
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import touchstone.store.vectors
from touchstone.encoding.base import Vectors
from touchstone.encoding.keys import make_keys
from touchstone.errors import ConfigError
from touchstone.store.folder import Store
from touchstone.store.segments import VERSION, make_header
from touchstone.store.vectors import SUFFIX, Embeddings

DIMENSIONS = 8
SPACE = {"model": "local/a", "fingerprint": "0123456789ab"}


def vectors_of(texts: list[str]) -> Vectors:
    """Make each text's own vector: what must come back is known without the store."""
    rows = [np.random.default_rng(abs(hash_of(text))).normal(size=DIMENSIONS) for text in texts]
    return np.array(rows, dtype=np.float32).reshape(len(texts), DIMENSIONS)


def hash_of(text: str) -> int:
    return int(make_keys([text])[0, 0])


def put(store: Embeddings, texts: list[str]) -> None:
    store.put(make_keys(texts), vectors_of(texts))
    store.flush()


def count_known(store: Embeddings, texts: list[str]) -> int:
    """Return how many texts have a vector, each of which must be the right one."""
    known, vectors = store.get(make_keys(texts))
    if known.any():
        np.testing.assert_array_equal(vectors, vectors_of([t for t, old in zip(texts, known, strict=True) if old]))
    return int(known.sum())


def filled(folder: Path, count: int = 50, segments: int = 3) -> list[str]:
    texts = [f"text {number}" for number in range(count)]
    for part in np.array_split(np.arange(count), segments):
        put(Embeddings(folder), [texts[index] for index in part])
    return texts


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


def damage(path: Path, seed: int, times: int = 1) -> None:
    """Flip a bit, cut off the end, write over a part, or append something."""
    generator = random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(times):
        match generator.randrange(4) if content else 3:
            case 0:
                content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
            case 1:
                del content[generator.randrange(len(content)) :]
            case 2:
                start = generator.randrange(len(content))
                content[start : start + 64] = generator.randbytes(len(content[start : start + 64]))
            case 3:
                content += generator.randbytes(generator.randrange(1, 100))
    path.write_bytes(content)


@given(st.lists(st.text(max_size=5), unique=True), st.lists(st.text(max_size=5)))
def test_what_is_put_comes_back_in_the_order_asked(put: list[str], asked: list[str]) -> None:
    store = Embeddings(Path("a folder that is never written"))
    store.put(make_keys(put), vectors_of(put))
    known, vectors = store.get(make_keys(asked))
    assert known.tolist() == [text in put for text in asked]
    expected = vectors_of([text for text in asked if text in put])
    np.testing.assert_array_equal(vectors.reshape(-1, DIMENSIONS), expected)


STEPS = st.one_of(
    st.lists(st.tuples(st.integers(0, 30), st.floats(width=32)), min_size=1, max_size=8),
    st.sampled_from(["flush", "open", "merge", "look"]),
)


@given(st.lists(STEPS, max_size=40))
@settings(deadline=None)
def test_whatever_is_done_the_last_vector_of_each_text_is_there(steps: list[Any]) -> None:
    expected: dict[int, bytes] = {}
    with TemporaryDirectory() as folder:
        store = Embeddings(Path(folder))
        for step in steps:
            match step:
                case "flush" | "open":
                    store.flush()
                    store = Embeddings(Path(folder)) if step == "open" else store
                case "merge":
                    store.merge(1)
                case "look":
                    known, vectors = store.get(make_keys([str(number) for number in range(31)]))
                    assert known.tolist() == [number in expected for number in range(31)]
                    assert [vector.tobytes() for vector in vectors] == [expected[n] for n in sorted(expected)]
                case _:
                    numbers, values = zip(*step, strict=True)
                    given = np.repeat(np.array(values, np.float32)[:, None], 3, axis=1)
                    store.put(make_keys([str(number) for number in numbers]), given)
                    expected.update({n: vector.tobytes() for n, vector in zip(numbers, given, strict=True)})
        assert len(list(Path(folder).iterdir())) <= 6


def test_another_process_reads_what_was_flushed_and_only_that(tmp_path: Path) -> None:
    store = Embeddings(tmp_path)
    store.put(make_keys(["a"]), vectors_of(["a"]))
    other = Embeddings(tmp_path)
    assert not other.get(make_keys(["a"]))[0].any()
    store.flush()
    known, vectors = other.get(make_keys(["b", "a"]))
    assert known.tolist() == [False, True]
    np.testing.assert_array_equal(vectors, vectors_of(["a"]))


def test_what_another_writes_within_a_tick_of_the_clock_is_seen(tmp_path: Path) -> None:
    store, other = Embeddings(tmp_path), Embeddings(tmp_path)
    for number in range(200):
        put(store, [str(number)])
        assert count_known(other, [str(number)]) == 1


def test_much_is_written_without_being_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(touchstone.store.vectors, "PENDING_BYTES", 3 * DIMENSIONS * 4)
    store = Embeddings(tmp_path)
    for text in "abcd":
        store.put(make_keys([text]), vectors_of([text]))
    assert Embeddings(tmp_path).get(make_keys(list("abcd")))[0].tolist() == [True, True, True, False]


def test_much_is_looked_up_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(touchstone.store.vectors, "CHUNK_KEYS", 7)
    texts = filled(tmp_path)
    assert count_known(Embeddings(tmp_path), ["none", *texts, "no other"]) == 50


def test_what_the_caller_does_to_its_vectors_is_not_kept(tmp_path: Path) -> None:
    store, vectors = Embeddings(tmp_path), vectors_of(["a"])
    store.put(make_keys(["a"]), vectors)
    vectors /= 2
    assert count_known(store, ["a"]) == 1


def test_what_is_encoded_anew_is_newer_than_what_was_there(tmp_path: Path) -> None:
    texts = filled(tmp_path)
    anew = Embeddings(tmp_path, anew=True)
    assert not anew.get(make_keys(texts))[0].any()
    for text in texts:
        anew.put(make_keys([text]), -vectors_of([text]))
        anew.flush()
    for store in (anew, Embeddings(tmp_path)):
        np.testing.assert_array_equal(store.get(make_keys(texts))[1], -vectors_of(texts))
    assert len(files(tmp_path)) <= 8


def test_texts_that_no_encoding_takes_have_keys_of_their_own() -> None:
    keys = make_keys(["\ud800", "\udfff", "", "\0", "a", "a"])
    assert len({tuple(key) for key in keys.tolist()}) == 5


def test_vectors_of_another_width_are_not_mixed_in(tmp_path: Path) -> None:
    texts = filled(tmp_path)
    Embeddings(tmp_path, anew=True).put(make_keys(["a"]), np.zeros((1, DIMENSIONS + 1), np.float32))
    wide = Embeddings(tmp_path, anew=True)
    wide.put(make_keys(texts[:1]), np.ones((1, DIMENSIONS + 1), np.float32))
    wide.flush()
    assert count_known(Embeddings(tmp_path, width=DIMENSIONS), texts) == 50
    assert Embeddings(tmp_path, width=DIMENSIONS + 1).get(make_keys(texts))[1].tolist() == [[1] * (DIMENSIONS + 1)]
    assert Embeddings(tmp_path).get(make_keys(texts))[0].sum() == 1
    with pytest.raises(ConfigError, match=r"has vectors of 8 numbers, not 9; take another --store$"):
        Embeddings(tmp_path, width=DIMENSIONS).put(make_keys(["a"]), np.zeros((1, DIMENSIONS + 1), np.float32))


def test_files_stay_few_and_nothing_is_lost_by_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(touchstone.store.vectors, "PENDING_BYTES", 10 * (DIMENSIONS * 4 + 24))
    store, most = Embeddings(tmp_path), 0
    for number in range(300):
        put(store, [f"{number} {part}" for part in range(10)])
        most = max(most, len(files(tmp_path)))
    assert most <= 3 * 5 + 1  # 300 are under 4 ** 5
    assert len(store) == len(Embeddings(tmp_path)) == 3000
    assert count_known(store, [f"{number} {part}" for number in range(300) for part in range(10)]) == 3000


def test_opening_and_looking_up_take_no_memory_for_the_keys_that_are_there(tmp_path: Path) -> None:
    keys = np.random.default_rng(0).integers(0, 2**63, size=(100_000, 2)).astype(np.uint64)
    store = Embeddings(tmp_path)
    store.put(keys, keys[:, :1].astype(np.float32))
    store.flush()
    tracemalloc.start()
    try:
        known, _ = Embeddings(tmp_path).get(keys[::1000])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert known.all()
    assert peak < 500_000


@pytest.mark.parametrize("seed", range(200))
def test_a_random_corruption_is_noticed_or_harmless(tmp_path: Path, seed: int) -> None:
    texts = filled(tmp_path, count=24)
    damage(random.Random(seed).choice(files(tmp_path)), seed)
    store = Embeddings(tmp_path)
    assert count_known(store, texts) >= 16
    lost = [text for text, old in zip(texts, store.get(make_keys(texts))[0], strict=True) if not old]
    put(store, lost)
    assert count_known(Embeddings(tmp_path), texts) == 24
    store.merge(0)
    assert count_known(store, texts) == count_known(Embeddings(tmp_path), texts) == len(store) == 24
    assert len(list(tmp_path.iterdir())) == 1


def test_a_wrong_bit_costs_one_vector_and_no_file(tmp_path: Path) -> None:
    texts = filled(tmp_path, count=300)
    for path in files(tmp_path):
        content = bytearray(path.read_bytes())
        content[3] ^= 1  # of the header
        content[-80] ^= 1  # of the last vector
        path.write_bytes(content)
    assert count_known(Embeddings(tmp_path), texts) == 297
    assert len(files(tmp_path)) == 3


def test_a_damaged_vector_does_not_hide_another_of_its_text(tmp_path: Path) -> None:
    for _ in range(2):
        put(Embeddings(tmp_path, anew=True), ["a"])
    newest = files(tmp_path)[-1]
    content = bytearray(newest.read_bytes())
    content[-80] ^= 1
    newest.write_bytes(content)
    assert count_known(Embeddings(tmp_path), ["a"]) == 1


def test_what_is_no_segment_is_no_hindrance(tmp_path: Path) -> None:
    texts = filled(tmp_path)
    (tmp_path / f"9999999999-empty{SUFFIX}").touch()
    (tmp_path / f"a folder{SUFFIX}").mkdir()
    (tmp_path / f"nowhere{SUFFIX}").symlink_to(tmp_path / "nothing")
    store = Embeddings(tmp_path)
    assert count_known(store, texts) == 50
    put(store, ["new"])
    store.merge(0)
    assert count_known(Embeddings(tmp_path), [*texts, "new"]) == 51


def test_a_folder_that_is_a_file_has_nothing_and_takes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Embeddings(tmp_path / "file")
    assert count_known(store, ["a"]) == 0
    store.merge(0)
    with pytest.raises(OSError, match="file"):
        put(store, ["a"])


def test_an_older_version_is_made_anew_and_removed_when_merging(tmp_path: Path) -> None:
    (tmp_path / f"0000000001-old{SUFFIX}").write_bytes(make_header(VERSION - 1, DIMENSIONS, 1, 1) + b"\0" * 100)
    for what in ("keys", "vectors"):
        np.save(tmp_path / f"{'0' * 32}.{what}.npy", np.zeros((1, 3)))
    store = Embeddings(tmp_path)
    assert not store.get(make_keys(["a"]))[0].any()
    put(store, ["a"])
    assert len(list(tmp_path.iterdir())) == 4
    store.merge(8)
    assert len(list(tmp_path.iterdir())) == 1
    assert count_known(store, ["a"]) == 1


def test_a_newer_version_is_one_sentence_each_time(tmp_path: Path) -> None:
    store = Embeddings(tmp_path)
    put(store, ["a"])
    newer = tmp_path / f"0000000009-new{SUFFIX}"
    newer.write_bytes(make_header(VERSION + 1, DIMENSIONS, 1, 1))
    for _ in range(2):
        with pytest.raises(ConfigError, match=rf"^{newer}: was written by a newer touchstone; use that one, or "):
            store.get(make_keys(["a"]))
        with pytest.raises(ConfigError, match=r"another --store$"):
            Embeddings(tmp_path)


def test_what_killed_writers_left_goes_when_merging_an_hour_later(tmp_path: Path) -> None:
    texts = filled(tmp_path)
    for name, age in ((".old.vectors.abc", 4000), (".new.vectors.abc", 0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    store = Embeddings(tmp_path)
    store.merge(8)
    assert count_known(store, texts) == 50
    assert [path.name for path in tmp_path.glob(".*")] == [".new.vectors.abc"]


def test_a_store_that_cannot_be_written_to_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = filled(Store(tmp_path).embeddings(SPACE).folder)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    for name in ("os.utime", "os.unlink", "os.rename", "os.replace", "os.mkdir", "os.chmod"):
        monkeypatch.setattr(name, refuse)
    monkeypatch.setattr("touchstone.files.writing.NamedTemporaryFile", refuse)
    assert count_known(Store(tmp_path).embeddings(SPACE), texts) == 50
    assert count_known(Store(tmp_path).embeddings({**SPACE, "model": "other"}), texts) == 0


def test_reading_writes_nothing(tmp_path: Path) -> None:
    texts = filled(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path, *tmp_path.iterdir())}
    count_known(Embeddings(tmp_path), texts)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path, *tmp_path.iterdir())} == before


def test_a_disk_too_full_for_merging_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Embeddings, "_replace", full)
    store = Embeddings(tmp_path)
    for text in "abcdefgh":
        put(store, [text])
    assert count_known(Embeddings(tmp_path), list("abcdefgh")) == 8


def test_two_that_merge_the_same_lose_nothing(tmp_path: Path) -> None:
    texts = filled(tmp_path)
    first, second = Embeddings(tmp_path), Embeddings(tmp_path)
    stale = second._readable()
    first.merge(0)
    second._replace(stale)
    for store in (first, second, Embeddings(tmp_path)):
        assert count_known(store, texts) == 50
    second.merge(1)
    assert len(first) == len(second) == 50


WRITER = """
import sys
from pathlib import Path
from tests.store.test_vectors import Embeddings, make_keys, vectors_of
store = Embeddings(Path(sys.argv[1]))
print("ready", flush=True)
for number in range(0, 20 * int(sys.argv[3]), 20):
    texts = [f"{sys.argv[2]} {number + i}" for i in range(20)]
    store.put(make_keys(texts), vectors_of(texts))
    store.flush()
    print(number + 20, flush=True)
"""


def start_writer(folder: Path, name: str, flushes: int) -> subprocess.Popen[str]:
    """Start a process that writes twenty vectors at a time, and says how many it has written."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent.parent), *sys.path])}
    command = [sys.executable, "-c", WRITER, str(folder), name, str(flushes)]
    writer = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    return writer


def texts_of(name: str, count: int) -> list[str]:
    return [f"{name} {number}" for number in range(count)]


def test_writers_beside_each_other_lose_nothing_and_a_reader_misses_nothing(tmp_path: Path) -> None:
    writers = {name: start_writer(tmp_path, name, 150) for name in ("first", "second")}
    reader = Embeddings(tmp_path)
    for said in zip(*(writer.stdout or () for writer in writers.values()), strict=True):
        for name, count in zip(writers, said, strict=True):
            assert count_known(reader, texts_of(name, int(count))) == int(count)
    for writer in writers.values():
        writer.communicate()
        assert writer.returncode == 0
    assert len(Embeddings(tmp_path)) == 6000
    assert len(list(tmp_path.iterdir())) <= 12


@pytest.mark.parametrize("seed", range(5))
def test_writers_that_are_killed_leave_only_whole_vectors_and_all_they_had_flushed(tmp_path: Path, seed: int) -> None:
    generator = random.Random(seed)
    writers = {name: start_writer(tmp_path, name, 100_000) for name in ("first", "second")}
    time.sleep(0.3 + generator.random() / 5)
    for name, writer in writers.items():
        writer.send_signal(signal.SIGKILL)
        said = writer.communicate()[0].splitlines()
        flushed = int(said[-1]) if said else 0
        assert count_known(Embeddings(tmp_path), texts_of(name, flushed)) == flushed
        assert count_known(Embeddings(tmp_path), texts_of(name, flushed + 40)) in (flushed, flushed + 20)
    store = Embeddings(tmp_path)
    store.merge(0)
    assert len(files(tmp_path)) == 1
