"""Encode texts fast: each distinct one once, by token length, in batches of as many tokens as suit the device."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from touchstone.encoding.base import Vectors, VectorStore
from touchstone.encoding.keys import make_keys
from touchstone.encoding.token_batches import TokenBatches, count_tokens
from touchstone.errors import ModelError

if TYPE_CHECKING:
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
PASSED_ON = frozenset({"normalize_embeddings", "truncate_dim", "processing_kwargs"})
IGNORED = frozenset({"batch_size", "show_progress_bar"})


class BatchedModel:
    """Stands in for a `SentenceTransformer`: the same vectors, from the model's own ``encode``, in better batches.

    Everything but the encoding is the model's: prompts, forward pass, pooling, normalisation, similarity.

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
        self.progress: Callable[[str], None] = lambda _: None
        self.encoded = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode(self, inputs: Sequence[str], **kwargs: Any) -> Vectors:
        """Encode texts; shape (texts, dimensions)."""
        return self._encode(list(inputs), "encode", kwargs)

    def encode_query(self, inputs: Sequence[str], **kwargs: Any) -> Vectors:
        """Encode texts as queries; shape (texts, dimensions)."""
        return self._encode(list(inputs), "encode_query", kwargs)

    def encode_document(self, inputs: Sequence[str], **kwargs: Any) -> Vectors:
        """Encode texts as documents; shape (texts, dimensions)."""
        return self._encode(list(inputs), "encode_document", kwargs)

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

    def check(self) -> None:
        """Compare with the model's own ``encode`` on a few texts.

        Raises:
            ModelError: the vectors differ by more than rounding.
        """
        own = np.asarray(self._model.encode(list(CANARIES), batch_size=1, show_progress_bar=False), np.float32)
        ours = self._run(list(CANARIES), "encode", {})
        scale = float(np.linalg.norm(own, axis=1).max()) or 1.0
        apart = float(np.linalg.norm(own - ours, axis=1).max()) / scale
        dtype = str(self._model.dtype).removeprefix("torch.")
        if not apart <= WITHIN.get(dtype, max(WITHIN.values())):
            raise ModelError(
                f"the model's vectors depend on what else is in a batch: {apart:.2g} apart from those of one text at a "
                f"time in {dtype}; check its padding and pooling"
            )

    def _encode(self, texts: list[str], method: str, kwargs: dict[str, Any]) -> Vectors:
        """Encode the distinct texts that are not known yet, and put all in order."""
        prompt = kwargs.pop("prompt", None)
        options = {name: value for name, value in kwargs.items() if name not in IGNORED}
        if unknown := sorted(set(options) - PASSED_ON):
            raise ModelError(f"encode_kwargs.{unknown[0]}: is not for an evaluation, which needs plain float vectors")
        places: dict[str, int] = {}
        order = np.array([places.setdefault(text, len(places)) for text in texts], dtype=np.int64)
        distinct = list(places)
        call = {"prompt": prompt, **options}
        if self._embeddings is None:
            return self._run(distinct, method, call)[order]
        meaning = self._meaning(method, call)
        keys = make_keys([f"{meaning}\0{text}" for text in distinct])
        known, stored = self._embeddings.get(keys)
        if known.all() and distinct:
            return stored[order]
        new = self._run([text for text, old in zip(distinct, known, strict=True) if not old], method, call)
        if np.isfinite(new).all():  # a broken model is refused further up, and must not be remembered
            self._embeddings.put(keys[~known], new)
        vectors = np.empty((len(distinct), new.shape[1]), np.float32)
        vectors[~known] = new
        if known.any():
            vectors[known] = stored
        return vectors[order]

    def _meaning(self, method: str, call: dict[str, Any]) -> str:
        """Say what beside the text decides its vector.

        The method only chooses a prompt where none is given, and the way through a model that has several.
        """
        given = call["prompt"] is not None or not any(self._model.prompts.values())
        routed = any(type(module).__name__ == "Router" for module in self._model)
        said = {name: value for name, value in sorted(call.items()) if value}
        return "\0".join(["" if given and not routed else method, *(f"{name}={said[name]}" for name in said)])

    def _run(self, texts: list[str], method: str, call: dict[str, Any]) -> Vectors:
        """Encode every text."""

        def encode(rows: list[int]) -> Vectors:
            batch = [texts[row] for row in rows]
            vectors = getattr(self._model, method)(
                batch, batch_size=len(batch), convert_to_tensor=True, show_progress_bar=False, **call
            )
            found: Vectors = vectors.float().cpu().numpy()
            return found

        lengths = self._count_tokens(texts, call.get("prompt") or "")
        vectors = self._batches.run(
            lengths, encode, lambda done: self.progress(f"encoding, {done} of {len(texts)} texts")
        )
        self.encoded += len(texts)
        return np.empty((0, 0), np.float32) if vectors is None else vectors

    def _count_tokens(self, texts: list[str], prompt: str) -> NDArray[np.int64]:
        """Return the tokens of each text with its prompt."""
        return count_tokens(self._model.tokenizer, [prompt + text for text in texts], self._model.max_seq_length)
