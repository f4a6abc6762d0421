"""What is detected before anything is measured: against simulation, statsmodels, and every allocation there is."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone.judging.power import (
    SPREADS,
    Choice,
    Criterion,
    allocate,
    effective,
    find_limits,
    limit_sizes,
    mean_error,
    passable,
    spread_of,
)
from touchstone.records.cases import Policy

FRACTIONS = st.floats(0.001, 0.3)
LEVELS = st.floats(1e-4, 0.2)


@pytest.mark.parametrize("n", [100, 1000, 20_000])
def test_without_a_margin_the_loss_is_that_of_the_power_of_a_normal_test(n: int) -> None:
    test = pytest.importorskip("statsmodels.stats.power").NormalIndPower()
    loss = Criterion(margin=0.0, level=0.025).detects(0.112 / math.sqrt(n))
    power = test.power(loss / 0.112, nobs1=n, alpha=0.025, ratio=0, alternative="larger")  # ratio 0: one sample
    assert power == pytest.approx(0.8, rel=1e-9)


@pytest.mark.parametrize(
    ("errors", "margin", "shift"), [([0.01], 0.01, 0.004), ([0.002], 0.01, 0.0), ([0.01, 0.02, 0.005], 0.005, 0.0)]
)
def test_loss_is_found_four_times_in_five_by_the_rule_of_the_gate(
    errors: list[float], margin: float, shift: float
) -> None:
    error, generator = mean_error(errors), np.random.default_rng(1)
    assert error == pytest.approx(np.linalg.norm(errors) / len(errors))
    loss = Criterion(margin=margin, level=0.025 / 6).detects(error, shift)
    means = generator.normal(-loss, error, 400_000)
    significant = means + shift <= -math.hypot(error, shift) * 2.6383  # z(1 - 0.025 / 6)
    assert np.mean((means <= -margin) & significant) == pytest.approx(0.8, abs=0.003)


@given(FRACTIONS, FRACTIONS, LEVELS, st.floats(0, 0.1))
def test_inverses_lead_back(error: float, margin: float, level: float, shift: float) -> None:
    criterion = Criterion(margin=margin, level=level)
    assert criterion.largest_error(criterion.detects(error)) == pytest.approx(error, rel=1e-6)
    goal = criterion.detects(error / 2, shift / 4)
    assert criterion.times_needed(goal, error, shift) == pytest.approx(4, rel=1e-6)
    for within in (margin, margin / 2):
        assert criterion.largest_error(within) == 0
        assert criterion.times_needed(within, error, shift) == math.inf


@given(st.lists(st.integers(1, 500), min_size=1, max_size=9), st.floats(0.01, 1))
def test_mean_over_strata_is_worth_fewer_samples_than_there_are(sizes: list[int], spread: float) -> None:
    error = math.sqrt(sum(spread**2 / size for size in sizes)) / len(sizes)
    assert spread / math.sqrt(effective(sizes)) == pytest.approx(error)
    assert effective(sizes) <= sum(sizes) * (1 + 1e-9)
    assert spread_of(error, sum(sizes), sizes) == pytest.approx(spread)
    assert sum(limit_sizes(sizes, max(sizes))) == sum(limit_sizes(sizes, None)) == sum(sizes)


def test_pass_takes_so_many_samples_that_the_worst_one_more_does_not_forbid_it() -> None:
    assert passable(Policy()) == 265
    assert passable(Policy(margin=0.02)) == 133
    assert passable(Policy(), 2.0) == 529


@given(st.integers(1, 400), st.lists(st.integers(1, 50_000), min_size=1, max_size=4))
def test_limits_go_from_the_least_to_all(least: int, sizes: list[int]) -> None:
    limits = find_limits(least, sizes)
    numbers = [limit for limit in limits if limit is not None]
    assert limits[-1] is None
    assert numbers == sorted(set(numbers))
    assert all(least <= limit < 0.95 * max(sizes) for limit in numbers)
    assert bool(numbers) == (least < 0.95 * max(sizes))


def choices(spread: float, cost: float, counts: range, fixed: float = 0.0) -> list[Choice]:
    return [Choice(limit=n, n=n, error=spread / math.sqrt(n), seconds=fixed + cost * n) for n in counts]


CASES = st.lists(
    st.tuples(st.floats(0.02, 0.3), st.floats(0.01, 5), st.integers(2, 9), st.floats(0, 9)), min_size=1, max_size=3
)


@given(CASES, st.floats(0.01, 0.3))
def test_allocation_is_the_cheapest_there_is_for_what_it_reaches(
    cases: list[tuple[float, float, int, float]], error: float
) -> None:
    offered = [choices(spread, cost, range(2, most + 1), fixed) for spread, cost, most, fixed in cases]
    every = [(sum(one.seconds for one in of), math.hypot(*(one.error for one in of)) / len(of)) for of in
             itertools.product(*offered)]  # fmt: skip
    found = allocate(offered, error)
    if found is None:
        assert all(reached > error for _, reached in every)
        return
    reached, cost = math.hypot(*(one.error for one in found)) / len(found), sum(one.seconds for one in found)
    assert reached <= error * (1 + 1e-8)
    best = min(seconds for seconds, other in every if other <= error)
    # Whole samples are left over: never as much as the dearest sample of each case but one.
    assert best - 1e-9 <= cost <= best + sum(cost for _, cost, _, _ in cases) + 1e-9


def test_allocation_is_neymans_where_seconds_are_proportional() -> None:
    given_ = [(0.05, 1.0), (0.2, 1.0), (0.1, 9.0)]
    found = allocate([choices(spread, cost, range(1, 20_000)) for spread, cost in given_], 0.002)
    assert found is not None
    scales = [one.n / (spread / math.sqrt(cost)) for one, (spread, cost) in zip(found, given_, strict=True)]
    assert scales == pytest.approx([scales[0]] * 3, rel=0.02)
    assert math.hypot(*(one.error for one in found)) / 3 == pytest.approx(0.002, rel=1e-3)


def test_spreads_are_those_of_the_kinds_of_change() -> None:
    assert SPREADS == {"same-weights": 0.026, "fine-tune": 0.112, "another-model": 0.271}
