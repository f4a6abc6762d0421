"""Longest first, as laws: each job once, never worse than theory allows, whatever the estimates are worth."""

import math
from itertools import pairwise, permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone.schedule.dispatch import (
    SPARE_TIME_SHARE,
    Dispatcher,
    Job,
    Promised,
    choose,
    longest_first,
    lower_bound,
    pace,
    share_out,
    simulate,
    still_needed,
    time_left,
)

SECONDS = st.floats(0.01, 1000.0)
WORKERS = st.integers(1, 8)


def jobs_of(*seconds: float, models: str = "") -> list[Job]:
    names = [*models] or [None] * len(seconds)
    return [Job(items=(i,), seconds=s, model=m) for i, (s, m) in enumerate(zip(seconds, names, strict=True))]


def optimum(seconds: list[float], workers: int) -> float:
    """Try every way to share out a few jobs."""
    best = math.inf
    for where in product(range(workers), repeat=len(seconds)):
        loads = [0.0] * workers
        for one, place in zip(seconds, where, strict=True):
            loads[place] += one
        best = min(best, max(loads))
    return best


@given(st.lists(st.tuples(SECONDS, SECONDS, st.sampled_from(["a", "b", "c", None])), max_size=25), WORKERS)
def test_each_job_is_given_exactly_once_however_wrong_the_estimates_are(
    drawn: list[tuple[float, float, str | None]], workers: int
) -> None:
    jobs = [Job(items=(i,), seconds=seconds, model=model) for i, (seconds, _, model) in enumerate(drawn)]
    actual: dict[tuple[int, ...], float] = {(i,): seconds for i, (_, seconds, _) in enumerate(drawn)}
    end, took = simulate(jobs, workers, {"a": 5.0, "b": 50.0}, actual)
    assert sorted(job.items for share in took for job in share) == sorted(actual)
    assert end >= lower_bound(list(actual.values()), workers) * (1 - 1e-9)


@given(st.lists(SECONDS, min_size=1, max_size=7), st.integers(1, 3))
def test_one_model_ends_within_grahams_bound_of_the_best_order(seconds: list[float], workers: int) -> None:
    # Graham, "Bounds on multiprocessing timing anomalies", 1969; and what a worker may have to spare.
    end, _ = simulate(jobs_of(*seconds), workers, {})
    assert end <= optimum(seconds, workers) * (4 / 3 - 1 / (3 * workers)) * (1 + SPARE_TIME_SHARE) + 1e-9


@given(st.lists(SECONDS, min_size=1, max_size=60), WORKERS)
def test_one_model_is_never_a_third_above_the_lower_bound(seconds: list[float], workers: int) -> None:
    end, _ = simulate(jobs_of(*seconds), workers, {})
    assert end <= lower_bound(seconds, workers) * 4 / 3 * (1 + SPARE_TIME_SHARE) + 1e-9


@given(st.lists(SECONDS, min_size=1, max_size=6), st.integers(1, 3))
def test_no_order_ends_before_the_lower_bound(seconds: list[float], workers: int) -> None:
    assert lower_bound(seconds, workers) <= optimum(seconds, workers) * (1 + 1e-9)


@given(st.permutations(jobs_of(9, 7, 7, 5, 3, 3, 2, 1, models="abababab")), st.integers(1, 4))
def test_the_order_of_the_jobs_does_not_matter(jobs: list[Job], workers: int) -> None:
    loading = {"a": 2.0, "b": 1.0}
    assert simulate(jobs, workers, loading) == simulate(longest_first(jobs), workers, loading)


@given(st.lists(st.floats(1, 100), max_size=30), st.integers(1, 5))
def test_jobs_of_no_time_at_all_are_done_too(seconds: list[float], workers: int) -> None:
    jobs = jobs_of(*seconds, *[0.0] * 5)
    assert sum(map(len, simulate(jobs, workers, {})[1])) == len(jobs)


def test_the_best_order_of_a_few_jobs_is_found_by_hand() -> None:
    end, took = simulate(jobs_of(3, 5, 2, 4, 6), 2, {})
    assert [[job.seconds for job in share] for share in took] == [[6, 3, 2], [5, 4]]
    assert end == 11
    assert lower_bound([3, 5, 2, 4, 6], 2) == 10
    assert lower_bound([1, 1, 1, 1], 3) == 2  # two of the four are on one worker
    assert lower_bound([], 3) == 0


def test_a_worker_keeps_its_model_until_it_has_no_more_of_it() -> None:
    loading = {"a": 3.0, "b": 3.0}
    _, took = simulate(jobs_of(5, 5, 5, 5, 4, 4, 4, 4, models="abababab"), 2, loading)
    for share in took:
        models = [job.model for job in share]
        assert sum(before != after for before, after in pairwise(models)) <= 1


def test_a_case_that_would_end_the_run_goes_before_those_of_the_loaded_model() -> None:
    left = longest_first(jobs_of(1, 1, 100, models="aab"))
    state = [Promised(seconds=0.0, model="a")]
    first = choose(0, state, left, {"b": 10.0})
    assert first is not None
    assert first.seconds == 100
    small = longest_first(jobs_of(1, 1, 1.5, models="aab"))
    second = choose(0, state, small, {"b": 10.0})
    assert second is not None
    assert second.model == "a"


