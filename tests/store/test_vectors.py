"""Stored vectors: what is put comes back, from any process, and what is damaged never does."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import touchstone.store.vectors
from touchstone.encoding.keys import make_keys
from touchstone.store.vectors import KEYS, VECTORS, Embeddings

DIMENSIONS = 8


def vectors_of(texts: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Make each text's own vector: what must come back is known without the store."""
    rows = [np.random.default_rng(abs(hash_of(text))).normal(size=DIMENSIONS) for text in texts]
    return np.array(rows, dtype=np.float32).reshape(len(texts), DIMENSIONS)


def hash_of(text: str) -> int:
    return int(make_keys([text])[0, 0])


def filled(folder: Path, count: int = 50, segments: int = 3) -> list[str]:
    texts = [f"text {number}" for number in range(count)]
    for part in np.array_split(np.arange(count), segments):
        chosen = [texts[index] for index in part]
        store = Embeddings(folder)
        store.put(make_keys(chosen), vectors_of(chosen))
        store.flush()
    return texts


@given(st.lists(st.text(max_size=5), unique=True), st.lists(st.text(max_size=5)))
def test_what_is_put_comes_back_in_the_order_asked(put: list[str], asked: list[str]) -> None:
    store = Embeddings(Path("a folder that is never written"))
    store.put(make_keys(put), vectors_of(put))
    known, vectors = store.get(make_keys(asked))
    assert known.tolist() == [text in put for text in asked]
    expected = vectors_of([text for text in asked if text in put])
    np.testing.assert_array_equal(vectors.reshape(-1, DIMENSIONS), expected)


def test_another_process_reads_what_was_flushed_and_only_that(tmp_path: Path) -> None:
    store = Embeddings(tmp_path)
    store.put(make_keys(["a"]), vectors_of(["a"]))
    other = Embeddings(tmp_path)
    assert not other.get(make_keys(["a"]))[0].any()
    store.flush()
    known, vectors = other.get(make_keys(["b", "a"]))
    assert known.tolist() == [False, True]
    np.testing.assert_array_equal(vectors, vectors_of(["a"]))


def test_much_is_written_without_being_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(touchstone.store.vectors, "PENDING_BYTES", 3 * DIMENSIONS * 4)
    store = Embeddings(tmp_path)
    for text in "abcd":
        store.put(make_keys([text]), vectors_of([text]))
    assert Embeddings(tmp_path).get(make_keys(list("abcd")))[0].tolist() == [True, True, True, False]


def test_texts_that_no_encoding_takes_have_keys_of_their_own() -> None:
    keys = make_keys(["\ud800", "\udfff", "", "\0", "a", "a"])
    assert len({tuple(key) for key in keys.tolist()}) == 5


def test_vectors_of_another_dimension_are_not_mixed_in(tmp_path: Path) -> None:
    texts = filled(tmp_path)
    np.save(tmp_path / f"other{VECTORS}", np.zeros((1, DIMENSIONS + 1), np.float32))
    np.save(tmp_path / f"other{KEYS}", np.zeros((1, 3), np.uint64))
    assert Embeddings(tmp_path).get(make_keys(texts))[0].sum() in (0, 50)


@pytest.mark.parametrize("seed", range(200))
def test_a_random_corruption_is_noticed_or_harmless(tmp_path: Path, seed: int) -> None:
    texts = filled(tmp_path, count=24)
    generator = random.Random(seed)
    path = generator.choice(sorted(tmp_path.iterdir()))
    content = bytearray(path.read_bytes())
    match generator.randrange(4):
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
    store = Embeddings(tmp_path)
    known, vectors = store.get(make_keys(texts))
    if known.any():
        np.testing.assert_array_equal(vectors, vectors_of([t for t, old in zip(texts, known, strict=True) if old]))
    lost = [text for text, old in zip(texts, known, strict=True) if not old]
    store.put(make_keys(lost), vectors_of(lost))
    store.flush()
    known, vectors = Embeddings(tmp_path).get(make_keys(texts))
    assert known.all()
    np.testing.assert_array_equal(vectors, vectors_of(texts))


def test_a_damaged_vector_takes_its_segment_with_it(tmp_path: Path) -> None:
    texts = filled(tmp_path, count=30, segments=3)
    path = sorted(tmp_path.glob(f"*{VECTORS}"))[0]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    known, _ = Embeddings(tmp_path).get(make_keys(texts))
    assert known.sum() == 20
    assert not path.exists()


WRITER = """
import sys
from pathlib import Path
from touchstone.encoding.keys import make_keys
from touchstone.store.vectors import Embeddings
from tests.store.test_vectors import vectors_of
store = Embeddings(Path(sys.argv[1]))
print("ready", flush=True)
number = 0
while True:
    texts = [f"{sys.argv[2]} {number + i}" for i in range(20)]
    store.put(make_keys(texts), vectors_of(texts))
    store.flush()
    number += 20
"""


def test_writers_that_are_killed_leave_only_whole_vectors(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), name], env=environment, stdout=subprocess.PIPE, text=True
        )
        for name in ("first", "second")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 30
    while len(list(tmp_path.glob(f"*{KEYS}"))) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    texts = [f"{name} {number}" for name in ("first", "second") for number in range(200)]
    known, vectors = Embeddings(tmp_path).get(make_keys(texts))
    assert known.sum() >= 20
    np.testing.assert_array_equal(vectors, vectors_of([t for t, old in zip(texts, known, strict=True) if old]))
