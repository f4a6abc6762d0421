"""Intervals and p-values against scipy, and the promises that the gate builds on."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from evals.stats import (
    Difference,
    bootstrap_difference,
    detectable,
    mean_difference,
    over_tasks,
    samples_to_settle,
    sign_flip_p,
    worst_loss,
)

VALUES = st.floats(-1, 1).map(lambda x: round(x, 6))


def vectors(smallest: int, largest: int) -> Any:
    return st.lists(VALUES, min_size=smallest, max_size=largest).map(np.array)


@given(vectors(3, 60))
def test_one_stratum_is_students_paired_test(deltas: Any) -> None:
    assume(deltas.std() > 1e-6)
    ours, theirs = mean_difference([deltas]), stats.ttest_1samp(deltas, 0, alternative="less")
    assert ours.p_loss() == pytest.approx(theirs.pvalue, rel=1e-9, abs=1e-300)
    interval = stats.ttest_1samp(deltas, 0).confidence_interval(0.95)
    assert ours.interval() == pytest.approx((interval.low, interval.high), abs=1e-12)
    assert ours.lower_bound() == pytest.approx(
        stats.ttest_1samp(deltas, 0, alternative="greater").confidence_interval(0.95).low
    )


@given(vectors(3, 30), vectors(3, 30))
def test_two_strata_have_the_degrees_of_welch(one: Any, two: Any) -> None:
    assume(one.std() > 1e-6 and two.std() > 1e-6)
    ours = mean_difference([one, -two])
    theirs = stats.ttest_ind(one, two, equal_var=False)
    assert 2 * ours.mean / (2 * ours.error) == pytest.approx(theirs.statistic, rel=1e-9)
    assert ours.degrees == pytest.approx(theirs.df, rel=1e-9)


@given(vectors(2, 10))
def test_sign_flip_counts_every_assignment(deltas: Any) -> None:
    theirs = stats.permutation_test(
        (deltas,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="less"
    )
    assert sign_flip_p([deltas]) == pytest.approx(theirs.pvalue, abs=1e-9)


def test_sign_flip_of_thirty_samples_is_exact_and_quick() -> None:
    assert sign_flip_p([np.full(29, -0.1)]) == pytest.approx(2.0**-29)
    with pytest.raises(ValueError, match="too many"):
        sign_flip_p([np.zeros(31)])


@given(vectors(2, 28))
def test_p_is_a_probability_and_both_sides_cover_it(deltas: Any) -> None:
    loss, gain = sign_flip_p([deltas]), sign_flip_p([-deltas])
    assert 0 < loss <= 1
    assert loss + gain >= 1


@given(vectors(2, 50))
def test_other_way_round_exchanges_everything(deltas: Any) -> None:
    one, two = mean_difference([deltas]), mean_difference([-deltas])
    assert two.mean == -one.mean
    low, high = one.interval()
    assert two.interval() == pytest.approx((-high, -low), abs=1e-15)
    assert two.p_loss() == pytest.approx(one.negated().p_loss())


@given(vectors(4, 40))
def test_duplicated_samples_narrow_the_interval(deltas: Any) -> None:
    assume(deltas.std() > 1e-6)
    once, twice = mean_difference([deltas]), mean_difference([np.concatenate([deltas, deltas])])
    assert twice.interval()[1] - twice.interval()[0] < once.interval()[1] - once.interval()[0]


def test_bootstrap_of_a_mean_gives_its_standard_error_and_the_same_answer_every_time() -> None:
    deltas = np.random.default_rng(3).normal(-0.01, 0.1, 400)

    def resampled(counts: Any) -> Any:
        return counts @ deltas / counts.sum(axis=1)

    one, two = (bootstrap_difference([float(deltas.mean())], [resampled], [400]) for _ in range(2))
    assert one == two
    assert one.error == pytest.approx(deltas.std() / math.sqrt(400), rel=0.05)


def test_bootstrap_in_parts_is_the_same_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    deltas = np.random.default_rng(3).normal(0, 0.1, 50)

    def resampled(counts: Any) -> Any:
        return counts @ deltas / counts.sum(axis=1)

    whole = bootstrap_difference([0.0], [resampled], [50])
    monkeypatch.setattr("evals.stats.AT_ONCE", 50 * 7)
    assert bootstrap_difference([0.0], [resampled], [50]).error == pytest.approx(whole.error, rel=1e-12)


@pytest.mark.parametrize(("changed", "n", "loss"), [(5, 1185, 0.009), (3, 300, 0.026)])
def test_few_changed_samples_bound_the_loss(changed: int, n: int, loss: float) -> None:
    assert worst_loss(changed, n, 1.0) == pytest.approx(loss, abs=5e-4)
    exact = stats.binomtest(changed, n).proportion_ci(confidence_level=0.9, method="exact").high
    assert worst_loss(changed, n, 1.0) == pytest.approx(exact)


def test_all_changed_bound_nothing() -> None:
    assert worst_loss(7, 7, 1.0) == 1.0


@given(st.lists(st.tuples(VALUES, st.floats(0.001, 0.1), st.integers(2, 500)), min_size=2, max_size=9))
def test_tasks_count_alike(parts: list[tuple[float, float, int]]) -> None:
    tasks = [Difference(mean=m, error=e, degrees=n - 1, n=n) for m, e, n in parts]
    overall = over_tasks(tasks)
    assert overall.mean == pytest.approx(np.mean([m for m, _, _ in parts]))
    assert overall.error == pytest.approx(math.sqrt(sum(e**2 for _, e, _ in parts)) / len(parts))
    assert overall.degrees >= min(n - 1 for _, _, n in parts) * (1 - 1e-9)


@given(st.floats(0.001, 0.05), st.integers(30, 3000), st.floats(0.002, 0.05))
def test_detectable_loss_is_called_regressed_four_times_in_five(error: float, n: int, margin: float) -> None:
    level = 0.01
    difference = Difference(mean=0.0, error=error, degrees=math.inf, n=n)
    loss = detectable(difference, margin, level)
    threshold = max(margin, stats.norm.ppf(1 - level) * error)
    assert stats.norm.cdf((loss - threshold) / error) == pytest.approx(0.8)


@given(st.floats(-0.03, 0.03), st.floats(0.001, 0.05), st.integers(100, 2000))
def test_as_many_samples_as_named_settle_it(mean: float, error: float, n: int) -> None:
    margin, level = 0.01, 0.01
    assume(abs(mean + margin) > 1e-4)
    needed = samples_to_settle(Difference(mean=mean, error=error, degrees=math.inf, n=n), margin, level)
    assert needed is not None
    settled = Difference(mean=mean, error=error * math.sqrt(n / needed), degrees=math.inf, n=needed)
    slack = 1e-9
    if mean <= -margin:
        assert settled.p_loss() <= level + slack
    else:
        assert settled.lower_bound() >= -margin - slack
