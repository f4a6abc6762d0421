"""Samples of a score, one row each, enough to judge it, to recompute it and to show what changed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from touchstone.errors import TouchstoneError, first_line
from touchstone.files.footers import read_footer
from touchstone.files.json import parse_json
from touchstone.files.parquet import LIST_SUFFIX, UNPACKED_LIMIT, is_list, is_number, is_text, is_texts, read_bounded
from touchstone.files.writing import read_bytes
from touchstone.formatting import shorten
from touchstone.records.names import NAME, name_unit

Column = NDArray[Any]
MAX_SAMPLES_BYTES = 1 << 28  # of a file
MAX_NUMBER = 1e12
# Units of a sample, and the length of one.
MAX_UNITS, MAX_UNIT_LENGTH = 16, 64
# Prefix of the columns of fields in a file of samples and in a data set, and their number.
FIELD, MAX_FIELDS = "field:", 32
# Attributes of `Samples` that are arrays.
COLUMNS = ("stratum", "id", "value", "prediction", "gold")


def _is_plain(kind: Any) -> bool:
    return is_text(kind) or is_number(kind)


def _is_answer(kind: Any) -> bool:
    return _is_plain(kind) or is_texts(kind) or (is_list(kind) and is_number(kind.value_type))


SHAPES = {
    "stratum": is_text, "id": is_text, "value": is_number, "prediction": _is_answer,
    "gold": _is_plain, "top": is_texts, "units": is_texts,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The samples of one case, n rows in the order of (stratum, id).

    ``stratum`` is ``split/subset``, ``id`` survives any reordering of the data. Then, by kind of score:

    - ``value`` (n,): the score of each sample, if the main score is their mean;
    - ``prediction`` (n, e) and ``gold`` (n,): if it is computed from all samples; e experiments, else one column, in
      which larger means more alike;
    - ``top``: the ten best documents of a query, best first.

    ``units`` are what each sample may share with others, such as its texts, as short hashes that are the same in every
    task; None: a sample shares nothing but its id. ``fields`` are columns (n,) by which reports have figures.
    """

    type: str
    metric: str
    stratum: Column
    id: Column
    value: Column | None = None
    prediction: Column | None = None
    gold: Column | None = None
    top: Sequence[Sequence[str]] | None = None
    units: Sequence[Sequence[str]] | None = None
    fields: Mapping[str, Column] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.id)

    def by_stratum(self) -> Mapping[str, NDArray[np.intp]]:
        """Return the row numbers of each stratum."""
        return {str(name): np.flatnonzero(self.stratum == name) for name in np.unique(self.stratum)}

    def take(self, rows: NDArray[np.intp]) -> "Samples":
        """Return some rows, in the order given."""
        columns: dict[str, Any] = {
            name: getattr(self, name)[rows] for name in COLUMNS if getattr(self, name) is not None
        }
        lists: dict[str, Any] = {
            name: None if values is None else [values[row] for row in rows.tolist()]
            for name, values in (("top", self.top), ("units", self.units))
        }
        fields = {name: column[rows] for name, column in self.fields.items()}
        return replace(self, fields=fields, **lists, **columns)


def gather(parts: Sequence[Samples]) -> Samples:
    """Concatenate the samples of several strata of one case, in the order that makes the file canonical.

    If some strata have units, a sample of another one gets a unit of its own. Fields are those that all strata have.
    """
    first = parts[0]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in COLUMNS
        if getattr(first, name) is not None
    }
    top = None if first.top is None else [top for part in parts for top in part.top or ()]
    units = [unit for part in parts for unit in part.units or [[name_unit(id_)] for id_ in part.id.tolist()]]
    has_units = any(part.units is not None for part in parts)
    names = [name for name in first.fields if all(name in part.fields for part in parts)]
    fields = {name: np.concatenate([part.fields[name] for part in parts]) for name in names}
    samples = replace(first, top=top, units=units if has_units else None, fields=fields, **columns)
    return samples.take(np.lexsort((samples.id, samples.stratum)))


