"""Sources of data sets: the hub, or a directory that mirrors its repositories."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from touchstone.errors import SourceError
from touchstone.files.archives import find_climbing
from touchstone.files.footers import read_footer
from touchstone.files.parquet import refuse_bomb
from touchstone.files.plain import is_unicode
from touchstone.files.writing import read_text
from touchstone.files.yaml import parse_yaml
from touchstone.records.cases import Source
from touchstone.seams import is_format
from touchstone.store.folder import Store
from touchstone.store.hashes import Watch
from touchstone.store.hub import Snapshot, open_snapshot
from touchstone.store.mirrors import MANIFEST, open_mirrored
from touchstone.store.modelscope import fetch_data

# The front matter of a README, as the hub's library finds it.
FRONT_MATTER = re.compile(r"\s*---\n([\S\s]*?)\n---[ \t]*(?:\n|$)")
README, CONFIG_FILE = "README.md", ".huggingface.yaml"


@dataclass(slots=True, kw_only=True)
class Reading:
    """The files and commits that one task reads of a source, with the files by their path inside their repository.

    Args:
        source: where repositories are.
        task: the name of the task, for errors.
        dataset: the repository of the task itself; the paths of files of others begin with their repository.
        expected_revision: the revision of this repository that mteb asks for.
        needs_config: returns whether a repository's configuration is needed.
        scope: names everything that is read, such as the task and its subsets; a part of the cache's key.
        scratch: a folder for data that a user's class has prepared of no repository; such a class may read anything.
        loader: the reference of a user's class that loads by itself.
        store: has the hashes of files, and the cache of what the library prepares of them.
    """

    source: Source
    task: str
    dataset: str
    expected_revision: str | None
    needs_config: Callable[[str], bool]
    scope: str
    store: Store
    scratch: Path | None = None
    loader: str | None = None
    files: dict[str, Path] = field(default_factory=dict)
    revisions: dict[str, str | None] = field(default_factory=dict)
    folders: dict[str, tuple[Path, Path]] = field(default_factory=dict)
    watches: list[Watch] = field(default_factory=list)
    snapshots: list[tuple[Snapshot, str | None, list[str]]] = field(default_factory=list)

    def find(self, repository: str, revision: str | None) -> tuple[Path | None, Path]:
        """Return the folder of a repository, and the cache folder of its present content.

        A format, such as ``json``, which a user's own loader may name in the place of a repository, has no folder.

        `datasets` keys its cache by neither the content nor the directory of a data set whose README declares
        configurations, so an edited file would give the old rows; a cache folder for each content cannot.

        Raises:
            SourceError: the repository is not there, or the hub does not give it.
        """
        if self.scratch is not None and is_format(repository):
            return None, self.scratch
        if repository not in self.folders:
            folder, files, self.revisions[repository] = self._find(repository, revision)
            refuse_bombs(files)
            cache, watch = self.store.data_cache(self.store.files_sha256(files), self.scope)
            self.folders[repository] = folder, cache
            self.watches.append(watch)
        return self.folders[repository]

    def keep(self) -> None:
        """Let later runs use the cache: the data did not change meanwhile."""
        with self.store.watching() as watch:
            for _, cache in self.folders.values():
                self.store.keep_data_cache(cache)
        self.watches.append(watch)

    def check_prepared(self) -> None:
        """Check that the cache has not changed: while a task is evaluated, much of its data is still read from there.

        Raises:
            SourceError: the cache has changed.
        """
        moved = next(filter(None, (watch.moved() for watch in self.watches)), None)
        if moved is not None:
            fault = f"{moved}, prepared for {self.task}, changed while it was measured"
            raise SourceError(f"{fault}, and nothing of that is kept; run again")

    def drop(self) -> None:
        """Remove the cache, also a complete one: the times of its files are not those that are on record."""
        for _, cache in self.folders.values():
            shutil.rmtree(cache, ignore_errors=True)

    def _find(self, repository: str, revision: str | None) -> tuple[Path, list[tuple[str, Path]], str | None]:
        mirrored = None
        if self.scratch is not None and (local := find_folder(repository)) is not None:
            return local, files_in(local), None
        if self.source.kind == "mirror" and self.source.path is not None:
            mirrored = open_mirrored(self.source.path, repository, revision, self.store, "dataset")
            if mirrored is None and (manifest := self.source.path / MANIFEST).is_file():
                raise SourceError(f'{manifest} has no data set "{repository}" (needed by {self.task}); fetch it')
        if self.source.kind != "hub" and mirrored is None:
            folder, commit = find_data(self.source, repository, self.task, self.store)
            refuse_elsewhere(folder, str(folder))
            refuse_links(files := files_in(folder), (self.source.path or Path()).resolve())
            refuse_climbing(files)
            return folder, files, commit
        snapshot = mirrored or open_snapshot(repository, revision, self.store, kind="dataset")
        names = wanted_files(snapshot, self.needs_config)
        snapshot.expect(names)
        files = [(name, path) for name in names if (path := snapshot.bring(name)) is not None]
        self.snapshots.append((snapshot, revision, names))
        refuse_elsewhere(snapshot.folder, f'"{repository}"')
        if self.source.path is not None:  # a cache's files are links
            refuse_links(files_in(snapshot.folder), self.source.path.resolve())
        refuse_climbing(files)
        return snapshot.folder, files, snapshot.commit

    def note(self, data_files: Any) -> None:
        """Add the files that one configuration of a data set names."""
        for path in (Path(os.path.normpath(path)) for paths in (data_files or {}).values() for path in paths):
            inside = [(name, folder) for name, (folder, _) in self.folders.items() if path.is_relative_to(folder)]
            if not inside and self.scratch is None:
                raise SourceError(f"{self.task} would read {path}, which is in no data set of its source")
            for repository, folder in inside:
                prefix = "" if repository == self.dataset else f"{repository}/"
                self.files[prefix + str(path.relative_to(folder))] = path


def wanted_files(snapshot: Snapshot, is_needed: Callable[[str], bool]) -> list[str]:
    """Return the files of a data set on the hub without those of configurations that are not needed.

    The library looks at the first configuration in any case.
    """
    configs = _configs(snapshot.bring(README))
    needed = [config for place, config in enumerate(configs) if place == 0 or is_needed(str(config.get("config_name")))]
    # Where the README alone does not say which files a configuration has, nothing is left out.
    complete = all(config.get("data_files") and "data_dir" not in config for config in needed)
    if CONFIG_FILE in snapshot.listed or not complete:
        return list(snapshot.listed)
    patterns = {pattern for config in needed for pattern in _patterns(config.get("data_files"))}
    others = {item for config in configs if config not in needed for item in _patterns(config.get("data_files"))}
    return [name for name in snapshot.listed if not _may_match(name, others) or _may_match(name, patterns)]


def _configs(file: Path | None) -> list[dict[str, Any]]:
    """Return the configurations that a data set declares, in its README or in a file for these alone."""
    if file is None or not file.is_file():
        return []
    text = read_text(file, SourceError)
    line = 1
    if file.name == README:
        front = FRONT_MATTER.match(text)
        text, line = (front[1], text.count("\n", 0, front.start(1)) + 1) if front else ("", 1)
    try:
        metadata = parse_yaml(text, str(file), line=line, error=SourceError)
    except SourceError as error:
        raise SourceError(f"{error}; fetch it again") from None
    configs = metadata.get("configs") if isinstance(metadata, dict) else None
    return [config for config in configs if isinstance(config, dict)] if isinstance(configs, list) else []


def refuse_elsewhere(folder: Path, label: str) -> None:
    """Refuse a data set that would make a library read files outside of its folder, before any library looks at it.

    Args:
        folder: the folder of the data set.
        label: the data set in errors.

    Raises:
        SourceError: names the pattern that leads elsewhere.
    """
    for name in (README, CONFIG_FILE):
        for config in _configs(folder / name):
            for pattern in (*_patterns(config.get("data_files")), *_patterns(config.get("data_dir"))):
                if ":" in pattern or Path(pattern).is_absolute() or ".." in Path(pattern).parts:
                    raise SourceError(
                        f'{label}: {name} takes data from "{pattern}"; it may name files in its own folder alone'
                    )


def refuse_links(files: Iterable[tuple[str, Path]], root: Path) -> None:
    """Refuse files of a mirror that are links to files outside of it.

    Raises:
        SourceError: names one of them.
    """
    for _, path in files:
        if not path.resolve().is_relative_to(root):
            raise SourceError(f"{path} is a link that leaves {root}; put the file itself there")


def refuse_bombs(files: Iterable[tuple[str, Path]]) -> None:
    """Refuse files with names that are not text, and Parquet with more rows than its bytes can hold.

    Raises:
        SourceError: names one of them.
    """
    for name, path in files:
        if not is_unicode(name):
            raise SourceError(f"{path}: its name is not UTF-8; rename it")
        if name.endswith(".parquet"):
            with suppress(ValueError, OSError), path.open("rb") as file:  # the library refuses invalid Parquet
                refuse_bomb(read_footer(file), path.stat().st_size, str(path), SourceError)


def refuse_climbing(files: Iterable[tuple[str, Path]]) -> None:
    """Refuse archives with members that are links or would lie elsewhere, before anything is unpacked.

    Raises:
        SourceError: names the archive and the member.
    """
    for _, path in files:
        if (member := find_climbing(path)) is not None:
            raise SourceError(f'{path} has the member "{member}", which is no file or folder inside; pack it anew')


def _patterns(data_files: Any) -> Iterator[str]:
    """Yield the patterns of a configuration's files, however a README writes them."""
    for item in data_files if isinstance(data_files, list) else [data_files]:
        if isinstance(item, dict):
            yield from _patterns(item.get("path", list(item.values())))
        elif isinstance(item, str):
            yield item


