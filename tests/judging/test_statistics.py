"""Errors, intervals and p-values against scipy and statsmodels, and the promises that the gate builds on."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from touchstone.judging.statistics import (
    ASYMPTOTIC_SAMPLES,
    MAX_SKEW,
    SIGN_FLIP_UNITS,
    Difference,
    Estimate,
    Stratum,
    acceleration,
    correct,
    detectable,
    estimate,
    over_tasks,
    samples_to_settle,
    sign_flip_p,
    student_probability,
    student_quantile,
)
from touchstone.judging.units import find_groups
from touchstone.metrics.correlation import spearman
from touchstone.metrics.influence import spearman as influence_on_spearman

VALUES = st.floats(-1, 1).map(lambda x: round(x, 6))


def vectors(smallest: int, largest: int) -> Any:
    return st.lists(VALUES, min_size=smallest, max_size=largest).map(np.array)


def near(**numbers: float) -> Any:
    """Make what equals a Difference with about these numbers."""
    return Difference(**{name: pytest.approx(number) for name, number in numbers.items()})  # type: ignore[arg-type]


def strata_of(parts: Sequence[Any], classes: Any = None) -> list[Stratum]:
    """Make strata of differences (n,), or (n, e) of e experiments, whose score is their mean."""
    found, start = [], 0
    for part in parts:
        own = part[:, None] if part.ndim == 1 else part
        rows = np.arange(start, start + len(own))
        of_rows = np.zeros(len(own), np.intp) if classes is None else np.asarray(classes)[rows]
        influences = (own - own.mean(axis=0)) / len(own)
        found.append(Stratum(rows=rows, scores=own.mean(axis=0), influences=influences, classes=of_rows))
        start += len(own)
    return found


def estimated(parts: Sequence[Any], units: Any = None, classes: Any = None) -> Estimate:
    return estimate(strata_of(parts, classes), find_groups(units, sum(map(len, parts))))


def mean_difference(parts: Sequence[Any], units: Any = None, classes: Any = None) -> Difference:
    return estimated(parts, units, classes).difference


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
    assert sign_flip_p(deltas) == pytest.approx(theirs.pvalue, abs=1e-9)


def test_sign_flip_of_forty_sums_is_exact_and_quick() -> None:
    assert sign_flip_p(np.full(39, -0.1)) == pytest.approx(2.0**-39)
    assert sign_flip_p(np.full(40, -0.1)) == pytest.approx(2.0**-40)
    with pytest.raises(ValueError, match="41 units are too many to enumerate; use the t distribution"):
        sign_flip_p(np.zeros(41))


def test_sign_flip_counts_a_large_sum_for_more() -> None:
    """By hand: -0.3 ± 0.05 ± 0.05, three of four sums at -0.3 or below, where the large one keeps its sign."""
    assert sign_flip_p(np.array([-0.3, -0.05, 0.05])) == 3 / 8
    # The large one outweighs four of a quarter of 0.1 each: half of all sums, those with its sign, are as low.
    assert sign_flip_p(np.array([-0.3, *np.full(4, 0.025)])) == 1 / 2


@given(vectors(2, 28))
def test_p_is_a_probability_and_both_sides_cover_it(deltas: Any) -> None:
    loss, gain = sign_flip_p(deltas), sign_flip_p(-deltas)
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
        assert sign_flip_p(np.concatenate(mixed)) == pytest.approx(sign_flip_p(np.concatenate(strata)))


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


@pytest.mark.parametrize("degrees", [1.0, 3.7, 40.0, math.inf])
def test_student_is_that_of_scipy(degrees: float) -> None:
    for value in (-30.0, -2.5, 0.0, 1.3):
        assert student_probability(value, degrees) == pytest.approx(stats.t.cdf(value, degrees), rel=1e-12)
    for probability in (0.05 / 41, 0.05, 0.5, 0.975):
        assert student_quantile(probability, degrees) == pytest.approx(stats.t.ppf(probability, degrees), abs=1e-12)


@pytest.mark.parametrize("sizes", [(10, 90), (3, 200), (40, 40)])
def test_classes_have_the_error_and_degrees_of_welch(sizes: tuple[int, int]) -> None:
    generator = np.random.default_rng(sizes)
    few, many = generator.normal(0.2, 0.9, sizes[0]), generator.normal(0.1, 0.2, sizes[1])
    influences = np.concatenate([(few - few.mean()) / len(few), (many.mean() - many) / len(many)])
    n = sum(sizes)
    stratum = Stratum(
        rows=np.arange(n),
        scores=np.array([few.mean() - many.mean()]),
        influences=influences[:, None],
        classes=np.repeat([1, 0], sizes),
    )
    found, welch = estimate([stratum], find_groups(None, n)).difference, stats.ttest_ind(few, many, equal_var=False)
    assert found.degrees == pytest.approx(welch.df)
    assert found.mean / found.error == pytest.approx(welch.statistic)
    assert found.interval() == pytest.approx(tuple(welch.confidence_interval(0.95)))


def test_bounds_of_a_known_t() -> None:
    """Tabulated quantiles of Student's t with 9 degrees: 1.833 for 95 %, 2.262 for 97.5 %, 1.383 for 90 %."""
    known = Difference(mean=0.5, error=0.1, degrees=9, n=10)
    assert known.interval() == pytest.approx((0.2738, 0.7262), abs=1e-4)
    assert (known.lower_bound(), known.upper_bound()) == pytest.approx((0.3167, 0.6833), abs=1e-4)
    assert (known.lower_bound(0.9), known.upper_bound(0.9)) == pytest.approx((0.3617, 0.6383), abs=1e-4)
    assert known.interval(0.8) == pytest.approx((0.3617, 0.6383), abs=1e-4)


