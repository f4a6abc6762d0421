"""What comes from a hub is shown while it comes."""

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from touchstone.plugin import downloads
from touchstone.plugin.downloads import Downloads


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What lies in the place of the terminal."""
    monkeypatch.setattr(downloads, "POLL_INTERVAL_S", 0.01)
    return tmp_path / "out"


def reader_of(texts: list[str]) -> Any:
    """Return a reader of one text after the other, and what says that all were read."""
    left = [*texts]

    def read() -> str:
        return left.pop(0) if left else ""

    return read, left


def show(out: Path, texts: list[str], paint: Any = None, tell: Any = str) -> None:
    read, left = reader_of(texts)
    with out.open("a") as file, pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setattr(sys, "stdout", file)
        stack.enter_context(Downloads(read, paint, tell))
        until = time.monotonic() + 5
        while left and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.05)


def test_a_terminal_shows_each_step_and_is_left_as_it_was(out: Path) -> None:
    show(out, ["", "1 of 9", "2 of 9", ""], lambda text, write: write(f"<{text}>"))
    assert out.read_text() == "<1 of 9><2 of 9><>"


def test_a_log_has_a_line_each_minute(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    show(out, ["", "1 of 9", "2 of 9", "3 of 9"])
    assert out.read_text() == "\ntouchstone: 1 of 9\n"
    monkeypatch.setattr(downloads, "LOG_INTERVAL_S", 0.0)
    show(out, ["1 of 9", "2 of 9"])
    assert out.read_text().endswith("\ntouchstone: 1 of 9\n\ntouchstone: 2 of 9\n")


def test_a_log_has_the_progress_too_once_a_minute_has_passed(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    show(out, [""] * 5, tell=lambda: "2 of 9 cases done")
    assert out.read_text() == ""
    monkeypatch.setattr(downloads, "LOG_INTERVAL_S", 0.03)
    show(out, [""] * 5, tell=lambda: "2 of 9 cases done")
    assert out.read_text().startswith("\ntouchstone: 2 of 9 cases done\n")


def test_an_output_without_a_number_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    read, left = reader_of(["1 of 9"])
    with Downloads(read, None):
        pass
    assert left == ["1 of 9"]


def test_no_descriptor_is_left_open(out: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    show(out, ["1 of 9"])
    assert len(list(Path("/proc/self/fd").iterdir())) == before
