"""The file of a segment: whatever is wrong in it costs the least it can, and never gives a wrong vector."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.test_vectors import DIMENSIONS, damage, vectors_of
from touchstone.encoding.base import Vectors
from touchstone.encoding.keys import Keys, make_keys
from touchstone.errors import ConfigError
from touchstone.store.segments import VERSION, Segment, make_header, merge_rows, sort_keys, write_segment

ROWS = 96
TEXTS = [f"text {number}" for number in range(ROWS)]
KEYS = make_keys(TEXTS)
VECTORS = vectors_of(TEXTS)
# 96 rows have 16 buckets.
DIRECTORY_AT, KEYS_AT = 64, 192
VECTORS_AT = KEYS_AT + 24 * ROWS
END = VECTORS_AT + 4 * DIMENSIONS * ROWS
BUCKETS = np.bincount((KEYS[:, 0] >> np.uint64(60)).astype(np.int64), minlength=16)
LARGEST_BUCKET = int(BUCKETS.max())


def write(path: Path, keys: Keys = KEYS, vectors: Vectors = VECTORS) -> Path:
    order = sort_keys(keys)
    blocks = [(keys[rows], vectors[rows]) for rows in np.array_split(order, 3) if len(rows)]
    write_segment(path, vectors.shape[1], len(keys), blocks)
    return path


def get(path: Path) -> int:
    """Return how many of the vectors are there, all of which must be right."""
    places, vectors = Segment(path).get(KEYS)
    np.testing.assert_array_equal(vectors, VECTORS[places])
    return len(places)


def test_the_file_is_laid_out_as_it_says(tmp_path: Path) -> None:
    data = write(tmp_path / "a").read_bytes()
    order = sort_keys(KEYS)
    assert len(data) == END + 64
    assert data[:64] == data[END:] == make_header(VERSION, DIMENSIONS, ROWS, ROWS)
    assert data[VECTORS_AT:END] == VECTORS[order].tobytes()
    assert np.frombuffer(data, "<u8", 3 * ROWS, KEYS_AT).reshape(-1, 3)[:, :2].tolist() == KEYS[order].tolist()
    directory = np.frombuffer(data, "<u4", 17, DIRECTORY_AT)
    assert np.diff(directory).tolist() == BUCKETS.tolist()
    assert get(tmp_path / "a") == ROWS


def test_a_wrong_bit_costs_a_row_or_what_is_left_of_a_bucket_and_in_a_header_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << place * 5 % 8]) + data[place + 1 :])
        lost = ROWS - get(path)
        if DIRECTORY_AT <= place < DIRECTORY_AT + 4 * 17:
            assert lost <= LARGEST_BUCKET
        elif KEYS_AT + 20 <= place < END:
            assert lost == 1
        else:
            assert lost <= 1
        assert place >= 64 or not lost
        assert place < END or not lost
        whole = sum(len(keys) for keys, _ in Segment(path).read())
        assert whole == ROWS - (KEYS_AT <= place < END)  # merging does without the directory


def test_of_a_file_that_is_cut_off_every_vector_that_is_left_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        left = (min(length, END) - VECTORS_AT) // (4 * DIMENSIONS)
        if left > 0:
            assert get(path) == left
        else:
            with pytest.raises(ValueError, match=r"no header|no whole row|empty file"):
                Segment(path)


def test_a_file_that_has_grown_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    path.write_bytes(path.read_bytes() + b"\0" * 100)
    assert get(path) == ROWS


@given(seed=st.integers(0, 2**32))
def test_any_damage_is_noticed_or_harmless(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    path = write(tmp_path_factory.getbasetemp() / "damaged")
    damage(path, seed, times=1 + seed % 7)
    try:
        get(path)
        for keys, vectors in Segment(path).read():
            known = {key.tobytes(): vector.tolist() for key, vector in zip(KEYS, VECTORS, strict=True)}
            assert [known[key.tobytes()] for key in keys] == vectors.tolist()
    except ValueError:
        pass


@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, unique=True),
    others=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1),
)
def test_keys_that_are_no_hashes_are_found_too(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    keys = np.array(rows, np.uint64)
    path = write(tmp_path_factory.getbasetemp() / "few", keys, keys.astype(np.float32))
    places, vectors = Segment(path).get(np.array(others, np.uint64))
    assert places.tolist() == [place for place, other in enumerate(others) if other in rows]
    assert [tuple(vector) for vector in vectors.tolist()] == [others[place] for place in places]


def test_a_bucket_may_be_long(tmp_path: Path) -> None:
    keys = np.column_stack([np.arange(5000), np.arange(5000)]).astype(np.uint64)
    path = write(tmp_path / "a", keys, keys.astype(np.float32))
    places, vectors = Segment(path).get(keys[::7])
    assert len(places) == len(keys[::7])
    np.testing.assert_array_equal(vectors, keys[::7])


@pytest.mark.parametrize("block", [1, 100, 1 << 20])
def test_merged_rows_are_sorted_and_the_first_of_each_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr("touchstone.store.segments.BLOCK_BYTES", block)
    generator = np.random.default_rng(0)
    parts = [np.sort(generator.choice(ROWS, size, replace=False)) for size in (60, 30, 1)]
    segments = [
        Segment(write(tmp_path / str(number), KEYS[part], VECTORS[part] + number)) for number, part in enumerate(parts)
    ]
    found = list(merge_rows(segments))
    keys, vectors = (np.concatenate([block[side] for block in found]) for side in (0, 1))
    chosen = sort_keys(KEYS)[np.isin(sort_keys(KEYS), np.concatenate(parts))]
    assert keys.tolist() == KEYS[chosen].tolist()
    newest = np.array([next(number for number, part in enumerate(parts) if row in part) for row in chosen])
    np.testing.assert_array_equal(vectors, VECTORS[chosen] + newest[:, None].astype(np.float32))


def test_a_newer_version_is_one_sentence_and_an_older_one_is_none(tmp_path: Path) -> None:
    for place, error, said in ((1, ConfigError, "newer touchstone; use that one, or another --store$"),
                               (-1, ValueError, "older")):  # fmt: skip
        header = make_header(VERSION + place, 0, 0, 0)
        for data in (header, header + b"of another layout", b"\xff" * 64 + header):
            (tmp_path / "a").write_bytes(data)
            with pytest.raises(error, match=said):
                Segment(tmp_path / "a")
