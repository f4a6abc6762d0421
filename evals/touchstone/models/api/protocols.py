"""Protocols of servers: what is sent for vectors and scores, and what a server says of its model."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from touchstone.config.api import INFINITY, OPENAI, TEI, ApiSpec
from touchstone.formatting import shorten, some
from touchstone.models.api.answers import Vectors, read_rows, read_scores, read_vectors
from touchstone.models.api.client import ApiClient
from touchstone.records.names import REVISION

Body = Mapping[str, Any]
QUOTE_LIMIT = 100
WORD_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,40}")
# Facts of text-embeddings-inference that can change a score; the others are about its speed.
TEI_FACTS = (
    "model_id", "model_sha", "model_dtype", "model_type", "max_input_length", "max_batch_tokens",
    "max_client_batch_size", "auto_truncate", "version", "sha", "docker_label",
)  # fmt: skip
# Facts of infinity that can change a score; the others are its load and the time.
INFINITY_FACTS = ("id", "backend", "capabilities")
# Names of poolings that sentence-transformers has under another name.
POOLING_NAMES = {"last_token": "lasttoken"}


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a server says of the model that it serves.

    ``facts`` are those that can change a score, for a fingerprint. ``max_texts`` is how many texts a request may have.
    Each is None where the server does not say.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    revision: str | None = None
    pooling: str | None = None
    dtype: str | None = None
    max_length: int | None = None
    max_texts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """What is sent and read for vectors and for scores, and what is read where a server says what it serves.

    Args:
        embed: makes the body that asks for the vectors of texts.
        rerank: makes the body that asks for the scores of a query's documents.
        vectors: reads the vectors, from the answer and the number of texts; raises `ValueError` for a wrong one.
        about: reads what is served, and raises `ValueError` where that is not what the specification says.
    """

    embed: Callable[[ApiSpec, Sequence[str]], Body]
    rerank: Callable[[ApiSpec, str, Sequence[str]], Body]
    vectors: Callable[[Any, int], Vectors] = read_vectors
    about: Callable[[Any, ApiSpec], About] = lambda _answer, _spec: About()


def ask_vectors(client: ApiClient, texts: Sequence[str], body: Body, *, retries: int | None = None) -> Vectors:
    """Return the vectors of texts, shape (texts, dimensions); ``body`` is sent beside what the specification says.

    ``retries`` is as in `ApiClient.ask`.

    Raises:
        ModelError: the server did not give one for each.
    """
    protocol = PROTOCOLS[client.spec.protocol]
    request = {**client.spec.body, **body, **protocol.embed(client.spec, texts)}
    if client.spec.dimensions is not None:
        request["dimensions"] = client.spec.dimensions
    vectors: Vectors = client.ask(request, lambda answer: protocol.vectors(answer, len(texts)), retries=retries)
    return vectors


def ask_scores(client: ApiClient, query: str, documents: Sequence[str]) -> list[float]:
    """Return how well each document answers a query, in their order.

    Raises:
        ModelError: the server did not give a score for each.
    """
    request = {**client.spec.body, **PROTOCOLS[client.spec.protocol].rerank(client.spec, query, documents)}
    scores: list[float] = client.ask(request, lambda answer: read_scores(answer, len(documents)))
    return scores


def ask_about(client: ApiClient) -> About:
    """Return what a server says of the model that it serves; a server with OpenAI's protocol is not asked.

    Raises:
        ModelError: it serves another model than the specification says, or does not say.
    """
    if client.spec.about is None:
        return About()
    protocol = PROTOCOLS[client.spec.protocol]
    about: About = client.look(client.spec.about, lambda answer: protocol.about(answer, client.spec))
    return about


def _embed(spec: ApiSpec, texts: Sequence[str]) -> Body:
    return {"model": spec.name, "input": list(texts), "encoding_format": spec.encoding}


def _rerank(spec: ApiSpec, query: str, documents: Sequence[str]) -> Body:
    return {
        "model": spec.name,
        "query": query,
        "documents": list(documents),
        "top_n": len(documents),
        "return_documents": False,
    }


def _embed_by_tei(spec: ApiSpec, texts: Sequence[str]) -> Body:
    return {"inputs": list(texts), "truncate": spec.truncate}


def _rerank_by_tei(spec: ApiSpec, query: str, documents: Sequence[str]) -> Body:
    return {"query": query, "texts": list(documents), "truncate": spec.truncate, "return_text": False}


def _about_tei(answer: Any, spec: ApiSpec) -> About:
    kind = model_type(answer)
    if kind is None:
        raise ValueError("does not say which model it serves; check protocol")
    facts = answer["model_type"][kind] or {}
    _check_name([answer["model_id"]], spec)
    _check_endpoint({"embedding": "embeddings", "reranker": "rerank"}.get(kind), spec, kind)
    pooling = _word(facts.get("pooling"))
    sha = answer.get("model_sha")
    return About(
        facts={name: answer[name] for name in TEI_FACTS if answer.get(name) is not None},
        revision=sha if isinstance(sha, str) and REVISION.fullmatch(sha) else None,
        pooling=pooling and POOLING_NAMES.get(pooling, pooling),
        dtype=_word(answer.get("model_dtype")),
        max_length=_count(answer.get("max_input_length")),
        max_texts=_count(answer.get("max_client_batch_size")),
    )


def model_type(answer: Any) -> str | None:
    """Return the type of model that text-embeddings-inference serves; None for an answer of another server."""
    if not isinstance(answer, dict) or not isinstance(answer.get("model_id"), str):
        return None
    types = answer.get("model_type")
    kinds = [kind for kind, facts in types.items() if isinstance(facts, dict | None)] if isinstance(types, dict) else []
    return kinds[0] if len(kinds) == 1 else None


def _about_infinity(answer: Any, spec: ApiSpec) -> About:
    models = served_models(answer)
    _check_name(list(models), spec)
    model = models[spec.name]
    tasks = capabilities(model)
    words = {"embeddings": "embed", "rerank": "rerank"}
    if tasks and words[spec.endpoint] not in tasks:
        _check_endpoint(next((end for end, word in words.items() if word in tasks), None), spec, " and ".join(tasks))
    return About(facts={name: model.get(name) for name in INFINITY_FACTS} | {"capabilities": tasks})


def served_models(answer: Any) -> dict[str, dict[str, Any]]:
    """Return the entries of a server's list of models by name.

    Raises:
        ValueError: it is no such list.
    """
    items = answer.get("data") if isinstance(answer, dict) else None
    items = items if isinstance(items, list) else [None]
    named = [item for item in items if isinstance(item, dict) and isinstance(item.get("id"), str)]
    if len(named) < len(items):
        raise ValueError("does not say which models it serves; check protocol")
    return {item["id"]: item for item in named}


def capabilities(facts: Mapping[str, Any]) -> list[str]:
    """Return the capabilities that infinity says of a model, sorted: infinity has them in another order each time."""
    names = facts.get("capabilities")
    return sorted(name for name in names if isinstance(name, str)) if isinstance(names, list) else []


def _check_name(served: Sequence[str], spec: ApiSpec) -> None:
    if spec.name not in served:
        quotes = [f'"{shorten(name, QUOTE_LIMIT)}"' for name in served]
        names = some(quotes).removeprefix("1: ") if served else "nothing"
        raise ValueError(f'does not serve name = "{spec.name}", but {names}')


def _check_endpoint(right: str | None, spec: ApiSpec, what: str) -> None:
    """Refuse a model of another endpoint; ``right`` is that endpoint, None where it is none of ours."""
    if right != spec.endpoint:
        advice = f'set endpoint = "{right}"' if right else "which neither embeds nor reranks"
        raise ValueError(f'serves "{spec.name}" as {shorten(what, QUOTE_LIMIT)}; {advice}')


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and WORD_PATTERN.fullmatch(value) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31 else None


PROTOCOLS: dict[str, Protocol] = {
    OPENAI: Protocol(embed=_embed, rerank=_rerank),
    TEI: Protocol(embed=_embed_by_tei, rerank=_rerank_by_tei, vectors=read_rows, about=_about_tei),
    INFINITY: Protocol(embed=_embed, rerank=_rerank, about=_about_infinity),
}
