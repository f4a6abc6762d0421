"""Metrics of predicted classes; conventions as in scikit-learn (scikit-learn.org, sklearn.metrics).

Everywhere `weights` says how often each sample counts: (n,) gives a float, (r, n) an array (r,), None counts each once.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from touchstone.metrics import Undefined
from touchstone.metrics.resampling import Floats, Value, codes, indicators, numbers, over_resamples, ratio

Average: TypeAlias = Literal["macro", "weighted"]


def accuracy(gold: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """Share of samples whose predicted class is the gold one."""
    _, (truth, guess) = codes(gold, predicted)
    right = truth == guess
    return over_resamples(lambda count: float(count @ right / count.sum()), len(right), weights)


def f1(gold: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None, *, average: Average) -> Value:
    """F1 of each class, averaged over those that occur, gold or predicted: 2 correct / (gold + predicted)."""
    classes, (truth, guess) = codes(gold, predicted)
    right = truth == guess

    def score(count: Floats) -> float:
        columns = ((truth, count * right), (truth, count), (guess, count))
        correct, of_truth, of_guess = (
            np.bincount(column, weight, classes).astype(np.float64, copy=False) for column, weight in columns
        )
        values = _f1(correct, of_truth, of_guess)
        return _averaged(values, of_truth, (of_truth + of_guess > 0).astype(np.float64), average)

    return over_resamples(score, len(truth), weights)


def average_precision(gold01: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """Sum over the distinct scores, descending, of (R_n - R_{n-1}) P_n; scikit-learn's, without interpolation.

    Args:
        gold01: (n,), 1 for a positive sample.
        scores: (n,), higher for what is more likely positive.
        weights: see the module.

    Raises:
        Undefined: no positive has a weight.
    """
    at_thresholds = cumulated(gold01, scores)

    def score(count: Floats) -> float:
        positives, samples = at_thresholds(count)
        if positives[-1] == 0:
            raise Undefined("average precision without a positive")
        return float(np.diff(positives, prepend=0) @ ratio(positives, samples) / positives[-1])

    return over_resamples(score, len(np.asarray(scores)), weights)


def cumulated(gold01: ArrayLike, scores: ArrayLike) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Prepare to count what a threshold lets through.

    Returns:
        A function of weights (n,) to the positives and the samples at or above each distinct score, in descending
        order of it: (t,) each. Equal scores cannot be separated.
    """
    gold, values = indicators(gold01), numbers(gold01, scores)[1]
    order = np.argsort(-values, kind="stable")
    falling = values[order]
    last = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(values) - 1)

    def at_thresholds(count: Floats) -> tuple[Floats, Floats]:
        return np.cumsum((count * gold)[order])[last], np.cumsum(count[order])[last]

    return at_thresholds


def multilabel_f1(
    gold: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None, *, average: Average
) -> Value:
    """F1 of each label (n, l) of 0 and 1, averaged over all l; 0 for a label that is neither gold nor predicted."""
    truth, guess = (indicators(column, ndim=2) for column in numbers(gold, predicted, ndim=2))
    both = truth * guess

    def score(count: Floats) -> float:
        of_truth = count @ truth
        values = _f1(count @ both, of_truth, count @ guess)
        return _averaged(values, of_truth, np.ones_like(of_truth), average)

    return over_resamples(score, len(truth), weights)


def _f1(right: Floats, of_truth: Floats, of_guess: Floats) -> Floats:
    return ratio(2 * right, of_truth + of_guess)


def _averaged(values: Floats, support: Floats, occurs: Floats, average: Average) -> float:
    """Average over classes: by gold samples when weighted (0 where there are none), else over those that occur."""
    if average not in ("macro", "weighted"):
        raise ValueError(f"average is {average!r}, not macro or weighted")
    share = support if average == "weighted" else occurs
    return float(values @ share / max(share.sum(), np.finfo(np.float64).tiny))