def encode_samples(samples: Samples) -> bytes:
    """Return samples as Parquet: the same bytes for the same content, with each number in the narrowest exact type."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = _columns_of(samples)
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    floats = [name for name, column in columns.items() if pa.types.is_floating(column.type)]
    repeated = ["stratum", "gold", "prediction", *(f"{name}{LIST_SUFFIX}" for name in ("prediction", "top", "units"))]
    repeated += [name for name in columns if name.startswith(FIELD)]
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in repeated if name not in floats],
        # Ids are sorted, so neighbours share their first digits; the leading bytes of similarities are alike.
        column_encoding={"id": "DELTA_BYTE_ARRAY"} | dict.fromkeys(floats, "BYTE_STREAM_SPLIT"),
        write_statistics=False,
        store_schema=False,
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"samples": json.dumps({"type": samples.type, "metric": samples.metric})})
    return bytes(sink.getvalue())


def _columns_of(samples: Samples) -> dict[str, Any]:
    """Return the columns of a file of samples, by name."""
    import pyarrow as pa

    columns: dict[str, Any] = {"stratum": pa.array(samples.stratum.tolist()), "id": pa.array(samples.id.tolist())}
    if samples.value is not None:
        columns["value"] = pa.array(_narrow(samples.value))
    if samples.prediction is not None:
        columns["prediction"] = _rows_of(pa.array(_narrow(samples.prediction.ravel())), samples.prediction.shape[1])
    if samples.gold is not None:
        columns["gold"] = pa.array(_narrow(samples.gold))
    for name, lists in (("top", samples.top), ("units", samples.units)):
        if lists is not None:
            columns[name] = pa.array(map(list, lists), type=pa.list_(pa.string()))
    columns |= {f"{FIELD}{name}": pa.array(_narrow(samples.fields[name])) for name in sorted(samples.fields)}
    return columns


def read_samples(path: Path) -> Samples:
    """Read a file of samples.

    Raises:
        TouchstoneError: the file is damaged or is not a file of samples.
    """
    return decode_samples(read_bytes(path, TouchstoneError, max_bytes=MAX_SAMPLES_BYTES), str(path))


def decode_samples(content: bytes, path: str) -> Samples:
    """Read the bytes of `encode_samples`; ``path`` names their file in errors.

    Raises:
        TouchstoneError: the content is damaged or is not a file of samples.
    """
    import pyarrow as pa

    try:
        fields = _names_of_fields(content)
        table = read_bounded(content, path, SHAPES | dict.fromkeys(fields, _is_plain))
        meaning = parse_json((table.schema.metadata or {})[b"samples"], path, TouchstoneError)
        type_, metric = meaning["type"], meaning["metric"]
        if not isinstance(type_, str) or not isinstance(metric, str):
            raise TypeError
        _need_narrow(*(table[name].combine_chunks() for name in fields))
        columns: dict[str, Any] = {name: READERS.get(name, _to_array)(table[name].combine_chunks())
                                 for name in table.column_names}  # fmt: skip
        columns["stratum"], columns["id"]
        columns["fields"] = {name.removeprefix(FIELD): columns.pop(name) for name in fields}
        if "prediction" in columns:
            columns["prediction"] = columns["prediction"].reshape(len(table), -1)
    except (KeyError, TypeError):
        raise TouchstoneError(f"{path}: a Parquet file, but not a file of samples") from None
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise TouchstoneError(f"{path}: not a file of samples: {first_line(error)}") from None
    samples = Samples(type=type_, metric=metric, **columns)
    if (why := _find_fault(samples)) is not None:
        raise TouchstoneError(f"{path}: not a file of samples: {why}")
    return samples


def is_field(name: str) -> bool:
    """Return True if a field may have this name, which must not end like the path of a column of lists."""
    return NAME.fullmatch(name) is not None and not name.endswith(LIST_SUFFIX)


def _names_of_fields(content: bytes) -> list[str]:
    """Return the columns of a file that are fields.

    Raises:
        ValueError: there are too many, or one has an invalid name.
    """
    paths = {chunk.path for chunk in read_footer(BytesIO(content)).chunks if chunk.path.startswith(FIELD)}
    if len(paths) > MAX_FIELDS:
        raise ValueError(f"it has {len(paths)} fields; at most {MAX_FIELDS} are read")
    for path in sorted(paths):
        if not is_field(path.removeprefix(FIELD)):
            raise ValueError(f"{json.dumps(shorten(path, 60))} is no name of a field")
    return sorted(paths)


def _find_fault(samples: Samples) -> str | None:
    """Return what is wrong with samples, or None."""
    if not len(samples):
        return "it holds none"
    if samples.value is None and (samples.prediction is None or samples.gold is None):
        return "it has neither values nor predictions with what is right"
    for name in ("value", "prediction", "gold"):
        column = getattr(samples, name)
        if column is not None and column.dtype.kind == "f" and not (np.abs(column) <= MAX_NUMBER).all():
            return f"{name} holds numbers that no score or similarity is"
    for name, column in samples.fields.items():
        if column.dtype.kind == "f" and not np.isfinite(column).all():
            return f"{FIELD}{name} holds NaN or infinity"
    order = np.lexsort((samples.id, samples.stratum))
    stratum, id_ = samples.stratum[order], samples.id[order]
    duplicates = np.flatnonzero((stratum[1:] == stratum[:-1]) & (id_[1:] == id_[:-1]))
    if not len(duplicates):
        return None
    row = duplicates[0]
    return f'"{shorten(str(id_[row]), 60)}" of {shorten(str(stratum[row]), 60)} is there twice'


def _rows_of(flat: Any, width: int) -> Any:
    """Return a column with ``width`` values in each row, plain values if the width is 1."""
    import pyarrow as pa

    return flat if width == 1 else pa.ListArray.from_arrays(pa.array(range(0, len(flat) + 1, width), pa.int32()), flat)


def _narrow(column: Column) -> Any:
    """Return a column in the narrowest type that holds every number exactly: similarities have 32 bits."""
    if column.dtype.kind == "f":
        with np.errstate(over="ignore"):
            narrow = column.astype(np.float32)
        return narrow if np.array_equal(narrow.astype(np.float64), column) else column
    if column.dtype.kind in "iu":
        smallest, largest = int(column.min()), int(column.max())
        kind = np.promote_types(np.min_scalar_type(smallest), np.min_scalar_type(largest))
        return column.astype(kind if kind.kind in "iu" else np.int64)  # for a sign and 33 bits numpy gives a float
    return column.tolist()


def _to_array(column: Any) -> Column:
    """Return a column as an array, flat for lists; texts are as wide as the longest one.

    Raises:
        ValueError: lists are not all of one length, or the texts are too long.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_list(column.type):
        widths = pc.min_max(column.value_lengths()).as_py()
        if not widths["min"] or widths["min"] != widths["max"]:
            raise ValueError("predictions are not all of one length")
        column = column.flatten()
    if is_number(column.type):
        floating = pa.types.is_floating(column.type)
        return np.asarray(column.cast(pa.float64() if floating else pa.int64()).to_numpy(zero_copy_only=False))
    _need_narrow(column)
    texts = column.dictionary if pa.types.is_dictionary(column.type) else column
    values: Column = texts.to_numpy(zero_copy_only=False).astype(str)
    return values if texts is column else values[column.indices.to_numpy()]


