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


_ENTRIES = TypeAdapter(tuple[Held, ...])


def read_manifest(root: Path) -> tuple[Held, ...]:
    """Return what a mirror holds by its manifest; nothing where it has none.

    Raises:
        ConfigError: it is damaged, or of a newer version.
    """
    file = root / MANIFEST
    if not file.exists():
        return ()
    try:
        fields = read_json(file, ConfigError)
    except ConfigError as error:
        raise ConfigError(f"{error}; fill the mirror again with touchstone fetch") from None
    try:
        if fields["touchstone mirror"] != FORMAT:
            raise ConfigError(f"{file}: a newer touchstone wrote it; read it with that one")
        return _ENTRIES.validate_python(fields["repositories"])
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
    entry = next((entry for entry in read_manifest(root) if (entry.kind, entry.repository) == (kind, repository)), None)
    if entry is None:
        return None
    if revision not in (None, entry.revision) and not (
        SHORT_COMMIT.fullmatch(revision) and entry.commit.startswith(revision)
    ):
        at = f"at {entry.commit}, not at {revision}"
        raise error_of(kind)(f'mirror {root} has "{repository}" {at}; fetch that into a mirror of its own')
    folder = folder_of(root, kind, repository).resolve()
    for unlisted in find_unlisted(folder, entry.files):
        raise error_of(kind)(f"{unlisted} is not in the manifest of mirror {root}; remove it")
    listed = {name: Entry(file.sha256, file.size) for name, file in entry.files.items()}
    return Snapshot(
        repository=repository,
        kind=kind,
        commit=entry.commit,
        folder=folder,
        listed=dict.fromkeys(entry.left_out, Entry()) | listed,
        store=store,
        mirror=f"mirror {root}",
    )


def find_mirrored_model(repository: str, revision: str | None, store: Store) -> Snapshot | None:
    """Return a model of the hub from the first of a run's mirrors that holds it; None where none does.

    Raises:
        ModelError: it is there at another revision.
    """
    snapshots = (open_mirrored(root, repository, revision, store, "model") for root in store.mirrors)
    return next(filter(None, snapshots), None)


def folder_of(root: Path, kind: Kind, repository: str) -> Path:
    """Return where in a mirror a repository lies."""
    return root / "models" / repository if kind == "model" else root / repository


def fill(root: Path, snapshot: Snapshot, revision: str | None, names: Iterable[str]) -> Held:
    """Put files of a snapshot that was brought into a mirror, and note them in its manifest; what is there stays.

    Raises:
        ConfigError: the mirror holds another commit of the repository.
    """
    folder = folder_of(root, snapshot.kind, snapshot.repository)
    entries = {(entry.kind, entry.repository): entry for entry in read_manifest(root)}
    key = (snapshot.kind, snapshot.repository)
    files = dict(entries[key].files) if key in entries else {}
    if key in entries and entries[key].commit != snapshot.commit:
        raise ConfigError(
            f'mirror {root} has "{snapshot.repository}" at {entries[key].commit}, not at {snapshot.commit}; '
            f"remove {folder} and its entry in {MANIFEST}, or fetch into another folder"
        )
    branch = revision or "main"
    if key in entries and SHORT_COMMIT.fullmatch(branch):  # the commit is noted anyway; a branch is not
        branch = entries[key].revision
    for name in names:
        path = snapshot.bring(name)
        if path is None:
            continue
        held, target = HeldFile(size=path.stat().st_size, sha256=snapshot.store.file_sha256(path)), folder / name
        if not target.is_file() or files.get(name) != held or snapshot.store.file_sha256(target) != held.sha256:
            with open_atomically(target) as file, path.open("rb") as source:
                shutil.copyfileobj(source, file)
        files[name] = held
    entries[key] = Held(
        kind=snapshot.kind, repository=snapshot.repository, commit=snapshot.commit, revision=branch,
        files=files, left_out=tuple(sorted(snapshot.listed.keys() - files.keys())),
    )  # fmt: skip
    repositories = _ENTRIES.dump_python(tuple(entry for _, entry in sorted(entries.items())))
    write_atomically(root / MANIFEST, to_json({"touchstone mirror": FORMAT, "repositories": repositories}))
    return entries[key]


def verify(root: Path) -> Iterator[str]:
    """Yield a sentence for each file of a mirror that is not what its manifest says, read anew.

    Raises:
        ConfigError: there is no manifest, or it is damaged.
    """
    entries = read_manifest(root)
    if not entries:
        raise ConfigError(f"{root} has no {MANIFEST}; touchstone fetch --into {root} fills a mirror with one")
    for entry in entries:
        folder = folder_of(root, entry.kind, entry.repository)
        for name, held_file in sorted(entry.files.items()):
            path = folder / name
            if not path.is_file():
                yield f"{path} is not there"
            elif path.stat().st_size != held_file.size:
                yield f"{path} has {path.stat().st_size} bytes, not {held_file.size}"
            elif sha256_of(path) != held_file.sha256:
                yield f"{path} has other content"
        yield from (f"{path} is not in the manifest" for path in find_unlisted(folder, entry.files))
    folders = [folder_of(root, entry.kind, entry.repository) for entry in entries]
    for path in sorted((*root.glob("*/*"), *root.glob("models/*/*"))):
        if path.is_dir() and not any(folder.is_relative_to(path) for folder in folders):
            yield f"{path} is not in the manifest"
