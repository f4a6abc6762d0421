"""Pair classification: labels and similarities of pairs."""

from pathlib import Path
from typing import Any

import numpy as np

from touchstone.metrics import influence, pairs
from touchstone.records.samples import Column
from touchstone.task_types.base import (
    Columns,
    FolderLayout,
    Predicted,
    SampleValue,
    TaskType,
    TextColumns,
    as_numbers,
    chance_of_labels,
    text_ids,
)
from touchstone.task_types.folders import make_dataset, read_labelled_pairs

# mteb's names of the predictions for a pair, and the sign with which larger means more alike.
PREDICTIONS = (
    ("similarity_scores", 1), ("cosine_scores", 1), ("manhattan_distances", -1), ("euclidean_distances", -1),
    ("dot_scores", 1),
)  # fmt: skip


def _rows(of: Predicted) -> Any:
    return _unpack(of.rows())


def _unpack(rows: Any) -> Any:
    if len(rows) != 1:
        return rows
    from datasets import Dataset

    return Dataset.from_dict(rows[0])  # older data sets hold all of a split in one row


def collect(of: Predicted) -> Columns:
    """Return the label of each pair and its similarity by the function that scores best."""
    rows = _rows(of)
    task = of.task
    gold = np.array(rows[task.label_column_name][:], dtype=np.int64)
    # The main score is that of the best similarity function, so its column is enough.
    score = PAIR_CLASSIFICATION.formulas.get(of.metric, pairs.average_precision)
    columns = [np.array(of.found[name], dtype=np.float64) * sign for name, sign in PREDICTIONS]
    best = max(columns, key=lambda column: float(score(gold, column)))
    return {
        "id": text_ids(rows[task.input1_column_name][:], rows[task.input2_column_name][:]),
        "prediction": best[:, None],
        "gold": gold,
    }


def share_separated(gold: Any, prediction: Any) -> Column:
    """Return for each pair the share of the other class that lies on the right side of the pair; ties count half.

    The mean over the positive pairs is the area under the ROC curve.
    """
    similarity = prediction[:, 0]
    values = np.ones(len(gold))
    for label in (0, 1):
        other_class = np.sort(similarity[gold != label])
        if len(other_class):
            below = sum(np.searchsorted(other_class, similarity[gold == label], side) for side in ("left", "right"))
            share = below / (2 * len(other_class))
            values[gold == label] = share if label else 1 - share
    return values


def _load(_task: Any, folder: Path) -> Any:
    pairs = read_labelled_pairs(folder / "test.jsonl")
    return make_dataset(
        test=[
            {"sentence1": pair["sentence1"], "sentence2": pair["sentence2"], "labels": pair["label"], **fields}
            for pair, fields in pairs.with_fields()
        ]
    )


PAIRS = TextColumns(
    columns=lambda of: {"sentence 1": of.task.input1_column_name, "sentence 2": of.task.input2_column_name},
    data=_rows,
    size=lambda data: len(_unpack(data)),
)
PAIR_CLASSIFICATION = TaskType(
    name="PairClassification",
    collect=collect,
    texts=PAIRS.read,
    units=PAIRS.units,
    fields=PAIRS.fields,
    formulas={"max_ap": pairs.average_precision, "max_accuracy": pairs.best_accuracy},
    influences={"max_ap": influence.average_precision, "max_accuracy": influence.accuracy_at_best},
    sample_value=SampleValue(words="share of the other class it is told apart from", of=share_separated),
    tell=as_numbers,
    chance=chance_of_labels,
    published_metric="cosine_ap",  # mteb has since taken the best of all similarities
    best_of=("cosine", "dot", "euclidean", "manhattan"),
    examples=(("pair classification", "TwitterSemEval2015", None),),
    folder=FolderLayout(files=("test.jsonl",), main_score="max_ap", base="AbsTaskPairClassification", load=_load),
)
