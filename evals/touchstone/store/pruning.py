"""The parts of a store, and the removal of what can be recreated."""

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from touchstone.errors import ConfigError
from touchstone.files.json import read_json
from touchstone.files.locking import locked
from touchstone.records.names import SAMPLES
from touchstone.store.folder import AGREEMENTS, EXAMPLES, MARKER, OUTCOMES, RANKINGS, SPACE, VERDICTS, Store
from touchstone.store.runs import load_runs
from touchstone.store.vectors import Embeddings
from touchstone.store.verifying import BLOB, CACHE, SPACE_NAME, need_store

# A look-up may search every segment of a space: more than these are merged.
MAX_SEGMENTS = 8
CACHES = (OUTCOMES, VERDICTS, EXAMPLES, RANKINGS)
DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a store: its size in bytes, its files, and how many days ago it was last used."""

    name: str
    folder: Path
    files: int
    size: int
    idle: float


def take_stock(store: Store) -> tuple[Part, ...]:
    """List the parts of a store: runs, samples, results, each data cache, and what is known of each model.

    Raises:
        ConfigError: there is no such store.
    """
    need_store(store.folder)
    return tuple(_measure(name, folder) for name, folder in _parts(store.folder))


@contextmanager
def unused(store: Store) -> Iterator[None]:
    """Keep runs from using a store as long as the context.

    Raises:
        ConfigError: one does, or it is no store.
    """
    need_store(store.folder)
    with locked(store.folder / MARKER, wait=False) as is_free:
        if not is_free:
            raise ConfigError(f"{store.folder} is used by a run; wait until that has ended")
        yield


def prune(store: Store, days: float) -> tuple[tuple[Part, ...], int]:
    """Delete data that can be recreated and was not used for ``days`` days; merge what many runs wrote.

    Cached outcomes, verdicts, examples and rankings are pruned file by file. Run records, results and the samples that
    run records name stay, as does all that no store has written.

    Returns:
        What was removed, and how many samples that no run names.

    Raises:
        ConfigError: a run uses the store, or it is no store.
        BaselineError: a run record is damaged, so that nobody knows which samples it names.
    """
    with unused(store):
        named_samples = {record.samples for run in load_runs(store.folder) for record in run.records}
        parts = [part for part in take_stock(store) if _can_be_made_again(part) and part.idle > days]
        for part in parts:
            if not part.name.startswith(CACHES):
                shutil.rmtree(part.folder)
        _remove([path for kind in CACHES for path in _files(store.folder, kind, BLOB)], days)
        for part in parts:
            with suppress(OSError):  # it is not empty, or went as a whole
                part.folder.rmdir()
        for run in (store.folder / AGREEMENTS).glob("*"):
            if not run.is_symlink() and run.is_dir():
                shutil.rmtree(run)
        for folder in _spaces(store.folder):
            Embeddings(folder).merge(MAX_SEGMENTS)
        samples = _files(store.folder, "samples", SAMPLES)
        orphans = [path for path in samples if path.relative_to(store.folder).as_posix() not in named_samples]
        return tuple(parts), _remove(orphans, max(days, 1))  # a run of yesterday may not have written its record yet


def _files(folder: Path, kind: str, pattern: re.Pattern[str]) -> list[Path]:
    """Return the files of one kind that the store has written."""
    paths = (Path(directory, name) for directory, _, names in os.walk(folder / kind) for name in names)
    return [path for path in paths if pattern.fullmatch(path.relative_to(folder).as_posix())]


def _remove(paths: Iterable[Path], days: float) -> int:
    """Remove files that were not used for so many days; return how many."""
    unused_paths = [path for path in paths if time.time() - path.lstat().st_mtime > days * DAY_S]
    for path in unused_paths:
        path.unlink()
    return len(unused_paths)


def _parts(folder: Path) -> Iterator[tuple[str, Path]]:
    for name in ("runs", "samples", "results", *(f"stage{number}" for number in range(1, 10))):
        if _is_folder(folder / name):
            yield name, folder / name
    for data in sorted((folder / "data").glob("*")):
        if CACHE.fullmatch(f"data/{data.name}") and _is_folder(data):
            yield f"data {data.name[:16]}", data
    for kind in CACHES:
        yield from ((f"{kind} {model.name}", model) for model in sorted((folder / kind).glob("*")) if _is_folder(model))
    for space in _spaces(folder):
        yield f"vectors {_describe(space)}", space


def _spaces(folder: Path) -> list[Path]:
    spaces = (path.parent for path in sorted((folder / "embeddings").glob(f"*/{SPACE}")))
    return [path for path in spaces if SPACE_NAME.fullmatch(f"embeddings/{path.name}") and _is_folder(path)]


def _is_folder(path: Path) -> bool:
    """Return True for a folder of the store's own, which a link is not, nor what lies behind one."""
    return path.is_dir() and not path.is_symlink() and not path.parent.is_symlink()


def _describe(space: Path) -> str:
    """Return the name of a space of vectors, from its file."""
    try:
        fields = read_json(space / SPACE, ConfigError)
        if "url" in fields:
            return f"{fields['model']} {fields['fingerprint']} from {fields['url']}"
        words = [str(fields[name]) for name in ("model", "fingerprint", "dtype", "device")]
        return f"{' '.join(words)}, torch {fields['torch']}"
    except (ConfigError, KeyError, TypeError):
        return space.name


def _measure(name: str, folder: Path) -> Part:
    statuses = []
    for directory, _, names in os.walk(folder):
        for file in names:
            with suppress(FileNotFoundError):  # a run beside this has removed it
                statuses.append(Path(directory, file).lstat())
    statuses = [status for status in statuses if S_ISREG(status.st_mode)]
    newest = max((status.st_mtime for status in statuses), default=folder.stat().st_mtime)
    return Part(
        name=name,
        folder=folder,
        files=len(statuses),
        size=sum(status.st_size for status in statuses),
        idle=max(0.0, (time.time() - newest) / DAY_S),
    )


def _can_be_made_again(part: Part) -> bool:
    return part.name.startswith(("data ", "vectors ", *CACHES))
