"""Where a data set's bytes are: on the hub, or in a directory that mirrors its repositories."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from touchstone.errors import SourceError
from touchstone.records.cases import Source
from touchstone.store.folder import Store
from touchstone.store.hub import Snapshot, open_snapshot
from touchstone.store.modelscope import fetch_data


@dataclass(slots=True, kw_only=True)
class Reading:
    """What is read of a source for one task: its files, by their path inside their repository, and of which commits.

    Args:
        source: where repositories are.
        task: what needs them, for errors.
        dataset: the repository of the task itself; files of others are known by these too.
        wanted: says of a repository's configuration whether it is needed.
        reads: says all that is read, such as the task and its subsets.
        store: knows the hashes of files, and holds what the library prepares of them.
    """

    source: Source
    task: str
    dataset: str
    wanted: Callable[[str], bool]
    reads: str
    store: Store
    files: dict[str, Path] = field(default_factory=dict)
    revisions: dict[str, str | None] = field(default_factory=dict)
    found: dict[str, tuple[Path, Path]] = field(default_factory=dict)

    def find(self, repository: str, revision: str | None) -> tuple[Path, Path]:
        """Return the folder of a repository, and the one for what is prepared of these very files.

        `datasets` keys its cache by neither the content nor the directory of a data set whose README declares
        configurations, so an edited file would give the old rows; a cache folder per content cannot.

        Raises:
            SourceError: it is not there, or the hub does not give it.
        """
        if repository not in self.found:
            folder, files, self.revisions[repository] = self._find(repository, revision)
            self.found[repository] = folder, self.store.data_cache(self.store.files_sha256(files), self.reads)
        return self.found[repository]

    def keep(self) -> None:
        """Let later runs use what was prepared: the data did not change meanwhile."""
        for _, cache in self.found.values():
            self.store.keep_data_cache(cache)

    def drop(self) -> None:
        """Remove what was prepared: in a folder that was whole too, where the files have other times than before."""
        for _, cache in self.found.values():
            shutil.rmtree(cache, ignore_errors=True)

    def _find(self, repository: str, revision: str | None) -> tuple[Path, list[tuple[str, Path]], str | None]:
        if self.source.kind != "hub":
            folder, known = find_data(self.source, repository, self.task)
            return folder, _files_in(folder), known
        snapshot = open_snapshot(repository, revision, self.store, kind="dataset")
        snapshot.expect(names := wanted_files(snapshot, self.wanted))
        brought = ((name, snapshot.bring(name)) for name in names)
        return snapshot.folder, [(name, path) for name, path in brought if path is not None], snapshot.commit

    def note(self, data_files: Any) -> None:
        """Add the files that one configuration of a data set names."""
        for path in (Path(path) for paths in (data_files or {}).values() for path in paths):
            for repository, (folder, _) in self.found.items():
                if path.is_relative_to(folder):
                    prefix = "" if repository == self.dataset else f"{repository}/"
                    self.files[prefix + str(path.relative_to(folder))] = path


def wanted_files(snapshot: Snapshot, wanted: Callable[[str], bool]) -> list[str]:
    """Return the files of a data set on the hub but those of configurations that are not needed, as other languages.

    The library looks at the first configuration in any case.
    """
    import yaml

    readme = snapshot.bring("README.md")
    _, _, rest = ("" if readme is None else readme.read_text(encoding="utf-8")).partition("---\n")
    said = yaml.safe_load(rest.partition("\n---")[0]) or {}
    configs = [one for one in said.get("configs") or () if isinstance(one, dict)] if isinstance(said, dict) else []
    kept = [one for place, one in enumerate(configs) if place == 0 or wanted(str(one.get("config_name")))]
    dropped = {pattern for one in configs if one not in kept for pattern in _patterns(one.get("data_files"))}
    needed = {pattern for one in kept for pattern in _patterns(one.get("data_files"))}
    return [
        name for name in snapshot.listed
        if not _matches(name, dropped) or _matches(name, needed)
    ]  # fmt: skip


def _patterns(data_files: Any) -> Iterator[str]:
    """Yield the patterns of a configuration's files, in each of the ways that a README may write them."""
    for one in data_files if isinstance(data_files, list) else [data_files]:
        if isinstance(one, dict):
            yield from _patterns(one.get("path"))
        elif isinstance(one, str):
            yield one


def _matches(name: str, patterns: set[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


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


def _files_in(folder: Path) -> list[tuple[str, Path]]:
    return [(str(path.relative_to(folder)), path) for path in folder.rglob("*") if path.is_file()]
