"""Servers of each protocol: the same vectors, each in its own words, with its own refusals."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from tests.models.api.server import NAME, Behaviour, Reply, Request, score, vector

Encode = Callable[[Sequence[str]], Sequence[Sequence[float]]]
TEI, INFINITY, OPENAI = "text-embeddings-inference", "infinity", "openai"
SHA = "8b3219a92973c328a8e22fadcfa821b5dc75636a"
EMBEDDING = {"embedding": {"pooling": "mean"}}
RERANKER = {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}}
# As version 1.7 answers, field by field.
INFO: Mapping[str, Any] = {
    "model_id": NAME, "model_sha": SHA, "model_dtype": "float32", "model_type": EMBEDDING,
    "max_concurrent_requests": 512, "max_input_length": 256, "max_batch_tokens": 16384, "max_batch_requests": None,
    "max_client_batch_size": 8, "auto_truncate": False, "tokenization_workers": 2, "version": "1.7.2",
    "sha": "9f1a5d0c3b1b7c5c3b1e6a2f7d1e4b6a8c9d0e1f", "docker_label": "sha-9f1a5d0",
}  # fmt: skip


def encode(texts: Sequence[str]) -> list[list[float]]:
    return [vector(text) for text in texts]


def speak_tei(info: Mapping[str, Any] = INFO, *, encode: Encode = encode, words: int | None = None) -> Behaviour:
    """Answer as text-embeddings-inference does; a token is a word, and a text has so many at most."""

    def behave(request: Request) -> Reply:
        if request.path == "/info":
            return say(dict(info))
        texts = request.body.get("inputs", request.body.get("texts"))
        if request.path not in ("/embed", "/rerank") or texts is None:
            return Reply(b"", status=404)
        if trouble := _validate(texts, info, None if request.body["truncate"] else words):
            return fail(413, trouble, "Validation")
        read = [" ".join(text.split()[:words]) for text in texts] if words else texts
        if request.path == "/embed":
            return say([list(map(float, row)) for row in encode(read)])
        if "reranker" not in info["model_type"]:
            return fail(424, "model is not a re-ranker model", "Backend")
        ranks = [{"index": index, "score": score(request.body["query"], text)} for index, text in enumerate(read)]
        return say(sorted(ranks, key=lambda rank: -rank["score"]))

    return behave


def _validate(texts: Sequence[str], info: Mapping[str, Any], words: int | None) -> str | None:
    longest, most = max((len(text.split()) for text in texts), default=0), info["max_client_batch_size"]
    if len(texts) > most:
        return f"batch size {len(texts)} > maximum allowed batch size {most}"
    if "" in texts:
        return "`inputs` cannot be empty"
    too_long = words is not None and longest > words
    return f"`inputs` must have less than {words} tokens. Given: {longest}" if too_long else None


def speak_infinity(models: Mapping[str, Sequence[str]], *, encode: Encode = encode, prefix: str = "") -> Behaviour:
    """Answer as infinity does, with the capabilities of each model; it asks for none by its name where it has one."""

    clock = count()

    def behave(request: Request) -> Reply:
        if request.path == f"{prefix}/models":
            now = next(clock)
            return say({"data": [tell(name, able, now) for name, able in models.items()], "object": "list"})
        name = next(iter(models)) if len(models) == 1 else str(request.body.get("model"))
        able = {f"{prefix}/embeddings": "embed", f"{prefix}/rerank": "rerank"}.get(request.path)
        if able is None:
            return Reply(b'{"detail": "Not Found"}', status=404)
        if name not in models:
            return refuse(f"Invalid model: Engine for model name `{name}` not found.")
        if able not in models[name]:
            return refuse(f"ModelNotDeployedError: model=`{name}` does not support `{able}`.")
        return speak_openai(request, encode=encode)

    return behave


def tell(name: str, able: Sequence[str], clock: int) -> dict[str, Any]:
    """What infinity's list says of a model: it is another one each time, and the capabilities are a set."""
    stats = {"queue_fraction": clock / 1000, "queue_absolute": clock, "results_pending": clock, "batch_size": 32}
    return {"id": name, "stats": stats, "object": "model", "owned_by": "infinity", "created": 1_700_000_000 + clock,
            "backend": "torch", "capabilities": list(able)[:: 1 if clock % 2 else -1]}  # fmt: skip


def speak_openai(request: Request, *, encode: Encode = encode) -> Reply:
    body = request.body
    if request.path.endswith("/rerank"):
        scored = [(score(body["query"], text), index) for index, text in enumerate(body["documents"])]
        results = [{"index": index, "relevance_score": found} for found, index in sorted(scored)[::-1]]
        return say({"object": "rerank", "results": results[: body["top_n"]]})
    rows: list[Any] = [list(map(float, row)) for row in encode(body["input"])]
    if body["encoding_format"] == "base64":
        rows = [base64.b64encode(np.asarray(row, "<f4").tobytes()).decode() for row in rows]
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
    return say({"object": "list", "model": NAME, "data": data})


def say(answer: Any) -> Reply:
    return Reply(json.dumps(answer).encode())


def fail(status: int, error: str, kind: str) -> Reply:
    return Reply(json.dumps({"error": error, "error_type": kind}).encode(), status=status)


def refuse(message: str) -> Reply:
    said = {"error": {"message": message, "type": None, "param": None, "code": 400}}
    return Reply(json.dumps(said).encode(), status=400)
