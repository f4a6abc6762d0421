"""Protocols: what encodes texts, scores pairs, compares vectors, and stores vectors."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from touchstone.encoding.keys import Keys
from touchstone.encoding.meter import Meter
from touchstone.encoding.prompts import Role

if TYPE_CHECKING:
    from mteb.models import ModelMeta
    from mteb.types import Array

Vectors = NDArray[np.float32]


class TextEncoder(Protocol):
    """Encodes texts; what all models that make vectors have in common."""

    def encode(
        self,
        texts: Sequence[str],
        *,
        role: Role | None = None,
        prompt: str | None = None,
        meter: Meter | None = None,
        **options: Any,
    ) -> Any:
        """Return vectors of shape (texts, dimensions); ``prompt`` None leaves the prompt to the model's files."""

    def encoding_anew(self, texts_at_once: int) -> AbstractContextManager[None]:
        """Read nothing from a store, keep nothing, and make batches of at most so many texts."""

    def check(self) -> object:
        """Encode a few texts; raise ModelError if the vectors are wrong."""

    def flush(self) -> None:
        """Write new vectors that are only in memory."""


class PairScorer(Protocol):
    """Scores pairs of a query and a document; what all rerankers have in common."""

    def score(self, pairs: Sequence[tuple[str, str]], *, meter: Meter | None = None, **options: Any) -> Any:
        """Return scores of shape (pairs,)."""

    def check(self) -> None:
        """Score a few pairs; raise ModelError if the scores are wrong."""


class Comparing(Protocol):
    """mteb's metadata of a model, and how its vectors are compared."""

    mteb_model_meta: "ModelMeta"

    def similarity(self, embeddings1: "Array", embeddings2: "Array") -> "Array":
        """Return the similarity of all to all."""

    def similarity_pairwise(self, embeddings1: "Array", embeddings2: "Array") -> "Array":
        """Return the similarity pair by pair."""


class VectorStore(Protocol):
    """Keeps vectors by the keys of their texts."""

    def get(self, keys: Keys) -> tuple[NDArray[np.bool_], Vectors]:
        """Return which keys are there, and the vectors of those, in their order."""

    def put(self, keys: Keys, vectors: Vectors) -> None:
        """Take in vectors; they may stay in memory until `flush`."""

    def flush(self) -> None:
        """Write what is only in memory."""