def test_one_sample_more_moves_the_mean_and_widens_the_error() -> None:
    known = Difference(mean=0.5, error=0.03, degrees=9, n=10, skew=0.1)
    found = known.moved(-0.04)
    assert found == replace(known, mean=found.mean, error=found.error)
    assert (found.mean, found.error) == pytest.approx((0.46, 0.05))
    assert known.moved(None) == known.moved(0.0) == known


# Skew and bias.

skews = st.floats(-MAX_SKEW, MAX_SKEW)


def test_a_skewed_bound_by_hand() -> None:
    """The quantile q becomes q + bias + 2 skew q²: 1.645 becomes 1.645 + 0.05 + 0.2 x 2.706 above, and stays below."""
    known = Difference(mean=0.0, error=1.0, degrees=math.inf, n=10, skew=0.1, bias=0.05)
    assert known.upper_bound() == pytest.approx(2.2360, abs=1e-4)
    assert known.lower_bound() == pytest.approx(-1.6449, abs=1e-4)
    assert known.interval() == pytest.approx((-1.9600, 1.9600 + 0.05 + 0.2 * 3.8415), abs=1e-4)
    assert known.negated().lower_bound() == pytest.approx(-2.2360, abs=1e-4)


@given(st.floats(-2, -0.001), st.floats(0.01, 1), st.sampled_from([3.0, 20.0, math.inf]), skews, skews)
def test_p_is_the_level_at_which_the_upper_bound_is_at_nothing(
    mean: float, error: float, degrees: float, skew: float, bias: float
) -> None:
    found = Difference(mean=mean, error=error, degrees=degrees, n=100, skew=skew, bias=bias)
    p = found.p_loss()
    assume(p > 1e-9)  # 1 - p has no more digits
    assert found.upper_bound(1 - p) == pytest.approx(0, abs=1e-4 * max(error, -mean))


@given(st.floats(-2, 2), skews, skews, st.floats(0.5, 0.999999))
def test_p_is_below_a_level_exactly_where_the_upper_bound_is_below_nothing(
    mean: float, skew: float, bias: float, confidence: float
) -> None:
    found = Difference(mean=mean, error=0.3, degrees=math.inf, n=100, skew=skew, bias=bias)
    bound = found.upper_bound(confidence)
    assume(abs(bound) > 1e-9)
    assert (found.p_loss() < 1 - confidence) == (bound < 0)


@pytest.mark.parametrize("skew", [-0.3, -0.1, -0.03])
def test_a_skew_to_the_other_side_hides_no_loss(skew: float) -> None:
    """Ten errors below nothing are beyond any chance; a tail to the left makes only the lower bound wider."""
    found = Difference(mean=-10.0, error=1.0, degrees=math.inf, n=100, skew=skew)
    assert found.p_loss() == pytest.approx(stats.norm.cdf(-10))
    assert found.upper_bound(1 - 1e-9) < 0


def test_a_gain_is_no_loss_where_no_upper_bound_reaches_nothing() -> None:
    """By hand: q + 0.6 q² is -1/2.4 at least, at q = -1/1.2."""
    found = Difference(mean=0.5, error=1.0, degrees=math.inf, n=100, skew=0.3)
    assert found.p_loss() == pytest.approx(stats.norm.cdf(1 / 1.2))
    assert replace(found, mean=5.0).p_loss() == pytest.approx(stats.norm.cdf(5))


