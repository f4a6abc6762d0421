"""The encoder between a model and mteb: counts, times and distrusts every vector that passes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from touchstone.errors import ModelError

if TYPE_CHECKING:
    import torch
    from mteb import EncoderProtocol
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models import CrossEncoderProtocol, ModelMeta
    from mteb.types import Array, BatchedInput, PromptType
    from torch.utils.data import DataLoader


Vectors = NDArray[np.float32]
SAMPLED_PER_CALL = 100
SAMPLED_IN_ALL = 400
PAIRS = 200
# Fewer distinct texts than this may be alike by chance.
ENOUGH_TEXTS = 10
COLLAPSED = 0.99


class WatchedEncoder:
    """Stands in for an encoder of mteb's and passes everything through unchanged.

    Args:
        encoder: what really encodes.
        module: the torch module that encodes, watched batch by batch for ``progress``.
        progress: told how far a call has come.
        prompt_used: tells what was put before the texts of the last call, None where that is not known.
    """

    def __init__(
        self,
        encoder: "EncoderProtocol",
        module: "torch.nn.Module | None",
        progress: Callable[[str], None],
        prompt_used: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._encoder = encoder
        self._module = module
        self._progress = progress
        self._prompt_used = prompt_used
        self._prompts: dict[str, set[str | None]] = {}
        self._sampled: dict[str, Vectors] = {}
        self.texts = 0
        self.seconds = 0.0

    @property
    def mteb_model_meta(self) -> "ModelMeta":
        """Mteb's metadata of the model."""
        meta: ModelMeta = self._encoder.mteb_model_meta
        return meta

    @mteb_model_meta.setter
    def mteb_model_meta(self, meta: "ModelMeta") -> None:
        self._encoder.mteb_model_meta = meta  # type: ignore[misc]  # mteb's wrappers replace it

    def encode(
        self,
        inputs: "DataLoader[BatchedInput]",
        *,
        task_metadata: "TaskMetadata",
        hf_split: str,
        hf_subset: str,
        prompt_type: "PromptType | None" = None,
        **kwargs: Any,
    ) -> "Array":
        """Encode texts; shape (texts, dimensions).

        Raises:
            ModelError: a vector is NaN or infinite, or there is not one for each text.
        """
        started = time.perf_counter()
        dataset: Any = inputs.dataset
        with self._watch_batches(len(dataset)):
            vectors = self._encoder.encode(
                inputs,
                task_metadata=task_metadata,
                hf_split=hf_split,
                hf_subset=hf_subset,
                prompt_type=prompt_type,
                **kwargs,
            )
        self.seconds += time.perf_counter() - started
        kind = task_metadata.type if prompt_type is None else prompt_type.value
        self._prompts.setdefault(kind, set()).add(self._prompt_used())
        self._check(vectors, len(dataset))
        self._sample(vectors, dataset)
        self.texts += len(dataset)
        return vectors

    def similarity(self, embeddings1: "Array", embeddings2: "Array") -> "Array":
        """Return the model's own similarity of all to all."""
        return self._encoder.similarity(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: "Array", embeddings2: "Array") -> "Array":
        """Return the model's own similarity, pair by pair."""
        return self._encoder.similarity_pairwise(embeddings1, embeddings2)

    @property
    def prompts(self) -> dict[str, tuple[str, ...]] | None:
        """What texts really got put before them, None where that is not known; ``""`` is nothing.

        By the role of the texts, ``query`` or ``document``, or by the task type of those that have none.
        """
        if any(None in used for used in self._prompts.values()):
            return None
        return {kind: tuple(sorted(map(str, used))) for kind, used in sorted(self._prompts.items())}

    def check_spread(self) -> None:
        """Refuse a model that gives (nearly) the same vector whatever the text.

        Raises:
            ModelError: the mean cosine of random pairs of distinct texts is above 0.99.
        """
        if len(self._sampled) < ENOUGH_TEXTS:
            return
        vectors = np.stack(list(self._sampled.values()))
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = vectors / np.where(lengths == 0, 1, lengths)
        chosen = np.random.default_rng(0)
        left = chosen.integers(len(unit), size=PAIRS)
        right = (left + chosen.integers(1, len(unit), size=PAIRS)) % len(unit)  # never a text with itself
        if not lengths.any():
            raise ModelError("every vector is zero; check the weights and how they were loaded")
        mean = float(np.mean(np.sum(unit[left] * unit[right], axis=1)))
        if mean > COLLAPSED:
            raise ModelError(
                f"the embeddings have collapsed: {PAIRS} random pairs of different texts have a mean cosine of "
                f"{mean:.4f}; check the weights and how they were loaded"
            )

    @contextmanager
    def _watch_batches(self, total: int) -> Iterator[None]:
        """Tell the progress of one call after each batch of it."""
        if self._module is None:
            yield
            return
        done = 0

        def after_batch(_module: object, inputs: tuple[Any, ...], _output: object) -> None:
            nonlocal done
            done += len(next(iter(inputs[0].values())))
            self._progress(f"encoding, {done} of {total} texts")

        hook = self._module.register_forward_hook(after_batch)
        try:
            yield
        finally:
            hook.remove()

    def _check(self, vectors: "Array", expected: int) -> None:
        if len(vectors) != expected:
            raise ModelError(f"the model returned {len(vectors)} vectors for {expected} texts")
        # A sum is NaN or infinite when any number in it is, and makes no copy of a large corpus; one that only
        # overflowed is looked at again.
        with np.errstate(all="ignore"):
            total = float(vectors.sum())
        if not np.isfinite(total) and not np.isfinite(_to_numpy(vectors)).all():
            raise ModelError("the model returned NaN or infinite numbers; check the weights and the dtype")

    def _sample(self, vectors: "Array", dataset: Any) -> None:
        """Keep a few texts of each call for `check_spread`; the choice depends on nothing but the count."""
        if "text" not in dataset.column_names:
            return
        chosen = np.random.default_rng(len(dataset)).permutation(len(dataset))[:SAMPLED_PER_CALL]
        for index in chosen.tolist():
            if len(self._sampled) < SAMPLED_IN_ALL:
                self._sampled[dataset[index]["text"]] = _to_numpy(vectors[index])


