"""One line of progress that leaves the lines of pytest as they are."""

import os
import time
from collections.abc import Callable
from typing import Any, Self


class TerminalLine:
    """What is right of the cursor, behind the dots of a terminal; nothing in CI, in a file, and in workers.

    Args:
        reporter: pytest's terminal reporter, or None where there is none.
        capture: pytest's capture manager.
    """

    def __init__(self, reporter: Any, capture: Any) -> None:
        self._reporter = reporter
        self._capture = capture
        writer = getattr(reporter, "_tw", None)
        self.shown = writer is not None and writer.hasmarkup and not os.environ.get("CI")
        self._painted = False

    @classmethod
    def of(cls, config: Any) -> Self:
        """Return the line of a session, by pytest's configuration."""
        manager = config.pluginmanager
        return cls(manager.get_plugin("terminalreporter"), manager.get_plugin("capturemanager"))

    def paint(self, text: str) -> None:
        """Write right of the cursor and put it back, so that pytest's own line stays as it is."""
        if not self.shown:
            return
        file = self._reporter._tw._file
        with self._capture.global_and_fixture_disabled():
            self.paint_by(text, getattr(file, "unguarded", file).write)
            file.flush()
        self._painted = bool(text)

    def paint_by(self, text: str, write: Callable[[str], object]) -> None:
        """Do so by a function that reaches the terminal."""
        writer = self._reporter._tw
        room = writer.fullwidth - writer.width_of_current_line - 1
        write(f"\x1b7\x1b[K{text[: max(room, 0)]}\x1b8")

    def clear(self) -> None:
        """Take away what was written."""
        if self._painted:
            self.paint("")


class CaseProgress:
    """Shows what a long case is doing, and how long the run will take.

    Args:
        line: to show it on.
        left: says how long the run will take; ``""`` where that is not known.
    """

    SILENT_FOR = 3.0
    EVERY = 0.3

    def __init__(self, line: TerminalLine, left: Callable[[], str] = str) -> None:
        self._line = line
        self._left = left
        self._started = self._last = time.monotonic()

    def __call__(self, text: str) -> None:
        """Show a few words, unless it is too early or too soon."""
        now = time.monotonic()
        if self._line.shown and now - self._started > self.SILENT_FOR and now - self._last > self.EVERY:
            self._last = now
            left = self._left()
            self._line.paint(f" {text}; {left}" if left else f" {text}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.clear()
