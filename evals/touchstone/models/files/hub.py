"""Models of the Hugging Face hub as snapshots: the files of one commit, brought to the client's cache and read there.

What is loaded is loaded from that folder alone, so that a failing answer for one file is an error and never, by a
library's fall-back, another architecture.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from touchstone.errors import ModelError, first_line
from touchstone.models.files.listing import ModelFiles, parent_of
from touchstone.store.folder import Store
from touchstone.store.hashes import sha256_of

SECONDS = 30
COMMIT = re.compile(r"[0-9a-f]{40}")
T = TypeVar("T")
# Of a repository that was brought whole the cache has this, which nobody asks for by name.
OF_EVERY_REPOSITORY = ".gitattributes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A repository at one commit, whose files are brought when they are asked for, to lie in ``folder``."""

    repository: str
    commit: str
    folder: Path
    files: ModelFiles


def open_snapshot(repository: str, revision: str | None, store: Store) -> Snapshot:
    """Return a repository of the hub at a revision, which is one commit for the whole of a run.

    Args:
        repository: ``org/name``.
        revision: a commit, branch or tag; None for the main branch.
        store: remembers what files a commit has, and what commit a branch was when the run began.

    Raises:
        ModelError: the hub has none, or there is no network and the cache has none.
    """
    if revision is not None and COMMIT.fullmatch(revision):
        commit = revision
    else:
        commit = store.agree(f"{repository}@{revision or 'main'}", lambda: _resolve(repository, revision))
    folder = _cache_of(repository) / "snapshots" / commit
    listed = _list(repository, commit, folder, store)
    files = ModelFiles(
        place=repository,
        find=partial(_bring, repository, commit, folder, listed),
        names=lambda inside: sorted(name.rpartition("/")[2] for name in listed if parent_of(name) == inside),
    )
    return Snapshot(repository=repository, commit=commit, folder=folder, files=files)


def reference_of(repository: str) -> Path:
    """Return the file of the cache that says what commit a repository's main branch is for whoever asks for no other.

    Python that a model names of another repository is taken from there.
    """
    return _cache_of(repository) / "refs" / "main"


def _cache_of(repository: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"


def _resolve(repository: str, revision: str | None) -> str:
    """Ask the hub what commit a branch or tag is, and note it in the cache; without a network, read that note."""
    import huggingface_hub

    reference = _cache_of(repository) / "refs" / (revision or "main")
    if huggingface_hub.is_offline_mode():
        if not reference.is_file():
            raise _offline(repository)
        return reference.read_text().strip()
    commit = str(
        _ask(repository, lambda: huggingface_hub.HfApi().model_info(repository, revision=revision, timeout=SECONDS).sha)
    )
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(commit)
    return commit


def _list(repository: str, commit: str, folder: Path, store: Store) -> dict[str, str | None]:
    """Return the names of all files of a commit, each with the hash that the hub says of it, None for none."""
    import huggingface_hub

    def ask() -> str:
        if huggingface_hub.is_offline_mode():
            # Brought by another program: where all of it is there, what is not there is not in the repository.
            if not (folder / OF_EVERY_REPOSITORY).is_file():
                raise _offline(repository)
            here = [path for path in folder.rglob("*") if path.is_file()]
            return json.dumps({path.relative_to(folder).as_posix(): None for path in here})
        api = huggingface_hub.HfApi()
        info = _ask(
            repository, lambda: api.model_info(repository, revision=commit, files_metadata=True, timeout=SECONDS)
        )
        if info.sha != commit:
            raise ModelError(f'the hub gives no model "{repository}": asked for {commit}, it answered {info.sha}')
        # Of large files it says the sha256, of small ones git's name of their content.
        return json.dumps({one.rfilename: one.lfs.sha256 if one.lfs else one.blob_id for one in info.siblings or ()})

    found: dict[str, str | None] = json.loads(store.remember(f"{repository}@{commit}", ask))
    return found


def _bring(repository: str, commit: str, folder: Path, listed: Mapping[str, str | None], name: str) -> Path | None:
    """Return the path of one file, which is brought where it is not there; None where the commit has none."""
    import huggingface_hub

    if name not in listed:
        return None
    path = folder / name
    if path.is_file():
        return path
    if huggingface_hub.is_offline_mode():
        raise _offline(repository)
    brought = Path(_ask(repository, lambda: huggingface_hub.hf_hub_download(repository, name, revision=commit)))
    if (said := listed[name]) is not None and said not in (sha256_of(brought), git_blob(brought)):
        brought.resolve().unlink()
        brought.unlink(missing_ok=True)
        raise ModelError(f"{name} of {repository} came damaged, and was removed; run again")
    return brought


def git_blob(path: Path) -> str:
    """Return git's name of a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _ask(repository: str, ask: Callable[[], T]) -> T:
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return ask()
    except GatedRepoError as error:
        place = f"{constants.ENDPOINT}/{repository}"
        raise ModelError(f'"{repository}" is gated; ask for access at {place}, then set HF_TOKEN') from error
    except RepositoryNotFoundError as error:
        raise ModelError(f'"{repository}" is missing or private; mend the name, or set HF_TOKEN') from error
    except Exception as error:  # the client raises its own errors, those of httpx, and OSError
        raise ModelError(f'the hub gives no model "{repository}": {first_line(error)}') from error


def _offline(repository: str) -> ModelError:
    return ModelError(f'"{repository}" is not in the cache, or not all of it, and the run is offline; run once online')
