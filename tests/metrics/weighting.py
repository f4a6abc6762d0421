"""The law of every weighted metric: a weight is a number of copies."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from touchstone.metrics import Undefined

Columns = tuple[Any, ...]


@st.composite
def samples(draw: st.DrawFn, *of: st.SearchStrategy[Any], min_size: int = 1) -> tuple[Columns, Any]:
    """Columns of n samples, and weights (3, n), some of them 0."""
    count = st.integers(0, 3)
    rows = draw(st.lists(st.tuples(*of, count, count, count), min_size=min_size, max_size=12))
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return tuple(columns[: len(of)]), np.array(columns[len(of) :])


def value(metric: Callable[..., Any], *columns: Any, **options: Any) -> Any:
    try:
        return metric(*columns, **options)
    except Undefined:
        return None


def check_weights(metric: Callable[..., Any], columns: Columns, weights: Any) -> None:
    """A row of weights is the metric of that many copies, 0 leaves out, and a matrix is its rows."""
    unweighted = value(metric, *columns)
    assert value(metric, *columns, weights=np.ones(len(columns[0]))) == unweighted
    values = [value(metric, *columns, weights=row) for row in weights]
    for row, single in zip(weights, values, strict=True):
        repeated = value(metric, *(np.repeat(column, row, axis=0) for column in columns)) if row.any() else None
        assert single == (None if repeated is None else pytest.approx(repeated, abs=1e-12))
    if None in values:
        with pytest.raises(Undefined):
            metric(*columns, weights=weights)
    else:
        matrix = metric(*columns, weights=weights)
        assert matrix.dtype == np.float64
        assert matrix.tolist() == values
