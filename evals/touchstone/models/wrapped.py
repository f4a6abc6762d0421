"""Models of sentence-transformers that give a text something else than one row of numbers: encoded by the library."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from touchstone.config.models import Model
from touchstone.config.specs import MultiVectorSpec, SparseSpec
from touchstone.encoding.base import Vectors
from touchstone.encoding.batches.token_batches import limit_of
from touchstone.encoding.batching import IGNORED_ARGUMENTS, dtype_of, rounding_of
from touchstone.encoding.canaries import CANARIES
from touchstone.encoding.encoder import MtebEncoder
from touchstone.encoding.meter import Meter
from touchstone.encoding.prompts import Role
from touchstone.encoding.routes import check_role, reader_of, roles_of
from touchstone.errors import ModelError
from touchstone.models.base import OpenModel, make_meta, prompting_of
from touchstone.models.weights.devices import find_device
from touchstone.models.weights.identity import Weights, describe, locate
from touchstone.models.weights.loading import construct, make_ready, set_limit
from touchstone.models.weights.tensors import check_tensors
from touchstone.records.outcomes import Settings
from touchstone.store.folder import Store

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SparseEncoder

BATCH_SIZE = 32
# Texts in one call of the library: it holds what it gives for all of them, on the device, until it returns.
BLOCK_TEXTS = 1024


class WrappedModel(ABC):
    """A `TextEncoder` of a model of the library: each distinct text of a call once, as the library encodes it.

    Args:
        model: the model.
        texts_at_once: in a batch.
    """

    def __init__(self, model: "SparseEncoder | MultiVectorEncoder", texts_at_once: int) -> None:
        self._model: Any = model
        self._at_once = texts_at_once
        self.roles = roles_of(cast("Any", model))

    @abstractmethod
    def compute(self, texts: list[str], role: Role | None, **options: Any) -> Any:
        """Return what the library gives for some texts, in their order."""

    @abstractmethod
    def join(self, parts: Sequence[Any], order: list[int] | None) -> Any:
        """Join the outputs of blocks of texts, in an order; None for the order that they have."""

    @abstractmethod
    def spread_out(self, outputs: Any) -> Vectors:
        """Return a row of numbers for each of a few texts, to compare them."""

    def encode(
        self,
        texts: Sequence[str],
        *,
        role: Role | None = None,
        prompt: str | None = None,
        meter: Meter | None = None,
        **options: Any,
    ) -> Any:
        """Encode texts; what each text gets depends on the kind.

        Raises:
            ModelError: an option would give something else, or the model has no route for the role.
        """
        check_role(role, self.roles)
        if unknown := sorted(set(options) - IGNORED_ARGUMENTS):
            raise ModelError(f"encode_kwargs.{unknown[0]}: is not for an evaluation; leave it out")
        meter = meter or Meter()
        distinct = sorted(dict.fromkeys(texts), key=len, reverse=True)  # alike in length, alike in padding
        parts = []
        meter.start()
        for start in range(0, len(distinct), BLOCK_TEXTS):
            block = distinct[start : start + BLOCK_TEXTS]
            parts.append(self.compute(block, role, prompt=prompt, batch_size=self._at_once))
            meter.count(len(block))
            meter.tell(f"encoding, {start + len(block)} of {len(distinct)} texts")
        places = {text: place for place, text in enumerate(distinct)}
        return self.join(parts, [places[text] for text in texts])

    def check(self) -> None:
        """Compare the outputs of a few texts together and one at a time.

        Raises:
            ModelError: they differ by more than rounding.
        """
        for role in self.roles:
            alone = self.spread_out(self.join([self.compute([text], role, batch_size=1) for text in CANARIES], None))
            together = self.spread_out(self.compute(list(CANARIES), role, batch_size=len(CANARIES)))
            scale = float(np.abs(alone).max()) or 1.0
            apart = float(np.abs(alone - together).max()) / scale if alone.shape == together.shape else np.inf
            if not apart <= rounding_of(self._model):
                raise ModelError(
                    f"the model's vectors depend on what else is in a batch: {apart:.2g} apart from those of one text "
                    f"at a time in {dtype_of(self._model)}; check its padding, or set batch_size = 1"
                )

    @contextmanager
    def encoding_anew(self, texts_at_once: int) -> Iterator[None]:
        """Make batches of at most so many texts; nothing is kept in any case."""
        previous, self._at_once = self._at_once, min(texts_at_once, self._at_once)
        try:
            yield
        finally:
            self._at_once = previous

    def flush(self) -> None:  # noqa: B027
        """Do nothing: no vectors are stored."""


def open_wrapped(
    model: Model,
    device: str,
    store: Store,
    *,
    classes: tuple[Callable[..., Any], Callable[..., Any]],
    encoder: Callable[[Any, int], WrappedModel],
    for_mteb: Callable[..., MtebEncoder] = MtebEncoder,
) -> OpenModel:
    """Load a sparse or late interaction model exactly as its specification says.

    Args:
        model: a model with a `SparseSpec` or a `MultiVectorSpec`.
        device: one that is named, or ``auto``.
        store: remembers the hashes of the weights.
        classes: the library's, and mteb's wrapper of it, which compares what it gives.
        encoder: makes the encoder of a loaded model and the texts in a batch.
        for_mteb: makes what mteb is given, as `MtebEncoder` is made.

    Raises:
        ModelError: it cannot be loaded, what it gives depends on the batch, or the device is not there.
    """
    spec: Any = model.spec
    assert isinstance(spec, SparseSpec | MultiVectorSpec)
    weights, place = locate(model, store), find_device(model, device)
    loaded, noted = construct(classes[0], spec, weights, device=place)
    readers = [reader_of(loaded, role) for role in roles_of(loaded)]
    if spec.max_seq_length is not None and not set_limit(readers, spec.max_seq_length):
        raise ModelError(f"max_seq_length = {spec.max_seq_length}, but {weights.label} cuts no texts")
    make_ready(loaded, readers, weights.label)
    texts = encoder(loaded, spec.batch_size or BATCH_SIZE)
    role = texts.roles[0] if texts.roles else None
    check_tensors(noted, lambda: texts.spread_out(texts.compute(list(CANARIES), role, batch_size=1)), weights.label)
    opened = make_open(model, loaded, texts, weights=weights, wrap=classes[1], for_mteb=for_mteb)
    return replace(opened, device=place)


def make_open(
    model: Model,
    loaded: Any,
    texts: WrappedModel,
    *,
    weights: Weights,
    wrap: Callable[..., Any],
    for_mteb: Callable[..., MtebEncoder],
) -> OpenModel:
    """Return a loaded model as measuring gets it; the other arguments are as in `open_wrapped`.

    Raises:
        ModelError: what it gives depends on the batch.
    """
    spec: Any = model.spec
    identity = describe(model, weights)
    texts.check()
    check_unchanged = partial(weights.check_unchanged, model.alias)
    check_unchanged(loaded=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about prompts, which are not the wrapper's to choose here
        wrapper = wrap(loaded)
    wrapper.mteb_model_meta = make_meta(wrapper.mteb_model_meta, identity, model)
    prompting = prompting_of(spec, loaded)
    return OpenModel(
        for_mteb=lambda meter: for_mteb(texts, wrapper, prompting, meter),
        encoder=texts,
        prompting=prompting,
        module=loaded,
        identity=identity,
        settings=Settings(
            prompts=prompting.in_the_clear(),
            max_length=limit_of(loaded),
            dtype=dtype_of(loaded),
            dimension=loaded.get_embedding_dimension(),
        ),
        device=str(loaded.device),
        batch_size=spec.batch_size or BATCH_SIZE,
        encode_kwargs=dict(spec.encode_kwargs),
        check_unchanged=check_unchanged,
    )
