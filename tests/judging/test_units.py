"""Samples that share units: errors against brute force and statsmodels, and the sketches of what cases share."""

import base64
import hashlib
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from touchstone.judging.units import UNITS_PER_SAMPLE, correlations, find_groups, make_sketch
from touchstone.records.verdicts import SKETCH_HASHES, SKETCH_WIDTH

Names = list[list[str]]


def names(smallest: int, largest: int, of: str = "abcdefg") -> st.SearchStrategy[Names]:
    """Units of up to twelve samples, so few that most are shared."""
    return st.lists(
        st.lists(st.sampled_from(of), min_size=smallest, max_size=largest, unique=True), min_size=1, max_size=12
    )


def brute_force(units: Names, influences: Any) -> float:
    """Sum the products of all pairs of samples that have a unit in common."""
    return float(
        sum(
            influences[i] * influences[j]
            for i, one in enumerate(units)
            for j, two in enumerate(units)
            if i == j or set(one) & set(two)
        )
    )


def influences_of(n: int, seed: int) -> Any:
    return np.random.default_rng(seed).normal(0, 0.1, n)


seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(("smallest", "largest"), [(1, 1), (2, 2), (3, 3), (0, 3), (0, UNITS_PER_SAMPLE)])
@given(data=st.data(), seed=seeds)
def test_squared_error_is_that_of_all_pairs_that_share_a_unit(
    smallest: int, largest: int, data: st.DataObject, seed: int
) -> None:
    units = data.draw(names(smallest, largest))
    influences = influences_of(len(units), seed)
    groups, alone = find_groups(units, len(units)), float(influences @ influences)
    expected = brute_force(units, influences)
    found = groups.square(influences)
    assert found == pytest.approx(expected if groups.single is not None else max(expected, alone), abs=1e-12)


@given(st.lists(st.integers(0, 8), min_size=3, max_size=40), seeds)
def test_one_unit_each_is_the_cluster_robust_variance_of_statsmodels(clusters: list[int], seed: int) -> None:
    """Of a mean: statsmodels multiplies by G/(G - 1), the number of clusters, which the square itself does not."""
    import statsmodels.api as sm

    count = len(set(clusters))
    assume(count > 1)
    deltas = influences_of(len(clusters), seed)
    fitted = sm.OLS(deltas, np.ones(len(deltas))).fit(cov_type="cluster", cov_kwds={"groups": np.array(clusters)})
    found = find_groups([[f"c{one}"] for one in clusters], len(clusters))
    square = found.square((deltas - deltas.mean()) / len(deltas))
    assert square * count / (count - 1) == pytest.approx(fitted.bse[0] ** 2, rel=1e-9, abs=1e-18)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=25, unique=True), seeds)
def test_two_ways_of_clusters_are_the_sum_of_both_less_their_intersection(
    cells: list[tuple[int, int]], seed: int
) -> None:
    """Cameron, Gelbach and Miller (2011), where rows and columns are clusters and a cell is of one sample."""
    influences = influences_of(len(cells), seed)
    units = [[f"row {row}", f"column {column}"] for row, column in cells]
    by_way = [np.bincount([cell[way] for cell in cells], influences) for way in (0, 1)]
    expected = sum(float(sums @ sums) for sums in by_way) - float(influences @ influences)
    groups = find_groups(units, len(units))
    alone = float(influences @ influences)
    assert groups.square(influences) == pytest.approx(
        expected if groups.single is not None else max(expected, alone), abs=1e-12
    )


@given(names(1, 3), seeds)
def test_several_units_never_make_the_error_smaller_than_that_of_samples_on_their_own(units: Names, seed: int) -> None:
    influences = influences_of(len(units), seed)
    groups, alone = find_groups(units, len(units)), float(influences @ influences)
    if groups.single is None:
        assert groups.square(influences) >= alone - 1e-15
        assert groups.largest_square(influences) >= alone - 1e-15


