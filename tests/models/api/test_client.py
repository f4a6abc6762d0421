"""What passes is waited for within bounds; what does not is one sentence; the key is in none."""

import gzip
import json
import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from tests.models.api.server import (
    NAME,
    Behaviour,
    Reply,
    Request,
    Server,
    after,
    dripping,
    half_sent,
    half_written,
    right_answer,
    with_status,
)
from touchstone.config.api import ApiSpec
from touchstone.errors import ModelError
from touchstone.models.api.client import ApiClient

KEY = "sk-9f8e7d6c5b4a39281706"
BODY = {"model": NAME, "input": ["a", "b"], "encoding_format": "float"}


class Waits(list[float]):
    """Notes each wait instead of waiting."""

    def __call__(self, seconds: float) -> bool:
        self.append(seconds)
        return False


def client(server: Server, waits: Waits | None = None, **settings: Any) -> ApiClient:
    spec = ApiSpec(url=server.url, name=NAME, **settings)
    return ApiClient(spec, "served", Waits() if waits is None else waits)


def refusal(server: Server, **settings: Any) -> str:
    """The sentence of a request that fails, without the address that it must begin with."""
    asking = client(server, **settings)
    with pytest.raises(ModelError) as caught:
        asking.ask(BODY)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"served: {server.url}/embeddings ")
    assert caught.value.__cause__ is None
    return message.removeprefix(f"served: {server.url}/embeddings ")


def test_a_request_is_answered(server: Server) -> None:
    assert client(server).ask(BODY) == right_answer(server.requests[0])
    assert server.requests[0].body == BODY
    assert server.requests[0].path == "/v1/embeddings"
    assert "Authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    "trouble",
    [with_status(429), with_status(500), with_status(502), with_status(503), with_status(504), with_status(408),
     half_sent, half_written],
)  # fmt: skip
def test_what_passes_is_asked_again(server: Server, trouble: Behaviour) -> None:
    server.next = [trouble, trouble]
    waits = Waits()
    assert client(server, waits).ask(BODY) == right_answer(server.requests[0])
    assert len(server.requests) == 3
    assert 0.25 <= waits[0] <= 0.5
    assert 0.5 <= waits[1] <= 1.0


def test_waits_grow_differ_and_are_bounded(server: Server) -> None:
    server.always = with_status(503)
    waits = Waits()
    with pytest.raises(ModelError):
        client(server, waits, retries=12, patience=1e6).ask(BODY)
    assert len(waits) == 12
    assert all(low <= wait <= high for wait, low, high in zip(waits[6:], [15.0] * 6, [30.0] * 6, strict=True))
    assert len(set(waits)) == 12, "waits of several threads must not be the same"


def test_the_server_says_how_long_to_wait(server: Server) -> None:
    server.next = [with_status(429, Retry_After="7"), with_status(503, Retry_After="0")]
    waits = Waits()
    client(server, waits).ask(BODY)
    assert waits[0] == 7.0
    assert waits[1] >= 0.5, "no wait is shorter than ours"


def test_the_server_may_say_until_when_to_wait(server: Server) -> None:
    then = datetime.now(UTC) + timedelta(seconds=100)
    server.next = [
        with_status(429, Retry_After=format_datetime(then, usegmt=True)),
        with_status(429, Retry_After="soon"),
    ]
    waits = Waits()
    client(server, waits).ask(BODY)
    assert 90 < waits[0] <= 100
    assert waits[1] <= 1.0


def test_a_wait_beyond_patience_is_not_begun(server: Server) -> None:
    server.always = with_status(429, {"error": {"message": "quota of this month is used up"}}, Retry_After="86400")
    assert refusal(server, patience=60.0) == (
        "answered 429 (too many requests): quota of this month is used up and asks to wait 86400 s, more than "
        "patience = 60 allows; lower concurrency, or run later"
    )
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (with_status(429), "answered 429 (too many requests), 3 times in 0 s; lower concurrency, or run later"),
        (with_status(500, {"detail": "CUDA\nerror"}),
         "answered 500 (internal server error): CUDA error, 3 times in 0 s; see the server's log"),
        (with_status(529), "answered 529 (no status of HTTP's), 3 times in 0 s; see the server's log"),
        (half_sent, "closed the connection before its answer ended, 3 times in 0 s; see the server's log"),
        (half_written, "gave an incomplete answer, 3 times in 0 s; see the server's log"),
    ],
)  # fmt: skip
def test_what_does_not_pass_is_given_up(server: Server, behaviour: Behaviour, expected: str) -> None:
    server.always = behaviour
    assert refusal(server, retries=2) == expected
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (with_status(401), "answered 401 (unauthorized); it wants a key: name its environment variable with "
         "api_key_env in models.toml"),
        (with_status(403), "answered 403 (forbidden); it wants a key: name its environment variable with "
         "api_key_env in models.toml"),
        (with_status(404, {"error": {"message": "no such model"}}),
         f'answered 404 (not found): no such model; check url, and that it serves "{NAME}"'),
        (with_status(400, {"error": "input 3 has 9000 tokens"}),
         "answered 400 (bad request): input 3 has 9000 tokens; max_characters cuts texts, batch_size and "
         "batch_characters bound a request"),
        (with_status(422, {"detail": [{"msg": "x"}]}),
         "answered 422 (unprocessable entity); max_characters cuts texts, batch_size and batch_characters bound a "
         "request"),
        (with_status(501), "answered 501 (not implemented); max_characters cuts texts, batch_size and "
         "batch_characters bound a request"),
        (with_status(307, Location="http://127.0.0.1:1/"),
         "answered 307 (temporary redirect); write the address that it leads to as url"),
        (with_status(200, b"<html>"), "answered with what is no JSON; check url"),
        (with_status(200, {"error": {"message": "no such model"}}), "answered with an error: no such model"),
    ],
)  # fmt: skip
def test_what_will_not_pass_is_not_asked_again(server: Server, behaviour: Behaviour, expected: str) -> None:
    server.always = behaviour
    assert refusal(server).replace("unprocessable content", "unprocessable entity") == expected
    assert len(server.requests) == 1


