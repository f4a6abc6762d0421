"""Requests to a hub: retried while an error may be transient, with the progress of downloads shown to the user.

The hub's client waits at some places and not at others, and as long as a server tells it to. Here each answer that may
pass is an error at once, and all waiting is in one place, within the patience of the run.
"""

import logging
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from weakref import WeakSet

from touchstone.errors import TouchstoneError, first_line
from touchstone.foreign import one_line
from touchstone.formatting import render_duration, render_size
from touchstone.retrying import TRANSIENT_STATUSES, PassingError, backoff, retry_after

T = TypeVar("T")
# Between two reports of how far a download is; and after which a report is out of date.
REPORT_INTERVAL_S, REPORT_LIFETIME_S = 0.25, 45.0
# A body that comes more slowly than this over so many seconds counts as cut off.
MIN_BYTES_PER_S, RATE_WINDOW_S = 1000, 30.0
# Until all headers of an answer must be here.
HEADER_TIMEOUT_S = 60.0
# The client's own pieces are of 10 MB: of a connection that is cut, all of the last one would be lost.
PIECE_BYTES = 1 << 18
# How the client's error for a wrong number of bytes begins.
TRUNCATION = "Consistency check failed"
# Errors of its HTTP library that no retry mends.
PERMANENT_ERRORS = {"UnsupportedProtocol", "LocalProtocolError", "TooManyRedirects"}


class Asking:
    """Requests to a hub, with retries.

    Args:
        patience: in seconds, how long a request is retried after it failed for the first time.
        news: the file for the progress of downloads, to be shown by another process; None for none.
    """

    def __init__(self, patience: float = 0, news: Path | None = None) -> None:
        self.patience = patience
        self._news = news
        self._out_of_patience = False
        self._repository = ""
        self._size = self._came = 0
        self._began = self._last_report = 0.0

    def ask(self, question: str, ask: Callable[[], T], refuse: Callable[[BaseException], TouchstoneError]) -> T:
        """Return the answer to a question, asked until it comes or patience ends.

        Once patience has ended, nothing is waited for until something is answered again: a hub that is away costs a run
        its patience once, and not for each case.

        Args:
            question: what is asked for, to be shown with the progress.
            ask: asks, by the hub's client.
            refuse: turns an error of the client into the one to raise.

        Raises:
            TouchstoneError: what ``refuse`` returned; from a `PassingError`, that says why, how often and for how long,
                where it was not answered in time. No frame of the client is part of it, for these hold tokens.
        """
        began, failures = time.monotonic(), 0
        while True:
            answered, trouble = self._ask_once(ask, refuse)
            if isinstance(trouble, TouchstoneError):
                raise trouble
            if trouble is None:
                self._out_of_patience = False
                if self._news is not None and self._came >= self._size:
                    with suppress(OSError):  # all is here
                        self._news.unlink()
                return answered[0]
            failures += 1
            began = time.monotonic() if failures == 1 else began
            spent, wait = time.monotonic() - began, max(trouble.wait, backoff(failures))
            if self._out_of_patience or spent + wait > self.patience:
                self._out_of_patience = True
                failure = PassingError(self._given_up(trouble, failures, spent))
                raise refuse(failure) from failure
            self._tell(f"{trouble}, asked again in {render_duration(wait)}: {question}")
            time.sleep(wait)

    def _ask_once(
        self, ask: Callable[[], T], refuse: Callable[[BaseException], TouchstoneError]
    ) -> tuple[list[T], PassingError | TouchstoneError | None]:
        """Return the answer, or an error made anew."""
        try:
            with self._watching_answers():
                return [ask()], None
        except Exception as error:
            return [], _passing(error) or refuse(error)

    def _given_up(self, trouble: PassingError, failures: int, spent: float) -> str:
        if trouble.wait > self.patience > 0:
            return f"{trouble}, and asks to wait {trouble.wait:.0f} s, longer than --patience {self.patience:g}"
        attempts = f", {failures} times in {spent:.0f} s; run again later, or with more --patience"
        return f"{trouble}{attempts if failures > 1 else ''}"

    @contextmanager
    def _watching_answers(self) -> Iterator[None]:
        """Check each answer to the hub's client before the client sees it."""
        import huggingface_hub
        from huggingface_hub import constants

        urls = set()

        def count(request: Any) -> None:
            # A body is asked for again from where it was cut; for what comes before it the client waits half a minute.
            if request.method == "HEAD" and request.url in urls:
                raise PassingError("no connection, or no answer in time")
            urls.add(request.url)
            limit.begin(request)

        def look(response: Any) -> None:
            limit.end()
            _look(response)

        limit = _HeadersInTime()
        client, hooks = huggingface_hub.get_session(), huggingface_hub.get_session().event_hooks
        library = type(client).__module__.partition(".")[0]  # its name is not that of every version
        # What is waited for is shown by us, and the libraries below log headers, and addresses with passwords.
        loggers = [logging.getLogger(name) for name in ("huggingface_hub", library, library.replace("x", "core", 1))]
        levels = [logger.level for logger in loggers]
        piece, xet = constants.DOWNLOAD_CHUNK_SIZE, constants.HF_HUB_DISABLE_XET
        client.event_hooks = {
            "request": [*hooks.get("request", ()), count], "response": [*hooks.get("response", ()), look]
        }  # fmt: skip
        constants.DOWNLOAD_CHUNK_SIZE = PIECE_BYTES
        constants.HF_HUB_DISABLE_XET = True  # it has a client of its own, which waits for ever and tells nobody
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            limit.end()
            client.event_hooks, constants.DOWNLOAD_CHUNK_SIZE, constants.HF_HUB_DISABLE_XET = hooks, piece, xet
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)

    def expect(self, repository: str, size: int) -> None:
        """Note that so many bytes of a repository are about to be downloaded."""
        if repository != self._repository or self._came >= self._size:
            self._repository, self._size, self._came, self._began = repository, 0, 0, time.monotonic()
        self._size += size

    def bar(self) -> type:
        """Return a class that the hub's client takes for a progress bar, whose steps are reported here."""

        class Bar:
            n = total = 0

            def __init__(self, *_: Any, **__: Any) -> None: ...
            def __enter__(self) -> "Bar":
                return self

            def __exit__(self, *_: object) -> None: ...
            def update(self, n: float | None = 1) -> None:
                add_bytes(int(n or 0))

            def __getattr__(self, name: str) -> Callable[..., None]:  # all that a bar can do but nobody sees
                return lambda *_, **__: None

        add_bytes = self._add_bytes
        return Bar

    def _add_bytes(self, count: int) -> None:
        self._came += count
        if self._size:  # files that list others are small, and come unannounced
            rate = self._came / max(time.monotonic() - self._began, 1e-3)
            remaining = render_duration(max(self._size - self._came, 0) / max(rate, 1))
            sizes = f"{render_size(self._came)} of {render_size(self._size)}, {render_size(int(rate))}/s"
            self._tell(f"{sizes}, {remaining} left: {self._repository}", interval=REPORT_INTERVAL_S)

    def _tell(self, text: str, interval: float = 0) -> None:
        now = time.monotonic()
        if self._news is not None and now - self._last_report >= interval:
            self._last_report = now
            with suppress(OSError):
                self._news.parent.mkdir(parents=True, exist_ok=True)
                self._news.write_text(text, encoding="utf-8")


