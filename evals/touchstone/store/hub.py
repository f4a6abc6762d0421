"""Repositories of the Hugging Face hub as snapshots: the files of one commit, in the cache of the hub's client.

What is read is read from that folder alone, so that a failing answer for one file is an error and never, by a library's
fall-back, another architecture, another revision or half a data set.
"""

import errno
import hashlib
import json
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from touchstone.errors import ModelError, SourceError, TouchstoneError, first_line
from touchstone.files.inside import is_plain
from touchstone.files.json import parse_json
from touchstone.files.writing import write_atomically
from touchstone.foreign import CREDENTIALS, keep_secret
from touchstone.records.names import REVISION
from touchstone.retrying import PassingError
from touchstone.store.folder import Store
from touchstone.store.hashes import sha256_of

T = TypeVar("T")
Kind = Literal["model", "dataset"]
TIMEOUT_S = 30
COMMIT = re.compile(r"[0-9a-f]{40}")
REPOSITORY = re.compile(r"(?!.*\.\.)([A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/)?[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}")
KIND_NAMES = {"model": "model", "dataset": "data set"}
NO_REVISION = "it has no such branch, tag or commit; mend the revision"


class Entry(NamedTuple):
    """What is said of a file.

    ``hash`` is the sha256 of a large one, git's name of the content of another, None where nothing is said; ``size`` is
    in bytes, 0 where it is not known.
    """

    hash: str | None = None
    size: int = 0


