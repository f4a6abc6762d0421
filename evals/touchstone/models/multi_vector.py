"""Late interaction, such as ColBERT: a vector for each token of a text, compared by the sum of the best matches."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from touchstone.config.models import Model
from touchstone.config.specs import MultiVectorSpec
from touchstone.encoding.base import Vectors
from touchstone.encoding.checks import to_numpy
from touchstone.encoding.encoder import MtebEncoder
from touchstone.encoding.prompts import Role
from touchstone.models.base import ModelKind, OpenModel, only_ranks
from touchstone.models.weights.devices import find_device
from touchstone.models.weights.identity import identify
from touchstone.models.wrapped import WrappedModel, open_wrapped
from touchstone.seams import WRAPPERS, find
from touchstone.store.folder import Store


class MultiVectorTexts(WrappedModel):
    """A `TextEncoder` of a late interaction model; what it gives is a list of tensors, (tokens, dimensions) each."""

    def compute(self, texts: list[str], role: Role | None, **options: Any) -> list[Any]:
        """Return what the library gives for some texts: a tensor on the CPU for each."""
        method = self._model.encode if role is None else getattr(self._model, f"encode_{role}")
        outputs = method(texts, show_progress_bar=False, convert_to_numpy=False, **options)
        return [vectors.cpu() for vectors in outputs]

    def join(self, parts: Sequence[list[Any]], order: list[int] | None) -> list[Any]:
        """Join the outputs of blocks, in an order."""
        whole = [vectors for part in parts for vectors in part]
        return whole if order is None else [whole[place] for place in order]

    def spread_out(self, outputs: list[Any]) -> Vectors:
        """Return the vectors of all tokens of a few texts, one below the other."""
        return np.concatenate([to_numpy(vectors) for vectors in outputs])


class MtebMultiVector(MtebEncoder):
    """A late interaction model as mteb calls it; of a corpus fewer documents are in memory at once than mteb has."""

    corpus_chunk_size = 4096


def open_multi_vector(model: Model, device: str, store: Store) -> OpenModel:
    """Load a late interaction model; its vectors are in no store, which holds one for each text."""
    from sentence_transformers import MultiVectorEncoder

    classes = MultiVectorEncoder, find(f"{WRAPPERS}:MultiVectorWrapper")
    return open_wrapped(model, device, store, classes=classes, encoder=MultiVectorTexts, for_mteb=MtebMultiVector)


KIND = ModelKind(
    name="multi-vector",
    spec=MultiVectorSpec,
    identify=identify,
    open=open_multi_vector,
    device=find_device,
    prompts=lambda model: model.spec_of(MultiVectorSpec).prompts or {},
    why_not=only_ranks("a late interaction model"),
)
