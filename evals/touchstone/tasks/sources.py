"""Where a data set's bytes are: on the hub, or in a directory that mirrors its repositories."""

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
FRONT = re.compile(r"\s*---\n([\S\s]*?)\n---[ \t]*(?:\n|$)")
README, ALONE = "README.md", ".huggingface.yaml"


@dataclass(slots=True, kw_only=True)
class Reading:
    """What is read of a source for one task: its files, by their path inside their repository, and of which commits.

    Args:
        source: where repositories are.
        task: what needs them, for errors.
        dataset: the repository of the task itself; files of others are known by these too.
        asked: the revision of it that mteb asks for.
        wanted: says of a repository's configuration whether it is needed.
        reads: says all that is read, such as the task and its subsets.
        own: where a class of the user's own has data prepared that is of no repository; it may read anything.
        loader: names that class, where it loads by itself.
        store: knows the hashes of files, and holds what the library prepares of them.
    """

    source: Source
    task: str
    dataset: str
    asked: str | None
    wanted: Callable[[str], bool]
    reads: str
    store: Store
    own: Path | None = None
    loader: str | None = None
    files: dict[str, Path] = field(default_factory=dict)
    revisions: dict[str, str | None] = field(default_factory=dict)
    found: dict[str, tuple[Path, Path]] = field(default_factory=dict)
    prepared: list[Watch] = field(default_factory=list)
    brought: list[tuple[Snapshot, str | None, list[str]]] = field(default_factory=list)

    def find(self, repository: str, revision: str | None) -> tuple[Path | None, Path]:
        """Return the folder of a repository, and the one for what is prepared of these very files.

        Of a format, such as ``json``, which a loader of the user's own may name in its place, there is no folder.

        `datasets` keys its cache by neither the content nor the directory of a data set whose README declares
        configurations, so an edited file would give the old rows; a cache folder per content cannot.

        Raises:
            SourceError: it is not there, or the hub does not give it.
        """
        if self.own is not None and is_format(repository):
            return None, self.own
        if repository not in self.found:
            folder, files, self.revisions[repository] = self._find(repository, revision)
            refuse_bombs(files)
            cache, watch = self.store.data_cache(self.store.files_sha256(files), self.reads)
            self.found[repository] = folder, cache
            self.prepared.append(watch)
        return self.found[repository]

    def keep(self) -> None:
        """Let later runs use what was prepared: the data did not change meanwhile."""
        with self.store.watching() as watch:
            for _, cache in self.found.values():
                self.store.keep_data_cache(cache)
        self.prepared.append(watch)

    def check_prepared(self) -> None:
        """Look at what was prepared again: while a task is evaluated, much of it is still read from there.

        Raises:
            SourceError: it has changed.
        """
        moved = next(filter(None, (watch.moved() for watch in self.prepared)), None)
        if moved is not None:
            what = f"{moved}, prepared for {self.task}, changed while it was measured"
            raise SourceError(f"{what}, and nothing of that is kept; run again")

    def drop(self) -> None:
        """Remove what was prepared: in a folder that was whole too, where the files have other times than before."""
        for _, cache in self.found.values():
            shutil.rmtree(cache, ignore_errors=True)

    def _find(self, repository: str, revision: str | None) -> tuple[Path, list[tuple[str, Path]], str | None]:
        mirrored = None
        if self.own is not None and (inside := find_folder(repository)) is not None:
            return inside, files_in(inside), None
        if self.source.kind == "mirror" and self.source.path is not None:
            mirrored = open_mirrored(self.source.path, repository, revision, self.store, "dataset")
            if mirrored is None and (manifest := self.source.path / MANIFEST).is_file():
                raise SourceError(f'{manifest} has no data set "{repository}" (needed by {self.task}); fetch it')
        if self.source.kind != "hub" and mirrored is None:
            folder, known = find_data(self.source, repository, self.task, self.store)
            refuse_elsewhere(folder, str(folder))
            refuse_links(there := files_in(folder), (self.source.path or Path()).resolve())
            refuse_climbing(there)
            return folder, there, known
        snapshot = mirrored or open_snapshot(repository, revision, self.store, kind="dataset")
        names = wanted_files(snapshot, self.wanted)
        snapshot.expect(names)
        brought = ((name, snapshot.bring(name)) for name in names)
        files = [(name, path) for name, path in brought if path is not None]
        self.brought.append((snapshot, revision, names))
        refuse_elsewhere(snapshot.folder, f'"{repository}"')
        if self.source.path is not None:  # a cache's files are links
            refuse_links(files_in(snapshot.folder), self.source.path.resolve())
        refuse_climbing(files)
        return snapshot.folder, files, snapshot.commit

    def note(self, data_files: Any) -> None:
        """Add the files that one configuration of a data set names."""
        for path in (Path(os.path.normpath(path)) for paths in (data_files or {}).values() for path in paths):
            inside = [(name, folder) for name, (folder, _) in self.found.items() if path.is_relative_to(folder)]
            if not inside and self.own is None:
                raise SourceError(f"{self.task} would read {path}, which is in no data set of its source")
            for repository, folder in inside:
                prefix = "" if repository == self.dataset else f"{repository}/"
                self.files[prefix + str(path.relative_to(folder))] = path


