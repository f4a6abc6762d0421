"""How a hub is asked: patiently, while what fails may pass, and so that whoever waits sees what comes.

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
# Seconds between two words on how far a download is; and until one of which nothing more is heard is no news.
EVERY, FRESH = 0.25, 45.0
# A body that comes more slowly than this over so many seconds is as good as cut.
BYTES_A_SECOND, OVER = 1000, 30.0
# Seconds in which the headers of an answer must be here, all of them.
HEADERS = 60.0
# The client's own pieces are of 10 MB: of a connection that is cut, all of the last one would be lost.
PIECE = 1 << 18
# How the client says that it has got another number of bytes than it was told.
TRUNCATION = "Consistency check failed"
# Of the errors of its HTTP library those that no second time mends.
PERMANENT_ERRORS = {"UnsupportedProtocol", "LocalProtocolError", "TooManyRedirects"}


class Asking:
    """Asks a hub's questions, and again what may be answered next time.

    Args:
        patience: in seconds, how long a question is asked again after it failed for the first time.
        news: the file in which whoever shows progress reads what is brought here; None where nobody does.
    """

    def __init__(self, patience: float = 0, news: Path | None = None) -> None:
        self.patience = patience
        self._news = news
        self._tired = False
        self._what = ""
        self._size = self._came = 0
        self._began = self._told = 0.0

    def ask(self, what: str, ask: Callable[[], T], refuse: Callable[[BaseException], TouchstoneError]) -> T:
        """Return the answer to a question, asked until it comes or patience ends.

        Once patience has ended, nothing is waited for until something is answered again: a hub that is away costs a run
        its patience once, and not for each case.

        Args:
            what: is asked for, for whoever watches.
            ask: asks, by the hub's client.
            refuse: says of an error of the client why there is no answer.

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
                self._tired = False
                if self._news is not None and self._came >= self._size:
                    with suppress(OSError):  # all is here
                        self._news.unlink()
                return answered[0]
            failures += 1
            began = time.monotonic() if failures == 1 else began
            spent, wait = time.monotonic() - began, max(trouble.wait, backoff(failures))
            if self._tired or spent + wait > self.patience:
                self._tired = True
                gone = PassingError(self._given_up(trouble, failures, spent))
                raise refuse(gone) from gone
            self._tell(f"{trouble}, asked again in {render_duration(wait)}: {what}")
            time.sleep(wait)

    def _ask_once(
        self, ask: Callable[[], T], refuse: Callable[[BaseException], TouchstoneError]
    ) -> tuple[list[T], PassingError | TouchstoneError | None]:
        """Return the answer, or an error made anew."""
        try:
            with self._looking():
                return [ask()], None
        except Exception as error:
            return [], _passing(error) or refuse(error)

    def _given_up(self, trouble: PassingError, failures: int, spent: float) -> str:
        if trouble.wait > self.patience > 0:
            return f"{trouble}, and asks to wait {trouble.wait:.0f} s, longer than --patience {self.patience:g}"
        again = f", {failures} times in {spent:.0f} s; run again later, or with more --patience"
        return f"{trouble}{again if failures > 1 else ''}"

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Look at each answer that the hub's client gets, before it does."""
        import huggingface_hub
        from huggingface_hub import constants

        asked = set()

        def count(request: Any) -> None:
            # A body is asked for again from where it was cut; for what comes before it the client waits half a minute.
            if request.method == "HEAD" and request.url in asked:
                raise PassingError("no connection, or no answer in time")
            asked.add(request.url)
            limit.begin(request)

        def look(response: Any) -> None:
            limit.end()
            _look(response)

        limit = _HeadersInTime()
        client, hooks = huggingface_hub.get_session(), huggingface_hub.get_session().event_hooks
        library = type(client).__module__.partition(".")[0]  # its name is not that of every version
        # What is waited for is told here, and the libraries below tell addresses with passwords, and headers.
        loggers = [logging.getLogger(name) for name in ("huggingface_hub", library, library.replace("x", "core", 1))]
        levels = [logger.level for logger in loggers]
        piece, xet = constants.DOWNLOAD_CHUNK_SIZE, constants.HF_HUB_DISABLE_XET
        client.event_hooks = {
            "request": [*hooks.get("request", ()), count], "response": [*hooks.get("response", ()), look]
        }  # fmt: skip
        constants.DOWNLOAD_CHUNK_SIZE = PIECE
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

    def expect(self, what: str, size: int) -> None:
        """Note that so many bytes of a repository are about to be brought."""
        if what != self._what or self._came >= self._size:
            self._what, self._size, self._came, self._began = what, 0, 0, time.monotonic()
        self._size += size

    def bar(self) -> type:
        """Return what the hub's client takes for a bar of progress, whose steps are told here."""

        class Bar:
            n = total = 0

            def __init__(self, *_: Any, **__: Any) -> None: ...
            def __enter__(self) -> "Bar":
                return self

            def __exit__(self, *_: object) -> None: ...
            def update(self, n: float | None = 1) -> None:
                told(int(n or 0))

            def __getattr__(self, name: str) -> Callable[..., None]:  # all that a bar can do but nobody sees
                return lambda *_, **__: None

        told = self._come
        return Bar

    def _come(self, count: int) -> None:
        self._came += count
        if self._size:  # files that say what else there is are small, and come unannounced
            rate = self._came / max(time.monotonic() - self._began, 1e-3)
            left = render_duration(max(self._size - self._came, 0) / max(rate, 1))
            sizes = f"{render_size(self._came)} of {render_size(self._size)}"
            self._tell(f"{sizes}, {render_size(int(rate))}/s, {left} left: {self._what}", every=EVERY)

    def _tell(self, text: str, every: float = 0) -> None:
        now = time.monotonic()
        if self._news is not None and now - self._told >= every:
            self._told = now
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
        self._timer = threading.Timer(HEADERS, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """Note that the headers are here, or that nobody waits for them any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _note(self, event: str, said: Any) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._sockets.add(said["return_value"].get_extra_info("socket"))

    def _cut(self) -> None:
        for one in list(self._sockets):
            with suppress(OSError):  # not the method of an SSLSocket, which stops to encrypt
                socket.socket.shutdown(one, socket.SHUT_RDWR)


def read_news(folder: Path) -> str:
    """Return what the processes of a run bring at this moment; empty where they bring nothing."""
    found = []
    with suppress(OSError):
        for file in sorted(folder.iterdir()):
            if time.time() - file.stat().st_mtime < FRESH:
                found.append(file.read_text(encoding="utf-8", errors="replace"))
    return one_line(" | ".join(dict.fromkeys(found)))


def _look(response: Any) -> None:
    """Raise what an answer says of itself that it may pass; of any other, watch how fast its body comes."""
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
                if (seconds := time.monotonic() - since) > OVER:
                    if came < BYTES_A_SECOND * seconds:
                        raise PassingError(f"less than {render_size(BYTES_A_SECOND)} a second came")
                    since, came = time.monotonic(), 0
                yield piece

        def close(self) -> None:
            source.close()

    response.stream = Timed()


def _passing(error: BaseException) -> PassingError | None:
    """Return what of an error of the hub's client may pass; None where asking again is no use."""
    one: BaseException | None = error
    while one is not None:
        if isinstance(one, PassingError):
            return PassingError(str(one), one.wait)
        names = {base.__name__ for base in type(one).__mro__}
        if "TransportError" in names and not names & PERMANENT_ERRORS and "CERTIFICATE" not in str(one):
            return PassingError(first_line(one))
        if isinstance(one, OSError) and str(one).startswith(TRUNCATION):
            return PassingError("it ended early")
        if getattr(getattr(one, "response", None), "status_code", None) in TRANSIENT_STATUSES:
            return PassingError(f"HTTP {one.response.status_code}")  # type: ignore[attr-defined]
        # As ModelScope's client says of its own errors; that of requests, on which it is built, it lets through.
        if getattr(one, "retryable", False) or type(one).__name__ == "ConnectionError":
            return PassingError(f"no whole answer in time, {type(one.__cause__ or one).__name__}")
        one = one.__cause__
    return None
