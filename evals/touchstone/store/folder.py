"""The ``.touchstone/`` folder: file hashes, data caches, vectors, results in mteb's layout, run records."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import uuid
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from touchstone.encoding.base import Vectors
from touchstone.errors import ConfigError, first_line
from touchstone.files.inside import join_inside
from touchstone.files.json import read_json
from touchstone.files.locking import locked
from touchstone.files.writing import move_aside, to_json, write_atomically, write_first
from touchstone.records.names import SAMPLES as SAMPLES_FILE
from touchstone.store.asking import Asking
from touchstone.store.blobs import open_blob, read_blob, write_blob
from touchstone.store.hashes import Hashes, Watch
from touchstone.store.vectors import Embeddings

# A data cache with this file is complete.
CACHE_MARKER = ".whole"
MEMOS, AGREEMENTS = "remembered", "agreed"
SPACE, CANARIES, MODELS, HASHES = "space.json", "canaries.npy", "models", "hashes.blob"
RANKINGS, OUTCOMES, VERDICTS, EXAMPLES, SAMPLES = "rankings", "outcomes", "verdicts", "examples", "samples"
# A folder with this file is a store; the other keeps what is in it out of git.
MARKER, IGNORE_FILE = "store.json", ".gitignore"
FORMAT = 1


class Store:
    """One store folder. Several processes may share it: every file is written whole.

    Nothing is lost where it cannot be written: what is there is read, what is new is kept for this run alone, and
    ``trouble`` says so. ``messages`` are other sentences for the end of the run. ``written_files`` are those that this
    process wrote.

    Args:
        folder: need not exist.
        run: names this run in all that no other may read again, such as the vectors of an API, whose model may be
            another one tomorrow; the processes of one run say the same. None for a run of its own.
        reuse_api: let other runs read that too.
        overwrite: ignore everything cached before this process started.
        patience: in seconds, how long a hub that fails for now is asked again.
        mirrors: where models of the hub are looked for first.

    Raises:
        ConfigError: a newer version of this package made the store.
    """

    def __init__(
        self,
        folder: Path,
        *,
        run: str | None = None,
        reuse_api: bool = False,
        overwrite: bool = False,
        patience: float = 0,
        mirrors: Sequence[Path] = (),
    ) -> None:
        self.folder = folder
        self.overwrite = overwrite
        _refuse_newer(folder)
        self.run_of_apis = None if reuse_api else run or uuid.uuid4().hex
        self.mirrors = tuple(mirrors)
        self._run = run
        self.run_id = run or uuid.uuid4().hex
        self.asking = Asking(patience, None if run is None else self.news / str(os.getpid()))
        self._agreed: dict[str, str] = {}
        self._forgotten: set[str] = set()
        self._marks: dict[str, Path] = {}
        self._asked_again: set[str] = set()
        self._in_use: ExitStack | None = None
        self.trouble: str | None = None
        self.messages: tuple[str, ...] = ()
        self.written_files: dict[str, None] = {}

    def make(self) -> None:
        """Make the folder where it is not there yet, and note until this process ends that a run uses it.

        Raises:
            ConfigError: it cannot be made, or read.
        """
        self._root  # noqa: B018
        if self._in_use is None:
            self._in_use = ExitStack()
            self._in_use.enter_context(locked(self.folder / MARKER, shared=True))

    def leave(self) -> None:
        """Release the folder, and remove what was kept for this run alone. For the last process of a run."""
        if self._in_use is not None:
            self._in_use.close()
        shutil.rmtree(self._run_folder, ignore_errors=True)

    @cached_property
    def _run_folder(self) -> Path:
        """The folder of this run's processes where nothing can be written to the store."""
        try:
            folder = tempfile.gettempdir()
        except OSError:  # all disks are full
            folder = os.devnull
        return Path(folder) / f"touchstone-{self._run or uuid.uuid4().hex}"

    @cached_property
    def _root(self) -> Path:
        """The folder, marked as a store; that of this run where the store can only be read."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            empty = not any(self.folder.iterdir())
        except OSError as error:
            reason = f"no store can be made there: {error.strerror}; name another --store"
            raise ConfigError(f"{self.folder}: {reason}") from None
        try:
            if empty:  # among files of somebody else's it would keep these out of git
                write_atomically(self.folder / IGNORE_FILE, "*\n")
            if not is_store(self.folder):
                move_aside(self.folder, Path(MARKER))
                write_atomically(self.folder / MARKER, to_json(make_marker(FORMAT)))
            if not os.access(self.folder, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            self.note_trouble(error)
            with suppress(OSError):
                self._run_folder.mkdir(mode=0o700, exist_ok=True)
            return self._run_folder
        return self.folder

    def note_trouble(self, error: OSError) -> None:
        """Note, once, why something could not be kept."""
        if self.trouble is None:
            reason = error.strerror or first_line(error)
            problem = f"cannot be written ({reason}): later runs know nothing of what this run measured"
            self.trouble = f"{self.folder} {problem}"

    def tell(self, message: str) -> None:
        """Add a message for the end of the run, once."""
        self.messages = tuple(dict.fromkeys((*self.messages, message)))

    @property
    def notes(self) -> tuple[str, ...]:
        """Messages of this process for the end of the run."""
        return (*self.messages, *filter(None, [self.trouble]))

    def _keep(self, path: Path, write: Callable[[Path], object]) -> bool:
        """Write a file of the store, and move aside what is in its way; on failure note that and return False."""
        for is_last in (False, True):
            try:
                write(join_inside(self._root, path))
                self.written_files[path.as_posix()] = None
                return True
            except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
                if is_last:
                    self.note_trouble(error)
                else:
                    move_aside(self._root, path)
            except OSError as error:
                self.note_trouble(error)
                return False
        return False

    def _find(self, path: Path | str) -> Path:
        """Return where a file of the store is: that of this run alone where there is one."""
        return self._run_folder / path if (self._run_folder / path).is_file() else self.folder / path

    @property
    def news(self) -> Path:
        """The folder for the progress of downloads, one file per process of this run."""
        return self.folder / AGREEMENTS / str(self._run) / "news"

    def data_cache(self, content: str, selection: str) -> tuple[Path, Watch]:
        """Return the folder for what is prepared of some data, with a watch of its files.

        It is a complete one, else a new one. One that has changed since it was completed is removed, as are files that
        came into it since.

        Args:
            content: hash of the data.
            selection: names all that is read of it: to a complete folder nothing is added.
        """
        name = f"{content[:16]}-{_short_hash(selection.encode())}"
        for marker in join_inside(self.folder, "data").glob(f"{name}-*/{CACHE_MARKER}"):
            join_inside(self.folder, marker.relative_to(self.folder))
            with self.watching() as watch:
                is_intact = self._is_intact(marker)
            if is_intact:
                return marker.parent, watch
            shutil.rmtree(marker.parent, ignore_errors=True)
        return join_inside(self._root, f"data/{name}-{uuid.uuid4().hex[:8]}"), Watch()

    def keep_data_cache(self, folder: Path) -> None:
        """Mark a folder of `data_cache` as complete, with the hashes of its files, once its data has not changed."""
        with suppress(OSError):  # nothing was prepared, or the mark cannot be written: it is prepared again
            if not (folder / CACHE_MARKER).is_file() and folder.is_dir():
                with self.one_write_of_hashes():
                    hashes = {name: self.file_sha256(path) for name, path in prepared(folder)}
                write_atomically(folder / CACHE_MARKER, to_json(hashes))

    def _is_intact(self, marker: Path) -> bool:
        try:
            hashes = read_json(marker, ConfigError)
            files = dict(prepared(marker.parent))
            for name in files.keys() - hashes.keys():  # kept by the library for itself while a task was evaluated
                files[name].unlink()
            with self.one_write_of_hashes():
                return all(self.file_sha256(files[name]) == hash_ for name, hash_ in hashes.items())
        except (OSError, ValueError, AttributeError, KeyError, ConfigError):
            return False

    @cached_property
    def _memo(self) -> Hashes:
        with suppress(ConfigError):  # looking at files needs no store
            self._root  # noqa: B018
        return Hashes(self.folder / HASHES)

    def file_sha256(self, path: Path) -> str:
        """Return the sha256 of a file, remembered for as long as size, times and inode stay the same."""
        return self._memo.of(path)

    def has_sha256(self, path: Path, sha256: str) -> bool:
        """Return True if a file has that hash; it is read again before that is denied."""
        return self._memo.has(path, sha256)

    def watching(self) -> AbstractContextManager[Watch]:
        """Watch all files that are hashed meanwhile, to see later whether they are still what they were."""
        return self._memo.watching()

    def one_write_of_hashes(self) -> AbstractContextManager[None]:
        """Remember the hashes of many files with one write at the end."""
        return self._memo.one_write()

    def files_sha256(self, files: Iterable[tuple[str, Path]]) -> str:
        """Return one hash over files under the names given; names, not places, are part of it."""
        return self._memo.of_files(files)

    def result_path(self, model: str, revision: str, task: str, *, folder: str = "results") -> Path:
        """Return the file of one result in mteb's layout, inside the store."""
        return Path(folder, model, revision, f"{task}.json")

    def write_result(self, path: Path, make: Callable[[Path, Path], None], meta: dict[str, Any]) -> None:
        """Keep a result in mteb's layout, with mteb's metadata of the model beside it.

        Args:
            path: from `result_path`.
            make: writes the result to the second path that it is given; the first is where an earlier one may be.
            meta: mteb's metadata of the model.
        """

        def write(target: Path) -> None:
            target.parent.mkdir(parents=True, exist_ok=True)
            with locked(target.parent), tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as temporary:
                make(target, Path(temporary, target.name))
                Path(temporary, target.name).replace(target)
                write_atomically(target.parent / "model_meta.json", json.dumps(meta, default=str, indent=4))

        self._keep(path, write)

    def write_samples(self, fingerprint: str, name: str, content: bytes) -> str | None:
        """Keep the samples of a case; return their file, inside the store, or None where there is no room for it.

        The name holds the content's hash: another run of the same model leaves this run's samples alone.
        """
        key = {"kind": SAMPLES, "fingerprint": fingerprint, "name": name, "content": _short_hash(content)}
        file = _samples_file(key)
        if not self._keep(Path(file), lambda path: write_blob(path, key, lambda blob: blob.write(content))):
            try:
                write_blob(self._run_folder / file, key, lambda blob: blob.write(content))
            except OSError:
                return None
        return file

    def read_samples(self, file: str) -> bytes | None:
        """Return the bytes that `write_samples` kept; None where they are gone or are others."""
        blob = open_blob(self._find(file)) if SAMPLES_FILE.fullmatch(file) else None
        return blob[1] if blob is not None and _samples_file(blob[0]) == file else None

    def put(self, kind: str, key: Mapping[str, Any], write: bytes | Callable[[BinaryIO], object]) -> None:
        """Keep what was worked out under a key, in the place of what was kept there before.

        Args:
            kind: names the folder: `OUTCOMES`, `VERDICTS`, `EXAMPLES` or `RANKINGS`.
            key: everything that decides what comes out, the model's ``fingerprint`` among it.
            write: the content, or what writes it to the file it is given.
        """
        content = write
        writer = content if callable(content) else lambda file: file.write(content)
        self._mark(str(key["fingerprint"]))  # again: another process may have forgotten the model meanwhile
        self._keep(Path(place_of({**key, "kind": kind})), lambda path: write_blob(path, {"kind": kind, **key}, writer))

    def get(self, kind: str, key: Mapping[str, Any]) -> bytes | None:
        """Return what `put` kept under a key; None if there is nothing, or it is damaged or of an older format.

        Raises:
            ConfigError: a newer version of this package wrote it.
        """
        if self.overwrite:
            return None
        path = self._find(Path(place_of({**key, "kind": kind})))
        content = read_blob(path, {"kind": kind, **key})
        if content is not None:
            with suppress(OSError):  # reading needs no right to write
                os.utime(path)  # what nobody has read for long can be pruned
        return content

    def remember(self, name: str, compute: Callable[[], str | None]) -> str | None:
        """Return a text that never changes, such as the list of the files of a commit; it is computed once.

        None is not remembered.
        """
        path, key = self._remembered(name)
        stored = read_blob(self._find(path), key)
        if stored is not None:
            with suppress(UnicodeDecodeError):
                return stored.decode()
        text = compute()
        content = (text or "").encode()
        with suppress(OSError):  # where nothing can be written it is computed again
            if text is not None:
                write_blob(join_inside(self._root, path), key, lambda file: file.write(content))
        return text

    def forget(self, name: str) -> None:
        """Forget what `remember` keeps under a name, once per process: not each case need ask again."""
        if name in self._asked_again:
            return
        self._asked_again.add(name)
        with suppress(OSError):
            self._find(self._remembered(name)[0]).unlink()

    def _remembered(self, name: str) -> tuple[Path, dict[str, str]]:
        key = {"kind": MEMOS, "fingerprint": "hub", "name": name}
        return Path(place_of(key)), key

    def agree(self, name: str, compute: Callable[[], str]) -> str:
        """Return a text that all processes of this run have in common: what the first of them to ask computes."""
        if name not in self._agreed:
            self._agreed[name] = compute() if self._run is None else self._agree_on(name, self._run, compute)
        return self._agreed[name]

    def _agree_on(self, name: str, run: str, compute: Callable[[], str]) -> str:
        file = join_inside(self._root, Path(AGREEMENTS, run, hashlib.sha256(name.encode()).hexdigest()[:16]))
        if not file.is_file():
            text = compute()
            try:
                write_first(file, text)
            except OSError:
                return text  # where nothing can be written each process asks for itself
        return file.read_text()

    def embeddings(
        self,
        space: Mapping[str, str],
        *,
        name: str = "",
        fingerprint: str = "",
        canaries: Vectors | None = None,
        within: float = 0.0,
        check: Callable[[], None] = lambda: None,
    ) -> Embeddings:
        """Open the vectors of one space: of one model, in one precision, by one set of libraries.

        A model that gives other vectors for the same few texts has another space, whatever says that it is the same:
        code that was loaded beside it may have changed how it computes.

        Args:
            space: everything that decides a text's vector, as far as it can be said.
            name: what people call the model, for them to read.
            fingerprint: of the model. What was measured with vectors of other canaries, which another computation made,
                is forgotten: outcomes and rankings.
            canaries: the model's vectors of a few texts; None not to compare.
            within: how far they may be apart, relative to the longest of them.
            check: called before vectors are written; what it raises keeps them from being.
        """
        key = hashlib.sha256(to_json(dict(space)).encode()).hexdigest()[:16]
        self._root  # noqa: B018
        folder, number = join_inside(self.folder, Path("embeddings", key)), 0
        with suppress(OSError):
            move_aside(self.folder, Path("embeddings", key, SPACE))
        while canaries is not None and _is_other(folder / CANARIES, canaries, within):
            number += 1
            folder = join_inside(self.folder, Path("embeddings", f"{key}-{number}"))
        if canaries is not None:
            for sibling in {*folder.parent.glob(key), *folder.parent.glob(f"{key}-*")} - {folder}:
                self._forget_models(sibling)
        if fingerprint:
            self._marks[fingerprint] = folder / MODELS / fingerprint
            self._mark(fingerprint)
        with suppress(OSError):  # reading needs no right to write
            if not (folder / SPACE).is_file():
                write_atomically(folder / SPACE, to_json({"model": name, **space}))
            os.utime(folder / SPACE)  # what nobody has opened for long can be pruned
        width = None if canaries is None else canaries.shape[1]
        return Embeddings(folder, width=width, anew=self.overwrite, check=check, lose=self.note_trouble)

    def depend(self, fingerprint: str, on: str) -> None:
        """Note that one model's outcomes hang on the vectors of another: they are forgotten together."""
        with suppress(OSError):
            for model in (self.folder / "embeddings").glob(f"*/{MODELS}/{on}"):
                model.with_name(fingerprint).touch()
        if on in self._marks:
            self._marks[fingerprint] = self._marks[on].with_name(fingerprint)

    def _mark(self, fingerprint: str) -> None:
        """Mark a space as this model's, so that outcomes are forgotten with its vectors."""
        with suppress(OSError):
            if (mark := self._marks.get(fingerprint)) is not None:
                join_inside(self.folder, mark.relative_to(self.folder)).parent.mkdir(parents=True, exist_ok=True)
                mark.touch()

    def _forget_models(self, space: Path) -> None:
        """Forget what was measured with the vectors of a space: another one is computed now."""
        for model in join_inside(self.folder, space.relative_to(self.folder) / MODELS).glob("*"):
            self._forgotten.add(model.name)
            for kind in (OUTCOMES, RANKINGS):
                shutil.rmtree(join_inside(self.folder, Path(kind, model.name)), ignore_errors=True)
            with suppress(OSError):
                if self._run is not None:
                    mark = join_inside(self.folder, Path(AGREEMENTS, self._run, f"forgotten {model.name}"))
                    mark.parent.mkdir(parents=True, exist_ok=True)
                    mark.touch()
                model.unlink(missing_ok=True)  # the last: whoever stops here is followed by one who does it again

    def has_forgotten(self, fingerprint: str) -> bool:
        """Return True if a process of this run has forgotten what was measured of a model."""
        mark = self.folder / AGREEMENTS / self._run / f"forgotten {fingerprint}" if self._run is not None else None
        return fingerprint in self._forgotten or (mark is not None and mark.exists())

    def write_run(self, name: str, run: dict[str, Any]) -> Path:
        """Keep a run record; every run is kept, and one that goes on is written again."""
        file = Path("runs", f"{name}.json")
        self._keep(file, lambda path: write_atomically(path, to_json(run)))
        return self.folder / file


