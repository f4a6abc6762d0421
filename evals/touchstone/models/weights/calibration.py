"""The sample of texts that ranges of quantized vectors come from, and a model's vectors of it."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from touchstone.encoding.batching import BatchedModel
from touchstone.encoding.prompts import ROLES, Prompting, Role, Text
from touchstone.encoding.quantization import INTEGER_PRECISIONS, Quantizer, calibrate

# The short articles that this package carries, and the queries for them.
SAMPLE_NAME = "the embedded articles"
SAMPLE_FILES: Mapping[Role, str] = {"document": "corpus.jsonl", "query": "queries.jsonl"}


@cache
def read_sample() -> tuple[Mapping[Role, tuple[str, ...]], str]:
    """Return the texts of the sample by their role, and the first digits of the sha256 of their files."""
    texts: dict[Role, tuple[str, ...]] = {}
    digest = hashlib.sha256()
    for role, name in SAMPLE_FILES.items():
        content = files("touchstone").joinpath("data", "articles", name).read_bytes()
        digest.update(content)
        rows = [json.loads(line) for line in content.splitlines()]
        texts[role] = tuple(" ".join(filter(None, (row.get("title"), row["text"]))) for row in rows)
    return texts, digest.hexdigest()[:12]


def quantized_by(precision: str | None) -> str | None:
    """Describe the quantization of vectors and all that decides it, for records and fingerprints; None for none."""
    if precision in INTEGER_PRECISIONS:
        return f"{precision}, ranges of {SAMPLE_NAME}, {read_sample()[1]}"
    return "binary, 1 and -1" if precision == "binary" else precision


def make_quantizer(
    precision: str, encoder: BatchedModel, prompting: Prompting, encode_kwargs: Mapping[str, Any]
) -> Quantizer:
    """Make the quantizer of a model, from its vectors of the sample, as queries and as documents, if it needs any."""
    if precision not in INTEGER_PRECISIONS:
        return calibrate(precision, np.empty((0, 0), np.float32))
    texts, _ = read_sample()
    parts = []
    for role in ROLES:
        text_role = role if role in encoder.roles else None
        prompt = prompting.find(Text(task="", type="Retrieval", role=role)).text
        parts.append(encoder.encode(texts[role], role=text_role, prompt=prompt, **encode_kwargs))
    return calibrate(precision, np.concatenate(parts))
