"""Encode texts fast: each distinct one once, by token length, in batches of as many tokens as suit the device."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from touchstone.encoding.base import Vectors, VectorStore
from touchstone.encoding.batches.packing import Packing
from touchstone.encoding.batches.token_batches import TokenBatches, count_tokens, counting_tokens
from touchstone.encoding.batches.token_ids import TokenIds, cut_into_blocks, find_token_ids, run_ahead
from touchstone.encoding.canaries import CANARIES, long_text
from touchstone.encoding.keys import make_keys
from touchstone.encoding.meter import Meter
from touchstone.encoding.prompts import Role
from touchstone.encoding.routes import ROLE_NAMES, by_library, check_role, reader_of, roles_of, routers_of, sees_roles
from touchstone.encoding.texts import find_distinct
from touchstone.errors import ModelError

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


# How far a vector may move with its batch: rounding over some layers, relative to the length of the vector.
TOLERANCES = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 5e-2}
# What mteb or a specification may ask of `encode` without changing what a stored vector means.
ENCODE_ARGUMENTS = frozenset({"truncate_dim", "processing_kwargs"})
IGNORED_ARGUMENTS = frozenset({"batch_size", "show_progress_bar"})
# The note on a model whose batches are of one text because what else is in a batch would change its vector.
ONE_AT_A_TIME = "one text at a time"
# A width that truncates nothing: vectors are kept whole, and truncated and normalized when they are asked for.
FULL_WIDTH = 1 << 30


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of `encode`: the role of its texts, the options for the library, and the meter of its progress."""

    role: Role | None
    options: Mapping[str, Any]
    meter: Meter

    @property
    def method(self) -> str:
        """The method of the library."""
        return "encode" if self.role is None else f"encode_{self.role}"

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the library's modules beside the prompt."""
        arguments = {"task": self.role, "processing_kwargs": self.options.get("processing_kwargs")}
        return {name: value for name, value in arguments.items() if value is not None}


