"""A hub's bad answers cost patience: they are asked for again within a bound, and whoever waits sees it."""

import errno
import os
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub import Files, Handler, Hub, page, serve_to_client
from tests.models.api.test_key import carried
from touchstone.errors import ModelError, SourceError
from touchstone.retrying import may_pass
from touchstone.store import asking
from touchstone.store.folder import Store
from touchstone.store.hub import Snapshot, open_snapshot

NAME = "org/name"
LARGE, SMALL = "data/large.bin", "small.json"
FILES: Files = {LARGE: bytes(range(256)) * 4000, SMALL: b"{}", ".gitattributes": b"x"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setattr("touchstone.retrying.FIRST_WAIT_S", 0.02)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with serve_to_client(monkeypatch, tmp_path / "cache") as served:
        served.add(NAME, FILES)
        yield served


def opened(tmp_path: Path, patience: float = 5, run: str | None = None) -> Snapshot:
    return open_snapshot(NAME, None, Store(tmp_path / "store", patience=patience, run=run))


def first(times: int, strike: Callable[[Handler], object], part: str) -> Callable[[Handler, str], bool]:
    """Return a fault of the first answers to requests whose path holds a text."""
    left = [times]

    def fault(handler: Handler, path: str) -> bool:
        hit = part in path and left[0] > 0
        if hit:
            left[0] -= 1
            strike(handler)
        return hit

    return fault


def status(code: int, **headers: Any) -> Callable[[Handler], object]:
    return lambda handler: handler.send(code, **headers)


def reset(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.close()


def cut(handler: Handler) -> None:
    """Send the head of a body that ends early."""
    if handler.command == "HEAD" or "127.0.0.1" in handler.headers["Host"]:
        handler.send(500)
    else:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(FILES[LARGE])))
        handler.end_headers()
        handler.wfile.write(FILES[LARGE][:300_000])
        handler.close_connection = True


TROUBLES = {
    "429": status(429), "429 with a time": status(429, Retry_After="0"), "500": status(500), "502": status(502),
    "503": status(503), "504": status(504), "408": status(408), "reset": reset, "cut": cut,
}  # fmt: skip


@pytest.mark.parametrize("part", ["/api/", LARGE, SMALL])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_passes_is_asked_for_again(hub: Hub, trouble: str, part: str, tmp_path: Path) -> None:
    hub.fault = first(3, TROUBLES[trouble], part)
    snapshot = opened(tmp_path)
    for name, content in FILES.items():
        path = snapshot.bring(name)
        assert path is not None
        assert path.read_bytes() == content


def test_patience_has_an_end_and_is_spent_once(hub: Hub, tmp_path: Path) -> None:
    snapshot = opened(tmp_path, patience=0.5)
    hub.fault = first(999, status(503), "resolve")
    for name, said in (
        (SMALL, r"HTTP 503, \d+ times in [01] s; run again later, or with more --patience"),
        (LARGE, "HTTP 503"),
    ):
        began = time.monotonic()
        with pytest.raises(ModelError, match=rf'^the hub gives no model "{NAME}", not {name}: {said}$') as caught:
            snapshot.bring(name)
        assert may_pass(caught.value)
        assert time.monotonic() - began < 2
    assert len(hub.asked(LARGE)) == 1  # the hub is away: nothing is waited for any more
    hub.fault = first(1, status(503), LARGE)
    assert snapshot.bring(SMALL)  # it is back
    assert snapshot.bring(LARGE)  # so it is waited for again


