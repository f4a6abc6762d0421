"""Scores of documents, in their order."""

from typing import Any

import pytest

from tests.models.api.server import NAME, Answer, Server, score, with_change, with_status
from touchstone.config.api import ApiSpec
from touchstone.errors import ModelError
from touchstone.models.api.client import ApiClient
from touchstone.models.api.reranking import ApiReranker

QUERY = "what is measured"
DOCUMENTS = [f"document {number} of what is {'really ' * (number % 5)}measured" for number in range(20)]


def reranker(server: Server, **settings: Any) -> ApiReranker:
    spec = ApiSpec(url=server.url, name=NAME, endpoint="rerank", batch_size=6, **settings)
    return ApiReranker(ApiClient(spec, "served", lambda _: False))


def test_scores_are_in_the_order_of_the_documents(server: Server) -> None:
    """The server answers best first, as rerankers do."""
    server.next = [with_status(429)]
    assert reranker(server).score_documents(QUERY, DOCUMENTS) == [score(QUERY, document) for document in DOCUMENTS]
    assert {request.path for request in server.requests} == {"/v1/rerank"}
    body = server.requests[-1].body
    assert body["model"] == NAME
    assert body["query"] == QUERY
    assert body["top_n"] == len(body["documents"]) <= 6


def test_equal_documents_are_asked_for_once(server: Server) -> None:
    scores = reranker(server).score_documents(QUERY, DOCUMENTS[:3] * 2)
    assert scores[:3] == scores[3:]
    assert sum(len(request.body["documents"]) for request in server.requests) == 3


def test_long_texts_are_cut(server: Server) -> None:
    reranker(server, max_characters=4).score_documents(QUERY, ["abcdef"])
    assert server.requests[0].body["query"] == "what"
    assert server.requests[0].body["documents"] == ["abcd"]


def test_no_documents_are_no_trouble(server: Server) -> None:
    assert reranker(server).score_documents(QUERY, []) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda answer: answer["results"].pop(), "gave 5 scores for 6 inputs"),
        (lambda answer: answer["results"][0].update(relevance_score=float("nan")), "gave NaN or infinite numbers"),
        (lambda answer: answer.clear(), 'answered without a list "results"'),
    ],
)
def test_wrong_answers_are_refused(server: Server, change: Any, expected: str) -> None:
    server.always = with_change(change)
    with pytest.raises(ModelError) as caught:
        reranker(server).score_documents(QUERY, DOCUMENTS[:6])
    assert str(caught.value) == f"served: {server.url}/rerank {expected}"


def test_an_order_of_any_kind_is_right(server: Server) -> None:
    def shuffle(answer: Answer) -> None:
        answer["results"].sort(key=lambda item: item["index"] * 7 % 5)

    server.always = with_change(shuffle)
    assert reranker(server).score_documents(QUERY, DOCUMENTS) == [score(QUERY, document) for document in DOCUMENTS]