class BatchedModel:
    """A `TextEncoder` of a `SentenceTransformer`: the model's own vectors, in better batches than its ``encode`` makes.

    Texts become ids by the model's own preprocessing, once, and these are computed by its own modules. Where ids are
    not all that its modules read, or another class or a publisher's code is in it, it is asked by ``encode``.

    Args:
        model: the model.
        embeddings: the cache of vectors; None to encode everything.
        tokens: of a batch, padding included; None for what suits the device.
        texts_at_once: at most so many texts in a batch; None for no limit but the tokens.
        packing: how the model takes packed batches, see `trial.find_packing`; None to pad.

    ``quantize``, if set, is applied to vectors last, after they are truncated and normalized.
    """

    def __init__(
        self,
        model: "SentenceTransformer",
        *,
        embeddings: VectorStore | None = None,
        tokens: int | None = None,
        texts_at_once: int | None = None,
        packing: Packing | None = None,
    ) -> None:
        self._packing = packing
        self.quantize: Callable[[Vectors], Vectors] | None = None
        self._model = model
        self._embeddings = embeddings
        self._at_once = texts_at_once
        self._batches = TokenBatches(model.device, tokens=tokens, at_once=texts_at_once)
        # Some models with code of their own get the width as an argument, and may make another vector for it.
        self._truncates_itself = "truncate_dim" in getattr(model, "get_model_kwargs", list)()
        self._made_of_ids: dict[str, bool] = {}
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
            ModelError: an option would give something else than plain vectors, or the model has no route for the role.
        """
        check_role(role, self.roles)
        arguments = {name: value for name, value in options.items() if name not in IGNORED_ARGUMENTS}
        width = arguments.pop("truncate_dim", None) or self._model.truncate_dim
        normalize = bool(arguments.pop("normalize_embeddings", False))
        if self._truncates_itself:
            arguments["truncate_dim"], width = width, None
        if unknown := sorted(set(arguments) - ENCODE_ARGUMENTS):
            raise ModelError(f"encode_kwargs.{unknown[0]}: is not for an evaluation, which needs plain float vectors")
        distinct, order = find_distinct(texts)
        whole = self._look_up(distinct, _Call(role, {"prompt": prompt, **arguments}, meter or Meter()))
        vectors = _finish(whole, width, self._model.dtype, normalize=normalize)
        return (vectors if self.quantize is None else self.quantize(vectors))[order]

    def flush(self) -> None:
        """Write new vectors to the store."""
        if self._embeddings is not None:
            self._embeddings.flush()

    @contextmanager
    def encoding_anew(self, texts_at_once: int) -> Iterator[None]:
        """Read nothing from the store, keep nothing, and make batches of at most so many texts."""
        previous = self._embeddings, self._batches
        at_once = min(texts_at_once, self._at_once or texts_at_once)
        self._embeddings, self._batches = None, TokenBatches(self._model.device, at_once=at_once)
        try:
            yield
        finally:
            self._embeddings, self._batches = previous

    def check(self) -> Vectors:
        """Compare with the model's own ``encode`` on a few texts, and return their whole vectors, by every route.

        Raises:
            ModelError: the vectors differ by more than rounding, or in their width.
        """
        roles = self.roles if routers_of(self._model) else (None,)
        if not roles:
            check_role(None, roles)
        vectors = {role: self._check(role) for role in roles}
        if len({whole.shape for whole in vectors.values()}) > 1:
            widths = ", ".join(f"{whole.shape[1]} numbers for {ROLE_NAMES[role]}" for role, whole in vectors.items())
            raise ModelError(f"the model's routes give vectors that cannot be compared: {widths}")
        return np.concatenate(list(vectors.values()))

    def _check(self, role: Role | None) -> Vectors:
        """Compare the vectors of a few texts in a role with the model's own of one at a time, and return whole ones."""
        call = _Call(role, {"truncate_dim": self._model.truncate_dim} if self._truncates_itself else {}, Meter())
        expected = getattr(self._model, call.method)(list(CANARIES), batch_size=1, show_progress_bar=False)
        expected = np.asarray(expected, np.float32)
        whole = self._run(list(CANARIES), call)
        actual = _finish(whole, self._model.truncate_dim, self._model.dtype, normalize=False)
        scale = float(np.linalg.norm(expected, axis=1).max()) or 1.0
        apart = float(np.linalg.norm(expected - actual, axis=1).max()) / scale
        if not apart <= rounding_of(self._model):
            raise ModelError(
                f"the model's vectors depend on what else is in a batch: {apart:.2g} apart from those of one text at a "
                f"time in {dtype_of(self._model)}; check its padding and pooling"
            )
        return whole

    def _look_up(self, distinct: list[str], call: "_Call") -> Vectors:
        """Return the vectors of texts: cached ones from the store, and the others encoded now."""
        if self._embeddings is None:
            return self._run(distinct, call)
        meaning = self._meaning(call)
        keys = make_keys([f"{meaning}\0{text}" for text in distinct])
        hits, stored = self._embeddings.get(keys)
        if hits.all() and distinct:
            return stored
        new = self._run([text for text, hit in zip(distinct, hits, strict=True) if not hit], call)
        if np.isfinite(new).all():  # a broken model is refused further up, and must not be remembered
            self._embeddings.put(keys[~hits], new)
        vectors = np.empty((len(distinct), new.shape[1]), np.float32)
        vectors[~hits] = new
        if hits.any():
            vectors[hits] = stored
        return vectors

    def _meaning(self, call: "_Call") -> str:
        """Return the part of a text's key that names what else decides its vector.

        In most models, a role only chooses a prompt where none is given.
        """
        has_prompt = self._has_prompt(call)
        method = "" if has_prompt and not sees_roles(self._model) else call.method
        options = {name: value for name, value in sorted(call.options.items()) if value}
        # repr shows a zero byte in a prompt, so that where the prompt ends and the text begins is in no doubt
        return "\0".join([method, *(f"{name}={options[name]!r}" for name in options)])

    def _has_prompt(self, call: "_Call") -> bool:
        """Return True if no prompt of the model's files takes part."""
        return call.options.get("prompt") is not None or not any(self._model.prompts.values())

    def _run(self, texts: list[str], call: "_Call") -> Vectors:
        """Encode every text."""
        meaning = self._meaning(call)
        if texts and meaning not in self._made_of_ids:
            self._made_of_ids[meaning] = self._reads_only_ids(call)
        run = self._run_ids if texts and self._made_of_ids[meaning] else self._run_texts
        return run(texts, call)

    def _run_texts(self, texts: list[str], call: "_Call") -> Vectors:
        """Encode texts by the library's own method, batch by batch."""

        def encode(rows: list[int]) -> Vectors:
            batch = [texts[row] for row in rows]
            with counting_tokens(self._model) as tokens:
                vectors = getattr(self._model, call.method)(
                    batch,
                    batch_size=len(batch),
                    convert_to_tensor=True,
                    show_progress_bar=False,
                    **{"truncate_dim": FULL_WIDTH, **call.options},
                )
            result: Vectors = vectors.float().cpu().numpy()
            call.meter.count(len(batch), tokens(), warm=self._batches.warm)
            return result

        prompt = call.options.get("prompt") or ""
        lengths = count_tokens(reader_of(self._model, call.role), [prompt + text for text in texts])
        call.meter.start()
        vectors = self._batches.run(
            lengths, encode, lambda done: call.meter.tell(f"encoding, {done} of {len(texts)} texts{call.meter.rate}")
        )
        return np.empty((0, 0), np.float32) if vectors is None else vectors

    def _run_ids(self, texts: list[str], call: "_Call") -> Vectors:
        """Encode texts from their ids, which a thread makes of one block while the model computes another."""
        self._model.eval()
        vectors, done = np.empty((0, 0), np.float32), 0

        def tokenize(block: list[int]) -> TokenIds | None:
            return self._tokenize([texts[place] for place in block], call)

        def tell(done: int) -> None:
            call.meter.tell(f"encoding, {done} of {len(texts)} texts{call.meter.rate}")

        call.meter.start()
        for block, ids in run_ahead(tokenize, cut_into_blocks(texts)):
            if ids is None:
                raise ModelError("the model's preprocessing gives for some texts something else than for others")
            part = self._batches.run(
                ids.lengths,
                partial(self._compute, ids, call),
                lambda count, before=done: tell(before + count),  # type: ignore[misc]
                padded=self._packing is None,
            )
            vectors = vectors if done else np.empty((len(texts), part.shape[1]), np.float32)  # type: ignore[union-attr]
            vectors[block], done = part, done + len(block)
        return vectors

    def _tokenize(self, texts: list[str], call: "_Call") -> TokenIds | None:
        """Return the ids of texts; None where the model's modules read something else."""
        return find_token_ids(self._preprocess(texts, call))

    def _preprocess(self, texts: list[str], call: "_Call") -> dict[str, Any]:
        return self._model.preprocess(texts, prompt=call.options.get("prompt"), **call.arguments)

    def _compute(self, ids: TokenIds, call: "_Call", rows: list[int]) -> Vectors:
        """Return the vectors of a batch, by the model's own modules."""
        import torch
        from sentence_transformers.util import batch_to_device

        packing = self._packing if self._packing and ids.lengths[rows].max() <= self._packing.longest else None
        features = ids.pack(rows, packing.first_position) if packing else ids.pad(rows)
        with torch.inference_mode():
            vectors = self._model(batch_to_device(features, self._model.device), **call.arguments)["sentence_embedding"]
        result: Vectors = vectors.float().cpu().numpy()
        call.meter.count(len(rows), int(ids.lengths[rows].sum()), warm=self._batches.warm)
        return result

    def _reads_only_ids(self, call: "_Call") -> bool:
        """Return True if any batch can be cut from ids that were made at once, the same as the model makes it."""
        from sentence_transformers import SentenceTransformer

        plain = (
            type(self._model) is SentenceTransformer and by_library(self._model) and hasattr(self._model, "preprocess")
        )
        if not plain or self._truncates_itself or not self._has_prompt(call):
            return False
        texts = [*CANARIES, long_text(self._model, call.role)]
        ids = self._tokenize(texts, call)
        several = [[place] for place in range(len(texts))] + [[0, 2, 3], list(range(len(texts)))]
        return ids is not None and all(
            _equal(self._preprocess([texts[place] for place in rows], call), ids.pad(rows)) for rows in several
        )


def _equal(features: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Return True if two batches are equal, number by number."""
    import torch

    return features.keys() == others.keys() and all(
        torch.equal(value, others[name]) if isinstance(value, torch.Tensor) else value == others[name]
        for name, value in features.items()
    )


def dtype_of(model: "torch.nn.Module") -> str:
    """Return the data type of a model's weights, such as ``float32``, which is that of vectors without weights too.

    Those of a graph in the place of a transformer may be of several, joined by +.
    """
    if (dtype := _dtype_of_graph(model)) is not None:
        return dtype
    first = next(model.parameters(), None)
    return "float32" if first is None else str(first.dtype).removeprefix("torch.")


def rounding_of(model: "torch.nn.Module") -> float:
    """Return how far what a model gives may move with its batch, relative to the size of it.

    A graph whose numbers are of another type, such as int8, computes in float32 what it has read.
    """
    unknown = max(TOLERANCES.values()) if _dtype_of_graph(model) is None else TOLERANCES["float32"]
    return TOLERANCES.get(dtype_of(model), unknown)


def _dtype_of_graph(model: "torch.nn.Module") -> str | None:
    return getattr(getattr(model, "transformers_model", None), "weights_dtype", None)


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
