import io
from types import SimpleNamespace
from typing import Any, cast

import pytest

from touchstone.foreign import Command
from touchstone.plugin.guard import GuardedFile, clean_report


def written(*texts: str) -> str:
    file = io.StringIO()
    guarded = GuardedFile(file)
    guarded.writelines(list(texts))
    return file.getvalue()


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (("a line\n", "::error::x\n"), "a line\n:\\:error::x\n"),
        (("evals/test_tasks.py", "::test_task[a:b] ", "::x\n"), "evals/test_tasks.py::test_task[a:b] ::x\n"),
        (("\n", ":", ":error::x\n"), "\n:\\:error::x\n"),
        (("  ", "::error::x\n"), "  :\\:error::x\n"),
        (("collecting", "\rcollecting ... ", "\r::error::x"), "collecting\rcollecting ... \r:\\:error::x"),
        (("\x1b[32mpassed\x1b[0m", "\x1b[2J", "\x1b]0;x\x07\n"), "\x1b[32mpassed\x1b[0m\\x1b[2J\\x1b]0;x\\x07\n"),
        ((Command("::error title=a::b"), "\n", "::error::x"), "::error title=a::b\n:\\:error::x"),
        (("half \ud800\n",), "half \\ud800\n"),
    ],
)
def test_what_is_written_commands_and_moves_nothing(texts: tuple[str, ...], shown: str) -> None:
    assert written(*texts) == shown


def test_everything_else_of_a_file_is_the_file_s_own() -> None:
    file = io.StringIO()
    assert GuardedFile(file).write("\x1b") == 1
    assert GuardedFile(file).getvalue() == "\\x1b"


SAID = "say \x1b[2J abc-secret-xyz"


@pytest.mark.parametrize("longrepr", [SAID.replace("J ", "J\n"), SimpleNamespace(lines=[SAID])])
def test_a_report_is_clean_in_every_part(longrepr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE_TOKEN", "abc-secret-xyz")
    report = SimpleNamespace(
        longrepr=longrepr,
        sections=[("Captured stdout call", "::error::abc-secret-xyz\n\x1b[1m")],
        user_properties=[("score", 0.5), ("why", "abc-secret-xyz\n")],
    )
    clean_report(cast(pytest.TestReport, report))
    said = report.longrepr if isinstance(report.longrepr, str) else report.longrepr.lines[0]
    assert said == "say \\x1b[2J ***"
    assert report.sections == [("Captured stdout call", ":\\:error::***\n\\x1b[1m")]
    assert report.user_properties == [("score", 0.5), ("why", "***")]
