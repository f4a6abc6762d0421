"""What servers say of the model that they serve is who it is; what they are sent is in their own words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.encoders import open_reranker
from tests.models.api.server import NAME, Behaviour, Reply, Request, Server, score, serving, vector, with_status
from tests.models.api.speaking import INFINITY, INFO, RERANKER, SHA, TEI, say, speak_infinity, speak_tei
from touchstone.config.api import ApiSpec
from touchstone.config.models import Model
from touchstone.encoding.canaries import CANARIES
from touchstone.errors import ModelError, MovedError
from touchstone.models.api import ApiClient, ApiReranker
from touchstone.models.kinds import identify, open_encoder
from touchstone.records.outcomes import ModelIdentity
from touchstone.session.reuse import OutcomeCache
from touchstone.store.folder import Store

EMBEDS, RERANKS = speak_infinity({NAME: ["embed"]}), speak_infinity({NAME: ["rerank"]})


def at(server: Server, protocol: Any = TEI, **settings: Any) -> Model:
    spec = ApiSpec(url=server.root, name=NAME, protocol=protocol, **{"retries": 0, **settings})
    return Model(alias="served", spec=spec, text="served")


def error_of(open_: Callable[[], Any]) -> str:
    with pytest.raises(ModelError) as caught:
        open_()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("protocol", "behaviour"), [(TEI, speak_tei()), (INFINITY, EMBEDS)])
def test_vectors_are_those_of_the_server(server: Server, tmp_path: Path, protocol: str, behaviour: Behaviour) -> None:
    server.always = behaviour
    opened = open_encoder(at(server, protocol), "cpu", Store(tmp_path))
    texts = [f"text number {number}, which is {'long ' * (number % 7)}enough" for number in range(30)]
    assert opened.encoder is not None
    assert np.array_equal(opened.encoder.encode(texts), np.array([vector(text) for text in texts], np.float32))


@pytest.mark.parametrize(
    ("protocol", "behaviour"), [(TEI, speak_tei({**INFO, "model_type": RERANKER})), (INFINITY, RERANKS)]
)
def test_scores_are_those_of_the_server(server: Server, tmp_path: Path, protocol: str, behaviour: Behaviour) -> None:
    server.always = behaviour
    model = at(server, protocol, endpoint="rerank", batch_size=8)
    open_reranker(model, "cpu", Store(tmp_path))
    pairs = [("what is measured", f"document {number}") for number in range(20)]
    expected = np.array([score(*pair) for pair in pairs], np.float32)
    assert np.array_equal(ApiReranker(ApiClient(model.spec_of(ApiSpec), "served")).score(pairs), expected)


def test_text_embeddings_inference_is_asked_in_its_own_words(server: Server, tmp_path: Path) -> None:
    server.always = speak_tei()
    open_encoder(at(server, dimensions=64, body={"normalize": False}), "cpu", Store(tmp_path))
    body = next(request.body for request in server.requests if request.path == "/embed")
    assert body == {"inputs": list(CANARIES), "truncate": True, "normalize": False, "dimensions": 64}
    open_encoder(at(server, truncate=False), "cpu", Store(tmp_path))
    assert server.requests[-1].body["truncate"] is False
    server.always = speak_tei({**INFO, "model_type": RERANKER})
    open_reranker(at(server, endpoint="rerank", body={"raw_scores": True}), "cpu", Store(tmp_path))
    bodies = [request.body for request in server.requests if request.path == "/rerank"]
    body = next(body for body in bodies if len(body["texts"]) == len(CANARIES))  # others look how long texts may be
    assert sorted(body.pop("texts")) == sorted(CANARIES)
    assert body == {"query": CANARIES[0], "truncate": True, "return_text": False, "raw_scores": True}


def test_what_it_says_of_itself_is_recorded(server: Server, tmp_path: Path) -> None:
    server.always = speak_tei({**INFO, "model_type": {"embedding": {"pooling": "last_token"}}})
    opened = open_encoder(at(server), "cpu", Store(tmp_path))
    assert (opened.identity.name, opened.identity.revision) == (f"api/{NAME}", SHA)
    assert not opened.identity.unmodified, "a revision that a server says is not one that we looked at"
    settings = opened.settings
    assert (settings.pooling, settings.dtype, settings.max_length) == ("lasttoken", "float32", 256)
    assert identify(at(server), Store(tmp_path, run="r")).revision == SHA


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"model_sha": "0" * 40}, False), ({"model_sha": None}, False), ({"model_dtype": "float16"}, False),
        ({"model_type": {"embedding": {"pooling": "cls"}}}, False), ({"max_input_length": 512}, False),
        ({"version": "1.8.0"}, False), ({"max_client_batch_size": 32}, False), ({"auto_truncate": True}, False),
        ({"tokenization_workers": 9, "max_concurrent_requests": 1, "uptime": 3.5}, True),
    ],
)  # fmt: skip
def test_and_is_part_of_who_it_is(server: Server, tmp_path: Path, change: dict[str, Any], same: bool) -> None:
    store = Store(tmp_path, reuse_api=True)
    server.always = speak_tei()
    before = identify(at(server), store).fingerprint
    server.always = speak_tei({**INFO, **change})
    assert (identify(at(server), store).fingerprint == before) is same


def test_a_revision_that_is_known_is_no_reason_to_trust_another_run(server: Server, tmp_path: Path) -> None:
    server.always = speak_tei()
    one, two = (identify(at(server), Store(tmp_path)) for _ in range(2))
    assert one.fingerprint != two.fingerprint


def test_how_busy_infinity_is_does_not_make_it_another(server: Server, tmp_path: Path) -> None:
    store = Store(tmp_path, reuse_api=True)
    server.always = speak_infinity({NAME: ["embed", "rerank", "classify"]})
    found = {identify(at(server, INFINITY), store).fingerprint for _ in range(8)}
    server.always = speak_infinity({NAME: ["embed"]})
    assert len(found) == 1
    assert identify(at(server, INFINITY), store).fingerprint not in found


def test_no_request_has_more_texts_than_the_server_takes(server: Server, tmp_path: Path) -> None:
    server.always = speak_tei({**INFO, "max_client_batch_size": 3})
    opened = open_encoder(at(server, batch_size=32), "cpu", Store(tmp_path))
    assert opened.batch_size == 3
    assert opened.encoder is not None
    opened.encoder.encode([f"text {number}" for number in range(10)])
    assert max(len(request.body["inputs"]) for request in server.requests if request.body) == 3


OTHER: list[tuple[str, dict[str, Any], Behaviour, str]] = [
    (TEI, {}, speak_tei({**INFO, "model_id": "org/other"}), f'info does not serve name = "{NAME}", but "org/other"'),
    (TEI, {}, speak_tei({**INFO, "model_type": RERANKER}),
     f'info serves "{NAME}" as reranker; set endpoint = "rerank"'),
    (TEI, {"endpoint": "rerank"}, speak_tei(), f'info serves "{NAME}" as embedding; set endpoint = "embeddings"'),
    (TEI, {}, speak_tei({**INFO, "model_type": {"classifier": {"id2label": {}}}}),
     f'info serves "{NAME}" as classifier; which neither embeds nor reranks'),
    (TEI, {}, lambda request: say({"name": "a server of another kind"}), "info does not say which model it serves; "
     "check protocol"),
    (TEI, {}, with_status(404), "info answered 404 (not found); check url and protocol"),
    (TEI, {}, with_status(200, b"<html>"), "info answered with what is no JSON; check url"),
    (TEI, {}, with_status(503), "info answered 503 (service unavailable), once in 0 s; see the server's log"),
    (TEI, {}, with_status(401), "info answered 401 (unauthorized); it wants a key: name its environment variable with "
     "api_key_env in models.toml"),
    (INFINITY, {}, speak_infinity({"one": ["embed"], "two": ["embed"]}),
     f'models does not serve name = "{NAME}", but 2: "one", "two"'),
    (INFINITY, {}, RERANKS, f'models serves "{NAME}" as rerank; set endpoint = "rerank"'),
    (INFINITY, {}, speak_infinity({NAME: ["classify"]}), f'models serves "{NAME}" as classify; which neither embeds '
     "nor reranks"),
    (INFINITY, {}, speak_infinity({}), f'models does not serve name = "{NAME}", but nothing'),
    (INFINITY, {}, speak_infinity({NAME: ["embed"]}, prefix="/v1"), "models answered 404 (not found): Not Found; check "
     "url and protocol"),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "settings", "behaviour", "expected"), OTHER)
def test_a_server_of_something_else_is_one_sentence(
    server: Server, tmp_path: Path, *, protocol: str, settings: dict[str, Any], behaviour: Behaviour, expected: str
) -> None:
    server.always = behaviour
    model, store = at(server, protocol, **settings), Store(tmp_path, run="r")
    open_ = open_reranker if settings else open_encoder
    assert error_of(lambda: open_(model, "cpu", store)) == f"served: {server.root}/{expected}"
    assert error_of(lambda: identify(model, store)) == f"served: {server.root}/{expected}"


@pytest.mark.parametrize("said", ["x" * 10_000, "a b", "\x1b[31m", "..", 7, ["a"], {"a": 1}, True])
def test_what_no_server_says_is_kept_out_of_records(server: Server, tmp_path: Path, said: Any) -> None:
    strange = {"model_sha": said, "model_dtype": said, "model_type": {"embedding": {"pooling": said}}}
    if said != 7:
        strange |= {"max_input_length": said, "max_client_batch_size": said}
    server.always = speak_tei({**INFO, **strange, "max_client_batch_size": INFO["max_client_batch_size"]})
    opened = open_encoder(at(server), "cpu", Store(tmp_path))
    assert opened.identity.revision is None
    known = {opened.settings.pooling, opened.settings.dtype, opened.settings.max_length}
    assert known <= {None, 256, ".."}


WRONG: list[tuple[Callable[[list[Any]], Any], str]] = [
    (lambda rows: rows[:-1], "gave 4 vectors for 5 inputs"),
    (lambda rows: [*rows, rows[0]], "gave 6 vectors for 5 inputs"),
    (lambda rows: {"data": rows}, "answered without a list of vectors"),
    (lambda rows: [[float("nan"), *row[1:]] for row in rows], "gave NaN or infinite numbers"),
    (lambda rows: [[None, *row[1:]] for row in rows], "gave a vector that is neither numbers nor base64"),
    (lambda rows: [*rows[:-1], rows[-1][1:]], "gave vectors of 63 and of 64 dimensions in one answer"),
    (lambda rows: [[[0.1]] for _ in rows], "gave a vector that is neither numbers nor base64"),
    (lambda rows: [[] for _ in rows], "gave empty vectors"),
    (lambda rows: rows[::-1], "gives a text another vector alone than among others; check its order"),
]


@pytest.mark.parametrize(("change", "expected"), WRONG)
def test_wrong_vectors_are_refused(
    server: Server, tmp_path: Path, change: Callable[[list[Any]], Any], expected: str
) -> None:
    right = speak_tei()

    def behave(request: Request) -> Reply:
        return right(request) if request.path == "/info" else say(change([vector(t) for t in request.body["inputs"]]))

    server.always = behave
    found = error_of(lambda: open_encoder(at(server), "cpu", Store(tmp_path)))
    assert found == f"served: {server.root}/embed {expected}"


def test_an_error_of_text_embeddings_inference_is_told_in_its_words(server: Server, tmp_path: Path) -> None:
    server.always = speak_tei(words=200)
    opened = open_encoder(at(server, truncate=False), "cpu", Store(tmp_path))
    assert opened.encoder is not None
    encoder = opened.encoder
    said = error_of(lambda: encoder.encode(["word " * 300])).replace("content too large", "request entity too large")
    assert said.startswith(
        f"served: {server.root}/embed answered 413 (request entity too large): `inputs` must have less than 200 "
        "tokens. Given: 300; max_characters cuts texts"
    )


@pytest.mark.parametrize(
    ("protocol", "before", "after"),
    [
        (TEI, speak_tei(), speak_tei({**INFO, "model_sha": "0" * 40})),
        (TEI, speak_tei(), speak_tei({**INFO, "model_id": "org/other"})),
        (TEI, speak_tei(), with_status(404)),
        (INFINITY, EMBEDS, speak_infinity({"other": ["embed"]})),
    ],
)
def test_a_server_that_serves_something_else_by_now_has_moved(
    server: Server, tmp_path: Path, protocol: str, before: Behaviour, after: Behaviour
) -> None:
    server.always = before
    opened = open_encoder(at(server, protocol), "cpu", Store(tmp_path))
    opened.check_unchanged()
    server.always = after
    with pytest.raises(MovedError, match=r"^served: what http://127[^ ]+ says changed while it was measured, and noth"):
        opened.check_unchanged()
    server.always = before
    opened.check_unchanged()


def test_vectors_of_a_server_that_moved_are_not_kept(server: Server, tmp_path: Path) -> None:
    server.always = speak_tei()
    store = Store(tmp_path, reuse_api=True)
    opened = open_encoder(at(server), "cpu", store)
    assert opened.encoder is not None
    opened.encoder.encode(["one", "two"])
    server.always = speak_tei({**INFO, "version": "2"})
    with pytest.raises(MovedError):
        opened.encoder.flush()
    assert not list(tmp_path.rglob("*.vectors"))


def test_what_a_server_says_of_itself_is_asked_with_the_same_care(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key goes along, and is in no error; no redirect is followed; a page without end is not read."""
    key = "sk-9f8e7d6c5b4a39281706"
    monkeypatch.setenv("EMBED_KEY", key)
    server.always = speak_tei()
    model = at(server, api_key_env="EMBED_KEY", timeout=0.5)
    identify(model, Store(tmp_path))
    assert server.requests[-1].headers["Authorization"] == f"Bearer {key}"
    with serving() as elsewhere:
        server.always = with_status(302, Location=f"{elsewhere.root}/info")
        found = error_of(lambda: identify(model, Store(tmp_path)))
        assert found == f"served: {server.root}/info answered 302 (found); write the address that it leads to as url"
        assert not elsewhere.requests
    server.always = with_status(400, {"error": f"what is {key}?"})
    found = error_of(lambda: identify(model, Store(tmp_path)))
    assert found == f"served: {server.root}/info answered 400 (bad request): what is [key]; check url and protocol"
    server.always = with_status(200, b"[" + b" " * (2 << 20))
    assert "answered with over 1.0 MB, which no" in error_of(lambda: identify(model, Store(tmp_path)))
    server.always = lambda request: Reply(speak_tei()(request).content, pause=0.02)
    assert "did not answer within 0.5 s" in error_of(lambda: identify(model, Store(tmp_path)))


def test_a_server_that_does_not_say_who_it_is_is_not_waited_for_by_each_case(server: Server, tmp_path: Path) -> None:
    server.always = with_status(503)
    known = OutcomeCache({"served": at(server)}, "cpu", Store(tmp_path, reuse_api=True))
    measured = ModelIdentity(name="x", revision=None, unmodified=False, fingerprint="0" * 12)
    for _ in range(3):
        with pytest.raises(ModelError, match="/info answered 503"):
            known.check_model("served", measured)
    assert len(server.requests) == 1
