"""Semantic textual similarity: gold scores and cosine similarities of pairs."""

from typing import Any

import numpy as np

from touchstone.records.samples import Column
from touchstone.task_types.base import Predicted, text_ids


def collect(of: Predicted) -> dict[str, Any]:
    """Return the gold score of each pair and its cosine similarity."""
    rows = of.rows()
    left, right = of.task.column_names
    return {
        "id": text_ids(rows[left][:], rows[right][:]),
        "prediction": np.array(of.found["cosine_scores"], dtype=np.float64)[:, None],
        "gold": np.array(rows["score"][:], dtype=np.float64),
    }


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
