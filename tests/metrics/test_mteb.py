"""Where the metrics agree with mteb's own, and where mteb's break a law today.

Each test under "broken" asserts today's wrong value: when one fails, mteb has changed, and its comment says what for.
"""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mteb._evaluators import retrieval_metrics
from mteb._evaluators.classification_metrics import hamming_score
from mteb.abstasks.classification import AbsTaskClassification
from mteb.abstasks.clustering import _evaluate_clustering_bootstrapped
from mteb.abstasks.pair_classification import AbsTaskPairClassification
from mteb.abstasks.text.bitext_mining import AbsTaskBitextMining

from tests.metrics.test_ranking import DEPTH, judged, ks, runs
from tests.metrics.weighting import samples
from touchstone.metrics import labels, pairs, ranking
from touchstone.task_types.bitext_mining import BITEXT_MINING

binary = st.integers(0, 1)
classes = st.integers(0, 3)
scores = st.integers(-2, 2).map(float)
RELEVANT = {"a": {"x": 1}, "b": {"y": 1}}


def best_accuracy(gold: Any, similarity: Any) -> float:
    task: Any = AbsTaskPairClassification
    return float(task._find_best_acc_and_threshold(None, list(similarity), np.asarray(gold), True)[0])


def best_f1(gold: Any, similarity: Any) -> float:
    task: Any = AbsTaskPairClassification
    return float(task._find_best_f1_and_threshold(None, list(similarity), np.asarray(gold), True)[0])


def classified(gold: Any, predicted: Any) -> Any:
    task: Any = AbsTaskClassification
    return task._calculate_scores(None, gold, predicted)


def retrieved(results: Any, qrels: Any, **options: Any) -> Any:
    return retrieval_metrics.calculate_retrieval_scores(results, qrels, [1], **options)


# Agreement.


@given(runs, judged, ks)
def test_reciprocal_rank_equals_mteb(run: Any, qrels: Any, k: int) -> None:
    found = {query: run.get(query, {}) for query in qrels}
    ranked = ranking.rank(run, qrels, DEPTH)
    assert ranking.reciprocal_rank(ranked, k) == pytest.approx(retrieval_metrics.mrr(qrels, found, [k])[f"MRR@{k}"])


@given(samples(binary, scores))
def test_best_accuracy_equals_mteb(drawn: Any) -> None:
    assert pairs.best_accuracy(*drawn[0]) == pytest.approx(best_accuracy(*drawn[0]))


@pytest.mark.filterwarnings("ignore")
@given(samples(classes, classes))
def test_class_metrics_equal_mteb(drawn: Any) -> None:
    gold, predicted = drawn[0]
    expected = classified(gold * 2 + 3, predicted * 2 + 3) if len(set(gold)) != 2 else None
    if expected is not None:
        assert labels.accuracy(gold, predicted) == pytest.approx(expected["accuracy"])
        assert labels.f1(gold, predicted, average="macro") == pytest.approx(expected["f1"])
        assert labels.f1(gold, predicted, average="weighted") == pytest.approx(expected["f1_weighted"])


@given(st.lists(st.integers(0, 6), min_size=1, max_size=7))
def test_matched_sentences_equal_mteb(predicted: list[int]) -> None:
    task: Any = AbsTaskBitextMining
    gold = [(i, i) for i in range(len(predicted))]
    expected = task._compute_metrics(None, [{"corpus_id": i} for i in predicted], gold)
    assert BITEXT_MINING.formulas["f1"](range(len(predicted)), predicted) == pytest.approx(expected["f1"])


@given(samples(scores, st.integers(0, 4).map(lambda n: n / 4)))
def test_nauc_does_not_depend_on_the_order_of_queries(drawn: Any) -> None:
    confidence, values = drawn[0]
    if len(set(values)) > 1:
        one, other = retrieval_metrics.nauc(confidence, values), retrieval_metrics.nauc(confidence[::-1], values[::-1])
        assert one == pytest.approx(other)
        assert one <= 1 + 1e-9


@given(st.lists(scores))
def test_confidence_does_not_depend_on_the_order_of_documents(similarity: list[float]) -> None:
    one = retrieval_metrics.confidence_scores(similarity)
    assert one == pytest.approx(retrieval_metrics.confidence_scores(similarity[::-1]))


@given(st.integers(1, 9), st.integers(1, 9))
def test_swapping_the_runs_turns_the_sign_of_pmrr(one: int, other: int) -> None:
    def run(rank: int) -> dict[str, float]:
        return {("target" if place == rank else str(place)): -float(place) for place in range(1, 10)}

    changed = {"q": ["target"]}
    there = retrieval_metrics.calculate_pmrr({"q-og": run(one)}, {"q-changed": run(other)}, changed)
    back = retrieval_metrics.calculate_pmrr({"q-og": run(other)}, {"q-changed": run(one)}, changed)
    assert there == pytest.approx(-back)
    assert -1 < there < 1


