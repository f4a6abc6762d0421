"""How a run is cut: each case once, no later than longest first, one model's cases together where that is free."""

from hypothesis import given
from hypothesis import strategies as st

from touchstone.schedule.dispatch import Job, Promised, longest_first, lower_bound, share_out
from touchstone.schedule.sharding import ROUNDING, divide

SHARDS = st.integers(1, 9)
DRAWN = st.lists(st.tuples(st.floats(0.0, 100.0), st.sampled_from("abc")), max_size=24)


def jobs_of(drawn: list[tuple[float, str]]) -> list[Job]:
    return [Job(items=(at,), seconds=seconds, model=model) for at, (seconds, model) in enumerate(drawn)]


def longest(shares: list[list[Job]]) -> float:
    return max(sum(job.seconds for job in share) for share in shares)


@given(DRAWN, SHARDS)
def test_each_job_is_in_one_shard_and_none_ends_later_than_longest_first(
    drawn: list[tuple[float, str]], shards: int
) -> None:
    jobs = jobs_of(drawn)
    found = divide(jobs, shards)
    assert len(found) == shards
    assert sorted(job.items for share in found for job in share) == [job.items for job in jobs]
    spread = share_out([Promised()] * shards, longest_first(jobs), {})
    assert longest(found) <= longest(spread) * ROUNDING * ROUNDING
    assert longest(found) >= lower_bound([job.seconds for job in jobs], shards) * (1 - 1e-9)


@given(DRAWN, SHARDS, st.randoms(use_true_random=False))
def test_the_order_in_which_jobs_are_named_changes_nothing(
    drawn: list[tuple[float, str]], shards: int, random: object
) -> None:
    jobs = jobs_of(drawn)
    mixed = list(jobs)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert divide(jobs, shards) == divide(mixed, shards)


def test_models_stay_together_where_that_costs_nothing() -> None:
    jobs = jobs_of([(4.0, "a"), (3.0, "b"), (2.0, "a"), (3.0, "b")])
    assert [{job.model for job in share} for share in divide(jobs, 2)] == [{"a"}, {"b"}]


def test_models_are_spread_where_one_of_them_alone_would_end_later() -> None:
    found = divide(jobs_of([(5.0, "a"), (5.0, "a"), (1.0, "b")]), 2)
    assert longest(found) == 6.0


def test_there_may_be_more_shards_than_jobs() -> None:
    assert sorted(map(len, divide(jobs_of([(1.0, "a"), (2.0, "a")]), 5))) == [0, 0, 0, 1, 1]
