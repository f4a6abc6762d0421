"""`touchstone models`, `suites`, `tasks`, `open` and `run`."""

import os
import sys
import webbrowser
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import make_row, make_run
from touchstone.__main__ import main
from touchstone.config.models import load_models
from touchstone.files.writing import to_json
from touchstone.records.flat import flatten


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(list(words)) == 0
    return capsys.readouterr().out.splitlines()


def test_models_are_those_of_the_package_and_of_the_project(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "m.toml").write_text(
        '[mine]\npath = "ckpt"\n[both]\nkind = "hybrid"\nmodels = ["mine", "bm25"]\n'
        '[served]\nkind = "api"\nurl = "http://127.0.0.1:1/v1"\nname = "x"\n'
    )
    lines = shown(capsys, "models", "--models", "m.toml")
    assert [line.split()[0] for line in lines[1:]] == list(load_models(folder / "m.toml"))
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in lines[1:]}
    assert rows["mine"] == ["sentence-transformers", str(folder / "ckpt")]
    assert rows["both"] == ["hybrid", "mine + bm25"]
    assert rows["served"] == ["api", "http://127.0.0.1:1/v1"]
    assert rows["bge-large-en"][1] == "BAAI/bge-large-en"


def test_suites_say_what_they_have_and_which_one_is_run_here(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "suites")
    assert [line.split()[0] for line in lines[1:]] == ["*", "chinese", "english", "english-v1"]
    assert next(line.split()[2] for line in lines if "english-v1" in line) == "56"
    (folder / "pyproject.toml").write_text('[tool.touchstone]\nsuite = "own.toml"\n')
    (folder / "own.toml").write_text('models = ["minilm"]\n[tasks]\ninclude = ["STS12", "STS13"]\n')
    own = shown(capsys, "suites")[1].split()
    assert own == ["*", "own", "minilm", "2", str(folder / "own.toml")]


def test_tasks_are_found_by_name_type_language_benchmark_and_suite(capsys: pytest.CaptureFixture[str]) -> None:
    def names(*words: str) -> list[str]:
        lines = shown(capsys, "tasks", *words)
        assert lines[-1] == f"{len(lines) - 2} tasks"
        return [line.split()[0] for line in lines[1:-1]]

    assert names("STS1?", "--type", "STS") == ["STS12", "STS13", "STS14", "STS15", "STS16", "STS17"]
    assert "GermanQuAD-Retrieval" in names("--type", "Retrieval", "--language", "deu")
    assert len(names("--benchmark", "MTEB(eng, v2)")) == 41
    assert len(names("--suite", "smoke")) == 6
    assert len(names()) > 1000
    assert main(["tasks", "--type", "Sts"]) == 4
    assert 'did you mean "STS"?' in capsys.readouterr().err
    assert main(["tasks", "x", "--suite", "smoke"]) == 4


def test_tasks_are_those_of_the_project_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def names(*words: str) -> list[str]:
        return [line.split()[0] for line in shown(capsys, "tasks", *words)[1:-1]]

    own = '[[tasks.custom]]\nname = "Mine"\ntype = "STS"\npath = "touchstone:similarity"\nlanguage = "deu-Latn"\n'
    (folder / "own.toml").write_text(f'models = ["minilm"]\n[tasks]\ninclude = ["STS12"]\n{own}')
    (folder / "pyproject.toml").write_text('[tool.touchstone]\nsuite = "own.toml"\n')
    assert names("Mine") == names("Mi?e") == ["Mine"]
    assert names("Mine", "STS12") == ["Mine", "STS12"]
    assert "Mine" in names()
    assert "Mine" in names("--type", "STS", "--language", "deu")
    assert all("Mine" not in names(*words) for words in (("--type", "Retrieval"), ("--language", "fra"), ("STS*",)))
    assert "Mine" not in names("--benchmark", "MTEB(eng, v2)")
    assert main(["tasks", "Mine", "Mien"]) == 4
    assert '"Mien" is not a task of mteb' in capsys.readouterr().err


def test_the_newest_run_is_opened(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["open"]) == 4
    capsys.readouterr()
    runs = folder / ".touchstone" / "runs"
    runs.mkdir(parents=True)
    for name, suite in (("20260101T000000.000000Z", "older"), ("20260102T000000.000000Z", "newer")):
        (runs / f"{name}.json").write_text(
            to_json(flatten(replace(make_run(make_row(outcome="not measured")), suite=suite)))
        )
    opened: list[str] = []

    def browse(address: str) -> bool:
        opened.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", browse)
    page = folder / ".touchstone" / "report.html"
    assert shown(capsys, "open")[-1] == str(page)
    assert opened == [page.as_uri()]
    assert "newer" in page.read_text()
    assert shown(capsys, "open", "--print") == [str(page)], "for another program"
    assert len(opened) == 1
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    assert shown(capsys, "open")[-1] == "no browser could be started"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), ("touchstone",)),
        (("--suite", "english", "-m", "sts"), ("touchstone", "--suite", "english", "-m", "sts")),
        (
            ("../lib/touchstone/test_tasks.py::test_task[a:B c]", "-x"),
            ("touchstone.test_tasks::test_task[a:B c]", "-x"),
        ),
    ],
)
def test_run_hands_everything_to_pytest(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    started: list[list[str]] = []

    def start(_: str, command: list[str]) -> None:
        started.append(command)
        raise SystemExit(3)

    monkeypatch.setattr(os, "execv", start)
    with pytest.raises(SystemExit):
        main(["run", *words])
    assert started == [[sys.executable, "-P", "-m", "pytest", "-p", "touchstone.plugin", "--pyargs", *expected]]