DEEP = b"[" * 200_000
UNREADABLE = [
    (b'{"data": ' + DEEP, "answered with JSON that is nested too deep; check url"),
    (DEEP + b"]" * 200_000, "answered with JSON that is nested too deep; check url"),
    (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, "answered with JSON that is nested too deep; check url"),
    (b'{"data": ' + b"9" * 5000 + b"}", "answered with an integer of thousands of digits; check url"),
    (b"[-" + b"1" * 50_000 + b"]", "answered with an integer of thousands of digits; check url"),
    (b"7" * 4301, "answered with an integer of thousands of digits; check url"),
    (b'{"data": "\xff"}', "answered with what is not UTF-8; check url"),
    (b"\xc3\x28", "answered with what is not UTF-8; check url"),
    ("Zürich".encode("latin-1"), "answered with what is not UTF-8; check url"),
    (b"\x00", "answered with what is no JSON; check url"),
    (b"", "answered with what is no JSON; check url"),
]


@pytest.mark.parametrize(("content", "expected"), UNREADABLE)
def test_what_cannot_be_read_is_one_sentence(server: Server, content: bytes, expected: str) -> None:
    server.always = with_status(200, content)
    assert refusal(server) == expected
    assert len(server.requests) == 1
    server.always = with_status(500, content)
    assert refusal(server, retries=0) == "answered 500 (internal server error), once in 0 s; see the server's log"
    server.always = with_status(404, content)
    assert refusal(server) == f'answered 404 (not found); check url, and that it serves "{NAME}"'


@pytest.mark.parametrize(
    "said", [rb'"\ud800"', rb'"a \udfff\ud800 b"', b'"\xed\xa0\x80"', rb'{"message": "\ud83d"}', rb'"\u0000"']
)
def test_what_is_no_text_is_not_shown(server: Server, said: bytes) -> None:
    server.always = with_status(400, b'{"error": ' + said + b"}")
    message = refusal(server)
    message.encode()
    assert message.isprintable()
    server.always = with_status(200, b'{"data": ' + said + b"}")
    assert client(server).ask(BODY)["data"]


NEVER = "answered 429 (too many requests) and asks to wait 1000000000 s, more than patience = 300 allows; "


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("Fri, 31 Dec 9999999999 23:59:59 GMT", 0), ("Fri, 31 Dec 2030 23:59:59 +" + "9" * 30, 0),
        ("Fri, 99 Foo 2030 99:99:99 GMT", 0), ("Mon, 01 Jan 0000 00:00:00 GMT", 0), ("-5", 0), ("-" + "9" * 400, 0),
        ("nan", 0), ("inf", 0), ("-inf", 0), ("1e400", 0), ("1e9", 0), ("5, 7", 0), ("[5]", 0), ('{"a": 1}', 0),
        ("", 0), ("\x00", 0), ("²", 0), ("0x10", 0), ("9" * 20, 1), ("9" * 400, 1), ("9" * 5000, 1),
        ("Fri, 31 Dec 2030 " + "9" * 20 + ":00:00 GMT", 1),
    ],
)  # fmt: skip
def test_no_wait_that_a_server_asks_for_is_a_trouble(server: Server, said: str, asked: int) -> None:
    server.next = [with_status(429, Retry_After=said)]
    waits = Waits()
    if asked:
        assert refusal(server) == f"{NEVER}lower concurrency, or run later"
    else:
        client(server, waits).ask(BODY)
        assert 0 < waits[0] <= 0.5


def test_long_words_of_a_server_are_cut(server: Server) -> None:
    server.always = with_status(400, {"error": "x" * 5000})
    assert len(refusal(server)) < 400


