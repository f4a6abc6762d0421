"""Memo of the hashes of files: a file that has not moved is not read again."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from touchstone.files.writing import write_atomically

CHUNK = 1 << 20
FORMAT = 1
# Size, modification time, change time and inode of a file, and the hash it had then.
Seen = tuple[int, int, int, int, str]
_SEEN = TypeAdapter(dict[str, Seen])


class Hashes:
    """The sha256 of files, remembered for as long as their size, times and inode stay the same.

    Args:
        file: the memo; what cannot be read of it is computed again.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, Seen] | None = None
        self._gathering = False

    def of(self, path: Path) -> str:
        """Return the sha256 of a file."""
        status = path.stat()
        # ctime cannot be set by hand, so a file rewritten in place under its old mtime is seen.
        seen = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
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


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, read in parts."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
