import math
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone.errors import BaselineError
from touchstone.importing.entries import find_published, find_score, gather_metrics, is_fraction, rename
from touchstone.records.cases import TaskInfo

METRICS = st.dictionaries(st.text(min_size=1, max_size=6), st.floats(-1, 1), max_size=5)


def task(main_score: str) -> TaskInfo:
    return TaskInfo(name="X", type="PairClassification", main_score=main_score)


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("cos_sim_spearman", "cosine_spearman"),
        ("cos_sim_ap", "cosine_ap"),
        ("dot_ap", "dot_ap"),
        ("max_ap", "max_ap"),
        ("ndcg_at_10", "ndcg_at_10"),
        ("v_measure", "v_measure"),
    ],
)
def test_old_names_become_todays(then: str, now: str) -> None:
    assert rename(then) == now
    assert rename(now) == now


@given(METRICS, st.randoms())
def test_the_order_of_metrics_does_not_matter(metrics: dict[str, float], random: Random) -> None:
    pairs = list(metrics.items())
    shuffled = random.sample(pairs, len(pairs))
    assert gather_metrics(pairs, "x") == gather_metrics(shuffled, "x")


def test_the_same_metric_under_both_names_is_one_or_a_contradiction() -> None:
    assert gather_metrics([("cos_sim_ap", 0.5), ("cosine_ap", 0.5)], "x") == {"cosine_ap": 0.5}
    assert len(gather_metrics([("ap", math.nan), ("ap", math.nan)], "x")) == 1
    with pytest.raises(BaselineError) as caught:
        gather_metrics([("cos_sim_ap", 0.5), ("cosine_ap", 0.25)], "f.json: here")
    assert str(caught.value) == "f.json: here: cosine_ap is 0.5 in one place and 0.25 in another"


@pytest.mark.parametrize("value", [70.0, -1.5, math.inf])
def test_what_is_no_fraction_is_refused_unless_it_is_none_by_nature(value: float) -> None:
    with pytest.raises(BaselineError, match=r"^f\.json: accuracy = .*; expected a fraction, -1 to 1$"):
        gather_metrics([("accuracy", value)], "f.json")
    for name in ("nAUC_map_max", "nauc_ndcg_at_10_std", "dot_accuracy_threshold"):
        assert not is_fraction(name)
        assert gather_metrics([(name, value)], "f.json") == {name: value}


@pytest.mark.parametrize(
    ("main", "metrics", "score"),
    [
        ("ndcg_at_10", {"ndcg_at_10": 0.5, "map_at_10": 0.4}, 0.5),
        ("ndcg_at_10", {"map_at_10": 0.4}, None),
        ("map_at_1000", {"map": 0.3}, 0.3),
        ("map_at_1000", {"map": 0.3, "map_at_1000": 0.31}, 0.31),
        ("max_over_subqueries_map_at_1000", {"map": 0.3, "map_at_1000": 0.2}, 0.3),
        ("map_at_10", {"map": 0.3}, None),
        ("max_ap", {"max_ap": 0.9, "cosine_ap": 0.8}, 0.9),
        ("max_ap", {"cosine_ap": 0.8, "dot_ap": 0.7, "euclidean_ap": 0.85, "manhattan_ap": 0.6}, 0.85),
        ("max_ap", {"cosine_ap": 0.8, "dot_ap": 0.7, "euclidean_ap": 0.85}, None),
        ("max_ap", {"cosine_ap": 0.8, "dot_ap": 0.7, "euclidean_ap": 0.85, "manhattan_ap": math.nan}, None),
        ("accuracy", {"main_score": 0.5}, None),
    ],
)
def test_the_score_is_todays_main_score(main: str, metrics: dict[str, float], score: float | None) -> None:
    type_name = "Reranking" if "map_at" in main else "PairClassification"
    assert find_score(replace(task(main), type=type_name), metrics) == score


@pytest.mark.parametrize(
    ("type_name", "main", "metrics", "kept"),
    [
        ("PairClassification", "max_ap", {"max_ap": 0.9, "cosine_ap": 0.8, "dot_ap": 0.7}, {"cosine_ap": 0.8}),
        ("PairClassification", "max_accuracy", {"max_accuracy": 0.9, "cosine_ap": 0.8}, {"cosine_ap": 0.8}),
        ("PairClassification", "max_ap", {"max_ap": 0.9, "cosine_ap": math.nan}, {}),
        ("Classification", "f1", {"f1": 0.9, "accuracy": 0.8}, {"accuracy": 0.8}),
        ("Classification", "accuracy", {"f1": 0.9, "accuracy": 0.8}, {}),
        ("Reranking", "map_at_1000", {"map": 0.9}, {}),
        ("Reranking", "max_over_subqueries_map_at_1000", {"map": 0.9}, {}),
        ("Reranking", "ndcg_at_10", {"ndcg_at_10": 0.9, "map": 0.8}, {"map_at_1000": 0.8}),
        ("InstructionRetrieval", "ndcg_at_20", {"ndcg_at_20": 0.9, "ndcg_at_10": 0.8}, {}),
    ],
)
def test_what_tables_average_beside_the_main_score_is_kept(
    type_name: str, main: str, metrics: dict[str, float], kept: dict[str, float]
) -> None:
    assert find_published(replace(task(main), type=type_name), metrics) == kept
