"""ModelScope, a second hub: its data sets fill a mirror, its models a folder of its client's cache.

A repository is what the hub lists: each file with the sha256 that is listed, and none beside them. A revision may be a
branch: the hub tells no commit.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from typing import Any, TypeVar

from touchstone.errors import ModelError, SourceError, TouchstoneError, first_line
from touchstone.files.json import read_json
from touchstone.files.writing import to_json, write_atomically
from touchstone.foreign import CREDENTIALS, keep_secret
from touchstone.retrying import PassingError
from touchstone.store.folder import Store
from touchstone.store.hub import COMMIT, Kind, find_unlisted

T = TypeVar("T")
# Of files by their names: the sha256, if one is said, and the size.
Listed = Mapping[str, tuple[str | None, int]]
# The branch that the hub itself means by no revision.
DEFAULT_REVISION = "master"
NOTE = ".modelscope.json"
NO_ACCESS = "it is private or gated; ask for access to it, then set MODELSCOPE_API_TOKEN"
NO_REPOSITORY = "there is none, or it is private; mend its name or its revision, or set MODELSCOPE_API_TOKEN"
NO_HUB = "what answers is no hub; look at MODELSCOPE_ENDPOINT, and at proxies on the way"


def fetch_model(model: str, revision: str | None, store: Store) -> tuple[Path, str]:
    """Return a model's folder in the client's cache, and the revision; what is there as listed is not fetched again.

    Raises:
        ModelError: the client is not installed, the hub does not give the model, or the run is offline and it is not
            noted that all of it is there.
    """
    repository = _Repository("model", model, revision or DEFAULT_REVISION, f'model "{model}"', ModelError, store)
    cache: Path = repository.client().HubConfig().cache_dir
    folder = cache / "models" / model.replace("/", "--") / "snapshots" / repository.revision
    if not _offline():
        try:
            note = repository.fetch(folder)
        except OSError as error:
            raise ModelError(f"{folder} cannot hold the {repository.label}: {first_line(error)}") from error
        with suppress(OSError):  # a cache that can only be read is one too
            if not (folder / NOTE).is_file() or (folder / NOTE).read_text() != note:  # another run may watch it
                write_atomically(folder / NOTE, note)
    elif repository.check(folder) is None:
        reason = "is not in the cache, or not all of it, and the run is offline"
        raise ModelError(f'"{model}" of ModelScope {reason}; run once online')
    return folder, repository.revision


def fetch_data(dataset: str, root: Path, task: str, store: Store) -> tuple[Path, str]:
    """Return a data set's folder in a mirror, fetched whole or not at all when it is not there, and its revision.

    Args:
        dataset: ``org/name``.
        root: the mirror.
        task: what needs it, for errors.
        store: keeps what the hub lists, and knows the hashes of files.

    Raises:
        SourceError: the client is not installed, the hub does not give the data set, the run is offline, or what is
            there is not what was fetched.
    """
    folder, label = root / dataset, f'data set "{dataset}" (needed by {task})'
    repository = _Repository("dataset", dataset, DEFAULT_REVISION, label, SourceError, store)
    if not folder.is_dir():
        if _offline():
            raise SourceError(f"modelscope:{root} has no {label} and the run is offline; run once online")
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            write_atomically(temporary / NOTE, repository.fetch(temporary))
            temporary.chmod(0o755)  # a temporary folder is private; what it becomes is not
            temporary.rename(folder)
        except OSError as error:
            if not folder.is_dir():  # else another process was first
                raise SourceError(f"{folder} cannot hold the {label}: {first_line(error)}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder.resolve(), repository.check(folder) or "unknown"


@dataclass(frozen=True, slots=True)
class _Repository:
    """A repository at a revision, with what people call it in errors, and their type."""

    kind: Kind
    name: str
    revision: str
    label: str
    error: type[TouchstoneError]
    store: Store

    def client(self) -> Any:
        try:
            import modelscope_hub
        except ImportError:
            package = 'the package modelscope: pip install "touchstone-evals[modelscope]"'
            raise self.error(f"the {self.label} of ModelScope needs {package}") from None
        return modelscope_hub

    def api(self) -> Any:
        """Return the client configured as at this moment, where it keeps an older configuration.

        Both have the token in sight, so that no local of ours may be one.
        """
        return self.client().HubApi(config=self.client().HubConfig())

    def fetch(self, folder: Path) -> str:
        """Bring into a folder what it lacks, once more what came damaged; return what is to be noted in it."""
        download = self.api().download_file
        keep_secret((self.client().HubConfig().token or "").strip())
        keep = self.store.remember if COMMIT.fullmatch(self.revision) else self.store.agree
        endpoint = CREDENTIALS.sub("", self.client().HubConfig().endpoint)
        list_name = f"files of {self.kind}:{self.name}@{self.revision} at {endpoint}"
        listed: Listed = json.loads(keep(list_name, self._list) or "{}")
        for is_last in (False, False, True):
            for name in self._mismatches(folder, listed):
                (folder / name).unlink(missing_ok=True)
                if is_last:
                    raise self.error(f"ModelScope gives no {self.label}: {name} came damaged twice; run again")
                ask = partial(download, self.name, self.kind, name, revision=self.revision, local_dir=folder)
                self._ask(name, ask)
        self._refuse_unlisted(folder, listed)
        hashes = {name: self.store.file_sha256(folder / name) for name in listed}
        return to_json({self.kind: self.name, "revision": self.revision, "files": hashes})

    def check(self, folder: Path) -> str | None:
        """Return the revision noted in a folder, whose files are those noted; None where nothing is noted."""
        try:
            if not (folder / NOTE).exists():
                return None
            fields = read_json(folder / NOTE, self.error)
            revision, files = str(fields["revision"]), fields.get("files")
            listed = {name: (str(sha256), 0) for name, sha256 in (files or {}).items()}
        except (TouchstoneError, KeyError, TypeError, AttributeError):
            raise self.error(f"{folder / NOTE} is damaged; remove {folder} and run again") from None
        if damaged := self._mismatches(folder, listed):
            raise self.error(f"{folder / damaged[0]} is not what was fetched; remove {folder} and run again")
        if files is not None:  # older notes name none
            self._refuse_unlisted(folder, listed)
        return revision

    def _list(self) -> str:
        ask = partial(self.api().list_repo_files, self.name, self.kind, revision=self.revision)
        files = self._ask(f"the list of files at {self.revision}", ask)
        listed = {file.path: (file.sha256, file.size) for file in files if not file.is_dir}
        unsafe = [name for name in listed if name in ("", NOTE) or {"/", ".."} & {*PurePosixPath(name).parts}]
        if unsafe or not listed:
            problem = f"at {self.revision} it lists {repr(unsafe[0]) if unsafe else 'no files'}"
            raise self.error(f"ModelScope gives no {self.label}: {problem}; mend its name or its revision")
        return json.dumps(listed)

    def _mismatches(self, folder: Path, listed: Listed) -> list[str]:
        """Return the names of files that are not in a folder as listed: by sha256, by size where none is said."""

        def is_right(path: Path, sha256: str | None, size: int) -> bool:
            return self.store.has_sha256(path, sha256) if sha256 else path.stat().st_size == size

        with self.store.one_write_of_hashes():
            paths = {name: folder / name for name in listed}
            return [name for name, path in paths.items() if not (path.is_file() and is_right(path, *listed[name]))]

    def _refuse_unlisted(self, folder: Path, listed: Listed) -> None:
        for path in find_unlisted(folder, {*listed, NOTE}):
            raise self.error(f"{path} is not in ModelScope's list of the {self.label}; remove it and run again")

    def _ask(self, subject: str, ask: Callable[[], T]) -> T:
        """Ask ModelScope one question; every question is asked here."""
        refusal = f"ModelScope gives no {self.label}, not {subject}"
        return self.store.asking.ask(self.name, ask, lambda error: self.error(f"{refusal}: {_explain(error)}"))


def _explain(error: BaseException) -> str:
    """Return why ModelScope does not answer, and the remedy; without addresses, which may be signed."""
    status = getattr(error, "status_code", None)
    if status is not None:
        return {401: NO_ACCESS, 403: NO_ACCESS, 404: NO_REPOSITORY}.get(status, f"HTTP {status}")
    if isinstance(error, AttributeError | TypeError) or type(error).__name__ == "JSONDecodeError":
        return NO_HUB
    return str(error) if isinstance(error, PassingError) else first_line(error)


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
