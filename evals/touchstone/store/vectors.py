"""Vectors by content: what one call encoded, every later one reads, in this process, another worker or another run.

A folder holds segments, files that are written whole and never changed (see `segments`), so several processes may write
at once. A file's name begins with a number above all that were there before, so the newest vector of a key is known.
Whoever writes merges segments of about one size, so that there are few: three of each fourfold size, and for a moment
what others write beside a merge. A segment that goes while another process reads it stays there for that process.
"""

import math
import re
import shutil
import tempfile
import time
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from touchstone.encoding.base import Vectors
from touchstone.encoding.keys import Keys
from touchstone.errors import ConfigError
from touchstone.files.locking import locked
from touchstone.store.segments import BLOCK_BYTES, Rows, Segment, merge_rows, sort_keys, write_segment

SUFFIX = ".vectors"
# The first format: two files of numpy's.
OLD_FORMAT_NAME = re.compile(r"[0-9a-f]{32}\.(keys|vectors)\.npy")
NUMBER = re.compile(r"\d{10}")
# So much is kept in memory before a segment is written: what a killed process may lose.
PENDING_BYTES = 8 << 20
# So many segments of one size become one, which is of the next size.
FANOUT = 4
# So many keys are looked up together.
CHUNK_KEYS = 1 << 14
CHUNK_BYTES = 32 << 20
# Within one tick of a file system's clock a second change is not seen, in nanoseconds.
TICK = 100_000_000
# A writer that was killed leaves a hidden file; an hour is longer than any takes to write.
LEFTOVER_AGE_S = 3600