# Broken.


def test_broken_top_k_accuracy_forgets_the_misses() -> None:
    # One query of two is right: the values are [1.0], whose mean is 1, not 0.5.
    found = {"a": {"x": 1.0}, "b": {"x": 1.0}}
    assert retrieval_metrics.top_k_accuracy(RELEVANT, found, [1])["Accuracy@1"] == [1.0]
    # No query is right: there is no value at all, not 0.
    assert not retrieval_metrics.top_k_accuracy(RELEVANT, {"b": {"x": 1.0}}, [1])


def test_broken_a_missing_query_is_left_out_of_the_mean() -> None:
    # "b" has no result; the mean over the two judged queries is 0.5.
    assert retrieved({"a": {"x": 1.0}}, RELEVANT).ndcg == {"NDCG@1": 1.0}
    assert ranking.ndcg(ranking.rank({"a": {"x": 1.0}}, RELEVANT, 1), 1).mean() == 0.5


def test_broken_an_unjudged_query_is_ignored_by_ndcg_and_fails_in_mrr() -> None:
    with pytest.raises(KeyError):
        retrieved({"a": {"x": 1.0}, "unjudged": {"x": 1.0}}, {"a": {"x": 1}})


def test_broken_recall_cap_of_a_query_without_relevant_documents_is_none() -> None:
    # Every other metric says 0 there; a mean over the list fails.
    assert retrieval_metrics.recall_cap({"a": {"x": 0}}, {"a": {"x": 1.0}}, [1])["R_cap_at_1"] == [None]


def test_broken_hole_of_a_query_depends_on_the_judgements_of_others() -> None:
    # "y" is not judged for "a", but counts as judged as soon as another query judges it.
    found = {"a": {"x": 1.0, "y": 0.5}}
    assert retrieval_metrics.hole({"a": {"x": 1}}, found, [2])["Hole_at_2"] == [0.5]
    assert retrieval_metrics.hole(RELEVANT, found, [2])["Hole_at_2"] == [0.0]


def test_broken_skipping_the_first_result_depends_on_the_order_of_tied_documents() -> None:
    # The tie is broken by id everywhere else; here the first inserted is dropped.
    one = retrieved({"q": {"a": 1.0, "b": 1.0}}, {"q": {"a": 1}}, skip_first_result=True)
    other = retrieved({"q": {"b": 1.0, "a": 1.0}}, {"q": {"a": 1}}, skip_first_result=True)
    assert (one.ndcg["NDCG@1"], other.ndcg["NDCG@1"]) == (0.0, 1.0)


@pytest.mark.parametrize(("constant", "queries", "value"), [(0.9, 7, 2.0), (0.9, 2, 1.0), (0.7, 3, -1.0)])
def test_broken_nauc_of_a_constant_metric_is_rounding_noise(constant: float, queries: int, value: float) -> None:
    # 0/0: `or_auc == flat_auc` misses it by rounding, and the ratio of two rounding errors exceeds the bound 1.
    noise = retrieval_metrics.nauc(np.arange(queries, dtype=float), np.full(queries, constant))
    assert noise == pytest.approx(value)


def test_broken_nauc_of_one_query_is_not_a_number() -> None:
    assert np.isnan(retrieval_metrics.nauc(np.array([1.0]), np.array([0.5])))


def test_broken_a_query_without_documents_is_more_confident_than_one_with_dissimilar_documents() -> None:
    nothing, dissimilar = retrieval_metrics.confidence_scores([]), retrieval_metrics.confidence_scores([-0.5])
    assert (nothing["max"], dissimilar["max"]) == (0.0, -0.5)


def test_broken_paired_accuracy_fails_on_an_underscore_in_the_query_id() -> None:
    right = {"recall_1": 1.0}
    renamed = [{f"{name}_q1": right, f"{name}_q2": right} for name in ("a-b", "a_b")]
    assert retrieval_metrics.paired_accuracy(renamed[0], {}, renamed[0]) == 1  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="a_q1"):
        retrieval_metrics.paired_accuracy(renamed[1], {}, renamed[1])  # type: ignore[arg-type]


def test_broken_robustness_depends_on_underscores_in_query_ids() -> None:
    # Two queries with one instruction each: renaming merges them into one query with two.
    values = []
    for name in ("a-{}_i", "a_{}_i"):
        found = {name.format(1): {"ndcg_cut_10": 1.0}, name.format(2): {"ndcg_cut_10": 0.0}}
        values.append(retrieval_metrics.robustness_at_10(found, {}, found))  # type: ignore[arg-type]
    assert values == [0.5, 0.0]


