"""Pair classification: labels and similarities of pairs."""

from typing import Any

import numpy as np

from touchstone.metrics import pairs
from touchstone.records.samples import Column
from touchstone.task_types.base import Predicted, text_ids

# mteb's names of what it predicts for a pair, and whether larger means more alike.
SIMILARITIES = (
    ("similarity_scores", 1), ("cosine_scores", 1), ("manhattan_distances", -1), ("euclidean_distances", -1),
    ("dot_scores", 1),
)  # fmt: skip


def collect(of: Predicted) -> dict[str, Any]:
    """Return the label of each pair and its similarity by the function that scores best."""
    rows = of.rows()
    task = of.task
    gold = np.array(rows[task.label_column_name][:], dtype=np.int64)
    # The main score is that of the best similarity function, so its column says all.
    score = pairs.best_accuracy if of.metric == "max_accuracy" else pairs.average_precision
    columns = [np.array(of.found[name], dtype=np.float64) * sign for name, sign in SIMILARITIES]
    best = max(columns, key=lambda column: float(score(gold, column)))
    return {
        "id": text_ids(rows[task.input1_column_name][:], rows[task.input2_column_name][:]),
        "prediction": best[:, None],
        "gold": gold,
    }


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
