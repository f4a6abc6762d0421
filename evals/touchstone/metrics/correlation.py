"""Correlations of two columns of numbers (n,).

Everywhere `weights` says how often each sample counts: (n,) gives a float, (r, n) an array (r,), None counts each once.
Where a column is constant among the samples with a weight, there is no correlation: `Undefined`.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from touchstone.metrics import Undefined
from touchstone.metrics.resampling import Floats, Value, numbers, over_resamples

_Indices: TypeAlias = NDArray[np.intp]


def spearman(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """Product-moment correlation of the ranks; equal numbers share the mean of their ranks."""
    first, second = (_ranks(column) for column in numbers(x, y))
    return over_resamples(lambda count: _pearson(first(count), second(count), count), len(np.asarray(x)), weights)


def kendall(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """Kendall's tau-b: (concordant - discordant) / sqrt(pairs untied in x * pairs untied in y).

    Source: Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945).
    """
    first, second = (np.unique(column, return_inverse=True)[1] for column in numbers(x, y))
    both = np.unique(first * (second.max(initial=0) + 1) + second, return_inverse=True)[1]
    concordant = _concordant(first, second)

    def tau(count: Floats) -> float:
        # A sample and its copies are tied in both columns, so pairs of different numbers are all that counts.
        untied_x, untied_y, untied_any = (_untied(column, count) for column in (first, second, both))
        if untied_x == 0 or untied_y == 0:
            raise Undefined("correlation with a constant")
        untied_both = untied_x + untied_y - untied_any
        return _bounded((2 * concordant(count) - untied_both) / np.sqrt(untied_x) / np.sqrt(untied_y))

    return over_resamples(tau, len(first), weights)


def _pearson(x: Floats, y: Floats, count: Floats) -> float:
    """Covariance over the product of the standard deviations, of columns that are not constant."""
    a, b = (column - count @ column / count.sum() for column in (x, y))
    a, b = a / np.abs(a).max(), b / np.abs(b).max()  # so that the squares stay small
    weighted = a * count
    return _bounded(weighted @ b / np.sqrt(weighted @ a) / np.sqrt((b * count) @ b))


def _bounded(value: float) -> float:
    return float(min(max(value, -1.0), 1.0))  # rounding may exceed a bound


def _ranks(column: Floats) -> Callable[[Floats], Floats]:
    """Prepare mean ranks (n,) as a function of weights (n,); the ranks are lower by 1/2, which no correlation sees."""
    distinct, code = np.unique(column, return_inverse=True)

    def ranks(count: Floats) -> Floats:
        tied = np.bincount(code, count, len(distinct))
        if np.count_nonzero(tied) < 2:
            raise Undefined("correlation with a constant")
        return (np.cumsum(tied) - tied / 2)[code]

    return ranks


def _untied(code: _Indices, count: Floats) -> float:
    """Weight of the pairs of samples with different codes."""
    tied = np.bincount(code, count)
    return float((np.cumsum(tied) - tied) @ tied)


def _concordant(x: _Indices, y: _Indices) -> Callable[[Floats], float]:
    """Prepare the weight of the pairs that both columns order alike, in O(n log n).

    Two different y first differ at one bit. So for each bit: among samples whose y agree above it, sorted by x, those
    with the bit set are concordant with those before them, of smaller x, that have it clear.
    """
    bits = [_at_bit(x, y, bit) for bit in range(int(y.max(initial=0)).bit_length())]

    def concordant(count: Floats) -> float:
        total = 0.0
        for order, is_clear, is_set, group, run in bits:
            counts = count[order]
            before = np.concatenate(([0.0], np.cumsum(counts * is_clear)))
            total += counts[is_set] @ (before[run] - before[group])
        return float(total)

    return concordant


def _at_bit(x: _Indices, y: _Indices, bit: int) -> tuple[_Indices, NDArray[np.bool_], _Indices, _Indices, _Indices]:
    """Sort by the bits of y above this one, then by x.

    Returns:
        The order (n,); where the bit is clear (n,); the positions where it is set (s,), and for each of these the
        positions where its group of equal higher bits starts (s,), and its run of equal x within the group (s,).
    """
    order = np.lexsort((x, y >> (bit + 1)))
    group = y[order] >> (bit + 1)
    run = group * (x.max() + 1) + x[order]
    is_clear = (y[order] >> bit) % 2 == 0
    is_set = np.flatnonzero(~is_clear)
    return order, is_clear, is_set, np.searchsorted(group, group[is_set]), np.searchsorted(run, run[is_set])
