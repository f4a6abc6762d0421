"""One segment of a store of vectors: a file of rows in the order of their keys, written whole and never changed.

    header     64 bytes: `MAGIC`, version, width, rows, room, CRC-32 of the 60 bytes before; again after the last vector
    directory  32 bits a bucket, and one more: the row it begins at; a bucket is the keys that begin with the same bits
    keys       three numbers of 64 bits a row: the key, and the CRC-32 of it and its vector; room for `room` rows
    vectors    `width` numbers of float32 a row

All is little-endian. No part is trusted for more than itself, so that a wrong bit costs little: in a key, a checksum or
a vector its row, in the directory one of the two buckets that meet there, some four to eight rows, in a header nothing.
Headers stay as they are in every version.
"""

import mmap
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from touchstone.encoding.base import Vectors
from touchstone.encoding.keys import Keys
from touchstone.errors import ConfigError
from touchstone.files.writing import open_atomically

Rows = tuple[Keys, Vectors]
MAGIC, VERSION = b"tsvector", 2
HEADER = struct.Struct("<8sIIQQ28x")
HEADER_BYTES = HEADER.size + 4
KEY_BYTES = 24
# Keys that are looked at together: at first, and at most, where a wrong directory makes a bucket long.
MIN_WINDOW, MAX_WINDOW = 8, 256
BLOCK_BYTES = 1 << 20


