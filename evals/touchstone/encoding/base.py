"""What encoding asks of others: something that encodes texts, something that compares vectors, a store of vectors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from touchstone.encoding.keys import Keys

if TYPE_CHECKING:
    from mteb.models import ModelMeta
    from mteb.types import Array

Vectors = NDArray[np.float32]


class TextEncoder(Protocol):
    """Encodes texts with a prompt; returns vectors of shape (texts, dimensions)."""

    def encode(self, inputs: Sequence[str], **kwargs: Any) -> Any:
        """Encode texts that have no role."""

    def encode_query(self, inputs: Sequence[str], **kwargs: Any) -> Any:
        """Encode queries."""

    def encode_document(self, inputs: Sequence[str], **kwargs: Any) -> Any:
        """Encode documents."""


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
