"""Tasks whose class is the user's own, as a user meets them: run, marked, gated, reused, each time in a process."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mteb
import pytest

from tests.classes import install
from tests.encoders import save_tiny_model
from touchstone import own_code

EVALS = ("-p", "touchstone.plugin", "--pyargs", "touchstone", "-p", "no:cacheprovider", "-p", "no:randomly")
MODULE = '''
"""Tasks of a project: what happened, in the order in which it did, and pairs of sentences."""
import json
from pathlib import Path

from datasets import Dataset
from mteb import TaskMetadata
from mteb.abstasks import AbsTaskRetrieval, AbsTaskSTS

HERE = Path(__file__).parent


def describe(name, type, main_score, **more):
    return TaskMetadata(name=name, description="Made for a test.", type=type, main_score=main_score,
                        dataset={"path": "none", "revision": "1"}, **more)


class Events(AbsTaskRetrieval):
    metadata = describe("Events", "Retrieval", "ndcg_at_10", eval_langs=["eng-Latn"])

    def load_data(self, **kwargs):
        rows = [json.loads(line) for line in (HERE / "events.jsonl").read_text().splitlines()]
        corpus = Dataset.from_list([{"id": row["id"], "title": "", "text": row["text"]} for row in rows])
        queries = Dataset.from_list([{"id": "q" + row["id"], "text": row["asked"]} for row in rows])
        judged = {"q" + row["id"]: {row["id"]: 1} for row in rows}
        self.dataset = {"default": {"test": {
            "corpus": corpus, "queries": queries, "relevant_docs": judged, "top_ranked": None}}}
        self.data_loaded = True


class Pairs(AbsTaskSTS):
    metadata = describe("Pairs", "STS", "cosine_spearman", eval_langs={"de": ["deu-Latn"], "en": ["eng-Latn"]})
    version = 1

    def load_data(self, **kwargs):
        rows = [{"sentence1": f"a river {'abcdefg'[n % 7]}", "sentence2": f"b bridge {'hijklmnopqr'[n * n % 11]}",
                 "score": n * 5 % 6}
                for n in range(120)]
        self.dataset = {name: {"test": Dataset.from_list(rows[::1 if name == "de" else 2])} for name in self.hf_subsets}
        self.data_loaded = True
'''
SUITE = """
models = ["./tiny"]
slices = ["language"]
[[tasks.custom]]
class = "events.tasks:Events"
[[tasks.custom]]
class = "events.tasks:Pairs"
"""
EVENTS, PAIRS = "tiny:Events", "tiny:Pairs"
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa")


def pytest_in(folder: Path, *arguments: str) -> tuple[str, int]:
    """Run pytest in a folder as a user does; return what it writes and its exit code."""
    command = [sys.executable, "-m", "pytest", *EVALS, "--device", "cpu", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr, done.returncode


def records(folder: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """Run the suite with a report, and return its records by case."""
    report = folder / "run.json"
    report.unlink(missing_ok=True)
    said, _ = pytest_in(folder, "--suite", "my.toml", "--report", str(report), *arguments)
    assert report.is_file(), said
    return {record["case"]: record for record in json.loads(report.read_text())["records"]}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose two classes have baselines of a tiny model."""
    folder = tmp_path_factory.mktemp("classes") / "project"
    (folder / "events").mkdir(parents=True)
    save_tiny_model(folder / "tiny")
    shutil.rmtree(folder / "tiny-bare")
    (folder / "events" / "tasks.py").write_text(MODULE)
    names = [chr(97 + n % 26) + chr(97 + n // 26) for n in range(60)]
    rows = [
        {"id": f"e{n}", "text": f"{' '.join(WORDS[n % 8 :: 1 + n % 3])} {name}", "asked": f"{WORDS[n % 10]} {name}"}
        for n, name in enumerate(names)
    ]
    write_events(folder, rows)
    (folder / "my.toml").write_text(SUITE)
    found = records(folder, "--baseline", "update")
    assert {name: record["outcome"] for name, record in found.items()} == {EVENTS: "passed", PAIRS: "passed"}
    return folder


def write_events(folder: Path, rows: list[dict[str, str]]) -> None:
    (folder / "events" / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def project(recorded: Path, tmp_path: Path) -> Path:
    """A copy of it: nothing that is known names a place."""
    return shutil.copytree(recorded, tmp_path / "project")


@pytest.mark.filterwarnings("default")  # mteb's own
def test_its_scores_are_those_of_plain_mteb(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sentence_transformers import SentenceTransformer

    monkeypatch.setattr(sys, "path", [str(recorded), *sys.path])
    monkeypatch.setattr(own_code, "_FOLDERS", {})
    entries = json.loads((recorded / "baselines" / "tiny.json").read_text())["tasks"]
    model = SentenceTransformer(str(recorded / "tiny"), device="cpu")
    for name, entry in entries.items():
        task = own_code.load_object(f"events.tasks:{name}", AssertionError)()  # type: ignore[arg-type]
        result = mteb.evaluate(model, task, cache=None, show_progress_bar=False, co2_tracker=False)
        theirs = {one["hf_subset"]: one["main_score"] for one in result.task_results[0].scores["test"]}
        assert {f"test/{subset}": score for subset, score in theirs.items()} == pytest.approx(
            entry["subsets"], abs=1e-6
        )
    assert (entries["Events"]["n"], entries["Pairs"]["n"]) == (60, 180)


def test_it_has_marks_an_id_and_a_place_in_the_plan(project: Path) -> None:
    def collected(*arguments: str) -> list[str]:
        said, _ = pytest_in(project, "--suite", "my.toml", "--collect-only", "-q", "--strict-markers", *arguments)
        return [line.partition("[")[2].removesuffix("]") for line in said.splitlines() if "::" in line]

    assert collected() == [EVENTS, PAIRS]
    assert collected("-m", "language(code='deu') and sts", "-k", "Pairs", "--task", "P*") == [PAIRS]
    plan = subprocess.run([sys.executable, "-m", "touchstone", "plan", "--suite", "my.toml"], cwd=project, check=True,
                          capture_output=True, text=True).stdout  # fmt: skip
    assert [line.split()[:5] for line in plan.splitlines()[1:3]] == [
        ["tiny:Events", "Retrieval", "ndcg_at_10", "test/default", "class"],
        ["tiny:Pairs", "STS", "cosine_spearman", "test/de", "test/en"],
    ]


def test_it_is_gated_by_its_samples_and_measured_again_unless_a_version_vouches_for_its_data(project: Path) -> None:
    found = records(project, "--model", "./tiny", "--model", "./tiny@truncate_dim=2", "--against", "tiny")
    known = {name: (found[name]["verdict"], found[name]["rule"], found[name]["reused"]) for name in (EVENTS, PAIRS)}
    assert known == {EVENTS: ("pass", "reproduce", False), PAIRS: ("pass", "reproduce", True)}
    assert found[EVENTS]["encoded"] == 0, "its vectors are in the store"
    smaller = found["tiny+truncate_dim-2:Pairs"]
    assert (smaller["rule"], smaller["evidence"]["n"]) == ("paired", 180)
    assert [one["value"] for one in smaller["slices"]] == ["deu-Latn", "eng-Latn"]


def test_other_data_is_incomparable_and_other_code_measured_again(project: Path) -> None:
    lines = (project / "events" / "events.jsonl").read_text().splitlines()
    write_events(project, [json.loads(line) for line in lines[:-1]])
    module = project / "events" / "tasks.py"
    module.write_text(MODULE + "# Another word.\n")
    found = records(project)
    assert found[EVENTS]["verdict"] == "incomparable"
    assert "the data files are " in found[EVENTS]["reason"]
    assert (found[PAIRS]["verdict"], found[PAIRS]["reused"]) == ("pass", False)
    assert "; the code of its task is " in found[PAIRS]["reason"]
    module.write_text(MODULE.replace("n * 5 % 6", "n * 5 % 4").replace("version = 1", "version = 2"))
    assert records(project, "--task", "Pairs")[PAIRS]["verdict"] == "incomparable"


def test_workers_import_it_each_for_itself(project: Path) -> None:
    found = records(project, "-n", "2", "--overwrite")
    assert {(one["verdict"], one["reused"]) for one in found.values()} == {("pass", False)}


def test_one_that_raises_is_an_error_of_its_own_case(project: Path) -> None:
    module = project / "events" / "tasks.py"
    module.write_text(MODULE.replace('"events.jsonl"', '"gone.jsonl"'))
    said, code = pytest_in(project, "--suite", "my.toml")
    assert code == 1
    line = next(n for n, text in enumerate(MODULE.splitlines(), 1) if "json.loads" in text)
    assert f"{EVENTS}: events.tasks:Events, line {line}: load_data raised FileNotFoundError: [Errno 2] No such" in said
    assert "Traceback" not in said
    assert "INTERNALERROR" not in said
    assert "1 passed, 1 error" in said


def test_a_task_that_an_installed_package_registers_is_one_of_mtebs(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = project.parent / "site"
    install(site, Pairs="installed_pairs:Pairs")
    (site / "installed_pairs.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=":")
    (project / "my.toml").write_text(
        'models = ["./tiny"]\n[tasks]\ninclude = ["Pair?"]\nsubsets = { Pairs = ["de"] }\n'
    )
    record = records(project, "--baseline", "off")[PAIRS]
    expected = json.loads((project / "baselines" / "tiny.json").read_text())["tasks"]["Pairs"]["subsets"]["test/de"]
    assert record["subsets"] == pytest.approx({"test/de": expected}, abs=1e-9)


def test_a_strangers_suite_runs_its_class_only_where_that_is_typed(project: Path) -> None:
    here = project.parent / "here"
    here.mkdir()
    (project / "events" / "__init__.py").write_text(f"open({str(here / 'ran')!r}, 'w')\n")
    theirs = ("--suite", "../project/my.toml", "--collect-only", "-q")
    said, code = pytest_in(here, *theirs)
    assert code == pytest.ExitCode.USAGE_ERROR
    assert (
        f'ERROR: {here}/../project/my.toml: class = "events.tasks:Events" is Python, and the file lies outside {here}; '
        "add --allow-python to let it run"
    ) in said
    assert not (here / "ran").exists()
    assert pytest_in(here, *theirs, "--allow-python")[1] == 0
    assert (here / "ran").exists(), "a module beside the suite's file is found"


def test_what_is_not_of_text_alone_is_counted_at_the_end_of_a_run(project: Path) -> None:
    module = project / "events" / "tasks.py"
    module.write_text(MODULE.replace('eval_langs={"de"', 'modalities=["image", "text"], eval_langs={"de"'))
    said, _ = pytest_in(project, "--suite", "my.toml")
    last = said[said.index("= touchstone: my =") :].splitlines()
    assert "1 cases left out: not text only (image, text)" in last
