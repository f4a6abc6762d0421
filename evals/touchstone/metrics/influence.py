"""Influence of each sample on a metric: the derivative of the metric by the weight of the sample, at equal weights.

A metric of weighted samples changes, to first order, by the sum of (weight - 1) times influence, so that the influences
(n,) sum to zero and their squares to the metric's squared standard error where samples are independent (the
infinitesimal jackknife; Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 21). The formulas are the
derivatives of those in this package.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from touchstone.metrics import Undefined
from touchstone.metrics.labels import Average
from touchstone.metrics.pairs import best_accuracy
from touchstone.metrics.resampling import Floats, codes, indicators, numbers, ratio

# Samples that are compared with all others at once; and the step of a numerical derivative.
BLOCK_SIZE, STEP = 256, 1e-4


def numerical(formula: Callable[..., Any], gold: Any, predicted: Any) -> Floats:
    """Influence on any metric that takes weights, by central differences: n metrics, each of n samples."""
    n = len(gold)
    influence = np.zeros(n)
    for start in range(0, n, BLOCK_SIZE):
        rows = slice(start, start + BLOCK_SIZE)
        shift = np.eye(n)[rows] * STEP
        influence[rows] = (formula(gold, predicted, 1 + shift) - formula(gold, predicted, 1 - shift)) / (2 * STEP)
    return influence


def spearman(gold: ArrayLike, predicted: ArrayLike) -> Floats:
    """Influence on Spearman's correlation: on the correlation of given ranks, and on the ranks of all others."""
    columns = numbers(gold, predicted)
    ranks = [_mean_ranks(column) for column in columns]
    x, y = (_standardized(rank) for rank in ranks)
    n, rho = len(x), float(x @ y) / len(x)
    influence = (x * y - rho * (x**2 + y**2) / 2) / n
    for column, rank, first, second in zip(columns, ranks, (x, y), (y, x), strict=True):
        influence += _sum_above(column, (second - rho * first) / (n * rank.std()))
    return influence


def kendall(gold: ArrayLike, predicted: ArrayLike) -> Floats:
    """Influence on Kendall's tau-b, by every sample's pairs with all others: O(n²)."""
    x, y = numbers(gold, predicted)
    concordant, untied_x, untied_y = np.zeros((3, len(x)))
    for start in range(0, len(x), BLOCK_SIZE):
        rows = slice(start, start + BLOCK_SIZE)
        a, b = np.sign(x[rows, None] - x), np.sign(y[rows, None] - y)
        concordant[rows], untied_x[rows], untied_y[rows] = (
            (a * b).sum(axis=1), np.abs(a).sum(axis=1), np.abs(b).sum(axis=1)
        )  # fmt: skip
    of_x, of_y = untied_x.sum() / 2, untied_y.sum() / 2
    if of_x == 0 or of_y == 0:
        raise Undefined("correlation with a constant")
    tau = concordant.sum() / 2 / np.sqrt(of_x) / np.sqrt(of_y)
    return np.asarray(
        concordant / np.sqrt(of_x) / np.sqrt(of_y) - tau / 2 * (untied_x / of_x + untied_y / of_y), dtype=np.float64
    )


def average_precision(gold01: ArrayLike, scores: ArrayLike) -> Floats:
    """Influence on average precision: on the recall that a sample adds, and on the precision at every lower score."""
    gold, values = indicators(gold01), numbers(gold01, scores)[1]
    positives = gold.sum()
    if positives == 0:
        raise Undefined("average precision without a positive")
    distinct, code = np.unique(-values, return_inverse=True)
    of_score, right = np.bincount(code, minlength=len(distinct)), np.bincount(code, gold, len(distinct))
    so_far = np.cumsum(of_score)
    precision = np.cumsum(right) / so_far
    per_sample, of_precision = right / so_far, right * precision / so_far
    below = [np.cumsum(column[::-1])[::-1][code] for column in (per_sample, of_precision)]
    whole = float(right @ precision) / positives
    influence = gold * precision[code] + gold * below[0] - below[1] - gold * whole
    return np.asarray(influence / positives, dtype=np.float64)


def f1(gold: ArrayLike, predicted: ArrayLike, *, average: Average) -> Floats:
    """Influence on the F1 averaged over classes: of a sample on its gold and on its predicted class."""
    classes, (truth, guess) = codes(gold, predicted)
    right = truth == guess
    correct, of_truth, of_guess = (
        np.bincount(column, weight, classes).astype(np.float64)
        for column, weight in ((truth, right), (truth, None), (guess, None))
    )
    sizes = of_truth + of_guess
    values = ratio(2 * correct, sizes)
    share = of_truth if average == "weighted" else np.ones(classes)
    change = share / sizes / share.sum()  # of the average by one more in the denominator of a class
    influence = 2 * right * change[truth] - change[truth] * values[truth] - change[guess] * values[guess]
    if average == "weighted":
        influence += (values[truth] - values @ share / share.sum()) / share.sum()
    return np.asarray(influence, dtype=np.float64)


def multilabel_f1(gold: ArrayLike, predicted: ArrayLike) -> Floats:
    """Influence on the macro F1 over labels, of tables (n, l) of 0 and 1."""
    truth, guess = (indicators(column, ndim=2) for column in numbers(gold, predicted, ndim=2))
    sizes = (truth + guess).sum(axis=0)
    values = ratio(2 * (truth * guess).sum(axis=0), sizes)
    change = (2 * truth * guess - (truth + guess) * values) / np.where(sizes > 0, sizes, 1)
    return np.asarray(change.mean(axis=1), dtype=np.float64)


def accuracy_at_best(gold01: ArrayLike, scores: ArrayLike) -> Floats:
    """Influence on the best accuracy over thresholds, where the best threshold stays the same."""
    gold, values = indicators(gold01), numbers(gold01, scores)[1]
    best = float(best_accuracy(gold, values))
    for threshold in np.unique(values)[1:]:
        right = (values >= threshold) == gold
        if abs(right.mean() - best) < 1e-12:
            return np.asarray((right - best) / len(gold), dtype=np.float64)
    return np.zeros(len(gold))  # all scores are equal: there is no threshold


def _mean_ranks(column: Floats) -> Floats:
    distinct, code = np.unique(column, return_inverse=True)
    if len(distinct) < 2:
        raise Undefined("correlation with a constant")
    tied = np.bincount(code)
    return np.asarray((np.cumsum(tied) - tied / 2)[code], dtype=np.float64)


def _standardized(column: Floats) -> Floats:
    return np.asarray((column - column.mean()) / column.std(), dtype=np.float64)


def _sum_above(column: Floats, amounts: Floats) -> Floats:
    """Return for each sample the amounts of those above it in a column, and half of those at it."""
    distinct, code = np.unique(column, return_inverse=True)
    at = np.asarray(np.bincount(code, amounts, len(distinct)), dtype=np.float64)
    return np.asarray((at.sum() - np.cumsum(at) + at / 2)[code], dtype=np.float64)
