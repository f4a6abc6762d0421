"""Zero-shot classification: the likeliest of some candidate labels for each text."""

import numpy as np

from touchstone.metrics import labels
from touchstone.task_types.base import Columns, Predicted, TaskType, chance_of_labels, text_ids
from touchstone.task_types.classification import INPUT, SHARE_RIGHT, most_frequent, name_labels


def collect(of: Predicted) -> Columns:
    """Return the likeliest class of each text; mteb gives the similarities to all candidates, in order."""
    rows = of.rows()
    gold = np.array(rows[of.task.label_column_name][:])
    likeliest = np.argmax(np.array(of.found), axis=1)
    if gold.dtype.kind == "U":
        likeliest = np.array(of.task.get_candidate_labels())[likeliest]
    return {"id": text_ids(rows[of.task.input_column_name][:]), "gold": gold, "prediction": likeliest[:, None]}


ZERO_SHOT_CLASSIFICATION = TaskType(
    name="ZeroShotClassification",
    collect=collect,
    texts=INPUT.read,
    units=INPUT.units,
    fields=INPUT.fields,
    formulas={"accuracy": labels.accuracy},
    counted=frozenset({"accuracy"}),
    sample_value=SHARE_RIGHT,
    tell=most_frequent,
    label_names=name_labels,
    chance=chance_of_labels,
    largest_loss=1.0,
)
