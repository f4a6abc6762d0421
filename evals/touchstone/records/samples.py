"""Samples: what a score is made of, one row each, enough to judge it, to recompute it and to show what changed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from touchstone.errors import TouchstoneError, first_line

Column = NDArray[Any]
# Those of `Samples` that are arrays.
COLUMNS = ("stratum", "id", "value", "prediction", "gold")


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The samples of one case, n rows in the order of (stratum, id).

    ``stratum`` is ``split/subset``, ``id`` survives any reordering of the data. Then, by kind of score:

    - ``value`` (n,): each sample's own score, where the main score is their mean;
    - ``prediction`` (n, e) and ``gold`` (n,): where it is computed from all of them; e experiments, else one column,
      larger meaning more alike;
    - ``top``: the ten best documents of a query, best first.
    """

    type: str
    metric: str
    stratum: Column
    id: Column
    value: Column | None = None
    prediction: Column | None = None
    gold: Column | None = None
    top: Sequence[Sequence[str]] | None = None

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
        return replace(self, top=None if self.top is None else [self.top[row] for row in rows.tolist()], **columns)


def gather(parts: Sequence[Samples]) -> Samples:
    """Put the samples of several strata of one case together, in the order that makes the file canonical."""
    first = parts[0]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in COLUMNS
        if getattr(first, name) is not None
    }
    top = None if first.top is None else [top for part in parts for top in part.top or ()]
    whole = replace(first, top=top, **columns)
    return whole.take(np.lexsort((whole.id, whole.stratum)))


def encode_samples(samples: Samples) -> bytes:
    """Return samples as Parquet: the same bytes for the same content, numbers as narrow as they can be exactly."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {"stratum": pa.array(samples.stratum.tolist()), "id": pa.array(samples.id.tolist())}
    if samples.value is not None:
        columns["value"] = pa.array(_narrow(samples.value))
    if samples.prediction is not None:
        columns["prediction"] = _rows_of(pa.array(_narrow(samples.prediction.ravel())), samples.prediction.shape[1])
    if samples.gold is not None:
        columns["gold"] = pa.array(_narrow(samples.gold))
    if samples.top is not None:
        columns["top"] = pa.array([list(top) for top in samples.top], type=pa.list_(pa.string()))
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    floats = [name for name, column in columns.items() if pa.types.is_floating(column.type)]
    repeated = ["stratum", "gold", "prediction", "prediction.list.element", "top.list.element"]
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
    content: bytes = sink.getvalue().to_pybytes()
    return content


def read_samples(path: Path) -> Samples:
    """Read a file of what `encode_samples` returned.

    Raises:
        TouchstoneError: the file is damaged or is not one of ours.
    """
    return decode_samples(path.read_bytes(), str(path))


def decode_samples(content: bytes, path: str) -> Samples:
    """Read what `encode_samples` returned; ``path`` says in errors where it was.

    Raises:
        TouchstoneError: it is damaged or is not one of ours.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
        meaning = json.loads((table.schema.metadata or {})[b"samples"])
    except KeyError:
        raise TouchstoneError(f"{path}: a Parquet file, but not a file of samples") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise TouchstoneError(f"{path}: not a file of samples: {first_line(error)}") from None
    found = {name: _read(table[name]) for name in table.column_names if name not in ("prediction", "top")}
    if "prediction" in table.column_names:
        flat = table["prediction"].combine_chunks()
        found["prediction"] = _read(flat.flatten() if pa.types.is_list(flat.type) else flat).reshape(len(table), -1)
    top = table["top"].to_pylist() if "top" in table.column_names else None
    return Samples(type=meaning["type"], metric=meaning["metric"], top=top, **found)


def _rows_of(flat: Any, width: int) -> Any:
    """Return a column with ``width`` values in each row, or plain values when that is one."""
    import pyarrow as pa

    return flat if width == 1 else pa.ListArray.from_arrays(pa.array(range(0, len(flat) + 1, width), pa.int32()), flat)


def _narrow(column: Column) -> Any:
    """Return the narrowest type that holds every number exactly: similarities are 32-bit to begin with."""
    if column.dtype.kind == "f":
        with np.errstate(over="ignore"):
            narrow = column.astype(np.float32)
        return narrow if np.array_equal(narrow.astype(np.float64), column) else column
    if column.dtype.kind in "iu":
        smallest, largest = int(column.min()), int(column.max())
        return column.astype(np.promote_types(np.min_scalar_type(smallest), np.min_scalar_type(largest)))
    return column.tolist()


def _read(column: Any) -> Column:
    values = column.to_numpy(zero_copy_only=False) if hasattr(column, "to_numpy") else column
    array = np.asarray(values)
    if array.dtype.kind == "f":
        return array.astype(np.float64)
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    return array.astype(str)


SHOWN = 5


def restrict(reference: Samples, candidate: Samples) -> Samples:
    """Keep the strata that the candidate ran: a run of some subsets is compared with the same ones."""
    return reference.take(np.flatnonzero(np.isin(reference.stratum, np.unique(candidate.stratum))))
