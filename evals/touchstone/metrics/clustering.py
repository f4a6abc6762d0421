"""Agreement of clusters with labels; both are columns (n,) whose names mean nothing. Entropies are in nats.

Sources: Rosenberg and Hirschberg, "V-Measure" (EMNLP 2007); Vinh, Epps and Bailey, "Information theoretic measures for
clusterings comparison" (JMLR 11, 2010). An empty input is `Undefined`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from touchstone.metrics import Undefined
from touchstone.metrics.resampling import codes


@dataclass(frozen=True)
class _Table:
    """Counts of samples: of each label (k,), of each cluster (m,), and the information (nats) they share."""

    labels: NDArray[np.intp]
    clusters: NDArray[np.intp]
    mutual: float
    same: bool  # the clusters are the labels under other names


def homogeneity(labels: ArrayLike, clusters: ArrayLike) -> float:
    """Share of the labels' entropy that the clusters explain; 1 when each cluster has one label."""
    table = _table(labels, clusters)
    if len(table.labels) == 1:
        return 1.0
    return min(table.mutual / _entropy(table.labels), 1.0)  # rounding may exceed the bound


def completeness(labels: ArrayLike, clusters: ArrayLike) -> float:
    """Share of the clusters' entropy that the labels explain; 1 when each label is in one cluster."""
    return homogeneity(clusters, labels)


def v_measure(labels: ArrayLike, clusters: ArrayLike) -> float:
    """Harmonic mean of homogeneity and completeness; 0 when both are 0."""
    h, c = homogeneity(labels, clusters), completeness(labels, clusters)
    return 2 * h * c / (h + c) if h + c else 0.0


def adjusted_mutual_information(labels: ArrayLike, clusters: ArrayLike) -> float:
    """(MI - E[MI]) / (mean entropy - E[MI]), E under random clusters of the same sizes: 1 is perfect, 0 is chance."""
    table = _table(labels, clusters)
    if table.same:
        return 1.0
    if min(len(table.labels), len(table.clusters)) == 1:
        return 0.0
    expected = _expected(table.labels, table.clusters)
    ceiling = (_entropy(table.labels) + _entropy(table.clusters)) / 2
    return (table.mutual - expected) / (ceiling - expected)


def _table(labels: ArrayLike, clusters: ArrayLike) -> _Table:
    (k, (row,)), (m, (column,)) = codes(labels), codes(clusters)
    if row.shape != column.shape:
        raise ValueError(f"{len(row)} labels, {len(column)} clusters")
    if not len(row):
        raise Undefined("no samples")
    of_label, of_cluster = np.bincount(row), np.bincount(column)
    cell, count = np.unique(row * m + column, return_counts=True)
    # In logarithms: the product of two sizes may leave the integers of a narrow platform.
    logs = np.log(count) + np.log(len(row)) - np.log(of_label[cell // m]) - np.log(of_cluster[cell % m])
    return _Table(of_label, of_cluster, max(float(count @ logs) / len(row), 0.0), same=k == m == len(cell))


def _entropy(counts: NDArray[np.intp]) -> float:
    shares = counts / counts.sum()
    return float(-(shares @ np.log(shares)))


def _expected(labels: NDArray[np.intp], clusters: NDArray[np.intp]) -> float:
    """Return the expected mutual information (nats) under the hypergeometric model: Vinh et al., equation 24a.

    Sizes that occur several times are computed once, so a table of many small clusters stays small.
    """
    n = int(labels.sum())
    fact = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, n + 1)), dtype=np.longdouble)))  # log n!
    sizes, times = np.unique(clusters, return_counts=True)
    total = 0.0
    for a, repeats in zip(*np.unique(labels, return_counts=True), strict=True):
        cell = np.arange(1, a + 1)[:, None]
        row, column = np.nonzero((cell <= sizes) & (cell >= a + sizes - n))
        x, b = row + 1, sizes[column]  # x samples of a label of size a in a cluster of size b
        chance = fact[a] + fact[b] + fact[n - a] + fact[n - b] - fact[n] - fact[x] - fact[a - x] - fact[b - x]
        share = np.exp((chance - fact[n - a - b + x]).astype(np.float64))
        total += float(repeats * (times[column] * share * x / n) @ (np.log(n * x) - np.log(a * b)))
    return total