@given(st.floats(-1, 1), st.floats(0.01, 1), skews, skews)
def test_skew_never_makes_an_interval_narrower(mean: float, error: float, skew: float, bias: float) -> None:
    plain = Difference(mean=mean, error=error, degrees=20, n=100)
    found = replace(plain, skew=skew, bias=bias)
    assert found.lower_bound() <= plain.lower_bound()
    assert found.upper_bound() >= plain.upper_bound()
    assert found.p_loss() >= plain.p_loss()
    assert found.negated().negated() == found


@given(vectors(3, 60))
def test_acceleration_is_a_sixth_of_the_skewness_of_the_mean(deltas: Any) -> None:
    assume(deltas.std() > 1e-3)
    influences = (deltas - deltas.mean()) / len(deltas)
    expected = stats.skew(deltas) / 6 / math.sqrt(len(deltas))
    found = acceleration(influences, find_groups(None, len(deltas)))
    assert found == pytest.approx(min(max(expected, -0.3), 0.3), abs=1e-9)


def test_acceleration_is_of_units_where_each_sample_has_one() -> None:
    influences = np.array([0.1, 0.2, -0.3, 0.4])
    units = [["a"], ["a"], ["b"], ["c"]]
    sums = np.array([0.3, -0.3, 0.4])
    expected = (sums**3).sum() / 6 / (sums**2).sum() ** 1.5
    assert acceleration(influences, find_groups(units, 4)) == pytest.approx(expected)
    several = find_groups([["a", "b"], ["a", "c"], ["b"], ["c"]], 4)
    assert acceleration(influences, several) == pytest.approx((influences**3).sum() / 6 / (influences**2).sum() ** 1.5)
    assert acceleration(np.zeros(4), several) == 0.0


# Samples that share units.


@given(st.lists(st.tuples(st.integers(0, 6), VALUES), min_size=4, max_size=40))
def test_clusters_are_those_of_statsmodels(rows: list[tuple[int, float]]) -> None:
    import statsmodels.api as sm

    clusters, deltas = (np.array(column) for column in zip(*rows, strict=True))
    assume(len(set(clusters.tolist())) > 1 and deltas.std() > 1e-3)
    fitted = sm.OLS(deltas, np.ones(len(deltas))).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)
    assume(fitted.bse[0] > 1e-6)
    found = mean_difference([deltas], [[f"c{one}"] for one in clusters])
    assert (found.mean, found.error) == pytest.approx((fitted.params[0], fitted.bse[0]), rel=1e-6)
    assert found.degrees == pytest.approx(len(set(clusters.tolist())) - 1)
    assert found.interval() == pytest.approx(tuple(fitted.conf_int(0.05)[0]), rel=1e-6, abs=1e-9)


@given(vectors(4, 20))
def test_strata_of_the_same_rows_are_one(deltas: Any) -> None:
    """Two languages of one text each: twice the same differences are no more than one half of them."""
    assume(deltas.std() > 1e-3)
    units = [[f"row {number}"] for number in range(len(deltas))]
    once, twice = mean_difference([deltas], units), mean_difference([deltas, deltas], units * 2)
    assert (twice.mean, twice.error, twice.degrees) == pytest.approx((once.mean, once.error, once.degrees))
    apart = mean_difference([deltas, deltas], [*units, *([f"other {number}"] for number in range(len(deltas)))])
    assert apart.error == pytest.approx(once.error / math.sqrt(2))


def test_strata_of_the_same_pairs_are_one() -> None:
    """Each of 50 pairs has two texts that only its copy in the other stratum has: there are more texts than pairs."""
    deltas = np.random.default_rng(0).normal(size=50)
    units = [[f"a{number}", f"b{number}"] for number in range(50)]
    once, twice = mean_difference([deltas]), mean_difference([deltas, deltas], units * 2)
    assert (twice.mean, twice.error, twice.degrees) == pytest.approx((once.mean, once.error, 99))


