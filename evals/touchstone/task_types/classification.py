"""Classification: single labels, label sets and zero-shot labels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from touchstone.metrics import labels
from touchstone.records.samples import Column
from touchstone.task_types.base import Predicted, evaluated_rows, text_ids


def collect(of: Predicted) -> dict[str, Any]:
    """Return the label of each test row and those predicted in each experiment."""
    rows = of.rows()
    task = of.task
    ids = text_ids(rows[task.input_column_name][:])
    gold = np.array(rows[task.label_column_name][:])
    if getattr(task, "is_cross_validation", False):
        return {"id": ids, "gold": gold} | _folds(task, of, gold)
    return {"id": ids, "gold": gold, "prediction": np.stack([np.array(one) for one in of.found], axis=1)}


def collect_zero_shot(of: Predicted) -> dict[str, Any]:
    """Take the likeliest class of each text; mteb gives the similarity to every candidate, in their order."""
    rows = of.rows()
    gold = np.array(rows[of.task.label_column_name][:])
    likeliest = np.argmax(np.array(of.found), axis=1)
    if gold.dtype.kind == "U":
        likeliest = np.array(of.task.get_candidate_labels())[likeliest]
    return {"id": text_ids(rows[of.task.input_column_name][:]), "gold": gold, "prediction": likeliest[:, None]}


def collect_label_sets(of: Predicted) -> dict[str, Any]:
    """Write each set of labels as text, so that a column holds one number of labels or another."""
    from sklearn.preprocessing import MultiLabelBinarizer

    task = of.task
    rows = evaluated_rows(task, of.rows(), of.split, len(of.found[0]))
    gold = MultiLabelBinarizer().fit_transform(rows[task.label_column_name])
    return {
        "id": text_ids(rows[task.input_column_name][:]),
        "gold": _as_text(gold),
        "prediction": np.stack([_as_text(np.array(one)) for one in of.found], axis=1),
    }


def _folds(task: Any, of: Predicted, gold: Any) -> dict[str, Any]:
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


def _as_text(table: Any) -> Any:
    return np.array([" ".join(str(label) for label in np.flatnonzero(row)) for row in table])


def multilabel_f1(gold: Column, found: Column) -> Any:
    """Return the macro F1 over the labels that occur in the gold sets, as scikit-learn's binarizer has them."""
    sets = [set(text.split()) for text in gold], [set(text.split()) for text in found]
    names = sorted(set().union(*sets[0]))
    tables = [_binarize(members, names) for members in sets]
    return labels.multilabel_f1(tables[0], tables[1], average="macro")


def _binarize(sets: list[set[str]], names: list[str]) -> NDArray[np.int64]:
    return np.array([[name in members for name in names] for members in sets], dtype=np.int64)


def share_right(gold: Any, prediction: Any) -> Column:
    """Return the share of predictions (n, e) that are the gold label (n,)."""
    return np.asarray((prediction == gold[:, None]).mean(axis=1), dtype=np.float64)
