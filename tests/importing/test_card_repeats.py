from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone.errors import BaselineError
from touchstone.importing.cards import has_repeats, split_repeats

PARTS = ("BAlpha", "BBeta", "BGamma", "BZeta")
AGGREGATES = {"BRetrieval": PARTS}
POINTS = st.floats(0, 100)


def block(values: list[float], name: str = "ndcg_at_10") -> list[tuple[str, float]]:
    """Put the mean where the aggregate's name is among its parts."""
    return [(name, value) for value in [*values[:3], fmean(values), *values[3:]]]


@given(st.lists(POINTS, min_size=4, max_size=4), st.lists(POINTS, min_size=4, max_size=4))
def test_a_block_of_all_parts_and_their_mean_is_taken_apart(first: list[float], second: list[float]) -> None:
    found = split_repeats(block(first) + block(second, "map"), "BAlpha", AGGREGATES, "x")
    assert list(found) == sorted([*PARTS, "BRetrieval"])
    assert [dict(found[part]) for part in PARTS] == [
        {"ndcg_at_10": a, "map": b} for a, b in zip(first, second, strict=True)
    ]
    assert dict(found["BRetrieval"]) == {"ndcg_at_10": fmean(first), "map": fmean(second)}


@given(st.lists(POINTS, min_size=5, max_size=5))
def test_no_block_is_taken_apart_by_position_alone(values: list[float]) -> None:
    others = fmean(values[:3] + values[4:])
    metrics = [("ndcg_at_10", value) for value in values]
    if abs(values[3] - others) > 0.002:
        with pytest.raises(BaselineError, match=r'has the metric "ndcg_at_10" 5 times, and number 4 is .*'):
            split_repeats(metrics, "BAlpha", AGGREGATES, "x")


def test_one_metric_that_is_not_the_mean_spoils_the_block() -> None:
    spoilt = block([1.0, 2.0, 3.0, 4.0], "map")
    spoilt[3] = ("map", 2.51)
    with pytest.raises(BaselineError) as caught:
        split_repeats(block([1.0, 2.0, 3.0, 4.0]) + spoilt, "BAlpha", AGGREGATES, "c.md: block")
    assert str(caught.value) == (
        'c.md: block: has the metric "map" 5 times, and number 4 is 2.51, not the mean of the others, 2.5; '
        "expected it once, or BRetrieval between its parts"
    )


@pytest.mark.parametrize(
    ("metrics", "task"),
    [
        (block([1.0, 2.0, 3.0, 4.0]), "NFCorpus"),  # a task that is no part of anything
        (block([1.0, 2.0, 3.0, 4.0])[:4], "BAlpha"),  # one part is not there
        ([*block([1.0, 2.0, 3.0, 4.0]), ("ndcg_at_10", 5.0)], "BAlpha"),
        ([*block([1.0, 2.0, 3.0, 4.0]), ("map", 5.0)], "BAlpha"),  # another metric is there once
        ([("ndcg_at_10", 5.0), ("ndcg_at_10", 5.0)], "NFCorpus"),  # equal or not
    ],
)
def test_any_other_repeated_metric_is_refused_by_name(metrics: list[tuple[str, float]], task: str) -> None:
    with pytest.raises(BaselineError, match=r'^x: has the metric "ndcg_at_10" \d times; expected it once$'):
        split_repeats(metrics, task, AGGREGATES, "x")


def test_repeats_are_seen_by_name_not_by_value() -> None:
    assert has_repeats([("a", 1.0), ("a", 1.0)])
    assert not has_repeats([("a", 1.0), ("b", 1.0)])