def test_strata_that_share_nothing_have_the_degrees_of_welch() -> None:
    one, two = np.random.default_rng(0).normal(size=(2, 12))
    units = [[f"{number // 2}"] for number in range(24)]
    found = mean_difference([one, 3 * two], units)
    pairs = [part.reshape(6, 2).sum(axis=1) - 2 * part.mean() for part in (one, 3 * two)]
    squares = np.array([(sums**2).sum() / 12**2 * 6 / 5 / 4 for sums in pairs])
    assert found.error**2 == pytest.approx(squares.sum())
    assert found.degrees == pytest.approx(squares.sum() ** 2 / (squares**2 / 5).sum())


@pytest.mark.parametrize("count", [SIGN_FLIP_UNITS - 1, SIGN_FLIP_UNITS])
def test_below_forty_units_a_pair_counts_for_both_of_its_texts(count: int) -> None:
    """A ring of pairs: each text is in two of them, so that there are as many texts as pairs."""
    deltas = np.random.default_rng(1).normal(size=count)
    units = [[f"t{number}", f"t{(number + 1) % count}"] for number in range(count)]
    scaled = (deltas - deltas.mean()) / count * math.sqrt(count / (count - 1))
    by_text = ((scaled + np.roll(scaled, -1)) ** 2).sum()
    expected = by_text if count < SIGN_FLIP_UNITS else by_text - (scaled**2).sum()
    found = mean_difference([deltas], units)
    assert found.error**2 == pytest.approx(max(expected, (scaled**2).sum()))
    assert found.degrees == count - 1


def test_degrees_are_no_more_than_samples_less_one() -> None:
    """Each of 20 samples shares three texts with its copy in the other stratum: 60 texts of 40 samples."""
    deltas = np.random.default_rng(0).normal(size=20)
    units = [[f"{letter}{number}" for letter in "abc"] for number in range(20)]
    assert mean_difference([deltas, deltas], units * 2).degrees == 39


def test_a_single_unit_says_nothing_of_the_error() -> None:
    assert mean_difference([np.array([0.1, 0.2, 0.3])], [["hub"]] * 3).error == math.inf


def test_a_stratum_of_one_unit_borrows_as_a_stratum_of_one_sample() -> None:
    """By hand: the variance 0.02 of the other one; the unit's three samples count as one."""
    found = mean_difference([np.array([0.0, 0.2]), np.array([0.3, 0.4, 0.5])], [["a"], ["b"], ["c"], ["c"], ["c"]])
    assert found.mean == pytest.approx(0.25)
    assert found.error == pytest.approx(math.sqrt((0.02 / 2 + 0.02) / 4))
    assert found.degrees == pytest.approx(0.03**2 / (0.01**2 + 0.02**2))


@given(vectors(4, 30), st.lists(st.integers(0, 5), min_size=30, max_size=30), st.randoms(use_true_random=False))
def test_order_of_samples_with_units_does_not_matter(deltas: Any, clusters: list[int], shuffler: random.Random) -> None:
    order = shuffler.sample(range(len(deltas)), len(deltas))
    units = [[f"c{clusters[row]}", f"d{clusters[-1 - row]}"] for row in range(len(deltas))]
    one, two = mean_difference([deltas], units), mean_difference([deltas[order]], [units[row] for row in order])
    assert (two.mean, two.degrees) == pytest.approx((one.mean, one.degrees))
    assert two.error**2 == pytest.approx(one.error**2, abs=1e-12)


# Classes that are drawn apart.


def test_classes_have_errors_of_their_own() -> None:
    """By hand: variances 0.02 and 0.06 within classes of 2 and 3, each scaled by its own n/(n - 1)."""
    deltas = np.array([0.0, 0.2, 1.1, 1.4, 1.4])
    found = mean_difference([deltas], classes=[0, 0, 1, 1, 1])
    assert found.error**2 == pytest.approx((0.02 * 2 + 0.06 * 3 / 2) / 25)
    assert found.degrees == pytest.approx(0.13**2 / (0.04**2 / 1 + 0.09**2 / 2))
    assert mean_difference([deltas]).error > found.error


def test_a_class_of_one_has_no_error_to_speak_of() -> None:
    deltas = np.array([0.0, 0.2, 1.1])
    assert mean_difference([deltas], classes=[0, 0, 1]).error == math.inf
    both = [np.array([0.1, 0.2, 0.4]), deltas]
    assert mean_difference(both, classes=[0, 0, 0, 0, 0, 1]).error == math.inf


# Experiments.


def table(n: int, e: int, seed: int, items: float = 1.0, draws: float = 1.0) -> Any:
    """Draw differences of n items in e experiments, each with an effect of its own."""
    generator = np.random.default_rng(seed)
    return items * generator.normal(size=(n, 1)) + draws * generator.normal(size=(1, e)) + generator.normal(size=(n, e))


