"""What a server does with long texts is found out with a few requests, and nothing is said that is not sure."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.api.server import NAME, Reply, Request, Server, after, vector, with_status
from tests.models.api.speaking import Encode, say, speak_openai, speak_tei
from touchstone.config.api import ApiSpec
from touchstone.config.models import Model
from touchstone.models.api.client import ApiClient
from touchstone.models.api.long_texts import MAX_REQUESTS, find_cut, score
from touchstone.models.kinds import open_encoder, open_model
from touchstone.store.folder import Store


def found(server: Server, **settings: Any) -> str:
    return find_cut(ApiClient(ApiSpec(url=server.url, name=NAME, **settings), "served"))


def speak(change: Callable[[str], str], *, noise: float = 0.0) -> Callable[[Request], Reply]:
    """Answer with the vectors of what is read of each text, moved by some noise."""
    chance = np.random.default_rng(1)

    def encode(texts: Sequence[str]) -> list[list[float]]:
        rows = np.array([vector(change(text)) for text in texts])
        return [list(map(float, row)) for row in rows + noise * chance.standard_normal(rows.shape)]

    return lambda request: speak_openai(request, encode=encode)


@pytest.mark.parametrize("cut", [100, 500, 700, 1000, 2400, 5900, 20_000, 40_000])
@pytest.mark.parametrize("batch_size", [2, 32])
def test_where_a_server_cuts_is_found(server: Server, cut: int, batch_size: int) -> None:
    server.always = speak(lambda text: text[:cut])
    said = found(server, batch_size=batch_size)
    assert said.startswith("cuts texts after about ")
    assert said.endswith(" characters")
    assert int(said.split()[4].replace(",", "")) == pytest.approx(cut, rel=0.06)
    assert len(server.requests) <= MAX_REQUESTS
    assert max(map(len, server.inputs)) <= 49_152


def test_what_cannot_be_narrowed_down_is_said_as_far_as_it_is_known(server: Server) -> None:
    server.always = speak(lambda text: text[:1000])
    said = found(server, batch_size=1)
    assert len(server.requests) <= MAX_REQUESTS
    low, high = (int(word.replace(",", "")) for word in said.split() if word[0].isdigit())
    assert said == f"cuts texts somewhere between {low:,} and {high:,} characters"
    assert low <= 1000 <= high


@pytest.mark.parametrize(
    ("change", "noise"),
    [
        (lambda text: text, 0.0),
        (lambda text: text[:60_000], 0.0),
        (lambda text: text[-500:], 0.0),  # such as one that reads the end
        (lambda text: "the same", 0.0),  # which is no cut, and other checks tell
        (lambda text: text[:1000], 1e-4),  # a cut that nobody can be sure of
    ],
)
def test_what_is_not_sure_is_not_said(server: Server, change: Callable[[str], str], noise: float) -> None:
    server.always = speak(change, noise=noise)
    assert not found(server)
    assert len(server.requests) <= MAX_REQUESTS


def test_vectors_that_merely_are_close_do_not_count(server: Server) -> None:
    """As if all that follows a first part moved a vector by next to nothing."""

    def encode(texts: Sequence[str]) -> list[list[float]]:
        return [list(np.array(vector(text[:300])) + 1e-4 * np.array(vector(text))) for text in texts]

    server.always = lambda request: speak_openai(request, encode=encode)
    assert not found(server)


def limited(length: int, status: int, *, together: int = 1 << 30) -> Callable[[Request], Reply]:
    def behave(request: Request) -> Reply:
        texts = request.body["input"]
        if max(map(len, texts)) > length or sum(map(len, texts)) > together:
            return with_status(status, {"error": {"message": "maximum context length is 8192 tokens"}})(request)
        return speak_openai(request)

    return behave


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("length", [300, 3000, 30_000])
def test_what_a_server_refuses_is_said_and_no_error(server: Server, status: int, length: int) -> None:
    server.always = limited(length, status)
    said = found(server)
    assert said.startswith("refuses texts longer than about ")
    assert int(said.split()[5].replace(",", "")) == pytest.approx(length, rel=0.1)
    assert len(server.requests) <= MAX_REQUESTS


def test_too_much_together_is_not_too_long(server: Server) -> None:
    server.always = limited(1 << 30, 413, together=60_000)
    assert not found(server)


def test_text_embeddings_inference_refuses_where_it_is_not_to_cut(server: Server, tmp_path: Path) -> None:
    server.always = speak_tei(words=200)
    spec = ApiSpec(url=server.root, name=NAME, protocol="text-embeddings-inference")
    model, store = Model(alias="served", spec=spec, text="served"), Store(tmp_path)
    assert (open_encoder(model, "cpu", store).settings.long_texts or "").startswith("cuts texts after about 1,")
    refusing = replace(model, spec=replace(spec, truncate=False))
    refuses = open_encoder(refusing, "cpu", store).settings.long_texts
    assert (refuses or "").startswith("refuses texts longer than about 1,")
    assert len(store.notes) == 2
    assert all(note.startswith(f"served: {server.root}/embed ") for note in store.notes)


@pytest.mark.parametrize(
    "trouble", [with_status(500), with_status(404), with_status(200, b"no"), lambda r: Reply(b"[")]
)
def test_a_server_that_fails_is_asked_once_and_no_error(server: Server, trouble: Any) -> None:
    server.always = trouble
    assert not found(server)
    assert len(server.requests) == 1


def test_a_server_that_hangs_costs_a_tenth_of_the_patience(server: Server) -> None:
    held = threading.Event()
    server.always = after(held)
    started = time.monotonic()
    try:
        assert not found(server, patience=3.0)
    finally:
        held.set()
    assert time.monotonic() - started < 10
    assert len(server.requests) == 1


def test_longer_texts_are_not_tried_where_they_would_take_too_long(server: Server) -> None:
    def slow(texts: Sequence[str]) -> list[list[float]]:
        time.sleep(0.3)
        return [vector(text) for text in texts]

    encode: Encode = slow
    server.always = lambda request: speak_openai(request, encode=encode)
    assert not found(server, patience=20.0)
    assert len(server.requests) == 1


def test_no_text_is_longer_than_what_is_ever_sent(server: Server) -> None:
    server.always = speak(lambda text: text[:1000])
    assert found(server, max_characters=2000).startswith("cuts texts after about ")
    assert max(map(len, server.inputs)) <= 2000
    assert not found(server, max_characters=900)
    server.requests.clear()
    assert not found(server, max_characters=50)
    assert not server.requests


def test_it_is_found_out_once_for_all_processes_of_a_run(server: Server, tmp_path: Path) -> None:
    server.always = speak(lambda text: text[:1000])
    model = Model(alias="served", spec=ApiSpec(url=server.url, name=NAME), text="served")
    asked = []
    for run in ("one", "one", "two"):
        server.requests.clear()
        store = Store(tmp_path, run=run)
        assert open_encoder(model, "cpu", store).settings.long_texts == "cuts texts after about 1,000 characters"
        assert store.notes == (f"served: {server.url}/embeddings cuts texts after about 1,000 characters",)
        asked.append(len(server.requests))
    assert asked[1] == 3 < asked[0] == asked[2]


def rerank(cut: int | None, *, digits: int = 9) -> Callable[[Request], Reply]:
    """Score documents by the words of the query that are in what is read of them."""

    def behave(request: Request) -> Reply:
        words = set(request.body["query"].split())
        read = [document[:cut].split() for document in request.body["documents"]]
        shares = [sum(word in words for word in one) / max(1, len(one)) for one in read]
        results = [{"index": at, "relevance_score": round(share, digits)} for at, share in enumerate(shares)]
        return say({"results": results})

    return behave


@pytest.mark.parametrize("cut", [500, 2400, 20_000])
def test_where_a_rerank_endpoint_cuts_is_found_and_told(server: Server, cut: int, tmp_path: Path) -> None:
    server.always = rerank(cut)
    spec = ApiSpec(url=server.url, name=NAME, endpoint="rerank")
    store = Store(tmp_path)
    store.make()
    opened = open_model(Model(alias="served", spec=spec, text="served"), "cpu", store)
    said = str(opened.settings.long_texts)  # type: ignore[union-attr]
    assert said.startswith("cuts texts after about ")
    assert int(said.split()[4].replace(",", "")) == pytest.approx(cut, rel=0.06)
    assert store.messages == (f"served: {spec.address} {said}",)
    assert len(server.requests) <= MAX_REQUESTS + 1  # with the one that asks whether it answers


@pytest.mark.parametrize("digits", [9, 2])
def test_a_rerank_endpoint_that_reads_everything_is_not_said_to_cut(server: Server, digits: int) -> None:
    server.always = rerank(None, digits=digits)
    client = ApiClient(ApiSpec(url=server.url, name=NAME, endpoint="rerank"), "served")
    assert not find_cut(client, score)
