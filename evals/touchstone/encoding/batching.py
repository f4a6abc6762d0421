"""Encode texts fast: each distinct one once, by token length, in batches of as many tokens as suit the device."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from touchstone.encoding.base import Vectors, VectorStore
from touchstone.encoding.keys import make_keys
from touchstone.encoding.meter import Meter
from touchstone.encoding.prompts import Role
from touchstone.encoding.routes import SAID, check_role, read_by, roles_of, routers_of, sees_roles
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
    """One call: the role of its texts, what the library is told beside them, and what is told of it."""

    role: Role | None
    options: Mapping[str, Any]
    meter: Meter

    @property
    def method(self) -> str:
        """The method of the library."""
        return "encode" if self.role is None else f"encode_{self.role}"


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
        self.roles = roles_of(model)

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
            ModelError: an option would give something else than plain vectors, or the model has none for the role.
        """
        check_role(role, self.roles)
        asked = {name: value for name, value in options.items() if name not in IGNORED}
        width = asked.pop("truncate_dim", None) or self._model.truncate_dim
        normalize = bool(asked.pop("normalize_embeddings", False))
        if self._truncates_itself:
            asked["truncate_dim"], width = width, None
        if unknown := sorted(set(asked) - PASSED_ON):
            raise ModelError(f"encode_kwargs.{unknown[0]}: is not for an evaluation, which needs plain float vectors")
        places: dict[str, int] = {}
        order = np.array([places.setdefault(text, len(places)) for text in texts], dtype=np.int64)
        whole = self._look_up(list(places), _Call(role, {"prompt": prompt, **asked}, meter or Meter()))
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
        """Compare with the model's own ``encode`` on a few texts, and return their whole vectors, by every route.

        Raises:
            ModelError: the vectors differ by more than rounding, or in their width.
        """
        roles = self.roles if routers_of(self._model) else (None,)
        if not roles:
            check_role(None, roles)
        found = {role: self._check(role) for role in roles}
        if len({whole.shape for whole in found.values()}) > 1:
            widths = ", ".join(f"{whole.shape[1]} numbers for {SAID[role]}" for role, whole in found.items())
            raise ModelError(f"the model's routes give vectors that cannot be compared: {widths}")
        return np.concatenate(list(found.values()))

    def _check(self, role: Role | None) -> Vectors:
        """Compare the vectors of a few texts in a role with the model's own of one at a time, and return whole ones."""
        call = _Call(role, {"truncate_dim": self._model.truncate_dim} if self._truncates_itself else {}, Meter())
        own = getattr(self._model, call.method)(list(CANARIES), batch_size=1, show_progress_bar=False)
        own = np.asarray(own, np.float32)
        whole = self._run(list(CANARIES), call)
        ours = _finish(whole, self._model.truncate_dim, self._model.dtype, normalize=False)
        scale = float(np.linalg.norm(own, axis=1).max()) or 1.0
        apart = float(np.linalg.norm(own - ours, axis=1).max()) / scale
        if not apart <= rounding_of(self._model):
            raise ModelError(
                f"the model's vectors depend on what else is in a batch: {apart:.2g} apart from those of one text at a "
                f"time in {dtype_of(self._model)}; check its padding and pooling"
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

        In most models, a role only chooses a prompt where none is given.
        """
        given = call.options["prompt"] is not None or not any(self._model.prompts.values())
        method = "" if given and not sees_roles(self._model) else call.method
        said = {name: value for name, value in sorted(call.options.items()) if value}
        # repr shows a zero byte in a prompt, so that where the prompt ends and the text begins is in no doubt
        return "\0".join([method, *(f"{name}={said[name]!r}" for name in said)])

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

        prompt = call.options.get("prompt") or ""
        lengths = count_tokens(read_by(self._model, call.role), [prompt + text for text in texts])
        vectors = self._batches.run(
            lengths, encode, lambda done: call.meter.tell(f"encoding, {done} of {len(texts)} texts")
        )
        call.meter.count(len(texts))
        return np.empty((0, 0), np.float32) if vectors is None else vectors


def dtype_of(model: "torch.nn.Module") -> str:
    """Return the data type of a model's weights, such as ``float32``, which is that of vectors without weights too."""
    first = next(model.parameters(), None)
    return "float32" if first is None else str(first.dtype).removeprefix("torch.")


def rounding_of(model: "torch.nn.Module") -> float:
    """Return how far what a model gives may move with its batch, relative to the size of it."""
    return WITHIN.get(dtype_of(model), max(WITHIN.values()))


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
