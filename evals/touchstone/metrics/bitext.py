"""The metric of matched sentences: the number of the right sentence, and the number of the one found, (n,) each."""

from numpy.typing import ArrayLike

from touchstone.metrics import labels
from touchstone.metrics.resampling import Value


def f1(gold: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> Value:
    """F1 with each sentence number as a class, weighted by its gold count: what mteb reports.

    ``weights`` are those of `touchstone.metrics.labels`.
    """
    return labels.f1(gold, predicted, weights, average="weighted")
