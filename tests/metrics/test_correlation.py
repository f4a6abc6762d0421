import time
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.metrics.weighting import check_weights, samples, value
from touchstone.metrics import Undefined
from touchstone.metrics.correlation import kendall, spearman

SCIPY = {spearman: scipy.stats.spearmanr, kendall: scipy.stats.kendalltau}
numbers = st.integers(-20, 20).map(float) | st.integers(0, 3).map(float)
every_metric = pytest.mark.parametrize("metric", list(SCIPY))


def varied(*columns: Any) -> bool:
    return all(len(set(column)) > 1 for column in columns)


@every_metric
@given(samples(numbers, numbers, min_size=2))
def test_correlations_equal_scipy(metric: Any, drawn: Any) -> None:
    x, y = drawn[0]
    assume(varied(x, y))
    assert metric(x, y) == pytest.approx(SCIPY[metric](x, y).statistic, abs=1e-12)
    assert -1 <= metric(x, y) <= 1


@every_metric
def test_long_columns_equal_scipy(metric: Any) -> None:
    random = np.random.default_rng(1)
    x = random.integers(0, 6, 3_000).astype(np.float64)
    for y in (x + random.normal(size=3_000), random.integers(0, 1_000, 3_000), -x):
        assert metric(x, y) == pytest.approx(SCIPY[metric](x, y).statistic, abs=1e-12)


@every_metric
@given(samples(numbers, numbers))
def test_correlations_take_weights_as_copies(metric: Any, drawn: Any) -> None:
    check_weights(metric, *drawn)


@every_metric
@given(samples(numbers), numbers)
def test_a_constant_is_undefined(metric: Any, drawn: Any, constant: float) -> None:
    (x,) = drawn[0]
    y = np.full(len(x), constant / 10)
    for pair in ((x, y), (y, x)):
        with pytest.raises(Undefined, match="constant"):
            metric(*pair)


@every_metric
@pytest.mark.parametrize("weights", [[0, 3, 0], [0, 1, 1], [[1, 1, 1], [0, 2, 1]]])
def test_a_constant_among_the_samples_with_a_weight_is_undefined(metric: Any, weights: Any) -> None:
    for pair in (([1, 2, 2], [1, 2, 3]), ([1, 2, 3], [1, 2, 2])):
        with pytest.raises(Undefined, match="constant"):
            metric(*pair, weights=weights)


@every_metric
@given(samples(numbers, numbers))
def test_swapping_the_sides_changes_nothing(metric: Any, drawn: Any) -> None:
    x, y = drawn[0]
    swapped, straight = value(metric, y, x), value(metric, x, y)
    assert swapped == (None if straight is None else pytest.approx(straight, abs=1e-12))


@every_metric
@given(samples(numbers, numbers))
def test_turning_a_side_turns_the_sign(metric: Any, drawn: Any) -> None:
    x, y = drawn[0]
    turned, straight = value(metric, x, -y), value(metric, x, y)
    assert turned == (None if straight is None else pytest.approx(-straight, abs=1e-12))


@every_metric
@given(samples(numbers, numbers))
def test_correlations_of_order_are_invariant_under_monotone_maps(metric: Any, drawn: Any) -> None:
    x, y = drawn[0]
    assert value(metric, np.exp(x / 10), y**3) == value(metric, x, y)


@every_metric
@given(samples(numbers))
def test_a_column_correlates_with_itself(metric: Any, drawn: Any) -> None:
    (x,) = drawn[0]
    assert value(metric, x, x) == (pytest.approx(1) if varied(x) else None)


@every_metric
def test_correlations_stay_within_their_bounds(metric: Any) -> None:
    for size in range(2, 100):
        x = np.arange(size)
        assert -1 <= metric(x, -x) <= metric(x, x) <= 1


@every_metric
def test_a_number_that_is_not_finite_is_refused(metric: Any) -> None:
    with pytest.raises(ValueError, match="not finite"):
        metric([1, 2, float("nan")], [1, 2, 3])


def test_2_000_resamples_of_the_spearman_of_10_000_pairs_are_fast() -> None:
    random = np.random.default_rng(0)
    x, y = random.integers(0, 6, 10_000), random.normal(size=10_000)
    weights = random.multinomial(10_000, np.full(10_000, 1e-4), size=2_000)
    started = time.process_time()
    spearman(x, y, weights)
    assert time.process_time() - started < 3
