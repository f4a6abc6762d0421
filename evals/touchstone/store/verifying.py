"""Check of every file of a store; what is damaged can be removed, and is made again by a run."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from touchstone.errors import BaselineError, ConfigError
from touchstone.files.json import read_json
from touchstone.files.writing import move_aside
from touchstone.records.names import SAMPLES
from touchstone.store.blobs import open_blob
from touchstone.store.folder import CACHE_MARKER, MARKER, is_store, place_of, prepared, read_canaries
from touchstone.store.hashes import KEY, sha256_of
from touchstone.store.runs import read_any_run
from touchstone.store.segments import Segment
from touchstone.store.vectors import LEFTOVER_AGE_S, Embeddings

HEX = "[0-9a-f]"
# Data caches and spaces of vectors, by their names; what a project calls so itself has another.
CACHE = re.compile(rf"data/{HEX}{{16}}-{HEX}{{12}}-{HEX}{{8}}")
SPACE_NAME = re.compile(rf"embeddings/{HEX}{{16}}(-\d+)?")
BLOB = re.compile(rf"(outcomes|verdicts|examples|rankings|remembered)/[\w.-]+/{HEX}{{16}}\.blob")
RUN = re.compile(r"runs/[0-9TZ.]+\.json")
RESULT = re.compile(r"(results|stage[1-9])/[^/]+/[^/]+/[^/]+\.json")
IN_SPACE = r"(space\.json|canaries\.npy|models/[0-9a-f]+|[^/]+\.vectors)"
FILE = re.compile(
    "|".join([BLOB.pattern, SAMPLES.pattern, RUN.pattern, rf"{SPACE_NAME.pattern}/{IN_SPACE}"])
    + rf"|hashes\.blob|store\.json|\.gitignore|{RESULT.pattern}"
)
# Temporary files and folders that a killed process leaves behind.
LEFTOVER = re.compile(r"(.*/)?\.[^/]+\.[a-z0-9_]{8}(/.*)?|agreed/.*|.*\.aside-[0-9a-f]{8}(/.*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A file, or a data cache, that is not what was written.

    Args:
        path: of it.
        what: is wrong with it.
        mend: removes it, or what of it is damaged; None for what no store has written.
    """

    path: Path
    what: str
    mend: Callable[[], object] | None


def verify(folder: Path) -> Iterator[Damage]:
    """Read every file of a store, and yield what is not as it was written; links are not followed.

    Raises:
        ConfigError: the folder is no store.
    """
    need_store(folder)
    for directory, folders, names in os.walk(folder):
        parent = Path(directory)
        folders.sort()
        for name in list(folders):
            path = parent / name
            if path.is_symlink():
                yield Damage(path=path, what="is a link, and none of the store's", mend=None)
            elif FILE.fullmatch(path.relative_to(folder).as_posix()):
                folders.remove(name)
                mend = partial(move_aside, folder, path.relative_to(folder))
                yield Damage(path=path, what="is a folder in the place of a file", mend=mend)
            elif CACHE.fullmatch(path.relative_to(folder).as_posix()):
                folders.remove(name)
                yield from _check_cache(path)
        for name in sorted(names):
            yield from _check(folder, parent / name)


def need_store(folder: Path) -> None:
    """Refuse a folder that does not say that it is a store.

    Raises:
        ConfigError: saying so.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no store; a run makes one")
    if not is_store(folder):
        raise ConfigError(f"{folder} is no store: it has no {MARKER} that says so, which a run writes")


def _check(folder: Path, path: Path) -> Iterator[Damage]:
    name = path.relative_to(folder).as_posix()
    try:
        what = "is a link, and none of the store's" if path.is_symlink() else _find_damage(path, name)
    except ConfigError as error:  # a newer version wrote it
        what = str(error).removeprefix(f"{path}: ")
        yield Damage(path=path, what=what, mend=None)
        return
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
    if what is None:
        return
    if path.suffix == ".vectors" and what.startswith("has"):
        yield Damage(path=path, what=what, mend=lambda: Embeddings(path.parent).rewrite(path.name))
    else:
        yield Damage(path=path, what=what, mend=None if what.endswith("store's") else path.unlink)


def _find_damage(path: Path, name: str) -> str | None:
    """Return what is wrong with a file, None for nothing."""
    if LEFTOVER.fullmatch(name):
        return "was left behind by a process that was killed" if _age(path) > LEFTOVER_AGE_S else None
    if BLOB.fullmatch(name) or SAMPLES.fullmatch(name) or name == "hashes.blob":
        blob = open_blob(path)
        place = "hashes.blob" if blob is not None and blob[0] == KEY else blob and place_of(blob[0])
        return None if place == name else "is damaged" if blob is None else "is of another name"
    if RUN.fullmatch(name):
        return None if _is_readable(lambda: read_any_run(path)) else "is damaged"
    if SPACE_NAME.match(name):
        return _damage_in_space(path)
    if RESULT.fullmatch(name):
        return None if _is_readable(lambda: read_json(path, BaselineError, wide=True)) else "is damaged"
    return None if name in ("store.json", ".gitignore") else "is none of the store's"


def _damage_in_space(path: Path) -> str | None:
    if path.parent.name == "models":
        return None
    if path.suffix == ".vectors":
        return _damage_in_segment(path)
    if path.name == "canaries.npy":
        return "is damaged" if read_canaries(path) is None else None
    if path.name != "space.json":
        return "is none of the store's"
    return None if _is_readable(lambda: read_json(path, BaselineError)) else "is damaged"


def _damage_in_segment(path: Path) -> str | None:
    try:
        segment = Segment(path)
    except ValueError:
        return "is damaged"
    damaged = segment.header_rows - sum(len(keys) for keys, _ in segment.read())
    if damaged == segment.header_rows:
        return "is damaged"
    return f"has {damaged} damaged of {segment.header_rows} vectors" if damaged else None


def _is_readable(read: Callable[[], object]) -> bool:
    try:
        read()
    except (ValueError, EOFError, BaselineError):
        return False
    return True


def _check_cache(cache: Path) -> Iterator[Damage]:
    """Look at a data cache: what lies beside what was kept came later, and is removed when it is used."""
    try:
        files = dict(prepared(cache))
        hashes = read_json(cache / CACHE_MARKER, BaselineError) if (cache / CACHE_MARKER).exists() else {}
        mismatches = (name for name, sha256 in hashes.items() if name not in files or sha256_of(files[name]) != sha256)
        # Where that file is not there yet, it is being prepared.
        damaged = next(mismatches, None) if hashes or _age(cache) <= LEFTOVER_AGE_S else CACHE_MARKER
    except (OSError, ValueError, AttributeError, BaselineError):
        damaged = CACHE_MARKER
    if damaged is not None:
        yield Damage(path=cache / damaged, what="is damaged", mend=lambda: shutil.rmtree(cache))


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime
