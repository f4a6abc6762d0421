"""Sparse encoders, such as SPLADE: one number for each word of a vocabulary, most of them zero."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from touchstone.config.models import Model
from touchstone.config.specs import SparseSpec
from touchstone.encoding.base import Vectors
from touchstone.encoding.checks import to_numpy
from touchstone.encoding.encoder import MtebEncoder
from touchstone.encoding.prompts import Role
from touchstone.models.base import ModelKind, OpenModel
from touchstone.models.weights.devices import find_device
from touchstone.models.weights.identity import identify
from touchstone.models.wrapped import WrappedModel, open_wrapped
from touchstone.seams import WRAPPERS, find
from touchstone.store.folder import Store
from touchstone.task_types.registry import find_type

if TYPE_CHECKING:
    from mteb.abstasks.task_metadata import TaskMetadata


class SparseTexts(WrappedModel):
    """A `TextEncoder` of a sparse encoder; what it gives is a sparse tensor of shape (texts, words of the vocabulary).

    Args:
        model: the model.
        texts_at_once: in a batch.
        active: how many numbers of each text are kept, the largest ones; None for the number in the model's files.
    """

    def __init__(self, model: Any, texts_at_once: int, active: int | None = None) -> None:
        super().__init__(model, texts_at_once)
        self._active = active

    def compute(self, texts: list[str], role: Role | None, **options: Any) -> Any:
        """Return what the library gives for some texts: a sparse tensor on the CPU."""
        method = self._model.encode if role is None else getattr(self._model, f"encode_{role}")
        return method(texts, max_active_dims=self._active, save_to_cpu=True, show_progress_bar=False, **options)

    def join(self, parts: Sequence[Any], order: list[int] | None) -> Any:
        """Join the outputs of blocks, in an order."""
        import torch

        if not parts:
            return torch.empty((0, 0))
        whole = torch.cat(list(parts))
        return whole if order is None else whole.index_select(0, torch.tensor(order))

    def spread_out(self, outputs: Any) -> Vectors:
        """Return all numbers of a few texts, the zeros too."""
        return to_numpy(outputs)


class MtebSparse(MtebEncoder):
    """A sparse encoder as mteb calls it: sparse tensors where a corpus is searched, and else all their zeros too.

    As `mteb.models.SparseEncoderWrapper`, whose comparisons of other tasks know no sparse tensors.
    """

    def compute(self, inputs: Any, task_metadata: "TaskMetadata", prompt_type: Any, options: Any) -> Any:
        """Return the output of one call and its prompt."""
        vectors, prompt = super().compute(inputs, task_metadata, prompt_type, options)
        return vectors if find_type(task_metadata.type).searches == "corpus" else to_numpy(vectors), prompt


def open_sparse(model: Model, device: str, store: Store) -> OpenModel:
    """Load a sparse encoder; its vectors are in no store, which holds rows of numbers."""
    from sentence_transformers import SparseEncoder

    return open_wrapped(
        model,
        device,
        store,
        classes=(SparseEncoder, find(f"{WRAPPERS}:SparseEncoderWrapper")),
        encoder=partial(SparseTexts, active=model.spec_of(SparseSpec).max_active_dims),
        for_mteb=MtebSparse,
    )


KIND = ModelKind(
    name="sparse",
    spec=SparseSpec,
    identify=identify,
    open=open_sparse,
    device=find_device,
    prompts=lambda model: model.spec_of(SparseSpec).prompts or {},
)
