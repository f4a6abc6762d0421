"""A task type that another package adds: found by its entry point, run, recorded and judged."""

import json
from pathlib import Path

import pytest
import sentence_transformers  # noqa: F401  # once: pytester forgets what a test imports, and torch bears no second time

from tests.encoders import save_tiny_model
from touchstone.errors import ConfigError
from touchstone.task_types import registry
from touchstone.task_types.base import TaskType

MODULE = """
from touchstone.task_types.base import FolderLayout, TaskType
from touchstone.task_types.folders import read_scored_pairs
from touchstone.task_types.sts import STS, collect


def load(task, folder):
    from datasets import Dataset, DatasetDict

    task.min_score, task.max_score = 0, 1
    rows = [dict(pair) for pair in read_scored_pairs(folder / "tones.jsonl")]
    return DatasetDict({"test": Dataset.from_list(rows)})


TONES_BY_RANK = TaskType(
    name="ToneRanks",
    collect=collect,
    formulas=STS.formulas,
    texts=STS.texts,
    folder=FolderLayout(files=("tones.jsonl",), main_score="cosine_spearman", base="AbsTaskSTS", load=load),
)
"""


# Some of what the tiny model has tokens for.
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project beside an installed distribution with one module and one entry point."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # of the session that runs this test
    site = pytester.path / "site"
    info = site / "tone_types-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "tone_types.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tone-types\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[touchstone.task_types]\nranks = tone_types:TONES_BY_RANK\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    save_tiny_model(pytester.path / "tiny")
    (pytester.path / "data").mkdir()
    rows = [
        {"sentence1": " ".join(WORDS[n % 8 :: 1 + n % 3]), "sentence2": " ".join(WORDS[: 1 + n % 5]), "score": n % 11}
        for n in range(120)
    ]
    (pytester.path / "data" / "tones.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    custom = '[[tasks.custom]]\nname = "Tones"\ntype = "ToneRanks"\npath = "data"\n'
    (pytester.path / "my.toml").write_text(f'models = ["./tiny"]\n{custom}')
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_subprocess(
        "-p", "touchstone.plugin", "--pyargs", "touchstone", "--suite", "my.toml", "--device", "cpu", *arguments
    )


def test_a_type_from_outside_is_run_recorded_and_judged(project: pytest.Pytester) -> None:
    recorded = run(project, "-m", "tone_ranks", "--baseline", "update", "--strict-markers")
    recorded.assert_outcomes(passed=1)
    entry = json.loads((project.path / "baselines" / "tiny.json").read_text())["tasks"]["Tones"]
    assert (entry["metric"], entry["n"]) == ("cosine_spearman", 120)
    run(project).assert_outcomes(passed=1)
    run(project, "--model", "./tiny@truncate_dim=2", "--against", "tiny", "--report", "run.json")
    (record,) = json.loads((project.path / "run.json").read_text())["records"]
    assert (record["type"], record["rule"], record["evidence"]["n"]) == ("ToneRanks", "paired", 120)
    assert record["recomputed"] == pytest.approx(record["score"], abs=1e-9)


def test_a_type_that_nobody_has_is_one_sentence_with_those_there_are(project: pytest.Pytester) -> None:
    text = (project.path / "my.toml").read_text().replace("ToneRanks", "ToneRank")
    (project.path / "my.toml").write_text(text)
    result = run(project)
    assert result.ret == 4
    result.stderr.fnmatch_lines(['*Tones: type = "ToneRank"; did you mean "ToneRanks"[?]'])


@pytest.mark.parametrize("found", ["a string", TaskType(name="STS")])
def test_what_is_registered_must_be_a_new_type(monkeypatch: pytest.MonkeyPatch, found: object) -> None:
    monkeypatch.setattr(registry, "load_extensions", lambda _: {"mine": found})
    with pytest.raises(ConfigError, match=r"^touchstone\.task_types: mine must be a TaskType with a name of its own$"):
        registry.find_type("Nowhere")


def test_tasks_of_a_type_that_nobody_has_described_have_scores_and_no_samples() -> None:
    kind = registry.find_type("Any2AnyRetrieval")
    assert (kind.name, kind.collect, kind.searches) == ("Any2AnyRetrieval", None, None)


def test_every_type_has_a_mark_of_its_own() -> None:
    marks = [one.mark for one in registry.all_types()]
    assert len(set(marks)) == len(marks) == 13


def test_no_file_of_the_data_is_read_from_elsewhere(tmp_path: Path) -> None:
    for one in registry.all_types():
        assert one.folder is None or not any(Path(name).is_absolute() or ".." in name for name in one.folder.files)
