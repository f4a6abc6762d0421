"""Figures of some samples of a case, by a field that they have: shown in reports, and judged by nobody."""

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from touchstone.judging.pairing import Paired, pair
from touchstone.judging.units import Rows
from touchstone.metrics import Undefined
from touchstone.records.samples import Column, Samples, find_difference, restrict
from touchstone.records.verdicts import Slice
from touchstone.task_types.registry import rescore

# The most frequent values of a text have a slice of their own; numbers are cut into parts of about the same size.
MAX_VALUES, NUMBER_PARTS = 12, 3
OTHER_VALUES = "others"


def make_slices(candidate: Samples, reference: Samples, fields: Sequence[str]) -> tuple[Slice, ...]:
    """Compare the samples of both sides by the values of some fields.

    Args:
        candidate: the samples that have the fields.
        reference: the samples that they are compared with.
        fields: names of fields; one that the samples do not have is skipped.

    Returns:
        A slice for each value of a text, and for each third of a number, in order, where a field has several; the
        interval is None where it cannot be computed.
    """
    reference = restrict(reference, candidate)
    if find_difference(candidate, reference) is not None:
        return ()
    slices = []
    for name in fields:
        parts = list(_parts(candidate.fields.get(name)))
        for value, rows in parts if len(parts) > 1 else ():  # a single part is the case itself
            figures = _slice(candidate.take(rows), reference.take(rows), name, value)
            slices += [] if figures is None else [figures]
    return tuple(slices)


def _parts(column: Column | None) -> Iterator[tuple[str, Rows]]:
    if column is None:
        return
    if column.dtype.kind in "iuf":
        yield from _thirds(column)
        return
    frequent = [value for value, _ in Counter(column.tolist()).most_common(MAX_VALUES)]
    for value in sorted(frequent):
        yield str(value), np.flatnonzero(column == value)
    remainder = np.flatnonzero(~np.isin(column, frequent))
    if len(remainder):
        yield OTHER_VALUES, remainder


def _thirds(column: Column) -> Iterator[tuple[str, Rows]]:
    """Cut numbers into parts of about the same size; equal ones stay together."""
    bounds = np.unique(np.quantile(column, [part / NUMBER_PARTS for part in range(1, NUMBER_PARTS)], method="lower"))
    place = np.searchsorted(bounds, column)
    for part in np.unique(place):
        rows = np.flatnonzero(place == part)
        low, high = (f"{edge:.15g}" for edge in (column[rows].min(), column[rows].max()))
        yield low if low == high else f"{low} to {high}", rows


def _slice(candidate: Samples, reference: Samples, field: str, value: str) -> Slice | None:
    try:
        sides = [_score(side) for side in (candidate, reference)]
    except (Undefined, ValueError):  # such as no positive pair among them
        return None
    if sides[0] is None or sides[1] is None:
        return None
    paired: Any = pair(candidate, reference) if len(candidate) > 1 else None
    has_interval = isinstance(paired, Paired) and bool(np.isfinite(paired.difference.error))
    return Slice(
        field=field,
        value=value,
        n=len(candidate),
        score=sides[0],
        baseline=sides[1],
        interval=paired.difference.interval() if has_interval else None,
    )


def _score(samples: Samples) -> float | None:
    strata = rescore(samples)
    return None if strata is None else fmean(strata.values())
