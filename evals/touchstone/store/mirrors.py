"""Mirrors that we fill: data sets and models of a hub, with a manifest of their commits and of each file's hash."""

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from touchstone.errors import ConfigError
from touchstone.files.json import read_json
from touchstone.files.writing import open_atomically, to_json, write_atomically
from touchstone.store.folder import Store
from touchstone.store.hashes import sha256_of
from touchstone.store.hub import COMMIT, Entry, Kind, Snapshot, error_of, find_unlisted

MANIFEST = "manifest.json"
FORMAT = 1
SHORT_COMMIT = re.compile(r"[0-9a-f]{7,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFile:
    """A file of a mirror: its size in bytes and its sha256."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A repository in a mirror: at which commit, what was asked for to get it, its files, and those left out."""

    kind: Kind
    repository: str
    commit: str
    revision: str
    files: Mapping[str, HeldFile]
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [PurePosixPath(name) for name in (self.repository, *self.files)]
        if not COMMIT.fullmatch(self.commit) or any(name.is_absolute() or ".." in name.parts for name in names):
            raise ValueError("a commit is 40 hex digits, and a file lies in its repository")


_HELD = TypeAdapter(tuple[Held, ...])


def read_manifest(root: Path) -> tuple[Held, ...]:
    """Return what a mirror holds by its manifest; nothing where it has none.

    Raises:
        ConfigError: it is damaged, or of a newer version.
    """
    file = root / MANIFEST
    if not file.exists():
        return ()
    try:
        said = read_json(file, ConfigError)
    except ConfigError as error:
        raise ConfigError(f"{error}; fill the mirror again with touchstone fetch") from None
    try:
        if said["touchstone mirror"] != FORMAT:
            raise ConfigError(f"{file}: a newer touchstone wrote it; read it with that one")
        return _HELD.validate_python(said["repositories"])
    except (ValidationError, KeyError, TypeError):
        raise ConfigError(f"{file} is damaged; fill the mirror again with touchstone fetch") from None


def open_mirrored(root: Path, repository: str, revision: str | None, store: Store, kind: Kind) -> Snapshot | None:
    """Return a repository of a mirror, whose files are checked against its manifest; None where that has none.

    Args:
        root: the mirror.
        repository: ``org/name``.
        revision: a commit or the start of one, or the branch or tag by which it was fetched; None for what is there.
        store: knows the hashes of files.
        kind: what the repository holds.

    Raises:
        ConfigError: the manifest is damaged.
        TouchstoneError: it is there at another revision, or with a file that is not named, which a library could read.
    """
    held = next((one for one in read_manifest(root) if (one.kind, one.repository) == (kind, repository)), None)
    if held is None:
        return None
    if revision not in (None, held.revision) and not (
        SHORT_COMMIT.fullmatch(revision) and held.commit.startswith(revision)
    ):
        at = f"at {held.commit}, not at {revision}"
        raise error_of(kind)(f'mirror {root} has "{repository}" {at}; fetch that into a mirror of its own')
    folder = folder_of(root, kind, repository).resolve()
    for more in find_unlisted(folder, held.files):
        raise error_of(kind)(f"{more} is not in the manifest of mirror {root}; remove it")
    listed = {name: Entry(file.sha256, file.size) for name, file in held.files.items()}
    return Snapshot(
        repository=repository,
        kind=kind,
        commit=held.commit,
        folder=folder,
        listed=dict.fromkeys(held.left_out, Entry()) | listed,
        store=store,
        mirror=f"mirror {root}",
    )


def find_mirrored_model(repository: str, revision: str | None, store: Store) -> Snapshot | None:
    """Return a model of the hub from the first of a run's mirrors that holds it; None where none does.

    Raises:
        ModelError: it is there at another revision.
    """
    found = (open_mirrored(root, repository, revision, store, "model") for root in store.mirrors)
    return next(filter(None, found), None)


def folder_of(root: Path, kind: Kind, repository: str) -> Path:
    """Return where in a mirror a repository lies."""
    return root / "models" / repository if kind == "model" else root / repository


def fill(root: Path, snapshot: Snapshot, revision: str | None, names: Iterable[str]) -> Held:
    """Put files of a snapshot that was brought into a mirror, and note them in its manifest; what is there stays.

    Raises:
        ConfigError: the mirror holds another commit of the repository.
    """
    folder = folder_of(root, snapshot.kind, snapshot.repository)
    held = {(one.kind, one.repository): one for one in read_manifest(root)}
    key = (snapshot.kind, snapshot.repository)
    files = dict(held[key].files) if key in held else {}
    if key in held and held[key].commit != snapshot.commit:
        raise ConfigError(
            f'mirror {root} has "{snapshot.repository}" at {held[key].commit}, not at {snapshot.commit}; '
            f"remove {folder} and its entry in {MANIFEST}, or fetch into another folder"
        )
    asked = revision or "main"
    if key in held and SHORT_COMMIT.fullmatch(asked):  # the commit is held anyway; a branch that was asked for is not
        asked = held[key].revision
    for name in names:
        path = snapshot.bring(name)
        if path is None:
            continue
        said, target = HeldFile(size=path.stat().st_size, sha256=snapshot.store.file_sha256(path)), folder / name
        if not target.is_file() or files.get(name) != said or snapshot.store.file_sha256(target) != said.sha256:
            with open_atomically(target) as file, path.open("rb") as source:
                shutil.copyfileobj(source, file)
        files[name] = said
    held[key] = Held(
        kind=snapshot.kind, repository=snapshot.repository, commit=snapshot.commit, revision=asked,
        files=files, left_out=tuple(sorted(snapshot.listed.keys() - files.keys())),
    )  # fmt: skip
    repositories = _HELD.dump_python(tuple(held[one] for one in sorted(held)))
    write_atomically(root / MANIFEST, to_json({"touchstone mirror": FORMAT, "repositories": repositories}))
    return held[key]


def verify(root: Path) -> Iterator[str]:
    """Yield a sentence for each file of a mirror that is not what its manifest says, read anew.

    Raises:
        ConfigError: there is no manifest, or it is damaged.
    """
    held = read_manifest(root)
    if not held:
        raise ConfigError(f"{root} has no {MANIFEST}; touchstone fetch --into {root} fills a mirror with one")
    for one in held:
        folder = folder_of(root, one.kind, one.repository)
        for name, said in sorted(one.files.items()):
            path = folder / name
            if not path.is_file():
                yield f"{path} is not there"
            elif path.stat().st_size != said.size:
                yield f"{path} has {path.stat().st_size} bytes, not {said.size}"
            elif sha256_of(path) != said.sha256:
                yield f"{path} has other content"
        yield from (f"{path} is not in the manifest" for path in find_unlisted(folder, one.files))
    known = [folder_of(root, one.kind, one.repository) for one in held]
    for path in sorted((*root.glob("*/*"), *root.glob("models/*/*"))):
        if path.is_dir() and not any(one.is_relative_to(path) for one in known):
            yield f"{path} is not in the manifest"
