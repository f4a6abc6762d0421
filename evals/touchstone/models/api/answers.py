"""What a server answers, checked: one vector or score for each input, in the order of the inputs.

A `ValueError` of this module says in a few words what the server did, to go on with after its name.
"""

import base64
import binascii
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
BYTES = 4


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
    rows = [_vector(item.get("embedding")) for item in _in_order(_items(answer, "data"), count, "vectors")]
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise ValueError(f"gave vectors of {lengths[0]} and of {lengths[-1]} dimensions in one answer")
    if lengths == [0]:
        raise ValueError("gave empty vectors")
    vectors = np.stack(rows)
    if not np.isfinite(vectors).all():
        raise ValueError("gave NaN or infinite numbers")
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
    scores = []
    for item in _in_order(items, count, "scores"):
        score = item.get("relevance_score", item.get("score"))
        if isinstance(score, bool) or not isinstance(score, int | float):
            raise ValueError("gave a score that is no number")
        scores.append(float(score))
    if not np.isfinite(scores).all():
        raise ValueError("gave NaN or infinite numbers")
    return scores


def _items(answer: Any, name: str) -> list[Any]:
    items = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(items, list):
        raise ValueError(f'answered without a list "{name}"')
    return items


def _in_order(items: list[Any], count: int, what: str) -> list[dict[str, Any]]:
    """Put what was answered in the order of what was asked; a server may answer in any."""
    if len(items) != count:
        raise ValueError(f"gave {len(items)} {what} for {count} inputs")
    found: dict[int, dict[str, Any]] = {}
    for item in items:
        index = item.get("index") if isinstance(item, dict) else None
        if isinstance(index, bool) or not isinstance(index, int):
            raise ValueError(f'gave {what} without "index", whose order cannot be checked')
        if index in found:
            raise ValueError(f"gave index {index} twice")
        found[index] = item
    if found.keys() != set(range(count)):
        raise ValueError(f"gave index {max(found.keys() - set(range(count)))} for {count} inputs")
    return [found[index] for index in range(count)]


def _vector(said: Any) -> Vectors:
    if isinstance(said, str):
        try:
            content = base64.b64decode(said, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("gave a vector that is neither numbers nor base64") from None
        if len(content) % BYTES:
            raise ValueError("gave a vector whose base64 is not of 32-bit floats")
        return np.frombuffer(content, dtype="<f4").astype(np.float32)
    try:
        numbers = np.asarray(said)
    except ValueError:  # lists of unlike lengths
        numbers = np.empty(())
    if not isinstance(said, list) or numbers.ndim != 1 or (numbers.dtype.kind not in "fiu" and said):
        raise ValueError("gave a vector that is neither numbers nor base64")
    with np.errstate(over="ignore"):  # what is too large for 32 bits becomes infinite, and is refused as such
        return numbers.astype(np.float32)
