"""What a server is is guessed from what it says, where nobody says it; and nothing is guessed that it does not say."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.models.api.server import NAME, Behaviour, Reply, Request, Server, after, serving, well, with_status
from tests.models.api.speaking import INFINITY, INFO, OPENAI, RERANKER, TEI, say, speak_infinity, speak_tei
from touchstone.config.api import ApiSpec
from touchstone.config.models import Model, find_model
from touchstone.errors import ConfigError
from touchstone.models.api.guessing import Guesses


def find(text: str, **settings: Any) -> Model:
    return find_model(text, {}, Path(), "--model", guess=Guesses(**settings))


def listing(*names: str, path: str = "/v1/models") -> Behaviour:
    """Answer like vLLM, llama.cpp or Ollama."""

    def behave(request: Request) -> Reply:
        if request.path == path:
            return say(
                {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "us"} for name in names]}
            )
        return well(request)

    return behave


RERANKING = speak_tei({**INFO, "model_type": RERANKER})
BOTH = speak_infinity({NAME: ["embed"], "org/rerank": ["rerank"]})


@pytest.mark.parametrize(
    ("behaviour", "named", "url", "name", "protocol", "endpoint"),
    [
        (speak_tei(), "", "", NAME, TEI, "embeddings"),
        (speak_tei(), "#other=x", "", "other", TEI, "embeddings"),
        (RERANKING, f"#{NAME}", "", NAME, TEI, "rerank"),
        (speak_infinity({NAME: ["embed"]}), "", "", NAME, INFINITY, "embeddings"),
        (speak_infinity({NAME: ["rerank", "classify"]}), "", "", NAME, INFINITY, "rerank"),
        (speak_infinity({NAME: ["rerank", "embed"]}), "", "", NAME, INFINITY, "embeddings"),
        (BOTH, "#org/rerank", "", "org/rerank", INFINITY, "rerank"),
        (BOTH, f"#{NAME}", "", NAME, INFINITY, "embeddings"),
        (speak_infinity({NAME: ["embed"]}, prefix="/v1"), "", "/v1", NAME, INFINITY, "embeddings"),
        (listing(NAME), "", "/v1", NAME, OPENAI, "embeddings"),
        (listing(NAME, path="/models"), "", "", NAME, OPENAI, "embeddings"),
        (listing("one", "two"), f"#{NAME}", "/v1", NAME, OPENAI, "embeddings"),
        (listing(), f"#{NAME}", "/v1", NAME, OPENAI, "embeddings"),
    ],
)
def test_a_server_is_what_it_says(
    server: Server, *, behaviour: Behaviour, named: str, url: str, name: str, protocol: Any, endpoint: Any
) -> None:
    server.always = behaviour
    model = find(f"api:{server.root}{named}")
    assert model.spec == ApiSpec(url=server.root + url, name=name, protocol=protocol, endpoint=endpoint)
    assert model.text == f"api:{server.root}{named}", "what was typed can be typed again"
    assert model.guess is not None
    expected = f'{server.root}{url} serves "{name}" by the protocol "{protocol}", asked for {endpoint}'
    assert model.guess.reason == expected
    assert not any(request.body for request in server.requests)
    assert len(server.requests) <= 3


@pytest.mark.parametrize("base", ["/v1", "/v1/"])
def test_a_base_that_is_openais_is_asked_there(server: Server, base: str) -> None:
    server.always = listing(NAME)
    assert find(f"api:{server.root}{base}").spec_of(ApiSpec).address == f"{server.root}/v1/embeddings"
    assert [request.path for request in server.requests] == ["/v1/info", "/v1/models"]


SILENT = "does not say what it serves"
GONE = "/info cannot be reached, once in 0 s; check url, and that the server runs"


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (well, f" {SILENT}"),
        (with_status(401), f" {SILENT}"),
        (with_status(200, b"<html>"), f" {SILENT}"),
        (with_status(200, {"data": {}}), f" {SILENT}"),
        (with_status(503), "/info answered 503 (service unavailable), once in 0 s; see the server's log"),
    ],
)
def test_one_that_does_not_say_is_taken_for_openais(server: Server, behaviour: Behaviour, why: str) -> None:
    server.always = behaviour
    model = find(f"api:{server.root}#{NAME}=x")
    assert model.spec == ApiSpec(url=server.root, name=NAME)
    assert model.guess is not None
    assert model.guess.reason == f"{server.root}{why}; taken for OpenAI's protocol"
    with pytest.raises(ConfigError) as caught:
        find(f"api:{server.root}")
    instead = f"say the name of its model, as in api:{server.root}#NAME"
    assert str(caught.value) == f"--model: {server.root}{why}; {instead}"


def test_one_that_is_not_there_is_asked_once_and_said() -> None:
    with serving() as server:
        root = server.root
    model = find(f"api:{root}#{NAME}=x")
    assert model.guess is not None
    assert (model.spec, model.guess.reason) == (
        ApiSpec(url=root, name=NAME),
        f"{root}{GONE}; taken for OpenAI's protocol",
    )
    with pytest.raises(
        ConfigError, match=rf"^--model: {root}{GONE}; say the name of its model, as in api:{root}#NAME$"
    ):
        find(f"api:{root}")


def test_one_that_hangs_is_not_asked_elsewhere(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("touchstone.models.api.guessing.TIMEOUT", 0.3)
    held = threading.Event()
    server.always = after(held)
    started = time.monotonic()
    try:
        model = find(f"api:{server.root}#{NAME}=x")
    finally:
        held.set()
    assert time.monotonic() - started < 10
    assert len(server.requests) == 1
    assert model.guess is not None
    assert "/info did not answer within 0.3 s, once in " in model.guess.reason


def test_of_several_models_one_must_be_named(server: Server) -> None:
    server.always = listing("org/one", "two")
    with pytest.raises(ConfigError) as caught:
        find(f"api:{server.root}")
    base = f"{server.root}/v1"
    assert str(caught.value) == f'--model: {base} serves 2: "org/one", "two"; name one, as in api:{base}#org/one'
    server.always = listing()
    with pytest.raises(ConfigError, match=rf"^--model: {base} serves no model$"):
        find(f"api:{server.root}")


@pytest.mark.parametrize("name", ["a b", "x" * 300, "a\x1b[31mb", ""])
def test_a_name_that_none_has_is_refused_and_shown_harmlessly(server: Server, name: str) -> None:
    server.always = listing(name)
    with pytest.raises(ConfigError) as caught:
        find(f"api:{server.root}")
    assert str(caught.value).isprintable()


def test_nothing_is_asked_where_the_protocol_is_said_or_in_files(server: Server) -> None:
    said = find(f"api:{server.root}#{NAME}=x@protocol=infinity,endpoint=rerank").spec
    assert said == ApiSpec(url=server.root, name=NAME, protocol="infinity", endpoint="rerank")
    of_file = find_model(f"api:{server.root}#{NAME}=x", {}, Path(), "suite.toml: models")
    assert (of_file.spec, of_file.guess) == (ApiSpec(url=server.root, name=NAME), None)
    assert not server.requests


def test_what_is_typed_wins_over_what_is_guessed(server: Server) -> None:
    server.always = speak_infinity({NAME: ["embed", "rerank"]})
    model = find(f"api:{server.root}#{NAME}=x@endpoint=rerank")
    assert model.spec == ApiSpec(url=server.root, name=NAME, protocol="infinity", endpoint="rerank")


def test_each_server_is_asked_once(server: Server) -> None:
    server.always = speak_tei()
    guesses = Guesses()
    for _ in range(3):
        find_model(f"api:{server.root}", {}, Path(), "--model", guess=guesses)
    assert len(server.requests) == 1
    Guesses(guesses.guesses)(server.root, None)
    assert len(server.requests) == 1, "what another process found out is not asked again"


def test_offline_asks_only_this_machine(server: Server) -> None:
    server.always = speak_tei()
    assert find(f"api:{server.root}", offline=True).spec_of(ApiSpec).protocol == TEI
    far = "https://api.example.com/v1"
    model = find(f"api:{far}#embed=x", offline=True)
    assert model.guess is not None
    assert model.guess.reason == f"{far} is not asked under --offline; taken for OpenAI's protocol"
    with pytest.raises(ConfigError, match=f"^--model: {far} is not asked under --offline; say the name of its model"):
        find(f"api:{far}", offline=True)


@pytest.mark.parametrize("text", ["api:http://user:pass-word-0815@{}/v1", "api:http://{}/v1?key=pass-word-0815"])
def test_an_address_that_holds_a_secret_is_not_asked(server: Server, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find(text.format(server.root.removeprefix("http://")))
    assert "pass-word" not in str(caught.value)
    assert not server.requests