def test_a_server_that_asks_for_more_than_patience_is_not_waited_for(hub: Hub, tmp_path: Path) -> None:
    for headers in ({"Retry_After": "86400"}, {"RateLimit": '"api";r=0;t=86400'}):
        hub.fault = first(9, status(429, **headers), "/api/")
        began = time.monotonic()
        with pytest.raises(ModelError, match=r"HTTP 429, and asks to wait 86400 s, longer than --patience 5$"):
            opened(tmp_path)
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
@pytest.mark.parametrize("part", ["/api/", LARGE, SMALL])
def test_headers_that_drip_are_cut(
    hub: Hub, begin: bytes, part: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(asking, "HEADER_TIMEOUT_S", 0.5)

    def drip(handler: Handler) -> None:
        handler.wfile.write(begin)
        for _ in range(100):
            time.sleep(0.05)
            handler.wfile.write(begin or b"x")  # a header without an end, or endless answers before the answer
        handler.close_connection = True

    hub.fault = first(1, drip, part)
    began = time.monotonic()
    snapshot = opened(tmp_path)
    for name, content in FILES.items():
        path = snapshot.bring(name)
        assert path is not None
        assert path.read_bytes() == content
    assert time.monotonic() - began < 4


def test_a_body_that_drips_is_cut(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(asking, "RATE_WINDOW_S", 0.3)
    monkeypatch.setattr(asking, "MIN_BYTES_PER_S", 10_000)

    def drip(handler: Handler, path: str) -> bool:
        hit = LARGE in path and handler.command == "GET" and "localhost" in handler.headers["Host"]
        if hit:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(FILES[LARGE])))
            handler.end_headers()
            handler.close_connection = True
            for _ in range(200):
                handler.wfile.write(b"x")
                handler.wfile.flush()
                time.sleep(0.05)
        return hit

    hub.fault = drip
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"less than 10\.0 kB a second came"):
        opened(tmp_path, patience=0).bring(LARGE)
    assert time.monotonic() - began < 5


def test_what_lasts_is_not_asked_for_again(hub: Hub, tmp_path: Path) -> None:
    hub.fault = first(9, status(400), "/api/")
    with pytest.raises(ModelError, match=r"HTTP 400$") as caught:
        opened(tmp_path)
    assert not may_pass(caught.value)
    assert len(hub.requests) == 1


def test_a_damaged_file_is_brought_once_more(hub: Hub, tmp_path: Path) -> None:
    snapshot = opened(tmp_path, patience=0)
    other = FILES[LARGE][::-1]

    def damaged(handler: Handler) -> None:
        handler.send(200, other)

    def fault(times: int) -> Callable[[Handler, str], bool]:
        inner = first(times, damaged, LARGE)
        return lambda handler, path: "localhost" in handler.headers["Host"] and inner(handler, path)

    hub.fault = fault(2)
    with pytest.raises(ModelError, match=f"^{LARGE} of {NAME} came damaged twice, and was removed; run again$"):
        snapshot.bring(LARGE)
    hub.fault = fault(1)
    path = snapshot.bring(LARGE)
    assert path is not None
    assert path.read_bytes() == FILES[LARGE]


