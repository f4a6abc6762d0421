"""Clustering: a v-measure for each draw; a draw is of many texts, so it has no units."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from touchstone.metrics import clustering
from touchstone.task_types.base import TOLERANCE_FITTED, Columns, FolderLayout, Predicted, TaskType
from touchstone.task_types.folders import make_dataset, read_labelled_texts


def collect(of: Predicted) -> Columns:
    """Return the v-measure of each draw."""
    task = of.task
    rows = of.rows()
    score = clustering.adjusted_mutual_information if of.metric == "ami" else clustering.v_measure
    if not isinstance(of.found, Mapping):
        return _legacy_clusters(rows[task.label_column_name][:], of.found, score)
    labels = rows[task.label_column_name][:]
    labels = [labels[index] for index in of.sampled[0]] if of.sampled else labels
    levels = [label if isinstance(label, list) else [label] for label in labels]
    ids, values = [], []
    draws = iter(of.drawn)
    for number, assignments in enumerate(of.found.values()):
        at_level = [label[number] for label in levels if len(label) > number and label[number] != -1]
        for draw, clusters in enumerate(assignments):
            ids.append(f"level {number}, draw {draw:02}")
            values.append(score(np.array([at_level[index] for index in next(draws)]), np.array(clusters)))
    return {"id": np.array(ids), "value": np.array(values)}


def _legacy_clusters(labels: Sequence[Sequence[Any]], assignments: Sequence[Sequence[int]], score: Any) -> Columns:
    """Return the score of each set of texts; a set of one class is not clustered and counts 1, as in mteb."""
    clusters = iter(assignments)
    values = [score(np.array(gold), np.array(next(clusters))) if len(set(gold)) > 1 else 1.0 for gold in labels]
    return {"id": np.array([f"set {number:04}" for number in range(len(values))]), "value": np.array(values)}


def chance(metric: str, _gold: Sequence[Sequence[Any]]) -> float | None:
    """Return the score of guessing: 0 for a v-measure of many clusters, not known for other metrics."""
    return 0.0 if metric == "v_measure" else None


def _load(task: Any, folder: Path) -> Any:
    texts = list(read_labelled_texts(folder / "test.jsonl"))
    # With several subsets the largest one decides.
    task.max_documents_per_cluster = max(len(texts), vars(task).get("max_documents_per_cluster", 0))
    return make_dataset(test=[{"sentences": text["text"], "labels": str(text["label"])} for text in texts])


CLUSTERING = TaskType(
    name="Clustering",
    collect=collect,
    chance=chance,
    tolerance=TOLERANCE_FITTED,
    fitted_by=("scikit-learn", "numpy", "mteb"),  # MiniBatchKMeans gives other clusters under other versions of these
    paired=False,
    sample_word="draws",
    published_metric="v_measure",
    examples=(("clustering", "TwentyNewsgroupsClustering.v2", None),),
    folder=FolderLayout(
        files=("test.jsonl",),
        main_score="v_measure",
        base="AbsTaskClustering",
        load=_load,
        # mteb samples 4 % of a clustering set, for sets of a million; a custom folder is used whole.
        attributes={"max_fraction_of_documents_to_embed": None, "max_document_to_embed": None},
    ),
)
