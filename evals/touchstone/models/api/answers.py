"""What a server answers, checked: one vector or score for each input, in the order of the inputs.

A `ValueError` of this module says what the server did, in words that follow the name of the server.
"""

import base64
import binascii
from typing import Any

import numpy as np
from numpy.typing import NDArray

from touchstone.formatting import shorten

Vectors = NDArray[np.float32]
FLOAT_BYTES = 4
QUOTE_LIMIT = 20
NOT_FINITE = "gave NaN or infinite numbers"


def read_vectors(answer: Any, count: int) -> Vectors:
    """Read the answer of an embeddings endpoint.

    Args:
        answer: parsed JSON; each vector is a list of numbers, or base64 of 32-bit floats, little end first.
        count: how many texts were sent.

    Returns:
        Vectors in the order of the texts, shape (count, dimensions), all finite.

    Raises:
        ValueError: there is not one vector for each text, or one of them is no vector.
    """
    return _stack([item.get("embedding") for item in _in_order(_items(answer, "data"), count, "vectors")])


def read_rows(answer: Any, count: int) -> Vectors:
    """Read an answer of vectors alone; only comparing them with vectors of single texts can check their order.

    Arguments, result and errors as of `read_vectors`.
    """
    if not isinstance(answer, list):
        raise ValueError("answered without a list of vectors")
    if len(answer) != count:
        raise ValueError(f"gave {len(answer)} vectors for {count} inputs")
    return _stack(answer)


def _stack(items: list[Any]) -> Vectors:
    rows = [_vector(vector) for vector in items]
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise ValueError(f"gave vectors of {lengths[0]} and of {lengths[-1]} dimensions in one answer")
    if lengths == [0]:
        raise ValueError("gave empty vectors")
    vectors = np.stack(rows)
    if not np.isfinite(vectors).all():
        raise ValueError(NOT_FINITE)
    return vectors


def read_scores(answer: Any, count: int) -> list[float]:
    """Read the answer of a rerank endpoint.

    Args:
        answer: parsed JSON: ``results`` of Jina and Cohere with ``relevance_score``, or a list with ``score``.
        count: how many documents were sent.

    Returns:
        A score for each document, in the order of the documents.

    Raises:
        ValueError: there is not one score for each document, or one of them is no number.
    """
    items = answer if isinstance(answer, list) else _items(answer, "results")
    values = [item.get("relevance_score", item.get("score")) for item in _in_order(items, count, "scores")]
    scores = _array(values, "gave a score that is no number")
    if not np.isfinite(scores).all():
        raise ValueError(NOT_FINITE)
    return list(map(float, scores))


def _items(answer: Any, name: str) -> list[Any]:
    items = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(items, list):
        raise ValueError(f'answered without a list "{name}"')
    return items


def _in_order(items: list[Any], count: int, what: str) -> list[dict[str, Any]]:
    """Put the items of an answer in the order of the inputs; a server may answer in any order."""
    if len(items) != count:
        raise ValueError(f"gave {len(items)} {what} for {count} inputs")
    by_index: dict[int, dict[str, Any]] = {}
    for item in items:
        index = item.get("index", 0) if isinstance(item, dict) else None  # some leave out what is 0, and only that
        if isinstance(index, bool) or not isinstance(index, int) or ("index" not in item and 0 in by_index):
            raise ValueError(f'gave {what} without "index", whose order cannot be checked')
        if index in by_index:
            raise ValueError(f"gave index {shorten(str(index), QUOTE_LIMIT)} twice")
        by_index[index] = item
    if unknown := by_index.keys() - set(range(count)):
        raise ValueError(f"gave index {shorten(str(max(unknown)), QUOTE_LIMIT)} for {count} inputs")
    return [by_index[index] for index in range(count)]


def _vector(value: Any) -> Vectors:
    if isinstance(value, str):
        try:
            content = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("gave a vector that is neither numbers nor base64") from None
        if len(content) % FLOAT_BYTES:
            raise ValueError("gave a vector whose base64 is not of 32-bit floats")
        return np.frombuffer(content, dtype="<f4").astype(np.float32)
    with np.errstate(over="ignore"):  # what is too large for 32 bits becomes infinite, and is refused as such
        return _array(value, "gave a vector that is neither numbers nor base64").astype(np.float32)


def _array(values: Any, otherwise: str) -> NDArray[np.float64]:
    # Looked at before there is an array, where one long text would make all entries as long.
    if not isinstance(values, list) or not set(map(type, values)) <= {int, float}:
        raise ValueError(otherwise)
    try:
        return np.array(values, np.float64)
    except OverflowError:  # an integer beyond what a float holds
        raise ValueError(NOT_FINITE) from None
