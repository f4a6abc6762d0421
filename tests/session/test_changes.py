from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import roc_auc_score

from touchstone.errors import TouchstoneError
from touchstone.records.samples import Samples
from touchstone.session.changes import find_changes, list_changed
from touchstone.task_types.classification import share_right
from touchstone.task_types.pair_classification import share_separated
from touchstone.task_types.sts import rank_agreement


def make_samples(type_name: str, metric: str, ids: list[str] | None = None, **columns: Any) -> Samples:
    n = len(next(iter(columns.values())))
    names = np.array(ids or [f"s{i:02}" for i in range(n)])
    return Samples(type=type_name, metric=metric, stratum=np.full(n, "test/default"), id=names, **columns)


def test_the_most_changed_come_first_with_their_values() -> None:
    reference = make_samples("Retrieval", "ndcg_at_10", value=np.array([1.0, 0.5, 0.2, 0.9, 0.4]))
    candidate = make_samples("Retrieval", "ndcg_at_10", value=np.array([0.8, 0.5, 1.0, 0.1, 0.5]))

    found = find_changes(candidate, reference)

    assert found is not None
    assert (found.measure, found.lost, found.gained) == ("ndcg_at_10", (3, 0), (2, 4))
    assert (found.before[3], found.after[3]) == (0.9, 0.1)


def test_no_more_than_five_of_each_are_chosen() -> None:
    before, after = np.zeros(20), np.concatenate([np.full(10, 0.5), np.full(10, -0.5)])

    found = find_changes(
        make_samples("Retrieval", "ndcg_at_10", value=after), make_samples("Retrieval", "ndcg_at_10", value=before)
    )

    assert found is not None
    assert (len(found.lost), len(found.gained)) == (5, 5)
    assert set(found.lost) <= set(range(10, 20))
    assert (found.losers, found.lost_alike, found.gainers, found.gained_alike) == (10, 10, 10, 10)


def make_strata(sizes: dict[str, int]) -> Samples:
    names = [name for name, size in sizes.items() for _ in range(size)]
    return Samples(
        type="Retrieval",
        metric="ndcg_at_10",
        stratum=np.array(names),
        id=np.array([f"s{i:02}" for i in range(len(names))]),
        value=np.zeros(len(names)),
    )


def test_of_samples_that_changed_alike_every_stratum_gives_some() -> None:
    reference = make_strata({"test/de": 10, "test/en": 10, "test/fr": 1})
    losses = np.full(21, -0.5)
    losses[[0, 1]] = -0.9

    found = find_changes(replace(reference, value=losses), reference)
    gained = find_changes(reference, replace(reference, value=losses))

    assert found is not None
    assert found.lost[:2] == (0, 1)
    assert found.lost[2:] == (10, 20, 11), "two of de lost more, so that it is not its turn"
    assert (found.losers, found.lost_alike, found.gainers, found.gained_alike) == (21, 21, 0, 0)
    assert gained is not None
    assert gained.gained == found.lost


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1, max_size=30), st.randoms())
def test_which_samples_are_chosen_does_not_depend_on_their_order(deltas: list[float], chosen: Any) -> None:
    reference = make_strata({"test/de": len(deltas) // 2, "test/en": len(deltas) - len(deltas) // 2})
    candidate = replace(reference, value=np.array(deltas))
    order = chosen.sample(range(len(deltas)), len(deltas))
    turned = [
        replace(one, stratum=one.stratum[order], id=one.id[order], value=one.value[order])  # type: ignore[index]
        for one in (candidate, reference)
    ]

    found, again = find_changes(candidate, reference), find_changes(*turned)

    assert found is not None
    assert again is not None
    assert [found.lost, found.gained] == [tuple(order[row] for row in rows) for rows in (again.lost, again.gained)]
    worst = sorted(deltas)[:5]
    assert sorted(deltas[row] for row in found.lost) == [delta for delta in worst if delta < 0]
    assert found.lost_alike == sum(delta <= deltas[found.lost[-1]] for delta in deltas) if found.lost else True


def test_other_samples_are_not_compared() -> None:
    one = make_samples("Retrieval", "ndcg_at_10", value=np.array([0.5]))

    assert find_changes(one, make_samples("Retrieval", "ndcg_at_10", ["other"], value=np.array([0.4]))) is None
    assert find_changes(one, one) is not None


def test_strata_that_did_not_run_do_not_disturb_and_the_reference_keeps_its_rankings() -> None:
    candidate = Samples(
        type="Retrieval", metric="ndcg_at_10", stratum=np.array(["test/de"]), id=np.array(["q"]),
        value=np.array([0.0]), top=[["b"]],
    )  # fmt: skip
    reference = Samples(
        type="Retrieval", metric="ndcg_at_10", stratum=np.array(["test/ar", "test/de"]), id=np.array(["q", "q"]),
        value=np.array([0.3, 1.0]), top=[["x"], ["a"]],
    )  # fmt: skip

    found = find_changes(candidate, reference)

    assert found is not None
    assert found.reference.top == [["a"]]
    assert found.before.tolist() == [1.0]


def test_samples_are_valued_within_their_own_stratum() -> None:
    strata = np.array(["test/a"] * 3 + ["test/b"] * 3)
    gold = np.array([1.0, 2.0, 3.0, 1.0, 2.0, 3.0])
    columns: dict[str, Any] = {"stratum": strata, "id": np.array(list("abcdef")), "gold": gold}
    alike = np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])[:, None]
    turned = np.array([0.1, 0.2, 0.3, 0.9, 0.8, 0.7])[:, None]

    found = find_changes(
        Samples(type="STS", metric="cosine_spearman", prediction=turned, **columns),
        Samples(type="STS", metric="cosine_spearman", prediction=alike, **columns),
    )

    assert found is not None
    assert found.before.tolist() == [1.0] * 6
    assert found.after.tolist() == [1.0, 1.0, 1.0, 0.0, 1.0, 0.0]
    assert set(found.lost) == {3, 5}


