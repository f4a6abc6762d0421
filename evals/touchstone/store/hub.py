"""Repositories of the Hugging Face hub as snapshots: the files of one commit, in the cache of the hub's client.

What is read is read from that folder alone, so that a failing answer for one file is an error and never, by a library's
fall-back, another architecture, another revision or half a data set.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from touchstone.errors import ModelError, SourceError, TouchstoneError, first_line
from touchstone.store.folder import Store
from touchstone.store.hashes import sha256_of

T = TypeVar("T")
Kind = Literal["model", "dataset"]
SECONDS = 30
COMMIT = re.compile(r"[0-9a-f]{40}")
# Of a repository that was brought whole the cache has this, which nobody asks for by name.
OF_EVERY_REPOSITORY = ".gitattributes"
CALLED = {"model": "model", "dataset": "data set"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A repository at one commit, whose files are brought when they are asked for, to lie in ``folder``.

    ``listed`` are the names of all its files, each with the hash that the hub says of it, None for none.
    """

    repository: str
    kind: Kind
    commit: str
    folder: Path
    listed: Mapping[str, str | None]

    def bring(self, name: str) -> Path | None:
        """Return the path of one file, which is brought where it is not there; None where the commit has none.

        Raises:
            TouchstoneError: the hub does not give it, or gives other bytes.
        """
        import huggingface_hub

        if name not in self.listed:
            return None
        path = self.folder / name
        if path.is_file():
            return path
        if huggingface_hub.is_offline_mode():
            raise _offline(self.repository, self.kind)
        where: dict[str, Any] = {"revision": self.commit, "repo_type": self.kind}
        ask = huggingface_hub.hf_hub_download
        brought = Path(_ask(self.repository, self.kind, lambda: ask(self.repository, name, **where)))
        if (said := self.listed[name]) is not None and said not in (sha256_of(brought), git_blob(brought)):
            brought.resolve().unlink()
            brought.unlink(missing_ok=True)
            raise _error(self.kind)(f"{name} of {self.repository} came damaged, and was removed; run again")
        return brought


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
    if revision is not None and COMMIT.fullmatch(revision):
        commit = revision
    else:
        name = f"{kind}:{repository}@{revision or 'main'}"
        commit = store.agree(name, lambda: _resolve(repository, revision, kind))
    folder = _cache_of(repository, kind) / "snapshots" / commit
    listed = _list(repository, commit, folder, store, kind)
    return Snapshot(repository=repository, kind=kind, commit=commit, folder=folder, listed=listed)


def reference_of(repository: str) -> Path:
    """Return the file of the cache that says what commit a model's main branch is for whoever asks for no other.

    Python that a model names of another repository is taken from there.
    """
    return _cache_of(repository, "model") / "refs" / "main"


def git_blob(path: Path) -> str:
    """Return git's name of a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _cache_of(repository: str, kind: Kind) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"{kind}s--{repository.replace('/', '--')}"


def _resolve(repository: str, revision: str | None, kind: Kind) -> str:
    """Ask the hub what commit a branch or tag is, and note it in the cache; without a network, read that note."""
    import huggingface_hub

    reference = _cache_of(repository, kind) / "refs" / (revision or "main")
    if huggingface_hub.is_offline_mode():
        if not reference.is_file():
            raise _offline(repository, kind)
        return reference.read_text().strip()
    commit = str(_about(repository, revision, kind).sha)
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(commit)
    return commit


def _list(repository: str, commit: str, folder: Path, store: Store, kind: Kind) -> dict[str, str | None]:
    """Return the names of all files of a commit, each with the hash that the hub says of it, None for none."""
    import huggingface_hub

    def ask() -> str:
        if huggingface_hub.is_offline_mode():
            # Brought by another program: where all of it is there, what is not there is not in the repository.
            if not (folder / OF_EVERY_REPOSITORY).is_file():
                raise _offline(repository, kind)
            here = [path for path in folder.rglob("*") if path.is_file()]
            return json.dumps({path.relative_to(folder).as_posix(): None for path in here})
        info = _about(repository, commit, kind, files_metadata=True)
        if info.sha != commit:
            said = f"asked for {commit}, it answered {info.sha}"
            raise _error(kind)(f'the hub gives no {CALLED[kind]} "{repository}": {said}')
        # Of large files it says the sha256, of small ones git's name of their content.
        return json.dumps({one.rfilename: one.lfs.sha256 if one.lfs else one.blob_id for one in info.siblings or ()})

    found: dict[str, str | None] = json.loads(store.remember(f"{kind}:{repository}@{commit}", ask))
    return found


def _about(repository: str, revision: str | None, kind: Kind, **more: Any) -> Any:
    import huggingface_hub

    ask = huggingface_hub.HfApi().repo_info
    asked: dict[str, Any] = {"revision": revision, "repo_type": kind, "timeout": SECONDS, **more}
    return _ask(repository, kind, lambda: ask(repository, **asked))


def _ask(repository: str, kind: Kind, ask: Callable[[], T]) -> T:
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return ask()
    except GatedRepoError as error:
        cause: Exception = error
        place = f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{repository}"
        sentence = f'"{repository}" is gated; ask for access at {place}, then set HF_TOKEN'
    except RepositoryNotFoundError as error:
        sentence, cause = f'"{repository}" is missing or private; mend the name, or set HF_TOKEN', error
    except Exception as error:  # the client raises its own errors, those of httpx, and OSError
        sentence, cause = f'the hub gives no {CALLED[kind]} "{repository}": {first_line(error)}', error
    raise _error(kind)(sentence) from cause


def _error(kind: Kind) -> type[TouchstoneError]:
    return ModelError if kind == "model" else SourceError


def _offline(repository: str, kind: Kind) -> TouchstoneError:
    where = "is not in the cache, or not all of it, and the run is offline"
    return _error(kind)(f'"{repository}" {where}; run once online')
