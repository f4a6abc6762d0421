from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics.weighting import samples
from touchstone.metrics import Undefined
from touchstone.metrics.clustering import adjusted_mutual_information, completeness, homogeneity, v_measure

SKLEARN = {
    homogeneity: sklearn.metrics.homogeneity_score,
    completeness: sklearn.metrics.completeness_score,
    v_measure: sklearn.metrics.v_measure_score,
    adjusted_mutual_information: sklearn.metrics.adjusted_mutual_info_score,
}
names = st.integers(0, 4)
every_metric = pytest.mark.parametrize("metric", list(SKLEARN))


@every_metric
@given(samples(names, names))
def test_agreements_equal_scikit_learn(metric: Any, drawn: Any) -> None:
    assert metric(*drawn[0]) == pytest.approx(SKLEARN[metric](*drawn[0]), abs=1e-9)


@every_metric
def test_many_samples_equal_scikit_learn(metric: Any) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 40, 5_000)
    clusters = np.where(random.random(5_000) < 0.4, labels, random.integers(0, 60, 5_000))
    assert metric(labels, clusters) == pytest.approx(SKLEARN[metric](labels, clusters), abs=1e-9)
    assert metric(labels, np.arange(5_000)) == pytest.approx(SKLEARN[metric](labels, np.arange(5_000)), abs=1e-9)


@every_metric
@given(samples(names, names), st.permutations(["b", "a", "ü", "z", "c"]))
def test_renaming_changes_nothing(metric: Any, drawn: Any, renamed: list[str]) -> None:
    labels, clusters = drawn[0]
    expected = pytest.approx(metric(labels, clusters), abs=1e-12)
    assert metric(np.array(renamed)[labels], clusters) == expected
    assert metric(labels, np.array(renamed)[clusters]) == expected


@every_metric
@given(samples(names, names))
def test_the_order_of_samples_is_irrelevant(metric: Any, drawn: Any) -> None:
    labels, clusters = drawn[0]
    assert metric(labels[::-1], clusters[::-1]) == pytest.approx(metric(labels, clusters), abs=1e-12)


@every_metric
@given(samples(names))
def test_the_labels_themselves_are_perfect(metric: Any, drawn: Any) -> None:
    (labels,) = drawn[0]
    assert metric(labels, 7 - labels) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("metric", [v_measure, adjusted_mutual_information])
@given(samples(names, names))
def test_swapping_the_sides_changes_nothing(metric: Any, drawn: Any) -> None:
    labels, clusters = drawn[0]
    assert metric(clusters, labels) == pytest.approx(metric(labels, clusters), abs=1e-12)


@every_metric
@given(samples(names, names))
def test_no_agreement_is_above_1_and_shares_are_not_negative(metric: Any, drawn: Any) -> None:
    assert metric(*drawn[0]) <= 1
    assert metric is adjusted_mutual_information or metric(*drawn[0]) >= 0


@given(samples(names, names))
def test_splitting_a_cluster_never_lowers_homogeneity(drawn: Any) -> None:
    labels, clusters = drawn[0]
    split = clusters * 2 + np.arange(len(clusters)) % 2
    assert homogeneity(labels, split) >= homogeneity(labels, clusters) - 1e-12


@every_metric
def test_no_samples_are_undefined(metric: Any) -> None:
    with pytest.raises(Undefined, match="no samples"):
        metric([], [])


@every_metric
def test_columns_of_two_lengths_are_refused(metric: Any) -> None:
    with pytest.raises(ValueError, match="clusters"):
        metric([0, 1], [0])
