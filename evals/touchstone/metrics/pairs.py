"""Metrics of pair classification over the thresholds of a similarity, as mteb computes them.

mteb tries only thresholds between two neighbouring distinct scores: neither "all pairs are positive" nor "none is",
so the best accuracy may be below the majority's share, and is 0 where all scores are equal. That is kept here, so that
numbers compare. A distance is negated by the caller: high is similar.
"""

import numpy as np
from numpy.typing import ArrayLike

from touchstone.metrics.labels import average_precision, cumulated
from touchstone.metrics.resampling import Floats, Value, over_resamples

__all__ = ["average_precision", "best_accuracy"]


def best_accuracy(gold01: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """Best accuracy over the thresholds; mteb's _find_best_acc_and_threshold.

    Args:
        gold01: (n,), 1 for a pair that belongs together.
        scores: (n,), higher for what is more similar.
        weights: how often each pair counts: (n,) gives a float, (r, n) an array (r,), None counts each once.
    """
    at_thresholds = cumulated(gold01, scores)

    def accuracy(count: Floats) -> float:
        positives, samples = at_thresholds(count)
        negatives_below = (samples[-1] - positives[-1]) - (samples - positives)
        right = (positives + negatives_below) / samples[-1]
        return float(np.max(right, initial=0, where=(samples > 0) & (samples < samples[-1])))

    return over_resamples(accuracy, len(np.asarray(scores)), weights)
