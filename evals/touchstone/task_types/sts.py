"""Semantic textual similarity: gold scores and cosine similarities of pairs."""

from pathlib import Path
from typing import Any

import numpy as np

from touchstone.metrics import correlation, influence
from touchstone.records.samples import Column
from touchstone.task_types.base import (
    Columns,
    FolderLayout,
    Predicted,
    SampleValue,
    TaskType,
    TextColumns,
    as_numbers,
    chance_of_nothing,
    text_ids,
)
from touchstone.task_types.folders import make_dataset, read_scored_pairs, set_range


def collect(of: Predicted) -> Columns:
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
    from scipy.stats import rankdata

    largest = max(len(gold) - 1, 1)
    return np.asarray(1 - np.abs(rankdata(gold) - rankdata(prediction.mean(axis=1))) / largest, dtype=np.float64)


def _load(task: Any, folder: Path) -> Any:
    pairs = read_scored_pairs(folder / "test.jsonl")
    set_range(task, [pair["score"] for pair in pairs])
    return make_dataset(test=[{**pair, **fields} for pair, fields in pairs.with_fields()])


RANK_AGREEMENT = SampleValue(words="agreement of its rank with the gold rank", of=rank_agreement)
PAIRS = TextColumns(columns=lambda of: dict(zip(("sentence 1", "sentence 2"), of.task.column_names, strict=True)))
STS = TaskType(
    name="STS",
    collect=collect,
    texts=PAIRS.read,
    units=PAIRS.units,
    fields=PAIRS.fields,
    formulas={"cosine_spearman": correlation.spearman},
    influences={"cosine_spearman": influence.spearman},
    sample_value=RANK_AGREEMENT,
    tell=as_numbers,
    chance=chance_of_nothing,
    published_metric="cosine_spearman",
    examples=(("STS", "STSBenchmark", None),),
    folder=FolderLayout(files=("test.jsonl",), main_score="cosine_spearman", base="AbsTaskSTS", load=_load),
)