def _begin(file: Path, canaries: Vectors) -> None:
    """Write the canaries of a new space; those of another process that is first stay."""
    content = BytesIO()
    np.save(content, canaries, allow_pickle=False)
    with suppress(OSError):  # where nothing can be written, there are no vectors of others either
        write_first(file, content.getvalue())


def _is_other(file: Path, canaries: Vectors, within: float) -> bool:
    """Return True if a space has other canaries than these, or damaged ones: nobody knows whose vectors it holds.

    A new one gets these.
    """
    if not file.exists():
        _begin(file, canaries)
    if not file.exists():
        return False
    stored = read_canaries(file)
    if stored is None or stored.shape != canaries.shape:
        return True
    scale = float(np.linalg.norm(canaries, axis=1).max()) or 1.0
    with np.errstate(over="ignore"):  # of numbers that no vector has
        return not np.linalg.norm(stored - canaries, axis=1).max() <= within * scale


def read_canaries(file: Path) -> NDArray[np.float64] | None:
    """Return the canaries of a space, all finite; None where they are damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of headers that no numpy of today writes
            canaries = np.load(file, allow_pickle=False)
    except Exception:  # numpy has another for each part of a header
        return None
    is_matrix = isinstance(canaries, np.ndarray) and canaries.ndim == 2 and canaries.dtype.kind == "f"
    return canaries.astype(np.float64) if is_matrix and np.isfinite(canaries).all() else None


def prepared(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a data cache that hold something: locks do not."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".lock" and path.name != CACHE_MARKER:
            yield path.relative_to(folder).as_posix(), path


def place_of(key: Mapping[str, Any]) -> str:
    """Return where in a store the blob of a key lies."""
    if key.get("kind") == SAMPLES:
        return _samples_file(key)
    digest = hashlib.sha256(to_json({k: v for k, v in key.items() if k != "kind"}).encode()).hexdigest()[:16]
    return f"{key.get('kind')}/{key.get('fingerprint')}/{digest}.blob"


def _samples_file(key: Mapping[str, Any]) -> str:
    return f"{key.get('kind')}/{key.get('fingerprint')}/{key.get('name')}.{key.get('content')}.blob"


def _short_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def is_store(folder: Path) -> bool:
    """Return True if a folder has the file that says that it is a store."""
    return _format_of(folder) is not None


def make_marker(version: int) -> dict[str, int]:
    """Return the content of a store's marker; with a checksum, for one wrong bit is not a newer version."""
    return {"touchstone store": version, "crc32": zlib.crc32(b"touchstone store %d" % version)}


def _format_of(folder: Path) -> int | None:
    try:
        marker = read_json(folder / MARKER, ConfigError)
        version = marker["touchstone store"]
        return int(version) if marker in ({"touchstone store": FORMAT}, make_marker(version)) else None
    except (ConfigError, ValueError, KeyError, TypeError):
        return None  # there is none yet, or it is damaged: it is written again


def _refuse_newer(folder: Path) -> None:
    if (_format_of(folder) or 0) > FORMAT:
        raise ConfigError(f"{folder}: a newer touchstone made this store; run that one, or name another --store")