def _need_narrow(*columns: Any) -> None:
    """Refuse columns that are too large as arrays, in which a text is as wide as the longest one of its column.

    Raises:
        ValueError: the columns are too large.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [(len(column), column.dictionary if pa.types.is_dictionary(column.type) else column) for column in columns]
    sizes = (4 * count * (pc.max(pc.binary_length(text)).as_py() or 0) for count, text in texts if is_text(text.type))
    if sum(sizes) > UNPACKED_LIMIT:
        raise ValueError("its texts are longer than can be held")


def _read_top(column: Any) -> list[list[str]]:
    documents, flat, ends = column.flatten(), column.flatten().indices.to_pylist(), np.cumsum(column.value_lengths())
    names = documents.dictionary.to_pylist()
    return [[names[number] for number in flat[start:end]] for start, end in pairwise([0, *ends.tolist()])]


def _read_units(column: Any) -> list[list[str]]:
    """Return the units of each sample.

    Raises:
        ValueError: a sample has no units or too many, or a unit is not a short text.
    """
    import pyarrow.compute as pc

    counts = pc.min_max(column.value_lengths()).as_py()
    sizes = pc.min_max(pc.utf8_length(column.flatten().dictionary)).as_py()
    if len(column) and not (counts["min"] and counts["max"] <= MAX_UNITS):
        raise ValueError(f"a sample has no units, or more than {MAX_UNITS}")
    if len(column) and not (sizes["min"] and sizes["max"] <= MAX_UNIT_LENGTH):
        raise ValueError(f"a unit is empty, or longer than {MAX_UNIT_LENGTH} characters")
    return _read_top(column)


READERS = {"top": _read_top, "units": _read_units}
EXAMPLE_LIMIT = 5


def find_difference(candidate: Samples, reference: Samples) -> str | None:
    """Return why the samples of two models are not the same ones, in a sentence; None if they are."""
    if not (np.array_equal(candidate.id, reference.id) and np.array_equal(candidate.stratum, reference.stratum)):
        here, there = ({*zip(s.stratum.tolist(), s.id.tolist(), strict=True)} for s in (candidate, reference))
        return f"the samples are others: {len(here - there)} only here, {len(there - here)} only there"
    for name in ("value", "prediction", "gold"):
        sides = [getattr(side, name) for side in (candidate, reference)]
        if len({side.dtype.kind == "U" for side in sides if side is not None}) > 1:
            return f"the samples have texts as {name} on one side, and numbers on the other"
    return None


def restrict(reference: Samples, candidate: Samples) -> Samples:
    """Return the reference's samples of the candidate's strata, with which a run of some subsets is compared."""
    return reference.take(np.flatnonzero(np.isin(reference.stratum, np.unique(candidate.stratum))))