def _to_numpy(vectors: "Array") -> Vectors:
    """Return vectors as float32, whatever device and dtype they come in: numpy knows no bfloat16."""
    detach = getattr(vectors, "detach", None)
    plain: Any = vectors if detach is None else detach().float().cpu()
    return np.asarray(plain, dtype=np.float32)


# Fewer pairs than this may well be alike.
ENOUGH_PAIRS = 10


class WatchedReranker:
    """Stands in for a cross-encoder of mteb's and passes everything through unchanged.

    Args:
        reranker: what really scores.
        progress: told when a call begins.
        prompt: what the reranker puts before each query.
    """

    def __init__(self, reranker: "CrossEncoderProtocol", progress: Callable[[str], None], prompt: str = "") -> None:
        self._reranker = reranker
        self._progress = progress
        self._prompt = prompt
        self._lowest, self._highest = np.inf, -np.inf
        self.texts = 0
        self.seconds = 0.0

    @property
    def mteb_model_meta(self) -> "ModelMeta":
        """Mteb's metadata of the model."""
        meta: ModelMeta = self._reranker.mteb_model_meta
        return meta

    def predict(
        self,
        inputs1: "DataLoader[BatchedInput]",
        inputs2: "DataLoader[BatchedInput]",
        *,
        task_metadata: "TaskMetadata",
        hf_split: str,
        hf_subset: str,
        prompt_type: "PromptType | None" = None,
        **kwargs: Any,
    ) -> "Array":
        """Score queries with documents, pair by pair; shape (pairs,).

        Raises:
            ModelError: a score is NaN or infinite, or there is not one for each pair.
        """
        pairs = len(inputs1.dataset)  # type: ignore[arg-type]  # mteb's are tables
        self._progress(f"reranking, 0 of {pairs} pairs")
        started = time.perf_counter()
        scores = self._reranker.predict(
            inputs1,
            inputs2,
            task_metadata=task_metadata,
            hf_split=hf_split,
            hf_subset=hf_subset,
            prompt_type=prompt_type,
            **kwargs,
        )
        self.seconds += time.perf_counter() - started
        self.texts += pairs
        self._check(scores, pairs)
        return scores

    @property
    def prompts(self) -> dict[str, tuple[str, ...]]:
        """What was put before the queries; ``""`` is nothing."""
        return {"query": (self._prompt,)} if self.texts else {}

    def check_spread(self) -> None:
        """Refuse a model that gives the same score whatever the pair.

        Raises:
            ModelError: it does.
        """
        if self.texts >= ENOUGH_PAIRS and self._lowest == self._highest:
            raise ModelError(
                f"the model gives each of {self.texts} pairs the same score, {self._lowest:g}; "
                "check the weights and how they were loaded"
            )

    def _check(self, scores: "Array", expected: int) -> None:
        plain = _to_numpy(scores)
        if plain.shape != (expected,):
            shape = " × ".join(map(str, plain.shape))
            raise ModelError(f"the model returned {shape} scores for {expected} pairs")
        if not np.isfinite(plain).all():
            raise ModelError("the model returned scores that are NaN or infinite; check the weights and the dtype")
        if expected:
            self._lowest, self._highest = min(self._lowest, plain.min()), max(self._highest, plain.max())