def test_whoever_waits_sees_bytes_rate_and_time_left(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(asking, "REPORT_INTERVAL_S", 0)
    snapshot = opened(tmp_path, run="r")
    news, seen = snapshot.store.news, list[str]()
    write = Path.write_text

    def noting(path: Path, text: str, *args: Any, **kwargs: Any) -> int:
        if path.parent == news:
            seen.append(text)
        return write(path, text, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", noting)
    hub.fault = first(1, status(503), LARGE)
    snapshot.expect([LARGE, SMALL])
    snapshot.bring(LARGE)
    assert seen[0] == f"HTTP 503, asked again in 0 s: {NAME}"
    assert seen[1].startswith("0.3 MB of 1.0 MB, ")
    assert seen[-1].startswith("1.0 MB of 1.0 MB, ")
    assert seen[-1].endswith(f"/s, 0 s left: {NAME}")
    assert asking.read_news(news) == seen[-1]
    os.utime(news / str(os.getpid()), (0, 0))
    assert asking.read_news(news) == ""
    assert asking.read_news(tmp_path / "none") == ""
    os.utime(news / str(os.getpid()))
    snapshot.bring(SMALL)
    assert asking.read_news(news) == "", "all is here"


def test_a_full_disk_is_one_sentence(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    snapshot = open_snapshot(NAME, None, Store(tmp_path / "store"), kind="model")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
    with pytest.raises(
        ModelError, match=rf'^"{NAME}", {SMALL}: no space is left in .*cache; free some, or set HF_HUB_CACHE$'
    ):
        snapshot.bring(SMALL)


@pytest.mark.parametrize("kind", ["model", "dataset"])
@pytest.mark.parametrize(
    ("needs", "token", "says"),
    [(401, "", "is missing or private; mend the name, or set HF_TOKEN"),
     (401, "hf_secret", "is missing or private; mend the name, or the token, HF_TOKEN or that of hf auth login"),
     (403, "", "is gated; ask for access at http.*org/name, then set HF_TOKEN")],
)  # fmt: skip
def test_who_may_not_read_is_told_what_to_do(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, *, kind: Any, needs: int, token: str, says: str, tmp_path: Path
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    hub.add(NAME, FILES, f"{kind}s")
    hub.repositories[f"{kind}s/{NAME}"].needs, hub.takes = needs, "hf_right"
    with pytest.raises((ModelError, SourceError), match=f'^"{NAME}" {says}$') as caught:
        open_snapshot(NAME, None, Store(tmp_path / "store"), kind=kind)
    chain: list[BaseException | None] = [caught.value]
    while chain[-1] is not None:
        chain.append(chain[-1].__cause__)
    assert "secret" not in repr(chain)


def test_an_address_with_a_password_is_told_without_it(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.repositories[f"models/{NAME}"].needs, hub.takes = 403, "hf_right"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address.replace("//", "//user:secret@"))
    with pytest.raises(ModelError, match=rf"ask for access at {hub.address}/{NAME}, then set HF_TOKEN$"):
        opened(tmp_path)


def echo(handler: Handler) -> None:
    """Answer with all that was sent, as text and in headers."""
    sent = handler.headers.get("Authorization", "")
    handler.send(400, sent.encode(), X_Error_Message=sent, X_Error_Code=sent, Set_Cookie=f"a={sent}", Location=sent)


def astray(handler: Handler) -> None:
    """Lead to an address that is none, and hold what was sent."""
    handler.send(302, Location=f"http://host:{handler.headers.get('Authorization', '').partition(' ')[2]}")


@pytest.mark.parametrize("part", ["/api/", SMALL, LARGE])
@pytest.mark.parametrize(
    "trouble", [echo, astray, page, reset, cut, status(401), status(403), status(404), status(418), status(503),
                status(302, Location="http://[::1"), status(307, Location="/loop"), status(429, Retry_After="9999")]
)  # fmt: skip
def test_no_failure_shows_what_was_sent(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, part: str, trouble: Any, tmp_path: Path
) -> None:
    token, password = "hf_0123456789abcdefghij", "pass-word-0815"
    with_password = hub.address.replace("//", f"//user:{password}@")
    monkeypatch.setenv("HF_ENDPOINT", with_password)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", with_password)
    template = with_password + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("HF_TOKEN", token)
    caplog.set_level("DEBUG")
    snapshot = opened(tmp_path, patience=0)
    hub.fault = first(99, trouble, part)
    another = Store(tmp_path / "another")
    with pytest.raises(ModelError) as caught:
        open_snapshot(NAME, "other", another) if part == "/api/" else snapshot.bring(part)
    shown = [*carried(caught.value), caplog.text, *map(str, tmp_path.rglob("*"))]
    shown += [path.read_text("latin-1") for path in (tmp_path / "store").rglob("*") if path.is_file()]
    for secret in (token, password, b64encode(f"user:{password}".encode()).decode()):
        assert not [one[max(0, one.find(secret[:8]) - 200) :][:300] for one in shown if secret[:8] in one]
    assert caught.value.__context__ is None


def test_the_plain_way_is_taken_where_a_hub_offers_another(hub: Hub, tmp_path: Path) -> None:
    """The other client, hf_xet, cannot be watched, and waits for ever."""
    hub.xet = True
    path = opened(tmp_path).bring(LARGE)
    assert path is not None
    assert path.read_bytes() == FILES[LARGE]
    assert not hub.asked("xet")


@pytest.mark.parametrize("token", ["", "hf_right"])
def test_no_password_of_the_address_goes_to_another_host(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, token: str, tmp_path: Path
) -> None:
    address = hub.address.replace("//", "//user:secret@")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("HF_TOKEN", token)
    assert opened(tmp_path).bring(LARGE)
    assert {host for host, sent in hub.tokens if sent} == {"127.0.0.1"}
    assert ("localhost", "") in hub.tokens


def test_no_token_goes_to_another_host(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    hub.repositories[f"models/{NAME}"].needs, hub.takes = 401, "hf_right"
    assert opened(tmp_path).bring(LARGE)
    assert {host for host, token in hub.tokens if token} == {"127.0.0.1"}
    assert ("localhost", "") in hub.tokens
