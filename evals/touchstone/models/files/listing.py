"""The files of one model, wherever they lie: found by name, listed by folder, and read where they are JSON."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from touchstone.errors import ModelError
from touchstone.files.json import parse_json
from touchstone.files.plain import is_unicode
from touchstone.files.writing import read_bytes
from touchstone.store.hub import Snapshot

POINTER_START = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """The files of a model.

    Args:
        place: what people call it, a folder or a name on a hub.
        find: returns the path of a file by its name inside, such as ``1_Pooling/config.json``; None where it is not.
        names: returns the names of the files that lie in a folder of the model, ``""`` for its root.
        expect: called with the names of the files that are about to be looked for.
        graph: the names of an exported graph and of its data, which stand for the weights; None where there is none.
    """

    place: str
    find: Callable[[str], Path | None]
    names: Callable[[str], list[str]]
    expect: Callable[[Sequence[str]], None] = lambda _: None
    graph: Sequence[str] | None = None

    def read(self, name: str) -> Any:
        """Return the content of a JSON file, None where there is no such file.

        Raises:
            ModelError: it is not JSON.
        """
        path = self.find(name)
        if path is None:
            return None
        content = read_bytes(path, ModelError)
        refuse_pointer(self.place, name, content)
        return parse_json(content, f"{self.place}: {name}", ModelError, wide=True)

    def table(self, name: str) -> Mapping[str, Any]:
        """Return the content of a JSON file that holds an object, empty where there is no such file.

        Raises:
            ModelError: it is not JSON.
        """
        content = self.read(name)
        return content if isinstance(content, dict) else {}

    def has(self, name: str) -> bool:
        """Return True if there is such a file."""
        return PurePosixPath(name).name in self.names(name.rpartition("/")[0])


def in_folder(folder: Path) -> ModelFiles:
    """Return the files of a folder; links are followed, and names that its own files say lead nowhere else."""

    def join(name: str) -> Path:
        if name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise ModelError(f'{folder}: its files name "{name}", which lies outside of it; fetch the model again')
        return folder / name

    def find(name: str) -> Path | None:
        path = join(name)
        with suppress(OSError):  # a name that no file can have
            return path if path.is_file() else None
        return None

    def names(inside: str) -> list[str]:
        path = join(inside)
        entries = []
        with suppress(OSError):  # of a name that no file can have
            entries = sorted(entry.name for entry in path.iterdir() if entry.is_file()) if path.is_dir() else []
        if odd := [name for name in entries if not is_unicode(name)]:
            raise ModelError(f"{path}: holds a file whose name is not UTF-8, {odd[0]}; rename it")
        return entries

    return ModelFiles(place=str(folder), find=find, names=names)


def on_hub(snapshot: Snapshot) -> ModelFiles:
    """Return the files of a model on the hub; each is brought when it is looked for."""
    inside = [name.rpartition("/") for name in snapshot.listed]
    return ModelFiles(
        place=snapshot.repository,
        find=snapshot.bring,
        expect=snapshot.expect,
        names=lambda folder: sorted(name for parent, _, name in inside if parent == folder),
    )


def refuse_pointer(place: str, name: str, start: bytes) -> None:
    """Refuse what stands in git for a large file that was not fetched.

    Args:
        place: of the model.
        name: of the file in it.
        start: the first bytes of the file.

    Raises:
        ModelError: it is one.
    """
    if start.startswith(POINTER_START):
        raise ModelError(f"{place}: {name} is a Git LFS pointer, not the file itself; run git lfs pull")
