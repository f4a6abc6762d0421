"""Averages over baselines: what counts, what is missing, and which metric."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import MODEL, make_baseline, make_row, make_run
from touchstone.commands.baselines import tasks_to_average
from touchstone.errors import ConfigError
from touchstone.records.baselines import Baseline, Reference
from touchstone.records.cases import TaskInfo
from touchstone.records.outcomes import Settings, Speed
from touchstone.records.runs import Record
from touchstone.report.leaderboard import (
    Average,
    Board,
    Metrics,
    average_alike,
    find_costs,
    shorten_names,
    side_by_side,
)

STS = TaskInfo(name="STSBenchmark", type="STS", main_score="cosine_spearman")
PAIRS = TaskInfo(name="TwitterURLCorpus", type="PairClassification", main_score="max_ap")
MULTILINGUAL = TaskInfo(
    name="STS17", type="STS", main_score="cosine_spearman", subsets=("en-en",), splits=("test",)
)  # fmt: skip
SPEED = Speed(machine="m", texts_per_second=10.0)
WHOLE = replace(MULTILINGUAL, splits=())


def average(known: Mapping[str, Reference], tasks: Sequence[TaskInfo], metrics: Metrics) -> Average:
    """Of one model."""
    return average_alike({"a": known}, tasks, metrics)[0]["a"]


def entries(tasks: Mapping[str, Baseline]) -> dict[str, Reference]:
    return {
        name: Reference(alias="a", model=MODEL, revision=None, baseline=baseline) for name, baseline in tasks.items()
    }


def test_only_the_strata_of_the_benchmarks_task_count() -> None:
    known = entries({"STS17": make_baseline({"test/en-en": 0.9, "test/ko-ko": 0.1})})
    assert average(known, [MULTILINGUAL], "main").average == 0.9
    assert average(known, [WHOLE], "main").average == 0.5


def test_a_task_that_lacks_a_stratum_is_missing_and_counts_nowhere() -> None:
    known = entries({"STS17": make_baseline({"test/ko-ko": 0.1}), "STSBenchmark": make_baseline(0.8)})
    found = average(known, [MULTILINGUAL, STS, PAIRS], "main")
    assert found.missing == ("STS17", "TwitterURLCorpus")
    assert (found.tasks, found.average, found.by_type) == (1, 0.8, {"STS": 0.8})


def test_published_takes_the_cosines_average_precision_and_main_the_best_of_all() -> None:
    entry = make_baseline(0.9, metric="max_ap", metrics={"cosine_ap": {"test/default": 0.7}})
    known = entries({"TwitterURLCorpus": entry, "STSBenchmark": make_baseline(0.8)})
    assert average(known, [PAIRS, STS], "published").by_type == {"PairClassification": 0.7, "STS": 0.8}
    assert average(known, [PAIRS, STS], "main").by_type == {"PairClassification": 0.9, "STS": 0.8}


def test_published_takes_a_main_score_that_is_no_best_of_all_as_it_is() -> None:
    metric = "max_over_subqueries_map_at_1000"
    mind = TaskInfo(name="MindSmallReranking", type="Reranking", main_score=metric)
    known = entries({"MindSmallReranking": make_baseline(0.3, metric=metric)})
    assert average(known, [mind], "published").by_type == {"Reranking": 0.3}


def test_published_never_falls_back_to_another_metric() -> None:
    known = entries({"TwitterURLCorpus": make_baseline(0.9, metric="max_ap")})
    assert average(known, [PAIRS], "published").missing == ("TwitterURLCorpus",)


def test_an_entry_by_another_metric_than_the_tasks_main_score_is_missing() -> None:
    known = entries({"STSBenchmark": make_baseline(0.8, metric="cosine_pearson")})
    assert average(known, [STS], "main").missing == ("STSBenchmark",)


@given(st.lists(st.tuples(st.sampled_from(["STS", "Retrieval", "Clustering"]), st.floats(0, 1)), min_size=1))
def test_the_average_is_over_tasks_and_not_over_types(scores: list[tuple[str, float]]) -> None:
    tasks = [TaskInfo(name=f"T{i}", type=kind, main_score="m") for i, (kind, _) in enumerate(scores)]
    known = entries({f"T{i}": make_baseline(score, metric="m") for i, (_, score) in enumerate(scores)})
    found = average(known, tasks, "main")
    assert found.average == pytest.approx(sum(score for _, score in scores) / len(scores))
    weighted = sum(mean * sum(kind == name for kind, _ in scores) for name, mean in found.by_type.items())
    assert found.average == pytest.approx(weighted / len(scores))
    assert average(known, tasks[::-1], "main").average == pytest.approx(found.average)


def test_nothing_to_average_is_no_number() -> None:
    assert average({}, [STS], "main").average is None


def test_without_a_benchmark_sub_forums_count_once() -> None:
    baseline = make_baseline(0.4, metric="ndcg_at_10")
    names = ["CQADupstackRetrieval", "CQADupstackAndroidRetrieval", "CQADupstackWordpressRetrieval", "NFCorpus"]
    tasks = tasks_to_average(entries(dict.fromkeys(names, baseline)), None)
    assert [task.name for task in tasks] == ["CQADupstackRetrieval", "NFCorpus"]
    assert {task.type for task in tasks} == {"Retrieval"}
    alone = tasks_to_average(entries(dict.fromkeys(names[1:], baseline)), None)
    assert [task.name for task in alone] == names[1:]


def test_a_limited_entry_is_no_score_of_the_task() -> None:
    assert tasks_to_average(entries({"NFCorpus?limit=100": make_baseline(0.4)}), None) == ()


def test_a_benchmark_has_its_own_tasks_subsets_and_splits() -> None:
    tasks = {task.name: task for task in tasks_to_average({}, "MTEB(eng, v1)")}
    assert len(tasks) == 56
    assert tasks["STS17"].strata == ("test/en-en",)
    assert "CQADupstackRetrieval" in tasks
    assert "CQADupstackAndroidRetrieval" not in tasks


def test_an_unknown_benchmark_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r'^--benchmark: .*"MTEB\(eng, v7\)" is not a benchmark.*did you mean'):
        tasks_to_average({}, "MTEB(eng, v7)")


def scored(task: str, *, score: float, **changes: Any) -> Record:
    return make_row(task, score=score, subsets={"test/default": score}, **changes)


def board(*rows: Record) -> Board:
    found = side_by_side(make_run(*rows))
    assert found is not None
    return found


def test_models_are_side_by_side_with_means_over_what_all_have() -> None:
    found = board(
        scored("STS13", score=0.8),
        scored("STS16", score=0.6),
        scored("NFCorpus", type="Retrieval", score=0.3),
        scored("STS13", alias="jina", score=0.9),
        scored("NFCorpus", alias="jina", type="Retrieval", score=0.5),
    )

    assert found.models == ("jina", "minilm")
    assert list(found.scores) == ["NFCorpus", "STS13", "STS16"]
    assert found.scores["STS16"] == {"minilm": 0.6}
    assert found.shared == 2
    assert found.means["minilm"].average == pytest.approx((0.8 + 0.3) / 2)
    assert found.means["jina"].by_types == pytest.approx((0.9 + 0.5) / 2)
    assert found.means["minilm"].by_type == {"Retrieval": 0.3, "STS": 0.8}
    assert (found.means["jina"].missing, found.means["minilm"].missing) == (("STS16",), ())


def test_a_mean_over_types_weighs_each_type_alike() -> None:
    rows = [scored(f"STS1{i}", alias=alias, score=0.9) for i in range(3) for alias in ("a", "b")]
    rows += [scored("NFCorpus", type="Retrieval", alias=alias, score=0.3) for alias in ("a", "b")]
    means = board(*rows).means["a"]

    assert means.average == pytest.approx((3 * 0.9 + 0.3) / 4)
    assert means.by_types == pytest.approx((0.9 + 0.3) / 2)


def test_a_task_that_averages_others_counts_instead_of_them() -> None:
    names = {"CQADupstackRetrieval": 0.4, "CQADupstackTexRetrieval": 0.9, "NFCorpus": 0.3}
    rows = [scored(n, type="Retrieval", alias=a, score=score) for n, score in names.items() for a in ("a", "b")]

    assert board(*rows).means["a"].average == pytest.approx((0.4 + 0.3) / 2)
    assert board(*rows).shared == 2


def test_models_without_a_common_task_have_no_mean_and_one_model_no_board() -> None:
    found = board(scored("STS13", score=0.8), scored("STS16", alias="jina", score=0.7))

    assert (found.shared, found.means["jina"].average, found.means["jina"].by_types) == (0, None, None)
    unmeasured = make_row("STS13", alias="jina", outcome="error", error="boom")
    assert side_by_side(make_run(scored("STS13", score=0.8), unmeasured)) is None


def test_another_limit_is_another_task() -> None:
    found = board(scored("STS13", score=0.8, limit=5), scored("STS13", alias="jina", score=0.7))

    assert set(found.scores) == {"STS13", "STS13?limit=5"}
    assert found.shared == 0


def test_models_are_put_in_order_by_the_tasks_and_subsets_that_all_have() -> None:
    one = entries({"STSBenchmark": make_baseline(0.8), "STS17": make_baseline({"test/en-en": 0.9, "test/ko-ko": 0.1})})
    two = entries({"STSBenchmark": make_baseline(0.7), "STS17": make_baseline({"test/en-en": 0.8})})
    both, tasks = {"a": one, "b": two}, [replace(STS, splits=()), WHOLE, PAIRS]
    means, others = average_alike(both, tasks, "main")
    assert ([found.average for found in means.values()], others) == ([0.8, 0.7], ["STS17"])
    assert means["a"].missing == means["b"].missing == ("TwitterURLCorpus",)
    means, others = average_alike(both, [STS, MULTILINGUAL, PAIRS], "main")
    assert [found.average for found in means.values()] == [pytest.approx(0.85), pytest.approx(0.75)]
    assert others == []
    means, others = average_alike({"a": one, "b": {}}, tasks, "main")
    assert ([found.tasks for found in means.values()], others) == ([0, 0], [])
    assert means["b"].missing == ("STSBenchmark", "STS17", "TwitterURLCorpus")


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1), min_size=1), min_size=2, max_size=4))
def test_a_model_that_is_better_in_every_shared_task_is_better_on_average(scores: list[dict[str, float]]) -> None:
    """Whatever else the others were measured on."""
    models = {str(n): entries({task: make_baseline(s) for task, s in one.items()}) for n, one in enumerate(scores)}
    infos = [TaskInfo(name=task, type="STS", main_score="cosine_spearman", splits=()) for task in "abcd"]
    found, _ = average_alike(models, infos, "main")
    shared = set.intersection(*map(set, scores))
    assert {each.tasks for each in found.values()} == {len(shared)}
    means = [each.average for each in found.values()]
    for one, mine in zip(scores, means, strict=True):
        for other, theirs in zip(scores, means, strict=True):
            if shared and all(one[task] > other[task] for task in shared):
                assert mine is not None
                assert theirs is not None
                assert mine > theirs or mine == pytest.approx(theirs)


def test_a_board_leaves_tasks_of_other_subsets_out_of_its_means() -> None:
    rows = [make_row("STSBenchmark", alias="a", score=0.9), make_row("STSBenchmark", alias="b", score=0.1)]
    rows += [make_row("STS17", alias=alias, score=0.5) for alias in "ab"]
    rows[3] = make_row("STS17", alias="b", score=0.5, subsets={"test/ko-ko": 0.5})
    board = side_by_side(make_run(*rows))
    assert board is not None
    assert (board.shared, board.means["a"].average) == (1, 0.9)


@pytest.mark.parametrize(
    ("models", "short"),
    [
        (("a", "a+dim-128", "a+dim-64"), ["a", "…128", "…64"]),
        (("a", "a+dim-64"), ["a", "…dim-64"]),
        (("a", "a+dim-64", "a+dim-64-dtype-half"), ["a", "…64", "…64-dtype-half"]),
        (("a", "b", "a+x-1", "a+x-2", "b+x-1", "b+x-2"), None),  # two would be called alike
        (("a+dim-64", "b+dim-64"), None),
    ],
)
def test_a_variant_beside_its_model_is_called_by_what_only_it_has(
    models: tuple[str, ...], short: list[str] | None
) -> None:
    assert list(shorten_names(models).values()) == (short or list(models))


def test_costs_are_of_models_with_a_mean_and_not_the_same_of_all() -> None:
    rows = [
        make_row(alias=alias, score=0.8, settings=Settings(dimension=width), speed=speed)
        for alias, width, speed in (("a", 64, SPEED), ("b", 64, replace(SPEED, texts_per_second=20.0)), ("c", 32, None))
    ]
    board = side_by_side(make_run(*rows))
    assert board is not None
    assert find_costs(board, rows) == {
        "texts per second": {"a": 10.0, "b": 20.0},
        "dimensions of a vector": {"a": 64, "b": 64, "c": 32},
    }
    assert find_costs(board, rows[:2]).keys() == {"texts per second"}
