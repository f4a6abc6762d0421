# ruff: noqa: E501  # a row for each bomb
"""Parquet is read in parts, and refused where it says more than its bytes can mean."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.files.measuring import assert_cheap
from touchstone.errors import TouchstoneError
from touchstone.files.footers import Chunk, Footer
from touchstone.files.parquet import refuse_bomb
from touchstone.records.rankings import decode_rankings
from touchstone.records.samples import Samples, decode_samples, encode_samples

GOOD: dict[str, Any] = {"stratum": ["t/d", "t/d"], "id": ["a", "b"], "value": [0.5, 1.0]}
MEANING = b'{"type": "STS", "metric": "m"}'


def written(columns: dict[str, Any], meaning: bytes = MEANING, **how: Any) -> bytes:
    sink = BytesIO()
    table = pa.table(columns)
    with pq.ParquetWriter(sink, table.schema, compression="zstd", store_schema=False, **how) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"samples": meaning.decode()})
    return sink.getvalue()


def constant(text: str, count: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int32)), [text]).cast(
        pa.dictionary(pa.int32(), pa.string())
    )


def of_lists(count: int, each: int, text: str) -> Any:
    ends = pa.array(np.arange(0, count * each + 1, each), pa.int32())
    return pa.ListArray.from_arrays(ends, constant(text, count * each))


BOMBS: dict[str, Callable[[], bytes]] = {
    "rows": lambda: written({**{n: constant("x", 10_000_000) for n in ("stratum", "id")}, "value": pa.nulls(10_000_000, pa.float64()).fill_null(0.5)}),
    "long texts": lambda: written({"stratum": constant("x" * 1_000_000, 50_000), "id": [str(n) for n in range(50_000)], "value": [0.5] * 50_000}),
    "texts as wide as the longest": lambda: written({"stratum": ["t/d"] * 50_000, "id": ["i" * 60_000, *map(str, range(49_999))], "value": [0.5] * 50_000}),
    "prefixes": lambda: written({"stratum": ["t/d"] * 5_000, "id": ["i" * n for n in range(5_000)], "value": [0.5] * 5_000}, use_dictionary=["stratum"], column_encoding={"id": "DELTA_BYTE_ARRAY"}),
    "lists": lambda: written({**GOOD, "top": of_lists(2, 200_000, "y" * 1_000_000)}),
    "lists of units": lambda: written({**GOOD, "units": of_lists(2, 200_000, "y" * 1_000_000)}),
    "units of many": lambda: written({**GOOD, "units": of_lists(2, 5_000_000, "y")}),
    "fields as wide as the longest": lambda: written({**{name: values * 500 for name, values in GOOD.items()}, **{f"field:{number}": ["i" * 60_000, *["x"] * 999] for number in range(32)}}),
    "prefixes in lists": lambda: written({**GOOD, "top": [["i" * n for n in range(3_000)], []]}, use_dictionary=False, column_encoding={"top.list.element": "DELTA_BYTE_ARRAY"}),
    "numbers": lambda: written({**GOOD, "prediction": pa.ListArray.from_arrays(pa.array([0, 9_000_000, 18_000_000], pa.int32()), pa.array(np.zeros(18_000_000, dtype=np.int8)))}),
}  # fmt: skip


@pytest.mark.parametrize("kind", [kind for kind in BOMBS if kind != "prefixes"])
def test_a_bomb_is_one_sentence_soon_and_in_little_memory(kind: str) -> None:
    content = BOMBS[kind]()
    message = assert_cheap(lambda: decode_samples(content, "x.parquet"))
    assert message.startswith("x.parquet: ")


def test_ids_that_share_their_beginnings_are_read_within_bounds() -> None:
    assert_cheap(lambda: decode_samples(BOMBS["prefixes"](), "x.parquet"), refused=False)


@pytest.mark.parametrize(
    ("columns", "meaning", "why"),
    [
        ({"stratum": ["t/d"], "value": [0.5]}, MEANING, "a Parquet file, but not a file of samples"),
        (GOOD | {"id": [1, 2]}, MEANING, "id is of type int64, which it cannot be"),
        (GOOD | {"value": ["a", "b"]}, MEANING, "value is of type string"),
        (GOOD | {"value": [0.5, None]}, MEANING, "value holds nulls"),
        (GOOD | {"id": ["a", None]}, MEANING, "id holds nulls"),
        (GOOD | {"top": [["a"], [None]]}, MEANING, "top holds nulls"),
        (GOOD | {"value": [0.5, float("nan")]}, MEANING, "value holds numbers that no score or similarity is"),
        (GOOD | {"value": [0.5, float("inf")]}, MEANING, "value holds numbers that no score or similarity is"),
        (GOOD | {"prediction": [[1, 2], [3]], "gold": [1, 2]}, MEANING, "predictions are not all of one length"),
        (GOOD | {"prediction": [pa.scalar(1, pa.decimal128(3)), pa.scalar(2, pa.decimal128(3))]}, MEANING, "prediction is of type decimal"),
        (GOOD | {"id": ["a", "a"]}, MEANING, '"a" of t/d is there twice'),
        ({"stratum": ["t/d"], "id": ["a"], "gold": [1]}, MEANING, "neither values nor predictions"),
        ({name: pa.array([], pa.string() if name != "value" else pa.float64()) for name in GOOD}, MEANING, "it holds none"),
        (GOOD | {"units": ["a", "b"]}, MEANING, "units is of type string"),
        (GOOD | {"units": [[1], [2]]}, MEANING, "units is of type list"),
        (GOOD | {"units": [["a"], None]}, MEANING, "units holds nulls"),
        (GOOD | {"units": [["a"], []]}, MEANING, "a sample has no units, or more than 16"),
        (GOOD | {"units": [["a"], ["b"] * 17]}, MEANING, "a sample has no units, or more than 16"),
        (GOOD | {"units": [["a"], [""]]}, MEANING, "a unit is empty, or longer than 64 characters"),
        (GOOD | {"units": [["a"], ["b" * 65]]}, MEANING, "a unit is empty, or longer than 64 characters"),
        (GOOD | {"field:x": [1.0, None]}, MEANING, "field:x holds nulls"),
        (GOOD | {"field:x": [1.0, float("nan")]}, MEANING, "field:x holds NaN or infinity"),
        (GOOD | {"field:x": [1.0, float("-inf")]}, MEANING, "field:x holds NaN or infinity"),
        (GOOD | {"field:x": [True, False]}, MEANING, "field:x is of type bool"),
        (GOOD | {"field:x": [["a"], ["b"]]}, MEANING, '"field:x.list.element" is no name of a field'),
        (GOOD | {"field:x": [{"y": 1}, {"y": 2}]}, MEANING, "a Parquet file, but not a file of samples"),
        (GOOD | {"field:": [1, 2]}, MEANING, '"field:" is no name of a field'),
        (GOOD | {"field:../x": [1, 2]}, MEANING, '"field:../x" is no name of a field'),
        (GOOD | {"field:x\n": [1, 2]}, MEANING, "is no name of a field"),
        (GOOD | {f"field:{'x' * 129}": [1, 2]}, MEANING, "is no name of a field"),
        (GOOD | {f"field:{number}": [1, 2] for number in range(33)}, MEANING, "it has 33 fields; at most 32 are read"),
        (GOOD, b'{"type": 1, "metric": "m"}', "not a file of samples"),
        (GOOD, b"[]", "not a file of samples"),
        (GOOD, b"[" * 100_000, "is nested too deeply"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_samples_is_one_sentence(columns: dict[str, Any], meaning: bytes, why: str) -> None:
    with pytest.raises(TouchstoneError) as caught:
        decode_samples(written(columns, meaning), "x.parquet")
    assert str(caught.value).startswith("x.parquet: ")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused() -> None:
    content = written(GOOD | {"id": pa.array([b"\xff", b"\xfe"]).view(pa.string())})
    with pytest.raises(TouchstoneError, match=r"^x: not a file of samples: "):
        decode_samples(content, "x")


@pytest.mark.parametrize("cut", [0, 4, 20, -1, -9])
def test_a_damaged_file_is_one_sentence(cut: int) -> None:
    with pytest.raises(TouchstoneError, match=r"^x: not a file of samples: "):
        decode_samples(written(GOOD)[:cut], "x")


def test_documents_of_more_than_one_dictionary_page_come_back() -> None:
    top = [[f"document-{(row * 7919 + place) * 104729 % 10**9}" for place in range(10)] for row in range(20_000)]
    ids = np.array([f"{row:05}" for row in range(20_000)])
    kept = Samples(
        type="Retrieval", metric="m", stratum=np.full(20_000, "t/d"), id=ids, value=np.zeros(20_000), top=top
    )
    assert decode_samples(encode_samples(kept), "x").top == top


@pytest.mark.parametrize(("rows", "groups", "values"), [(10**6, (), 1), (1, (500_000, 500_000), 1), (1, (1,), 10**6)])
def test_more_rows_than_bytes_can_mean_are_refused_by_the_footer_alone(
    rows: int, groups: tuple[int, ...], values: int
) -> None:
    chunk = Chunk(path="id", type=6, encodings=(), values=values, size=100)
    footer = Footer(rows=rows, groups=groups, chunks=(chunk,))
    refuse_bomb(footer, 1000, "x.parquet")
    with pytest.raises(TouchstoneError, match=r"^x\.parquet: has 1000000 rows or values in 999 bytes"):
        refuse_bomb(footer, 999, "x.parquet")


PLACES: dict[str, Any] = {"task": ["T"], "split": ["s"], "subset": ["d"], "query": ["q"]}


@pytest.mark.parametrize(
    "columns",
    [
        PLACES,
        PLACES | {"documents": [["a"]], "scores": [[0.5, 1.0]]},
        PLACES | {"documents": [["a"]], "scores": [["b"]]},
        PLACES | {"documents": [[1]], "scores": [[0.5]]},
        PLACES | {"documents": [[None]], "scores": [[0.5]]},
        PLACES | {"documents": of_lists(1, 1_000_000, "y" * 1_000_000), "scores": [[0.5]]},
        {name: values * 2 for name, values in (PLACES | {"documents": [["a"]], "scores": [[0.5]]}).items()},
    ],
)
def test_what_is_no_file_of_rankings_is_one_sentence(columns: dict[str, Any]) -> None:
    content = written(columns)
    assert assert_cheap(lambda: decode_rankings(content)).startswith("not a file of rankings")
