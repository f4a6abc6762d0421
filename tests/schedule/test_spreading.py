"""What actors do while others die: every job ends once, or is given up after the deaths that it caused."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from touchstone.schedule.dispatch import Job
from touchstone.schedule.spreading import MAX_DEATHS, Spread


def jobs_of(*seconds: float) -> list[Job]:
    return [Job(items=(at,), seconds=one, model="ab"[at % 2]) for at, one in enumerate(seconds)]


@given(st.lists(st.floats(0.1, 50.0), min_size=1, max_size=12), st.integers(1, 4), st.data())
def test_each_job_ends_once_whoever_dies(seconds: list[float], actors: int, data: st.DataObject) -> None:
    spread, ended, deaths, now = Spread(jobs_of(*seconds), {"a": 3.0}), [], Counter[tuple[int, ...]](), 0.0
    running: dict[int, Job] = {}
    for actor in range(actors):
        spread.welcome(actor)
    while not spread.ended:
        for actor, job in spread.hand_out(now):
            assert actor not in running
            running[actor] = job
        assert running, "nobody does anything, and something is left"
        actor = data.draw(st.sampled_from(sorted(running)))
        job, now = running.pop(actor), now + 1
        if data.draw(st.booleans()) and sum(deaths.values()) < 30:
            deaths[job.items] += 1
            given_up = spread.lose(actor)
            assert (given_up is None) == (deaths[job.items] < MAX_DEATHS)
            ended += [] if given_up is None else [given_up]
            spread.welcome(actor)
        else:
            assert spread.finish(actor, now) == job
            ended.append(job)
    assert sorted(job.items for job in ended) == [(at,) for at in range(len(seconds))]


def test_the_longest_goes_first_and_an_actor_keeps_to_the_model_that_it_has() -> None:
    spread = Spread(jobs_of(5.0, 6.0, 4.0), {"a": 100.0, "b": 100.0})
    for actor in (0, 1):
        spread.welcome(actor)
    first = dict(spread.hand_out(0.0))
    assert {job.seconds for job in first.values()} == {6.0, 5.0}
    (had_a,) = (actor for actor, job in first.items() if job.model == "a")
    spread.finish(had_a, 3.0)
    ((actor, job),) = spread.hand_out(3.0)
    assert (actor, job.model) == (had_a, "a")


def test_an_actor_that_was_not_needed_takes_over_what_another_lost() -> None:
    spread = Spread(jobs_of(5.0), {})
    for actor in (0, 1):
        spread.welcome(actor)
    ((first, job),) = spread.hand_out(0.0)
    assert spread.hand_out(1.0) == []
    assert spread.lose(first) is None
    assert not spread.deserted
    assert spread.hand_out(2.0) == [(1 - first, job)]


def test_work_that_comes_later_is_done_too_and_without_actors_it_is_deserted() -> None:
    spread = Spread([], {})
    assert (spread.ended, spread.deserted) == (True, True)
    spread.add(jobs_of(1.0))
    assert len(spread.waiting) == 1
    spread.welcome(0)
    spread.welcome(0)
    assert len(spread.hand_out(0.0)) == 1
    assert spread.lose(0) is None
    assert (spread.ended, spread.deserted) == (False, True)
    assert spread.waiting == jobs_of(1.0)
