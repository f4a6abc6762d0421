"""The ``.touchstone/`` folder: file hashes, data caches, vectors, results in mteb's layout, run records."""

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import TypeAdapter

from touchstone.files.writing import to_json, write_atomically
from touchstone.store.vectors import Embeddings

CHUNK = 1 << 20
SPACE, HASHES = "space.json", "hashes.json"
RANKINGS, OUTCOMES, VERDICTS, EXAMPLES = "rankings", "outcomes", "verdicts", "examples"
# A folder with this file is a store; the other keeps what is in it out of git.
MARKER, IGNORE = "store.json", ".gitignore"
# Size, modification time, change time and inode of a file, and the hash it had then.
Seen = tuple[int, int, int, int, str]
_MEMO = TypeAdapter(dict[str, Seen])


class Store:
    """One store folder. Several processes may share it: every file is written whole.

    Args:
        folder: need not exist.
        run: names this run in all that no other may read again, such as the vectors of an API, whose model may be
            another one tomorrow; the processes of one run say the same. None for a run of its own.
        reuse_api: let other runs read that too.
        overwrite: give nothing away of what was kept before this process: all is measured anew.
    """

    def __init__(
        self, folder: Path, *, run: str | None = None, reuse_api: bool = False, overwrite: bool = False
    ) -> None:
        self.folder = folder
        self.overwrite = overwrite
        self.run_of_apis = None if reuse_api else run or uuid.uuid4().hex
        self._hashes: dict[str, Seen] | None = None
        self._gathering = False

    @cached_property
    def _made(self) -> Path:
        """The folder, made where it is not there yet, with what says that it is a store."""
        for name, content in ((MARKER, to_json({"touchstone store": 1})), (IGNORE, "*\n")):
            if not (self.folder / name).is_file():
                write_atomically(self.folder / name, content)
        return self.folder

    @property
    def results(self) -> Path:
        """Where `mteb.ResultCache(cache_path=store.folder)` looks for results."""
        return self.folder / "results"

    def data_cache(self, content: str) -> Path:
        """Return the cache folder for data of that content; other content is another folder."""
        return self._made / "data" / content[:16]

    def file_sha256(self, path: Path) -> str:
        """Return the sha256 of a file, remembered for as long as size, times and inode stay the same."""
        status = path.stat()
        # ctime cannot be set by hand, so a file rewritten in place under its old mtime is seen.
        seen = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        memo = self._load_hashes()
        name = str(path.resolve())
        known = memo.get(name)
        if known is not None and known[:4] == seen:
            return known[4]
        digest = _sha256(path)
        memo[name] = (*seen, digest)
        if not self._gathering:
            self._write_hashes()
        return digest

    @contextmanager
    def one_write_of_hashes(self) -> Iterator[None]:
        """Remember the hashes of many files with one write at the end."""
        self._gathering, before = True, dict(self._load_hashes())
        try:
            yield
        finally:
            self._gathering = False
            if self._load_hashes() != before:
                self._write_hashes()

    def files_sha256(self, files: Iterable[tuple[str, Path]]) -> str:
        """Return one hash over files under the names given; names, not places, are part of it."""
        digest = hashlib.sha256()
        with self.one_write_of_hashes():
            for name, path in sorted(files):
                digest.update(f"{name}\0{self.file_sha256(path)}\n".encode())
        return digest.hexdigest()

    def result_path(self, model: str, revision: str, task: str, *, inside: str = "results") -> Path:
        """Name the file of one result in mteb's layout, inside a folder of the store."""
        return self._made / inside / model / revision / f"{task}.json"

    def write_result(self, path: Path, write: Callable[[Path], None], meta: dict[str, Any]) -> None:
        """Keep a result in mteb's layout, with mteb's metadata of the model beside it.

        Args:
            path: from `result_path`.
            write: writes the result to the path it is given.
            meta: mteb's metadata of the model.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        write(beside)
        beside.replace(path)
        write_atomically(path.parent / "model_meta.json", json.dumps(meta, default=str, indent=4))

    def write_samples(self, fingerprint: str, name: str, content: bytes) -> str:
        """Keep the samples of a case; return their file, inside the store.

        The name holds the content's hash: another run of the same model leaves this run's samples alone.
        """
        stem, _, suffix = name.rpartition(".")
        file = f"samples/{fingerprint}/{stem}.{_short_hash(content)}.{suffix}"
        write_atomically(self._made / file, content)
        return file

    def read_samples(self, file: str) -> bytes | None:
        """Return the bytes that `write_samples` kept; None where they are gone or are others."""
        path = self.folder / file
        content = path.read_bytes() if path.is_file() else b""
        return content if f".{_short_hash(content)}." in path.name else None

    def write_rankings(self, key: Mapping[str, Any], write: Callable[[BinaryIO], object]) -> None:
        """Keep what a model's searches found; what was kept under the same key goes.

        Args:
            key: all that decides what is found, the model's ``fingerprint`` among it.
            write: writes the rankings to the file it is given; the file's name will hold the hash of its content.
        """
        stem = self._stem(RANKINGS, key)
        stem.parent.mkdir(parents=True, exist_ok=True)
        beside = stem.with_name(f".{stem.name}.{os.getpid()}")
        try:
            with beside.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            name = f"{stem.name}.{_sha256(beside)[:12]}.parquet"
            beside.replace(stem.with_name(name))
        finally:
            beside.unlink(missing_ok=True)
        for path in stem.parent.glob(f"{stem.name}.*.parquet"):
            if path.name != name:
                path.unlink(missing_ok=True)

    def read_rankings(self, key: Mapping[str, Any]) -> bytes | None:
        """Return what `write_rankings` kept under a key; None where there is nothing, or it is damaged."""
        stem = self._stem(RANKINGS, key)
        for path in [] if self.overwrite else sorted(stem.parent.glob(f"{stem.name}.*.parquet")):
            content = path.read_bytes()
            if f".{_short_hash(content)}." in path.name:
                os.utime(path)  # what nobody has read for long can be pruned
                return content
        return None

    def keep(self, kind: str, key: Mapping[str, Any], content: Mapping[str, Any]) -> None:
        """Keep what was worked out under a key; what was kept there before goes.

        Args:
            kind: names the folder: `OUTCOMES` or `VERDICTS`.
            key: all that decides what comes out, the model's ``fingerprint`` among it; it is kept for people to read.
            content: what came out, as plain data; the file's name holds the hash of all.
        """
        stem, data = self._stem(kind, key), to_json({"key": dict(key), "content": dict(content)}).encode()
        name = f"{stem.name}.{_short_hash(data)}.json"
        write_atomically(stem.with_name(name), data)
        for path in stem.parent.glob(f"{stem.name}.*.json"):
            if path.name != name:
                path.unlink(missing_ok=True)

    def kept(self, kind: str, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what `keep` was given under a key; None where there is nothing, or it is damaged."""
        stem = self._stem(kind, key)
        for path in [] if self.overwrite else sorted(stem.parent.glob(f"{stem.name}.*.json")):
            data = path.read_bytes()
            if f".{_short_hash(data)}." in path.name:
                os.utime(path)  # what nobody has read for long can be pruned
                content: dict[str, Any] = json.loads(data)["content"]
                return content
        return None

    def _stem(self, kind: str, key: Mapping[str, Any]) -> Path:
        digest = hashlib.sha256(to_json(dict(key)).encode()).hexdigest()[:16]
        return self.folder / kind / str(key["fingerprint"]) / digest

    def embeddings(self, space: Mapping[str, str]) -> Embeddings:
        """Open the vectors of one space: of one model, in one precision, by one set of libraries.

        Args:
            space: all that decides a text's vector, and names for people; beside the vectors it says what they are.
        """
        text = to_json(dict(space))
        folder = self._made / "embeddings" / hashlib.sha256(text.encode()).hexdigest()[:16]
        if not (folder / SPACE).is_file():
            write_atomically(folder / SPACE, text)
        os.utime(folder / SPACE)  # what nobody has opened for long can be pruned
        return Embeddings(folder, anew=self.overwrite)

    def write_run(self, name: str, run: dict[str, Any]) -> Path:
        """Keep a run record; every run is kept."""
        path = self._made / "runs" / f"{name}.json"
        write_atomically(path, to_json(run))
        return path

    def _write_hashes(self) -> None:
        # Another process's entries may be lost here; they are hashed again, never wrong.
        write_atomically(self._made / HASHES, json.dumps(self._load_hashes(), sort_keys=True))

    def _load_hashes(self) -> dict[str, Seen]:
        if self._hashes is None:
            try:
                self._hashes = _MEMO.validate_json((self.folder / HASHES).read_bytes())
            except (OSError, ValueError):
                self._hashes = {}  # a memo: what cannot be read is computed again
        return self._hashes


def _short_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
