"""What the metrics share: checked input, and one value for each vector of weights."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from touchstone.metrics import Undefined

Floats: TypeAlias = NDArray[np.float64]
# A float for one vector of weights, an array for a matrix of them: the shape decides, which no type can say.
Value: TypeAlias = Any


def over_resamples(metric: Callable[[Floats], float], size: int, weights: ArrayLike | None) -> Value:
    """Compute a metric for each vector of weights.

    Args:
        metric: a function of weights (n,).
        size: the number of samples, n.
        weights: how often each sample counts: (n,), (r, n), or None for once each.

    Returns:
        A float for (n,) and None, an array (r,) for (r, n).

    Raises:
        ValueError: the weights have another shape, or one of them is negative or not finite.
        Undefined: nothing has a weight.
    """
    counts = np.ones(size) if weights is None else np.asarray(weights, dtype=np.float64)
    if counts.ndim not in (1, 2) or counts.shape[-1] != size:
        raise ValueError(f"weights of shape {counts.shape} for {size} samples")
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError("weights are finite and not negative")
    if not counts.any(axis=-1).all():
        raise Undefined("no samples")
    if counts.ndim == 1:
        return float(metric(counts))
    return np.fromiter((metric(row) for row in counts), np.float64, len(counts))


def numbers(*columns: ArrayLike, ndim: int = 1) -> tuple[Floats, ...]:
    """Return columns as float64 arrays of one shape.

    Raises:
        ValueError: the shapes differ, or are not `ndim`-dimensional, or a number is not finite.
    """
    arrays = tuple(np.asarray(column, dtype=np.float64) for column in columns)
    if any(array.ndim != ndim or array.shape != arrays[0].shape for array in arrays):
        raise ValueError(f"not {ndim}-dimensional and of one shape: {[array.shape for array in arrays]}")
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("a number is not finite")
    return arrays


def indicators(column: ArrayLike, ndim: int = 1) -> Floats:
    """Return zeros and ones as float64; ValueError for anything else."""
    (array,) = numbers(column, ndim=ndim)
    if not np.isin(array, (0, 1)).all():
        raise ValueError("not all are 0 or 1")
    return array


def codes(*columns: ArrayLike) -> tuple[int, list[NDArray[np.intp]]]:
    """Give each distinct label of the columns together a number.

    Args:
        columns: labels that can be sorted, (n,) each.

    Returns:
        How many distinct labels there are, and each column as numbers from 0 on.

    Raises:
        ValueError: the columns differ in length, or are not one-dimensional.
    """
    arrays = [np.asarray(column) for column in columns]
    if any(array.ndim != 1 or array.shape != arrays[0].shape for array in arrays):
        raise ValueError(f"not one-dimensional and of one length: {[array.shape for array in arrays]}")
    distinct, numbered = np.unique(np.concatenate(arrays), return_inverse=True)
    return len(distinct), np.split(numbered, len(arrays))


def ratio(part: Floats, whole: Floats) -> Floats:
    """Divide, where nothing of nothing is 0 (scikit-learn's zero_division=0)."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
