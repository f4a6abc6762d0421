import time
from typing import Any, Literal

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics.weighting import check_weights, samples, value
from touchstone.metrics import Undefined, labels

Average = Literal["macro", "weighted"]
classes = st.integers(0, 3)
binary = st.integers(0, 1)
scores = st.integers(-2, 2).map(float)
bits = st.lists(binary, min_size=3, max_size=3)
averages = pytest.mark.parametrize("average", ["macro", "weighted"])


def of(name: str, average: Average) -> Any:
    metric = getattr(labels, name)
    return lambda *columns, **options: metric(*columns, average=average, **options)


@averages
@given(samples(classes, classes))
def test_f1_equals_scikit_learn(average: Average, drawn: Any) -> None:
    gold, predicted = drawn[0]
    expected = sklearn.metrics.f1_score(gold, predicted, average=average, zero_division=0)
    assert of("f1", average)(gold, predicted) == pytest.approx(expected)


@averages
@given(samples(classes, classes))
def test_f1_takes_weights_as_copies(average: Average, drawn: Any) -> None:
    check_weights(of("f1", average), *drawn)


@averages
@given(samples(classes, classes), st.permutations(["b", "a", "ü", "z"]))
def test_renaming_classes_changes_nothing(average: Average, drawn: Any, names: list[str]) -> None:
    renamed = [np.array(names)[column] for column in drawn[0]]
    assert of("f1", average)(*renamed) == pytest.approx(of("f1", average)(*drawn[0]))


@averages
@given(samples(classes))
def test_a_perfect_prediction_has_the_value_1(average: Average, drawn: Any) -> None:
    (gold,) = drawn[0]
    assert of("f1", average)(gold, gold) == pytest.approx(1)


@given(samples(classes, classes))
def test_accuracy_equals_scikit_learn_and_takes_weights_as_copies(drawn: Any) -> None:
    assert labels.accuracy(*drawn[0]) == pytest.approx(sklearn.metrics.accuracy_score(*drawn[0]))
    check_weights(labels.accuracy, *drawn)


@given(samples(binary, scores))
def test_average_precision_equals_scikit_learn(drawn: Any) -> None:
    gold, ranked = drawn[0]
    if gold.any():
        expected = sklearn.metrics.average_precision_score(gold, ranked)
        assert labels.average_precision(gold, ranked) == pytest.approx(expected)
    else:
        with pytest.raises(Undefined, match="without a positive"):
            labels.average_precision(gold, ranked)


@given(samples(binary, scores))
def test_average_precision_takes_weights_as_copies(drawn: Any) -> None:
    check_weights(labels.average_precision, *drawn)


@given(samples(binary, scores))
def test_average_precision_sees_only_the_order_of_scores(drawn: Any) -> None:
    gold, ranked = drawn[0]
    assert value(labels.average_precision, gold, np.exp(ranked)) == value(labels.average_precision, gold, ranked)


@given(samples(binary, scores))
def test_the_order_of_samples_is_irrelevant(drawn: Any) -> None:
    gold, ranked = drawn[0]
    turned = value(labels.average_precision, gold[::-1], ranked[::-1])
    assert turned == value(labels.average_precision, gold, ranked)


@averages
@given(samples(bits, bits))
def test_multilabel_f1_equals_scikit_learn_and_takes_weights_as_copies(average: Average, drawn: Any) -> None:
    expected = sklearn.metrics.f1_score(*drawn[0], average=average, zero_division=0)
    assert labels.multilabel_f1(*drawn[0], average=average) == pytest.approx(expected)
    check_weights(of("multilabel_f1", average), *drawn)


@averages
@given(samples(bits, bits), st.permutations([0, 1, 2]))
def test_the_order_of_labels_is_irrelevant(average: Average, drawn: Any, order: list[int]) -> None:
    gold, predicted = drawn[0]
    turned = labels.multilabel_f1(gold[:, order], predicted[:, order], average=average)
    assert turned == pytest.approx(labels.multilabel_f1(gold, predicted, average=average))


def test_a_wrong_average_is_refused() -> None:
    with pytest.raises(ValueError, match="'micro', not macro or weighted"):
        labels.f1([0], [0], average="micro")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "shape"),
        ([[[1.0, 1.0]]], "shape"),
        ([1.0, -1.0], "not negative"),
        ([1.0, float("nan")], "finite"),
        ([0.0, 0.0], "no samples"),
        ([[1.0, 1.0], [0.0, 0.0]], "no samples"),
    ],
)
def test_weights_without_a_meaning_are_refused(weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        labels.accuracy([0, 1], [0, 1], weights)


def test_columns_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        labels.accuracy([0, 1], [0])
    with pytest.raises(ValueError, match="one shape"):
        labels.average_precision([0, 1], [0.5])
    with pytest.raises(ValueError, match="0 or 1"):
        labels.average_precision([1, 2], [0.5, 0.5])
    with pytest.raises(ValueError, match="not finite"):
        labels.average_precision([0, 1], [0.5, float("nan")])


def test_2_000_resamples_of_the_average_precision_of_10_000_pairs_are_fast() -> None:
    random = np.random.default_rng(0)
    gold, ranked = random.integers(0, 2, 10_000), random.normal(size=10_000)
    weights = random.multinomial(10_000, np.full(10_000, 1e-4), size=2_000)
    started = time.process_time()
    labels.average_precision(gold, ranked, weights)
    assert time.process_time() - started < 3


def test_f1_of_50_000_classes_is_fast() -> None:
    gold = np.arange(50_000)
    predicted = np.random.default_rng(0).integers(0, 50_000, 50_000)
    started = time.process_time()
    labels.f1(gold, predicted, average="weighted")
    assert time.process_time() - started < 1
