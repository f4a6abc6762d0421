"""The line of progress of a run from Python: in a notebook, in a terminal, for a function, or nowhere."""

import io
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from touchstone import measure
from touchstone.errors import ConfigError

TASKS: Any = {"tasks": "smoke", "select": ["SmokeSTS", "SmokeRetrieval"], "device": "cpu", "baseline": "off"}


class Notebook:
    """Stands in for the kernel of a notebook; `pages` are what its one output showed, one after the other."""

    def __init__(self) -> None:
        self.pages: list[str] = []

    def display(self, page: str, *, display_id: bool) -> "Notebook":
        assert display_id
        self.update(page)
        return self

    def update(self, page: str) -> None:
        self.pages.append(page)

    HTML = str


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    shown = Notebook()
    ipython: Any = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    ipython.display = shown
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    monkeypatch.setattr("touchstone.library.progress.INTERVAL_S", 0.0)
    return shown


def test_a_notebook_shows_a_line_of_itself(project: Path, tiny: Any, notebook: Notebook) -> None:
    result = measure(tiny, **TASKS)
    assert result.exit_code == 0
    assert notebook.pages[0] == ""
    bars = [re.search(r'max="2" value="(\d)"', page) for page in notebook.pages[1:]]
    assert [bar and bar[1] for bar in bars] == sorted(bar[1] for bar in bars if bar)
    assert any("0 of 2 cases done, about " in page for page in notebook.pages)
    assert any(re.search(r"; model:SmokeRetrieval: \w+", page) for page in notebook.pages)
    assert notebook.pages[-1].endswith("<small>2 of 2 cases done</small>")


def test_what_a_line_shows_is_text(project: Path, tiny: Any, notebook: Notebook) -> None:
    def encode(*_: Any, **__: Any) -> Any:
        raise RuntimeError("<script>")

    tiny.encode = encode
    measure(tiny, **TASKS)
    assert not any("<script" in page for page in notebook.pages)


@pytest.mark.parametrize("choice", [False, lambda _: None])
def test_a_notebook_shows_no_line_where_none_is_wanted(
    project: Path, tiny: Any, notebook: Notebook, choice: Any
) -> None:
    measure(tiny, progress=choice, **TASKS)
    assert notebook.pages == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("choice", "seen"), [(True, True), (None, False), (False, False)])
def test_a_terminal_shows_one_when_asked(
    project: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch, *, choice: bool | None, seen: bool
) -> None:
    monkeypatch.setattr(sys, "stderr", shown := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    given: Any = {} if choice is None else {"progress": choice}
    measure(tiny, **TASKS, **given)
    assert ("2 of 2 cases done" in shown.getvalue()) == seen


def test_a_function_is_called_with_words(project: Path, tiny: Any) -> None:
    words: list[str] = []
    measure(tiny, progress=words.append, **TASKS)
    assert any(text.startswith("encoding") for text in words)


@pytest.mark.parametrize("choice", ["yes", 2, []])
def test_another_choice_is_an_error_before_anything_is_measured(project: Path, tiny: Any, choice: Any) -> None:
    with pytest.raises(ConfigError, match="expected True, False or a function"):
        measure(tiny, progress=choice, **TASKS)
    assert not (project / ".touchstone").exists()
