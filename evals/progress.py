"""One line of progress that leaves the lines of pytest as they are."""

import os
import time
from typing import Any, Self


class CaseProgress:
    """Shows what a long case is doing, behind the dots of a terminal; silent in CI, in a file, and in workers.

    Args:
        reporter: pytest's terminal reporter, or None where there is none.
        capture: pytest's capture manager.
    """

    SILENT_FOR = 3.0
    EVERY = 0.3

    def __init__(self, reporter: Any, capture: Any) -> None:
        self._reporter = reporter
        self._capture = capture
        writer = getattr(self._reporter, "_tw", None)
        self._shown = writer is not None and writer.hasmarkup and not os.environ.get("CI")
        self._started = self._last = time.monotonic()

    def __call__(self, text: str) -> None:
        """Show a few words, unless it is too early or too soon."""
        now = time.monotonic()
        if self._shown and now - self._started > self.SILENT_FOR and now - self._last > self.EVERY:
            self._last = now
            self._paint(f" {text}")

    def _paint(self, text: str) -> None:
        """Write right of the cursor and put it back, so that pytest's own line stays as it is."""
        writer = self._reporter._tw
        room = writer.fullwidth - writer.width_of_current_line - 1
        with self._capture.global_and_fixture_disabled():
            writer._file.write(f"\x1b7\x1b[K{text[: max(room, 0)]}\x1b8")
            writer._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown and self._last > self._started:
            self._paint("")
