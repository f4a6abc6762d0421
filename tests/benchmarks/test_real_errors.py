"""Errors and random signs of real differences: the smallest task that is tried by hand, and samples made up."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.real_errors import (
    REFERENCE,
    VARIANTS,
    compare,
    find_components,
    find_samples,
    find_signed,
    flip,
    rates,
    tell_errors,
)
from touchstone.records.samples import Samples

ALPHA, ROUNDS = 0.05, 500


def by_chance(rounds: int) -> float:
    """Return three standard errors of a share of alpha counted in so many rounds."""
    return 3 * math.sqrt(ALPHA * (1 - ALPHA) / rounds)


def test_a_loss_is_seen_at_most_as_often_as_alpha_says(mirror: Path, tmp_path: Path) -> None:
    one, two = (find_samples("SIB200Classification", model, mirror, tmp_path) for model in (VARIANTS[0], REFERENCE))
    assert compare(one, two).changed >= 20, "identical sides would prove nothing"
    found = rates(one, two, np.arange(len(one)), ROUNDS)
    assert 0 < found["loss"] <= ALPHA + by_chance(ROUNDS)
    assert 0 < found["gain"] <= ALPHA + by_chance(ROUNDS)
    assert found["regressed"] <= found["loss"]
    again = find_samples("SIB200Classification", REFERENCE, tmp_path / "no mirror", tmp_path)
    np.testing.assert_array_equal(again.prediction, two.prediction)


def made_up(n: int, kind: str, **more: Any) -> tuple[Samples, Samples]:
    generator = np.random.default_rng(0)
    make = {"stratum": np.full(n, "t/d"), "id": np.array([f"{number:04}" for number in range(n)]), **more}
    if kind == "value":
        make |= {"type": "Retrieval", "metric": "ndcg_at_10"}
        return Samples(**make, value=generator.random(n)), Samples(**make, value=generator.random(n))
    make |= {"type": "Classification", "metric": "accuracy", "gold": np.ones(n, int)}
    one, two = (Samples(**make, prediction=generator.integers(0, 2, (n, 10))) for _ in range(2))
    return one, two


@pytest.mark.parametrize("kind", ["value", "prediction"])
def test_a_flip_changes_the_sign_of_the_difference_of_the_samples_chosen(kind: str) -> None:
    one, two = made_up(40, kind)
    swapped = np.arange(40) % 3 == 0
    new_one, new_two = flip(one, two, swapped)
    before, after = (getattr(a, kind) - getattr(b, kind) for a, b in ((one, two), (new_one, new_two)))
    np.testing.assert_array_equal(after[swapped], -before[swapped])
    np.testing.assert_array_equal(after[~swapped], before[~swapped])


@pytest.mark.parametrize("n", [25, 120])
def test_samples_that_only_differ_by_chance_are_called_worse_about_as_often_as_alpha_says(n: int) -> None:
    found = rates(*made_up(n, "value"), np.arange(n), 500)
    assert 0 < found["loss"] <= ALPHA + by_chance(500)
    assert 0 < found["gain"] <= ALPHA + by_chance(500)


def test_samples_are_in_one_group_where_a_chain_of_units_connects_them() -> None:
    groups = find_components([["a", "b"], ["b", "c"], ["d", "e"], ["c", "f"], ["g", "h"]])
    assert len(set(groups.tolist())) == 3
    assert groups[0] == groups[1] == groups[3]


@pytest.mark.parametrize(
    ("units", "by", "groups"),
    [
        (None, "sample", 100),
        ([[f"p{row // 2}"] for row in range(100)], "group", 50),
        ([["p0"] if row < 50 else [f"p{row}"] for row in range(100)], "sample, too connected", 100),
    ],
)
def test_signs_are_by_group_unless_one_holds_too_much(units: Any, by: str, groups: int) -> None:
    one, _ = made_up(100, "value", units=units)
    found, numbers = find_signed(one)
    assert (found, len(set(numbers.tolist()))) == (by, groups)


def test_errors_are_told_with_and_without_units() -> None:
    one, two = made_up(100, "value", units=[[f"p{row // 2}"] for row in range(100)])
    n, units, *_, iid, shared, ratio = tell_errors(one, two).split()
    assert (n, units) == ("100", "50")
    assert float(ratio) == pytest.approx(float(shared) / float(iid), abs=0.01)