def wanted_files(snapshot: Snapshot, wanted: Callable[[str], bool]) -> list[str]:
    """Return the files of a data set on the hub but those of configurations that are not needed, as other languages.

    The library looks at the first configuration in any case.
    """
    configs = _configs(snapshot.bring(README))
    kept = [one for place, one in enumerate(configs) if place == 0 or wanted(str(one.get("config_name")))]
    dropped = {pattern for one in configs if one not in kept for pattern in _patterns(one.get("data_files"))}
    needed = {pattern for one in kept for pattern in _patterns(one.get("data_files"))}
    # Where the README is not all that says what a configuration is made of, nothing is left out.
    if ALONE in snapshot.listed or not all(one.get("data_files") and "data_dir" not in one for one in kept):
        return list(snapshot.listed)
    return [name for name in snapshot.listed if not _may_match(name, dropped) or _may_match(name, needed)]


def _configs(file: Path | None) -> list[dict[str, Any]]:
    """Return the configurations that a data set declares, in its README or in a file for these alone."""
    if file is None or not file.is_file():
        return []
    text = read_text(file, SourceError)
    line = 1
    if file.name == README:
        found = FRONT.match(text)
        text, line = (found[1], text.count("\n", 0, found.start(1)) + 1) if found else ("", 1)
    try:
        said = parse_yaml(text, str(file), line=line, error=SourceError)
    except SourceError as error:
        raise SourceError(f"{error}; fetch it again") from None
    configs = said.get("configs") if isinstance(said, dict) else None
    return [one for one in configs if isinstance(one, dict)] if isinstance(configs, list) else []


def refuse_elsewhere(folder: Path, called: str) -> None:
    """Refuse a data set that would have a library read what is not in it, before any looks at it.

    Args:
        folder: of the data set.
        called: what people call it.

    Raises:
        SourceError: naming what leads elsewhere.
    """
    for name in (README, ALONE):
        for config in _configs(folder / name):
            for pattern in (*_patterns(config.get("data_files")), *_patterns(config.get("data_dir"))):
                if ":" in pattern or Path(pattern).is_absolute() or ".." in Path(pattern).parts:
                    raise SourceError(
                        f'{called}: {name} takes data from "{pattern}"; it may name files in its own folder alone'
                    )


def refuse_links(files: Iterable[tuple[str, Path]], root: Path) -> None:
    """Refuse files of a mirror that are links to what lies outside of it.

    Raises:
        SourceError: naming one.
    """
    for _, path in files:
        if not path.resolve().is_relative_to(root):
            raise SourceError(f"{path} is a link that leaves {root}; put the file itself there")


def refuse_bombs(files: Iterable[tuple[str, Path]]) -> None:
    """Refuse files with names that are no text, and Parquet that has more rows than its bytes can mean.

    Raises:
        SourceError: naming one.
    """
    for name, path in files:
        if not is_unicode(name):
            raise SourceError(f"{path}: its name is not UTF-8; rename it")
        if name.endswith(".parquet"):
            with suppress(ValueError, OSError), path.open("rb") as file:  # what is no Parquet the library refuses
                refuse_bomb(read_footer(file), path.stat().st_size, str(path), SourceError)


def refuse_climbing(files: Iterable[tuple[str, Path]]) -> None:
    """Refuse archives with members that would lie elsewhere, or are links, before anything is unpacked.

    Raises:
        SourceError: naming archive and member.
    """
    for _, path in files:
        if (member := find_climbing(path)) is not None:
            raise SourceError(f'{path} has the member "{member}", which is no file or folder inside; pack it anew')


def _patterns(data_files: Any) -> Iterator[str]:
    """Yield the patterns of a configuration's files, in each of the ways that a README may write them."""
    for one in data_files if isinstance(data_files, list) else [data_files]:
        if isinstance(one, dict):
            yield from _patterns(one.get("path", list(one.values())))
        elif isinstance(one, str):
            yield one


def _may_match(name: str, patterns: set[str]) -> bool:
    """Return whether a file may be one of those meant: what the library's own matcher takes, and more."""
    plain = (os.path.normpath(pattern).replace("**/", "*") for pattern in patterns)
    return any(set("[{") & set(one) or fnmatch(name, one) or name.startswith(f"{one}/") for one in plain)


def find_folder(dataset: str) -> Path | None:
    """Return the folder that a data set's path names, as datasets would find it; None where there is none."""
    path = Path(dataset)
    return path.resolve() if dataset and path.is_dir() else None


def find_data(source: Source, dataset: str, task: str, store: Store) -> tuple[Path, str | None]:
    """Return the directory of a data set in a mirror, and the revision that a hub other than mteb's has given.

    One of ModelScope is fetched into the mirror first.

    Raises:
        SourceError: it is not there; says how to fetch it.
    """
    if source.kind == "modelscope":
        found, revision = fetch_data(dataset, source.path or Path(), task, store)
        return found, f"modelscope:{revision}"
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
    return store.files_sha256(files_in(folder.resolve()))


def go_offline() -> None:
    """Forbid network calls: by the environment for what is not imported yet and for workers, else directly."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    for module in ("huggingface_hub.constants", "datasets.config"):
        if module in sys.modules:
            sys.modules[module].HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


def files_in(folder: Path) -> list[tuple[str, Path]]:
    """Return all files of a folder, through links to folders too."""
    found, seen = [], set[str]()
    for inside, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(inside)
        if real in seen:
            folders.clear()  # a link leads back to where it lies
            continue
        seen.add(real)
        paths = (Path(inside, name) for name in names)
        found += [(str(path.relative_to(folder)), path) for path in paths if path.is_file()]
    return found
