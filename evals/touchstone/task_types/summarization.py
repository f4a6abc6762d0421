"""Summarization: correlation of machine summaries with human ratings, for each text."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from touchstone.errors import SourceError
from touchstone.metrics import correlation
from touchstone.task_types.base import (
    Columns,
    FolderLayout,
    Predicted,
    TaskType,
    TextColumns,
    chance_of_nothing,
    text_ids,
)
from touchstone.task_types.folders import SummarizedText, make_dataset, read_lines, set_range


def collect(of: Predicted) -> Columns:
    """Return the correlation of each text."""
    task = of.task
    ids = text_ids(of.rows()[task.text_column_name][:])
    scored = list(_scored(of))
    values = [_summary_score(task, *(np.array(side, dtype=np.float64) for side in sides)) for _, sides in scored]
    return {"id": ids[[row for row, _ in scored]], "value": np.array(values)}


def _scored(of: Predicted) -> Iterator[tuple[int, tuple[Any, Any]]]:
    """Yield the row numbers and scores of texts; mteb leaves out texts with a constant side, without saying which."""
    scored = list(zip(of.found["human_scores"], of.found["cosine_scores"], strict=True))
    for row, gold in enumerate(of.rows()[of.task.relevancy_column_name][:]):
        if scored and _same_up_to_scale(np.array(gold, dtype=np.float64), scored[0][0]):
            yield row, scored.pop(0)


def _same_up_to_scale(gold: Any, human: Sequence[float]) -> bool:
    """Return True if human scores are a linear map of the gold scores: mteb normalizes them to [0, 1]."""
    normalized = np.array(human, dtype=np.float64)
    if len(gold) != len(normalized):
        return False
    slope = np.ptp(normalized) / np.ptp(gold) if np.ptp(gold) else 0.0
    return bool(np.allclose(normalized - normalized.min(), (gold - gold.min()) * slope, atol=1e-6))


def _summary_score(task: Any, human: Any, predicted: Any) -> float:
    rho = float(correlation.spearman(human, predicted))
    if not type(task).evaluator.__name__.startswith("Deprecated"):
        return rho
    from scipy.stats import spearmanr

    # The first version of this score averages the correlation and its p-value; old numbers depend on it.
    return (rho + float(spearmanr(human, predicted).pvalue)) / 2


def _load(task: Any, folder: Path) -> Any:
    texts = read_lines(folder / "test.jsonl", SummarizedText)
    for number, row in texts.rows:
        if len(row["relevance"]) != len(row["machine_summaries"]):
            raise texts.fail(number, "relevance needs one score for each of machine_summaries")
        if not row["human_summaries"]:
            raise texts.fail(number, "human_summaries is empty")
    equal = sum(len(set(row["relevance"])) < 2 for row in texts)
    if equal == len(texts.rows):
        raise SourceError(f"{texts.path}: every text's relevance is the same; nothing could be told apart")
    if equal:
        task.notes += (
            f"{texts.path}: {equal} of {len(texts.rows)} texts with one relevance for all, left out, as in mteb",
        )
    set_range(task, [score for row in texts for score in row["relevance"]])
    return make_dataset(test=[{**row, **fields} for row, fields in texts.with_fields()])


TEXT = TextColumns(
    columns=lambda of: {"text": of.task.text_column_name}, samples=lambda of: [row for row, _ in _scored(of)]
)
SUMMARIZATION = TaskType(
    name="Summarization",
    collect=collect,
    texts=TEXT.read,
    units=TEXT.units,
    fields=TEXT.fields,
    chance=chance_of_nothing,
    largest_loss=None,  # a text's correlation can lose up to two, and the mean has no bound that a few texts keep
    published_metric="cosine_spearman",
    examples=(("summarization", "SummEvalSummarization.v2", None),),
    folder=FolderLayout(files=("test.jsonl",), main_score="cosine_spearman", base="AbsTaskSummarization", load=_load),
)
