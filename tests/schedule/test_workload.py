"""How much text a task has, by mteb's statistics and by the files of a folder."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import make_case
from touchstone.records.cases import Case, TaskInfo
from touchstone.schedule.workload import (
    MAX_CHARACTERS,
    PARTS,
    SAMPLED_TASKS,
    Workload,
    find_sizes,
    find_workload,
    statistics_folder,
)


def case_of(type_name: str, name: str, limit: int | None = None, **task: object) -> Case:
    info = TaskInfo(name=name, type=type_name, main_score="x")
    return replace(make_case(), task=replace(info, **task), limit=limit)  # type: ignore[arg-type]


def find(type_name: str, name: str, limit: int | None = None, **task: object) -> Workload:
    found = find_workload(case_of(type_name, name, limit, **task), statistics_folder())
    assert found is not None
    return found


def test_statistics_are_found_and_read_without_importing_mteb() -> None:
    code = (
        "import sys; from tests.schedule.test_workload import find; assert find('STS', 'BIOSSES').texts; "
        "assert 'mteb' not in sys.modules, 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent.parent, timeout=60)


def test_pairs_count_each_distinct_text_once() -> None:
    found = find("STS", "BIOSSES")
    assert found.texts == 92 + 97
    assert found.characters == pytest.approx(92 * 154.67 + 97 * 158.46)


def test_retrieval_counts_queries_and_documents_cut_where_models_cut() -> None:
    found = find("Retrieval", "NFCorpus")
    assert found.texts == 3593 + 323
    assert found.characters == pytest.approx(323 * 21.7647 + 3593 * 1590.7839, rel=1e-4)
    long = find("STS", "STS22", subsets=("en",))
    assert long.characters <= long.texts * MAX_CHARACTERS


def test_reranking_counts_its_candidates() -> None:
    found = find("Reranking", "AskUbuntuDupQuestions")
    assert found.pairs == 360 * 20
    assert found.pair_characters > found.characters / 2


def test_only_the_subsets_and_splits_that_are_evaluated_count() -> None:
    every, english = find("STS", "STS22.v2"), find("STS", "STS22.v2", subsets=("en",))
    assert english.texts == 197 + 195
    assert every.texts == 3920 + 3867
    assert find_workload(case_of("STS", "STS22.v2", splits=("validation",)), statistics_folder()) is None


def test_classifiers_are_fitted_on_a_few_texts_of_each_label() -> None:
    found = find("Classification", "Banking77Classification")
    assert found.texts == pytest.approx(3080 + 77 * 80)
    small = find("Classification", "TweetSentimentExtractionClassification")
    assert small.texts == pytest.approx(3534 + 3 * 80, rel=0.01)


def test_limit_makes_a_case_smaller_and_never_larger() -> None:
    for type_name, name in (("Retrieval", "NFCorpus"), ("STS", "STSBenchmark"), ("Clustering", "RedditClustering")):
        whole, few = find(type_name, name), find(type_name, name, 20)
        assert 0 < few.texts < whole.texts
        assert find(type_name, name, 10**9) == whole
    assert find("STS", "STSBenchmark", 100).texts == pytest.approx(200, rel=0.1)
    assert find("Retrieval", "TRECCOVID", 10).texts <= 10 + 10 * 100 + 10 * 500


def test_aggregates_are_the_sum_of_their_parts_which_are_those_of_mteb() -> None:
    import mteb

    from touchstone.tasks.registry import quiet_mteb

    with quiet_mteb():
        aggregates = {
            task.metadata.name: {part.metadata.name for part in task.metadata.tasks}  # type: ignore[attr-defined]
            for task in mteb.get_tasks(exclude_superseded=False, exclude_private=False)
            if task.is_aggregate and "text" in task.metadata.modalities
        }
        drawn = {name: mteb.get_task(name) for name in SAMPLED_TASKS}
    statistics = statistics_folder()
    assert statistics is not None
    assert set(aggregates) == set(PARTS)
    for name, parts in aggregates.items():
        found = {path.stem for path in statistics.glob(f"*/{PARTS[name]}.json")}
        assert found == parts, name
    assert find("Retrieval", "CQADupstackRetrieval").texts > 400_000
    for name, task in drawn.items():
        assert getattr(task, "max_fraction_of_documents_to_embed", None) == 0.04, name


def test_folder_counts_by_the_size_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text("x" * 5000)
    (tmp_path / "queries.jsonl").write_text("x" * 300)
    found = find("Retrieval", "Mine", folder=tmp_path)
    assert (found.characters, found.pair_characters) == (5300, 30_000)
    (tmp_path / "top_ranked.jsonl").write_text("x" * 9)
    assert find("Reranking", "Mine", folder=tmp_path).pair_characters == 5300
    (tmp_path / "big.jsonl").write_text("x" * 100_000)
    assert find("STS", "Mine", 2, folder=tmp_path).characters == 5000 + 300 + 2 * MAX_CHARACTERS


def test_task_without_statistics_is_not_known(tmp_path: Path) -> None:
    assert find_workload(case_of("STS", "NoSuchTask"), statistics_folder()) is None
    assert find_workload(case_of("STS", "BIOSSES"), tmp_path) is None
    assert find_workload(case_of("STS", "BIOSSES"), None) is None


def test_sizes_are_queries_rows_or_pairs_of_each_split_and_subset(tmp_path: Path) -> None:
    def sizes(type_name: str, name: str, **task: object) -> tuple[int, ...]:
        return find_sizes(case_of(type_name, name, None, **task).task, statistics_folder())

    assert sizes("STS", "STSBenchmark") == (1379,)
    assert sizes("Retrieval", "NFCorpus") == (323,)
    assert sizes("Retrieval", "FEVERHardNegatives") == (997,)  # its statistics count queries and documents together
    assert sizes("BitextMining", "Tatoeba", subsets=("sqi-eng", "fry-eng")) == (1000, 173)
    assert sizes("Retrieval", "CQADupstackRetrieval") == sizes("STS", "NoSuchTask") == ()
    assert find_sizes(case_of("STS", "BIOSSES").task, None) == ()
    assert sizes("STS", "Mine", folder=tmp_path) == ()
    (tmp_path / "test.jsonl").write_text("{}\n\n{}\n{}")
    assert sizes("STS", "Mine", folder=tmp_path) == (3,)
    (tmp_path / "queries.jsonl").write_text("{}\n{}\n")
    assert sizes("Retrieval", "Mine", folder=tmp_path) == (2,)


def test_limit_takes_its_share_of_the_lines_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text(20 * "xxxxxxxxx\n")
    assert find("STS", "Mine", 5, folder=tmp_path).characters == 50
