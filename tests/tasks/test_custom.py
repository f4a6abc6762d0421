import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from touchstone.config.suites import load_suite
from touchstone.errors import SourceError
from touchstone.records.cases import TaskInfo
from touchstone.task_types.registry import all_types
from touchstone.tasks.catalog import find_tasks
from touchstone.tasks.custom import files_of, make_task
from touchstone.tasks.limiting import limit_data
from touchstone.tasks.registry import quiet_mteb

SHA256 = "0123456789abcdef" * 4
MAIN_SCORES = {
    "Retrieval": "ndcg_at_10",
    "Reranking": "map_at_1000",
    "STS": "cosine_spearman",
    "Classification": "accuracy",
    "PairClassification": "max_ap",
    "Clustering": "v_measure",
    "BitextMining": "f1",
    "Summarization": "cosine_spearman",
    "InstructionRetrieval": "ndcg_at_10",
    "InstructionReranking": "map_at_1000",
    "MultilabelClassification": "accuracy",
}
RETRIEVAL: dict[str, list[dict[str, Any]]] = {
    "corpus.jsonl": [{"_id": "d1", "title": "T", "text": "one"}, {"_id": "d2", "text": "two"}],
    "queries.jsonl": [{"_id": "q1", "text": "first"}, {"_id": "q2", "text": "nobody judged this"}],
    "qrels/test.jsonl": [{"query-id": "q1", "corpus-id": "d2", "score": 1}],
    "top_ranked.jsonl": [{"query-id": "q1", "corpus-ids": ["d2", "d1"]}],
}


def write(folder: Path, files: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
    for name, rows in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("\n".join(json.dumps(row) for row in rows))


def describe(kind: str, folder: Path) -> TaskInfo:
    return TaskInfo(name="Mine", type=kind, main_score=MAIN_SCORES[kind], languages=("deu-Latn",), folder=folder)


def make(kind: str, folder: Path) -> Any:
    with quiet_mteb():
        return make_task(describe(kind, folder), SHA256)


def load(kind: str, folder: Path) -> Any:
    task = make(kind, folder)
    task.load_data()
    return task


def sentence(kind: str, folder: Path) -> str:
    task = make(kind, folder)
    with pytest.raises(SourceError) as caught:
        task.load_data()
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "counts", "first"),
    [
        ("SmokeRetrieval", {"corpus": 150, "queries": 151, "relevant_docs": 151}, "How do I know it is time"),
        ("SmokeReranking", {"corpus": 150, "queries": 151, "top_ranked": 151}, "How do I know it is time"),
        ("SmokeSTS", {"test": 202}, "Two children are building a sandcastle."),
        ("SmokeClassification", {"train": 90, "test": 150}, "Look at the column per hundred grams"),
        ("SmokePairClassification", {"test": 176}, "She bought a second-hand piano."),
        ("SmokeClustering", {"test": 150}, "Look at the column per hundred grams"),
    ],
)
def test_the_data_that_comes_with_the_package_is_loaded_whole(
    tmp_path: Path, name: str, counts: dict[str, int], first: str
) -> None:
    infos = {info.name: info for info in find_tasks(load_suite("smoke", tmp_path).suite.tasks, "smoke.toml")}
    with quiet_mteb():
        task: Any = make_task(infos[name], SHA256)
        task.load_data()
    data = task.dataset["default"]["test"] if "queries" in counts else task.dataset
    assert {part: len(data[part]) for part in counts} == counts
    row = data["queries" if "queries" in counts else "test"][0]
    assert first in " ".join(str(value) for value in row.values())


def test_every_type_that_can_be_custom_is_tried_here() -> None:
    assert {one.name: one.folder.main_score for one in all_types() if one.folder} == MAIN_SCORES


