"""Memo of the hashes of files: a file that has not moved is not read again; and files watched while they are used."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISLNK
from typing import Any, BinaryIO

from pydantic import TypeAdapter

from touchstone.files.writing import write_atomically

CHUNK = 1 << 20
FORMAT = 1
# Within one tick of a file system's clock a second change is not seen, in nanoseconds.
TICK = 100_000_000
# Size, modification time, change time and inode of a file. The change time cannot be set by hand, so a file that is
# rewritten in place under its old modification time, or changed and put back, is seen.
Status = tuple[int, int, int, int]
# The same, and the hash that it had then.
Seen = tuple[int, int, int, int, str]
_SEEN = TypeAdapter(dict[str, Seen])


class Watch:
    """The files that were hashed since it began, each as it was when it was first hashed, and the way to it.

    Args:
        folders: a folder at or below one of these that was changed or moved, also one that came back, is seen too.
    """

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._files: dict[Path, tuple[Status | None, object]] = {}

    def note(self, path: Path, status: Status) -> None:
        """Add a file; what is known of it stays."""
        if path not in self._files:
            self._files[path] = status, self._way_to(path)

    def moved(self) -> Path | None:
        """Return a file that is not what it was, None where all are.

        One that holds the same bytes again has moved too: nobody knows what was read meanwhile.
        """
        return next((path for path, known in self._files.items() if (_status(path), self._way_to(path)) != known), None)

    def _way_to(self, path: Path) -> object:
        """Return what tells whether a path leads elsewhere, or did: its folders, and its links, which are files too."""
        way: list[object] = [os.path.realpath(path)]
        for step in (path, *path.parents):
            with suppress(OSError):
                own, within = step.lstat(), any(step.is_relative_to(folder) for folder in self._folders)
                link = S_ISLNK(own.st_mode)
                way.append((own.st_ino, own.st_ctime_ns if link or (within and step != path) else None))
                if link and step != path and within:
                    led = step.stat()
                    way.append((led.st_ino, led.st_ctime_ns))
        return way


class Hashes:
    """The sha256 of files, remembered for as long as their size, times and inode stay the same.

    Args:
        file: the memo; what cannot be read of it is computed again.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, Seen] | None = None
        self._gathering = False
        self._watches: list[Watch] = []

    @contextmanager
    def watching(self, *folders: Path) -> Iterator[Watch]:
        """Watch all files that are hashed meanwhile; they can be looked at for as long as the watch is kept."""
        watch = Watch(*folders)
        self._watches.append(watch)
        try:
            yield watch
        finally:
            self._watches.remove(watch)

    def of(self, path: Path) -> str:
        """Return the sha256 of a file."""
        seen = _at_rest(path)
        for watch in self._watches:
            watch.note(path, seen)
        memo, name = self._load(), os.path.realpath(path)
        known = memo.get(name)
        if known is not None and known[:4] == seen:
            return known[4]
        # Status and content are those of one open file, whatever the path leads to by now.
        with path.open("rb") as file:
            opened, digest = _status(file.fileno()), _read(file)
            if opened is not None and _status(file.fileno()) == opened:
                memo[name] = (*opened, digest)
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
            write_atomically(self._file, json.dumps({"format": FORMAT, "files": self._load()}, sort_keys=True))

    def _load(self) -> dict[str, Seen]:
        if self._known is None:
            try:
                said: Any = json.loads(self._file.read_bytes())
                self._known = _SEEN.validate_python(said["files"] if said["format"] == FORMAT else {})
            except (OSError, ValueError, KeyError, TypeError):
                self._known = {}
        return self._known


def _status(file: Path | int) -> Status | None:
    """Return how a file is, by its path or open, None where there is none; of a link, what it leads to."""
    try:
        found = os.stat(file)  # noqa: PTH116  # of an open file too
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _at_rest(path: Path) -> Status:
    """Return how a file is, one tick after its last change: an earlier look could not tell that from another one."""
    age = time.time_ns() - path.stat().st_ctime_ns
    if 0 <= age < TICK:
        time.sleep((TICK - age) / 1e9)
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, read in parts."""
    with path.open("rb") as file:
        return _read(file)


def _read(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
