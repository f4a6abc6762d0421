"""Hostile Parquet, arrays of numpy and segments of vectors: shapes that are wrong inside a file that is whole."""

import hashlib
import json
import struct
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tests.fuzz import hostile
from touchstone.store.blobs import MARK, TAIL, write_blob
from touchstone.store.segments import HEADER, HEADER_BYTES, make_header

# A file of some kilobytes that is gigabytes when it is read: seldom, for it takes a second to write the first time.
BOMB, BOMB_ROWS, MANY_ROWS, LARGE_ROW = 0.004, 30_000_000, 10_000, 1000
COUNTS = (0, 1, 2, 3, 7, 8, 63, 64, 1000, 1 << 16, 1 << 31, 1 << 32, (1 << 32) - 1, 1 << 40, 1 << 61, (1 << 64) - 1)
CODECS = ("none", "snappy", "gzip", "brotli", "zstd", "lz4")


def is_text(content: bytes) -> bool:
    """Return whether a content looks like text."""
    return b"\0" not in content[:1000] and not content.startswith((b"PAR1", b"\x93NUMPY", b"tsvector"))


def change_parquet(content: bytes, chosen: Random) -> bytes:
    """Change columns, types, values, lengths, metadata and encoding of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if pq.read_metadata(pa.BufferReader(content)).num_rows > MANY_ROWS:
            return content[: chosen.randrange(len(content))]  # it is a bomb already
        if chosen.random() < BOMB:
            return _bomb(content)
        table = pq.read_table(pa.BufferReader(content))
        for _ in range(chosen.choice((1, 1, 2))):
            table = chosen.choice(_CHANGES)(table, chosen)
        sink = pa.BufferOutputStream()
        pq.write_table(
            table,
            sink,
            compression=chosen.choice(CODECS),
            use_dictionary=chosen.random() < 0.5,
            row_group_size=chosen.choice((1, 2, 1000)),
            store_schema=chosen.random() < 0.5,
            version=chosen.choice(("1.0", "2.4", "2.6")),
        )
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError, IndexError):
        return content[: chosen.randrange(len(content) + 1)]  # a table that cannot be written
    return bytes(sink.getvalue().to_pybytes())


def _column(table: Any, chosen: Random) -> int:
    return chosen.randrange(table.num_columns)


def _drop(table: Any, chosen: Random) -> Any:
    return table.remove_column(_column(table, chosen))


def _rename(table: Any, chosen: Random) -> Any:
    names = list(table.column_names)
    names[_column(table, chosen)] = chosen.choice((*table.column_names, "x", "", *hostile.TEXTS[:20]))
    return table.rename_columns(names)


def _add(table: Any, chosen: Random) -> Any:
    at = _column(table, chosen)
    return table.append_column(chosen.choice(("x", "value", "prediction", "gold", "top", "id")), table.column(at))


def _retype(table: Any, chosen: Random) -> Any:
    import pyarrow as pa

    at = _column(table, chosen)
    column = table.column(at).combine_chunks()
    types = (pa.string(), pa.large_string(), pa.binary(), pa.int8(), pa.uint64(), pa.float16(), pa.float64(),
        pa.bool_(), pa.null(),
             pa.timestamp("us"), pa.date32(),
             pa.decimal128(38, 3), pa.list_(pa.string()), pa.list_(pa.float64(), 2),
             pa.struct({"a": pa.string()}), pa.map_(pa.string(), pa.int8()), pa.dictionary(pa.int32(),
                 pa.string()))  # fmt: skip
    kind = chosen.choice(types)
    try:
        made = column.cast(kind)
    except pa.ArrowException:
        made = pa.nulls(len(column), kind)
    return table.set_column(at, table.column_names[at], made)


def _values(table: Any, chosen: Random) -> Any:
    """Put hostile values into a column of its own type."""
    import pyarrow as pa

    at = _column(table, chosen)
    kind, values = table.schema.types[at], table.column(at).to_pylist()
    numbers = (float("nan"), float("inf"), -0.0, 1e308, 0, 1, -1, 2**31, 2**63 - 1, 127, None)
    given: Sequence[Any] = (
        (*hostile.TEXTS, None) if pa.types.is_string(kind) or pa.types.is_large_string(kind) else numbers
    )
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        given = ([], None, [None], values[0], (values[0] or []) * 2, [x for one in values for x in one or []])
    for _ in range(chosen.choice((1, 2, len(values)))) if values else ():
        values[chosen.randrange(len(values))] = chosen.choice(given)
    return table.set_column(at, table.column_names[at], pa.array(values, kind))


def _rows(table: Any, chosen: Random) -> Any:
    import pyarrow as pa

    order = [chosen.randrange(len(table)) for _ in range(chosen.choice((0, 1, 2, 30)))] if len(table) else []
    return table.take(pa.array(order, pa.int64()))


def _meaning(table: Any, chosen: Random) -> Any:
    """Change what the metadata of a file says."""
    from tests.fuzz.mutation import change_bytes, change_json

    said = dict(table.schema.metadata or {})
    if not said or chosen.random() < 0.1:
        return table.replace_schema_metadata(None)
    key = chosen.choice(sorted(said))
    change: Callable[[bytes], bytes] = (lambda one: change_json(one, chosen)) if chosen.random() < 0.8 else (
        lambda one: change_bytes(one, one, chosen)
    )  # fmt: skip
    return table.replace_schema_metadata({**said, key: change(said[key])})


_CHANGES: Sequence[Callable[[Any, Random], Any]] = (
    _drop, _rename, _add, _retype, _retype, _values, _values, _values, _rows, _meaning, _meaning,
)  # fmt: skip


@cache
def _bomb(content: bytes) -> bytes:
    """Repeat the first row of a file so often that nobody can hold it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(content)).slice(0, 1)
    if table.nbytes > LARGE_ROW:
        return content
    part = pa.concat_tables([table] * 1000).combine_chunks()
    part = pa.concat_tables([part] * 1000)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, part.schema, compression="zstd") as writer:
        for _ in range(BOMB_ROWS // 1_000_000):
            writer.write_table(part)
    return bytes(sink.getvalue().to_pybytes())


def change_npy(content: bytes, chosen: Random) -> bytes:
    """Change the shape, the type or the values of an array of numpy's."""
    from tests.fuzz.mutation import change_bytes

    roll = chosen.random()
    if roll < 0.5:
        shapes = (
            "(4, 4)",
            "(2, 8)",
            "(16,)",
            "()",
            "(0, 4)",
            "(4, 0)",
            "(-1, 4)",
            f"({1 << 40}, 4)",
            f"({1 << 62}, {1 << 62})",
            "(4, 4",
        )
        kinds = (
            "'<f4'",
            "'<f8'",
            "'>f4'",
            "'|O'",
            "'<i8'",
            "'|S4'",
            "'<U1'",
            "'|V16'",
            "[('a', '<f4')]",
            "'x'",
            "'<M8[s]'",
            "None",
            "'<c8'",
        )
        order, shape = chosen.choice(("False", "True", "2")), chosen.choice(shapes)
        head = f"{{'descr': {chosen.choice(kinds)}, 'fortran_order': {order}, 'shape': {shape}, }}"
        encoded = head.encode() + b"\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(encoded)) + encoded + content[-64:]
    if roll < 0.8:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = np.full(
                chosen.choice(((4, 4), (1, 4), (4, 5), (0,), (4,))), chosen.choice((np.nan, np.inf, 1e300, 0.0, -0.0))
            )
            array = array.astype(chosen.choice(("f4", "f8", "f2", "i8", "c8", "?")))
        file = BytesIO()
        np.save(file, array, allow_pickle=False)
        return file.getvalue()
    return change_bytes(content, content, chosen)


def change_segment(content: bytes, chosen: Random) -> bytes:
    """Change a segment's header, with a checksum that is right, or its directory, keys or vectors."""
    from tests.fuzz.mutation import change_bytes

    if chosen.random() < 0.3 or len(content) < 2 * HEADER_BYTES:
        return change_bytes(content, content, chosen)
    said = list(HEADER.unpack(content[: HEADER_BYTES - 4]))[1:]
    for _ in range(chosen.choice((1, 1, 2))):
        at = chosen.randrange(4)
        said[at] = chosen.choice((*COUNTS, max(0, said[at] - 1), said[at] + 1)) % (1 << (32 if at < 2 else 64))
    header = make_header(*said)
    first, last = chosen.choice(((header, header), (header, content[-HEADER_BYTES:]), (b"", header)))
    whole = first + content[len(first) : -HEADER_BYTES] + last
    return whole if chosen.random() < 0.7 else change_bytes(whole, content, chosen)


def unseal(content: bytes) -> tuple[dict[str, Any], bytes] | None:
    """Return the key and the content of a blob, whatever its checksum says."""
    length = int.from_bytes(content[-4:])
    if not content[-TAIL:].startswith(MARK) or length > len(content) - TAIL:
        return None
    try:
        key = json.loads(content[-TAIL - length : -TAIL])["key"]
    except (ValueError, KeyError, TypeError):
        return None
    return (key, content[: -TAIL - length]) if isinstance(key, dict) else None


def seal(key: dict[str, Any], content: bytes) -> bytes:
    """Return a blob, as a store writes it."""
    with TemporaryDirectory() as folder:
        path = Path(folder, hashlib.sha256(content).hexdigest())
        write_blob(path, key, lambda file: file.write(content))
        return path.read_bytes()
