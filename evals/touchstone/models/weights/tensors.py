"""Which tensors of a loaded model are from its files: the library draws the others at random, and logs that."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import getattr_static
from logging import ERROR
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from touchstone.errors import ModelError
from touchstone.seams import replaced

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One transformer that was loaded: its tensors, those that are in no file, and those of files that it has not.

    A tensor of another shape than the model's is in no file.
    """

    model: "PreTrainedModel"
    tensors: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


@contextmanager
def noting_tensors() -> Iterator[list[Loaded]]:
    """Note every transformer that is loaded meanwhile, with what the library reports of its tensors."""
    from transformers import PreTrainedModel
    from transformers.utils import logging

    noted: list[Loaded] = []
    load: Any = getattr_static(PreTrainedModel, "from_pretrained")

    def noting(cls: Any, *args: Any, **kwargs: Any) -> Any:
        # With shapes that differ the library would raise, and say to look at its log.
        arguments = {**kwargs, "output_loading_info": True, "ignore_mismatched_sizes": True}
        model, report = load.__func__(cls, *args, **arguments)
        missing = {*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])}
        tensors = tuple(model.state_dict())
        noted.append(
            Loaded(
                model=model,
                tensors=tensors,
                missing=(*(name for name in tensors if name in missing), *sorted(missing.difference(tensors))),
                unexpected=tuple(sorted(report["unexpected_keys"])),
            )
        )
        return (model, report) if kwargs.get("output_loading_info") else model

    verbosity = logging.get_verbosity()
    logging.set_verbosity(ERROR)  # its table of tensors is what is noted here
    try:
        with replaced(PreTrainedModel, "from_pretrained", value=classmethod(noting)):
            yield noted
    finally:
        logging.set_verbosity(verbosity)


def check_tensors(noted: Sequence[Loaded], compute: Callable[[], NDArray[np.float32]], place: str) -> None:
    """Refuse a model with a tensor that is in no file and can reach what it computes; an unused pooler cannot.

    That is tried with NaN in the place of all such tensors.

    Args:
        noted: what was loaded.
        compute: returns what the model gives for a few texts.
        place: what people call the model.

    Raises:
        ModelError: naming how many there are, and the first.
    """
    for loaded in noted:
        missing = loaded.missing
        if missing and not _without(loaded, compute):
            unknown = loaded.unexpected
            others = f"it has {len(unknown)} that it does not know, first {unknown[0]}; " if unknown else ""
            raise ModelError(
                f"{place} lacks {len(missing)} of its {len(loaded.tensors)} tensors, first {missing[0]}; {others}"
                "save it again, whole and by its own class"
            )


def _without(loaded: Loaded, compute: Callable[[], NDArray[np.float32]]) -> bool:
    """Return True if a model gives numbers while its missing tensors are NaN; they are put back."""
    import torch

    weights = {**dict(loaded.model.named_parameters(remove_duplicate=False)), **dict(loaded.model.named_buffers())}
    # Whole numbers, such as the numbers of positions, are counted and not learned.
    tensors = [weights[name] for name in loaded.missing if name in weights and weights[name].is_floating_point()]
    with torch.no_grad():
        before = [tensor.detach().clone() for tensor in tensors]
        try:
            for tensor in tensors:
                tensor.fill_(float("nan"))
            return bool(np.isfinite(compute()).all())
        finally:
            for tensor, values in zip(tensors, before, strict=True):
                tensor.copy_(values)
