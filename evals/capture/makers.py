"""Make the columns of samples, type by type, from what mteb hands to its prediction file and from the gold labels."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evals.metrics import clustering, correlation, pairs

# mteb's names of what it predicts for a pair, and whether larger means more alike.
SIMILARITIES = (
    ("similarity_scores", 1), ("cosine_scores", 1), ("manhattan_distances", -1), ("euclidean_distances", -1),
    ("dot_scores", 1),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What one task predicted for one split and subset.

    ``found`` has the shape that mteb gives a prediction file for the task's type. ``sampled`` and ``drawn`` are the
    rows that the task's random generator chose meanwhile.
    """

    task: Any
    split: str
    subset: str
    metric: str
    found: Any
    sampled: Sequence[Sequence[int]]
    drawn: Sequence[Sequence[int]]

    def rows(self) -> Any:
        """Return the data of the split and subset, as mteb loaded it."""
        dataset = self.task.dataset
        rows = dataset[self.subset][self.split] if self.subset in dataset else dataset[self.split]
        # Older pair data sets hold all of a split in one row.
        if self.task.metadata.type == "PairClassification" and len(rows) == 1:
            from datasets import Dataset

            rows = Dataset.from_dict(rows[0])
        return rows

    def columns(self) -> dict[str, Any]:
        """Return the columns of the samples, by the names of `evals.samples.Samples`."""
        return MAKERS[self.task.metadata.type](self)


def _sts(of: Predicted) -> dict[str, Any]:
    rows = of.rows()
    left, right = of.task.column_names
    return {
        "id": text_ids(rows[left][:], rows[right][:]),
        "prediction": np.array(of.found["cosine_scores"], dtype=np.float64)[:, None],
        "gold": np.array(rows["score"][:], dtype=np.float64),
    }


def _pairs(of: Predicted) -> dict[str, Any]:
    rows = of.rows()
    task = of.task
    gold = np.array(rows[task.label_column_name][:], dtype=np.int64)
    # The main score is that of the best similarity function, so its column says all.
    score = pairs.best_accuracy if of.metric == "max_accuracy" else pairs.average_precision
    columns = [np.array(of.found[name], dtype=np.float64) * sign for name, sign in SIMILARITIES]
    best = max(columns, key=lambda column: float(score(gold, column)))
    return {
        "id": text_ids(rows[task.input1_column_name][:], rows[task.input2_column_name][:]),
        "prediction": best[:, None],
        "gold": gold,
    }


def _classes(of: Predicted) -> dict[str, Any]:
    rows = of.rows()
    task = of.task
    ids = text_ids(rows[task.input_column_name][:])
    gold = np.array(rows[task.label_column_name][:])
    if getattr(task, "is_cross_validation", False):
        return {"id": ids, "gold": gold} | _folds(task, of, gold)
    return {"id": ids, "gold": gold, "prediction": np.stack([np.array(one) for one in of.found], axis=1)}


def _zero_shot(of: Predicted) -> dict[str, Any]:
    """Take the likeliest class of each text; mteb gives the similarity to every candidate, in their order."""
    rows = of.rows()
    gold = np.array(rows[of.task.label_column_name][:])
    likeliest = np.argmax(np.array(of.found), axis=1)
    if gold.dtype.kind == "U":
        likeliest = np.array(of.task.get_candidate_labels())[likeliest]
    return {"id": text_ids(rows[of.task.input_column_name][:]), "gold": gold, "prediction": likeliest[:, None]}


def _label_sets(of: Predicted) -> dict[str, Any]:
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


def _bitext(of: Predicted) -> dict[str, Any]:
    task = of.task
    parallel = getattr(task, "parallel_subsets", False)
    rows = task.dataset[of.split] if parallel else of.rows()
    left = of.subset.split("-")[0] if parallel else "sentence1"
    nearest = of.found if isinstance(of.found, list) else next(iter(of.found.values()))
    # mteb asks `"gold" in data`, which no table answers with yes; so do we, until it does.
    gold = [pair[1] for pair in rows["gold"]] if "gold" in rows else range(len(nearest))
    return {
        "id": text_ids(rows[left][:])[: len(nearest)],
        "prediction": np.array([hit["corpus_id"] for hit in nearest], dtype=np.int64)[:, None],
        "gold": np.array(list(gold), dtype=np.int64),
    }


def _clusters(of: Predicted) -> dict[str, Any]:
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


def _summaries(of: Predicted) -> dict[str, Any]:
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


def text_ids(*columns: Sequence[str]) -> Any:
    """Name rows by the hash of their texts, and the second of equal rows by the hash and its number."""
    seen: Counter[str] = Counter()
    ids = []
    for texts in zip(*columns, strict=True):
        digest = hashlib.sha256("\0".join(map(str, texts)).encode()).hexdigest()[:10]
        ids.append(digest if not seen[digest] else f"{digest}#{seen[digest]}")
        seen[digest] += 1
    return np.array(ids)


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


def evaluated_rows(task: Any, rows: Any, split: str, count: int) -> Any:
    """Return the test rows that were evaluated: mteb takes a seeded sample of large sets."""
    if len(rows) == count:
        return rows
    from datasets import DatasetDict
    from mteb.abstasks.abstask import _multilabel_subsampling

    column = task.label_column_name
    return _multilabel_subsampling(DatasetDict({split: rows}), task.seed, [split], column, task.max_eval_samples)[split]


def _as_text(table: Any) -> Any:
    return np.array([" ".join(str(label) for label in np.flatnonzero(row)) for row in table])


def _legacy_clusters(labels: Sequence[Sequence[Any]], found: Sequence[Sequence[int]], score: Any) -> dict[str, Any]:
    """Give each set of texts its score; a set of one class is not clustered and counts 1, as mteb has it."""
    clusters = iter(found)
    values = [score(np.array(gold), np.array(next(clusters))) if len(set(gold)) > 1 else 1.0 for gold in labels]
    return {"id": np.array([f"set {number:04}" for number in range(len(values))]), "value": np.array(values)}


def _same_up_to_scale(gold: Any, human: Sequence[float]) -> bool:
    """Say whether normalized scores are those of a text: mteb maps them to [0, 1] by a line."""
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


MAKERS = {
    "STS": _sts,
    "PairClassification": _pairs,
    "Classification": _classes,
    "MultilabelClassification": _label_sets,
    "Regression": _classes,
    "ZeroShotClassification": _zero_shot,
    "BitextMining": _bitext,
    "Clustering": _clusters,
    "Summarization": _summaries,
}
