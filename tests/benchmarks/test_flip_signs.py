"""Real differences under random signs: the smallest of the tasks that are tried by hand, and samples made up for it."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.flip_signs import ROUNDS, flip, measure_both, verdicts
from touchstone.judging.pairing import Paired, pair
from touchstone.records.samples import Samples
from touchstone.store.folder import Store

ALPHA = 0.05


def by_chance(rounds: int) -> float:
    """Return three standard errors of a share of alpha counted in so many rounds."""
    return 3 * math.sqrt(ALPHA * (1 - ALPHA) / rounds)


@pytest.fixture(scope="module")
def sides(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Samples, Samples]:
    return measure_both("SIB200Classification", mirror, Store(tmp_path_factory.mktemp("store")))


@pytest.mark.parametrize("margin", [0.0, 0.01])
def test_regressed_at_most_as_often_as_alpha_says(sides: tuple[Samples, Samples], margin: float) -> None:
    paired = pair(*sides)
    assert isinstance(paired, Paired)
    assert paired.changed >= 20, "identical sides would prove nothing"
    rates = verdicts(*sides, ROUNDS, margin)
    assert 0 < rates["regressed"] <= ALPHA + by_chance(ROUNDS)
    assert 0 < rates["improved"] <= ALPHA + by_chance(ROUNDS)


def made_up(n: int, kind: str) -> tuple[Samples, Samples]:
    generator = np.random.default_rng(0)
    make: dict[str, Any] = {"stratum": np.full(n, "t/d"), "id": np.array([f"{number:04}" for number in range(n)])}
    if kind == "value":
        make |= {"type": "Retrieval", "metric": "ndcg_at_10"}
        return Samples(**make, value=generator.random(n)), Samples(**make, value=generator.random(n))
    make |= {"type": "Classification", "metric": "accuracy", "gold": np.ones(n, int)}
    return tuple(Samples(**make, prediction=generator.integers(0, 2, (n, 10))) for _ in range(2))  # type: ignore[return-value]


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
    rates = verdicts(*made_up(n, "value"), 500, margin=0.0)
    assert rates["regressed"] == pytest.approx(ALPHA, abs=by_chance(500))
    assert rates["improved"] == pytest.approx(ALPHA, abs=by_chance(500))