def mean_squares(values: Any) -> tuple[float, float, float]:
    """Return those of rows, columns and the rest, of a table with one value in each cell."""
    n, e = values.shape
    rows, columns, grand = values.mean(axis=1), values.mean(axis=0), values.mean()
    rest = values - rows[:, None] - columns + grand
    of_rows, of_columns = e * ((rows - grand) ** 2).sum() / (n - 1), n * ((columns - grand) ** 2).sum() / (e - 1)
    return of_rows, of_columns, (rest**2).sum() / (n - 1) / (e - 1)


@pytest.mark.parametrize(("n", "e", "draws"), [(12, 5, 1.0), (40, 10, 0.3), (7, 2, 3.0)])
def test_experiments_are_the_crossed_random_effects_of_an_analysis_of_variance(n: int, e: int, draws: float) -> None:
    import statsmodels.formula.api as smf
    from statsmodels.stats.anova import anova_lm

    values = table(n, e, 5, draws=draws)
    columns = {"item": np.repeat(np.arange(n), e), "draw": np.tile(np.arange(e), n), "delta": values.ravel()}
    long = import_module("pandas").DataFrame(columns)  # has no types of its own
    anova = anova_lm(smf.ols("delta ~ C(item) + C(draw)", long).fit())
    items, draw, rest = (anova["mean_sq"][name] / (n * e) for name in ("C(item)", "C(draw)", "Residual"))
    found = mean_difference([values])
    assert found.mean == pytest.approx(values.mean())
    assert found.error**2 == pytest.approx(items + draw - rest)
    parts = items**2 / (n - 1) + draw**2 / (e - 1) + rest**2 / ((n - 1) * (e - 1))
    assert found.degrees == pytest.approx((items + draw - rest) ** 2 / parts)


@given(st.integers(2, 15), st.integers(2, 8), st.integers(0, 10_000), st.floats(0, 3))
def test_the_error_is_never_below_that_of_items_or_of_draws(n: int, e: int, seed: int, draws: float) -> None:
    values = table(n, e, seed, draws=draws)
    items, draw, rest = (square / (n * e) for square in mean_squares(values))
    found = estimated([values])
    assert found.difference.error**2 == pytest.approx(max(items + draw - rest, items, draw))
    assert found.by_experiments == (draw > items)


def test_strata_share_their_draws() -> None:
    """Two splits with the same draws: their experiments are averaged first, so that their error does not halve."""
    generator = np.random.default_rng(2)
    draws = generator.normal(size=(1, 10))
    parts = [generator.normal(size=(size, 1)) + generator.normal(size=(size, 10)) + draws for size in (50, 80)]
    squares = np.array([mean_squares(part) for part in parts])
    items, rest = (sum(squares[i, column] / parts[i].size / 4 for i in (0, 1)) for column in (0, 2))
    of_draws = np.mean([part.mean(axis=0) for part in parts], axis=0).var(ddof=1) / 10
    found = mean_difference(parts)
    assert found.error**2 == pytest.approx(items + of_draws - rest)
    assert found.error**2 > sum(squares[i, 1] / parts[i].size / 4 for i in (0, 1))


def test_a_lone_item_has_no_interaction_to_take_off() -> None:
    """By hand: the lone item borrows the variance 0.02; its experiments vary by ±0.1, and so does half of the mean."""
    lone, others = np.array([[0.2, 0.4]]), np.array([[0.0, 0.0], [0.2, 0.2]])
    found = mean_difference([lone, others])
    assert found.error**2 == pytest.approx((0.02 + 0.02 / 2) / 4 + np.array([0.15, 0.25]).var(ddof=1) / 2)


def test_experiments_that_agree_leave_the_error_to_the_items() -> None:
    deltas = np.random.default_rng(0).normal(size=30)
    alone, ten = mean_difference([deltas]), mean_difference([np.repeat(deltas[:, None], 10, axis=1)])
    assert (ten.mean, ten.error, ten.degrees) == pytest.approx((alone.mean, alone.error, alone.degrees))


# Resampling.


def corrected(resampled: Sequence[Any], parts: Sequence[Any], units: Any = None, classes: Any = None) -> Difference:
    strata, groups = strata_of(parts, classes), find_groups(units, sum(map(len, parts)))
    return correct(estimate(strata, groups), strata, resampled, groups)


