"""Classification: one label for each text, predicted in several experiments."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from touchstone.metrics import influence, labels
from touchstone.records.samples import Column
from touchstone.task_types.base import (
    TOLERANCE_FITTED,
    Columns,
    FolderLayout,
    Predicted,
    SampleValue,
    TaskType,
    TextColumns,
    chance_of_labels,
    text_ids,
)
from touchstone.task_types.folders import Lines, make_dataset, read_labelled_texts


def collect(of: Predicted) -> Columns:
    """Return the label of each test row and its predictions in all experiments."""
    rows = of.rows()
    task = of.task
    ids = text_ids(rows[task.input_column_name][:])
    gold = np.array(rows[task.label_column_name][:])
    if getattr(task, "is_cross_validation", False):
        return {"id": ids, "gold": gold} | _folds(task, of, gold)
    return {"id": ids, "gold": gold, "prediction": np.stack([np.array(experiment) for experiment in of.found], axis=1)}


def _folds(task: Any, of: Predicted, gold: Any) -> Columns:
    """Score the items of a cross-validation: its score is the mean over folds, so small folds count more.

    Only accuracy has a score for each item; for others there is no column.
    """
    from sklearn.model_selection import KFold

    if of.metric != "accuracy":
        return {}
    splitter = KFold(n_splits=task.n_splits, shuffle=True, random_state=task.seed)
    value = np.zeros(len(gold))
    for (_, rows), predicted in zip(splitter.split(gold), of.found, strict=True):
        value[rows] = (np.array(predicted) == gold[rows]) * len(gold) / (len(of.found) * len(rows))
    return {"value": value}


def share_right(gold: Any, prediction: Any) -> Column:
    """Return the share of predictions (n, e) that are the gold label (n,)."""
    return np.asarray((prediction == gold[:, None]).mean(axis=1), dtype=np.float64)


def name_labels(of: Predicted) -> dict[str, str]:
    """Return the names of labels in the data, by label as text; empty where there are none."""
    rows = of.rows()
    column = of.task.label_column_name
    if "label_text" not in rows.column_names:
        return {str(label): name for label, name in enumerate(getattr(rows.features[column], "names", None) or ())}
    return {str(label): str(name) for label, name in zip(rows[column][:], rows["label_text"][:], strict=True)}


def most_frequent(_of: Predicted, *sides: Any, names: Mapping[str, str]) -> tuple[str | None, ...]:
    """Return the most frequent label of each side, and how often it was predicted."""
    return tuple(_label(side, names) for side in sides)


def _label(predictions: Any, names: Mapping[str, str]) -> str:
    classes, counts = np.unique(predictions, return_counts=True)
    label = str(classes[np.argmax(counts)])
    often = "" if len(predictions) == 1 else f" ({counts.max()} of {len(predictions)} times)"
    return f"{names.get(label, label)}{often}"


def _load(_task: Any, folder: Path) -> Any:
    train, test = (read_labelled_texts(folder / f"{split}.jsonl") for split in ("train", "test"))
    return number_labels(train, test)


def number_labels(train: Lines[Any], test: Lines[Any]) -> Any:
    """Return both splits as a data set with numbers for labels; a row has one label or a list.

    Raises:
        SourceError: a test row has a label that no training row has.
    """
    names = sorted({str(label) for row in train for label in labels_in(row)})
    numbers = {label: number for number, label in enumerate(names)}
    for number, row in test.rows:
        if unknown := [label for label in labels_in(row) if str(label) not in numbers]:
            raise test.fail(number, f'label "{unknown[0]}" is not in {train.path.name}')

    def code(row: Any) -> Any:
        codes = [numbers[str(label)] for label in labels_in(row)]
        return codes if isinstance(row["label"], list) else codes[0]

    splits = {"train": [(row, {}) for row in train], "test": test.with_fields()}
    return make_dataset(
        **{
            split: [{"text": row["text"], "label": code(row), **fields} for row, fields in rows]
            for split, rows in splits.items()
        }
    )


def labels_in(row: Any) -> list[Any]:
    """Return the labels of a row as a list."""
    return row["label"] if isinstance(row["label"], list) else [row["label"]]


INPUT = TextColumns(columns=lambda of: {"text": of.task.input_column_name})
SHARE_RIGHT = SampleValue(words="share of the experiments that are right", of=share_right)
CLASSIFICATION = TaskType(
    name="Classification",
    collect=collect,
    texts=INPUT.read,
    units=INPUT.units,
    fields=INPUT.fields,
    formulas={"accuracy": labels.accuracy, "f1": partial(labels.f1, average="macro")},
    influences={"f1": partial(influence.f1, average="macro")},
    counted=frozenset({"accuracy"}),
    sample_value=SHARE_RIGHT,
    tell=most_frequent,
    label_names=name_labels,
    chance=chance_of_labels,
    tolerance=TOLERANCE_FITTED,
    largest_loss=1.0,
    published_metric="accuracy",
    examples=(("classification", "Banking77Classification", None),),
    folder=FolderLayout(
        files=("train.jsonl", "test.jsonl"), main_score="accuracy", base="AbsTaskClassification", load=_load
    ),
)
