"""Checks of vectors: one for each text, finite, and not all the same."""

from typing import TYPE_CHECKING, Any

import numpy as np

from touchstone.encoding.base import Vectors
from touchstone.errors import ModelError

if TYPE_CHECKING:
    from mteb.types import Array

CALL_SAMPLE_SIZE = 100
SAMPLE_SIZE = 400
PAIR_COUNT = 200
# Fewer distinct texts than this may be alike by chance.
MIN_TEXTS = 10
COLLAPSE_COSINE = 0.99


def check_vectors(vectors: "Array | list[Array]", expected: int) -> None:
    """Refuse vectors that are not finite, or not one for each text.

    Raises:
        ModelError: saying what is wrong.
    """
    if len(vectors) != expected:
        raise ModelError(f"the model returned {len(vectors)} vectors for {expected} texts")
    # Of a model with a vector for each token there is a list, of what each text has.
    if not all(map(_are_finite, vectors if isinstance(vectors, list) else [vectors])):
        raise ModelError("the model returned NaN or infinite numbers; check the weights and the dtype")


def _are_finite(vectors: "Array") -> bool:
    # A sum is NaN or infinite when any number in it is, and makes no copy of a large corpus; one that only
    # overflowed is looked at again.
    with np.errstate(all="ignore"):
        return bool(np.isfinite(float(vectors.sum())) or np.isfinite(to_numpy(vectors)).all())


class Spread:
    """A sample of the vectors of all calls of a case, to see whether they tell texts apart."""

    def __init__(self) -> None:
        self._sampled: dict[str, Vectors] = {}

    def add(self, vectors: "Array", dataset: Any) -> None:
        """Keep a few texts of each call for `check`; the choice depends on nothing but the count."""
        if "text" not in dataset.column_names:
            return
        chosen = np.random.default_rng(len(dataset)).permutation(len(dataset))[:CALL_SAMPLE_SIZE]
        for index in chosen.tolist():
            if len(self._sampled) < SAMPLE_SIZE:
                vector = to_numpy(vectors[index])  # or a vector for each token of the text
                self._sampled[dataset[index]["text"]] = vector.mean(axis=0) if vector.ndim > 1 else vector

    def check(self) -> None:
        """Refuse a model that gives (nearly) the same vector whatever the text.

        Raises:
            ModelError: the mean cosine of random pairs of distinct texts is above 0.99.
        """
        if len(self._sampled) < MIN_TEXTS:
            return
        vectors = np.stack(list(self._sampled.values()))
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = vectors / np.where(lengths == 0, 1, lengths)
        chosen = np.random.default_rng(0)
        left = chosen.integers(len(unit), size=PAIR_COUNT)
        right = (left + chosen.integers(1, len(unit), size=PAIR_COUNT)) % len(unit)  # never a text with itself
        if not lengths.any():
            raise ModelError("every vector is zero; check the weights and how they were loaded")
        mean = float(np.mean(np.sum(unit[left] * unit[right], axis=1)))
        if mean > COLLAPSE_COSINE:
            raise ModelError(
                f"the embeddings have collapsed: {PAIR_COUNT} random pairs of different texts have a mean cosine of "
                f"{mean:.4f}; check the weights and how they were loaded"
            )


def to_numpy(vectors: "Array") -> Vectors:
    """Return vectors as float32, whatever device and dtype they come in: numpy knows no bfloat16."""
    detach = getattr(vectors, "detach", None)
    plain: Any = vectors if detach is None else detach().to_dense().float().cpu()
    return np.asarray(plain, dtype=np.float32)