@pytest.mark.parametrize("kind", MAIN_SCORES)
def test_a_task_says_of_itself_what_the_suite_said(tmp_path: Path, kind: str) -> None:
    task = make(kind, tmp_path)
    assert (task.metadata.name, task.metadata.type, task.metadata.main_score) == ("Mine", kind, MAIN_SCORES[kind])
    assert task.metadata.eval_langs == ["deu-Latn"]
    assert task.metadata.eval_splits == ["test"]
    assert task.metadata.revision == "0123456789ab"


@pytest.mark.parametrize("kind", ["Retrieval", "Reranking"])
def test_a_retrieval_folder_is_loaded_with_the_queries_that_are_judged(tmp_path: Path, kind: str) -> None:
    write(tmp_path, RETRIEVAL)
    data = load(kind, tmp_path).dataset["default"]["test"]
    assert list(data["corpus"]) == [
        {"id": "d1", "title": "T", "text": "one"},
        {"id": "d2", "title": "", "text": "two"},
    ]
    assert list(data["queries"]) == [{"id": "q1", "text": "first"}]
    assert data["relevant_docs"] == {"q1": {"d2": 1}}
    assert data["top_ranked"] == ({"q1": ["d2", "d1"]} if kind == "Reranking" else None)


def test_sts_pairs_are_loaded_with_the_range_of_their_scores(tmp_path: Path) -> None:
    pairs = [
        {"sentence1": "a", "sentence2": "b", "score": 1, "genre": "ignored"},
        {"sentence1": "c", "sentence2": "d", "score": 4.5},
        {"sentence1": "e", "sentence2": "f", "score": -2},
    ]
    write(tmp_path, {"test.jsonl": pairs})
    task = load("STS", tmp_path)
    assert list(task.dataset["test"]) == [
        {"sentence1": "a", "sentence2": "b", "score": 1.0},
        {"sentence1": "c", "sentence2": "d", "score": 4.5},
        {"sentence1": "e", "sentence2": "f", "score": -2.0},
    ]
    assert (task.min_score, task.max_score) == (-2, 4.5)


TEXTS = [{"text": f"text {number}", "label": number % 2} for number in range(6)]
PAIRS = [{"sentence1": f"a {number}", "sentence2": f"b {number}"} for number in range(6)]
# The file of samples that may have fields, and its rows.
SAMPLED: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "Retrieval": ("queries.jsonl", RETRIEVAL["queries.jsonl"]),
    "Reranking": ("queries.jsonl", RETRIEVAL["queries.jsonl"]),
    "STS": ("test.jsonl", [pair | {"score": number} for number, pair in enumerate(PAIRS)]),
    "PairClassification": ("test.jsonl", [pair | {"label": number % 2} for number, pair in enumerate(PAIRS)]),
    "Classification": ("test.jsonl", TEXTS),
}


def load_sampled(kind: str, folder: Path, more: dict[str, Any], limit: int) -> Any:
    """Load a folder whose samples have more keys, and return some of them."""
    name, rows = SAMPLED[kind]
    write(folder, RETRIEVAL | {"train.jsonl": TEXTS} | {name: [row | more for row in rows]})
    task = load(kind, folder)
    limit_data(task, describe(kind, folder), limit)
    return task.dataset["default"]["test"]["queries"] if "default" in task.dataset else task.dataset["test"]


@pytest.mark.parametrize("kind", SAMPLED)
def test_what_else_samples_hold_is_beside_them_and_does_not_choose_them(tmp_path: Path, kind: str) -> None:
    kept = load_sampled(kind, tmp_path, {"topic": "rivers", "year": 2026, "checked": True}, 3)
    fields = {"field:topic": "rivers", "field:year": 2026, "field:checked": "true"}
    assert list(kept) == [row | fields for row in load_sampled(kind, tmp_path, {}, 3)]


def test_draws_have_no_fields(tmp_path: Path) -> None:
    write(tmp_path, {"test.jsonl": [row | {"no field": 1} for row in TEXTS]})
    assert load("Clustering", tmp_path).dataset["test"].column_names == ["sentences", "labels"]