Listed = Mapping[str, Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A repository at one commit, whose files are brought when they are asked for, to lie in ``folder``.

    ``store`` knows the hashes of files that were there before. ``mirror`` is what people call the mirror that the files
    are in, from which none is brought; empty for the hub.
    """

    repository: str
    kind: Kind
    commit: str
    folder: Path
    listed: Listed
    store: Store
    mirror: str = ""

    def __post_init__(self) -> None:
        """Refuse names that would lead out of the folder, whoever lists them."""
        if unsafe := [name for name in self.listed if not is_plain(name)]:
            raise error_of(self.kind)(
                f'{self.repository} at {self.commit} lists "{unsafe[0]}", which is no name of a file'
            )

    def expect(self, names: Iterable[str]) -> None:
        """Note that files are about to be brought, for whoever watches how far that is."""
        lacking = [name for name in names if name in self.listed and not (self.folder / name).is_file()]
        self.store.asking.expect(self.repository, sum(self.listed[name].size for name in lacking))

    def forget(self) -> None:
        """Ask the hub for the list of files again next time, where it can be asked."""
        import huggingface_hub

        if not huggingface_hub.is_offline_mode():
            self.store.forget(_name(self.repository, self.commit, self.kind))

    def bring(self, name: str) -> Path | None:
        """Return the path of one file, which is brought where it is not there; None where the commit has none.

        Raises:
            TouchstoneError: the hub does not give it, or it holds other bytes than the hub says.
        """
        if name not in self.listed:
            return None
        path, hash_ = self.folder / name, self.listed[name].hash
        if path.is_file():
            if not _has_hash(hash_, path, self.store.has_sha256):
                source, command = ("its manifest", "fetch it") if self.mirror else ("the hub", "run")
                raise error_of(self.kind)(
                    f"{path} is damaged, it is not what {source} says of it; remove it and {command} again"
                )
            return path
        if self.mirror:
            raise error_of(self.kind)(f"{self.mirror} lacks {name} of {self.repository}; fetch it again")
        for _ in range(2):
            self._fetch(name)
            if path.is_file() and _has_hash(hash_, path, lambda path, sha256: sha256_of(path) == sha256):
                return path
            for copy in (path.resolve(), path):  # the second is a link to the first
                copy.unlink(missing_ok=True)
        raise error_of(self.kind)(f"{name} of {self.repository} came damaged twice, and was removed; run again")

    def _fetch(self, name: str) -> None:
        import huggingface_hub

        if huggingface_hub.is_offline_mode():
            raise _offline(self.repository, self.commit, self.kind)
        ask, asking = huggingface_hub.hf_hub_download, self.store.asking
        arguments: dict[str, Any] = {"revision": self.commit, "repo_type": self.kind, "tqdm_class": asking.bar()}
        try:
            _ask(self.store, self.repository, self.kind, lambda: ask(self.repository, name, **arguments), name)
        except TouchstoneError:
            # The client notes in its cache that there is no such file; the list of the commit says that there is.
            with suppress(OSError):
                (self.folder.parents[1] / ".no_exist" / self.commit / name).unlink()
            raise


def open_snapshot(repository: str, revision: str | None, store: Store, kind: Kind = "model") -> Snapshot:
    """Return a repository of the hub at a revision, which is one commit for the whole of a run.

    Args:
        repository: ``org/name``.
        revision: a commit, branch or tag; None for the main branch.
        store: remembers what files a commit has, and what commit a branch was when the run began.
        kind: what the repository holds.

    Raises:
        TouchstoneError: the hub has none, or there is no network and the cache has none; a ModelError for a model, a
            SourceError for a data set.
    """
    if not REPOSITORY.fullmatch(repository) or (revision is not None and not REVISION.fullmatch(revision)):
        raise error_of(kind)(f'"{repository}" at "{revision}" is no name of a repository and a revision of it')
    if revision is not None and COMMIT.fullmatch(revision):
        commit = revision
    else:
        name = f"{kind}:{repository}@{revision or 'main'}"
        commit = store.agree(name, lambda: _resolve(repository, revision or "main", store, kind))
    folder = _cache_of(repository, kind) / "snapshots" / commit
    listed = _list(repository, commit, store, kind)
    return Snapshot(repository=repository, kind=kind, commit=commit, folder=folder, listed=listed, store=store)


def open_main(repository: str, reader: str, store: Store) -> Snapshot:
    """Return a model that another one names, which libraries take at the main branch that the cache knows.

    Args:
        repository: ``org/name``.
        reader: the model that names it, for errors.
        store: watches the file that says which commit that is.

    Raises:
        ModelError: the hub has none, or another program has brought another commit since this run asked.
    """
    snapshot, reference = open_snapshot(repository, None, store), _cache_of(repository, "model") / "refs" / "main"
    if not reference.is_file() or reference.read_text().strip() != snapshot.commit:
        raise ModelError(f"{repository}, which {reader} needs, was updated in the cache during this run; run again")
    store.file_sha256(reference)
    return snapshot


def _has_hash(hash_: str | None, path: Path, has_sha256: Callable[[Path, str], bool]) -> bool:
    """Return True if a file has a hash, a sha256 or git's; without a hash the file is not read."""
    return hash_ is None or (git_blob(path) == hash_ if COMMIT.fullmatch(hash_) else has_sha256(path, hash_))


def git_blob(path: Path) -> str:
    """Return git's name of a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _cache_of(repository: str, kind: Kind) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"{kind}s--{repository.replace('/', '--')}"


def _resolve(repository: str, revision: str, store: Store, kind: Kind) -> str:
    """Ask the hub what commit a branch or tag is, and note it in the cache; without a network, read that note."""
    import huggingface_hub

    reference = _cache_of(repository, kind) / "refs" / revision
    if huggingface_hub.is_offline_mode():
        if not reference.is_file():
            raise _offline(repository, revision, kind)
        return reference.read_text().strip()
    commit, listed = _about(repository, revision, kind, store)
    store.remember(_name(repository, commit, kind), lambda: json.dumps(listed))  # the same answer says both
    with suppress(OSError):  # a cache that can only be read is one too
        if not reference.is_file() or reference.read_text().strip() != commit:  # another run may watch it
            write_atomically(reference, commit)
    return commit


def _list(repository: str, commit: str, store: Store, kind: Kind) -> Listed:
    """Return the files of a commit, as the hub once said; without a network, else, as the cache shows."""
    import huggingface_hub
    from huggingface_hub import errors

    def ask() -> str | None:
        offline = huggingface_hub.is_offline_mode()
        return None if offline else json.dumps(_about(repository, commit, kind, store)[1])

    text = store.remember(_name(repository, commit, kind), ask)
    if text is not None:
        return {name: Entry(*fields) for name, fields in parse_json(text, repository, error_of(kind)).items()}
    # Brought by another program. Only the client's own list, from its version 2 on, says what of it is not there.
    if tree := getattr(huggingface_hub, "get_cached_repo_tree", None):
        with suppress(errors.CachedRepoTreeNotFoundError):
            return {file.path: Entry() for file in tree(repository, repo_type=kind, revision=commit)}
    raise _offline(repository, commit, kind)


def _name(repository: str, commit: str, kind: Kind) -> str:
    return f"files of {kind}:{repository}@{commit}"


def _about(repository: str, revision: str, kind: Kind, store: Store) -> tuple[str, Listed]:
    """Ask the hub, once, for the commit that a revision is and for the files of it."""
    import huggingface_hub
    from huggingface_hub.errors import RevisionNotFoundError

    arguments: dict[str, Any] = {"revision": revision, "repo_type": kind, "timeout": TIMEOUT_S, "files_metadata": True}

    def ask() -> Any:
        with suppress(RevisionNotFoundError):
            return huggingface_hub.HfApi().repo_info(repository, **arguments)
        return None

    info = _ask(store, repository, kind, ask, f"the list of files at {revision}")
    if info is None and revision == "main":
        raise error_of(kind)(f'the hub gives no {KIND_NAMES[kind]} "{repository}": {NO_REVISION}')
    if info is None:
        main, _ = _about(repository, "main", kind, store)
        problem = f'has no branch, tag or commit "{revision}"; its main branch is at {main}'
        raise error_of(kind)(f'"{repository}" {problem}')
    files = info.siblings or ()
    listed = {file.rfilename: Entry(file.lfs.sha256 if file.lfs else file.blob_id, file.size or 0) for file in files}
    commit = str(info.sha)
    if not listed or not COMMIT.fullmatch(commit) or (COMMIT.fullmatch(revision) and commit != revision):
        problem = f"at {revision} it lists {len(listed)} files of {commit}"
        raise error_of(kind)(f'the hub gives no {KIND_NAMES[kind]} "{repository}": {problem}')
    return commit, listed


def _ask(store: Store, repository: str, kind: Kind, ask: Callable[[], T], subject: str) -> T:
    """Ask the hub one question; every question is asked here."""
    import huggingface_hub

    keep_secret(huggingface_hub.get_token() or "")  # which may be that of a file
    return store.asking.ask(repository, ask, lambda error: error_of(kind)(_explain(repository, kind, error, subject)))


def _explain(repository: str, kind: Kind, error: BaseException, subject: str) -> str:
    """Return why the hub does not answer, and the remedy; without addresses, which may be signed."""
    from huggingface_hub import constants, errors, get_token

    while isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        host = CREDENTIALS.sub("", constants.ENDPOINT)
        place = f"{host}/{'datasets/' if kind == 'dataset' else ''}{repository}"
        return f'"{repository}" is gated; ask for access at {place}, then set HF_TOKEN'
    if isinstance(error, errors.RepositoryNotFoundError) or status == 401:
        remedy = "set HF_TOKEN" if get_token() is None else "the token, HF_TOKEN or that of hf auth login"
        return f'"{repository}" is missing or private; mend the name, or {remedy}'
    if isinstance(error, errors.RevisionNotFoundError):
        return f'the hub gives no {KIND_NAMES[kind]} "{repository}": {NO_REVISION}'
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        remedy = f"no space is left in {constants.HF_HUB_CACHE}; free some, or set HF_HUB_CACHE"
        return f'"{repository}", {subject}: {remedy}'
    if isinstance(error, errors.FileMetadataError | json.JSONDecodeError):
        reason = "what answers is no hub; look at HF_ENDPOINT, and at proxies on the way"
    elif isinstance(error, PassingError):
        reason = str(error)
    else:
        reason = first_line(error) if status is None else f"HTTP {status}"
    return f'the hub gives no {KIND_NAMES[kind]} "{repository}", not {subject}: {reason}'


def find_unlisted(folder: Path, listed: Container[str]) -> Iterator[Path]:
    """Yield what lies in a repository's folder and is not listed: files, and links of any kind."""
    for path in sorted(folder.rglob("*")):
        if (path.is_symlink() or not path.is_dir()) and path.relative_to(folder).as_posix() not in listed:
            yield path


def error_of(kind: Kind) -> type[TouchstoneError]:
    """Return the type of an error about a repository."""
    return ModelError if kind == "model" else SourceError


def _offline(repository: str, revision: str, kind: Kind) -> TouchstoneError:
    problem = "is not in the cache, or not all of it, and the run is offline"
    command = f"hf download --repo-type {kind} {repository} --revision {revision}"
    return error_of(kind)(f'"{repository}" {problem}; run once online, or bring it with: {command}')