class Segment:
    """A segment, of which only the pages in use are in memory.

    Raises:
        ConfigError: a newer version wrote it.
        ValueError: it has no whole row, or an older version wrote it.
        OSError: it is not there, or no file.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        version, self.width, rows, room = _read_header(data)
        if version > VERSION:
            raise ConfigError(f"{path}: was written by a newer touchstone; use that one, or another --store")
        if version < VERSION or not self.width:
            raise ValueError(f"{path}: was written by an older touchstone")
        self.path = path
        self._bits, keys_at, vectors_at = _lay_out(room)
        self.header_rows = rows
        self.rows = min(rows, (len(data) - vectors_at) // (4 * self.width))  # where its end is gone the rest is read
        if self.rows < 1:
            raise ValueError(f"{path}: has no whole row")
        self.size = self.rows * (KEY_BYTES + 4 * self.width)
        self._directory = np.frombuffer(data, "<u4", (1 << self._bits) + 1, HEADER_BYTES)
        self._keys = np.frombuffer(data, "<u8", 3 * self.rows, keys_at).reshape(-1, 3)
        self._vectors = np.frombuffer(data, "<f4", self.rows * self.width, vectors_at).reshape(-1, self.width)

    def get(self, keys: Keys) -> tuple[NDArray[np.int64], Vectors]:
        """Look keys up; return the places of those that are here and whole, and their vectors."""
        row = self._find(keys)
        places = np.flatnonzero(row >= 0)
        vectors = self._vectors[row[places]]
        is_whole = _checksums(keys[places], vectors) == self._keys[row[places], 2]
        return (places, vectors) if is_whole.all() else (places[is_whole], vectors[is_whole])

    def read(self) -> Iterator[Rows]:
        """Yield every row that is whole, in the order of the keys, some at a time."""
        step = max(1, BLOCK_BYTES // (4 * self.width))
        for at in range(0, self.rows, step):
            keys, vectors = self._keys[at : at + step], self._vectors[at : at + step]
            is_whole = _checksums(keys[:, :2], vectors) == keys[:, 2]
            if is_whole.any():
                yield np.ascontiguousarray(keys[is_whole, :2]), vectors[is_whole]

    def _find(self, keys: Keys) -> NDArray[np.int64]:
        """Return the row of each key; -1 where it is not here. Whole buckets are read: their order is not trusted."""
        bucket = _bucket(keys, self._bits)
        at, end = (np.minimum(self._directory[bucket + side].astype(np.int64), self.rows) for side in (0, 1))
        row = np.full(len(keys), -1)
        open_keys, window = np.flatnonzero(at < end), np.arange(MIN_WINDOW)
        while len(open_keys):
            rows = np.minimum(at[open_keys, None] + window, self.rows - 1)
            hits, column = np.nonzero(self._keys[rows, 0] == keys[open_keys, :1])
            rows, hits = rows[hits, column], open_keys[hits]
            is_same = self._keys[rows, 1] == keys[hits, 1]
            row[hits[is_same]] = rows[is_same]
            at[open_keys] += len(window)
            open_keys = open_keys[(at[open_keys] < end[open_keys]) & (row[open_keys] < 0)]
            window = np.arange(min(2 * len(window), MAX_WINDOW))
        return row


def write_segment(path: Path, width: int, room: int, blocks: Iterable[Rows]) -> None:
    """Write a segment, whole or not at all.

    Args:
        path: of the file.
        width: numbers in a vector.
        room: at least as many as the rows.
        blocks: the rows, in the order of their keys.
    """
    bits, keys_at, vectors_at = _lay_out(room)
    sizes, rows = np.zeros((1 << bits) + 1, np.int64), 0
    with open_atomically(path) as file:
        for keys, vectors in blocks:
            _write_at(file, keys_at + KEY_BYTES * rows, np.column_stack([keys, _checksums(keys, vectors)]).tobytes())
            _write_at(file, vectors_at + 4 * width * rows, vectors.tobytes())
            np.add.at(sizes, _bucket(keys, bits) + 1, 1)
            rows += len(keys)
        header = make_header(VERSION, width, rows, room)
        _write_at(file, vectors_at + 4 * width * rows, header)
        _write_at(file, 0, header + np.cumsum(sizes).astype("<u4").tobytes())


def merge_rows(segments: Sequence[Segment]) -> Iterator[Rows]:
    """Yield every whole row of some segments, in the order of the keys; of one key, that of the first segment."""
    nothing = np.empty((0, 2), np.uint64), np.empty((0, segments[0].width), np.float32)
    streams = [segment.read() for segment in segments]
    heads = [next(stream, nothing) for stream in streams]
    while blocks := [keys for keys, _ in heads if len(keys)]:
        bound = min(keys[-1, 0] for keys in blocks)  # up to here no segment has more to come
        cuts = [int(np.searchsorted(keys[:, 0], bound, side="right")) for keys, _ in heads]
        keys = np.concatenate([keys[:cut] for (keys, _), cut in zip(heads, cuts, strict=True)])
        vectors = np.concatenate([vectors[:cut] for (_, vectors), cut in zip(heads, cuts, strict=True)])
        order = sort_keys(keys)
        order = order[np.append(True, (keys[order[1:]] != keys[order[:-1]]).any(axis=1))]
        yield keys[order], vectors[order]
        heads = [
            (keys[cut:], vectors[cut:]) if cut < len(keys) else next(stream, nothing)
            for (keys, vectors), cut, stream in zip(heads, cuts, streams, strict=True)
        ]


def sort_keys(keys: Keys) -> NDArray[np.int64]:
    """Return the order of keys; equal ones stay as they are."""
    return np.lexsort((keys[:, 1], keys[:, 0]))


def make_header(version: int, width: int, rows: int, room: int) -> bytes:
    """Return a header with its checksum."""
    header = HEADER.pack(MAGIC, version, width, rows, room)
    return header + zlib.crc32(header).to_bytes(4, "little")


def _read_header(data: mmap.mmap) -> tuple[int, int, int, int]:
    for header in (data[:HEADER_BYTES], data[-HEADER_BYTES:]):
        if len(header) == HEADER_BYTES and zlib.crc32(header[:-4]) == int.from_bytes(header[-4:], "little"):
            magic, version, width, rows, room = HEADER.unpack(header[:-4])
            if magic == MAGIC:
                return version, width, rows, room
    raise ValueError("no header")


def _lay_out(room: int) -> tuple[int, int, int]:
    """Return how many bits of a key name its bucket, and where keys and vectors begin."""
    bits = max(1, (room // 8).bit_length())
    keys_at = _round_up(HEADER_BYTES + 4 * ((1 << bits) + 1))
    return bits, keys_at, _round_up(keys_at + KEY_BYTES * room)


def _round_up(place: int) -> int:
    return -(-place // 64) * 64


def _bucket(keys: Keys, bits: int) -> NDArray[np.int64]:
    return (keys[:, 0] >> np.uint64(64 - bits)).astype(np.int64)


def _checksums(keys: Keys, vectors: Vectors) -> NDArray[np.uint64]:
    """Return the CRC-32 of each key with its vector: a row that moved, or lost a bit, has another."""
    sums = (zlib.crc32(vector, zlib.crc32(key)) for key, vector in zip(keys, vectors, strict=True))
    return np.fromiter(sums, np.uint64, len(keys))


def _write_at(file: BinaryIO, place: int, content: bytes) -> None:
    file.seek(place)
    file.write(content)
