"""One line of progress that leaves the lines of pytest as they are."""

import os
import time
from collections.abc import Callable
from typing import Any, Self


class TerminalLine:
    """The line below pytest's own in a terminal; nothing in CI, in a file, and in workers.

    Behind the dots there may be no room: the path before them can be as wide as the terminal.

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
        """Write below the cursor and put it back, so that pytest's own line stays as it is."""
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
        # A new line scrolls the last one up, so the way back is one up and to the column, not to a saved place.
        write(f"\n\r\x1b[K{text[: writer.fullwidth - 1]}\x1b[1A\x1b[{writer.width_of_current_line + 1}G")

    def clear(self) -> None:
        """Take away what was written."""
        if self._painted:
            self.paint("")


class CaseProgress:
    """Shows how far a run is, and what a long case is doing.

    Args:
        line: to show it on.
        note: takes in what the case is doing, in a few words.
        render: returns how far the run is.
    """

    SILENT_FOR = 3.0
    PAINT_INTERVAL_S = 0.3

    def __init__(self, line: TerminalLine, note: Callable[[str], None], render: Callable[[], str]) -> None:
        self._line = line
        self._note = note
        self._render = render
        self._started = self._last_paint = time.monotonic()

    def __call__(self, text: str) -> None:
        """Show a few words, unless it is too early or too soon."""
        now = time.monotonic()
        is_due = now - self._started > self.SILENT_FOR and now - self._last_paint > self.PAINT_INTERVAL_S
        self._note(text)
        if self._line.shown and is_due:
            self._last_paint = now
            self._line.paint(self._render())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.clear()
