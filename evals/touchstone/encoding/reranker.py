"""The reranker that mteb is given: it puts the prompt before queries, checks and counts every score that passes."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from touchstone.encoding.base import PairScorer
from touchstone.encoding.checks import to_numpy
from touchstone.encoding.encoder import Sample
from touchstone.encoding.meter import Meter
from touchstone.encoding.texts import find_distinct, read_texts
from touchstone.errors import ModelError

if TYPE_CHECKING:
    from mteb.models import ModelMeta
    from mteb.types import Array, BatchedInput
    from torch.utils.data import DataLoader

# Fewer pairs than this may well be alike.
MIN_PAIRS = 10
# mteb says where the texts are from, which no score depends on.
MTEB_ARGUMENTS = {"task_metadata", "hf_split", "hf_subset", "prompt_type"}


def score_by_query(
    pairs: Sequence[tuple[str, str]], score: Callable[[str, list[str]], ArrayLike], meter: Meter
) -> NDArray[np.float32]:
    """Score pairs of a query and a document, query by query, and each distinct document of a query once.

    Args:
        pairs: the pairs.
        score: returns a score for each of some documents.
        meter: gets the progress, and its counts.

    Returns:
        Scores of shape (pairs,).
    """
    rows: dict[str, list[int]] = {}
    for row, (query, _) in enumerate(pairs):
        rows.setdefault(query, []).append(row)
    scores, done = np.empty(len(pairs), np.float32), 0
    meter.start()
    for query, places in rows.items():
        distinct, order = find_distinct(pairs[row][1] for row in places)
        scores[places] = np.asarray(score(query, distinct), np.float32)[order]
        meter.count(len(distinct))
        done += len(places)
        meter.tell(f"reranking, {done} of {len(pairs)} pairs")
    return scores


class MtebReranker:
    """A model that scores pairs, as mteb calls it, for one measurement.

    Args:
        scorer: what scores.
        meta: mteb's metadata of it.
        prompt: put before each query.
        meter: gets the progress of each call, and its counts.
    """

    def __init__(self, scorer: PairScorer, meta: "ModelMeta", meter: Meter, *, prompt: str = "") -> None:
        self.mteb_model_meta: ModelMeta | None = meta
        self._scorer = scorer
        self._meter = meter
        self._prompt = prompt
        self._lowest, self._highest = np.inf, -np.inf
        self.texts = 0
        self.seconds = 0.0
        self.sample = Sample()

    def predict(
        self, inputs1: "DataLoader[BatchedInput]", inputs2: "DataLoader[BatchedInput]", **options: Any
    ) -> "Array":
        """Score queries with documents, pair by pair; shape (pairs,).

        Raises:
            ModelError: a score is NaN or infinite, or there is not one for each pair.
        """
        queries = [self._prompt + query for query in read_texts(inputs1)]
        pairs = list(zip(queries, read_texts(inputs2), strict=True))
        self._meter.tell(f"reranking, 0 of {len(pairs)} pairs")
        passed = {name: value for name, value in options.items() if name not in MTEB_ARGUMENTS}
        started = time.perf_counter()
        scores: Array = self._scorer.score(pairs, meter=self._meter, **passed)
        self.seconds += time.perf_counter() - started
        self.texts += len(pairs)
        self._check(scores, len(pairs))
        return scores

    @property
    def prompts(self) -> dict[str, tuple[str, ...]]:
        """The prompt of the queries, ``""`` for none."""
        return {"query": (self._prompt,)} if self.texts else {}

    @property
    def encoded(self) -> int | None:
        """Number of distinct pairs that were scored."""
        return self._meter.computed

    def check_spread(self) -> None:
        """Refuse a model that gives the same score whatever the pair.

        Raises:
            ModelError: it does.
        """
        if self.texts >= MIN_PAIRS and self._lowest == self._highest:
            raise ModelError(
                f"the model gives each of {self.texts} pairs the same score, {self._lowest:g}; "
                "check the weights and how they were loaded"
            )

    def flush(self) -> None:
        """Do nothing: scores are not kept."""

    def _check(self, scores: "Array", expected: int) -> None:
        plain = to_numpy(scores)
        if plain.shape != (expected,):
            shape = " × ".join(map(str, plain.shape))
            raise ModelError(f"the model returned {shape} scores for {expected} pairs")
        if not np.isfinite(plain).all():
            raise ModelError("the model returned scores that are NaN or infinite; check the weights and the dtype")
        if expected:
            self._lowest, self._highest = min(self._lowest, plain.min()), max(self._highest, plain.max())
