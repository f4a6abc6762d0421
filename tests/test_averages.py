"""Averages over baselines: what counts, what is missing, and which metric."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.averages import average, tasks_to_average
from evals.errors import ConfigError
from evals.records import Baseline, Reference, TaskInfo
from tests.builders import MODEL, make_baseline

STS = TaskInfo(name="STSBenchmark", type="STS", main_score="cosine_spearman")
PAIRS = TaskInfo(name="TwitterURLCorpus", type="PairClassification", main_score="max_ap")
MULTILINGUAL = TaskInfo(
    name="STS17", type="STS", main_score="cosine_spearman", subsets=("en-en",), splits=("test",)
)  # fmt: skip


def entries(tasks: Mapping[str, Baseline]) -> dict[str, Reference]:
    return {
        name: Reference(alias="a", model=MODEL, revision=None, baseline=baseline) for name, baseline in tasks.items()
    }


def test_only_the_strata_of_the_benchmarks_task_count() -> None:
    known = entries({"STS17": make_baseline({"test/en-en": 0.9, "test/ko-ko": 0.1})})
    assert average(known, [MULTILINGUAL], "main", whole=False).average == 0.9
    assert average(known, [MULTILINGUAL], "main", whole=True).average == 0.5


def test_a_task_that_lacks_a_stratum_is_missing_and_counts_nowhere() -> None:
    known = entries({"STS17": make_baseline({"test/ko-ko": 0.1}), "STSBenchmark": make_baseline(0.8)})
    found = average(known, [MULTILINGUAL, STS, PAIRS], "main", whole=False)
    assert found.missing == ("STS17", "TwitterURLCorpus")
    assert (found.tasks, found.average, found.by_type) == (1, 0.8, {"STS": 0.8})


def test_published_takes_the_cosines_average_precision_and_main_the_best_of_all() -> None:
    entry = make_baseline(0.9, metric="max_ap", metrics={"cosine_ap": {"test/default": 0.7}})
    known = entries({"TwitterURLCorpus": entry, "STSBenchmark": make_baseline(0.8)})
    assert average(known, [PAIRS, STS], "published", whole=False).by_type == {"PairClassification": 0.7, "STS": 0.8}
    assert average(known, [PAIRS, STS], "main", whole=False).by_type == {"PairClassification": 0.9, "STS": 0.8}


def test_published_never_falls_back_to_another_metric() -> None:
    known = entries({"TwitterURLCorpus": make_baseline(0.9, metric="max_ap")})
    assert average(known, [PAIRS], "published", whole=False).missing == ("TwitterURLCorpus",)


def test_an_entry_by_another_metric_than_the_tasks_main_score_is_missing() -> None:
    known = entries({"STSBenchmark": make_baseline(0.8, metric="cosine_pearson")})
    assert average(known, [STS], "main", whole=False).missing == ("STSBenchmark",)


@given(st.lists(st.tuples(st.sampled_from(["STS", "Retrieval", "Clustering"]), st.floats(0, 1)), min_size=1))
def test_the_average_is_over_tasks_and_not_over_types(scores: list[tuple[str, float]]) -> None:
    tasks = [TaskInfo(name=f"T{i}", type=kind, main_score="m") for i, (kind, _) in enumerate(scores)]
    known = entries({f"T{i}": make_baseline(score, metric="m") for i, (_, score) in enumerate(scores)})
    found = average(known, tasks, "main", whole=False)
    assert found.average == pytest.approx(sum(score for _, score in scores) / len(scores))
    weighted = sum(mean * sum(kind == name for kind, _ in scores) for name, mean in found.by_type.items())
    assert found.average == pytest.approx(weighted / len(scores))
    assert average(known, tasks[::-1], "main", whole=False).average == pytest.approx(found.average)


def test_nothing_to_average_is_no_number() -> None:
    assert average({}, [STS], "main", whole=False).average is None


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
