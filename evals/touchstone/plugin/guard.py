"""A guard of what pytest shows: no text of a stranger's moves the cursor, commands a CI, or shows a secret."""

import os
import sys
from functools import partial
from typing import Any

import pytest

from touchstone.foreign import Command, in_every, in_log, lines, one_line

# What names a command to a CI at the start of a line may begin in one write and end in the next.
PREFIX_LENGTH = 2


class GuardedFile:
    """A text file that changes what is written as `foreign.in_log` does; lines that a CI is to obey go through.

    Args:
        file: where it goes.
    """

    def __init__(self, file: Any) -> None:
        self.unguarded = file
        self._begun = ""  # the first signs of the line

    def write(self, text: str) -> int:
        """Write text; return its length, as files do."""
        if isinstance(text, Command):
            safe = str(text)
        else:
            back = "\r" * text.startswith("\r")  # pytest writes a line again
            safe = back + in_log(text[len(back) :], at_start=not self._begun or bool(back))
            if self._begun == ":" and safe.startswith(":"):
                safe = f"\\{safe}"
        self.unguarded.write(safe)
        self._begun = (self._begun + text).replace("\r", "\n").rpartition("\n")[2].lstrip()[:PREFIX_LENGTH]
        return len(text)

    def writelines(self, texts: list[str]) -> None:
        """Write texts one after the other."""
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


def guard_terminal(config: pytest.Config) -> None:
    """Guard what pytest writes, and in a CI what tests print where pytest does not capture it."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not isinstance(reporter._tw._file, GuardedFile):
        reporter._tw._file = GuardedFile(reporter._tw._file)
    if config.option.capture == "no" and os.environ.get("CI") and not hasattr(config, "workerinput"):
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if not isinstance(stream, GuardedFile):
                setattr(sys, name, GuardedFile(stream))
                config.add_cleanup(partial(setattr, sys, name, stream))


def clean_report(report: pytest.TestReport) -> None:
    """Clean everything that a report shows, for the terminal, for JUnit and for whatever reads it after."""
    longrepr = report.longrepr
    report.longrepr = one_line(longrepr) if isinstance(longrepr, str) else in_every(longrepr, lines)
    report.sections = in_every(report.sections, lines)
    report.user_properties = in_every(report.user_properties, one_line)