def test_broken_max_over_subqueries_merges_queries_without_an_underscore() -> None:
    values = []
    for first, second in (("a_1", "b_1"), ("a", "b")):
        qrels, found = {first: {"x": 1}, second: {"y": 1}}, {first: {"x": 1.0}, second: {"x": 1.0}}
        values.append(retrieval_metrics.max_over_subqueries(qrels, found, [1])["max_over_subqueries_ndcg_at_1"])
    assert values == [0.5, 0.0]


def test_broken_pmrr_of_a_document_in_neither_run_depends_on_their_lengths() -> None:
    # The document is as absent before as after, so nothing has changed: 0.
    longer = {"a": 1.0, "b": 0.5, "c": 0.1}
    absent = {"q": ["absent"]}
    assert retrieval_metrics.calculate_pmrr({"q-og": {"a": 1.0}}, {"q-changed": longer}, absent) == 0.5


def test_broken_pmrr_without_a_common_query_fails_in_pandas() -> None:
    with pytest.raises(ValueError, match="DataFrame without columns"):
        retrieval_metrics.calculate_pmrr({}, {}, {"q": ["a"]})


def test_broken_best_accuracy_is_below_the_share_of_the_majority() -> None:
    # A threshold below all scores is right for 2 of 3 pairs, and for all pairs below: it is not tried.
    assert best_accuracy([0, 1, 1], [0.9, 0.5, 0.1]) == pytest.approx(1 / 3)
    assert best_accuracy([1, 1], [0.5, 0.5]) == 0
    assert best_f1([1, 1], [0.5, 0.5]) == 0
    # The only positive ranks last: F1 of "all are positive" is 2/3.
    assert best_f1([0, 1], [0.9, 0.5]) == 0


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_broken_best_f1_exceeds_1_with_labels_of_minus_1_and_1() -> None:
    # The metric does not check that the labels are 0 and 1; a separated input has accuracy 1 and F1 1.
    assert best_f1([1, -1, -1], [0.9, 0.5, 0.1]) == 2
    assert best_accuracy([1, -1, -1], [0.9, 0.5, 0.1]) == pytest.approx(1 / 3)


@pytest.mark.parametrize(("names", "value"), [((0, 1), 1 / 2), ((1, 0), 11 / 12), ((1, 2), 2 / 3)])
def test_broken_average_precision_of_classes_depends_on_their_names(names: tuple[int, int], value: float) -> None:
    # It takes the predicted class for a score, and whichever class is called 1 for the positive.
    gold, predicted = np.array(names)[[0, 0, 0, 1]], np.array(names)[[0, 1, 0, 1]]
    assert classified(gold, predicted)["ap"] == pytest.approx(value)


@pytest.mark.parametrize("names", [(3, 4), ("a", "b")])
def test_broken_two_classes_not_named_1_fail(names: Any) -> None:
    with pytest.raises(ValueError, match="pos_label=1 is not a valid label"):
        classified(np.array(names)[[0, 0, 1]], np.array(names)[[0, 1, 1]])


@pytest.mark.filterwarnings("ignore:invalid value encountered in divide")
def test_broken_hamming_score_is_the_jaccard_index() -> None:
    # "The fraction of labels that are correctly predicted" is 1/2 both times, and turning all labels keeps it.
    assert hamming_score(np.array([[1, 0]]), np.array([[0, 0]])) == 0
    assert hamming_score(np.array([[0, 1]]), np.array([[1, 1]])) == 0.5


def test_broken_hamming_score_warns_where_a_sample_has_no_labels() -> None:
    with pytest.warns(RuntimeWarning, match="invalid value"):
        assert hamming_score(np.array([[0]]), np.array([[0]])) == 1


def test_broken_a_missing_level_is_a_label_where_labels_are_strings() -> None:
    # The placeholder -1 becomes "-1" beside strings, and is no longer left out: renaming labels changes the score.
    points = np.array([[0.0, 0], [0, 1], [9, 9], [9, 8]])
    scores = []
    for hierarchy in ([[0, 0], [0, 1], [1], [1]], [["0", "0"], ["0", "1"], ["1"], ["1"]]):
        options = {"n_clusters": 1, "cluster_size": 40, "kmean_batch_size": 512, "max_depth": None, "seed": 0}
        evaluate: Any = _evaluate_clustering_bootstrapped
        found, assigned = evaluate(points, hierarchy, rng_state=random.Random(0), **options)
        scores.append((found["v_measure"]["Level 1"][0], len(set(assigned["Level 1"][0]))))
    assert scores[0] == (1.0, 2)
    assert scores[1][0] < 0.8
    assert scores[1][1] == 3
