"""What measure gives is what pytest gives: the same numbers, records, verdicts and store."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import touchstone
from tests.conftest import ROOT
from touchstone import Model, Result, Suite, load_run, measure
from touchstone.records.runs import Record, Run
from touchstone.store.runs import load_runs


def decided(record: Record) -> dict[str, Any]:
    """Return what is the same however a case was run: all but times, speeds and what was known before."""
    told = replace(record, command=None, seconds=None, phases=None, speed=None, encoded=None, reused=False)
    return {name: getattr(told, name) for name in told.__dataclass_fields__}


def run_pytest(store: Path, *arguments: str) -> Run:
    asked = ["-q", "-p", "no:cacheprovider", "-p", "touchstone.plugin", "--pyargs", "touchstone", "--store", str(store)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *asked, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return load_runs(store)[-1]


def assert_same(result: Result, run: Run) -> None:
    assert list(map(decided, result.records)) == list(map(decided, run.records))
    assert result.run.suites == run.suites
    assert result.run.suite == run.suite


def published() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "baselines" / "minilm.json").read_text())["tasks"]
    return found


def test_it_gives_the_committed_baseline_again(minilm: Result) -> None:
    (record,) = minilm.records
    entry = published()[record.task]
    assert record.score == pytest.approx(entry["score"], abs=1e-6)
    assert (record.fingerprint, record.n, record.verdict) == (entry["fingerprint"], entry["n"], "pass")
    assert (minilm.verdict, minilm.exit_code) == ("PASS", 0)


def test_pytest_gives_the_same_records_from_the_same_store(minilm: Result) -> None:
    run = run_pytest(minilm.store, "--device", "cpu", "--task", "SmokeSTS")
    assert_same(minilm, run)
    assert [record.encoded for record in run.records] == [0]  # its vectors were there


def test_the_whole_suite_gives_what_pytest_gives_and_the_committed_baseline(tmp_path: Path) -> None:
    result = measure("minilm", "smoke", store=tmp_path / "here", device="cpu")
    assert_same(result, run_pytest(tmp_path / "there", "--device", "cpu"))
    assert result.verdict == "PASS"
    entries = published()
    assert {r.task: r.score for r in result.records} == {
        r.task: pytest.approx(entries[r.task]["score"], abs=1e-6) for r in result.records
    }
    assert len(result.records) == 6


def test_the_record_in_the_store_is_the_result(minilm: Result) -> None:
    loaded = load_run(minilm.store / "runs" / sorted((minilm.store / "runs").iterdir())[0].name)
    assert loaded.run == minilm.run
    assert loaded.store == minilm.store


def test_a_case_that_cannot_be_measured_has_an_error_and_no_score(project: Path, folder: Path) -> None:
    (project / "broken").mkdir()
    rows = [{"sentence1": "a", "sentence2": "b", "score": 1.0}] * 3  # no correlation can be had of them
    (project / "broken" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    suite = touchstone.Suite("mine", tasks={"custom": [{"name": "Flat", "type": "STS", "path": "broken"}]})
    result = measure(Model(folder, "tiny"), suite)
    (record,) = result.records
    assert record.error is not None
    assert record.score is None
    assert (result.verdict, result.exit_code) == ("INCOMPLETE", 1)
    assert "Flat" in str(result)


def test_folders_of_data_and_suites_are_tasks_too(project: Path, folder: Path) -> None:
    rows = [
        {"sentence1": "a cat", "sentence2": word, "score": n} for n, word in enumerate(["cat", "dog", "cow", "bee"])
    ]
    (project / "pairs").mkdir()
    (project / "pairs" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    by_folder = measure(Model(folder, "tiny"), "STS:./pairs", baseline="off")
    (project / "mine.toml").write_text(
        'models = ["minilm"]\n[[tasks.custom]]\nname = "pairs"\ntype = "STS"\npath = "pairs"\n'
    )
    by_file = measure(Model(folder, "tiny"), "mine.toml", baseline="off")
    assert [r.score for r in by_folder.records] == [r.score for r in by_file.records]
    assert by_folder.records[0].n == 4


def test_what_no_command_can_name_has_none(project: Path, folder: Path, tiny: Any) -> None:
    named = measure(Model(folder, "tiny"), "smoke", select=["SmokeSTS"], baseline="off")
    assert "--task SmokeSTS" in str(named.records[0].command)
    assert measure(tiny, "smoke", select=["SmokeSTS"]).records[0].command is None


def test_without_a_baseline_a_model_in_memory_is_not_judged_and_that_is_no_pass(project: Path, tiny: Any) -> None:
    result = measure(tiny, "smoke", select=["SmokeSTS"])
    assert result.verdict is None
    assert result.records[0].score is not None
    named = measure(Model(tiny, "own"), "smoke", select=["SmokeSTS"], baseline="check")
    assert named.records[0].verdict == "missing"
    assert 'measure own once with baseline="record"' in str(named.records[0].reason)


def test_a_task_that_is_recorded_under_another_name_is_told_it(project: Path, tiny: Any) -> None:
    (project / "pairs").mkdir()
    rows = [{"sentence1": a, "sentence2": a[1], "score": n} for n, a in enumerate(["ax", "bb", "cd", "de"])]
    (project / "pairs" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recorded = Suite(tasks={"custom": [{"name": "HelpDesk", "type": "STS", "path": "pairs"}]})
    measure(Model(tiny, "own"), recorded, baseline="record")
    record = measure(Model(tiny, "own"), "STS:./pairs", baseline="check").records[0]
    reason = str(record.reason)
    assert record.error is None
    assert reason.startswith("no baseline for own:pairs; ")
    assert 'there is "HelpDesk", which seems to be the same task: name = "HelpDesk" under tasks.custom' in reason
    assert reason.endswith('measure own once with baseline="record"')