def test_a_score_without_values_of_its_samples_shows_none() -> None:
    one = make_samples("Clustering", "v_measure", gold=np.array([0, 1]), prediction=np.array([[0], [1]]))

    assert find_changes(one, one) is None


FLOATS = st.lists(st.integers(-5, 5), min_size=3, max_size=30)


@given(FLOATS, st.randoms())
def test_distances_of_ranks_are_what_the_correlation_falls_with(gold: list[int], chosen: Any) -> None:
    n = len(gold)
    prediction = [chosen.randint(-5, 5) for _ in gold]
    distances = (1 - rank_agreement(np.array(gold), np.array(prediction, dtype=float)[:, None])) * (n - 1)

    assert distances == pytest.approx(np.abs(rankdata(gold) - rankdata(prediction)), abs=1e-9)
    if len(set(gold)) == n == len(set(prediction)):
        expected = 1 - 6 * (distances**2).sum() / (n * (n**2 - 1))
        assert spearmanr(gold, prediction).statistic == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-5, 5)), min_size=2, max_size=30))
def test_what_pairs_are_told_apart_from_comes_to_the_area_under_the_curve(pairs: list[tuple[int, int]]) -> None:
    gold, similarity = (np.array(column) for column in zip(*pairs, strict=True))
    values = share_separated(gold, similarity[:, None].astype(float))

    assert ((values >= 0) & (values <= 1)).all()
    if 0 < gold.sum() < len(gold):
        area = roc_auc_score(gold, similarity)
        assert values[gold == 1].mean() == pytest.approx(area, abs=1e-12)
        assert values[gold == 0].mean() == pytest.approx(area, abs=1e-12)


def test_a_label_is_right_in_a_share_of_the_experiments() -> None:
    assert share_right(np.array([1, 0]), np.array([[1, 1, 0, 1], [1, 1, 1, 1]])).tolist() == [0.75, 0.0]


def test_all_that_changed_are_listed_the_most_changed_first() -> None:
    before, after = np.array([1.0, 0.5, 0.2, 0.9, 0.4]), np.array([0.8, 0.5, 1.0, 0.1, 0.5])
    found = list_changed(*(make_samples("Retrieval", "ndcg_at_10", value=value) for value in (after, before)))

    assert (found.measure, found.ids) == ("ndcg_at_10", ["s02", "s03", "s00", "s04"])
    assert (found.before, found.after) == ([0.2, 0.9, 1.0, 0.4], [1.0, 0.1, 0.8, 0.5])
    assert set(found.strata) == {"test/default"}


def test_other_samples_are_no_list() -> None:
    one, two = (make_samples("Retrieval", "ndcg_at_10", [name], value=np.array([0.4])) for name in "ab")

    with pytest.raises(TouchstoneError, match="are not those of its baseline"):
        list_changed(one, two)
