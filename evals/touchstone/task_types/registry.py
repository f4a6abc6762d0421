"""What is known of each task type, by its name."""

from collections.abc import Callable, Collection, Mapping
from statistics import fmean
from typing import Any

import numpy as np

from touchstone.formatting import shorten
from touchstone.metrics import bitext, correlation, labels, pairs
from touchstone.records.samples import Column, Samples
from touchstone.task_types import bitext_mining, classification, clustering, pair_classification, sts, summarization
from touchstone.task_types.base import LONGEST_TEXT, Predicted
from touchstone.task_types.retrieval import read_queries
from touchstone.task_types.texts import by_columns, input_column, read_sentences

MAKERS = {
    "STS": sts.collect,
    "PairClassification": pair_classification.collect,
    "Classification": classification.collect,
    "MultilabelClassification": classification.collect_label_sets,
    "Regression": classification.collect,
    "ZeroShotClassification": classification.collect_zero_shot,
    "BitextMining": bitext_mining.collect,
    "Clustering": clustering.collect,
    "Summarization": summarization.collect,
}


def collect(predicted: Predicted) -> dict[str, Any]:
    """Return the sample columns of one split and subset, by the names that `Samples` has for them."""
    return MAKERS[predicted.task.metadata.type](predicted)


def read_texts(of: Predicted, ids: Collection[str]) -> dict[str, dict[str, str]]:
    """Return the texts of some samples of one split and subset, by id and then by role; cut to `LONGEST_TEXT`."""
    reader = READERS.get(of.task.metadata.type, read_queries)
    return {
        id_: {role: shorten(text, LONGEST_TEXT) for role, text in texts.items()}
        for id_, texts in reader(of, set(ids)).items()
    }


READERS: Mapping[str, Callable[[Predicted, set[str]], dict[str, dict[str, str]]]] = {
    "STS": by_columns(lambda of: dict(zip(("sentence 1", "sentence 2"), of.task.column_names, strict=True))),
    "PairClassification": by_columns(
        lambda of: {"sentence 1": of.task.input1_column_name, "sentence 2": of.task.input2_column_name}
    ),
    "Classification": by_columns(input_column),
    "MultilabelClassification": by_columns(input_column),
    "Regression": by_columns(input_column),
    "ZeroShotClassification": by_columns(input_column),
    "BitextMining": read_sentences,
    "Summarization": by_columns(lambda of: {"text": of.task.text_column_name}),
}
Formula = Callable[[Column, Column], Any]
# By task type and metric: the score of one experiment from gold labels and predictions.
FORMULAS: Mapping[tuple[str, str], Formula] = {
    ("STS", "cosine_spearman"): correlation.spearman,
    ("PairClassification", "max_ap"): pairs.average_precision,
    ("PairClassification", "max_accuracy"): pairs.best_accuracy,
    ("Classification", "accuracy"): labels.accuracy,
    ("ZeroShotClassification", "accuracy"): labels.accuracy,
    ("Classification", "f1"): lambda gold, found: labels.f1(gold, found, average="macro"),
    ("MultilabelClassification", "accuracy"): labels.accuracy,
    ("MultilabelClassification", "f1"): classification.multilabel_f1,
    ("Regression", "kendalltau"): correlation.kendall,
    ("BitextMining", "f1"): bitext.f1,
}


def rescore(samples: Samples) -> dict[str, float] | None:
    """Return the main score of each stratum, in [0, 1] or [-1, 1]; None where there is no formula for it."""
    if samples.value is not None:
        value = samples.value
        return {name: float(value[rows].mean()) for name, rows in samples.by_stratum().items()}
    formula = FORMULAS.get((samples.type, samples.metric))
    if formula is None or samples.prediction is None or samples.gold is None:
        return None
    return {
        name: fmean(formula(samples.gold[rows], column) for column in samples.prediction[rows].T)
        for name, rows in samples.by_stratum().items()
    }


# Scores that are means over samples once each sample's predictions are scored.
COUNTED = frozenset({"Classification", "MultilabelClassification", "ZeroShotClassification"})
# What one resample of the samples scores: gold labels, one column of predictions, counts of shape (resamples, n).
WEIGHTED: dict[tuple[str, str], Any] = {
    ("STS", "cosine_spearman"): correlation.spearman,
    ("PairClassification", "max_ap"): pairs.average_precision,
    ("PairClassification", "max_accuracy"): pairs.best_accuracy,
    ("Classification", "f1"): lambda gold, found, counts: labels.f1(gold, found, counts, average="macro"),
    ("BitextMining", "f1"): bitext.f1,
    ("Regression", "kendalltau"): correlation.kendall,
}


def own_scores(samples: Samples) -> Column | None:
    """Return each sample's own score, where the main score is their mean; an item's is its share of experiments."""
    if samples.value is not None:
        return samples.value
    if samples.type in COUNTED and samples.metric == "accuracy" and samples.prediction is not None:
        gold: Any = samples.gold
        return np.asarray((samples.prediction == gold[:, None]).mean(axis=1), dtype=np.float64)
    return None


RIGHT = "share of the experiments that are right"
VALUES: Mapping[str, tuple[str, Callable[[Any, Any], Column]]] = {
    "STS": ("agreement of its rank with the gold rank", sts.rank_agreement),
    "Regression": ("agreement of its rank with the gold rank", sts.rank_agreement),
    "PairClassification": ("share of the other class it is told apart from", pair_classification.told_apart),
    "BitextMining": ("translation found", classification.share_right),
    "Classification": (RIGHT, classification.share_right),
    "MultilabelClassification": (RIGHT, classification.share_right),
    "ZeroShotClassification": (RIGHT, classification.share_right),
}
