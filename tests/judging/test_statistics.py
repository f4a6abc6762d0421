"""Intervals and p-values against scipy, and the promises that the gate builds on."""

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from touchstone.judging.statistics import (
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


def near(**numbers: float) -> Any:
    """Make what equals a Difference with about these numbers."""
    return Difference(**{name: pytest.approx(number) for name, number in numbers.items()})  # type: ignore[arg-type]


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
    assert sign_flip_p([np.full(30, -0.1)]) == pytest.approx(2.0**-30)
    with pytest.raises(ValueError, match="too many"):
        sign_flip_p([np.zeros(31)])


def test_sign_flip_weighs_strata_alike() -> None:
    """By hand: -0.3 ± 0.05 ± 0.05, three of four sums at -0.3 or below, where the lone sample keeps its sign."""
    assert sign_flip_p([np.array([-0.3]), np.array([-0.1, 0.1])]) == 3 / 8
    # The lone sample outweighs four of a quarter of 0.1 each: half of all sums, those with its sign, are as low.
    assert sign_flip_p([np.array([-0.3]), np.full(4, 0.1)]) == 1 / 2


@given(vectors(2, 28))
def test_p_is_a_probability_and_both_sides_cover_it(deltas: Any) -> None:
    loss, gain = sign_flip_p([deltas]), sign_flip_p([-deltas])
    assert 0 < loss <= 1
    assert loss + gain >= 1


@given(st.floats(-1, 1), st.one_of(st.floats(0, 1), st.just(math.inf)), st.one_of(st.floats(1, 1e4), st.just(math.inf)))
def test_p_of_any_difference_is_a_probability_and_never_zero(mean: float, error: float, degrees: float) -> None:
    difference = Difference(mean=mean, error=error, degrees=degrees, n=100)
    loss, gain = difference.p_loss(), difference.negated().p_loss()
    assert 0 < loss <= 1
    assert loss + gain == pytest.approx(1)


@given(vectors(2, 50))
def test_other_way_round_exchanges_everything(deltas: Any) -> None:
    one, two = mean_difference([deltas]), mean_difference([-deltas])
    assert two.mean == -one.mean
    low, high = one.interval()
    assert two.interval() == pytest.approx((-high, -low), abs=1e-15)
    assert two.p_loss() == pytest.approx(one.negated().p_loss())
    assert one.negated().negated() == one


@given(st.lists(vectors(2, 20), min_size=1, max_size=3))
def test_duplicated_samples_narrow_the_interval(strata: list[Any]) -> None:
    assume(any(stratum.std() > 1e-6 for stratum in strata))
    once, twice = mean_difference(strata), mean_difference([np.tile(stratum, 2) for stratum in strata])
    assert twice.mean == pytest.approx(once.mean, abs=1e-12)
    assert twice.interval()[1] - twice.interval()[0] < once.interval()[1] - once.interval()[0]


@given(st.lists(vectors(1, 20), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_order_of_samples_and_strata_does_not_matter(strata: list[Any], shuffler: random.Random) -> None:
    order = shuffler.sample(strata, len(strata))
    mixed = [np.array(shuffler.sample(stratum.tolist(), len(stratum))) for stratum in order]
    one, two = mean_difference(strata), mean_difference(mixed)
    assert (two.mean, two.error) == pytest.approx((one.mean, one.error), rel=1e-9, abs=1e-9)
    if one.n <= 20:
        assert sign_flip_p(mixed) == pytest.approx(sign_flip_p(strata))


def test_strata_count_alike_and_a_lone_sample_borrows_the_variance_within_the_others() -> None:
    """By hand: variance 0.02 in both, 0.02/1 and 0.02/2 of their means, a quarter of the sum of the whole mean."""
    found = mean_difference([np.array([0.3]), np.array([0.0, 0.2])])
    assert found.mean == pytest.approx(0.2)
    assert found.n == 3
    assert found.error == pytest.approx(math.sqrt(0.03 / 4))
    assert found.degrees == pytest.approx(0.03**2 / (0.02**2 + 0.01**2))


def test_lone_sample_borrows_from_all_others_by_their_degrees() -> None:
    """By hand: squares of 0.02 and 0.06 over 1 + 2 degrees; 2/75 for the lone one, with these 3 degrees."""
    found = mean_difference([np.array([0.5]), np.array([0.0, 0.2]), np.array([0.1, 0.4, 0.4])])
    assert found.mean == pytest.approx((0.5 + 0.1 + 0.3) / 3)
    parts = np.array([0.08 / 3, 0.02 / 2, 0.03 / 3])
    assert found.error == pytest.approx(math.sqrt(parts.sum()) / 3)
    assert found.degrees == pytest.approx(parts.sum() ** 2 / (parts**2 / np.array([3, 1, 2])).sum())


def test_single_samples_only_have_no_error_to_speak_of() -> None:
    found = mean_difference([np.array([0.3]), np.array([-0.1]), np.array([0.1])])
    assert found == near(mean=0.1, error=math.inf, degrees=math.inf, n=3)


def test_constant_differences_leave_no_error_and_the_degrees_of_their_number() -> None:
    assert mean_difference([np.full(4, 0.25), np.full(3, 0.75)]) == Difference(mean=0.5, error=0.0, degrees=5.0, n=7)


@pytest.mark.parametrize(("mean", "loss", "gain"), [(0.0, 0.5, 0.5), (-0.1, 5e-324, 1.0), (0.1, 1.0, 5e-324)])
def test_without_an_error_p_is_never_zero(mean: float, loss: float, gain: float) -> None:
    difference = Difference(mean=mean, error=0.0, degrees=9, n=10)
    assert (difference.p_loss(), difference.negated().p_loss()) == (loss, gain)


def test_bounds_of_a_known_t() -> None:
    """Tabulated quantiles of Student's t with 9 degrees: 1.833 for 95 %, 2.262 for 97.5 %, 1.383 for 90 %."""
    known = Difference(mean=0.5, error=0.1, degrees=9, n=10)
    assert known.interval() == pytest.approx((0.2738, 0.7262), abs=1e-4)
    assert (known.lower_bound(), known.upper_bound()) == pytest.approx((0.3167, 0.6833), abs=1e-4)
    assert (known.lower_bound(0.9), known.upper_bound(0.9)) == pytest.approx((0.3617, 0.6383), abs=1e-4)
    assert known.interval(0.8) == pytest.approx((0.3617, 0.6383), abs=1e-4)


def test_bootstrap_takes_the_spread_of_the_resampled_differences() -> None:
    """By hand: ±0.1 in turn has a variance of 0.01 x 2000/1999; strata count alike."""

    def swings(counts: Any) -> Any:
        return np.resize([0.1, -0.1], len(counts))

    def rests(counts: Any) -> Any:
        return np.full(len(counts), 0.3)

    found = bootstrap_difference([0.1, 0.3], [swings, rests], [5, 8])
    assert found == near(mean=0.2, error=0.1 * math.sqrt(2000 / 1999) / 2, degrees=math.inf, n=13)
    both = bootstrap_difference([0.1, 0.1], [swings, swings], [5, 8])
    assert both.error == pytest.approx(0.1 * math.sqrt(2 * 2000 / 1999) / 2)


def test_every_stratum_needs_its_size() -> None:
    with pytest.raises(ValueError, match="shorter"):
        bootstrap_difference([0.0, 0.0], [lambda counts: np.zeros(len(counts))] * 2, [50])


@pytest.mark.parametrize(("at_once", "first", "last"), [(350, 7, 5), (10, 1, 1), (10**9, 2000, 2000)])
def test_resamples_are_drawn_a_few_at_a_time_with_equal_chances(
    monkeypatch: pytest.MonkeyPatch, at_once: int, first: int, last: int
) -> None:
    seen: list[Any] = []

    def watched(counts: Any) -> Any:
        seen.append(counts)
        return np.zeros(len(counts))

    monkeypatch.setattr("touchstone.judging.statistics.AT_ONCE", at_once)
    bootstrap_difference([0.0], [watched], [50])
    assert (len(seen[0]), len(seen[-1])) == (first, last)
    counts = np.concatenate(seen)
    assert counts.shape == (2000, 50)
    assert counts.dtype == np.float64
    assert (counts.sum(axis=1) == 50).all()
    # Each sample is drawn once on average; of 2 000 draws the mean has an error of 0.022.
    assert counts.mean(axis=0) == pytest.approx(np.ones(50), abs=0.1)


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
    monkeypatch.setattr("touchstone.judging.statistics.AT_ONCE", 50 * 7)
    assert bootstrap_difference([0.0], [resampled], [50]).error == pytest.approx(whole.error, rel=1e-12)


@pytest.mark.parametrize(("changed", "n", "loss"), [(5, 1185, 0.009), (3, 300, 0.026)])
def test_few_changed_samples_bound_the_loss(changed: int, n: int, loss: float) -> None:
    assert worst_loss(changed, n, 1.0) == pytest.approx(loss, abs=5e-4)
    exact = stats.binomtest(changed, n).proportion_ci(confidence_level=0.9, method="exact").high
    assert worst_loss(changed, n, 1.0) == pytest.approx(exact)


def test_all_changed_bound_nothing() -> None:
    assert worst_loss(7, 7, 1.0) == 1.0
    assert worst_loss(7, 7, 2.0) == 2.0


def test_worst_loss_grows_with_what_a_sample_can_lose() -> None:
    """By hand: none of n changed leaves 1 - 0.05^(1/n) possible."""
    assert worst_loss(0, 10, 1.0) == pytest.approx(1 - 0.05**0.1)
    assert worst_loss(0, 10, 2.0) == pytest.approx(2 * (1 - 0.05**0.1))
    assert worst_loss(0, 10, 1.0, confidence=0.9) == pytest.approx(1 - 0.1**0.1)


@given(st.lists(st.tuples(VALUES, st.floats(0.001, 0.1), st.integers(2, 500)), min_size=2, max_size=9))
def test_tasks_count_alike(parts: list[tuple[float, float, int]]) -> None:
    tasks = [Difference(mean=m, error=e, degrees=n - 1, n=n) for m, e, n in parts]
    overall = over_tasks(tasks)
    assert overall.mean == pytest.approx(np.mean([m for m, _, _ in parts]))
    assert overall.error == pytest.approx(math.sqrt(sum(e**2 for _, e, _ in parts)) / len(parts))
    assert overall.degrees >= min(n - 1 for _, _, n in parts) * (1 - 1e-9)


def test_tasks_together_have_the_degrees_of_welch() -> None:
    """By hand: errors of 3 and 4 with 9 and 16 degrees have (9 + 16)² / (81/9 + 256/16) = 25."""
    one = Difference(mean=0.01, error=0.03, degrees=9, n=10)
    two = Difference(mean=-0.03, error=0.04, degrees=16, n=17)
    assert over_tasks([one, two]) == near(mean=-0.01, error=0.025, degrees=25, n=27)
    normal = Difference(mean=0.0, error=0.1, degrees=math.inf, n=5)
    assert over_tasks([normal, normal]).degrees == math.inf
    nothing = Difference(mean=0.0, error=0.0, degrees=4, n=5)
    assert over_tasks([nothing, nothing]) == Difference(mean=0.0, error=0.0, degrees=math.inf, n=10)


@pytest.mark.parametrize(
    ("error", "margin", "power", "loss"),
    [
        (0.01, 0.01, 0.8, 0.0164485 + 0.0084162),  # chance is the higher bar
        (0.001, 0.01, 0.8, 0.01 + 0.00084162),  # the margin is
        (0.001, 0.01, 0.9, 0.01 + 0.00128155),
    ],
)
def test_detectable_loss_by_hand(error: float, margin: float, power: float, loss: float) -> None:
    difference = Difference(mean=-0.3, error=error, degrees=math.inf, n=100)
    assert detectable(difference, margin, 0.05, power) == pytest.approx(loss, abs=1e-7)


def test_detectable_loss_is_found_four_times_in_five_where_nothing_else_is_said() -> None:
    difference = Difference(mean=0.0, error=0.01, degrees=9, n=10)
    assert detectable(difference, 0.01, 0.05) == detectable(difference, 0.01, 0.05, 0.8)


@pytest.mark.parametrize(
    ("mean", "alpha", "needed"),
    [
        (-0.02, 0.05, 68),  # (1.645 x 0.01 / 0.02)² x 100 = 67.6: to be called worse
        (-0.01, 0.05, 271),  # exactly at the margin: to be called worse, too
        (0.0, 0.05, 271),  # (1.645 x 0.01 / 0.01)² x 100 = 270.6: for a bound within the margin
        (0.0, 0.01, 271),  # which asks for 95 % whatever the level
        (-0.02, 0.01, 136),  # (2.326 / 2)² x 100 = 135.3
        (-0.005, 0.05, 1083),
    ],
)
def test_samples_to_settle_by_hand(mean: float, alpha: float, needed: int) -> None:
    difference = Difference(mean=mean, error=0.01, degrees=math.inf, n=100)
    assert samples_to_settle(difference, 0.01, alpha) == needed


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
    settled = Difference(mean=mean, error=error * math.sqrt(n / needed), degrees=math.inf, n=needed)
    slack = 1e-9
    if mean <= -margin:
        assert settled.p_loss() <= level + slack
    else:
        assert settled.lower_bound() >= -margin - slack


# statsmodels is a second reference; it is imported where it is used, which takes a second.


@given(vectors(3, 60), st.floats(0.001, 0.5))
def test_interval_p_and_pass_are_those_of_statsmodels(deltas: Any, margin: float) -> None:
    """A pass, bound within the margin, is the lower one of the two one-sided tests of equivalence."""
    from statsmodels.stats.weightstats import DescrStatsW

    assume(deltas.std() > 1e-6)
    ours, theirs = mean_difference([deltas]), DescrStatsW(deltas)
    assert (ours.mean, ours.error) == pytest.approx((theirs.mean, theirs.std_mean), rel=1e-9, abs=1e-12)
    assert ours.interval() == pytest.approx(theirs.tconfint_mean(0.05), rel=1e-9, abs=1e-12)
    assert ours.lower_bound() == pytest.approx(theirs.tconfint_mean(0.05, "larger")[0], rel=1e-9, abs=1e-12)
    assert ours.upper_bound() == pytest.approx(theirs.tconfint_mean(0.05, "smaller")[1], rel=1e-9, abs=1e-12)
    assert ours.p_loss() == pytest.approx(theirs.ttest_mean(0, "smaller")[1], rel=1e-9, abs=1e-300)
    assert ours.negated().p_loss() == pytest.approx(theirs.ttest_mean(0, "larger")[1], rel=1e-9, abs=1e-300)
    _, (_, p_lower, _), _ = theirs.ttost_mean(-margin, margin)
    assume(abs(p_lower - 0.05) > 1e-9)
    assert (ours.lower_bound() > -margin) == (p_lower < 0.05)


@given(st.lists(st.tuples(VALUES, st.integers(1, 5)), min_size=3, max_size=30))
def test_repeated_samples_are_the_weights_of_statsmodels(repeated: list[tuple[float, int]]) -> None:
    from statsmodels.stats.weightstats import DescrStatsW

    deltas, weights = (np.array(column) for column in zip(*repeated, strict=True))
    assume(deltas.std() > 1e-6)
    ours, theirs = mean_difference([np.repeat(deltas, weights)]), DescrStatsW(deltas, weights)
    assert ours.interval() == pytest.approx(theirs.tconfint_mean(0.05), rel=1e-9, abs=1e-12)
    assert ours.p_loss() == pytest.approx(theirs.ttest_mean(0, "smaller")[1], rel=1e-9, abs=1e-300)


@given(vectors(3, 30), vectors(3, 30))
def test_two_strata_have_the_interval_of_statsmodels(one: Any, two: Any) -> None:
    """Half the difference of two means, with variances of their own, is the mean of one stratum and minus the other."""
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    assume(one.std() > 1e-6 and two.std() > 1e-6)
    ours = mean_difference([one, -two])
    theirs = CompareMeans(DescrStatsW(one), DescrStatsW(two))
    low, high = theirs.tconfint_diff(0.05, usevar="unequal")
    assert ours.interval() == pytest.approx((low / 2, high / 2), rel=1e-9, abs=1e-12)
    _, p, degrees = theirs.ttest_ind("smaller", usevar="unequal")
    assert (ours.p_loss(), ours.degrees) == pytest.approx((p, degrees), rel=1e-9, abs=1e-300)


@given(st.integers(0, 50), st.integers(1, 3000))
def test_worst_loss_is_clopper_and_pearsons_of_statsmodels(changed: int, more: int) -> None:
    from statsmodels.stats.proportion import proportion_confint

    n = changed + more
    # A two-sided interval of 90 % ends where the one-sided bound of 95 % is.
    assert worst_loss(changed, n, 1.0) == pytest.approx(proportion_confint(changed, n, 0.1, method="beta")[1], rel=1e-9)
