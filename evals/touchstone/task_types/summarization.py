"""Summarization: correlation of machine summaries with human ratings, for each text."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from touchstone.metrics import correlation
from touchstone.task_types.base import Columns, Predicted, TaskType, chance_of_nothing, read_columns, text_ids


def collect(of: Predicted) -> Columns:
    """Give each text its correlation; mteb leaves out texts where either side is constant, without saying which."""
    task = of.task
    rows = of.rows()
    ids = text_ids(rows[task.text_column_name][:])
    golds = [np.array(one, dtype=np.float64) for one in rows[task.relevancy_column_name][:]]
    kept, values = [], []
    scored = list(zip(of.found["human_scores"], of.found["cosine_scores"], strict=True))
    for id_, gold in zip(ids, golds, strict=True):
        if scored and _same_up_to_scale(gold, scored[0][0]):
            human, predicted = (np.array(side, dtype=np.float64) for side in scored.pop(0))
            kept.append(id_)
            values.append(_summary_score(task, human, predicted))
    return {"id": np.array(kept), "value": np.array(values)}


def _same_up_to_scale(gold: Any, human: Sequence[float]) -> bool:
    """Return True if normalized scores are those of a text: mteb maps them to [0, 1] by a line."""
    other = np.array(human, dtype=np.float64)
    if len(gold) != len(other):
        return False
    slope = np.ptp(other) / np.ptp(gold) if np.ptp(gold) else 0.0
    return bool(np.allclose(other - other.min(), (gold - gold.min()) * slope, atol=1e-6))


def _summary_score(task: Any, human: Any, predicted: Any) -> float:
    rho = float(correlation.spearman(human, predicted))
    if not type(task).evaluator.__name__.startswith("Deprecated"):
        return rho
    from scipy.stats import spearmanr

    # The first version of this score averages the correlation with its own p-value; kept, for old numbers depend on it.
    return (rho + float(spearmanr(human, predicted).pvalue)) / 2


SUMMARIZATION = TaskType(
    name="Summarization",
    collect=collect,
    texts=read_columns(lambda of: {"text": of.task.text_column_name}),
    chance=chance_of_nothing,
    largest_loss=None,  # a text's correlation can lose up to two, and the mean has no bound that a few texts keep
    published_metric="cosine_spearman",
    examples=(("summarization", "SummEvalSummarization.v2", None),),
)
