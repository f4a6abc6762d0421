"""A small server on loopback that answers like an OpenAI-compatible one, and misbehaves when told to."""

import base64
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

DIMENSIONS = 64
NAME = "org/embed"
Answer = dict[str, Any]


@dataclass
class Request:
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


@dataclass
class Reply:
    """What is sent, a byte each ``pause`` seconds if any; ``lost`` bytes of it are announced and never come."""

    content: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    lost: int = 0
    pause: float = 0.0


Behaviour = Callable[[Request], Reply]


class Server:
    """``next`` are the behaviours of the next requests, one each; ``always`` is that of all others.

    ``root`` is its address without ``/v1``.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.next: list[Behaviour] = []
        self.always: Behaviour = well
        self.url = ""
        self.under_way = 0
        self.most_under_way = 0
        self.lock = threading.Lock()

    @property
    def inputs(self) -> list[str]:
        """Every text that was sent for its vector, in the order of the requests."""
        found = [request.body.get("input", request.body.get("inputs", ())) for request in self.requests]
        return [text for texts in found for text in texts]

    @property
    def root(self) -> str:
        return self.url.removesuffix("/v1")

    def asked(self, path: str) -> int:
        """How many requests there were for a path."""
        return sum(request.path == path for request in self.requests)

    def reply(self, request: Request) -> Reply:
        with self.lock:
            self.requests.append(request)
            behave = self.next.pop(0) if self.next else self.always
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return behave(request)
        finally:
            with self.lock:
                self.under_way -= 1


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer({})

        def do_POST(self) -> None:
            self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def answer(self, body: dict[str, Any]) -> None:
            reply = server.reply(Request(self.path, dict(self.headers), body))
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.content) + reply.lost))
            self.end_headers()
            try:
                for start in range(len(reply.content)) if reply.pause else ():
                    self.wfile.write(reply.content[start : start + 1])
                    time.sleep(reply.pause)
                self.wfile.write(b"" if reply.pause else reply.content)
            except OSError:  # whoever asked has gone
                self.close_connection = True
            self.close_connection = self.close_connection or reply.lost > 0

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name in the library
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def vector(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """A text's vector: its three-letter pieces, counted by hash; like texts lie near each other."""
    counts = np.full(dimensions, 0.01)
    for start in range(len(text)):
        counts[zlib.crc32(text[start : start + 3].encode()) % dimensions] += 1
    return [float(number) for number in np.asarray(counts / np.linalg.norm(counts), np.float32)]


def score(query: str, document: str) -> float:
    return float(np.dot(vector(query), vector(document)))


def right_answer(request: Request) -> Answer:
    body = request.body
    if request.path.endswith("/rerank"):
        scored = [(score(body["query"], text), index) for index, text in enumerate(body["documents"])]
        return {"results": [{"index": index, "relevance_score": found} for found, index in sorted(scored)[::-1]]}
    width = body.get("dimensions", DIMENSIONS)
    data: list[Answer] = [
        {"index": index, "embedding": vector(text, width)} for index, text in enumerate(body["input"])
    ]
    if body["encoding_format"] == "base64":
        for item in data:
            item["embedding"] = base64.b64encode(np.asarray(item["embedding"], "<f4").tobytes()).decode()
    return {"object": "list", "model": NAME, "data": data}


def well(request: Request) -> Reply:
    if not request.body:
        return Reply(b'{"detail": "Not Found"}', status=404)  # it lists no models
    return Reply(json.dumps(right_answer(request)).encode())


def with_change(change: Callable[[Answer], Any]) -> Behaviour:
    """Answer rightly but for a change made in place."""

    def behave(request: Request) -> Reply:
        answer = right_answer(request)
        change(answer)
        return Reply(json.dumps(answer).encode())

    return behave


def with_status(status: int, said: Any = None, **headers: str) -> Behaviour:
    content = said if isinstance(said, bytes) else json.dumps(said or {}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: Reply(content, status=status, headers=named)


def after(event: threading.Event) -> Behaviour:
    """Answer only when told, or after half a minute."""

    def behave(request: Request) -> Reply:
        event.wait(30)
        return well(request)

    return behave


def dripping(request: Request) -> Reply:
    return Reply(well(request).content, pause=0.02)


def half_sent(request: Request) -> Reply:
    content = well(request).content
    return Reply(content[: len(content) // 2], lost=len(content) - len(content) // 2)


def half_written(request: Request) -> Reply:
    content = well(request).content
    return Reply(content[: len(content) // 2])