@given(names(1, 3), seeds)
def test_the_bound_for_few_units_is_no_smaller_than_the_error_itself(units: Names, seed: int) -> None:
    influences = influences_of(len(units), seed)
    groups = find_groups(units, len(units))
    assert groups.largest_square(influences) >= groups.square(influences) - 1e-15


def test_the_bound_for_few_units_counts_a_sample_for_each_of_its_units() -> None:
    """By hand: the sums of a, b and c are 1 + 2, 1 + 0.5 and 2 + 4."""
    units = [["a", "b"], ["a", "c"], ["c"], ["b"]]
    influences = np.array([1.0, 2.0, 4.0, 0.5])
    assert find_groups(units, 4).largest_square(influences) == pytest.approx(3**2 + 1.5**2 + 6**2)


@given(names(1, 3), seeds, st.randoms(use_true_random=False))
def test_order_of_samples_and_of_their_units_does_not_matter(units: Names, seed: int, random: Any) -> None:
    influences = influences_of(len(units), seed)
    order = random.sample(range(len(units)), len(units))
    mixed = [random.sample(units[row], len(units[row])) for row in order]
    one, two = find_groups(units, len(units)), find_groups(mixed, len(units))
    assert two.square(influences[order]) == pytest.approx(one.square(influences), abs=1e-12)
    assert two.count == one.count


@given(names(1, 3))
def test_renaming_units_changes_nothing(units: Names) -> None:
    influences = influences_of(len(units), 0)
    renamed = [[chr(219 - ord(name)) for name in of_sample] for of_sample in units]
    one, two = find_groups(units, len(units)), find_groups(renamed, len(units))
    assert two.square(influences) == pytest.approx(one.square(influences), abs=1e-12)


def test_units_of_one_sample_only_are_left_out() -> None:
    """Each sample has a text of its own beside the paragraph that it shares, so that it has one unit that counts."""
    groups = find_groups([["p", "x"], ["p", "y"], ["z", "v"], ["w"], []], 5)
    assert groups.single is not None
    assert len(groups.members) == 1
    assert groups.count == 4
    assert groups.sums(np.array([1.0, 2.0, 4.0, 8.0, 16.0])).tolist() == [3.0, 4.0, 8.0, 16.0]


def test_a_unit_that_a_sample_has_twice_is_one() -> None:
    """A pair of twice the same text, which no other pair has, shares nothing."""
    groups = find_groups([["a", "a"], ["b"]], 2)
    assert (groups.count, groups.single is not None) == (2, True)
    twice = [["a", "a"], ["a", "b"], ["b"]]
    assert find_groups(twice, 3).square(np.ones(3)) == brute_force(twice, np.ones(3))


def test_a_hub_joins_all_samples() -> None:
    """All have one text in common: what they sum to is all that is known, which is nothing where it is 0."""
    influences = influences_of(50, 3)
    hub = find_groups([["hub"]] * 50, 50)
    assert hub.square(influences) == pytest.approx(influences.sum() ** 2)
    assert hub.count == 1
    paired = find_groups([["hub", f"t{number // 2}"] for number in range(50)], 50)
    assert paired.square(influences) == pytest.approx(max(influences.sum() ** 2, influences @ influences))
    assert paired.count == 26


def test_of_many_units_the_five_that_most_samples_have_count() -> None:
    units = [[f"u{number}" for number in range(7)], *([f"u{number}"] for number in range(7) for _ in range(number + 1))]
    influences = np.arange(1.0, len(units) + 1)
    kept = [[f"u{number}" for number in range(2, 7)], *units[1:]]
    groups = find_groups(units, len(units))
    assert len(groups.members) == UNITS_PER_SAMPLE == 5
    assert groups.square(influences) == pytest.approx(brute_force(kept, influences))


def test_of_units_that_as_many_samples_have_the_first_names_count() -> None:
    units = [list("gfedcba"), *([letter] for letter in "abcdefg")]
    influences = np.arange(1.0, 9.0)
    kept = [list("abcde"), *units[1:]]
    assert find_groups(units, 8).square(influences) == pytest.approx(brute_force(kept, influences))


