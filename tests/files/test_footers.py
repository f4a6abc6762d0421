"""The footer of a Parquet file says what pyarrow says of it."""

from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone.files.footers import Chunk, read_footer

TYPES = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
ENCODINGS = {"PLAIN": 0, "PLAIN_DICTIONARY": 2, "RLE": 3, "BIT_PACKED": 4, "DELTA_BINARY_PACKED": 5,
             "DELTA_LENGTH_BYTE_ARRAY": 6, "DELTA_BYTE_ARRAY": 7, "RLE_DICTIONARY": 8,
             "BYTE_STREAM_SPLIT": 9}  # fmt: skip


def write(rows: int, groups: int, **options: Any) -> bytes:
    table = pa.table(
        {
            "id": [f"id-{n}" for n in range(rows)],
            "number": [n / 3 for n in range(rows)],
            "flag": [n % 2 == 0 for n in range(rows)],
            "many": [[f"x{m}" for m in range(n % 4)] for n in range(rows)],
            "deep": [{"a": {"b": n}} for n in range(rows)],
        }
    )
    sink = BytesIO()
    pq.write_table(table, sink, row_group_size=max(1, rows // groups), **options)
    return sink.getvalue()


@given(
    rows=st.integers(0, 200),
    groups=st.integers(1, 40),
    use_dictionary=st.booleans(),
    write_statistics=st.booleans(),
    compression=st.sampled_from(["none", "zstd", "snappy"]),
    version=st.sampled_from(["1.0", "2.6"]),
)
def test_it_says_what_pyarrow_says(rows: int, groups: int, **options: Any) -> None:
    content = write(rows, groups, **options)
    found, known = read_footer(BytesIO(content)), pq.read_metadata(BytesIO(content))
    said = [known.row_group(at) for at in range(known.num_row_groups)]
    assert (found.rows, found.groups) == (known.num_rows, tuple(group.num_rows for group in said))
    chunks = [group.column(at) for group in said for at in range(group.num_columns)]
    assert found.chunks == tuple(
        Chunk(
            path=chunk.path_in_schema,
            type=TYPES.index(chunk.physical_type),
            encodings=tuple(map(ENCODINGS.__getitem__, chunk.encodings)),
            values=chunk.num_values,
            size=chunk.total_uncompressed_size,
        )
        for chunk in chunks
    )


@given(st.binary(max_size=60))
def test_what_is_no_footer_is_told(content: bytes) -> None:
    for damaged in (content, content + len(content).to_bytes(4, "little") + b"PAR1"):
        with pytest.raises(ValueError, match="footer"):
            read_footer(BytesIO(damaged))


@given(st.data())
def test_a_damaged_footer_says_something_or_is_told(data: st.DataObject) -> None:
    content = bytearray(write(20, 3))
    length = int.from_bytes(content[-8:-4], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        content[-9 - data.draw(st.integers(0, length - 1))] = data.draw(st.integers(0, 255))
    try:
        read_footer(BytesIO(content))
    except ValueError as error:
        assert "footer" in str(error)  # noqa: PT017
