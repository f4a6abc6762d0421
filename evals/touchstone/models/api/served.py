"""Models behind an API as mteb sees them: their metadata, and how vectors are compared."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mteb.models import ModelMeta
    from mteb.types import Array


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
        self.mteb_model_meta = name(make_empty_meta(similarity_fn_name=function))

    def similarity(self, embeddings1: "Array", embeddings2: "Array") -> "Array":
        """Return the similarity of all to all."""
        from mteb.similarity_functions import cos_sim, dot_score

        return cos_sim(embeddings1, embeddings2) if self._cosine else dot_score(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: "Array", embeddings2: "Array") -> "Array":
        """Return the similarity pair by pair."""
        from mteb.similarity_functions import pairwise_cos_sim, pairwise_dot_score

        compare = pairwise_cos_sim if self._cosine else pairwise_dot_score
        return compare(embeddings1, embeddings2)


def make_empty_meta(**fields: Any) -> "ModelMeta":
    """Make mteb's metadata of a model behind an API, of which nothing else is known."""
    from mteb.models import ModelMeta

    return ModelMeta.create_empty(overwrites={"framework": ["API"], **fields})
