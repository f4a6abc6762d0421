"""Vectors of a server that misbehaves are right, or there are none."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.api.server import (
    NAME,
    Answer,
    Behaviour,
    Server,
    half_sent,
    half_written,
    right_answer,
    vector,
    well,
    with_change,
    with_status,
)
from touchstone.config.api import ApiSpec
from touchstone.encoding.canaries import CANARIES
from touchstone.encoding.meter import Meter
from touchstone.errors import ModelError
from touchstone.models.api.client import ApiClient
from touchstone.models.api.embedding import ApiModel
from touchstone.store.vectors import Embeddings

TEXTS = [f"text number {number}, which is {'long ' * (number % 7)}enough" for number in range(50)]
EXPECTED = np.array([vector(text) for text in TEXTS], np.float32)


def model(server: Server, embeddings: Embeddings | None = None, **settings: Any) -> ApiModel:
    spec = ApiSpec(url=server.url, name=NAME, **{"batch_size": 8, **settings})
    return ApiModel(ApiClient(spec, "served", lambda _: False), embeddings)


def shuffle(answer: Answer) -> None:
    answer["data"].reverse()


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_are_those_of_the_server_in_order(server: Server, encoding: str) -> None:
    assert np.array_equal(model(server, encoding=encoding).encode(TEXTS), EXPECTED)
    assert {request.body["encoding_format"] for request in server.requests} == {encoding}
    assert {request.body["model"] for request in server.requests} == {NAME}
    assert max(len(request.body["input"]) for request in server.requests) == 8


@pytest.mark.parametrize(
    "trouble",
    [with_change(shuffle), with_status(429, Retry_After="0"), with_status(500), half_sent, half_written],
)
def test_vectors_are_right_all_the_same(server: Server, trouble: Behaviour) -> None:
    server.next = [trouble, well, trouble, trouble]
    assert np.array_equal(model(server).encode(TEXTS), EXPECTED)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda answer: answer["data"].pop(), "gave 7 vectors for 8 inputs"),
        (lambda answer: answer["data"][1].update(index=0), "gave index 0 twice"),
        (lambda answer: answer["data"][5]["embedding"].__setitem__(3, float("nan")), "gave NaN or infinite numbers"),
        (lambda answer: answer["data"][5]["embedding"].pop(), "gave vectors of 63 and of 64 dimensions in one answer"),
        (lambda answer: [item["embedding"].pop() for item in answer["data"]], "gave 63 dimensions, and 64 before"),
    ],
)
def test_wrong_answers_are_refused(server: Server, change: Any, expected: str) -> None:
    asking = model(server)
    asking.check()
    server.always = with_change(change)
    with pytest.raises(ModelError) as caught:
        asking.encode(TEXTS[:48])
    assert str(caught.value) == f"served: {server.url}/embeddings {expected}"


def test_dimensions_are_asked_for_and_checked(server: Server) -> None:
    asking = model(server, dimensions=16)
    assert asking.encode(TEXTS[:3]).shape == (3, 16)
    server.always = lambda request: well(
        type(request)(request.path, request.headers, request.body | {"dimensions": 64})
    )
    with pytest.raises(ModelError, match=r"gave 64 dimensions, and dimensions = 16 were asked for$"):
        asking.encode(TEXTS)


def test_each_text_is_asked_for_once(server: Server) -> None:
    asking, meter = model(server), Meter()
    assert np.array_equal(asking.encode(TEXTS[:10] * 3, meter=meter), np.tile(EXPECTED[:10], (3, 1)))
    asking.encode(TEXTS[5:20], meter=meter)
    assert sorted(server.inputs) == sorted(TEXTS[:20])
    assert meter.computed == 20


def test_prompts_and_bodies_of_roles_are_sent(server: Server) -> None:
    asking = model(server, body={"user": "me"}, query_body={"input_type": "query"})
    asking.encode(["a"], role="query", prompt="q: ")
    asking.encode(["a"], role="document", prompt="")
    asking.encode(["a"])
    asking.encode(["a"], role="query", prompt="q: ")
    bodies = [request.body for request in server.requests]
    assert [body["input"] for body in bodies] == [["q: a"], ["a"]], "a document is here what a text without a role is"
    assert [body.get("input_type") for body in bodies] == ["query", None]
    assert all(body["user"] == "me" for body in bodies)


def test_long_texts_are_cut_with_their_prompt(server: Server) -> None:
    model(server, max_characters=8).encode(["abcdefghij", "abc"], prompt="q: ")
    assert server.inputs == ["q: abcde", "q: abc"]


def test_requests_under_way_are_bounded(server: Server) -> None:
    together = threading.Barrier(3)

    def behave(request: Any) -> Any:
        together.wait(timeout=30)
        return well(request)

    server.always = behave
    model(server, concurrency=3, batch_size=1).encode(TEXTS[:9])
    assert server.most_under_way == 3


def test_what_was_answered_before_a_failure_is_not_asked_for_again(server: Server) -> None:
    asking = model(server, concurrency=1)
    server.next = [well, well, with_status(401)]
    with pytest.raises(ModelError):
        asking.encode(TEXTS)
    server.requests.clear()
    assert np.array_equal(asking.encode(TEXTS), EXPECTED)
    assert len(server.inputs) == len(TEXTS) - 16


def test_nothing_is_left_on_the_disk_without_a_store(server: Server) -> None:
    asking = model(server)
    asking.encode(TEXTS)
    asking.flush()
    folder = asking._embeddings.folder
    assert list(folder.iterdir())
    del asking
    assert not folder.exists()


def test_a_store_serves_the_next_run(server: Server, tmp_path: Path) -> None:
    first = model(server, Embeddings(tmp_path))
    first.check()
    first.encode(TEXTS)
    first.flush()
    server.requests.clear()
    second = model(server, Embeddings(tmp_path))
    second.check()
    meter = Meter()
    assert np.array_equal(second.encode(TEXTS, meter=meter), EXPECTED)
    assert set(server.inputs) <= set(CANARIES)
    assert meter.computed == 0


@pytest.mark.parametrize("width", [None, 32])
def test_another_model_under_the_same_name_is_not_mixed_with_a_store(
    server: Server, tmp_path: Path, width: int | None
) -> None:
    first = model(server, Embeddings(tmp_path))
    first.check()
    first.flush()

    def other(answer: Answer) -> None:
        for item in answer["data"]:
            item["embedding"] = item["embedding"][:width][::-1]

    server.always = with_change(other)
    with pytest.raises(ModelError, match=r"are of another model; leave out --reuse-api, or take another --store$"):
        model(server, Embeddings(tmp_path)).check()


def test_an_order_that_is_not_the_one_said_is_found(server: Server) -> None:
    def lie(answer: Answer) -> None:
        vectors = [item["embedding"] for item in answer["data"]]
        for item, other in zip(answer["data"], vectors[1:] + vectors[:1], strict=True):
            item["embedding"] = other

    server.always = with_change(lie)
    with pytest.raises(ModelError, match=r"another vector alone than among others; check its order$"):
        model(server).check()


def test_no_texts_are_no_trouble(server: Server) -> None:
    assert len(model(server).encode([])) == 0
    assert not server.requests


def test_the_right_answer_of_the_server_is_what_these_tests_expect(server: Server) -> None:
    model(server).encode(TEXTS[:1])
    assert right_answer(server.requests[0])["data"][0]["embedding"] == EXPECTED[0].tolist()
