"""Speeds side by side: only of one machine, of the same cases, and of texts or of pairs."""

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone.records.lineups import average, line_up
from touchstone.records.outcomes import Speed

RATES = st.dictionaries(st.sampled_from("abcde"), st.floats(0.5, 1e5), min_size=1)


def speed(rate: float | None, machine: str = "here", **more: float | None) -> Speed:
    return Speed(machine=machine, texts_per_second=rate, **more)  # type: ignore[arg-type]


def test_a_mean_is_geometric_by_machine_and_of_what_is_known() -> None:
    found = average([speed(100, tokens_per_second=7), speed(400), None, speed(9, "there"), speed(None, query_p50=0.5)])
    assert found[0].machine == "here"
    assert found[0].texts_per_second == pytest.approx(200)
    assert (found[0].tokens_per_second, found[0].query_p50, found[0].query_p95) == (7, 0.5, None)
    assert [one.machine for one in found] == ["here", "there"]
    assert average([None]) == ()


@given(one=RATES, other=RATES)
def test_two_models_are_compared_over_the_cases_that_both_have(one: dict[str, float], other: dict[str, float]) -> None:
    found = line_up({name: {case: speed(rate) for case, rate in rates.items()} for name, rates in
                     (("one", one), ("other", other))})  # fmt: skip
    assert found is not None
    shared = one.keys() & other.keys()
    assert found.cases == len(shared)
    assert set(found.speeds) == ({"one", "other"} if shared else set())
    assert set(found.apart) == (set() if shared else {"one", "other"})
    for case in shared if len(shared) == 1 else ():
        assert found.speeds["one"].texts_per_second == pytest.approx(one[case])
        assert found.speeds["other"].texts_per_second == pytest.approx(other[case])


def test_a_ratio_is_the_mean_of_the_ratios_whatever_the_cases() -> None:
    found = line_up(
        {"one": {"short": speed(1000), "long": speed(10)}, "other": {"short": speed(2000), "long": speed(80)}}
    )
    assert found is not None
    ratio = (found.speeds["other"].texts_per_second or 0) / (found.speeds["one"].texts_per_second or 1)
    assert ratio == pytest.approx(sqrt(2 * 8))


@pytest.mark.parametrize(
    "stranger",
    [
        speed(500, "there"),
        speed(500, "here, 1 of 2 workers"),
        Speed(machine="here", unit="pair", texts_per_second=500),
    ],
)
def test_another_machine_or_unit_stands_apart(stranger: Speed) -> None:
    found = line_up(
        {"one": {"a": speed(100)}, "other": {"a": stranger}, "third": {"a": speed(200)}, "none": {"a": None}}
    )
    assert found is not None
    assert set(found.speeds) == {"one", "third"}
    assert found.apart == {"other": stranger}
    alone = line_up({"one": {"a": speed(100)}, "other": {"a": stranger}})
    assert alone is not None
    assert (set(alone.speeds), set(alone.apart)) == (set(), {"one", "other"})


def test_the_machine_is_the_one_that_most_models_have() -> None:
    one = {case: speed(100) for case in "abc"} | {"d": speed(50, "there")}
    found = line_up({"one": one, "other": {"d": speed(75, "there")}})
    assert found is not None
    assert found.speeds == {"one": speed(50, "there"), "other": speed(75, "there")}


def test_where_nothing_is_known_there_is_nothing_to_show() -> None:
    assert line_up({"one": {"a": None}, "other": {}}) is None
    assert line_up({"one": {"a": Speed(machine="here", query_p50=0.5)}}) is None
