"""Encode texts fast: each distinct one once, by token length, in batches of as many tokens as suit the device."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from touchstone.encoding.base import Vectors, VectorStore
from touchstone.encoding.keys import make_keys
from touchstone.encoding.meter import Meter
from touchstone.encoding.prompts import Role
from touchstone.encoding.token_batches import TokenBatches, count_tokens
from touchstone.errors import ModelError

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


CANARIES = (
    "A short text.",
    "Another text, a little longer than the first one, about a river that rises after rain.",
    "What makes bread rise?",
    "1, 2, 3 -- numbers & signs; (brackets).",
    "The committee postponed its decision because two of its members had not read the report, which was sent late.",
)
# How far a vector may move with its batch: rounding over some layers, relative to the length of the vector.
WITHIN = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 5e-2}
# What mteb or a specification may ask of `encode` without changing what a stored vector means.
PASSED_ON = frozenset({"truncate_dim", "processing_kwargs"})
IGNORED = frozenset({"batch_size", "show_progress_bar"})
# A width that truncates nothing: vectors are kept whole, and truncated and normalized when they are asked for.
WHOLE = 1 << 30


@dataclass(frozen=True, slots=True)
class _Call:
    """One call: the method of the library, what it is told beside the texts, and what is told of it."""

    method: str
    options: Mapping[str, Any]
    meter: Meter


class BatchedModel:
    """A `TextEncoder` of a `SentenceTransformer`: the model's own vectors, from its own ``encode``, in better batches.

    Args:
        model: the model.
        embeddings: what is known already, and keeps what is new; None to encode everything.
        tokens: of a batch, padding included; None for what suits the device.
        texts_at_once: at most so many texts in a batch; None for no limit but the tokens.
    """

    def __init__(
        self,
        model: "SentenceTransformer",
        *,
        embeddings: VectorStore | None = None,
        tokens: int | None = None,
        texts_at_once: int | None = None,
    ) -> None:
        self._model = model
        self._embeddings = embeddings
        self._batches = TokenBatches(model.device, tokens=tokens, at_once=texts_at_once)
        # Some models with code of their own are told the width, and may make another vector of it.
        self._truncates_itself = "truncate_dim" in getattr(model, "get_model_kwargs", list)()

    def encode(
        self,
        texts: Sequence[str],
        *,
        role: Role | None = None,
        prompt: str | None = None,
        meter: Meter | None = None,
        **options: Any,
    ) -> Vectors:
        """Encode texts; shape (texts, dimensions).

        Raises:
            ModelError: an option would give something else than plain vectors.
        """
        asked = {name: value for name, value in options.items() if name not in IGNORED}
        width = asked.pop("truncate_dim", None) or self._model.truncate_dim
        normalize = bool(asked.pop("normalize_embeddings", False))
        if self._truncates_itself:
            asked["truncate_dim"], width = width, None
        if unknown := sorted(set(asked) - PASSED_ON):
            raise ModelError(f"encode_kwargs.{unknown[0]}: is not for an evaluation, which needs plain float vectors")
        places: dict[str, int] = {}
        order = np.array([places.setdefault(text, len(places)) for text in texts], dtype=np.int64)
        method = "encode" if role is None else f"encode_{role}"
        whole = self._look_up(list(places), _Call(method, {"prompt": prompt, **asked}, meter or Meter()))
        return _finish(whole, width, self._model.dtype, normalize=normalize)[order]

    def flush(self) -> None:
        """Write new vectors to the store."""
        if self._embeddings is not None:
            self._embeddings.flush()

    @contextmanager
    def encoding_anew(self, texts_at_once: int) -> Iterator[None]:
        """Read nothing from the store, keep nothing, and make batches of at most so many texts."""
        kept = self._embeddings, self._batches
        self._embeddings, self._batches = None, TokenBatches(self._model.device, at_once=texts_at_once)
        try:
            yield
        finally:
            self._embeddings, self._batches = kept

    def check(self) -> Vectors:
        """Compare with the model's own ``encode`` on a few texts, and return their whole vectors.

        Raises:
            ModelError: the vectors differ by more than rounding.
        """
        own = np.asarray(self._model.encode(list(CANARIES), batch_size=1, show_progress_bar=False), np.float32)
        call = _Call("encode", {"truncate_dim": self._model.truncate_dim} if self._truncates_itself else {}, Meter())
        whole = self._run(list(CANARIES), call)
        ours = _finish(whole, self._model.truncate_dim, self._model.dtype, normalize=False)
        scale = float(np.linalg.norm(own, axis=1).max()) or 1.0
        apart = float(np.linalg.norm(own - ours, axis=1).max()) / scale
        if not apart <= rounding_of(self._model):
            dtype = str(self._model.dtype).removeprefix("torch.")
            raise ModelError(
                f"the model's vectors depend on what else is in a batch: {apart:.2g} apart from those of one text at a "
                f"time in {dtype}; check its padding and pooling"
            )
        return whole

    def _look_up(self, distinct: list[str], call: "_Call") -> Vectors:
        """Return the vectors of texts: those that the store has, and the others encoded now."""
        if self._embeddings is None:
            return self._run(distinct, call)
        meaning = self._meaning(call)
        keys = make_keys([f"{meaning}\0{text}" for text in distinct])
        known, stored = self._embeddings.get(keys)
        if known.all() and distinct:
            return stored
        new = self._run([text for text, old in zip(distinct, known, strict=True) if not old], call)
        if np.isfinite(new).all():  # a broken model is refused further up, and must not be remembered
            self._embeddings.put(keys[~known], new)
        vectors = np.empty((len(distinct), new.shape[1]), np.float32)
        vectors[~known] = new
        if known.any():
            vectors[known] = stored
        return vectors

    def _meaning(self, call: "_Call") -> str:
        """Return what beside the text decides its vector.

        The method only chooses a prompt where none is given, and the way through a model that has several.
        """
        given = call.options["prompt"] is not None or not any(self._model.prompts.values())
        routed = any(type(module).__name__ == "Router" for module in self._model)
        said = {name: value for name, value in sorted(call.options.items()) if value}
        return "\0".join(["" if given and not routed else call.method, *(f"{name}={said[name]}" for name in said)])

    def _run(self, texts: list[str], call: "_Call") -> Vectors:
        """Encode every text."""

        def encode(rows: list[int]) -> Vectors:
            batch = [texts[row] for row in rows]
            vectors = getattr(self._model, call.method)(
                batch,
                batch_size=len(batch),
                convert_to_tensor=True,
                show_progress_bar=False,
                **{"truncate_dim": WHOLE, **call.options},
            )
            found: Vectors = vectors.float().cpu().numpy()
            return found

        lengths = self._count_tokens(texts, call.options.get("prompt") or "")
        vectors = self._batches.run(
            lengths, encode, lambda done: call.meter.tell(f"encoding, {done} of {len(texts)} texts")
        )
        call.meter.count(len(texts))
        return np.empty((0, 0), np.float32) if vectors is None else vectors

    def _count_tokens(self, texts: list[str], prompt: str) -> NDArray[np.int64]:
        """Return the tokens of each text with its prompt."""
        return count_tokens(self._model.tokenizer, [prompt + text for text in texts], self._model.max_seq_length)


def rounding_of(model: "SentenceTransformer") -> float:
    """Return how far a vector of a model may move with its batch, relative to the length of the vector."""
    return WITHIN.get(str(model.dtype).removeprefix("torch."), max(WITHIN.values()))


def _finish(vectors: Vectors, width: int | None, dtype: "torch.dtype | None", *, normalize: bool) -> Vectors:
    """Truncate and then normalize vectors, in the model's own precision where they are of it, as the library does."""
    if width is None and not normalize:
        return vectors
    import torch

    values = torch.from_numpy(vectors)[:, :width]
    if dtype is not None and torch.equal(values.to(dtype).float(), values):
        values = values.to(dtype)
    if normalize:
        values = torch.nn.functional.normalize(values, p=2, dim=1)
    finished: Vectors = values.float().numpy()
    return finished
