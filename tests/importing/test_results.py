import json
import math
from pathlib import Path
from typing import Any

import pytest
from mteb.results import TaskResult

from tests.importing.documents import make_result, make_row, rows_of, write_results
from touchstone.errors import BaselineError
from touchstone.importing.entries import FAULT, NO_SUCH_STRATUM, NOT_A_TASK, Note, make_entries
from touchstone.importing.reading import read_source
from touchstone.importing.request import Request
from touchstone.importing.results import load_result

OLD = {
    "dataset_revision": None,
    "mteb_dataset_name": "Ocnli",
    "mteb_version": "1.0.2",
    "validation": {
        "cos_sim": {"ap": 0.58, "accuracy": 0.57, "accuracy_threshold": 0.83},
        "dot": {"ap": 0.57, "accuracy_threshold": 307.7},
        "max": {"ap": 0.59, "accuracy": 0.57},
        "evaluation_time": 2.39,
    },
}


def write(folder: Path, content: dict[str, Any]) -> Path:
    write_results(folder, content)
    return folder / f"{content.get('task_name') or content.get('mteb_dataset_name')}.json"


def test_every_row_is_published_with_what_is_known_of_it(tmp_path: Path) -> None:
    rows = [make_row("en-en", cosine_spearman=0.8), make_row("ko-ko", cosine_spearman=0.6)]
    found = rows_of(write(tmp_path, make_result("STS17", *rows)))
    assert [(row.stratum, dict(row.metrics)["cosine_spearman"], row.mteb) for row in found] == [
        ("test/en-en", 0.8, "1.12.75"),
        ("test/ko-ko", 0.6, "1.12.75"),
    ]


def test_what_mteb_really_writes_is_read(tmp_path: Path) -> None:
    """NaN seconds, NaN beside the main score, experiments in lists, ranges of versions, revision "1"."""
    row = make_row(accuracy=0.7, ap=math.nan, scores_per_experiment=[{"accuracy": 0.7}], f1=None)
    content = make_result(
        "Banking77Classification",
        row,
        evaluation_time=math.nan,
        kg_co2_emissions=math.nan,
        mteb_version="2.12.16-2.15.4",
        dataset_revision="1",
    )
    found = rows_of(write(tmp_path, content))
    entries, notes = make_entries(found, "x")
    entry = entries["Banking77Classification"]
    assert (entry.score, entry.dataset_revision, entry.env) == (0.7, None, {"mteb": "2.12.16-2.15.4"})
    assert notes == []


def test_a_main_score_of_another_time_is_not_taken_for_todays(tmp_path: Path) -> None:
    found = rows_of(write(tmp_path, make_result("NFCorpus", make_row(map_at_10=0.4))))
    assert make_entries(found, "x")[0] == {}


def test_files_from_before_scores_had_a_key_are_read(tmp_path: Path) -> None:
    found = rows_of(write(tmp_path, OLD))
    entry = make_entries(found, "x")[0]["Ocnli"]
    assert (entry.metric, entry.subsets) == ("max_accuracy", {"validation/default": 0.57})
    assert entry.metrics == {"cosine_ap": {"validation/default": 0.58}}
    assert entry.env == {"mteb": "1.0.2"}


@pytest.mark.parametrize(
    "lacking", [(), ("dataset_revision",), ("mteb_version",), ("dataset_revision", "mteb_version")]
)
def test_an_old_file_has_mtebs_own_reading_whatever_it_lacks(tmp_path: Path, lacking: tuple[str, ...]) -> None:
    content: dict[str, Any] = {"dataset_revision": "0228b52cf27578f30900b9e5271d331663a030d7", "mteb_version": "1.0.2"}
    content |= {
        "mteb_dataset_name": "SciFact",
        "test": {"ndcg_at_10": 0.54413, "map_at_10": 0.5, "evaluation_time": 3.0},
    }
    for key in lacking:
        content = without(content, key)
    file = write(tmp_path, content)
    entry = make_entries(load_result(file), "x")[0]["SciFact"]
    theirs = TaskResult.from_disk(file).scores["test"][0]["ndcg_at_10"]
    assert (entry.metric, entry.score) == ("ndcg_at_10", theirs) == ("ndcg_at_10", 0.54413)
    assert entry.dataset_revision == content.get("dataset_revision")
    assert entry.env == ({} if "mteb_version" in lacking else {"mteb": "1.0.2"})


def test_old_subsets_are_told_from_old_tables_of_metrics(tmp_path: Path) -> None:
    subsets = {"zh": {"cos_sim": {"spearman": 0.66}}, "xx": {"cos_sim": {"spearman": 0.5}}, "evaluation_time": 8.3}
    content = {"dataset_revision": "6d1ba47164174a496b7fa5d3569dae26a6813b80", "mteb_version": "1.0.2"}
    found = rows_of(write(tmp_path, {**content, "mteb_dataset_name": "STS22", "test": subsets}))
    entries, notes = make_entries(found, "x")
    assert entries["STS22"].subsets == {"test/zh": 0.66}
    assert notes[-1].what == "STS22 (test/zh of 18)"
    assert Note(reason=NO_SUCH_STRATUM, what="STS22 test/xx") in notes


