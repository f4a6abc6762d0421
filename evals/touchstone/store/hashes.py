"""Memo of the hashes of files: a file that has not moved is not read again; and files watched while they are used."""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

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
    """The files that were hashed since it began, each as it was when it was first hashed."""

    def __init__(self) -> None:
        self._files: dict[Path, Status] = {}

    def note(self, path: Path, status: Status) -> None:
        """Add a file; what is known of it stays."""
        self._files.setdefault(path, status)

    def moved(self) -> Path | None:
        """Return a file that is not what it was, None where all are.

        One that holds the same bytes again has moved too: nobody knows what was read meanwhile.
        """
        return next((path for path, status in self._files.items() if _status(path) != status), None)


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
        seen = _at_rest(path)
        for watch in self._watches:
            watch.note(path, seen)
        memo = self._load()
        name = str(path.resolve())
        known = memo.get(name)
        if known is not None and known[:4] == seen:
            return known[4]
        digest = sha256_of(path)
        memo[name] = (*seen, digest)
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


def _status(path: Path) -> Status | None:
    """Return how a file is, None where there is none; of a link, what it leads to."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _at_rest(path: Path) -> Status:
    """Return how a file is, one tick after its last change: an earlier look could not tell that from another one."""
    found = path.stat()
    age = time.time_ns() - found.st_ctime_ns
    if 0 <= age < TICK:
        time.sleep((TICK - age) / 1e9)
        found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, read in parts."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