class Embeddings:
    """The vectors of one model.

    Every vector is checked each time it is read; one that is damaged is unknown again.

    Args:
        folder: where the segments are; need not exist, and nothing is written to it but by `flush` and `merge`.
        width: numbers in a vector; None for as many as the newest vectors there have, else the first that are put.
        anew: read only what is put here, nothing that lies in the folder; the next reader finds both.
        check: called before anything is written; what it raises is raised, and what was not written is lost.
        lose: called with the error by which vectors are lost; None to raise it.

    Raises:
        ConfigError: a newer version has written to the folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        width: int | None = None,
        anew: bool = False,
        check: Callable[[], None] = lambda: None,
        lose: Callable[[OSError], None] | None = None,
    ) -> None:
        self.folder = folder
        self._width = width
        self._anew = anew
        self._check = check
        self._lose = lose
        self._segments: dict[str, Segment | None] = {}
        self._changed: int | None = None
        self._pending: dict[bytes, Vectors] = {}
        self._load_new()

    def get(self, keys: Keys) -> tuple[NDArray[np.bool_], Vectors]:
        """Look keys up.

        Args:
            keys: from `make_keys`, shape (n, 2).

        Returns:
            Which are known, shape (n,), and the vectors of those, in order, shape (known, dimensions).
        """
        self._load_new()
        width = self._width or 0
        known = np.zeros(len(keys), np.bool_)
        vectors = np.empty((len(keys), width), np.float32)  # what is never filled takes no memory
        filled, step = 0, min(CHUNK_KEYS, CHUNK_BYTES // (4 * width or 1) + 1)
        for at in range(0, len(keys), step):
            known[at : at + step], rows = self._look_up(np.ascontiguousarray(keys[at : at + step]), width)
            vectors[filled : filled + len(rows)] = rows
            filled += len(rows)
        return known, vectors[:filled]

    def put(self, keys: Keys, vectors: Vectors) -> None:
        """Keep vectors, shape (n, dimensions); they are on disk after `flush`, or earlier.

        Raises:
            ConfigError: those that are there have other dimensions.
        """
        if not len(keys):
            return
        width = vectors.shape[1]
        if self._width not in (None, width):
            raise ConfigError(f"{self.folder}: has vectors of {self._width} numbers, not {width}; take another --store")
        self._width = width
        copies = np.array(vectors, np.float32)  # a copy: what the caller does to its vectors is not kept
        self._pending.update(zip(_split(keys), copies, strict=True))
        if len(self._pending) * 4 * width >= PENDING_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is only in memory."""
        if not self._pending or self._width is None:
            return
        pending, self._pending = self._pending, {}
        self._check()
        self._pending = pending
        newest = max((_number(name) for name in self._names()), default=0)
        try:
            self._write(newest + 1, len(self._pending), self._sorted_pending())
        except OSError as error:  # such as a full disk
            if self._lose is None:
                raise
            self._lose(error)
        self._pending = {}
        with suppress(OSError):  # all is written, though not merged
            self._merge_alike()

    def merge(self, max_segments: int) -> None:
        """Make one segment of all, where there are more than so many; remove what nobody can read."""
        if not self.folder.is_dir():
            return
        with locked(self.folder, wait=False) as is_free:
            if not is_free:
                return
            self._load_new()
            if len(self._readable()) > max_segments:
                self._replace(self._readable())
            self._remove_unreadable()

    def rewrite(self, name: str) -> None:
        """Write a segment anew, without its damaged rows."""
        self._load_new()
        segment = self._segments.get(name)
        if segment is not None:
            self._width = segment.width
            self._replace([segment])

    def __len__(self) -> int:
        """Return how many vectors there are; one that was written twice counts twice until segments are merged."""
        self._load_new()
        return sum(segment.rows for segment in self._readable()) + len(self._pending)

    def _look_up(self, keys: Keys, width: int) -> tuple[NDArray[np.bool_], Vectors]:
        """Look a few keys up, in the newest segment first."""
        known, rows = np.zeros(len(keys), np.bool_), np.empty((len(keys), width), np.float32)
        if self._pending:
            for place, key in enumerate(_split(keys)):
                if (vector := self._pending.get(key)) is not None:
                    known[place], rows[place] = True, vector
        for segment in self._readable():
            missing = np.flatnonzero(~known)
            if not len(missing):
                break
            places, vectors = segment.get(keys[missing])
            known[missing[places]], rows[missing[places]] = True, vectors
        return known, rows[known]

    def _readable(self) -> list[Segment]:
        """Return the segments of this space, the newest first."""
        segments = [self._segments[name] for name in sorted(self._segments, reverse=True)]
        return [segment for segment in segments if segment is not None and segment.width == self._width]

    def _names(self) -> set[str]:
        try:
            return {path.name for path in self.folder.iterdir() if path.suffix == SUFFIX and path.name[0] != "."}
        except OSError:  # it is not there yet, or is no folder, which writing will say
            return set()

    def _load_new(self) -> None:
        """Load segments that other processes have written since."""
        if self._anew or (changed := _last_change(self.folder)) == self._changed:
            return
        settled = time.time_ns() - changed > TICK
        seen, names = None, self._names()
        while names != seen:  # merging adds a file before it removes some: one look in between may see none of them
            self._segments = {name: self._segments.get(name) or _open(self.folder / name) for name in names}
            seen, names = names, self._names()
        if self._width is None:
            newest = (self._segments[name] for name in sorted(self._segments, reverse=True))
            self._width = next((segment.width for segment in newest if segment is not None), None)
        self._changed = changed if settled else None

    def _sorted_pending(self) -> Iterator[Rows]:
        keys = np.frombuffer(b"".join(self._pending), np.uint64).reshape(-1, 2)
        vectors, order = list(self._pending.values()), sort_keys(keys)
        step = max(1, BLOCK_BYTES // vectors[0].nbytes)
        for at in range(0, len(order), step):
            rows = order[at : at + step]
            yield keys[rows], np.stack([vectors[row] for row in rows])

    def _write(self, number: int, room: int, blocks: Iterable[Rows]) -> None:
        path = self.folder / f"{number:010}-{uuid.uuid4().hex[:16]}{SUFFIX}"
        write_segment(path, self._width or 0, room, blocks)
        self._segments[path.name] = _open(path)

    def _merge_alike(self) -> None:
        """Merge the newest segments while there are many of about one size."""
        while _choose(self._readable()):
            with locked(self.folder, wait=False) as is_free:
                self._load_new()
                segments = _choose([segment for segment in self._readable() if segment.path.exists()])
                if not is_free or not segments:
                    return
                self._replace(segments)

    def _replace(self, segments: list[Segment]) -> None:
        """Make one segment of some, which is written before they go: whoever stops here leaves vectors twice."""
        room = sum(segment.rows for segment in segments)
        self._write(_number(segments[0].path.name), room, merge_rows(segments))
        for segment in segments:
            segment.path.unlink(missing_ok=True)
            del self._segments[segment.path.name]

    def _remove_unreadable(self) -> None:
        """Remove segments of older versions and without a whole row, and what killed writers have left."""
        for path in list(self.folder.iterdir()):
            with suppress(OSError):
                is_leftover = path.name.startswith(".") and time.time() - path.stat().st_mtime > LEFTOVER_AGE_S
                is_unreadable = path.name in self._segments and not _is_segment(path)
                if is_leftover or OLD_FORMAT_NAME.fullmatch(path.name) or is_unreadable:
                    path.unlink()


def _open(path: Path) -> Segment | None:
    try:
        return Segment(path)
    except (OSError, ValueError):
        return None


def _is_segment(path: Path) -> bool:
    try:
        return Segment(path).rows > 0
    except ValueError:
        return False


def _choose(segments: list[Segment]) -> list[Segment]:
    """Choose the newest segments, up to where so many are of one size: neighbours only, as the newest vector counts."""
    sizes = [max(0, round(math.log(segment.size / PENDING_BYTES, FANOUT))) for segment in segments]
    for size in sorted(set(sizes)):
        run = next((place for place, larger in enumerate(sizes) if larger > size), len(sizes))
        if sizes[:run].count(size) >= FANOUT:
            return segments[:run]
    return []


def _split(keys: Keys) -> list[bytes]:
    data = keys.tobytes()
    return [data[at : at + 16] for at in range(0, len(data), 16)]


def _number(name: str) -> int:
    match = NUMBER.match(name)
    return int(match[0]) if match else 0


def _last_change(folder: Path) -> int:
    """Return when a file was last added to a folder, or removed."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def forgetful(owner: object) -> Embeddings:
    """Return vectors in a temporary folder, removed with an object: a corpus may not fit the memory."""
    folder = tempfile.mkdtemp(prefix="touchstone-")
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return Embeddings(Path(folder))
