"""Untrusted Parquet, read in parts: a few bytes can stand for a terabyte of rows."""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from touchstone.errors import TouchstoneError
from touchstone.files.footers import Footer, read_footer

if TYPE_CHECKING:
    import pyarrow as pa

    Shape = Callable[[pa.DataType], bool]

# No useful table has more rows for each byte of its file.
ROWS_PER_BYTE = 1_000
# Bytes and values that a column may have; for a large file they grow with its size.
UNPACKED_LIMIT, MAX_VALUES, COMPRESSION_LIMIT = 1 << 28, 1 << 24, 32
MAX_TEXT_BYTES = 1 << 16
# Suffix of the path of a column inside lists.
LIST_SUFFIX = ".list.element"
# The format's numbers of a type and of an encoding.
BYTE_ARRAY, DELTA_BYTE_ARRAY = 6, 7


def read_bounded(
    content: bytes,
    where: str,
    shapes: Mapping[str, "Shape"],
    *,
    is_extra: "Shape" = lambda _: False,
    max_text_bytes: int = MAX_TEXT_BYTES,
) -> "pa.Table":
    """Read a Parquet file; texts inside lists come back as numbers into a dictionary.

    Args:
        content: the bytes of the file.
        where: the file, for errors.
        shapes: by name of a column, a function that returns whether its type is right.
        is_extra: returns whether a column that is not named is read too, by its type; it may hold nulls.
        max_text_bytes: the largest size of a text.

    Raises:
        TouchstoneError: a column is of another type or holds nulls, or the file is too large when it is unpacked.
        pyarrow.ArrowException, OSError, ValueError: it is not Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    footer = read_footer(BytesIO(content))
    refuse_bomb(footer, len(content), where)
    coded = {chunk.path for chunk in footer.chunks if chunk.path.endswith(LIST_SUFFIX) and chunk.type == BYTE_ARRAY}
    try:
        file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=sorted(coded))
    except KeyError as failure:
        raise ValueError(f"it says {failure} of no column") from None
    schema = file.schema_arrow
    extras = [column for column in schema if column.name not in shapes and is_extra(column.type)]
    schema = pa.schema([*(schema.field(name) for name in shapes if name in schema.names), *extras], schema.metadata)
    for column in schema:
        if not shapes.get(column.name, is_extra)(column.type):
            raise TouchstoneError(f"{where}: {column.name} is of type {column.type}, which it cannot be")
    limit = max(UNPACKED_LIMIT, COMPRESSION_LIMIT * len(content))
    batches, size = [], 0
    at_once = _rows_at_once(footer, where, limit)
    for batch in (
        batch
        for group in range(len(footer.groups))  # texts inside lists cannot be read from two at once
        for batch in file.iter_batches(batch_size=at_once, row_groups=[group], columns=schema.names)
    ):
        batch.validate(full=True)  # text columns hold text
        size += sum(
            _check(column, f"{where}: {name}", max_text_bytes, nulls=name not in shapes)
            for name, column in zip(schema.names, batch.columns, strict=True)
        )
        if size > limit:
            raise TouchstoneError(f"{where}: comes to more than {limit >> 20} MB")
        batches.append(batch)
    return pa.Table.from_batches(batches, schema).combine_chunks()


def refuse_bomb(footer: Footer, size: int, where: str, error: type[TouchstoneError] = TouchstoneError) -> None:
    """Refuse a file with numbers of rows or values out of all proportion to its size.

    Args:
        footer: the metadata of the file.
        size: the size of the file, in bytes.
        where: the file, for errors.
        error: the type to raise.

    Raises:
        TouchstoneError: of the given type.
    """
    count = max([footer.rows, sum(footer.groups), *(chunk.values for chunk in footer.chunks)])
    if count > ROWS_PER_BYTE * size:
        raise error(f"{where}: has {count} rows or values in {size} bytes, more than any data; make it anew")


def _rows_at_once(footer: Footer, where: str, limit: int) -> int:
    """Return the number of rows that can be read at once: a single text may have all bytes of its column."""
    values: dict[str, int] = {}
    sizes: dict[str, int] = {}
    widest = 1
    for chunk in footer.chunks:
        values[chunk.path] = values.get(chunk.path, 0) + chunk.values
        sizes[chunk.path] = sizes.get(chunk.path, 0) + chunk.size
        inside = chunk.path.endswith(LIST_SUFFIX)  # read as numbers into a dictionary
        if inside and DELTA_BYTE_ARRAY in chunk.encodings:
            raise TouchstoneError(f"{where}: {chunk.path} is encoded as DELTA_BYTE_ARRAY, which lists cannot be")
        if chunk.type == BYTE_ARRAY and not inside:
            widest = max(widest, chunk.size)
    for name, size in sizes.items():
        if size > limit or values[name] > max(MAX_VALUES, limit // COMPRESSION_LIMIT):
            raise TouchstoneError(f"{where}: {name} has {values[name]} values in {size} bytes, which is too much")
    return max(1, min(UNPACKED_LIMIT // widest, MAX_VALUES))


def _check(column: Any, where: str, max_text_bytes: int, *, nulls: bool) -> int:
    """Refuse nulls and too long texts; return the bytes of a column, without dictionaries."""
    import pyarrow as pa
    import pyarrow.compute as pc

    inside = column.flatten() if is_list(column.type) else column
    if not nulls and (column.null_count or inside.null_count):
        raise TouchstoneError(f"{where} holds nulls")
    coded = pa.types.is_dictionary(inside.type)
    texts = inside.dictionary if coded else inside
    if is_text(texts.type) and (pc.max(pc.binary_length(texts)).as_py() or 0) > max_text_bytes:
        raise TouchstoneError(f"{where} holds a text of more than {max_text_bytes >> 10} kB")
    return int((inside.indices if coded else inside).nbytes)


def is_text(kind: Any) -> bool:
    """Return True if a column holds texts."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_number(kind: Any) -> bool:
    """Return True if a column holds numbers."""
    import pyarrow as pa

    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def is_plain(kind: Any) -> bool:
    """Return True if a column holds texts, numbers, true and false, or lists of these."""
    import pyarrow as pa

    inside = kind.value_type if is_list(kind) else kind
    inside = inside.value_type if pa.types.is_dictionary(inside) else inside
    return is_text(inside) or is_number(inside) or bool(pa.types.is_boolean(inside))


def is_list(kind: Any) -> bool:
    """Return True if a column holds lists."""
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def is_texts(kind: Any) -> bool:
    """Return True if a column holds lists of texts, as `read_bounded` gives them."""
    import pyarrow as pa

    return is_list(kind) and bool(pa.types.is_dictionary(kind.value_type)) and is_text(kind.value_type.value_type)