def test_labelled_pairs_are_loaded_under_mtebs_names(tmp_path: Path) -> None:
    pairs = [{"sentence1": "a", "sentence2": "b", "label": 1}, {"sentence1": "c", "sentence2": "d", "label": 0}]
    write(tmp_path, {"test.jsonl": pairs})
    assert list(load("PairClassification", tmp_path).dataset["test"]) == [
        {"sentence1": "a", "sentence2": "b", "labels": 1},
        {"sentence1": "c", "sentence2": "d", "labels": 0},
    ]


def test_classes_get_the_same_numbers_in_both_splits_as_words_or_numbers(tmp_path: Path) -> None:
    train: list[dict[str, Any]] = [
        {"text": "t1", "label": "z"},
        {"text": "t2", "label": 7},
        {"text": "t3", "label": "a"},
    ]
    write(tmp_path, {"train.jsonl": train, "test.jsonl": [{"text": "x", "label": "7"}, {"text": "y", "label": "z"}]})
    dataset = load("Classification", tmp_path).dataset
    numbers = {row["text"]: row["label"] for split in ("train", "test") for row in dataset[split]}
    assert sorted(numbers[text] for text in ("t1", "t2", "t3")) == [0, 1, 2]
    assert (numbers["x"], numbers["y"]) == (numbers["t2"], numbers["t1"])


def test_clusters_are_loaded_whole(tmp_path: Path) -> None:
    texts = [{"text": f"text {number}", "label": number % 3} for number in range(30)]
    write(tmp_path, {"test.jsonl": texts})
    task = load("Clustering", tmp_path)
    assert list(task.dataset["test"]) == [{"sentences": t["text"], "labels": str(t["label"])} for t in texts]
    assert task.max_fraction_of_documents_to_embed is None
    assert task.max_document_to_embed is None


def test_a_label_of_the_test_split_that_was_never_trained_is_named_with_its_line(tmp_path: Path) -> None:
    train = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
    write(tmp_path, {"train.jsonl": train, "test.jsonl": [*train, {"text": "c", "label": "w"}]})
    assert sentence("Classification", tmp_path) == f'{tmp_path / "test.jsonl"}:3: label "w" is not in train.jsonl'


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("Retrieval", "corpus.jsonl"),
        ("Reranking", "top_ranked.jsonl"),
        ("STS", "test.jsonl"),
        ("Classification", "train.jsonl"),
        ("PairClassification", "test.jsonl"),
        ("Clustering", "test.jsonl"),
    ],
)
def test_a_missing_file_is_named_when_the_data_is_asked_for(tmp_path: Path, kind: str, missing: str) -> None:
    if "Re" in kind:
        write(tmp_path, {name: rows for name, rows in RETRIEVAL.items() if name != missing})
    assert sentence(kind, tmp_path).startswith(f"{tmp_path}: holds no {missing}, .csv or .parquet; it holds ")


def test_data_is_read_once_however_often_mteb_asks(tmp_path: Path) -> None:
    write(tmp_path, {"test.jsonl": [{"text": "a", "label": 1}, {"text": "b", "label": 2}]})
    task = load("Clustering", tmp_path)
    (tmp_path / "test.jsonl").unlink()
    task.load_data()
    assert len(task.dataset["test"]) == 2


def test_only_files_that_belong_to_the_type_and_are_there_are_listed(tmp_path: Path) -> None:
    write(tmp_path, {**RETRIEVAL, "notes.jsonl": [], "test.jsonl": []})
    names = {kind: [name for name, _ in files_of(describe(kind, tmp_path))] for kind in MAIN_SCORES}
    judged = ["corpus.jsonl", "queries.jsonl", "qrels/test.jsonl"]
    assert names["Retrieval"] == judged
    assert names["Reranking"] == [*judged, "top_ranked.jsonl"]
    assert names["Classification"] == names["STS"] == ["test.jsonl"]
