"""Where a data set's bytes are: on the hub, or in a directory that mirrors its repositories."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from touchstone.errors import SourceError
from touchstone.records.cases import Source
from touchstone.seams import local_datasets
from touchstone.store.folder import Store
from touchstone.store.modelscope import fetch_data


@dataclass(slots=True)
class Reading:
    """What was read of a mirrored data set, by its path inside the set's directory."""

    folder: Path
    files: dict[str, Path] = field(default_factory=dict)

    def note(self, data_files: Any) -> None:
        """Add the files that one configuration of the data set names."""
        for paths in (data_files or {}).values():
            for path in map(Path, paths):
                self.files[str(path.relative_to(self.folder))] = path


def find_data(source: Source, dataset: str, task: str) -> tuple[Path, str | None]:
    """Return the directory of a data set in a mirror, and the revision that a hub other than mteb's has given.

    One of ModelScope is fetched into the mirror first.

    Raises:
        SourceError: it is not there; says how to fetch it.
    """
    if source.kind == "modelscope":
        fetched = fetch_data(dataset, source.path or Path(), task)
        return fetched.folder, f"modelscope:{fetched.revision}"
    folder = (source.path or Path()) / dataset
    if not folder.is_dir():
        raise SourceError(
            f'mirror {source.path} has no data set "{dataset}" (needed by {task}); fetch it with: '
            f"hf download --repo-type dataset {dataset} --local-dir {folder}"
        )
    return folder.resolve(), None


def find_content(source: Source, dataset: str, store: Store) -> str:
    """Return the hash of all files of a data set in a mirror; nothing is fetched.

    Raises:
        SourceError: it is not there.
    """
    folder = (source.path or Path()) / dataset
    if not folder.is_dir():
        raise SourceError(f'{source} has no data set "{dataset}"')
    return store.files_sha256(_files_in(folder.resolve()))


def go_offline() -> None:
    """Forbid network calls: by the environment for what is not imported yet and for workers, else directly."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    for module in ("huggingface_hub.constants", "datasets.config"):
        if module in sys.modules:
            sys.modules[module].HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


@contextmanager
def reading(folder: Path, store: Store) -> Iterator[Reading]:
    """Let `datasets` read one directory without a network, through a cache that belongs to its content.

    `datasets` keys its cache by neither the content nor the directory of a data set whose README declares
    configurations, so an edited file would give the old rows; a cache folder per content cannot.
    """
    seen = Reading(folder)
    with local_datasets(store.data_cache(store.files_sha256(_files_in(folder))), seen.note):
        yield seen


def _files_in(folder: Path) -> list[tuple[str, Path]]:
    return [(str(path.relative_to(folder)), path) for path in folder.rglob("*") if path.is_file()]
