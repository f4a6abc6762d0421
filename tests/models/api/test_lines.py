"""One end in time and one in bytes for whatever a server sends; who is told to stop stops."""

import gzip
import json
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.models.api.raw import CHUNKED, NEVER_ENDING, OK, SILENT, Script, Send, drip, say, talking
from tests.models.api.server import NAME, Reply, Server, with_status
from touchstone.config.api import ApiSpec
from touchstone.errors import ModelError
from touchstone.models.api.client import ApiClient
from touchstone.models.api.embedding import ApiModel
from touchstone.models.api.lines import Line

BODY = {"model": NAME, "input": ["a"], "encoding_format": "float"}
SLOW = "did not answer within 0.3 s, once in N s; raise timeout, or lower batch_size"
SOON = 3.0  # seconds, on a machine that has other things to do


def asking(url: str, **settings: Any) -> ApiClient:
    return ApiClient(ApiSpec(url=url, name=NAME, **{"timeout": 0.3, "retries": 0, **settings}), "served")


def sentence(client: ApiClient) -> str:
    with pytest.raises(ModelError) as caught:
        client.ask(BODY)
    start = f"served: {client.spec.address} "
    message = str(caught.value)
    assert message.startswith(start)
    assert "\n" not in message
    assert len(message) < 400
    assert caught.value.__cause__ is caught.value.__context__ is None
    return re.sub(r"once in [0-9]+ s", "once in N s", message.removeprefix(start))


