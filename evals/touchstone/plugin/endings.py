"""How a run may end before its time: by a signal, by a worker that dies, by a time limit that ends the process."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

TERMINATED_CODE = 128 + signal.SIGTERM
# What ends a process that takes more memory than there is, where no one asked for it.
KILL_STATUS = -9


class Terminated:
    """Turns SIGTERM, which would end the process at once, into the end of the session, as SIGINT is.

    Args:
        session: pytest's.
    """

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self.signalled = False

    def install(self) -> None:
        """Listen from here on; what somebody else listens for stays theirs."""
        with suppress(ValueError):  # not the main thread
            if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                signal.signal(signal.SIGTERM, self._end)

    def uninstall(self) -> None:
        """Listen no more."""
        with suppress(ValueError):
            if signal.getsignal(signal.SIGTERM) == self._end:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _end(self, *_: object) -> None:
        self.signalled = True
        self._session.shouldstop = "terminated"  # a library may swallow what is raised
        pytest.exit("terminated", returncode=TERMINATED_CODE)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore SIGINT and SIGTERM as long as the context: what was measured is being written."""
    before: dict[signal.Signals, Any] = {}
    with suppress(ValueError):  # not the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def how_it_ended(node: Any) -> str:
    """Return how a worker of pytest-xdist ended, as far as the system tells.

    Args:
        node: xdist's controller of it.
    """
    code = None
    with suppress(Exception):  # a worker elsewhere has no process here, and execnet may keep it in another place
        code = node.gateway._io.popen.wait(timeout=5)
    if code is None:
        return "its worker went away"
    if code == KILL_STATUS:
        return "its worker was killed (signal 9), as the system does where memory runs out; take fewer workers, -n"
    if code < 0:
        return f"its worker crashed ({signal.Signals(-code).name})"
    return f"its worker crashed (exit code {code}{', as pytest-timeout ends one by its method thread' * (code == 1)})"


def end_at(item: pytest.Item, settings: Any, before: Callable[[float], object]) -> None:
    """Set a timer of pytest-timeout's method thread, which ends the process, to do something before that.

    Args:
        item: whose time is bounded.
        settings: pytest-timeout's.
        before: called with the limit in seconds.
    """
    from pytest_timeout import timeout_timer  # type: ignore[import-untyped]

    def end() -> None:
        if settings.timeout is not None:
            before(settings.timeout)
        timeout_timer(item, settings)

    timer = threading.Timer(settings.timeout, end)
    timer.name = f"touchstone-timeout {item.nodeid}"
    item.cancel_timeout = timer.cancel  # type: ignore[attr-defined]  # pytest-timeout calls it
    timer.start()