def _may_match(name: str, patterns: set[str]) -> bool:
    """Return True if a file may match one of the patterns; more files do than by the library's own matcher."""
    plain = (os.path.normpath(glob).replace("**/", "*") for glob in patterns)
    return any(set("[{") & set(glob) or fnmatch(name, glob) or name.startswith(f"{glob}/") for glob in plain)


def find_folder(dataset: str) -> Path | None:
    """Return the local folder that a data set's path names, as datasets would find it; None if there is none."""
    path = Path(dataset)
    return path.resolve() if dataset and path.is_dir() else None


def find_data(source: Source, dataset: str, task: str, store: Store) -> tuple[Path, str | None]:
    """Return the directory of a data set in a mirror, and the revision that a hub other than mteb's has given.

    A data set of ModelScope is fetched into the mirror first.

    Raises:
        SourceError: the data set is not there; the sentence has the command to fetch it.
    """
    if source.kind == "modelscope":
        folder, revision = fetch_data(dataset, source.path or Path(), task, store)
        return folder, f"modelscope:{revision}"
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
        SourceError: the data set is not there.
    """
    folder = (source.path or Path()) / dataset
    if not folder.is_dir():
        raise SourceError(f'{source} has no data set "{dataset}"')
    return store.files_sha256(files_in(folder.resolve()))


def go_offline() -> None:
    """Forbid network calls: by the environment for later imports and for workers, and directly in imported modules."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    for module in ("huggingface_hub.constants", "datasets.config"):
        if module in sys.modules:
            sys.modules[module].HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


def files_in(folder: Path) -> list[tuple[str, Path]]:
    """Return all files of a folder, through links to folders too."""
    files, seen = [], set[str]()
    for inside, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(inside)
        if real in seen:
            folders.clear()  # a link leads back to where it lies
            continue
        seen.add(real)
        paths = (Path(inside, name) for name in names)
        files += [(str(path.relative_to(folder)), path) for path in paths if path.is_file()]
    return files
