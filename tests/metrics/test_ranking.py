import time
from collections.abc import Callable
from typing import Any

import ir_measures
import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from touchstone.metrics.ranking import (
    Ranked,
    average_precision,
    hit_rate,
    ndcg,
    precision,
    rank,
    recall,
    reciprocal_rank,
)

Metric = Callable[[Ranked, int], Any]
METRICS: list[Metric] = [ndcg, average_precision, reciprocal_rank, recall, precision, hit_rate]
DEPTH = 10
TREC = {
    "ndcg_cut": ndcg,
    "map_cut": average_precision,
    "recall": recall,
    "P": precision,
    "success": hit_rate,
}
documents = st.text("abcé", min_size=1, max_size=2)
# Exact in float32, in which pytrec_eval keeps scores, and few: ties matter.
runs = st.dictionaries(st.sampled_from("xyz"), st.dictionaries(documents, st.integers(-3, 3).map(float)))
judged = st.dictionaries(st.sampled_from("xyz"), st.dictionaries(documents, st.integers(-1, 3), min_size=1), min_size=1)
ks = st.integers(1, DEPTH)
every_metric = pytest.mark.parametrize("metric", METRICS)


@every_metric
@given(runs, judged, ks)
def test_a_value_lies_between_0_and_1(metric: Metric, run: Any, qrels: Any, k: int) -> None:
    values = metric(rank(run, qrels, DEPTH), k)
    assert values.shape == (len(qrels),)
    assert values.dtype == np.float64
    assert ((values >= 0) & (values <= 1 + 1e-12)).all()


@pytest.mark.parametrize("metric", [ndcg, reciprocal_rank, hit_rate])
@given(judged, ks)
def test_the_ideal_order_has_the_value_1(metric: Metric, qrels: Any, k: int) -> None:
    values = metric(rank(qrels, qrels, DEPTH), k)
    assert values == pytest.approx([float(max(gains.values()) > 0) for gains in qrels.values()])


@given(judged)
def test_the_ideal_order_has_full_average_precision_where_all_relevant_fit(qrels: Any) -> None:
    ranked = rank(qrels, qrels, 30)
    assert average_precision(ranked, 30) == pytest.approx(hit_rate(ranked, 30))
    assert recall(ranked, 30) == pytest.approx(hit_rate(ranked, 30))


@given(runs, judged, st.integers(1, 4))
def test_the_order_in_which_documents_are_given_is_irrelevant(run: Any, qrels: Any, depth: int) -> None:
    turned = {query: dict(reversed(found.items())) for query, found in run.items()}
    one, other = rank(run, qrels, depth), rank(turned, qrels, depth)
    assert (one.gains == other.gains).all()
    assert (one.ideal == other.ideal).all()


@every_metric
@given(st.lists(st.integers(0, 3), min_size=DEPTH, max_size=DEPTH), st.integers(0, 9), st.integers(0, 9), ks)
def test_moving_the_better_document_up_never_lowers(metric: Metric, row: list[int], i: int, j: int, k: int) -> None:
    before = np.array([row], dtype=np.float64)
    after = before.copy()
    high, low = min(i, j), max(i, j)
    after[0, [high, low]] = sorted((row[high], row[low]), reverse=True)
    ideal = -np.sort(-before)
    assert metric(Ranked(after, ideal), k) >= metric(Ranked(before, ideal), k) - 1e-12


@pytest.mark.parametrize("metric", [recall, hit_rate, reciprocal_rank, average_precision])
@given(runs, judged, st.integers(1, DEPTH - 1))
def test_a_deeper_look_finds_no_less(metric: Metric, run: Any, qrels: Any, k: int) -> None:
    ranked = rank(run, qrels, DEPTH)
    assert (metric(ranked, k + 1) >= metric(ranked, k)).all()


@pytest.mark.parametrize("name", list(TREC))
@given(runs, judged, ks)
def test_values_equal_trec_eval(name: str, run: Any, qrels: Any, k: int) -> None:
    found = pytrec_eval.RelevanceEvaluator(qrels, {f"{name}.{k}"}).evaluate(run)
    expected = [found.get(query, {}).get(f"{name}_{k}", 0.0) for query in qrels]
    assert TREC[name](rank(run, qrels, DEPTH), k) == pytest.approx(expected)


@given(runs, judged)
def test_reciprocal_rank_equals_ir_measures(run: Any, qrels: Any) -> None:
    expected = {item.query_id: item.value for item in ir_measures.iter_calc([ir_measures.RR], qrels, run)}
    assert reciprocal_rank(rank(run, qrels, 30), 30) == pytest.approx([expected.get(query, 0.0) for query in qrels])


@given(runs, judged, ks)
def test_reciprocal_rank_beyond_k_is_0(run: Any, qrels: Any, k: int) -> None:
    ranked = rank(run, qrels, 30)
    uncut = reciprocal_rank(ranked, 30)
    assert reciprocal_rank(ranked, k) == pytest.approx(np.where(uncut >= 1 / k, uncut, 0))


@every_metric
@given(runs, judged, ks)
def test_a_missing_query_counts_0(metric: Metric, run: Any, qrels: Any, k: int) -> None:
    missing = {query: found for query, found in run.items() if query != "x"}
    values = dict(zip(qrels, metric(rank(missing, qrels, DEPTH), k), strict=True))
    assert values.get("x", 0) == 0
    whole = dict(zip(qrels, metric(rank(run, qrels, DEPTH), k), strict=True))
    assert all(values[query] == whole[query] for query in qrels if query != "x")


def test_queries_keep_the_order_of_the_judgements() -> None:
    qrels = {"b": {"d": 1}, "a": {"d": 1}}
    assert rank({"a": {"d": 1.0}, "b": {}, "c": {"d": 1.0}}, qrels, 1).gains.tolist() == [[0], [1]]


@every_metric
@pytest.mark.parametrize("k", [0, DEPTH + 1, -1])
def test_a_k_outside_the_ranking_is_refused(metric: Metric, k: int) -> None:
    with pytest.raises(ValueError, match=f"k is {k}, the ranking has 10 ranks"):
        metric(rank({}, {"x": {"d": 1}}, DEPTH), k)


def test_a_score_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="query x: a score is not a number"):
        rank({"x": {"d": float("nan")}}, {"x": {"d": 1}}, DEPTH)


def test_ndcg_of_10_000_queries_is_fast() -> None:
    gains = np.random.default_rng(0).integers(0, 3, (10_000, 1_000)).astype(np.float64)
    ranked = Ranked(gains, -np.sort(-gains[:, :50]))
    started = time.perf_counter()
    ndcg(ranked, 10)
    assert time.perf_counter() - started < 1
