"""What stands between a cross-encoder and mteb: counts, times and distrusts every score that passes."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evals.errors import ModelError

if TYPE_CHECKING:
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models import CrossEncoderProtocol, ModelMeta
    from mteb.types import Array, BatchedInput, PromptType
    from torch.utils.data import DataLoader

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


def _to_numpy(scores: "Array") -> NDArray[np.float64]:
    """Return scores as float64, whatever device and dtype they come in: numpy knows no bfloat16."""
    detach = getattr(scores, "detach", None)
    plain: Any = scores if detach is None else detach().float().cpu()
    return np.asarray(plain, dtype=np.float64)
