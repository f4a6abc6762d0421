"""Vectors of the same texts by two models: against faiss and plain numpy, and what moved where that is known."""

import faiss
import numpy as np
import pytest
from scipy.stats import spearmanr

from touchstone.metrics import geometry

RNG = np.random.default_rng(4)
OLD = RNG.normal(size=(400, 24)).astype(np.float32)
SIZES = RNG.integers(10, 400, 400).tolist()
ROTATION = np.linalg.qr(RNG.normal(size=(24, 24)))[0].astype(np.float32)


def test_neighbours_are_those_of_an_exact_search_of_faiss() -> None:
    unit = (OLD / np.linalg.norm(OLD, axis=1, keepdims=True)).astype(np.float32)
    index = faiss.IndexFlatIP(24)
    index.add(unit)
    asked = np.arange(0, 400, 7)
    _, theirs = index.search(unit[asked], 11)
    ours = geometry.nearest(OLD, asked, 10)
    for row, found, near in zip(asked.tolist(), ours.tolist(), theirs.tolist(), strict=True):
        assert set(found) == set(near) - {row}


def test_cosines_and_distances_are_those_of_plain_numpy() -> None:
    new = OLD + RNG.normal(size=OLD.shape).astype(np.float32) * 0.1
    for row in range(0, 400, 40):
        a, b = OLD[row].astype(float), new[row].astype(float)
        assert geometry.cosines(OLD, new)[row] == pytest.approx(a @ b / np.sqrt(a @ a) / np.sqrt(b @ b), abs=1e-7)
        longer = max(np.sqrt(a @ a), np.sqrt(b @ b))
        assert geometry.distances(OLD, new)[row] == pytest.approx(np.linalg.norm(a - b) / longer, abs=1e-7)


def test_the_shape_of_vectors() -> None:
    vectors = np.concatenate([OLD, OLD[:3]])
    vectors[:, 5] = 2
    shape = geometry.describe_shape(vectors)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = unit.astype(float) @ unit.T
    assert shape.anisotropy == pytest.approx(pairs[~np.eye(403, dtype=bool)].mean(), abs=1e-9)
    assert (shape.dimensions, shape.collapsed, shape.duplicates) == (24, 1, 3)
    assert shape.norms[0] == pytest.approx(np.linalg.norm(vectors, axis=1).min())


def test_similarities_of_random_pairs_correlate_as_all_do() -> None:
    new = (OLD + RNG.normal(size=OLD.shape) * 0.5).astype(np.float32)
    upper = np.triu_indices(400, 1)
    sides = [(geometry.units(one) @ geometry.units(one).T)[upper] for one in (OLD, new)]
    ranks, apart = geometry.compare_pairs(OLD, new)
    assert ranks == pytest.approx(spearmanr(*sides).statistic, abs=0.03)
    assert apart == pytest.approx(np.quantile(np.abs(sides[0] - sides[1]), 0.99), abs=0.03)


def test_a_rotation_keeps_all_pairs_and_nothing_else_does() -> None:
    ranks, apart = geometry.compare_pairs(OLD, OLD @ ROTATION)
    assert ranks == pytest.approx(1, abs=1e-4)
    assert apart < 1e-5
    assert geometry.compare_pairs(OLD, OLD[:, :20])[1] > 0.1
    assert geometry.compare_pairs(OLD[:, :1] ** 2 + 1, OLD)[0] is None


def moved(rows: np.ndarray, by: float) -> np.ndarray:
    new = OLD.copy()
    new[rows] += RNG.normal(size=(len(rows), 24)).astype(np.float32) * by
    return new


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (OLD, "nothing moved but by rounding"),
        (OLD * np.float32(1 + 1e-6), "nothing moved but by rounding"),
        (moved(np.arange(400), 0.001), "all moved a little, by 1.0e-03"),
        (moved(np.arange(0, 400, 100), 1.0), "some texts moved a lot: 4 of 400, the others by rounding"),
        (moved(np.flatnonzero(np.array(SIZES) >= 300), 0.5), "only long texts moved: 108 of 400, nine in ten of 30"),
        (OLD @ ROTATION, "all moved, by 1."),
    ],
)
def test_what_moved_is_said(new: np.ndarray, said: str) -> None:
    assert geometry.tell_what_moved(geometry.distances(OLD, new), SIZES).startswith(said)
