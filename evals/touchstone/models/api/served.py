"""Models behind an API as mteb sees them: their metadata, how vectors are compared, scores of pairs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from touchstone.encoding.batching import CANARIES
from touchstone.encoding.texts import read_texts
from touchstone.models.api.client import ApiClient
from touchstone.models.api.reranking import ApiReranker

if TYPE_CHECKING:
    from mteb.models import ModelMeta
    from mteb.types import Array, BatchedInput
    from torch.utils.data import DataLoader


class Served:
    """The metadata and the similarity of a model that is not here.

    Args:
        similarity: how its vectors are meant to be compared.
        name: names the metadata.
    """

    def __init__(self, similarity: Literal["cosine", "dot"], name: Callable[["ModelMeta"], "ModelMeta"]) -> None:
        from mteb.models.model_meta import ScoringFunction

        self._cosine = similarity == "cosine"
        function = ScoringFunction.COSINE if self._cosine else ScoringFunction.DOT_PRODUCT
        self.mteb_model_meta = name(_meta(similarity_fn_name=function))

    def similarity(self, embeddings1: "Array", embeddings2: "Array") -> "Array":
        """Return the similarity of all to all."""
        from mteb.similarity_functions import cos_sim, dot_score

        return cos_sim(embeddings1, embeddings2) if self._cosine else dot_score(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: "Array", embeddings2: "Array") -> "Array":
        """Return the similarity pair by pair."""
        from mteb.similarity_functions import pairwise_cos_sim, pairwise_dot_score

        compare = pairwise_cos_sim if self._cosine else pairwise_dot_score
        return compare(embeddings1, embeddings2)


class ServedReranker:
    """A model behind a rerank endpoint as mteb calls it.

    Args:
        client: of a rerank endpoint.
        name: names the metadata.
    """

    def __init__(self, client: ApiClient, name: Callable[["ModelMeta"], "ModelMeta"]) -> None:
        self.mteb_model_meta = name(_meta(model_type=["cross-encoder"]))
        self._asked = ApiReranker(client)
        self.progress: Callable[[str], None] = lambda _: None
        self.encoded = 0

    def predict(
        self,
        inputs1: "DataLoader[BatchedInput]",
        inputs2: "DataLoader[BatchedInput]",
        **_: Any,
    ) -> NDArray[np.float32]:
        """Score queries with documents, pair by pair; shape (pairs,)."""
        queries, documents = read_texts(inputs1), read_texts(inputs2)
        places: dict[str, list[int]] = {}
        for place, query in enumerate(queries):
            places.setdefault(query, []).append(place)
        scores = np.empty(len(queries), np.float32)
        done = 0
        for query, rows in places.items():
            scores[rows] = self._asked.score(query, [documents[row] for row in rows])
            self.encoded += len({documents[row] for row in rows})
            done += len(rows)
            self.progress(f"reranking, {done} of {len(queries)} pairs")
        return scores

    def check(self) -> None:
        """Ask for a few scores: whether the server answers.

        Raises:
            ModelError: it does not.
        """
        self._asked.score(CANARIES[0], CANARIES)

    def flush(self) -> None:
        """Write what is only in memory: nothing, scores are not kept."""


def _meta(**said: Any) -> "ModelMeta":
    from mteb.models import ModelMeta

    return ModelMeta.create_empty(overwrites={"framework": ["API"], **said})
