"""Compute a main score again, from samples alone."""

import re
from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.metrics import bitext, correlation, labels, pairs
from evals.samples import Column, Samples

Formula = Callable[[Column, Column], Any]


def _multilabel_f1(gold: Column, found: Column) -> Any:
    """Return the macro F1 over the labels that occur in the gold sets, as scikit-learn's binarizer has them."""
    sets = [set(text.split()) for text in gold], [set(text.split()) for text in found]
    names = sorted(set().union(*sets[0]))
    tables = [_binarize(members, names) for members in sets]
    return labels.multilabel_f1(tables[0], tables[1], average="macro")


def _binarize(sets: list[set[str]], names: list[str]) -> NDArray[np.int64]:
    return np.array([[name in members for name in names] for members in sets], dtype=np.int64)


# By task type and metric: the score of one experiment from gold labels and predictions.
FORMULAS: Mapping[tuple[str, str], Formula] = {
    ("STS", "cosine_spearman"): correlation.spearman,
    ("PairClassification", "max_ap"): pairs.average_precision,
    ("PairClassification", "max_accuracy"): pairs.best_accuracy,
    ("Classification", "accuracy"): labels.accuracy,
    ("ZeroShotClassification", "accuracy"): labels.accuracy,
    ("Classification", "f1"): lambda gold, found: labels.f1(gold, found, average="macro"),
    ("MultilabelClassification", "accuracy"): labels.accuracy,
    ("MultilabelClassification", "f1"): _multilabel_f1,
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


def metric_at(metric: str) -> tuple[str, int] | None:
    """Split ``ndcg_at_10`` into its name and depth; None for a metric without one."""
    found = re.fullmatch(r"(ndcg|map|mrr|recall|precision|hit_rate)_at_(\d+)", metric)
    return (found[1], int(found[2])) if found else None