def test_old_names_of_tasks_are_known_and_unknown_ones_told(tmp_path: Path) -> None:
    row = make_row(map=0.5)
    found = rows_of(write(tmp_path, make_result("CMedQAv2", row)))
    assert found[0].task.name == "CMedQAv2-reranking"
    notes = load_result(write(tmp_path, make_result("NoSuchTask", row)))
    assert notes == [Note(reason=NOT_A_TASK, what="NoSuchTask")]


def changed(**changes: Any) -> dict[str, Any]:
    return make_result("NFCorpus", make_row(ndcg_at_10=0.5) | changes)


def without(content: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != key}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], "expected a table"),
        (make_result("NFCorpus") | {"scores": 3}, "scores = 3; expected a table"),
        (make_result("NFCorpus") | {"scores": {"test": 3}}, "[scores] test = 3; expected a list"),
        (make_result("NFCorpus") | {"scores": {"test": [3]}}, "[scores] test[0] = 3; expected a table"),
        (make_result("SciFact"), 'task_name = "SciFact"; expected "NFCorpus", as the file is called'),
        *((without(make_result("NFCorpus"), key), f'needs a key "{key}"') for key in ("task_name", "scores")),
        (
            make_result("NFCorpus", without(make_row(ndcg_at_10=0.5), "hf_subset")),
            'scores.test[0] needs a key "hf_subset"',
        ),
        (changed(hf_subset=3), "scores.test[0]: hf_subset = 3; expected a string"),
        (changed(ndcg_at_10="0.5"), 'scores.test[0]: ndcg_at_10 = "0.5"; expected a number'),
        (changed(main_score=True), "scores.test[0]: main_score = true; expected a number"),
        (changed(ndcg_at_10=7000), "scores.test[0]: ndcg_at_10 = 7000; expected a fraction, -1 to 1"),
        (changed(main_score=50.5), "scores.test[0]: main_score = 50.5; expected a fraction, -1 to 1"),
        (make_result("NFCorpus", make_row(), make_row()), "scores has test/default 2 times; expected it once"),
        (OLD | {"validation": 3}, "validation = 3; expected a table"),
    ],
)
def test_damaged_file_is_one_sentence_with_its_place(tmp_path: Path, content: Any, sentence: str) -> None:
    path = tmp_path / "NFCorpus.json"
    path.write_text(json.dumps(content))
    try:
        rows = rows_of(path)
        said = [note.what for note in make_entries(rows, "x")[1]]
    except BaselineError as error:
        said = [str(error)]
    assert len(said) == 1
    assert said[0].startswith(f"{path}: {sentence}")
    assert "\n" not in said[0]


@pytest.mark.parametrize("key", ["dataset_revision", "mteb_version", "evaluation_time"])
@pytest.mark.parametrize("content", [make_result("Ocnli", make_row(max_accuracy=0.57), split="validation"), OLD])
def test_what_a_file_lacks_is_unknown(tmp_path: Path, content: dict[str, Any], key: str) -> None:
    (row,) = rows_of(write(tmp_path, without(content, key)))
    entry = make_entries([row], "x")[0]["Ocnli"]
    assert entry.score == 0.57
    assert key != "mteb_version" or entry.env == {}
    assert key != "dataset_revision" or entry.dataset_revision is None


def test_a_row_may_lack_its_languages_and_main_score_and_hold_tables(tmp_path: Path) -> None:
    row = {"hf_subset": "default", "max": {"accuracy": 0.59}, "cos_sim": {"ap": 0.58}, "scores": [{"ap": 0.5}]}
    (found,) = rows_of(write(tmp_path, make_result("Ocnli", row, split="validation")))
    entry = make_entries([found], "x")[0]["Ocnli"]
    assert (entry.score, entry.metrics) == (0.59, {"cosine_ap": {"validation/default": 0.58}})


def test_one_bad_file_is_a_note(tmp_path: Path) -> None:
    folder = tmp_path / "org__m" / ("a" * 40)
    write_results(folder, make_result("NFCorpus"), make_result("SciFact"), make_result("ArguAna", scores=3))
    (folder / "SciFact.json").write_text('{"task_name": "Sci')
    (found,) = read_source(Request(source=str(tmp_path), folder=tmp_path))
    assert list(found.entries) == ["NFCorpus"]
    assert [(note.reason, note.what.partition(":")[0]) for note in found.notes] == [
        (FAULT, "ArguAna.json"),
        (FAULT, "SciFact.json"),
    ]


@pytest.mark.parametrize("inside", ["", "results", "results/old-model"])
def test_a_tree_from_before_revisions_had_folders_is_of_the_model_and_no_revision(tmp_path: Path, inside: str) -> None:
    write_results(tmp_path / "results" / "old-model", make_result("NFCorpus"), meta=False)
    (found,) = read_source(Request(source=str(tmp_path / inside), folder=tmp_path))
    assert (found.model, found.revision, list(found.entries)) == ("old-model", None, ["NFCorpus"])


@pytest.mark.parametrize("cut", [0, 1, 40, 200])
def test_part_of_a_file_is_not_json(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "NFCorpus.json"
    path.write_text(json.dumps(make_result())[:cut])
    with pytest.raises(BaselineError, match=r"NFCorpus\.json: not JSON: [^\n]*$"):
        load_result(path)