@pytest.mark.parametrize("other", [[4096, 8000, 8001, 8002, 8003], [0, 8000, 8001, 8002, 8004]])
def test_sets_of_units_are_told_apart_however_many_there_are(other: list[int]) -> None:
    """Five of 8 192 units make 2⁶⁵ sets: 64 bits do not tell 0 from 4096 first, nor floats 8003 from 8004 last."""
    names = [f"{number:04}" for number in range(8192)]
    units = [[name] for name in names for _ in range(2)]
    units += [[names[number] for number in numbers] for numbers in ([0, 8000, 8001, 8002, 8003], other)]
    influences = np.zeros(len(units))
    influences[-2:] = 1.0, 2.0
    groups = find_groups(units, len(units))
    assert groups.count == 8192
    assert groups.square(influences) == (1 + 2) ** 2


def test_without_units_each_sample_is_its_own() -> None:
    influences = influences_of(20, 0)
    groups = find_groups(None, 20)
    assert groups.square(influences) == pytest.approx(influences @ influences)
    assert groups.largest_square(influences) == pytest.approx(influences @ influences)
    assert (groups.count, groups.count_in(np.arange(7))) == (20, 7)
    assert groups.sums(influences) == pytest.approx(influences)
    assert not groups.any_across([np.arange(7), np.arange(7, 20)])


@given(names(0, 3), st.integers(0, 12))
def test_units_of_some_samples_are_counted(units: Names, first: int) -> None:
    """A sample has the units that it shares, or itself; there are never more than samples."""
    rows = np.arange(min(first, len(units)))
    often = Counter(name for of_sample in units for name in of_sample)
    own = [{name for name in units[row] if often[name] > 1} or {f"#{row}"} for row in rows]
    expected = len(set().union(*own))
    groups = find_groups(units, len(units))
    assert groups.count_in(rows) == min(len(rows), expected)


@pytest.mark.parametrize("largest", [1, 2, 3])
@given(data=st.data(), first=st.integers(1, 11))
def test_strata_that_share_a_unit_are_known(largest: int, data: st.DataObject, first: int) -> None:
    units = data.draw(names(1, largest))
    parts = [rows for rows in np.split(np.arange(len(units)), [first]) if len(rows)]
    seen = [{name for row in rows for name in units[row]} for rows in parts]
    assert find_groups(units, len(units)).any_across(parts) == any(one & two for one, two in pairwise(seen))


# Sketches.


def sketch_of(units: Names, influences: Any) -> str | None:
    error = find_groups(units, len(units)).square(influences) ** 0.5
    return make_sketch(units, influences, error)


def test_a_sketch_is_short_and_the_same_every_time() -> None:
    for n in (1, 50, 30_000):
        units, influences = [[f"t{number}"] for number in range(n)], influences_of(n, 0)
        sketch = sketch_of(units, influences)
        assert sketch == sketch_of(units, influences)
        assert sketch is not None
        content = base64.b64decode(sketch)
        assert len(content) == 2 * SKETCH_WIDTH + 4 * min(n, SKETCH_HASHES)


