"""Which samples changed most between two measurements: each gets a value of its own, larger being better."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evals.pairing import COUNTED, SHOWN, own_scores, restrict
from evals.points import NOTHING
from evals.samples import Column, Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Values of all samples before and after, and the rows of those that lost and gained most, the most changed first.

    ``reference`` has the same rows as the candidate. ``measure`` says in words what a value is.
    """

    measure: str
    reference: Samples
    before: Column
    after: Column
    lost: tuple[int, ...]
    gained: tuple[int, ...]


def find_changes(candidate: Samples, reference: Samples) -> Changes | None:
    """Compare sample by sample; None where the samples are not the same ones, or have no values of their own."""
    reference = restrict(reference, candidate)
    if not (np.array_equal(candidate.id, reference.id) and np.array_equal(candidate.stratum, reference.stratum)):
        return None
    before, after = own_scores(reference), own_scores(candidate)
    measure = candidate.metric
    if before is None or after is None:
        if candidate.type not in VALUES or candidate.prediction is None or reference.prediction is None:
            return None
        measure, value = VALUES[candidate.type]
        before, after = _by_stratum(reference, value), _by_stratum(candidate, value)
    elif candidate.type in COUNTED:
        measure = RIGHT
    order = np.argsort(after - before, kind="stable")
    deltas = (after - before)[order]
    return Changes(
        measure=measure,
        reference=reference,
        before=before,
        after=after,
        lost=tuple(order[deltas < -NOTHING][:SHOWN].tolist()),
        gained=tuple(order[deltas > NOTHING][::-1][:SHOWN].tolist()),
    )


def _by_stratum(samples: Samples, value: Callable[[Any, Any], Column]) -> Column:
    """Value the samples of each stratum by themselves, as they are scored."""
    gold, prediction = samples.gold, samples.prediction
    values = np.zeros(len(samples))
    if gold is not None and prediction is not None:
        for rows in samples.by_stratum().values():
            values[rows] = value(gold[rows], prediction[rows])
    return values


def share_right(gold: Any, prediction: Any) -> Column:
    """Return the share of predictions (n, e) that are the gold label (n,)."""
    return np.asarray((prediction == gold[:, None]).mean(axis=1), dtype=np.float64)


def told_apart(gold: Any, prediction: Any) -> Column:
    """Return for each pair the share of the other class on the right side of it; ties count half.

    Their mean over the positive pairs is the area under the ROC curve.
    """
    similarity = prediction[:, 0]
    values = np.ones(len(gold))
    for label in (0, 1):
        others = np.sort(similarity[gold != label])
        if len(others):
            below = sum(np.searchsorted(others, similarity[gold == label], side) for side in ("left", "right"))
            share = below / (2 * len(others))
            values[gold == label] = share if label else 1 - share
    return values


def rank_agreement(gold: Any, prediction: Any) -> Column:
    """Return 1 minus the distance between a sample's two ranks, as a share of the largest there can be.

    Spearman's correlation falls with the sum of the squares of these distances.
    """
    largest = max(len(gold) - 1, 1)
    return np.asarray(1 - np.abs(_ranks(gold) - _ranks(prediction.mean(axis=1))) / largest, dtype=np.float64)


def _ranks(column: Any) -> Column:
    _, place, counts = np.unique(column, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[place], dtype=np.float64)


RIGHT = "share of the experiments that are right"
VALUES: Mapping[str, tuple[str, Callable[[Any, Any], Column]]] = {
    "STS": ("agreement of its rank with the gold rank", rank_agreement),
    "Regression": ("agreement of its rank with the gold rank", rank_agreement),
    "PairClassification": ("share of the other class it is told apart from", told_apart),
    "BitextMining": ("translation found", share_right),
    "Classification": (RIGHT, share_right),
    "MultilabelClassification": (RIGHT, share_right),
    "ZeroShotClassification": (RIGHT, share_right),
}
