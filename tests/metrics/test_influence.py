"""Influences: each is the derivative of its metric by a weight, and their squares are the metric's squared error."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import assume, given
from hypothesis import strategies as st

from touchstone.metrics import Undefined, influence
from touchstone.metrics.correlation import kendall, spearman
from touchstone.metrics.labels import average_precision, f1, multilabel_f1
from touchstone.metrics.pairs import best_accuracy
from touchstone.task_types.multilabel_classification import MULTILABEL_CLASSIFICATION

few_numbers = st.integers(0, 4).map(float)
binary = st.integers(0, 1)
classes = st.integers(0, 3)
bits = st.lists(binary, min_size=3, max_size=3)
METRICS: dict[str, tuple[Callable[..., Any], Callable[..., Any], Any, Any]] = {
    "spearman": (influence.spearman, spearman, few_numbers, few_numbers),
    "kendall": (influence.kendall, kendall, few_numbers, few_numbers),
    "average precision": (influence.average_precision, average_precision, binary, few_numbers),
    "macro f1": (partial(influence.f1, average="macro"), partial(f1, average="macro"), classes, classes),
    "weighted f1": (partial(influence.f1, average="weighted"), partial(f1, average="weighted"), classes, classes),
    "f1 of labels": (influence.multilabel_f1, partial(multilabel_f1, average="macro"), bits, bits),
}
every_metric = pytest.mark.parametrize("name", METRICS)


def columns(gold: Any, predicted: Any, smallest: int = 1) -> st.SearchStrategy[tuple[Any, Any]]:
    """Two columns of a few samples: ties, duplicates and constants are common."""
    rows = st.lists(st.tuples(gold, predicted), min_size=smallest, max_size=12)
    return rows.map(lambda found: (np.array([one for one, _ in found]), np.array([two for _, two in found])))


@every_metric
@given(data=st.data())
def test_influence_is_the_derivative_and_sums_to_nothing(name: str, data: st.DataObject) -> None:
    ours, metric, gold, predicted = METRICS[name]
    sides = data.draw(columns(gold, predicted))
    try:
        expected = influence.numerical(metric, *sides)
    except Undefined:
        with pytest.raises(Undefined):
            ours(*sides)
        return
    found = ours(*sides)
    assert found == pytest.approx(expected, abs=1e-6)
    assert found.dtype == np.float64
    assert found.sum() == pytest.approx(0, abs=1e-9)


@given(columns(binary, few_numbers, smallest=2))
def test_influence_on_the_best_accuracy_is_the_derivative_where_one_threshold_is_best(sides: tuple[Any, Any]) -> None:
    gold, scores = sides
    right = [((scores >= threshold) == gold).sum() for threshold in np.unique(scores)[1:]]
    assume(not right or right.count(max(right)) == 1)
    found = influence.accuracy_at_best(gold, scores)
    assert found == pytest.approx(influence.numerical(best_accuracy, gold, scores), abs=1e-6)
    assert found.sum() == pytest.approx(0, abs=1e-9)


def test_equal_thresholds_count_as_the_lowest_of_them() -> None:
    """By hand: at 2 and at 3 two of three are right, at 2 the first and the last."""
    found = influence.accuracy_at_best([0, 0, 1], [1.0, 2.0, 2.0])
    assert found == pytest.approx(np.array([1 - 2 / 3, -2 / 3, 1 - 2 / 3]) / 3)
    found = influence.accuracy_at_best([1, 0, 1], [1.0, 2.0, 3.0])
    assert found == pytest.approx(np.array([-2 / 3, 1 - 2 / 3, 1 - 2 / 3]) / 3)
    assert influence.accuracy_at_best([0, 1, 1], [2.0, 2.0, 2.0]).tolist() == [0, 0, 0]


def test_one_class_only_has_no_influence_where_all_are_right() -> None:
    for average in ("macro", "weighted"):
        assert influence.f1([1, 1, 1], [1, 1, 1], average=average).tolist() == [0, 0, 0]


def test_many_samples_are_compared_in_parts() -> None:
    generator = np.random.default_rng(0)
    gold, found = generator.integers(0, 5, 600), generator.normal(size=600)
    for ours, metric in ((influence.kendall, kendall), (influence.spearman, spearman)):
        assert ours(gold, found) == pytest.approx(influence.numerical(metric, gold, found), abs=1e-6)


def test_texts_of_several_labels_are_read_as_the_formula_reads_them() -> None:
    formula, ours = MULTILABEL_CLASSIFICATION.formulas["f1"], MULTILABEL_CLASSIFICATION.influences["f1"]
    gold, found = np.array(["1 2", "", "2", "1"]), np.array(["1", "7", "2 1", ""])
    assert ours(gold, found) == pytest.approx(influence.numerical(formula, gold, found), abs=1e-6)


def test_an_influence_on_a_constant_or_without_a_positive_is_undefined() -> None:
    for ours in (influence.spearman, influence.kendall):
        for sides in (([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [1, 1, 1])):
            with pytest.raises(Undefined, match="correlation with a constant"):
                ours(*sides)
    with pytest.raises(Undefined, match="average precision without a positive"):
        influence.average_precision([0, 0], [1, 2])


# The references of scipy and scikit-learn, each left one sample out.
REFERENCES: dict[str, Callable[..., Any]] = {
    "spearman": lambda gold, found: scipy.stats.spearmanr(gold, found).statistic,
    "kendall": lambda gold, found: scipy.stats.kendalltau(gold, found).statistic,
    "average precision": lambda gold, found: sklearn.metrics.average_precision_score(gold > 2, found),
    "macro f1": lambda gold, found: sklearn.metrics.f1_score(gold, np.clip(found.round(), 0, 5), average="macro"),
    "weighted f1": lambda gold, found: sklearn.metrics.f1_score(gold, np.clip(found.round(), 0, 5), average="weighted"),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_squared_influences_are_the_variance_of_the_jackknife(name: str) -> None:
    generator, n = np.random.default_rng(7), 400
    gold = generator.integers(0, 6, n).astype(float)
    found = gold + generator.normal(0, 1.5, n)
    reference = REFERENCES[name]
    keep = ~np.eye(n, dtype=bool)
    left_out = np.array([reference(gold[rows], found[rows]) for rows in keep])
    jackknife = (n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()
    truth = gold > 2 if name == "average precision" else gold
    guess = np.clip(found.round(), 0, 5) if name.endswith("f1") else found
    influences = METRICS[name][0](truth, guess)
    assert (influences**2).sum() == pytest.approx(jackknife, rel=0.03)