def test_a_model_is_loaded_once_more_only_where_that_pays() -> None:
    left = longest_first(jobs_of(4, 4, 4, 4, models="aaaa"))
    states = [Promised(seconds=0.0, model="a"), Promised(seconds=0.0, model="b")]
    assert [len(share) for share in share_out(states, left, {"a": 100.0})] == [4, 0]
    assert [len(share) for share in share_out(states, left, {"a": 1.0})] == [2, 2]


def test_a_worker_without_a_share_goes_on_only_with_next_to_nothing() -> None:
    states = [Promised(seconds=100.0), Promised()]
    assert choose(0, states, jobs_of(50, 20), {}) is None
    kept = choose(0, states, longest_first(jobs_of(50, 20, 0.5)), {})
    assert kept is not None
    assert kept.seconds == 0.5
    assert choose(0, states, [], {}) is None


def test_a_worker_that_was_told_to_stop_gets_no_more_and_no_share() -> None:
    dispatcher = Dispatcher(jobs_of(10, 6, 3), {})
    for name in ("one", "two"):
        dispatcher.add_worker(name)
    assert [job.seconds for _ in range(1) if (job := dispatcher.give("one", 0.0))] == [10]
    assert dispatcher.give("one", 0.0) is None
    assert dispatcher.give("one", 50.0) is None
    assert [job.seconds for _ in range(2) if (job := dispatcher.give("two", 0.0))] == [6, 3]


def test_what_a_lost_worker_had_goes_to_the_others() -> None:
    dispatcher = Dispatcher(jobs_of(10, 9, 8, 7), {})
    for name in ("one", "two"):
        dispatcher.add_worker(name)
    had = [dispatcher.give("one", 0.0) for _ in range(2)]
    dispatcher.drop_worker("one")
    dispatcher.put_back(job for job in had[1:] if job is not None)
    rest = []
    while (job := dispatcher.give("two", 0.0)) is not None:
        rest.append(job.seconds)
    assert rest == [9, 8, 7]


def test_a_job_that_takes_longer_than_thought_moves_its_workers_share() -> None:
    dispatcher = Dispatcher(jobs_of(*[10.0] * 8), {})
    for name in ("slow", "quick"):
        dispatcher.add_worker(name)
        dispatcher.give(name, 0.0)
        dispatcher.give(name, 0.0)
    given = []
    for done in (10.0, 20.0, 30.0):
        dispatcher.finish("quick", done)
        if (job := dispatcher.give("quick", done)) is not None:
            given.append(job)
    assert len(given) == 3  # of the four left, while the other is still busy with its first
    assert dispatcher.waiting


@pytest.mark.parametrize(
    ("done", "total", "factor"),
    [([], 100.0, 1.0), ([(10.0, 20.0)], 100.0, 1.5), ([(100.0, 300.0)], 100.0, 310 / 110), ([], 0.0, 1.0)],
)
def test_pace_moves_from_the_estimates_to_what_was_measured(
    done: list[tuple[float, float]], total: float, factor: float
) -> None:
    assert pace(done, total) == pytest.approx(factor)


def test_a_running_case_needs_the_rest_of_its_time_and_an_overdue_one_a_little_more() -> None:
    assert still_needed(10.0, 4.0) == 6.0
    assert still_needed(10.0, 30.0) == 3.0


def test_time_left_is_that_of_the_schedule() -> None:
    assert time_left([], [], [30.0, 20.0, 10.0], 1) == 60
    assert time_left([], [], [30.0, 20.0, 10.0], 2) == 30
    assert time_left([], [(30.0, 10.0)], [5.0], 2) == 20
    assert time_left([(100.0, 200.0)], [], [100.0], 1) == pytest.approx(100 * 220 / 120)
    assert time_left([], [], [], 3) == 0


@given(st.lists(SECONDS, max_size=20), st.lists(st.tuples(SECONDS, SECONDS), max_size=5), WORKERS, SECONDS)
def test_time_left_grows_with_what_is_left_and_shrinks_with_workers(
    waiting: list[float], done: list[tuple[float, float]], workers: int, more: float
) -> None:
    now = time_left(done, [], waiting, workers)
    assert 0 <= now < math.inf
    assert time_left([], [], [*waiting, more], 1) >= time_left([], [], waiting, 1)
    assert time_left(done, [], waiting, 1) >= now * (1 - 1e-9)


def test_every_order_of_asking_gives_each_job_once() -> None:
    for order in permutations(["one", "two", "three"]):
        dispatcher = Dispatcher(jobs_of(4, 3, 2, 1, 1), {})
        for name in order:
            dispatcher.add_worker(name)
        given = []
        now = 0.0
        while dispatcher.waiting:
            for name in order:
                if (job := dispatcher.give(name, now)) is not None:
                    given.append(job.items)
                    now += 1
                    dispatcher.finish(name, now)
        assert sorted(given) == [(0,), (1,), (2,), (3,), (4,)]
