"""Merge stores into one: samples, results, vectors, and cached outcomes.

Whatever the order in which stores are named, the same files come out. What is damaged stays where it is, links are not
followed, and run records are left to whoever reads them.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from touchstone.errors import BaselineError, ConfigError
from touchstone.files.inside import join_inside
from touchstone.files.writing import open_atomically, open_regular, read_bytes, write_atomically
from touchstone.records.names import SAMPLES
from touchstone.store.blobs import unseal
from touchstone.store.folder import CANARIES, MODELS, OUTCOMES, RANKINGS, SPACE, place_of
from touchstone.store.segments import Segment
from touchstone.store.vectors import SUFFIX
from touchstone.store.verifying import BLOB, RESULT, SPACE_NAME, need_store

# Files of a store with what was measured of a case.
MEASURED_FILE = re.compile(rf"{RESULT.pattern}|{SAMPLES.pattern}|rankings/[\w.-]+/[0-9a-f]{{16}}\.blob")
# mteb's metadata of a model, beside its results.
META = "model_meta.json"
# Makes one result in mteb's layout of two of the same model and task: the earlier and the later one.
Join = Callable[[bytes, bytes], bytes]


def gather(into: Path, sources: Sequence[Path], join: Join) -> tuple[str, ...]:
    """Copy the files of some stores into another; return sentences on what was not copied.

    Args:
        into: a store.
        sources: stores; one that is ``into`` itself is passed over.
        join: of two results that differ.

    Raises:
        ConfigError: one of them is no store, or was written by a newer version.
    """
    need_store(into)
    stores = []
    for source in sources:
        need_store(source)
        if source.resolve() != into.resolve() and source.resolve() not in stores:
            stores.append(source.resolve())
    notes: list[str] = []
    stores.sort(key=_first_bytes)
    strange = {model for source in stores for model in _take_vectors(into, source, notes)}
    for source in stores:
        for name in _files(source):
            if BLOB.fullmatch(name) or SAMPLES.fullmatch(name):
                _take_blob(into, source, name, strange)
    _take_results(into, stores, join)
    return tuple(notes)


def _files(folder: Path) -> Iterator[str]:
    for directory, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(directory, name).relative_to(folder).as_posix() for name in sorted(names))


def _first_bytes(source: Path) -> list[tuple[str, int]]:
    """Return the key to sort stores by, wherever they lie: the names and sizes of their files."""
    return [(name, (source / name).lstat().st_size) for name in _files(source)]


def _read_or_none(path: Path) -> bytes | None:
    try:
        return read_bytes(path, BaselineError, max_bytes=None)
    except BaselineError:  # it is no file, or cannot be read
        return None


def take(into: Path, name: str, content: bytes, join: Join | None = None) -> None:
    """Put a file of another store into a store: a blob, samples, or a result in mteb's layout.

    Args:
        into: the store.
        name: of the file in both.
        content: of it; what is damaged is not taken.
        join: of two results that differ; None for the later one.
    """
    if RESULT.fullmatch(name):
        existing = _read_or_none(into / name)
        if existing not in (None, content) and join is not None and not name.endswith(META):
            content = join(existing or b"", content)
        if content != existing:
            write_atomically(join_inside(into, name), content)
        return
    blob = unseal(content)
    if blob is None or place_of(blob[0]) != name:
        return
    existing = _read_or_none(into / name)
    # In whatever order they come, the same one stays.
    if existing is None or unseal(existing) is None or content < existing:
        write_atomically(join_inside(into, name), content)


def _take_blob(into: Path, source: Path, name: str, strange: set[str]) -> None:
    """Copy a blob that is whole; of two under one key, the first by its bytes stays."""
    kind, model = name.split("/")[:2]
    content = _read_or_none(source / name)
    if kind != "remembered" and content is not None and not (kind in (OUTCOMES, RANKINGS) and model in strange):
        take(into, name, content)


def _take_vectors(into: Path, source: Path, notes: list[str]) -> Iterator[str]:
    """Copy the vectors of each space; yield the models of those that another computation made than what is there."""
    for space in sorted((source / "embeddings").glob("*")):
        name = space.relative_to(source).as_posix()
        if not SPACE_NAME.fullmatch(name) or space.is_symlink() or not space.is_dir():
            continue
        target = into / name
        canaries, existing = _read_or_none(space / CANARIES), _read_or_none(target / CANARIES)
        if existing is not None and existing != canaries:
            notes.append(f"{space}: its vectors stay there; another processor or library made those of {target}")
            yield from (model.name for model in (space / MODELS).glob("*"))
            continue
        for file in (SPACE, CANARIES):
            if (content := _read_or_none(space / file)) is not None and not (target / file).exists():
                write_atomically(join_inside(into, f"{name}/{file}"), content)
        for model in (space / MODELS).glob("*"):
            mark = join_inside(into, f"{name}/{MODELS}/{model.name}")
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        for segment in sorted(space.glob(f"*{SUFFIX}")):
            _take_segment(segment, join_inside(into, f"{name}/{segment.name}"))


def _take_segment(segment: Path, target: Path) -> None:
    if target.exists() or segment.name.startswith("."):
        return
    with suppress(ValueError, OSError, ConfigError):  # what is damaged is encoded again
        Segment(segment)
        with open_regular(segment, ConfigError) as source, open_atomically(target) as file:
            shutil.copyfileobj(source, file, 1 << 20)


def _take_results(into: Path, sources: Sequence[Path], join: Join) -> None:
    """Copy results in mteb's layout; those of one model and task become one, which keeps the subsets of each."""
    names = sorted({name for source in sources for name in _files(source) if RESULT.fullmatch(name)})
    for name in names:
        for content in sorted({content for source in sources if (content := _read_or_none(source / name)) is not None}):
            take(into, name, content, join)
