"""What a store holds, and what of it can go."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from touchstone.errors import ConfigError
from touchstone.store.folder import AGREED, EXAMPLES, OUTCOMES, RANKINGS, SPACE, VERDICTS, Store
from touchstone.store.vectors import Embeddings

# Each segment of a space is looked through for what no other has: more than these are made one.
MANY = 8
KNOWN = (OUTCOMES, VERDICTS, EXAMPLES, RANKINGS)
DAY = 86_400


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
    if not store.folder.is_dir():
        raise ConfigError(f"{store.folder}: there is no store; a run makes one")
    return tuple(_measure(name, folder) for name, folder in _parts(store.folder))


def prune(store: Store, days: float) -> tuple[tuple[Part, ...], int]:
    """Delete data that can be recreated and was not used for ``days`` days; merge what many runs wrote.

    Cached outcomes, verdicts, examples and rankings are pruned file by file. Run records, results and the samples that
    run records name stay.

    Returns:
        What was removed, and how many samples that no run names.
    """
    gone = [part for part in take_stock(store) if _can_be_made_again(part) and part.idle > days]
    for part in gone:
        shutil.rmtree(part.folder)
    for path in [path for kind in KNOWN for path in (store.folder / kind).rglob("*.*")]:
        if time.time() - path.stat().st_mtime > days * DAY:  # of a key that nothing has any more
            path.unlink()
    for run in (store.folder / AGREED).glob("*"):
        if time.time() - run.stat().st_mtime > DAY:  # no run takes that long between a first and a last look
            shutil.rmtree(run)
    for folder in _spaces(store.folder):
        Embeddings(folder).merge(MANY)
    return tuple(gone), _remove_orphans(store.folder, days)


def _parts(folder: Path) -> Iterator[tuple[str, Path]]:
    for name in ("runs", "samples", "results", "stage1", "stage2"):
        if (folder / name).is_dir():
            yield name, folder / name
    for data in sorted((folder / "data").glob("*")):
        yield f"data {data.name[:16]}", data
    for kind in KNOWN:
        for model in sorted((folder / kind).glob("*")):
            yield f"{kind} {model.name}", model
    for space in _spaces(folder):
        yield f"vectors {_describe(space)}", space


def _spaces(folder: Path) -> list[Path]:
    return [path.parent for path in sorted((folder / "embeddings").glob(f"*/{SPACE}"))]


def _describe(space: Path) -> str:
    """Name a space of vectors by what its file says."""
    try:
        said = json.loads((space / SPACE).read_text(encoding="utf-8"))
        if "url" in said:
            return f"{said['model']} {said['fingerprint']} from {said['url']}"
        return f"{said['model']} {said['fingerprint']} {said['dtype']} {said['device']}, torch {said['torch']}"
    except (OSError, ValueError, KeyError, TypeError):
        return space.name


def _measure(name: str, folder: Path) -> Part:
    found = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a run beside this has removed it
            found.append(path.stat())
    found = [status for status in found if S_ISREG(status.st_mode)]
    newest = max((status.st_mtime for status in found), default=folder.stat().st_mtime)
    return Part(
        name=name,
        folder=folder,
        files=len(found),
        size=sum(status.st_size for status in found),
        idle=max(0.0, (time.time() - newest) / DAY),
    )


def _can_be_made_again(part: Part) -> bool:
    return part.name.startswith(("data ", "vectors ", *KNOWN))


def _remove_orphans(folder: Path, days: float) -> int:
    """Remove old samples that no run record names; a run in progress has not written its record yet."""
    named = {
        record.get("samples")
        for path in (folder / "runs").glob("*.json")
        for record in json.loads(path.read_text(encoding="utf-8"))["records"]
    }
    old = [
        path
        for path in (folder / "samples").rglob("*.blob")
        if path.relative_to(folder).as_posix() not in named and time.time() - path.stat().st_mtime > max(days, 1) * DAY
    ]
    for path in old:
        path.unlink()
    return len(old)
