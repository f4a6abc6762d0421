"""Vectors by content: what one call encoded, every later one reads, in this process, another worker or another run.

A folder holds segments, each two files of numpy's own format, written whole and never changed: ``NAME.keys.npy``,
shape (n, 3) of 64-bit numbers (the 128 bits of a key, a checksum), and ``NAME.vectors.npy``, shape (n, dimensions),
float32. A segment counts once its keys are there, which are written last; so several processes may write at once.
"""

import io
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from touchstone.encoding.keys import Keys
from touchstone.files.writing import write_atomically

Vectors = NDArray[np.float32]
KEYS, VECTORS = ".keys.npy", ".vectors.npy"
# So much is kept in memory before a segment is written: what a killed process may lose.
PENDING_BYTES = 8 << 20


@dataclass(slots=True)
class _Segment:
    """Some vectors with their keys; ``name`` is None while they are only in memory."""

    keys: Keys
    vectors: Vectors
    name: str | None = None


class Embeddings:
    """The vectors of one model.

    A damaged segment is deleted and its vectors are unknown again: every vector is checked each time it is read.

    Args:
        folder: where the segments are; need not exist.
        anew: know only what is put here, nothing that lies in the folder; both are known to the next.
    """

    def __init__(self, folder: Path, *, anew: bool = False) -> None:
        self.folder = folder
        self._anew = anew
        self._segments: list[_Segment] = []
        self._known: set[str] = set()
        self._listed: int | None = None
        self._index: tuple[Keys, NDArray[np.int64]] | None = None
        self._pending: list[_Segment] = []

    def get(self, keys: Keys) -> tuple[NDArray[np.bool_], Vectors]:
        """Look keys up.

        Args:
            keys: from `make_keys`, shape (n, 2).

        Returns:
            Which are known, shape (n,), and the vectors of those, in order, shape (known, dimensions).
        """
        self._load_new()
        while True:
            owner, row = self._find(keys)
            known = owner >= 0
            vectors, damaged = self._read(keys[known], owner[known], row[known])
            if not damaged:
                return known, vectors
            for segment in damaged:
                self._drop(segment)

    def put(self, keys: Keys, vectors: Vectors) -> None:
        """Keep vectors, shape (n, dimensions); they are on disk after `flush`, or earlier."""
        if not len(keys):
            return
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        sums = np.array([_checksum(key, vector) for key, vector in zip(keys, vectors, strict=True)], dtype=np.uint64)
        segment = _Segment(keys=np.column_stack([keys, sums]), vectors=vectors)
        self._add(segment)
        self._pending.append(segment)
        if sum(one.vectors.nbytes for one in self._pending) >= PENDING_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is only in memory."""
        if not self._pending:
            return
        keys = np.concatenate([one.keys for one in self._pending])
        vectors = np.concatenate([one.vectors for one in self._pending])
        name = uuid.uuid4().hex
        write_atomically(self.folder / f"{name}{VECTORS}", _npy(vectors))
        write_atomically(self.folder / f"{name}{KEYS}", _npy(keys))
        self._known.add(name)
        pending, self._pending = self._pending, []
        self._segments = [one for one in self._segments if not any(one is old for old in pending)]
        # Read back through the file system's cache: a run would otherwise hold all it ever encoded.
        mapped = np.load(self.folder / f"{name}{VECTORS}", mmap_mode="r")
        self._add(_Segment(keys=keys, vectors=mapped, name=name))

    def merge(self, many: int) -> None:
        """Make one segment of all, where there are more than so many; damaged vectors are left out."""
        self._load_new()
        names = [segment.name for segment in self._segments if segment.name is not None]
        if len(names) <= many:
            return
        keys = np.unique(np.concatenate([segment.keys[:, :2] for segment in self._segments]), axis=0)
        known, vectors = self.get(keys)
        self.put(keys[known], vectors)
        self.flush()  # before the old ones go: whoever stops here leaves every vector twice, not none
        for name in names:
            self._delete(name)
        self._segments = [segment for segment in self._segments if segment.name not in names]
        self._index = None

    def __len__(self) -> int:
        """Return how many vectors there are; one that two processes wrote counts twice."""
        self._load_new()
        return sum(len(segment.keys) for segment in self._segments)

    def _last_change(self) -> int:
        """Return when a file was last added to the folder; within one tick of the clock a second one is not seen."""
        try:
            return self.folder.stat().st_mtime_ns
        except OSError:
            return 0

    def _load_new(self) -> None:
        """Take in segments that other processes have written since."""
        if self._anew or (listed := self._last_change()) == self._listed:
            return
        self._listed = listed
        for path in sorted(self.folder.glob(f"*{KEYS}")):
            name = path.name.removesuffix(KEYS)
            if name in self._known:
                continue
            self._known.add(name)
            try:
                keys = np.load(path)
                vectors = np.load(self.folder / f"{name}{VECTORS}", mmap_mode="r")
            except Exception:  # a damaged header is read as Python, and fails in every way that Python can
                self._delete(name)
                continue
            if _fit(keys, vectors) and all(one.vectors.shape[1] == vectors.shape[1] for one in self._segments):
                self._add(_Segment(keys=keys, vectors=vectors, name=name))
            else:
                self._delete(name)

    def _add(self, segment: _Segment) -> None:
        self._segments.append(segment)
        self._index = None

    def _drop(self, segment: _Segment) -> None:
        self._segments = [one for one in self._segments if one is not segment]
        self._pending = [one for one in self._pending if one is not segment]
        self._index = None
        if segment.name is not None:
            self._delete(segment.name)

    def _delete(self, name: str) -> None:
        for suffix in (KEYS, VECTORS):
            (self.folder / f"{name}{suffix}").unlink(missing_ok=True)

    def _find(self, keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the segment and row of each key; -1 where it is in none."""
        if self._index is None:
            self._index = self._make_index()
        first, place = self._index
        if not len(first):
            return np.full(len(keys), -1), np.full(len(keys), -1)
        at = np.minimum(np.searchsorted(first, keys[:, 0]), len(first) - 1)
        owner, row = place[at].T
        return np.where(first[at] == keys[:, 0], owner, -1), row

    def _make_index(self) -> tuple[Keys, NDArray[np.int64]]:
        """Sort the first halves of all keys; 64 bits tell a thousand million texts apart, and the rest is checked."""
        first = np.concatenate([one.keys[:, 0] for one in self._segments] or [np.empty(0, np.uint64)])
        sizes = [len(one.keys) for one in self._segments]
        owner = np.repeat(np.arange(len(sizes)), sizes)
        row = np.concatenate([np.arange(size) for size in sizes] or [np.empty(0, np.int64)])
        order = np.argsort(first, kind="stable")
        return first[order], np.column_stack([owner, row])[order].astype(np.int64)

    def _read(self, keys: Keys, owner: NDArray[np.int64], row: NDArray[np.int64]) -> tuple[Vectors, list[_Segment]]:
        """Read rows, and check each; return the segments that hold a wrong one."""
        if not len(keys):
            return np.empty((0, 0), np.float32), []
        found = np.empty((len(keys), self._segments[0].vectors.shape[1]), np.float32)
        damaged = []
        for number in np.unique(owner).tolist():
            segment = self._segments[number]
            places = np.flatnonzero(owner == number)
            rows = row[places]
            found[places] = segment.vectors[rows]
            sums = segment.keys[rows, 2].tolist()
            parts = zip(keys[places], found[places], sums, strict=True)
            if any(_checksum(key, vector) != expected for key, vector, expected in parts):
                damaged.append(segment)
        return found, damaged


def _checksum(key: Any, vector: Any) -> int:
    """Return the CRC-32 of a key with its vector: a row that moved, or lost a bit, has another."""
    return zlib.crc32(vector, zlib.crc32(key))


def _fit(keys: Keys, vectors: Vectors) -> bool:
    """Say whether two files can belong together."""
    shapes = keys.ndim == vectors.ndim == 2 and keys.shape == (len(vectors), 3)
    return bool(shapes and keys.dtype == np.uint64 and vectors.dtype == np.float32)


def _npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
