"""Every metric of what a search found is pytrec_eval's, to the last bit; what mteb computes itself is mteb's."""

import math
from typing import Any

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st
from mteb._evaluators.retrieval_metrics import confidence_scores, mrr

import touchstone.task_types.query_scores
from touchstone.records.rankings import Ranking
from touchstone.task_types.query_scores import all_metrics, confidences, judge

DEPTHS = (1, 3, 5, 20)
THEIRS = {"NDCG": "ndcg_cut", "MAP": "map_cut", "Recall": "recall", "P": "P", "HitRate": "success"}
NAMES = [f"d{number}" for number in range(12)] + ["q0", "q1", "q2"]
SCORES = st.integers(-3, 3).map(float) | st.floats(-2, 2, width=32)
# The same number in single precision, and not in double.
CLOSE = st.sampled_from([0.1, 0.1 + 1e-12, 0.1 + 2e-12])
Run = dict[str, dict[str, float]]
Gold = dict[str, dict[str, int]]


def runs(scores: st.SearchStrategy[float]) -> st.SearchStrategy[Run]:
    one = st.dictionaries(st.sampled_from(NAMES), scores, max_size=15)
    return st.fixed_dictionaries({f"q{number}": one for number in range(4)})


GOLD = st.fixed_dictionaries(
    {
        f"q{number}": st.dictionaries(st.sampled_from([*NAMES, "absent"]), st.integers(-1, 4), min_size=1)
        for number in range(4)
    }
)


def best_first(run: Run, dtype: Any = np.float64) -> Ranking:
    """Put what was found in the order that a search gives it."""
    names = sorted(NAMES)
    rows = [
        sorted(((score, names.index(name)) for name, score in documents.items()), reverse=True)
        for documents in run.values()
    ]
    return Ranking(
        task="Task",
        split="test",
        subset="default",
        queries=list(run),
        counts=np.array([len(row) for row in rows], dtype=np.int64),
        names=names,
        documents=np.array([number for row in rows for _, number in row], dtype=np.int32),
        scores=np.array([score for row in rows for score, _ in row], dtype=dtype),
    )


def values(run: Run, gold: Gold, *, itself: bool = True, dtype: Any = np.float64) -> dict[str, list[float]]:
    blocks = [all_metrics(one, DEPTHS) for one in judge(best_first(run, dtype), gold, max(DEPTHS), itself=itself)]
    return {name: [value for block in blocks for value in block[name].tolist()] for name in blocks[0]}


def theirs(run: Run, gold: Gold) -> dict[str, list[float]]:
    measures = {f"{name}.{','.join(map(str, DEPTHS))}" for name in THEIRS.values()}
    found = pytrec_eval.RelevanceEvaluator(gold, measures).evaluate(run)
    metrics = {
        f"{ours}@{depth}": [found[query][f"{name}_{depth}"] for query in run]
        for ours, name in THEIRS.items()
        for depth in DEPTHS
    }
    return metrics | mrr(gold, run, DEPTHS)


@given(run=runs(SCORES), gold=GOLD, dtype=st.sampled_from([np.float32, np.float64]))
def test_every_metric_is_pytrec_evals(run: Run, gold: Gold, dtype: Any) -> None:
    assert values(run, gold, dtype=dtype) == theirs(run, gold)


@given(run=runs(CLOSE), gold=GOLD)
def test_scores_that_only_double_precision_tells_apart(run: Run, gold: Gold) -> None:
    """pytrec_eval does not, mteb's own reciprocal rank does."""
    assert values(run, gold) == theirs(run, gold)


@given(run=runs(SCORES), gold=GOLD)
def test_a_document_called_like_the_query_can_be_left_out(run: Run, gold: Gold) -> None:
    others = {query: {name: s for name, s in documents.items() if name != query} for query, documents in run.items()}
    assert values(run, gold, itself=False) == theirs(others, gold)


@given(run=runs(SCORES))
def test_confidences_are_mtebs(run: Run) -> None:
    ranking = best_first(run)
    (judged,) = judge(ranking, {query: {"d0": 1} for query in run}, 5)
    ours = confidences(judged)
    for row, scores in enumerate(ranking.results().values()):
        expected = confidence_scores(list(scores.values()))
        assert {name: float(column[row]) for name, column in ours.items()} == expected


@given(run=runs(SCORES), gold=GOLD, at_once=st.integers(1, 4))
def test_how_many_queries_are_judged_at_once_changes_nothing(run: Run, gold: Gold, at_once: int) -> None:
    whole = values(run, gold)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(touchstone.task_types.query_scores, "QUERIES_AT_ONCE", at_once)
        assert values(run, gold) == whole


def test_a_perfect_ranking_counts_one() -> None:
    found = values({"q0": {"d1": 0.9, "d2": 0.5}}, {"q0": {"d1": 2, "d2": 1}})
    assert found["NDCG@3"] == found["MAP@3"] == found["MRR@1"] == [1.0]
    assert math.isclose(found["P@3"][0], 2 / 3)
