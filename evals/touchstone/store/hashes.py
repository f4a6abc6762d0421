"""Cache of the hashes of files, keyed by size, times and inode; and files watched while they are used."""

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter

from touchstone.errors import ConfigError
from touchstone.store.blobs import read_blob, write_blob

CHUNK_BYTES = 1 << 20
# Of the memo, whose checksum covers it: one wrong digit in a hash would blame a file.
KEY = {"kind": "hashes"}
# Within one tick of a file system's clock a second change is not seen, in nanoseconds.
TICK = 100_000_000
# How long to wait for a file that is being written; one that is still written then is seen to change.
MAX_TICKS = 100
# Size, modification time, change time and inode of a file. The change time cannot be set by hand, so a file that is
# rewritten in place under its old modification time, or changed and put back, is seen.
Status = tuple[int, int, int, int]
# The same, and the hash that it had then.
HashedStatus = tuple[int, int, int, int, str]
_MEMO = TypeAdapter(dict[str, HashedStatus])
# The links and folders that a file's path leads through, each as it is itself.
Way = Mapping[Path, os.stat_result]


class Watch:
    """The files that were hashed since it began, each as it was when it was first hashed, and the way to each."""

    def __init__(self) -> None:
        self._files: dict[Path, Status] = {}
        self._way: dict[Path, os.stat_result] = {}

    def note(self, path: Path, status: Status, way: Way) -> None:
        """Add a file; what is known of it stays."""
        self._files.setdefault(path, status)
        self._way = {**way, **self._way}

    def moved(self, *, beside: bool = False) -> Path | None:
        """Return a file that is not what it was, or what leads to one and does not as it did; None where nothing is.

        One that holds the same bytes again has moved too: nobody knows what was read meanwhile.

        Args:
            beside: that a file came or went beside them counts too, as while they are loaded: it may have been read.
        """
        full = {path.parent.resolve() for path in self._files} if beside else set()
        way = (path for path, before in self._way.items() if not _leads_on(path, before, full=path in full))
        return next(way, None) or next((path for path, before in self._files.items() if _status(path) != before), None)


class Hashes:
    """The sha256 of files, remembered for as long as their size, times and inode stay the same.

    Args:
        file: the memo; what cannot be read of it is computed again.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._memo: dict[str, HashedStatus] | None = None
        self._gathering = False
        self._watches: list[Watch] = []

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        """Watch all files that are hashed meanwhile; they can be looked at for as long as the watch is kept."""
        watch = Watch()
        self._watches.append(watch)
        try:
            yield watch
        finally:
            self._watches.remove(watch)

    def of(self, path: Path) -> str:
        """Return the sha256 of a file."""
        return self._of(path)

    def has(self, path: Path, sha256: str) -> bool:
        """Return True if a file has that hash; it is read again before that is denied."""
        return self._of(path) == sha256 or self._of(path, anew=True) == sha256

    def _of(self, path: Path, *, anew: bool = False) -> str:
        way, status = _at_rest(path)
        for watch in self._watches:
            watch.note(path, status, way)
        memo, name = self._load(), os.path.realpath(path)
        entry = memo.get(name)
        if entry is not None and entry[:4] == status and not anew:
            return entry[4]
        with path.open("rb") as file:
            before, digest = _status(file.fileno()), _hash_file(file)
            # Of what else came to lie there nothing is remembered; whoever watches is told so.
            if before == _status(file.fileno()) == status:
                memo[name] = (*status, digest)
        if not self._gathering:
            self._write()
        return digest

    @contextmanager
    def one_write(self) -> Iterator[None]:
        """Remember the hashes of many files with one write at the end."""
        self._gathering, before = True, dict(self._load())
        try:
            yield
        finally:
            self._gathering = False
            if self._load() != before:
                self._write()

    def of_files(self, files: Iterable[tuple[str, Path]]) -> str:
        """Return one hash over files under the names given; names, not places, are part of it."""
        digest = hashlib.sha256()
        with self.one_write():
            for name, path in sorted(files):
                digest.update(f"{name}\0{self.of(path)}\n".encode())
        return digest.hexdigest()

    def _write(self) -> None:
        # Another process's entries may be lost here, and all where nothing can be written: they are hashed again.
        with suppress(OSError):
            write_blob(self._file, KEY, lambda file: file.write(json.dumps(self._load(), sort_keys=True).encode()))

    def _load(self) -> dict[str, HashedStatus]:
        if self._memo is None:
            try:
                self._memo = _MEMO.validate_json(read_blob(self._file, KEY) or b"{}")
            except (ConfigError, ValueError):  # of another version
                self._memo = {}
        return self._memo


def _status(file: Path | int) -> Status | None:
    """Return how a file is, by its path or open, None where there is none; of a link, what it leads to."""
    try:
        status = os.stat(file)  # noqa: PTH116  # of an open file too
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _at_rest(path: Path) -> tuple[Way, Status]:
    """Return how the way to a file and the file are, one tick after the last change of either.

    An earlier look could not tell that change from another one.
    """
    for _ in range(MAX_TICKS):
        way, status = _way_to(path), path.stat()
        folder = path.parent.resolve()
        changed = [link.st_ctime_ns for place, link in way.items() if place == folder or not stat.S_ISDIR(link.st_mode)]
        age = time.time_ns() - max(status.st_ctime_ns, *changed)
        if not 0 <= age < TICK:
            break
        time.sleep((TICK - age) / 1e9)
    return way, (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _way_to(path: Path) -> dict[Path, os.stat_result]:
    """Return every link and folder that a path leads through, as they are themselves, and the folder it ends in."""
    folder = path.parent.resolve()
    way: dict[Path, os.stat_result] = {}
    waiting = [path.absolute()]
    while waiting:
        path = waiting.pop()
        for place in (path, *path.parents):
            if place in way:
                break
            status = place.lstat()
            if stat.S_ISLNK(status.st_mode):
                waiting.append(place.parent / place.readlink())
            if place != path or not stat.S_ISREG(status.st_mode):
                way[place] = status
    return {**way, folder: folder.lstat()}


def _leads_on(path: Path, before: os.stat_result, *, full: bool) -> bool:
    """Return True if a link or a folder is where and what it was; with ``full``, a folder with what was in it.

    Where something comes into a folder or goes, both of its times become that one; where it is renamed, one of them.
    """
    try:
        after = path.lstat()
    except OSError:
        return False
    if not os.path.samestat(after, before) or stat.S_IFMT(after.st_mode) != stat.S_IFMT(before.st_mode):
        return False
    filled = stat.S_ISDIR(after.st_mode) and not full and after.st_ctime_ns == after.st_mtime_ns
    return filled or after.st_ctime_ns == before.st_ctime_ns


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, read in parts."""
    with path.open("rb") as file:
        return _hash_file(file)


def _hash_file(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
