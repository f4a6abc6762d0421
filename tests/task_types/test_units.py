"""Units: what samples share, the same in every task; and the fields by which figures are shown."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from touchstone.config.suites import Selection
from touchstone.records.cases import Source
from touchstone.records.names import name_unit
from touchstone.records.rankings import Ranking
from touchstone.store.folder import Store
from touchstone.task_types.base import Predicted, TaskType
from touchstone.task_types.registry import all_types, find_type
from touchstone.tasks.catalog import find_tasks
from touchstone.tasks.opening import open_task

A, B, C, D = map(name_unit, ("a", "b", "c", "d"))
NAMES = {
    "column_names": ("sentence1", "sentence2"),
    "input1_column_name": "sentence1",
    "input2_column_name": "sentence2",
    "input_column_name": "text",
    "text_column_name": "text",
    "label_column_name": "label",
    "relevancy_column_name": "relevance",
}


def predicted(data: Any, found: Any = None, *, subset: str = "default", metric: str = "m", **task: Any) -> Predicted:
    """Make what a task predicted for one subset; ``data`` is of all, by subset."""
    metadata = SimpleNamespace(name="Task", dataset={"path": "org/data"})
    dataset = {name: {"test": rows} for name, rows in data.items()}
    made = SimpleNamespace(metadata=metadata, dataset=dataset, hf_subsets=list(data), **{**NAMES, **task})
    return Predicted(task=made, split="test", subset=subset, metric=metric, found=found, sampled=[], drawn=[])


def one(columns: Mapping[str, Any], found: Any = None, **more: Any) -> Predicted:
    """Make what a task of one subset predicted, for a table with these columns."""
    return predicted({"default": Dataset.from_dict(dict(columns))}, found, **more)


def units(kind: str, of: Predicted) -> list[list[str]]:
    found = find_type(kind).units
    assert found is not None
    return [list(some) for some in found(of)]


def fields(kind: str, of: Predicted) -> dict[str, list[Any]]:
    found = find_type(kind).fields
    assert found is not None
    return {name: column.tolist() for name, column in found(of).items()}


def queries(texts: Mapping[str, Any], judged: Mapping[str, Mapping[str, int]], **columns: Any) -> dict[str, Any]:
    table = Dataset.from_dict({"id": list(texts), "text": list(texts.values()), **columns})
    return {"queries": table, "relevant_docs": judged}


def documents(*ids: str) -> list[str]:
    return sorted(name_unit("document", "org/data", id_) for id_ in ids)


def row(name: str) -> str:
    return name_unit("row", "Task", "test", name)


def test_only_draws_have_no_units() -> None:
    assert {kind.name for kind in all_types() if kind.collect is not None and kind.units is None} == {"Clustering"}
    assert find_type("Clustering").sample_word == "draws"


@pytest.mark.parametrize("kind", ["STS", "PairClassification"])
def test_a_pair_has_the_units_of_both_texts_and_one_where_they_are_equal(kind: str) -> None:
    of = one({"sentence1": ["a", "c", "A"], "sentence2": ["b", "c", "a "]})
    assert units(kind, of) == [[A, B], [C], [name_unit("A"), name_unit("a ")]]
    assert fields(kind, of) == {"length": [2, 2, 3]}


@pytest.mark.parametrize("kind", ["Classification", "Regression", "ZeroShotClassification"])
def test_a_text_is_its_unit_however_often_it_is_there(kind: str) -> None:
    of = one({"text": ["a", "b", "a"]})
    assert units(kind, of) == [[A], [B], [A]]
    assert fields(kind, of) == {"length": [1, 1, 1]}


def test_a_unit_is_called_like_the_sample_that_is_named_by_one_text() -> None:
    collect = find_type("Regression").collect
    assert collect is not None
    of = one({"text": ["a", "b", "a"], "label": [0.1, 0.2, 0.3]}, [[0.1, 0.2, 0.3]])
    assert [id_.partition("#")[0] for id_ in collect(of)["id"]] == [unit for (unit,) in units("Regression", of)]


def test_pairs_in_one_row_have_units_each() -> None:
    of = one({"sentence1": [["a", "c"]], "sentence2": [["b", "d"]]})
    assert units("PairClassification", of) == [[A, B], [C, D]]


def test_multilabel_texts_are_those_that_were_drawn_and_they_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def draw(tables: Any, seed: int, splits: list[str], label: str, count: int) -> Any:
        drawn.append(seed)
        return {"test": tables["test"].select([2, 0])}

    monkeypatch.setattr("touchstone.task_types.multilabel_classification.find", lambda _: draw)
    of = one({"text": ["a", "b", "c"], "label": [[0], [1], [0]]}, [[0, 0]], seed=1, max_eval_samples=2)
    assert units("MultilabelClassification", of) == [[C], [A]]
    assert fields("MultilabelClassification", of) == {"length": [1, 1]}
    assert drawn == [1]


def test_a_text_whose_summaries_have_no_score_has_no_units() -> None:
    found = {"human_scores": [[0.0, 1.0]], "cosine_scores": [[0.2, 0.3]]}
    of = one({"text": ["a", "long"], "relevance": [[1.0, 1.0], [1.0, 3.0]]}, found)
    assert units("Summarization", of) == [[name_unit("long")]]
    assert fields("Summarization", of) == {"length": [4]}


def test_a_sentence_shares_its_translation_too() -> None:
    of = one({"sentence1": ["a", "b"], "sentence2": ["c", "d"]}, [{"corpus_id": 1}] * 2)
    assert units("BitextMining", of) == [[A, C], [B, D]]


def test_a_sentence_without_a_translation_has_itself() -> None:
    of = predicted({"default": {"sentence1": ["a", "b"], "sentence2": ["c"], "gold": [[0, 0], [1, 9]]}}, [{}, {}])
    assert units("BitextMining", of) == [[A, C], [B]]


def test_languages_beside_each_other_in_one_table_are_rows() -> None:
    of = predicted({"x-y": None, "y-x": None}, {"x-y": [{}, {}]}, subset="x-y", parallel_subsets=True)
    of.task.dataset = {"test": Dataset.from_dict({"x": ["a", "b"], "y": ["c", "d"]})}
    assert units("BitextMining", of) == [[A, row("0"), C], [B, row("1"), D]]


@pytest.mark.parametrize("kind", ["Retrieval", "Reranking", "InstructionRetrieval", "InstructionReranking"])
def test_a_query_has_the_units_of_its_text_and_of_its_relevant_documents(kind: str) -> None:
    judged = {"q1": {"d1": 1, "d2": 0, "d3": 2}, "q2": {"d1": 1}}
    of = predicted({"default": queries({"q2": "bb", "q1": "a"}, judged)}, {"q1": {"d9": 0.5}, "q2": {}, "q3": {}})
    assert units(kind, of) == [[A, *documents("d1", "d3")], [name_unit("bb"), *documents("d1")]]
    assert fields(kind, of) == {"length": [1, 2]}


def test_a_search_in_arrays_has_the_same_units() -> None:
    data = {"default": queries({"q1": "a", "q2": "b"}, {"q1": {"d1": 1}, "q2": {"d2": 1, "d3": 1}})}
    found = {"q2": {"d1": 0.5}, "q1": {"d2": 0.1}}
    dictionaries = predicted(data, found)
    arrays = predicted(data, Ranking.take("Task", "test", "default", found))
    assert units("Retrieval", arrays) == units("Retrieval", dictionaries) == [[B, *documents("d2", "d3")],
                                                                              [A, *documents("d1")]]  # fmt: skip


def test_many_relevant_documents_are_one_unit_in_any_order() -> None:
    names = ["d1", "d2", "d3", "d4"]
    judged = {"q1": dict.fromkeys(names, 1), "q2": dict.fromkeys(reversed(names), 2), "q3": dict.fromkeys(names[:3], 1)}
    of = predicted({"default": queries({"q1": "a", "q2": "b", "q3": "c"}, judged)}, {name: {} for name in judged})
    first, second, third = units("Retrieval", of)
    assert first == [A, name_unit(*documents(*names))]
    assert second == [B, first[1]]
    assert third == [C, *documents("d1", "d2", "d3")]


def test_merged_queries_have_the_units_of_all() -> None:
    texts = {"q_0": "a", "q_1": "bb", "r_0": "c"}
    judged = {"q_0": {"d1": 1}, "q_1": {"d1": 1, "d2": 0}, "r_0": {"d3": 1}}
    of = predicted(
        {"default": queries(texts, judged)}, {name: {} for name in texts}, metric="max_over_subqueries_map_at_10"
    )
    assert units("Reranking", of) == [sorted([A, name_unit("bb")]) + documents("d1"), [C, *documents("d3")]]
    assert fields("Reranking", of) == {"length": [3, 1]}


def test_a_dialogue_is_one_text() -> None:
    turns = [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]]
    data = {"relevant_docs": {"q": {"d": 1}}, "queries": {"id": ["q"], "text": turns}}
    assert units("Retrieval", predicted({"default": data}, {"q": {}})) == [
        [name_unit("user: a\nassistant: b"), *documents("d")]
    ]


@pytest.mark.parametrize(("there", "shared"), [(2, True), (3, False)])
def test_rows_of_as_many_in_another_language_are_shared(there: int, shared: bool) -> None:
    data = {"en": Dataset.from_dict({"text": ["a", "b"]}), "de": Dataset.from_dict({"text": ["c"] * there})}
    expected = [[A, row("0")], [B, row("1")]] if shared else [[A], [B]]
    assert units("Classification", predicted(data, subset="en")) == expected


def test_rows_are_counted_inside_those_that_hold_a_whole_split() -> None:
    data = {
        name: Dataset.from_dict({"sentence1": [["a"] * rows], "sentence2": [["b"] * rows]})
        for name, rows in (("en", 2), ("de", 3), ("fr", 3))
    }
    assert units("PairClassification", predicted(data, subset="en")) == [[A, B]] * 2
    assert units("PairClassification", predicted(data, subset="fr"))[2] == [A, B, row("2")]


@pytest.mark.parametrize(("other", "shared"), [("q1", True), ("q2", False)])
def test_queries_called_alike_in_another_language_are_shared(other: str, shared: bool) -> None:
    data = {"en": queries({"q1": "a"}, {"q1": {"d1": 1}}), "de": queries({other: "c"}, {other: {"d1": 1}})}
    expected = [A, *documents("d1"), row("q1")]
    assert units("Retrieval", predicted(data, {"q1": {}}, subset="en")) == [expected if shared else expected[:-1]]


@pytest.mark.parametrize(("missing", "shared"), [(1, True), (2, False)])
def test_few_queries_may_be_missing_in_another_language(missing: int, shared: bool) -> None:
    names = [f"q{number}" for number in range(10)]
    data = {
        subset: queries({name: name for name in some}, {name: {"d": 1} for name in some})
        for subset, some in (("en", names), ("de", names[missing:]))
    }
    for subset in data:
        found = units("Retrieval", predicted(data, {name: {} for name in names}, subset=subset))
        assert {len(some) for some in found} == {3 if shared else 2}


def test_a_language_that_was_not_loaded_is_passed_over() -> None:
    of = one({"text": ["a"]})
    of.task.hf_subsets = ["default", "absent"]
    assert units("Classification", of) == [[A]]


def test_fields_of_a_folder_are_those_of_its_rows() -> None:
    judged = {"q1": {"d1": 1}, "q2": {"d1": 1}}
    table = queries({"q1": "a", "q2": "bb"}, judged, **{"field:topic": ["x", "y"], "field:year": [1, 2]})
    found = predicted({"default": table}, {"q2": {}, "q1": {}})
    assert fields("Retrieval", found) == {"length": [2, 1], "topic": ["y", "x"], "year": [2, 1]}
    assert fields("Classification", one({"text": ["a"], "field:topic": ["x"]})) == {"length": [1], "topic": ["x"]}


@contextmanager
def opened(name: str, mirror: Path, store: Path, *subsets: str) -> Iterator[Any]:
    """Open a real task, the last of its splits."""
    (info,) = find_tasks(Selection(include=(name,)), "test")
    info = replace(info, subsets=subsets or info.subsets, splits=info.splits[-1:])
    with open_task(info, Source(kind="mirror", path=mirror), Store(store)) as task:
        yield task.task


def of_task(task: Any, found: Any = None, subset: str = "default") -> tuple[TaskType, Predicted]:
    metric = task.metadata.main_score
    predicted = Predicted(task=task, split=task.eval_splits[-1], subset=subset, metric=metric, found=found,
                          sampled=[], drawn=[])  # fmt: skip
    return find_type(task.metadata.type), predicted


def distinct(some: Sequence[Sequence[str]]) -> int:
    return len({unit for each in some for unit in each})


@pytest.mark.parametrize(
    ("name", "pairs", "texts"), [("SICK-R", 9927, 6077), ("STS12", 3108, 4946), ("STSBenchmark", 1379, 2552)]
)
def test_real_pairs_share_sentences(name: str, pairs: int, texts: int, mirror: Path, tmp_path: Path) -> None:
    with opened(name, mirror, tmp_path) as task:
        _, of = of_task(task)
        found = units("STS", of)
    assert (len(found), distinct(found)) == (pairs, texts)


def test_units_and_fields_of_ten_thousand_pairs_take_half_a_second(mirror: Path, tmp_path: Path) -> None:
    with opened("SICK-R", mirror, tmp_path) as task:
        _, of = of_task(task)
        started = time.process_time()
        assert len(units("STS", of)) == len(fields("STS", of)["length"]) == 9927
        assert time.process_time() - started < 0.5


def test_questions_about_one_paragraph_share_it_in_every_language(mirror: Path, tmp_path: Path) -> None:
    with opened("XQuADRetrieval", mirror, tmp_path, "en", "de") as task:
        split = task.eval_splits[-1]
        data = task.dataset["en"][split]
        _, of = of_task(task, {name: {} for name in data["queries"]["id"][:]}, "en")
        found = units("Retrieval", of)
        assert len(found) == len(data["queries"]) >= 1180  # mteb drops those that are there twice
        assert len({paragraph for _, paragraph, _ in found}) == len(data["corpus"]) == 240
        assert len({question for _, _, question in found}) == len(found)


def test_a_sentence_in_several_languages_is_one_unit(mirror: Path, tmp_path: Path) -> None:
    languages = ("eng_Latn", "deu_Latn", "spa_Latn")
    with opened("SIB200Classification", mirror, tmp_path, *languages) as task:
        found = [units("Classification", of_task(task, subset=language)[1]) for language in languages]
    rows = [{some[1] for some in one} for one in found]
    assert rows[0] == rows[1] == rows[2]
    assert len(rows[0]) == 204
    assert distinct([some for one in found for some in one]) > 3 * 204
    assert np.all([len(some) == 2 for one in found for some in one])
