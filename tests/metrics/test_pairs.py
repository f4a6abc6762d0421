from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics.weighting import check_weights, samples
from touchstone.metrics import labels, pairs

binary = st.integers(0, 1)
scores = st.integers(-2, 2).map(float)
both = pytest.mark.parametrize("metric", [pairs.best_accuracy, pairs.best_f1])


def searched(score: Any, gold: Any, scores: Any) -> float:
    """The best over thresholds between two distinct scores, one by one."""
    return max((score(gold, (scores > low).astype(int)) for low in sorted(set(scores))[:-1]), default=0.0)


@given(samples(binary, scores))
def test_best_accuracy_is_the_best_over_thresholds_between_scores(drawn: Any) -> None:
    assert pairs.best_accuracy(*drawn[0]) == pytest.approx(searched(sklearn.metrics.accuracy_score, *drawn[0]))


@given(samples(binary, scores))
def test_best_f1_is_the_best_over_thresholds_between_scores(drawn: Any) -> None:
    def f1(gold: Any, predicted: Any) -> float:
        return float(sklearn.metrics.f1_score(gold, predicted, zero_division=0))

    assert pairs.best_f1(*drawn[0]) == pytest.approx(searched(f1, *drawn[0]))


@both
@given(samples(binary, scores))
def test_thresholds_take_weights_as_copies(metric: Any, drawn: Any) -> None:
    check_weights(metric, *drawn)


@both
@given(samples(binary, scores))
def test_thresholds_see_only_the_order_of_scores(metric: Any, drawn: Any) -> None:
    gold, similarity = drawn[0]
    assert metric(gold, np.exp(similarity)) == metric(gold, similarity)
    assert metric(gold[::-1], similarity[::-1]) == metric(gold, similarity)


@given(samples(binary, scores))
def test_swapping_the_classes_and_the_direction_keeps_accuracy(drawn: Any) -> None:
    gold, similarity = drawn[0]
    assert pairs.best_accuracy(1 - gold, -similarity) == pytest.approx(pairs.best_accuracy(gold, similarity))


@both
@given(st.lists(st.integers(0, 1), min_size=2).filter(lambda gold: 0 < sum(gold) < len(gold)))
def test_a_separation_has_the_value_1(metric: Any, gold: list[int]) -> None:
    assert metric(gold, gold) == 1


def test_average_precision_is_that_of_labels() -> None:
    assert pairs.average_precision is labels.average_precision
