"""A server of bare sockets, for what no library of servers would send."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Send = Callable[[bytes], None]
Script = Callable[[Send], None]


class RawServer:
    """``asked`` grows with each request; ``gone`` is set when whoever asked has left."""

    def __init__(self, script: Script, context: ssl.SSLContext | None) -> None:
        self.asked: list[bytes] = []
        self.gone = threading.Event()
        self.stopped = False
        self._script = script
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if context else "http"
        self.url = f"{scheme}://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def serve(self) -> None:
        while True:
            try:
                connection = self._socket.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def close(self) -> None:
        self.stopped = True
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _talk(self, connection: socket.socket) -> None:
        try:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                self._answer(connection)
        except (OSError, ssl.SSLError):
            self.gone.set()

    def _answer(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += _receive(connection)
        named = (line for line in head.splitlines() if line.lower().startswith(b"content-length:"))
        length = next((int(line[15:]) for line in named), 0)
        head, _, body = head.partition(b"\r\n\r\n")
        while len(body) < length:
            body += _receive(connection)
        self.asked.append(head)
        self._script(connection.sendall)
        connection.settimeout(0.05)
        while not self.stopped:  # silent from here on
            try:
                _receive(connection)
            except TimeoutError:
                continue


def _receive(connection: socket.socket) -> bytes:
    received = connection.recv(1 << 16)
    if not received:
        raise ConnectionResetError
    return received


@contextmanager
def talking(script: Script, context: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    server = RawServer(script, context)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(5)


def drip(start: bytes, again: bytes, pause: float = 0.02) -> Script:
    """Send a start, and then the same again and again until nobody is there."""

    def script(send: Send) -> None:
        send(start)
        while True:
            send(again)
            time.sleep(pause)

    return script


def say(content: bytes) -> Script:
    return lambda send: send(content)


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
SILENT: Script = lambda send: None  # noqa: E731
NEVER_ENDING = {
    "silence": SILENT,
    "status line": drip(b"HTTP/1.1 200 ", b"O"),
    "one header": drip(OK + b"X: ", b"x"),
    "headers": drip(OK, b"X: y\r\n", 0.1),
    "continue": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "continue at once": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50, 0),
    "body": drip(OK + b"Content-Length: 100000\r\n\r\n[", b" "),
    "last body": drip(OK + b"Connection: close\r\n\r\n[", b" "),
    "chunks": drip(CHUNKED, b"1\r\n \r\n"),
    "size of a chunk": drip(CHUNKED, b"0"),
    "trailers": drip(CHUNKED + b"0\r\n", b"X: y\r\n"),
}
