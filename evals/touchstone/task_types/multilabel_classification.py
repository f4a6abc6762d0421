"""Multilabel classification: a set of labels for each text, predicted in several experiments."""

from typing import Any

import numpy as np

from touchstone.metrics import labels
from touchstone.records.samples import Column
from touchstone.seams import find
from touchstone.task_types.base import TOLERANCE_FITTED, Columns, Predicted, TaskType, read_columns, text_ids
from touchstone.task_types.classification import SHARE_RIGHT, most_frequent


def collect(of: Predicted) -> Columns:
    """Write each set of labels as text, so that a column holds one number of labels or another."""
    from sklearn.preprocessing import MultiLabelBinarizer

    task = of.task
    rows = _evaluated_rows(of)
    gold = MultiLabelBinarizer().fit_transform(rows[task.label_column_name])
    return {
        "id": text_ids(rows[task.input_column_name][:]),
        "gold": _as_text(gold),
        "prediction": np.stack([_as_text(np.array(one)) for one in of.found], axis=1),
    }


def _evaluated_rows(of: Predicted) -> Any:
    """Return the test rows that were evaluated: mteb takes a seeded sample of large sets."""
    task, rows = of.task, of.rows()
    if len(rows) == len(of.found[0]):
        return rows
    from datasets import DatasetDict

    draw = find("mteb.abstasks.abstask:_multilabel_subsampling")
    tables = DatasetDict({of.split: rows})
    return draw(tables, task.seed, [of.split], task.label_column_name, task.max_eval_samples)[of.split]


def _as_text(table: Any) -> Any:
    return np.array([" ".join(str(label) for label in np.flatnonzero(row)) for row in table])


def macro_f1(gold: Column, found: Column, counts: Any = None) -> Any:
    """Return the macro F1 over the labels that occur in the gold sets, as scikit-learn's binarizer has them."""
    sets = [set(text.split()) for text in gold], [set(text.split()) for text in found]
    names = sorted(set().union(*sets[0]))
    tables = [np.array([[name in members for name in names] for members in side], dtype=np.int64) for side in sets]
    return labels.multilabel_f1(tables[0], tables[1], counts, average="macro")


MULTILABEL_CLASSIFICATION = TaskType(
    name="MultilabelClassification",
    collect=collect,
    texts=read_columns(lambda of: {"text": of.task.input_column_name}, _evaluated_rows),
    formulas={"accuracy": labels.accuracy, "f1": macro_f1},
    counted=frozenset({"accuracy"}),
    sample_value=SHARE_RIGHT,
    tell=most_frequent,
    tolerance=TOLERANCE_FITTED,
    largest_loss=1.0,
)
