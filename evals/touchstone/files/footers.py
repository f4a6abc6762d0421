"""The sizes in the footer of a Parquet file: rows, and the values and bytes of each column.

pyarrow reads them too, but ends the process where the metadata of a column is damaged. The footer is written in
Thrift's compact protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md); field
numbers are those of https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

import os
from dataclasses import dataclass
from typing import Any, BinaryIO

MARK = b"PAR1"
MAX_FOOTER_BYTES = 1 << 26
TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
INTEGERS = (4, 5, 6)
LONG_LIST = 15  # the length of a list that does not fit beside its type
ROWS, GROUPS = 3, 4  # of a file
COLUMNS, ROWS_OF_GROUP = 1, 3
CHUNK = 3  # the metadata of a column of a group
TYPE, ENCODINGS, PATH, VALUES, UNPACKED_SIZE = 1, 2, 3, 5, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One column of a group of rows, with its numbers of values and of uncompressed bytes as the footer has them."""

    path: str
    type: int
    encodings: tuple[int, ...]
    values: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """The numbers of rows of a file and of each group, and the columns of all groups."""

    rows: int
    groups: tuple[int, ...]
    chunks: tuple[Chunk, ...]


def read_footer(file: BinaryIO) -> Footer:
    """Read the footer of a Parquet file.

    Raises:
        ValueError: it is not Parquet, or its footer is damaged or encrypted.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 8))
    tail = file.read(8)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != MARK or length > min(size - 8, MAX_FOOTER_BYTES):
        raise ValueError("it has no footer of Parquet")
    file.seek(size - 8 - length)
    try:
        metadata, _ = _read_struct(file.read(length), 0)
        groups = [(group[ROWS_OF_GROUP], group[COLUMNS]) for group in metadata[GROUPS]]
        chunks = tuple(_read_chunk(column[CHUNK]) for _, columns in groups for column in columns)
        return Footer(rows=int(metadata[ROWS]), groups=tuple(int(rows) for rows, _ in groups), chunks=chunks)
    except (LookupError, TypeError, AttributeError, RecursionError):
        raise ValueError("its footer is damaged") from None


def _read_chunk(meta: dict[int, Any]) -> Chunk:
    path = b".".join(meta[PATH]).decode(errors="replace")
    encodings = tuple(map(int, meta[ENCODINGS]))
    return Chunk(
        path=path, type=int(meta[TYPE]), encodings=encodings, values=int(meta[VALUES]), size=int(meta[UNPACKED_SIZE])
    )


def _read_struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _read_integer(data, at)
        fields[number], at = _read_value(data, at, head & 15)
    return fields, at + 1


def _read_value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (TRUE, FALSE):
        return kind == TRUE, at
    if kind in INTEGERS:
        return _read_integer(data, at)
    if kind == BINARY:
        size, at = _read_varint(data, at)
        return data[at : at + size], at + size
    if kind in (LIST, SET):
        return _read_list(data, at)
    if kind == STRUCT:
        return _read_struct(data, at)
    if kind in (BYTE, DOUBLE):
        return None, at + (1 if kind == BYTE else 8)
    raise LookupError(kind)


def _read_list(data: bytes, at: int) -> tuple[list[Any], int]:
    size, kind = data[at] >> 4, data[at] & 15
    at += 1
    if size == LONG_LIST:
        size, at = _read_varint(data, at)
    if size > len(data) - at:  # each has a byte or more
        raise LookupError(size)
    items = []
    for _ in range(size):
        item, at = (None, at + 1) if kind in (TRUE, FALSE) else _read_value(data, at, kind)
        items.append(item)
    return items, at


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128 or shift > 63:
            return value, at
        shift += 7


def _read_integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _read_varint(data, at)
    return (value >> 1) ^ -(value & 1), at