def mean_of(deltas: Any) -> Any:
    return lambda counts: counts @ deltas / counts.sum(axis=1)


def test_an_error_grows_as_far_as_resamples_scatter_wider_than_influences() -> None:
    """By hand: ±0.1 in turn has a variance of 0.01 x 2000/1999; half of it is of the mean over two strata."""
    deltas = np.array([0.01, -0.01, 0.01, -0.01])
    plain = mean_difference([deltas, deltas])
    assert plain.error == pytest.approx(0.01 * math.sqrt(1 / 3 / 2))

    def swings(counts: Any) -> Any:
        return np.resize([0.1, -0.1], len(counts))

    def rests(counts: Any) -> Any:
        return np.zeros(len(counts))

    found = corrected([swings, rests], [deltas, deltas])
    assert found.error == pytest.approx(0.1 * math.sqrt(2000 / 1999) / 2)
    assert (found.mean, found.degrees, found.n) == (plain.mean, plain.degrees, plain.n)
    both = corrected([swings, swings], [deltas, deltas])
    assert both.error == pytest.approx(0.1 * math.sqrt(2000 / 1999))
    assert corrected([rests, rests], [deltas, deltas]).error == plain.error


def test_a_wider_scatter_multiplies_the_error_by_units() -> None:
    """Samples that count twice, each with its copy: the error is √2 times larger, and resamples widen it by as much."""
    deltas = np.repeat([0.01, -0.01, 0.02, -0.02], 2)
    units = [[f"{number // 2}"] for number in range(8)]
    plain = estimated([deltas], units)
    spread = math.sqrt(float(plain.influences @ plain.influences))

    def swings(counts: Any) -> Any:
        return np.resize([0.1, -0.1], len(counts))

    found = corrected([swings], [deltas], units)
    assert found.error == pytest.approx(plain.difference.error * 0.1 * math.sqrt(2000 / 1999) / spread)


@pytest.mark.parametrize(
    ("below", "equal", "bias"),
    [
        (1000, 0, 0.0),
        (0, 2000, 0.0),
        (1100, 0, 0.12566),
        (900, 0, -0.12566),
        (1000, 200, 0.12566),
        (2000, 0, 0.3),
        (0, 0, -0.3),
    ],
)
def test_the_bias_is_the_quantile_of_the_resamples_below_the_difference(below: int, equal: int, bias: float) -> None:
    """Tabulated: 55 % of a normal distribution are below 0.12566; those as large count half."""
    deltas = np.array([0.2, -0.2, 0.1, -0.1])

    def resampled(counts: Any) -> Any:
        return np.concatenate([np.full(below, -0.1), np.zeros(equal), np.full(len(counts) - below - equal, 0.1)])

    assert corrected([resampled], [deltas]).bias == pytest.approx(bias, abs=1e-5)


def test_every_stratum_needs_its_resampling() -> None:
    with pytest.raises(ValueError, match="shorter"):
        corrected([lambda counts: np.zeros(len(counts))], [np.arange(3.0), np.arange(4.0)])


@pytest.mark.parametrize(("at_once", "first", "last"), [(350, 7, 5), (10, 1, 1), (10**9, 2000, 2000)])
def test_resamples_are_drawn_a_few_at_a_time_with_equal_chances(
    monkeypatch: pytest.MonkeyPatch, at_once: int, first: int, last: int
) -> None:
    seen: list[Any] = []

    def watched(counts: Any) -> Any:
        seen.append(counts)
        return np.zeros(len(counts))

    monkeypatch.setattr("touchstone.judging.statistics.COUNTS_AT_ONCE", at_once)
    corrected([watched], [np.arange(50.0)])
    assert (len(seen[0]), len(seen[-1])) == (first, last)
    counts = np.concatenate(seen)
    assert counts.shape == (2000, 50)
    assert counts.dtype == np.float64
    assert (counts.sum(axis=1) == 50).all()
    # Each sample is drawn once on average; of 2 000 draws the mean has an error of 0.022.
    assert counts.mean(axis=0) == pytest.approx(np.ones(50), abs=0.1)


def test_classes_are_drawn_apart() -> None:
    seen: list[Any] = []

    def watched(counts: Any) -> Any:
        seen.append(counts)
        return np.zeros(len(counts))

    classes = np.array([1, 0, 1, 0, 0, 1, 0])
    corrected([watched], [np.arange(7.0)], classes=classes)
    counts = np.concatenate(seen)
    assert (counts[:, classes == 1].sum(axis=1) == 3).all()
    assert (counts[:, classes == 0].sum(axis=1) == 4).all()


