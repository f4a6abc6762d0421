"""The key is in nothing that an error carries: no message, no cause, no local of a frame."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.models.api.raw import OK, SILENT, Script, say, talking
from tests.models.api.server import NAME
from tests.models.api.speaking import INFINITY, TEI
from touchstone.config.api import ApiSpec
from touchstone.errors import ModelError
from touchstone.foreign import MIN_PART_LENGTH, Secret, hide_secrets
from touchstone.models.api.client import ApiClient
from touchstone.models.api.embedding import ApiModel
from touchstone.models.api.protocols import ask_about
from touchstone.models.api.reranking import ApiReranker

KEY = "sk-9f8e7d6c5b4a39281706"
ERROR = b'{"error": {"message": "what is %b?"}}' % KEY.encode()


def redirect(place: bytes, status: int = 307) -> Script:
    return say(b"HTTP/1.1 %d There\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (status, place))


def error(status: int) -> Script:
    return say(b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n%b" % (status, len(ERROR), ERROR))


LEADS = "answered {} ({}); write the address that it leads to as url"
TROUBLES: list[tuple[Script, str]] = [
    (redirect(b"http://host:99999999/x"), LEADS.format(307, "temporary redirect")),
    (redirect(b"http://[::1/x", 302), LEADS.format(302, "found")),
    (redirect(b"http://\xff\xfe/", 301), LEADS.format(301, "moved permanently")),
    (redirect(b"//@:-1\\", 308), LEADS.format(308, "permanent redirect")),
    (redirect(b"ftp://host/" + b"x" * 5000, 303), LEADS.format(303, "see other")),
    (error(400), "answered 400 (bad request): what is [key]; max_characters"),
    (error(401), "answered 401 (unauthorized); the key in EMBED_KEY is not the right one for it"),
    (error(404), "answered 404 (not found): what is [key]; check url"),
    (error(503), "answered 503 (service unavailable): what is [key], once"),
    (error(200), "answered with an error: what is [key]"),
    (say(KEY.encode() + b"\r\n\r\n"), "answered, but not in HTTP (BadStatusLine: [key]"),
    (say(OK + b"Content-Length: 1, 2\r\n\r\n"), "cannot be asked (InvalidHeader)"),
    (say(OK + b"Content-Encoding: gzip\r\n\r\nno"), "answered, but not in HTTP"),
    (say(OK + b"Content-Length: 9\r\n\r\n[" + KEY.encode()), "gave an incomplete answer"),
    (SILENT, "did not answer within 0.3 s, once"),
    (say(OK + b"\r\n{" + KEY.encode()), "did not answer within"),
]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBED_KEY", KEY)


def client(url: str, protocol: Any = "openai") -> ApiClient:
    spec = ApiSpec(url=url, name=NAME, protocol=protocol, api_key_env="EMBED_KEY", timeout=0.3, retries=0)
    return ApiClient(spec, "served")


def carried(error: BaseException | None) -> Iterator[str]:
    """All that an error and what it comes from say and hold, frame by frame."""
    while error is not None:
        yield from (str(error), repr(error), repr(vars(error)))
        yield from held(error.__traceback__)
        error = error.__cause__ or error.__context__


def held(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        if "/tests/" not in traceback.tb_frame.f_code.co_filename:
            for value in traceback.tb_frame.f_locals.values():
                yield repr(value)
                yield repr(getattr(value, "__dict__", None))
        traceback = traceback.tb_next


def check(ask: Callable[[], Any], expected: str) -> None:
    with pytest.raises(ModelError) as caught:
        ask()
    assert expected in str(caught.value)
    everything = list(carried(caught.value))
    assert len(everything) > 10
    assert not [said for said in everything if KEY[:6] in said]
    assert caught.value.__context__ is None


@pytest.mark.parametrize(("script", "expected"), TROUBLES)
def test_no_answer_brings_it_to_light(script: Script, expected: str) -> None:
    with talking(script) as server:
        check(lambda: client(server.url).ask({"input": ["a"]}), expected)
        check(lambda: ask_about(client(server.url, TEI)), expected.partition("; ")[0])
        check(lambda: ApiModel(client(server.url)).encode(["a", "b"]), expected)


def answers(content: Any) -> Script:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return say(OK + b"X-Key: %b\r\nContent-Length: %d\r\n\r\n%b" % (KEY.encode(), len(body), body))


ITEM = {"index": 0, "embedding": [1.0]}
WRONG: list[Any] = [
    KEY, [KEY], [[KEY]], {KEY: KEY}, {"data": KEY}, {"data": [KEY]}, {"data": [{"embedding": KEY, "index": KEY}]},
    {"data": [ITEM], "said": KEY}, {"data": [ITEM, {"index": 1, "embedding": [KEY]}]},
    {"data": [ITEM, {"index": 0, "embedding": [1.0], "key": KEY}]}, {"data": [ITEM, {"index": 7, KEY: 1}]},
    {"data": [ITEM, {"index": 1, "embedding": [1.0, 2.0]}], "key": KEY},
    {"data": [ITEM, {"index": 1, "embedding": KEY}]},
    {"results": [{"index": 0, "relevance_score": KEY}, {"index": 1, "score": KEY}]}, {"results": KEY},
    [{"index": 0, "score": float("nan")}, {"index": 1, "score": 1.0, "key": KEY}], {"results": [KEY, KEY]},
    b"{" + KEY.encode(), KEY.encode(), b"\xff" + KEY.encode(), b"[" * 100_000 + KEY.encode(),
    b'{"' + KEY.encode() + b'": ' + b"1" * 9999 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("content", WRONG)
def test_no_answer_that_is_wrong_brings_it_to_light(content: Any) -> None:
    with talking(answers(content)) as server:
        check(lambda: ApiModel(client(server.url)).encode(["a", "b"]), "")
        check(lambda: ApiReranker(client(server.url)).score([("q", "a"), ("q", "b")]), "")
        check(lambda: ApiModel(client(server.url, TEI)).encode(["a", "b"]), "")
        for protocol in (TEI, INFINITY):
            check(partial(ask_about, client(server.url, protocol)), "")


@pytest.mark.parametrize("kind", [KeyError, MemoryError, RecursionError, AssertionError, OSError])
@pytest.mark.parametrize("where", ["answers._items", "client.retry_after"])
def test_no_reading_that_fails_does(monkeypatch: pytest.MonkeyPatch, where: str, kind: Any) -> None:
    def fail(*_: Any) -> Any:
        raise kind(KEY)

    monkeypatch.setattr(f"touchstone.models.api.{where}", fail)
    expected = f"answered with what cannot be read ({kind.__name__})"
    script = error(503) if where == "client.retry_after" else answers({"data": KEY})
    with talking(script) as server:
        check(lambda: ApiModel(client(server.url)).encode(["a", "b"]), expected)
        check(lambda: ApiReranker(client(server.url)).score([("q", "a")]), expected)


def test_a_key_shows_its_name_and_cannot_be_taken_along() -> None:
    secret = Secret("EMBED_KEY")
    assert secret.reveal() == KEY
    assert not hasattr(secret, "__dict__")
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r}", str(pickle.dumps(secret)), str(dir(secret))):
        assert KEY[:MIN_PART_LENGTH] not in shown
    assert "EMBED_KEY" in repr(secret)


@pytest.mark.parametrize("start", range(0, len(KEY) - MIN_PART_LENGTH + 1, 3))
@pytest.mark.parametrize("around", ["{}", "x{}y", "=={}=={}"])
def test_no_part_of_it_is_shown_once_it_was_sent(monkeypatch: pytest.MonkeyPatch, start: int, around: str) -> None:
    Secret("EMBED_KEY").reveal()
    monkeypatch.delenv("EMBED_KEY")
    part = KEY[start : start + MIN_PART_LENGTH + 2]
    assert hide_secrets(around.format(part, part)) == around.format("***", "***")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see http://u:p@host/x", "see http://***@host/x"),
        ("http://u:p@ss@w@host:1/x and a@b.c", "http://***@host:1/x and a@b.c"),
        ("socks5h://only-a-user@host", "socks5h://***@host"),
        ("'https://u:p@h','http://u@h'", "'https://***@h','http://***@h'"),
        ("http://host/a@b", "http://host/a@b"),
        ("its password is pass-word-0815", "its password is ***"),
        ("pass-word-081 was cut", "*** was cut"),
    ],
)
def test_no_user_of_an_address_is_shown(monkeypatch: pytest.MonkeyPatch, text: str, shown: str) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://user:pass-word-0815@127.0.0.1:9")
    assert hide_secrets(text) == shown


def test_no_log_quotes_a_header_that_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    script = say(OK + b"A: b\r\n" + KEY.encode() + b"\r\nContent-Length: 2\r\n\r\n[]")
    with talking(script) as server, pytest.raises(ModelError):
        ApiModel(client(server.url)).encode(["a"])
    assert "urllib3" in caplog.text
    assert KEY[:6] not in caplog.text


@pytest.mark.parametrize("kind", [ValueError, KeyError, MemoryError, RecursionError, SystemExit, OSError, Exception])
def test_no_failure_that_nobody_foresaw_brings_it_to_light(monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    def fail(self: Any, request: Any, **_: Any) -> Any:
        secret = request.headers["Authorization"]
        try:
            raise kind(secret)
        except BaseException as error:
            raise kind(f"it is {secret}", error) from error

    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", fail)
    expected = f"cannot be asked ({kind.__name__}); check url, and the proxies of the environment"
    check(lambda: client("http://127.0.0.1:1/v1").ask({"input": ["a"]}), expected)


@pytest.mark.parametrize("value", [f"{KEY} x", f"{KEY}\n{KEY}", f"{KEY}é"])
def test_a_key_that_cannot_be_one_is_not_shown(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("EMBED_KEY", value)
    with pytest.raises(ModelError, match=r"holds characters that no key has$") as caught:
        client("http://127.0.0.1:1/v1")
    assert not [said for said in carried(caught.value) if KEY[:6] in said]


def test_a_key_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = client("http://127.0.0.1:1/v1")
    monkeypatch.delenv("EMBED_KEY")
    with pytest.raises(ModelError, match=r"EMBED_KEY, which api_key_env names, is not set$"):
        asking.ask({})


@pytest.mark.parametrize(
    "script",
    [
        TROUBLES[0][0], TROUBLES[1][0], error(400), say(KEY.encode() + b"\r\n\r\n"), answers(WRONG[6]),
        answers(WRONG[9]), say(OK + KEY.encode() + b"\r\nContent-Length: 2\r\n\r\n[]"),
    ],
)  # fmt: skip
def test_no_traceback_of_pytest_shows_it(tmp_path: Path, script: Script) -> None:
    (tmp_path / "test_it.py").write_text(TEST)
    with talking(script) as server:
        result = subprocess.run(
            [sys.executable, "-m", "pytest", "-l", "--tb=long", "-vv", "--showlocals", "--log-level=DEBUG", "-p",
             "no:cacheprovider", "-p", "no:randomly", "-p", "no:touchstone", "--full-trace", "-s", "--junitxml=it.xml",
             "-o", "log_cli=true", "--log-file=it.log", "--log-file-level=DEBUG", "test_it.py"],
            cwd=tmp_path, env=os.environ | {"URL": server.url}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    shown = result.stdout + result.stderr + (tmp_path / "it.xml").read_text() + (tmp_path / "it.log").read_text()
    assert "1 failed" in shown
    assert "client.py" in shown
    assert KEY[:6] not in shown


TEST = f"""
import os
from touchstone.config.api import ApiSpec
from touchstone.models.api.client import ApiClient
from touchstone.models.api.embedding import ApiModel

def test_it():
    spec = ApiSpec(url=os.environ["URL"], name="{NAME}", api_key_env="EMBED_KEY", retries=0)
    ApiModel(ApiClient(spec, "served")).check()
"""