class TestDeadline:
    @pytest.mark.parametrize("script", NEVER_ENDING.values(), ids=NEVER_ENDING.keys())
    def test_holds_for_all_of_an_answer(self, script: Script) -> None:
        with talking(script) as server:
            started = time.monotonic()
            assert sentence(asking(server.url)) == SLOW
            assert time.monotonic() - started < SOON
            assert server.gone.wait(SOON), "the connection is shut"

    @pytest.mark.parametrize("what", ["silence", "one header", "headers", "continue", "body", "last body"])
    def test_holds_where_it_is_encrypted(self, what: str, certificate: Path) -> None:
        with talking(NEVER_ENDING[what], _context(certificate)) as server:
            client = asking(server.url)
            _trust(client, certificate)
            started = time.monotonic()
            assert sentence(client) == SLOW
            assert time.monotonic() - started < SOON
            assert server.gone.wait(SOON)

    def test_holds_where_no_handshake_comes(self) -> None:
        silent = socket.create_server(("127.0.0.1", 0))
        with silent:
            started = time.monotonic()
            assert sentence(asking(f"https://127.0.0.1:{silent.getsockname()[1]}/v1")) == SLOW
            assert time.monotonic() - started < SOON

    def test_holds_for_looking_up_a_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is found too late is not asked: it would have the key, and nobody to hear its answer."""
        found, look_up = threading.Event(), socket.getaddrinfo

        def look_up_slowly(*arguments: Any, **options: Any) -> Any:
            found.wait(30)
            return look_up(*arguments, **options)

        with talking(SILENT) as server:
            monkeypatch.setattr(socket, "getaddrinfo", look_up_slowly)
            started = time.monotonic()
            assert sentence(asking(server.url)) == SLOW
            assert time.monotonic() - started < SOON
            found.set()
            assert server.gone.wait(SOON)
            assert not server.asked

    def test_is_tried_again(self) -> None:
        turns = iter([NEVER_ENDING["headers"], say(OK + b"Content-Length: 2\r\n\r\n[]")])

        def script(send: Send) -> None:
            next(turns)(send)

        with talking(script) as server:
            assert asking(server.url, retries=1).ask(BODY) == []


def test_a_connection_is_used_again(certificate: Path) -> None:
    with talking(say(OK + b"Content-Length: 2\r\n\r\n[]"), _context(certificate)) as server:
        client = asking(server.url)
        _trust(client, certificate)
        assert client.ask(BODY) == []
        (line,) = client._idle
        held = line._socket
        assert isinstance(held, ssl.SSLSocket)
        assert held.fileno() > 0, "it is open for the next"
        with pytest.raises(ModelError):  # this server answers once on each
            client.ask(BODY)
        assert line._socket is held
        assert not client._idle, "what was cut is not used again"


def _trust(client: ApiClient, certificate: Path) -> None:
    line = Line()
    line.session.trust_env = False
    line.session.verify = str(certificate)
    client._idle.append(line)


def _context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes a certificate, is not here")
    file = tmp_path_factory.mktemp("certificate") / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=file.parent, check=True, capture_output=True,
    )  # fmt: skip
    file.write_bytes((file.parent / "key.pem").read_bytes() + (file.parent / "cert.pem").read_bytes())
    return file


BOMB = b"[" + b" " * 30_000_000
FAST = drip(CHUNKED, b"fff\r\n" + b" " * 4095 + b"\r\n", 0)


class TestSize:
    @pytest.mark.parametrize(
        "content",
        [
            OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(BOMB),
            OK + b"Content-Encoding: deflate\r\n\r\n" + zlib.compress(BOMB),
            OK + b"Content-Encoding: gzip, gzip\r\n\r\n" + gzip.compress(gzip.compress(BOMB)),
            b"HTTP/1.1 400 Bad\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(BOMB),
            OK + b"Content-Length: 30000001\r\n\r\n" + BOMB,
        ],
        ids=["gzip", "deflate", "twice", "of an error", "bare"],
    )
    def test_of_an_answer_has_an_end(self, content: bytes) -> None:
        with talking(say(content)) as server:
            expected = "answered with over 1.6 MB, which no texts need; check url"
            assert sentence(asking(server.url, batch_size=1, retries=3, timeout=10)) == expected
            assert len(server.asked) == 1, "it would be no smaller"

    def test_that_has_no_end_is_refused_at_once(self) -> None:
        with talking(FAST) as server:
            assert sentence(asking(server.url, batch_size=1, timeout=20)).startswith("answered with over 1.6 MB")
            assert server.gone.wait(SOON)

    @pytest.mark.parametrize("count", [1, 3, 32])
    def test_of_long_vectors_is_no_trouble(self, server: Server, count: int) -> None:
        numbers = [-0.12345678901234567e-100] * 16_384
        said = {"data": [{"object": "embedding", "index": index, "embedding": numbers} for index in range(count)]}
        server.always = lambda _: Reply(json.dumps(said, indent=1).encode())
        assert asking(server.url, batch_size=count, timeout=30).ask(BODY) == said

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (OK + b"X: " + b"x" * 70_000, "(LineTooLong: got more than 65536 bytes when reading header line)"),
            (b"HTTP/1.1 200 " + b"x" * 70_000, "(LineTooLong: got more than 65536 bytes when reading status line)"),
            (OK + b"X: y\r\n" * 101 + b"\r\n", "(HTTPException: got more than 100 headers)"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "(BadStatusLine: SSH-2.0-OpenSSH_9.2)"),
            (b"HTTP/1.1 2e1 OK\r\n\r\n", "(BadStatusLine: HTTP/1.1 2e1 OK)"),
            (OK + b"Content-Encoding: gzip\r\n\r\nno",
             "(error: Error -3 while decompressing data: incorrect header check)"),
        ],
    )  # fmt: skip
    def test_and_form_of_headers_have_an_end(self, content: bytes, expected: str) -> None:
        with talking(say(content)) as server:
            said = sentence(asking(server.url, timeout=5))
            assert said == f"answered, but not in HTTP {expected}, once in N s; check url"


class TestStop:
    def test_cuts_what_is_under_way_when_another_failed(self) -> None:
        def script(send: Send) -> None:
            if len(server.asked) == 3:
                send(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")

        with talking(script) as server:
            model = ApiModel(asking(server.url, timeout=60, batch_size=1, concurrency=3))
            started = time.monotonic()
            with pytest.raises(ModelError, match="answered 401"):
                model.encode(["a", "b", "c", "d", "e"])
            assert time.monotonic() - started < SOON
            assert len(server.asked) == 3
            assert server.gone.wait(SOON)

    def test_ends_waits_when_another_failed(self, server: Server) -> None:
        busy = with_status(503, Retry_After="50")
        server.next = [busy, busy, with_status(401)]
        model = ApiModel(asking(server.url, timeout=60, batch_size=1, concurrency=3, retries=3))
        started = time.monotonic()
        with pytest.raises(ModelError, match="answered 401"):
            model.encode(["a", "b", "c", "d", "e"])
        assert time.monotonic() - started < SOON

    def test_lasts_no_longer_than_its_batches(self, server: Server) -> None:
        server.next = [with_status(401)]
        model = ApiModel(asking(server.url, timeout=10, batch_size=1))
        with pytest.raises(ModelError):
            model.encode(["a", "b", "c"])
        assert model.encode(["a", "b", "c"]).shape == (3, 64)

    @pytest.mark.parametrize(
        ("method", "script"),
        [
            ("encode", SILENT),
            ("encode", NEVER_ENDING["headers"]),
            ("encode", NEVER_ENDING["continue at once"]),
            ("encode", say(b"HTTP/1.1 503 Busy\r\nRetry-After: 200\r\nContent-Length: 0\r\n\r\n")),
            ("check", SILENT),
            ("check", NEVER_ENDING["body"]),
        ],
    )
    def test_is_what_an_interrupt_means(self, tmp_path: Path, method: str, script: Script) -> None:
        with talking(script) as server:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, server.url, method], stderr=subprocess.PIPE, cwd=tmp_path, text=True
            )
            try:
                _wait(lambda: len(server.asked) >= (1 if method == "check" else 3), process)
                time.sleep(0.2)
                process.send_signal(signal.SIGINT)
                sent = time.monotonic()
                _, said = process.communicate(timeout=20)
                assert time.monotonic() - sent < 2
            finally:
                process.kill()
                process.wait()
            assert process.returncode == -signal.SIGINT
            assert said.rstrip().endswith("KeyboardInterrupt")
            assert "Exception in thread" not in said


PROGRAM = f"""
import sys
from touchstone.config.api import ApiSpec
from touchstone.models.api.client import ApiClient
from touchstone.models.api.embedding import ApiModel
spec = ApiSpec(url=sys.argv[1], name="{NAME}", batch_size=1, concurrency=3)
model = ApiModel(ApiClient(spec, "served"))
model.check() if sys.argv[2] == "check" else model.encode([str(number) for number in range(500)])
"""


def _wait(whether: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not whether():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
