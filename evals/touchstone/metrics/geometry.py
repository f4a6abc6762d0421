"""Vectors of the same texts by two models, side by side: how far apart, which neighbours they keep, what moved.

All functions take arrays of shape (texts, dimensions) and compute in double precision where sums are long.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from touchstone.metrics import Undefined
from touchstone.metrics.correlation import spearman

Vectors = NDArray[np.float32]
Floats = NDArray[np.float64]
# Vectors that differ by no more than this, relative to their length, differ by rounding.
ROUNDING = 1e-5
ROUNDING_ONLY = "nothing moved but by rounding"
# A text that moved more than so many times as far as the median has not moved with the others.
OUTLIER_FACTOR = 10.0
# Length is the reason where in so many pairs of a text that moved and one that did not the first is the longer.
LONGER_SHARE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the vectors of one model look like: their lengths, and what would make a search blind.

    ``anisotropy`` is the mean cosine of random pairs of texts, ``collapsed`` counts dimensions that are the same in all
    vectors, ``duplicates`` texts that have the very vector of another.
    """

    dimensions: int
    norms: tuple[float, float, float]
    anisotropy: float
    collapsed: int
    duplicates: int


def lengths(vectors: Vectors | Floats) -> Floats:
    """Return the length of each vector, (texts,)."""
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)))


def units(vectors: Vectors) -> Floats:
    """Return vectors of length 1; a zero vector stays zero."""
    norms = lengths(vectors)[:, None]
    return vectors / np.where(norms == 0, 1, norms)


def cosines(first: Vectors, second: Vectors) -> Floats:
    """Return the cosine of each text's two vectors, (texts,)."""
    return np.asarray(np.einsum("ij,ij->i", units(first), units(second)))


def distances(first: Vectors, second: Vectors) -> Floats:
    """Return how far apart each text's two vectors are, relative to the longer of them, (texts,)."""
    longer = np.maximum(lengths(first), lengths(second))
    return lengths(np.asarray(first, np.float64) - second) / np.where(longer == 0, 1, longer)


def describe_shape(vectors: Vectors) -> Shape:
    """Describe the vectors of distinct texts."""
    norms = lengths(vectors)
    unit = units(vectors)
    mean = unit.mean(axis=0)
    count = len(unit)
    # The mean over all pairs of different texts, without making them.
    pairs = (count * count * float(mean @ mean) - float((unit * unit).sum())) / max(count * (count - 1), 1)
    spread = vectors.max(axis=0) - vectors.min(axis=0)
    return Shape(
        dimensions=vectors.shape[1],
        norms=(float(norms.min()), float(np.median(norms)), float(norms.max())),
        anisotropy=pairs,
        collapsed=int((spread == 0).sum()) if count > 1 else 0,
        duplicates=count - len(np.unique(np.ascontiguousarray(vectors), axis=0)),
    )


def nearest(vectors: Vectors, queries: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the nearest other texts of each query by cosine, as rows of ``vectors``: (queries, count), in no order."""
    unit = units(vectors).astype(np.float32)
    neighbours = []
    for at in range(0, len(queries), 256):
        rows = queries[at : at + 256]
        similarities = unit[rows] @ unit.T
        similarities[np.arange(len(rows)), rows] = -np.inf
        neighbours.append(np.argpartition(-similarities, min(count, similarities.shape[1]) - 1, axis=1)[:, :count])
    return np.concatenate(neighbours)


def kept_share(first: NDArray[np.int64], second: NDArray[np.int64]) -> Floats:
    """Return the share of its neighbours that each text keeps, (texts,)."""
    return np.array([len(set(a) & set(b)) / len(a) for a, b in zip(first.tolist(), second.tolist(), strict=True)])


def compare_pairs(first: Vectors, second: Vectors, seed: int = 0) -> tuple[float | None, float]:
    """Compare the cosines of random pairs of texts; the two models may differ in width.

    Returns:
        Spearman's correlation of them, None where all are alike; and what 99 in a hundred differ by at most. Where that
        is nothing, one model's vectors are the other's but for an orthogonal map: only that keeps all products.
    """
    random, count = np.random.default_rng(seed), len(first)
    left = random.integers(count, size=20 * count)
    right = (left + random.integers(1, max(count, 2), size=20 * count)) % count
    sides = [np.einsum("ij,ij->i", unit[left], unit[right]) for unit in (units(first), units(second))]
    try:
        ranks = float(spearman(*sides))
    except Undefined:
        ranks = None
    return ranks, float(np.quantile(np.abs(sides[0] - sides[1]), 0.99))


def tell_what_moved(apart: Floats, sizes: Sequence[int]) -> str:
    """Describe which texts moved, by their relative distances (texts,) and their lengths in characters."""
    moved = apart > ROUNDING
    share = float(moved.mean())
    if share == 0:
        return ROUNDING_ONLY
    characters = np.asarray(sizes)
    if share < 1 and _longer(characters[moved], characters[~moved]) >= LONGER_SHARE:
        least = int(np.quantile(characters[moved], 0.1))
        return f"only long texts moved: {int(moved.sum())} of {len(apart)}, nine in ten of {least} characters or more"
    middle = float(np.median(apart))
    far = apart > OUTLIER_FACTOR * max(middle, ROUNDING)
    if 0 < far.mean() < 0.5 and middle <= 0.05:
        rest = "the others by rounding" if middle <= ROUNDING else f"the others by {middle:.1e}"
        return f"some texts moved a lot: {int(far.sum())} of {len(apart)}, {rest}"
    if middle <= 0.05:
        return f"all moved a little, by {middle:.1e} of their length"
    return f"all moved, by {middle:.2g} of their length"


def _longer(moved: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """Return how often a text that moved is longer than one that did not, of all pairs; equal ones count half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, moved, "left") + np.searchsorted(ordered, moved, "right")
    return float(below.mean() / 2 / max(len(ordered), 1))