def test_an_answer_that_does_not_come_in_time_is_given_up(server: Server) -> None:
    held = threading.Event()
    server.always = after(held)
    started = time.monotonic()
    try:
        assert refusal(server, timeout=0.2, retries=1).startswith("did not answer within 0.2 s, 2 times in ")
    finally:
        held.set()
    assert time.monotonic() - started < 20


def test_an_answer_that_comes_byte_by_byte_is_too_slow(server: Server) -> None:
    server.always = dripping
    started = time.monotonic()
    assert refusal(server, timeout=0.3, retries=0).startswith("did not answer within 0.3 s, once in ")
    assert time.monotonic() - started < 10, "all of it would take longer"


def test_an_answer_may_be_compressed(server: Server) -> None:
    said = right_answer(Request("/v1/embeddings", {}, BODY))
    server.next = [with_status(200, gzip.compress(json.dumps(said).encode()), Content_Encoding="gzip")]
    assert client(server).ask(BODY) == said


def test_a_server_that_is_not_there_is_named() -> None:
    gone = ApiSpec(url="http://127.0.0.1:1/v1", name=NAME, retries=1)
    with pytest.raises(ModelError) as caught:
        ApiClient(gone, "served", Waits()).ask(BODY)
    expected = "cannot be reached, 2 times in 0 s; check url, and that the server runs"
    assert str(caught.value) == f"served: {gone.address} {expected}"


def test_a_stopped_client_does_not_wait_on(server: Server) -> None:
    def stop_and_wait(seconds: float) -> bool:
        asking.stop.set()
        return asking.stop.wait(seconds)

    asking = ApiClient(ApiSpec(url=server.url, name=NAME), "served", stop_and_wait)
    server.next = [with_status(503, Retry_After="250")]
    with pytest.raises(ModelError, match=r"was not asked again: another request failed \(answered 503"):
        asking.ask(BODY)
    server.always = answer_late
    with pytest.raises(ModelError, match=r"was not waited for: another request failed$"):
        asking.ask(BODY)


def answer_late(request: Request) -> Reply:
    time.sleep(2)
    return Reply(json.dumps(right_answer(request)).encode())


class TestKey:
    @pytest.fixture(autouse=True)
    def key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EMBED_KEY", KEY)

    def test_is_sent_and_read_anew(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        asking = client(server, api_key_env="EMBED_KEY")
        asking.ask(BODY)
        monkeypatch.setenv("EMBED_KEY", " sk-another\n")
        asking.ask(BODY)
        assert [r.headers["Authorization"] for r in server.requests] == [f"Bearer {KEY}", "Bearer sk-another"]

    def test_that_is_wrong_is_not_repeated(self, server: Server) -> None:
        server.always = with_status(401, {"error": {"message": f"Incorrect key: {KEY[:8]}*********{KEY[-4:]}"}})
        assert refusal(server, api_key_env="EMBED_KEY") == (
            "answered 401 (unauthorized); the key in EMBED_KEY is not the right one for it"
        )

    @pytest.mark.parametrize("status", [400, 404, 429, 500, 200])
    def test_that_a_server_repeats_goes_nowhere(
        self, server: Server, caplog: pytest.LogCaptureFixture, status: int
    ) -> None:
        caplog.set_level(logging.DEBUG)
        said = f"bad request with Authorization: Bearer {KEY}, or {KEY[:9]}****, from you"
        server.always = with_status(status, {"error": {"message": said}})
        message = refusal(server, api_key_env="EMBED_KEY", retries=1)
        assert "from you" in message
        assert KEY[:6] not in message + caplog.text

    def test_is_in_no_object(self, server: Server) -> None:
        asking = client(server, api_key_env="EMBED_KEY")
        asking.ask(BODY)
        (line,) = asking._idle
        everything = f"{asking.spec!r} {vars(asking)!r} {vars(line.session)!r} {asking.spec.changes()!r}"
        assert "EMBED_KEY" in everything
        assert KEY[:6] not in everything

    def test_is_not_taken_from_a_file_of_passwords(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "netrc").write_text("default login me password secret\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        asking = client(server)
        asking.ask(BODY)
        asking._idle[0].session.trust_env = True  # as for a server elsewhere
        asking.ask(BODY)
        assert "Authorization" not in server.requests[1].headers

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("", "served: the environment variable EMBED_KEY, which api_key_env names, is not set"),
            ("  \n", "served: the environment variable EMBED_KEY, which api_key_env names, is not set"),
            ("sk-1\nX-Other: 2", "served: the environment variable EMBED_KEY holds characters that no key has"),
            ("sk-ä", "served: the environment variable EMBED_KEY holds characters that no key has"),
        ],
    )
    def test_that_cannot_be_one_is_refused_before_anything_is_sent(
        self, server: Server, monkeypatch: pytest.MonkeyPatch, value: str, expected: str
    ) -> None:
        monkeypatch.setenv("EMBED_KEY", value)
        with pytest.raises(ModelError) as caught:
            client(server, api_key_env="EMBED_KEY")
        assert str(caught.value) == expected
        assert not server.requests