class _HeadersInTime:
    """Cuts a connection whose status line and headers take too long: the client's own limit is for each receiving."""

    _sockets: ClassVar[WeakSet[socket.socket]] = WeakSet()  # of connections that stay open too

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def begin(self, request: Any) -> None:
        """Note that a request is about to be sent."""
        self.end()
        request.extensions["trace"] = self._note
        self._timer = threading.Timer(HEADER_TIMEOUT_S, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """Note that the headers are here, or that nobody waits for them any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _note(self, event: str, info: Any) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._sockets.add(info["return_value"].get_extra_info("socket"))

    def _cut(self) -> None:
        for connection in list(self._sockets):
            with suppress(OSError):  # not the method of an SSLSocket, which stops to encrypt
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


def read_news(folder: Path) -> str:
    """Return the progress of the downloads of a run's processes; empty where there are none."""
    news = []
    with suppress(OSError):
        for file in sorted(folder.iterdir()):
            if time.time() - file.stat().st_mtime < REPORT_LIFETIME_S:
                news.append(file.read_text(encoding="utf-8", errors="replace"))
    return one_line(" | ".join(dict.fromkeys(news)))


def _look(response: Any) -> None:
    """Raise an answer whose status is transient as an error; of any other, check how fast its body comes."""
    if response.status_code in TRANSIENT_STATUSES:
        # The hub itself says in a header of its own how many seconds a limit holds.
        limit = re.search(r"\bt=(\d{1,6})", response.headers.get("ratelimit", ""))
        wait = max(retry_after(response.headers.get("retry-after")), float(limit[1]) if limit else 0.0)
        raise PassingError(f"HTTP {response.status_code}", wait)
    library = sys.modules[type(response).__module__.partition(".")[0]]  # its name is not that of every version
    source = response.stream

    class Timed(library.SyncByteStream):  # type: ignore[misc, name-defined]
        def __iter__(self) -> Iterator[bytes]:
            since, came = time.monotonic(), 0
            for piece in source:
                came += len(piece)
                if (seconds := time.monotonic() - since) > RATE_WINDOW_S:
                    if came < MIN_BYTES_PER_S * seconds:
                        raise PassingError(f"less than {render_size(MIN_BYTES_PER_S)} a second came")
                    since, came = time.monotonic(), 0
                yield piece

        def close(self) -> None:
            source.close()

    response.stream = Timed()


def _passing(error: BaseException) -> PassingError | None:
    """Return the transient error behind an error of the hub's client; None where a retry is no use."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PassingError):
            return PassingError(str(cause), cause.wait)
        names = {base.__name__ for base in type(cause).__mro__}
        if "TransportError" in names and not names & PERMANENT_ERRORS and "CERTIFICATE" not in str(cause):
            return PassingError(first_line(cause))
        if isinstance(cause, OSError) and str(cause).startswith(TRUNCATION):
            return PassingError("it ended early")
        if getattr(getattr(cause, "response", None), "status_code", None) in TRANSIENT_STATUSES:
            return PassingError(f"HTTP {cause.response.status_code}")  # type: ignore[attr-defined]
        # As ModelScope's client says of its own errors; that of requests, on which it is built, it lets through.
        if getattr(cause, "retryable", False) or type(cause).__name__ == "ConnectionError":
            return PassingError(f"no whole answer in time, {type(cause.__cause__ or cause).__name__}")
        cause = cause.__cause__
    return None
