"""What the schedule promises for a whole benchmark, by the simulation that is otherwise run by hand."""

import pytest

from tests.benchmarks.simulate_schedule import benchmark_jobs, default_order, ratios
from touchstone.schedule.dispatch import Job


@pytest.fixture(scope="module")
def jobs() -> list[Job]:
    return benchmark_jobs()


@pytest.mark.parametrize(("workers", "before", "after"), [(2, 1.15, 1.005), (4, 1.25, 1.055), (8, 1.10, 1.005)])
def test_longest_first_ends_a_benchmark_near_the_lower_bound(
    jobs: list[Job], workers: int, before: float, after: float
) -> None:
    assert len(jobs) == 56
    default, ours = ratios(jobs, workers)
    assert ours <= after
    assert default >= before


@pytest.mark.parametrize("workers", [2, 4, 8])
def test_wrong_estimates_cost_less_than_the_default_order_does(jobs: list[Job], workers: int) -> None:
    found = [ratios(jobs, workers, seed) for seed in range(20)]
    mean = [sum(side) / len(found) for side in zip(*found, strict=True)]
    assert mean[1] < mean[0]
    assert mean[1] < 1.2


def test_default_order_is_that_of_xdist() -> None:
    assert default_order([1.0, 1.0, 1.0, 9.0], 2) == 10  # two and two, in collection order
    assert default_order([5.0], 3) == 5