def test_resamples_of_a_mean_leave_its_error_and_give_the_same_answer_every_time() -> None:
    deltas = np.random.default_rng(3).normal(-0.01, 0.1, 400)
    one, two = (corrected([mean_of(deltas)], [deltas]) for _ in range(2))
    assert one == two
    assert one.error == pytest.approx(mean_difference([deltas]).error, rel=0.05)
    assert one.bias == pytest.approx(0, abs=0.08)


def test_of_many_samples_the_bias_is_that_of_a_mean() -> None:
    """Nothing is resampled: the bias of a mean is its acceleration."""
    deltas = np.random.default_rng(1).exponential(1.0, ASYMPTOTIC_SAMPLES + 1)
    found = corrected([lambda _counts: 1 / 0], [deltas])
    assert found.bias == found.skew > 0.001
    assert found.error == mean_difference([deltas]).error


def test_resamples_that_are_the_difference_itself_count_half() -> None:
    """By hand: 1 600 of 2 000 are the difference of 0.3, 100 are below: 0.45 of all, a bias of -0.1257."""
    drawn = np.concatenate([np.full(100, 0.2), np.full(1600, 0.3), np.full(300, 0.4)])
    assert corrected([lambda _counts: drawn], [np.array([0.2, 0.4, 0.25, 0.35])]).bias == pytest.approx(
        -0.1257, abs=1e-4
    )