@pytest.mark.parametrize("at_once", [7, 20_000])
def test_a_sketch_is_made_of_the_bits_of_hashes(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Its form is kept in records: each unit's sum of influences with the sign of each bit of its hash, 0 for plus."""
    monkeypatch.setattr("touchstone.judging.units.HASHES_AT_ONCE", at_once)
    units = [[f"t{number % 100}", f"s{number}"] for number in range(200)]
    influences = influences_of(200, 0)
    sums: Counter[str] = Counter()
    for of_sample, influence in zip(units, influences.tolist(), strict=True):
        sums.update(dict.fromkeys(of_sample, influence))
    digests = {name: hashlib.sha256(name.encode()).digest() for name in sums}
    bits = {
        name: [byte >> (7 - place) & 1 for byte in digest for place in range(8)] for name, digest in digests.items()
    }
    expected = [sum(sums[name] * (1 - 2 * bits[name][place]) for name in sums) / 0.5 for place in range(SKETCH_WIDTH)]
    content = base64.b64decode(make_sketch(units, influences, 0.5) or "")
    assert np.frombuffer(content[: 2 * SKETCH_WIDTH], "<f2") == pytest.approx(np.array(expected), abs=5e-3)
    smallest = sorted(int.from_bytes(digest[:4], "big") for digest in digests.values())[:SKETCH_HASHES]
    assert np.frombuffer(content[2 * SKETCH_WIDTH :], "<u4").tolist() == smallest


@pytest.mark.parametrize("error", [0.0, float("inf"), float("nan")])
def test_without_an_error_there_is_no_sketch(error: float) -> None:
    assert make_sketch([["a"]], np.array([0.1]), error) is None


@pytest.mark.parametrize("shared", [0, 30, 100, 300])
def test_cases_with_shared_units_have_their_correlation(shared: int) -> None:
    """Of 300 texts each, so many are in both: the exact correlation is the sum of the products of their influences."""
    one, two = influences_of(300, 10), influences_of(300, 11)
    two[:shared] = one[:shared] + 0.5 * two[:shared]
    first = [[f"t{number}"] for number in range(300)]
    second = [[f"t{number}" if number < shared else f"s{number}"] for number in range(300)]
    exact = one[:shared] @ two[:shared] / np.sqrt((one @ one) * (two @ two))
    found = correlations([sketch_of(first, one), sketch_of(second, two)])
    assert found[0, 1] == found[1, 0]
    assert found[0, 1] == pytest.approx(exact, abs=0.19 if shared else 0)  # three standard errors of 0.06
    assert np.diag(found).tolist() == [1, 1]


def test_sketches_estimate_correlations_without_bias() -> None:
    """Of a hundred pairs of cases the mean error is far below that of one, 0.06."""
    off = []
    for seed in range(100):
        one, two = influences_of(60, 2 * seed), influences_of(60, 2 * seed + 1) + influences_of(60, 2 * seed)
        units = [[f"{seed} {number}"] for number in range(60)]
        exact = one @ two / np.sqrt((one @ one) * (two @ two))
        off.append(correlations([sketch_of(units, one), sketch_of(units, two)])[0, 1] - exact)
    assert np.mean(off) == pytest.approx(0, abs=0.02)
    assert np.std(off) == pytest.approx(0.06, abs=0.03)


def test_cases_with_the_opposite_influences_are_correlated_negatively() -> None:
    units, influences = [[f"t{number}"] for number in range(100)], influences_of(100, 0)
    found = correlations([sketch_of(units, influences), sketch_of(units, -influences)])
    assert found[0, 1] == pytest.approx(-1, abs=0.19)
    assert found[0, 1] >= -1


def test_a_correlation_is_one_at_most() -> None:
    """A unit that counts ten times more than the error says is no correlation of ten."""
    sketch = make_sketch([["a"]], np.array([1.0]), 0.1)
    assert correlations([sketch, sketch])[0, 1] == 1


def test_cases_without_a_sketch_are_independent() -> None:
    sketch = sketch_of([["a"], ["b"]], np.array([1.0, -0.5]))
    found = correlations([sketch, None, sketch])
    assert found[0, 2] == pytest.approx(1, abs=0.19)
    assert found[:, 1].tolist() == found[1].tolist() == [0, 1, 0]
    assert correlations([]).shape == (0, 0)


def test_a_small_case_that_shares_all_its_units_with_a_large_one_is_seen() -> None:
    """Of the 128 smallest hashes of both together, those of the small one are too few to be missed or found by luck."""
    large = [[f"t{number}"] for number in range(1000)]
    small = large[:200]
    influences = influences_of(1000, 0)
    found = correlations([sketch_of(large, influences), sketch_of(small, influences[:200])])
    assert found[0, 1] == pytest.approx(np.sqrt((influences[:200] ** 2).sum() / (influences**2).sum()), abs=0.19)


def test_a_pair_of_the_same_text_twice_counts_it_once() -> None:
    assert make_sketch([["a", "a"], ["b"]], np.array([1.0, 2.0]), 1.0) == make_sketch(
        [["a"], ["b"]], np.array([1.0, 2.0]), 1.0
    )
