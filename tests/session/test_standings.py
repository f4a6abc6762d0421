"""Several models in one table: the same tasks for all, and who cannot be told from whom."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.session.test_update import N, samples
from touchstone.records.baselines import Baseline
from touchstone.records.outcomes import Measurement
from touchstone.records.samples import Samples
from touchstone.session.compare import Measured, Side
from touchstone.session.standings import Standings, find_standings

STRATUM = "test/default"


def side(name: str, *cases: tuple[str, float], keep: bool = True, **changes: Any) -> Side:
    """Make a model with so many queries of each task right."""
    measured = {}
    for task, score in cases:
        defaults: dict[str, Any] = {"metric": "ndcg_at_10", "score": score, "subsets": {STRATUM: score}, "n": N}
        baseline = Baseline(measurement=Measurement(**defaults | changes), source="test")
        measured[task] = Measured(
            task=task, type="Retrieval", baseline=baseline, samples=samples(score) if keep else None
        )
    return Side(name=name, alias=name, model=name, revision=None, measured=measured)


def stand(*sides: Side, alpha: float = 0.05) -> Standings:
    found = find_standings(sides, alpha)
    assert found is not None
    return found


def test_the_best_comes_first_and_who_is_alike_is_named_on_both_sides() -> None:
    found = stand(side("base", ("a", 0.5)), side("close", ("a", 0.505)), side("far", ("a", 0.9)))
    assert [(row.name, row.score, row.tied) for row in found.rows] == [
        ("far", 0.9, ()), ("close", 0.505, ("base",)), ("base", 0.5, ("close",)),
    ]  # fmt: skip
    assert (found.pairs, found.tasks) == (3, ("a",))
    assert found.level == pytest.approx(0.05 / 3)


def test_the_level_is_shared_among_all_pairs() -> None:
    """What two models show alone, they need not show among many."""
    two = side("base", ("a", 0.5)), side("other", ("a", 0.5225))
    assert stand(*two).rows[0].tied == ()
    more = [side(f"m{number}", ("a", 0.1)) for number in range(12)]
    assert stand(*two, *more).rows[0].tied == ("base",)


def test_means_are_over_the_tasks_that_all_have_of_the_same_data() -> None:
    sides = [side("base", ("a", 0.5), ("b", 0.5), ("c", 0.5)), side("x", ("a", 0.6), ("b", 0.9)), side("y", ("a", 0.6))]
    assert stand(*sides).tasks == ("a",)
    assert [row.score for row in stand(*sides).rows] == [0.6, 0.6, 0.5]
    assert find_standings([sides[0], side("x", ("a", 0.6), metric="map_at_10")], 0.05) is None
    assert find_standings([sides[0], side("x", ("a", 0.6), subsets={"test/de": 0.6})], 0.05) is None
    known = [side(name, ("a", 0.5), data_sha256=content) for name, content in (("x", "0" * 64), ("y", "1" * 64))]
    assert find_standings(known, 0.05) is None
    assert find_standings([sides[0], known[0]], 0.05) is not None


def test_several_tasks_are_told_apart_by_their_mean() -> None:
    one, two = (side(name, *((task, score) for task in "abcd")) for name, score in (("x", 0.5), ("y", 0.515)))
    assert stand(one, two).rows[0].tied == ()
    assert stand(side("x", ("a", 0.5)), side("y", ("a", 0.515))).rows[0].tied == ("x",)


def test_without_samples_nobody_knows_who_is_alike() -> None:
    found = stand(side("x", ("a", 0.5), keep=False), side("y", ("a", 0.9), keep=False), side("z", ("a", 0.9)))
    assert {row.tied for row in found.rows} == {None}


def test_a_model_with_samples_among_others_without_is_not_called_alike_for_want_of_knowledge() -> None:
    found = stand(side("x", ("a", 0.1)), side("y", ("a", 0.9)), side("z", ("a", 0.5), keep=False))
    assert {row.name: row.tied for row in found.rows} == {"x": ("z",), "y": ("z",), "z": None}


def test_the_same_model_under_two_names_is_alike() -> None:
    assert stand(side("x", ("a", 0.5)), side("y", ("a", 0.5))).rows[0].tied == ("y",)


def test_two_equal_models_are_seldom_told_apart() -> None:
    """Where half of the queries changed at random, at most the level of all pairs of series finds a difference."""
    chance = np.random.default_rng(0)
    apart = 0
    for _ in range(200):
        base = side("x", ("a", 0.5))
        content = samples(0.5)
        assert content.value is not None
        value = np.where(chance.random(N) < 0.5, chance.random(N) < 0.5, content.value).astype(float)
        start = np.where(chance.random(N) < 0.5, chance.random(N) < 0.5, content.value).astype(float)
        sides = [
            _with(base, replace(content, value=start)),
            _with(replace(base, name="y"), replace(content, value=value)),
        ]
        apart += stand(*sides).rows[0].tied == ()
    assert apart <= 18, "5 % of 200, and three errors more"


def _with(one: Side, content: Samples) -> Side:
    return replace(one, measured={"a": replace(one.measured["a"], samples=content)})
