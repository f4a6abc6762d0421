"""The documents of a user's folder, read block by block into a file of Arrow's, so that a corpus may be large."""

import hashlib
import mmap
import tempfile
from array import array
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from touchstone.errors import SourceError

# Size of a block that is held as Python objects, in documents and characters; a column of a block has 2 GB at most.
DOCUMENTS_AT_ONCE, CHARACTERS_AT_ONCE = 10_000, 1 << 26
SCHEMA = pa.schema([("id", pa.string()), ("title", pa.string()), ("text", pa.string())])


class Names(Container[str]):
    """Ids of documents, kept as sorted hashes of 8 bytes; two of a billion ids share one once in 37 times."""

    def __init__(self, hashes: NDArray[np.uint64]) -> None:
        self._hashes = np.sort(hashes)

    def __contains__(self, name: object) -> bool:
        value = np.uint64(hash_text(str(name)))
        place = int(np.searchsorted(self._hashes, value))
        return place < len(self._hashes) and bool(self._hashes[place] == value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Documents as a table with id, title and text, in a file that is mapped into memory; ``empty`` have no text."""

    table: Any
    names: Names
    empty: int


def hash_text(text: str) -> int:
    """Return a hash of 64 bits, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little")


def read_corpus(path: Path, rows: Iterator[tuple[int, Any]]) -> Corpus:
    """Read documents; each has an ``_id`` and a ``text``, and may have a ``title``.

    Args:
        path: the file, for errors.
        rows: line numbers and rows.

    Raises:
        SourceError: an id occurs twice, or no document has a text.
    """
    lines, hashes, empty = array("q"), array("Q"), 0
    with tempfile.TemporaryFile() as file:
        with pa.ipc.new_stream(file, SCHEMA) as stream:
            for block in _blocks(rows):
                lines.extend(number for number, _ in block)
                hashes.extend(hash_text(row["_id"]) for _, row in block)
                columns = [[row.get(key) or "" for _, row in block] for key in ("_id", "title", "text")]
                empty += sum(not (title + text).strip() for title, text in zip(*columns[1:], strict=True))
                stream.write_batch(pa.record_batch([pa.array(column, pa.string()) for column in columns], SCHEMA))
        file.flush()
        # The mapping stays valid when the file, which has no name any more, is closed.
        content = pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    table, numbers = pa.ipc.open_stream(content).read_all(), np.frombuffer(hashes, np.uint64)
    if not lines:
        raise SourceError(f"{path}: holds no line")
    if empty == len(lines):
        raise SourceError(f"{path}: no document has a title or a text")
    _refuse_duplicates(path, numbers, lines, table["id"])
    return Corpus(table=table, names=Names(numbers), empty=empty)


def _blocks(rows: Iterator[tuple[int, Any]]) -> Iterator[list[tuple[int, Any]]]:
    block, characters = [], 0
    for row in rows:
        block.append(row)
        characters += len(row[1]["text"])
        if len(block) == DOCUMENTS_AT_ONCE or characters > CHARACTERS_AT_ONCE:
            yield block
            block, characters = [], 0
    if block:
        yield block


def _refuse_duplicates(path: Path, hashes: NDArray[np.uint64], lines: "array[int]", ids: Any) -> None:
    """Refuse duplicate ids, with the first line that repeats one."""
    order = np.argsort(hashes, kind="stable")
    alike = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
    pairs = sorted((int(order[at + 1]), int(order[at])) for at in alike)
    for again, before in pairs:
        if ids[again] == ids[before]:
            raise SourceError(f'{path}:{lines[again]}: _id "{ids[again]}" is also in line {lines[before]}')
