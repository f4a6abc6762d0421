"""Estimates of seconds: which of the things known is used, and how."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import FINGERPRINT, OTHER_FINGERPRINT, make_case, make_row, make_run
from touchstone.records.cases import Case
from touchstone.schedule.estimates import (
    CHARACTERS_PER_TEXT,
    SECONDS_A_CHARACTER,
    UNKNOWN_SECONDS,
    Estimate,
    Sight,
    Timing,
    device_kind,
    estimate,
    find_loading,
    find_timings,
)
from touchstone.schedule.workload import Workload

ONE = make_case(name="One")
TWO = make_case(name="Two")
OVERHEAD = 10 * CHARACTERS_PER_TEXT
LOAD = Workload(texts=10, characters=1000 - OVERHEAD, pairs=100, pair_characters=9000 - 10 * OVERHEAD)


def timing(task: str = "One", seconds: float = 10.0, **changes: Any) -> Timing:
    defaults = {"alias": "minilm", "fingerprint": FINGERPRINT, "limit": None, "device": "cpu"}
    return Timing(task=task, seconds=seconds, **{**defaults, **changes})


def look(*timings: Timing, **changes: Any) -> Sight:
    defaults: dict[str, Any] = {"workloads": {}, "devices": {}, "reads": {}}
    return Sight(timings=timings, **{**defaults, **changes})


def of(case: Case, sight: Sight, *others: Case) -> Estimate:
    return estimate([case, *others], sight)[case.id]


def test_own_timings_come_first_and_their_median_counts() -> None:
    sight = look(*(timing(seconds=seconds) for seconds in (10.0, 2.0, 3.0)), timing(alias="other", seconds=99.0))
    assert of(ONE, sight) == Estimate(seconds=3.0, basis="timed")


def test_only_runs_of_the_newest_weights_count() -> None:
    timings = [timing(seconds=seconds) for seconds in (10.0, 2.0, 2.0)]
    assert of(ONE, look(*timings)).seconds == 2.0
    assert of(ONE, look(*timings, timing(seconds=9.0, fingerprint=OTHER_FINGERPRINT))).seconds == 9.0


@pytest.mark.parametrize("other", [{"limit": 100}, {"device": "cuda"}, {"task": "Two"}])
def test_timings_of_another_limit_device_or_task_are_not_its_own(other: dict[str, Any]) -> None:
    assert of(ONE, look(timing(**other))).basis == "unknown"


def test_other_models_count_by_how_fast_they_are_on_tasks_that_both_ran() -> None:
    shared = [timing("Two", 40.0), timing("Two", 20.0, alias="other"), timing("Three", 20.0),
              timing("Three", 10.0, alias="other")]  # fmt: skip
    assert of(ONE, look(*shared, timing(alias="other", seconds=7.0))) == Estimate(seconds=14.0, basis="other model")
    strangers = look(timing(alias="other", seconds=7.0))
    assert of(ONE, strangers) == Estimate(seconds=7.0, basis="other model")


def test_text_counts_at_the_speed_of_the_model_here() -> None:
    loads = {ONE.id: LOAD, TWO.id: Workload(texts=100, characters=10_000 - 100 * CHARACTERS_PER_TEXT)}
    found = of(TWO, look(timing(seconds=5.0, encoded=10), workloads=loads), ONE)
    assert found.basis == "text statistics"
    assert found.seconds == pytest.approx(50.0)
    warm = of(TWO, look(timing(seconds=0.1, encoded=0), workloads=loads), ONE)
    assert warm.seconds == pytest.approx(10_000 * SECONDS_A_CHARACTER["cpu"])


def test_models_that_were_never_run_are_as_fast_as_the_others_here_or_the_default_of_the_device() -> None:
    new = make_case(name="Two", alias="new")
    loads = {ONE.id: LOAD, new.id: LOAD}
    assert of(new, look(timing(seconds=5.0), workloads=loads), ONE).seconds == pytest.approx(5.0)
    there = look(timing(seconds=5.0), workloads=loads, devices={"new": "cuda"})
    assert of(new, there, ONE).seconds == pytest.approx(1000 * SECONDS_A_CHARACTER["cuda"])


@pytest.mark.parametrize(("reads", "amount"), [("texts", 1000), ("pairs", 9000), ("both", 10_000)])
def test_rerankers_read_pairs_and_pipelines_both(reads: str, amount: int) -> None:
    found = of(ONE, look(workloads={ONE.id: LOAD}, reads={"minilm": reads}))
    assert found.seconds == pytest.approx(amount * SECONDS_A_CHARACTER["cpu"])


def test_nothing_known_is_the_mean_of_the_type_then_of_all_then_a_minute() -> None:
    strange = make_case("Retrieval", name="Strange")
    assert of(strange, look()) == Estimate(seconds=UNKNOWN_SECONDS, basis="unknown")
    assert of(strange, look(timing(seconds=5.0)), ONE).seconds == 5.0
    alike = make_case("Retrieval", name="Alike")
    assert of(strange, look(timing(seconds=5.0), timing("Alike", 9.0)), ONE, alike).seconds == 9.0


def test_cases_in_the_store_take_no_time() -> None:
    found = of(ONE, look(timing(seconds=10.0), cached_ids={ONE.id}))
    assert found == Estimate(seconds=0.0, basis="in the store")


def test_records_give_timings_without_the_loading_of_the_model() -> None:
    measured = make_row("One", score=0.5, seconds=12.0, phases={"model": 2.0, "encode": 10.0}, device="cuda:1", limit=5)
    later = make_row("Two", score=0.5, seconds=1.0, phases={"model": 0.0, "encode": 1.0}, device="cpu")
    broken = make_row("Three", error="no data", seconds=4.0, phases={"model": 4.0})
    runs = [make_run(measured, later, broken)]
    first, second = find_timings(runs)
    assert (first.task, first.seconds, first.device, first.limit) == ("One", 10.0, "cuda", 5)
    assert second.seconds == 1.0
    assert find_loading(runs) == {"minilm": 3.0}
    assert device_kind("mps") == "mps"


TIMINGS = st.builds(
    timing,
    st.sampled_from(["One", "Two", "Three"]),
    st.floats(0, 1e5),
    alias=st.sampled_from(["minilm", "a", "b"]),
    fingerprint=st.sampled_from([FINGERPRINT, OTHER_FINGERPRINT, None]),
    encoded=st.none() | st.integers(0, 100),
)


@given(st.lists(TIMINGS, max_size=20), st.permutations([ONE, TWO, make_case(name="Three"), make_case(name="Four")]))
def test_every_case_has_an_estimate_in_any_order(timings: list[Timing], cases: list[Case]) -> None:
    sight = look(*timings, workloads={ONE.id: LOAD, TWO.id: None})
    found = estimate(cases, sight)
    assert {case.id for case in cases} == set(found)
    assert all(0 <= one.seconds < 1e12 for one in found.values())
    assert found == estimate(sorted(cases, key=lambda case: case.id), sight)
