"""What an object of the user's own answers, checked; a `ValueError` says in a few words what is wrong with it."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from touchstone.formatting import shorten
from touchstone.models.python.protocols import Result

QUOTE_LIMIT = 40


def read_vectors(answer: Any, count: int) -> NDArray[np.float32]:
    """Return vectors as numbers, shape (count, dimensions), all finite.

    Raises:
        ValueError: they are not that.
    """
    plain = _to_array(answer)
    if plain.dtype.kind not in "fiu":
        raise ValueError("gave something else than an array of numbers, all rows of one width")
    if plain.ndim != 2 or len(plain) != count or not plain.shape[1]:
        raise ValueError(f"gave an array of shape {plain.shape} for {count} texts; expected ({count}, dimensions)")
    with np.errstate(over="ignore"):
        vectors = plain.astype(np.float32)
    if not np.isfinite(vectors).all():
        raise ValueError("gave NaN or infinite numbers")
    return vectors


def read_scores(answer: Any, count: int) -> NDArray[np.float32]:
    """Return scores as numbers, shape (count,), all finite.

    Raises:
        ValueError: they are not that.
    """
    plain = _to_array(answer)
    if plain.shape != (count,):
        raise ValueError(f"gave scores of shape {plain.shape} for {count} texts; expected ({count},)")
    if count and plain.dtype.kind not in "fiu":
        raise ValueError("gave a score that is no number")
    scores = plain.astype(np.float32)
    if not np.isfinite(scores).all():
        raise ValueError("gave scores that are NaN or infinite")
    return scores


def _to_array(answer: Any) -> NDArray[Any]:
    """Return an array of any library as numpy's, of the same type; numpy knows no bfloat16."""
    return np.asarray(answer.detach().float().cpu() if hasattr(answer, "detach") else answer)


def read_hits(answer: Result, count: int, k: int) -> list[dict[str, float]]:
    """Return the documents of each query with their scores.

    Raises:
        ValueError: there is not one answer for each query, an answer has more than k documents or one twice, or its
            scores are no numbers or rise from first to last, as distances do.
    """
    rows = _rows(answer)
    if len(rows) != count:
        raise ValueError(f"gave answers for {len(rows)} queries, where {count} were asked")
    return [_read_row(row, k) for row in rows]


def _rows(answer: Any) -> list[Any]:
    """Return an answer for each query, a table or a list of pairs."""
    if isinstance(answer, Mapping) or not hasattr(answer, "__len__"):
        raise ValueError(f"gave a {type(answer).__name__}; expected a list with an answer for each query")
    if not (isinstance(answer, tuple) and len(answer) == 2 and not any(_is_row(part) for part in answer)):
        return list(answer)
    ids, scores = (list(part) for part in answer)
    if [len(row) for row in ids] != [len(row) for row in scores]:
        raise ValueError("gave different numbers of ids and scores")
    return [list(zip(*pair, strict=True)) for pair in zip(ids, scores, strict=True)]


def _is_row(part: Any) -> bool:
    """Return True for the answer to one query, not a table of ids or scores of all."""
    return isinstance(part, Mapping) or (len(part) > 0 and isinstance(part[0], tuple))


def _read_row(row: Any, k: int) -> dict[str, float]:
    try:
        pairs = [(name, score) for name, score in (row.items() if isinstance(row, Mapping) else row)]
    except (TypeError, ValueError):
        raise ValueError("gave an answer that is no list of pairs, each an id and a score") from None
    if len(pairs) > k:
        raise ValueError(f"gave {len(pairs)} documents for a query, where k = {k} were asked for")
    hits: dict[str, float] = {}
    for name, score in pairs:
        id_ = str(name) if isinstance(name, np.str_) else name
        if not isinstance(id_, str):
            raise ValueError(f"gave {shorten(repr(id_), QUOTE_LIMIT)} for the id of a document, which is text")
        if id_ in hits:
            raise ValueError(f'gave the document "{shorten(id_, QUOTE_LIMIT)}" twice for a query')
        if isinstance(score, bool | np.bool_ | str | bytes) or not np.isscalar(score) or not np.isreal(score):
            raise ValueError(f"gave {shorten(repr(score), QUOTE_LIMIT)} for a score, which is a number")
        hits[id_] = float(score)  # type: ignore[arg-type]
    scores = list(hits.values())
    if not np.isfinite(scores).all():
        raise ValueError("gave scores that are NaN or infinite")
    if not isinstance(row, Mapping) and any(later > former for former, later in pairwise(scores)):
        raise ValueError("gave scores that rise from first to last; more is better, so change the sign of distances")
    return hits