def test_resampling_in_parts_is_the_same_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    deltas = np.random.default_rng(3).normal(0, 0.1, 50)
    whole = corrected([mean_of(deltas)], [deltas])
    monkeypatch.setattr("touchstone.judging.statistics.COUNTS_AT_ONCE", 50 * 7)
    assert corrected([mean_of(deltas)], [deltas]).error == pytest.approx(whole.error, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_bounds_of_a_skewed_mean_are_about_those_of_scipys_bca(seed: int) -> None:
    """On the side of the long tail; on the other ours stays as wide as without skew."""
    deltas = np.random.default_rng(seed).exponential(1.0, 150)
    found = corrected([mean_of(deltas)], [deltas])
    theirs = stats.bootstrap((deltas,), np.mean, method="BCa", n_resamples=5000, rng=0).confidence_interval
    assert found.skew > 0.01
    assert found.interval()[1] - found.mean == pytest.approx(theirs.high - found.mean, rel=0.1)
    assert found.interval()[0] <= theirs.low


def test_bounds_of_a_correlation_are_about_those_of_scipys_bca() -> None:
    """On the side of the long tail, too."""
    generator = np.random.default_rng(1)
    gold = generator.integers(0, 6, 120).astype(float)
    before, after = gold + generator.normal(0, 1.0, 120), gold + generator.standard_t(2, 120)

    def differ(gold: Any, after: Any, before: Any, counts: Any = None) -> Any:
        return spearman(gold, after, counts) - spearman(gold, before, counts)

    influences = influence_on_spearman(gold, after) - influence_on_spearman(gold, before)
    scores = np.array([differ(gold, after, before)])
    one = Stratum(rows=np.arange(120), scores=scores, influences=influences[:, None], classes=np.zeros(120, np.intp))
    groups = find_groups(None, 120)
    found = correct(estimate([one], groups), [one], [lambda counts: differ(gold, after, before, counts)], groups)
    theirs = stats.bootstrap(
        (gold, after, before), differ, paired=True, vectorized=False, method="BCa", n_resamples=2000, rng=0
    ).confidence_interval
    half, (low, high) = (theirs.high - theirs.low) / 2, found.interval()
    assert found.skew < 0
    assert low == pytest.approx(theirs.low, abs=0.2 * half)
    assert theirs.high <= high < theirs.high + 0.3 * half


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
    assert samples_to_settle(difference, None, 0.01, alpha) == needed


@given(st.floats(0.001, 0.05), st.integers(30, 3000), st.floats(0.002, 0.05), st.none() | st.floats(0, 0.03))
def test_detectable_loss_is_called_regressed_four_times_in_five(
    error: float, n: int, margin: float, shift: float | None
) -> None:
    """Where 79 % of all means of that loss are, it is, and where 81 % are, it is not."""
    level = 0.01
    difference = Difference(mean=0.0, error=error, degrees=math.inf, n=n)
    loss = detectable(difference, margin, level, shift=shift)
    for share, called in ((0.79, True), (0.81, False)):
        found = replace(difference, mean=-loss + stats.norm.ppf(share) * error)
        assert (found.mean <= -margin and found.moved(shift).p_loss() < level) == called


@given(
    st.floats(-0.03, 0.03),
    st.floats(0.001, 0.05),
    st.integers(100, 2000),
    st.floats(0, 0.02),
    st.sampled_from([0.95, 0.9]),
)
def test_as_many_samples_as_named_settle_it(mean: float, error: float, n: int, move: float, confidence: float) -> None:
    """With one sample more, whose weight is as much smaller."""
    margin, level = 0.01, 0.01
    assume(abs(mean + margin) > 1e-4)
    shift = move if mean <= -margin else -move
    difference = Difference(mean=mean, error=error, degrees=math.inf, n=n)
    needed = samples_to_settle(difference, shift, margin, level, confidence)

    def settled(samples: int) -> bool:
        slack = 1e-9
        like = replace(difference, error=error * math.sqrt(n / samples)).moved(shift * n / samples)
        if mean <= -margin:
            return like.upper_bound(1 - level) <= slack
        return like.lower_bound(confidence) >= -margin - slack

    assert settled(needed)
    # And no fewer do: what is settled by far fewer needs but one.
    assert needed < 200 or not settled(math.floor(0.98 * needed))


def test_samples_to_settle_count_the_sample_that_they_bear() -> None:
    """By hand: m of a hundred, where 1/m + 1.645 √(1/m + 1/m²) = 1: 4.95 of them."""
    difference = Difference(mean=0.0, error=0.01, degrees=math.inf, n=100)
    times = samples_to_settle(difference, -0.01, 0.01, 0.05) / 100
    assert 1 / times + 1.644854 * math.sqrt(1 / times + 1 / times**2) == pytest.approx(1, abs=0.01)
    assert samples_to_settle(difference, -0.01, 0.01, 0.05) > samples_to_settle(difference, None, 0.01, 0.05)


# Tasks together.


@given(
    st.lists(st.tuples(VALUES, st.floats(0.001, 0.1), st.floats(0.1, 1)), min_size=2, max_size=6),
    st.integers(0, 1000),
)
def test_tasks_with_covariances_and_weights_are_those_of_numpy(
    parts: list[tuple[float, float, float]], seed: int
) -> None:
    means, errors, weights = (np.array(column) for column in zip(*parts, strict=True))
    weights = weights / weights.sum()
    samples = np.random.default_rng(seed).normal(size=(len(parts), 3))
    known = np.corrcoef(samples)
    tasks = [Difference(mean=m, error=e, degrees=math.inf, n=10) for m, e, _ in parts]
    found = over_tasks(tasks, known, weights)
    covariance = known * np.outer(errors, errors)
    assert found.mean == pytest.approx(np.average(means, weights=weights))
    assert found.error**2 == pytest.approx(max(weights @ covariance @ weights, ((weights * errors) ** 2).max()))
    assert over_tasks(tasks, np.eye(len(parts)), np.full(len(parts), 1 / len(parts))) == over_tasks(tasks)


def test_tasks_that_share_everything_are_as_unsure_as_one() -> None:
    one = Difference(mean=0.0, error=0.01, degrees=math.inf, n=10)
    assert over_tasks([one, one], np.ones((2, 2))).error == pytest.approx(0.01)
    assert over_tasks([one, one], np.array([[1, -1], [-1, 1]])).error == pytest.approx(0.005)


def test_skew_and_bias_of_tasks_go_into_their_mean() -> None:
    """By hand: of k equal tasks the mean has a skew that is √k times smaller, and a bias that is √k times larger."""
    one = Difference(mean=0.0, error=0.01, degrees=math.inf, n=10, skew=0.2, bias=0.1)
    four = over_tasks([one] * 4)
    assert (four.skew, four.bias) == pytest.approx((0.1, 0.2))
    nothing = replace(one, error=0.0)
    assert over_tasks([nothing, nothing]) == Difference(mean=0.0, error=0.0, degrees=math.inf, n=20)
    uneven = over_tasks([one, replace(one, skew=-0.1, bias=0.0)], weights=[0.75, 0.25])
    assert uneven.skew == pytest.approx((0.2 * 0.75**3 - 0.1 * 0.25**3) / (0.75**2 + 0.25**2) ** 1.5)
    assert uneven.bias == pytest.approx(0.1 * 0.75 / math.sqrt(0.75**2 + 0.25**2))


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
