"""Progress of downloads from a hub: in a terminal, or in a log by a line each minute."""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

POLL_INTERVAL_S, LOG_INTERVAL_S = 0.5, 60.0


class Downloads:
    """A thread that shows the progress of downloads: the one that runs a case waits for the hub.

    Args:
        read: returns the progress of downloads, in one line; empty for none.
        paint: writes text into a terminal, through the function it is given; None where there is none: a line is
            printed each minute then.
        tell: returns how far the run is, for a log while nothing is downloaded.
    """

    def __init__(
        self,
        read: Callable[[], str],
        paint: Callable[[str, Callable[[str], None]], None] | None,
        tell: Callable[[], str] = str,
    ) -> None:
        self._read = read
        self._tell = tell
        self._paint = paint
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="touchstone-downloads", daemon=True)
        self._out: int | None = None
        with suppress(OSError, ValueError, AttributeError):  # some other program's idea of an output has no number
            # pytest puts a file of its own in the place of the output while a test runs; this goes where it was.
            self._out = os.dup(sys.stdout.fileno())

    def start(self) -> None:
        """Start the thread."""
        if self._out is not None:
            self._thread.start()

    def stop(self) -> None:
        """End the thread; what was painted is removed."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._out is not None:
            os.close(self._out)
            self._out = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _watch(self) -> None:
        painted, logged_at, begun = "", -LOG_INTERVAL_S, time.monotonic()
        while not self._stop.wait(POLL_INTERVAL_S):
            text = self._read()
            if self._paint is not None:
                if text or painted:
                    self._paint(text, self._write)
            elif time.monotonic() - (logged_at if text else max(logged_at, begun)) >= LOG_INTERVAL_S:
                logged_at = time.monotonic()
                if line := text or self._tell():
                    self._write(f"\ntouchstone: {line}\n")
            painted = text
        if painted and self._paint is not None:
            self._paint("", self._write)

    def _write(self, text: str) -> None:
        if self._out is not None:
            with suppress(OSError):
                os.write(self._out, text.encode(errors="replace"))
