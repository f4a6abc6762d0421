"""A line to a server, for one request at a time, with one end in time for all of it.

The timeout of `requests` is for each receiving, so that a server which sends bit by bit holds it for ever. So a request
runs in a thread that nobody waits for: whoever asked shuts the socket when it is time, and goes on.
"""

import logging
import socket
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar

T = TypeVar("T")
LOOK = 0.1  # seconds between two looks at whether to stop


class Line:
    """A session of `requests` whose socket is known; its connection stays open for the next request."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._is_cut = False
        # The session must not keep the line alive: connections are closed as soon as nobody has it any more.
        hold = weakref.WeakMethod(self._hold)
        self.session = _make_session(lambda made: found(made) if (found := hold()) is not None else None)

    def run(self, send: Callable[[Any], T], *, seconds: float, stop: threading.Event) -> T | None:
        """Return what ``send`` returns, which is called in another thread and must not raise.

        None if it takes longer or ``stop`` is set: then the line is cut, and good for nothing.
        """
        sent: Future[T] = Future()
        threading.Thread(target=lambda: sent.set_result(send(self.session)), daemon=True).start()
        end = time.monotonic() + seconds
        try:
            while not sent.done() and not stop.is_set() and (left := end - time.monotonic()) > 0:
                wait([sent], min(LOOK, left))
            return sent.result() if sent.done() else None
        finally:  # also where somebody at the keyboard ends it
            if not sent.done():
                self._cut()

    def _cut(self) -> None:
        self._is_cut = True
        if self._socket is not None:
            with suppress(OSError):
                # Not the method of an SSLSocket, which first forgets to encrypt what another thread sends meanwhile.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _hold(self, made: Any) -> None:
        if isinstance(made, socket.socket):
            self._socket = made
        if self._is_cut:  # while it was made
            self._cut()


def _make_session(hold: Callable[[Any], None]) -> Any:
    """Make a session that tells of its sockets, keeps no cookies, and knows no redirects."""
    import requests
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
            pool = super().get_connection_with_tls_context(*args, **options)
            if "sock" not in vars(pool.ConnectionCls):
                pool.ConnectionCls = _telling(pool.ConnectionCls, hold)
            return pool

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> None:
            """Return nothing: requests would prepare what is not to be followed, and fail with the key in sight."""

    # It would quote headers of a server that cannot be parsed, which may repeat the key.
    logging.getLogger("urllib3.connection").addFilter(_nothing)
    session = Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    json = "application/json"
    session.headers.update({"User-Agent": "touchstone-evals", "Content-Type": json, "Accept": json})
    for scheme in ("http://", "https://"):
        session.mount(scheme, Adapter())
    return session


def _nothing(_record: Any) -> bool:
    return False


def _telling(connection: type, hold: Callable[[Any], None]) -> Any:
    """Return a class of connections that tells of each socket it gets: bare, in a proxy's tunnel, made safe."""

    def take(self: Any, made: Any) -> None:
        vars(self)["sock"] = made
        hold(made)

    return type("Telling", (connection,), {"sock": property(lambda self: vars(self).get("sock"), take)})
