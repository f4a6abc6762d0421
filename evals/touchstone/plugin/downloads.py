"""What comes from a hub, shown while it comes: in a terminal, or in a log by a line each minute, with progress."""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

EVERY, EVERY_OF_A_LOG = 0.5, 60.0


class Downloads:
    """Shows news in a thread of its own: the one that runs a case waits for the hub.

    Args:
        read: returns what is brought at this moment, in one line; empty for nothing.
        paint: writes text into a terminal, through the function it is given; None where there is none: a line is
            printed each minute then.
        tell: returns how far the run is, for a log in which nothing is brought.
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
        """Begin to look."""
        if self._out is not None:
            self._thread.start()

    def stop(self) -> None:
        """Look no more; what was painted is taken away."""
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
        shown, told, begun = "", -EVERY_OF_A_LOG, time.monotonic()
        while not self._stop.wait(EVERY):
            text = self._read()
            if self._paint is not None:
                if text or shown:
                    self._paint(text, self._write)
            elif time.monotonic() - (told if text else max(told, begun)) >= EVERY_OF_A_LOG:
                told = time.monotonic()
                if line := text or self._tell():
                    self._write(f"\ntouchstone: {line}\n")
            shown = text
        if shown and self._paint is not None:
            self._paint("", self._write)

    def _write(self, text: str) -> None:
        if self._out is not None:
            with suppress(OSError):
                os.write(self._out, text.encode(errors="replace"))
