"""Multilabel classification: a set of labels for each text, predicted in several experiments."""

from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from touchstone.errors import SourceError
from touchstone.metrics import influence, labels
from touchstone.records.samples import Column
from touchstone.seams import find
from touchstone.task_types.base import (
    TOLERANCE_FITTED,
    Columns,
    FolderLayout,
    Predicted,
    TaskType,
    TextColumns,
    text_ids,
)
from touchstone.task_types.classification import SHARE_RIGHT, most_frequent, number_labels
from touchstone.task_types.folders import LabelsOfText, read_lines

# mteb's classifier decides by this many nearest texts, and fails with fewer.
NEIGHBORS = 5

# Cache of the sample of each large set that is open: drawing one takes seconds.
_SAMPLES: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def collect(of: Predicted) -> Columns:
    """Return sets of labels as text, so that the rows of a column may have different numbers of labels."""
    from sklearn.preprocessing import MultiLabelBinarizer

    task = of.task
    rows = _evaluated_rows(of)
    gold = MultiLabelBinarizer().fit_transform(rows[task.label_column_name])
    return {
        "id": text_ids(rows[task.input_column_name][:]),
        "gold": _as_text(gold),
        "prediction": np.stack([_as_text(np.array(experiment)) for experiment in of.found], axis=1),
    }


def _evaluated_rows(of: Predicted) -> Any:
    """Return the test rows that were evaluated: mteb takes a seeded sample of large sets."""
    task, rows = of.task, of.rows()
    if len(rows) == len(of.found[0]):
        return rows
    if rows not in _SAMPLES:
        from datasets import DatasetDict

        draw = find("mteb.abstasks.abstask:_multilabel_subsampling")
        tables = DatasetDict({of.split: rows})
        samples = draw(tables, task.seed, [of.split], task.label_column_name, task.max_eval_samples)
        _SAMPLES[rows] = samples[of.split]
    return _SAMPLES[rows]


def _as_text(table: Any) -> Any:
    return np.array([" ".join(str(label) for label in np.flatnonzero(row)) for row in table])


def macro_f1(gold: Column, prediction: Column, counts: Any = None) -> Any:
    """Return the macro F1 over the labels that occur in the gold sets, as scikit-learn's binarizer has them."""
    truth, guess = _tables(gold, prediction)
    return labels.multilabel_f1(truth, guess, counts, average="macro")


def _tables(gold: Column, prediction: Column) -> list[Any]:
    """Return for both sides whether each sample has each label that occurs in the gold sets (n, l)."""
    sets = [set(text.split()) for text in gold], [set(text.split()) for text in prediction]
    names = sorted(set().union(*sets[0]))
    return [np.array([[name in members for name in names] for members in side], dtype=np.int64) for side in sets]


def _load(_task: Any, folder: Path) -> Any:
    train, test = (read_lines(folder / f"{split}.jsonl", LabelsOfText) for split in ("train", "test"))
    for lines in (train, test):
        for number, row in lines.rows:
            if len(set(map(str, row["label"]))) < len(row["label"]):
                raise lines.fail(number, "label names one twice")
    if sum(bool(row["label"]) for row in train) < NEIGHBORS:
        raise SourceError(f"{train.path}: has fewer than {NEIGHBORS} texts with labels, which mteb's classifier needs")
    if len({str(label) for row in test for label in row["label"]}) < 2:
        raise SourceError(f"{test.path}: has fewer than two labels; nothing could be told apart")
    return number_labels(train, test)


INPUT = TextColumns(columns=lambda of: {"text": of.task.input_column_name}, data=_evaluated_rows)
MULTILABEL_CLASSIFICATION = TaskType(
    name="MultilabelClassification",
    collect=collect,
    texts=INPUT.read,
    units=INPUT.units,
    fields=INPUT.fields,
    formulas={"accuracy": labels.accuracy, "f1": macro_f1},
    influences={"f1": lambda gold, prediction: influence.multilabel_f1(*_tables(gold, prediction))},
    counted=frozenset({"accuracy"}),
    sample_value=SHARE_RIGHT,
    tell=most_frequent,
    tolerance=TOLERANCE_FITTED,
    largest_loss=1.0,
    folder=FolderLayout(
        files=("train.jsonl", "test.jsonl"),
        main_score="accuracy",
        base="AbsTaskMultilabelClassification",
        load=_load,
        # mteb takes a sample of a large set; a custom folder is used whole.
        attributes={"max_eval_samples": None},
    ),
)
