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


def searched(gold: Any, scores: Any) -> float:
    """The best over thresholds between two distinct scores, one by one."""
    accuracy: Any = sklearn.metrics.accuracy_score
    return max((accuracy(gold, (scores > low).astype(int)) for low in sorted(set(scores))[:-1]), default=0.0)


@given(samples(binary, scores))
def test_best_accuracy_is_the_best_over_thresholds_between_scores(drawn: Any) -> None:
    assert pairs.best_accuracy(*drawn[0]) == pytest.approx(searched(*drawn[0]))


@given(samples(binary, scores))
def test_thresholds_take_weights_as_copies(drawn: Any) -> None:
    check_weights(pairs.best_accuracy, *drawn)


@given(samples(binary, scores))
def test_thresholds_see_only_the_order_of_scores(drawn: Any) -> None:
    gold, similarity = drawn[0]
    assert pairs.best_accuracy(gold, np.exp(similarity)) == pairs.best_accuracy(gold, similarity)
    assert pairs.best_accuracy(gold[::-1], similarity[::-1]) == pairs.best_accuracy(gold, similarity)


@given(samples(binary, scores))
def test_swapping_the_classes_and_the_direction_keeps_accuracy(drawn: Any) -> None:
    gold, similarity = drawn[0]
    assert pairs.best_accuracy(1 - gold, -similarity) == pytest.approx(pairs.best_accuracy(gold, similarity))


@given(st.lists(st.integers(0, 1), min_size=2).filter(lambda gold: 0 < sum(gold) < len(gold)))
def test_a_separation_has_the_value_1(gold: list[int]) -> None:
    assert pairs.best_accuracy(gold, gold) == 1


def test_average_precision_is_that_of_labels() -> None:
    assert pairs.average_precision is labels.average_precision
