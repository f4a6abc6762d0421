"""ModelScope, a second hub: its data sets fill a mirror, its models a folder of its client's cache."""

import json
import os
import shutil
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from touchstone.errors import ModelError, SourceError, TouchstoneError, first_line
from touchstone.files.writing import to_json, write_atomically
from touchstone.store.folder import Store
from touchstone.store.hashes import sha256_of

# The branch that the hub itself means by no revision.
DEFAULT_REVISION = "master"
NOTE = ".modelscope.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A repository of the hub in a folder here. A revision may be a branch: the hub tells no commit."""

    folder: Path
    revision: str


def fetch_model(model: str, revision: str | None, alias: str) -> Fetched:
    """Return a model's folder in the client's cache; what is there already is not fetched again.

    Raises:
        ModelError: the client is not installed, or the hub does not give the model.
    """
    client = _client(f'{alias}: hub = "modelscope"', ModelError)
    offline = _offline()
    try:
        folder = client.snapshot_download(model, revision=revision, local_files_only=offline)
    except Exception as error:  # the client raises its own errors, those of requests, and ValueError
        if offline:
            sentence = f'{alias}: "{model}" of ModelScope is not in the cache and the run is offline; run once online'
        else:
            sentence = f'{alias}: ModelScope has no model "{model}": {first_line(error)}'
        raise ModelError(sentence) from error
    return Fetched(folder=Path(folder), revision=revision or DEFAULT_REVISION)


def fetch_data(dataset: str, root: Path, task: str, store: Store) -> Fetched:
    """Return a data set's folder in a mirror, fetched whole or not at all when it is not there.

    The client holds each file that it brings to the hash in the hub's list; what it brought is noted, and looked at
    again whenever it is opened.

    Args:
        dataset: ``org/name``.
        root: the mirror.
        task: what needs it, for errors.
        store: remembers the hashes of files.

    Raises:
        SourceError: the client is not installed, the hub does not give the data set, the run is offline, or a file is
            not what was fetched.
    """
    folder = root / dataset
    if folder.is_dir():
        noted = _note(folder)
        for name, said in noted.get("files", {}).items():
            path = folder / name
            if not path.is_file() or store.file_sha256(path) != said:
                raise SourceError(f"{path} is not what was fetched; remove {folder} and run again")
        return Fetched(folder=folder.resolve(), revision=str(noted.get("revision", "unknown")))
    if _offline():
        raise SourceError(
            f'modelscope:{root} has no data set "{dataset}" (needed by {task}) and the run is offline; run once online'
        )
    client = _client(f'modelscope:{root}: the data set "{dataset}" of {task}', SourceError)
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        client.dataset_snapshot_download(dataset, local_dir=str(beside))
        files = {path.relative_to(beside).as_posix(): sha256_of(path) for path in beside.rglob("*") if path.is_file()}
        if not files:
            raise SourceError(f'ModelScope\'s data set "{dataset}" (needed by {task}) holds no files')
        said = {"dataset": dataset, "revision": DEFAULT_REVISION, "files": files}
        write_atomically(beside / NOTE, to_json(said))
        beside.chmod(0o755)  # a temporary folder is private; what it becomes is not
        beside.rename(folder)
    except TouchstoneError:
        raise
    except Exception as error:  # the client raises its own errors, those of requests, and ValueError
        sentence = f'ModelScope has no data set "{dataset}" (needed by {task}): {first_line(error)}'
        raise SourceError(sentence) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Fetched(folder=folder.resolve(), revision=DEFAULT_REVISION)


def _note(folder: Path) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads((folder / NOTE).read_bytes())
    except FileNotFoundError:
        return {}  # somebody else's folder
    except ValueError:
        raise SourceError(f"{folder / NOTE} is damaged; remove {folder} and run again") from None
    return said


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _client(who: str, error: type[TouchstoneError]) -> Any:
    try:
        # Not by an import statement: the package has a function in the place of this module.
        return import_module("modelscope.hub.snapshot_download")
    except ImportError:
        raise error(f'{who} needs the package modelscope: pip install "touchstone-evals[modelscope]"') from None
