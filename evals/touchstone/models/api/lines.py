"""A line to a server, for one request at a time, with one timeout for all of it.

The timeout of `requests` is for each read, so that a server that sends bit by bit holds it for ever. So a request runs
in a thread that nobody waits for: the caller shuts its socket at the timeout, and goes on.
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
POLL_INTERVAL_S = 0.1


class Line:
    """A session of `requests` whose socket is known; its connection stays open for the next request."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._is_cut = False
        # The session must not keep the line alive: connections are closed as soon as nobody has it any more.
        hold = weakref.WeakMethod(self._hold)
        self.session = _make_session(lambda sock: keep(sock) if (keep := hold()) is not None else None)

    def run(self, send: Callable[[Any], T], *, seconds: float, stop: threading.Event) -> T | None:
        """Call ``send`` in another thread, where it must not raise, and return its result.

        None if ``send`` takes longer or ``stop`` is set: then the line is cut, and cannot be used again.
        """
        sent: Future[T] = Future()
        threading.Thread(target=lambda: sent.set_result(send(self.session)), daemon=True).start()
        end = time.monotonic() + seconds
        try:
            while not sent.done() and not stop.is_set() and (left := end - time.monotonic()) > 0:
                wait([sent], min(POLL_INTERVAL_S, left))
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

    def _hold(self, sock: Any) -> None:
        if isinstance(sock, socket.socket):
            self._socket = sock
        if self._is_cut:  # while it was made
            self._cut()


def _make_session(hold: Callable[[Any], None]) -> Any:
    """Make a session that hands over its sockets, keeps no cookies and follows no redirects."""
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
            """Return None: requests would prepare a redirect that is not followed, and fail with the key in sight."""

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
    """Return a class of connections that hands over each socket it gets: bare, in a proxy's tunnel, with TLS."""

    def take(self: Any, sock: Any) -> None:
        vars(self)["sock"] = sock
        hold(sock)

    return type("Telling", (connection,), {"sock": property(lambda self: vars(self).get("sock"), take)})
