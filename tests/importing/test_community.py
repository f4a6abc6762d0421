"""Community evaluations of the hub: read as the hub's own library and mteb write them, and nothing guessed."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
from hypothesis import given
from hypothesis import strategies as st
from mteb.results import TaskResult

from touchstone.__main__ import main
from touchstone.errors import BaselineError
from touchstone.importing.community import MEAN, OTHER_DATA, load_eval_results
from touchstone.importing.entries import FAULT, NOT_A_TASK, UNKNOWN_SCALE, Note, Published, make_entries
from touchstone.importing.reading import read_source
from touchstone.importing.request import Imported, Request

STSB = "mteb/stsbenchmark-sts"


def entry(task: str = "STSBenchmark", value: Any = 82.03, dataset: str = STSB, **more: Any) -> dict[str, Any]:
    (made,) = eval_result_entries_to_yaml([EvalResultEntry(dataset_id=dataset, task_id=task, value=value, **more)])
    return made


def write(folder: Path, *entries: Any, name: str = "mteb.yaml") -> Path:
    path = folder / "some-model" / ".eval_results" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(list(entries)), encoding="utf-8")
    return path


def read(source: Path) -> Imported:
    (found,) = read_source(Request(source=str(source), folder=source.parent))
    return found


@pytest.mark.parametrize("inside", ["", ".eval_results", ".eval_results/mteb.yaml"])
def test_what_the_hubs_library_writes_is_read_from_any_depth(tmp_path: Path, inside: str) -> None:
    commit = "b0fddb56ed78048fa8b90373c8a3cfc37b684831"
    write(tmp_path, entry(dataset_revision=commit, date="2026-01-31", source_url="https://x", notes="by hand"))
    found = read(tmp_path / "some-model" / inside)
    assert (found.alias, found.model, found.source) == ("some-model", "some-model", "eval_results:some-model")
    (one,) = found.entries.values()
    assert (one.metric, one.subsets, one.dataset_revision) == ("cosine_spearman", {"test/default": 0.8203}, commit)


def test_what_mteb_writes_is_read_subset_by_subset(tmp_path: Path) -> None:
    scores = {"en-en": 0.876543, "ko-ko": 0.004321, "ar-ar": 0.25}
    said: list[Any] = [
        {"main_score": score, "hf_subset": subset, "languages": ["eng-Latn"]} for subset, score in scores.items()
    ]
    result = TaskResult(
        dataset_revision="x", task_name="STS17", mteb_version="2.26.24", scores={"test": said}, evaluation_time=1.0
    )
    path = write(tmp_path, name="sts17.yaml")
    path.write_text(result._to_hf_benchmark_result().to_yaml())
    found = read(path)
    assert found.entries["STS17"].subsets == {f"test/{name}": score for name, score in sorted(scores.items())}


@given(st.floats(1.00001, 100))
def test_a_percent_is_read_to_twelve_digits(tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
    found = load_eval_results(write(tmp_path_factory.getbasetemp(), entry(value=value)))
    entries, notes = make_entries(found, "x")
    assert (entries["STSBenchmark"].score, notes) == (round(value / 100, 12), [])


@pytest.mark.parametrize(
    ("wrong", "reason", "what"),
    [
        (entry(value=0.8203), UNKNOWN_SCALE, "STSBenchmark"),
        (entry(value=8203.0), FAULT, "mteb.yaml[1] (STSBenchmark): value = 8203; expected percent, -100 to 100"),
        (entry(value="82.03"), FAULT, 'mteb.yaml[1]: value = "82.03"; expected a number'),
        (entry("diamond", dataset="cais/hle"), NOT_A_TASK, "diamond"),
        (entry("STSBenchmark_xx_test"), NOT_A_TASK, "STSBenchmark_xx_test"),
        (entry("STS17", dataset="mteb/sts17-crosslingual-sts"), MEAN, "STS17"),
        (entry("STSB_default_test"), OTHER_DATA, f"STSB_default_test ({STSB})"),
        ({"value": 3.0}, FAULT, 'mteb.yaml[1]: needs a key "dataset"'),
        (3, FAULT, "mteb.yaml[1]: expected a table"),
    ],
)
def test_what_is_not_certain_is_left_out_with_its_reason(tmp_path: Path, wrong: Any, reason: str, what: str) -> None:
    fine = entry("ArguAna_default_test", 60.5, "mteb/arguana")
    row, note = load_eval_results(write(tmp_path, fine, wrong))
    assert isinstance(row, Published)
    assert (row.task.name, note) == ("ArguAna", Note(reason=reason, what=what))


def test_one_file_that_is_no_yaml_is_a_note_and_two_that_disagree_leave_the_task_out(tmp_path: Path) -> None:
    write(tmp_path, entry(), entry("ArguAna", 60.5, "mteb/arguana"))
    write(tmp_path, entry(value=82.3), name="other.yml")
    write(tmp_path, name="z.yaml").write_text("[")
    found = read(tmp_path / "some-model")
    assert list(found.entries) == ["ArguAna"]
    assert [note.what for note in found.notes] == [
        "z.yaml: not YAML at line 2: did not find expected node content",
        "mteb.yaml[0] (STSBenchmark): cosine_spearman is 0.8203 in one place and 0.823 in another",
    ]


def test_a_card_with_scores_goes_before_and_one_without_does_not(tmp_path: Path) -> None:
    folder = write(tmp_path, entry()).parent.parent
    (folder / "README.md").write_text("---\ntags: [mteb]\n---\n# A model\n")
    assert "STSBenchmark" in read(folder).entries
    (folder / "README.md").write_text("---\nmodel-index: []\n---\n# A model\n")
    with pytest.raises(BaselineError, match="model-index has 0 models"):
        read(folder)


def test_a_snapshot_of_the_hubs_cache_names_its_model_and_commit(tmp_path: Path) -> None:
    folder = write(tmp_path, entry()).parent.parent
    snapshot = tmp_path / "models--org--name" / "snapshots" / ("c" * 40)
    snapshot.parent.mkdir(parents=True)
    folder.rename(snapshot)
    found = read(snapshot)
    assert (found.alias, found.model, found.revision) == ("name", "org/name", "c" * 40)


def test_the_command_writes_a_baseline_and_says_what_it_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, entry(), entry("diamond", dataset="cais/hle"))
    assert main(["baselines", "import", str(path), "--into", str(tmp_path / "own")]) == 0
    assert f"{NOT_A_TASK}: diamond" in capsys.readouterr().out
    assert (tmp_path / "own" / "some-model.json").is_file()
