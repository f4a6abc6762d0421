"""Models with a search of their own as mteb calls them, for one measurement: every answer is checked."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from touchstone.encoding.encoder import Sample
from touchstone.encoding.meter import Meter
from touchstone.errors import ModelError
from touchstone.formatting import shorten

if TYPE_CHECKING:
    from mteb.models import ModelMeta

Rankings = Mapping[str, Mapping[str, float]]
QUOTE_LIMIT = 40


class MtebSearcher(ABC):
    """A model that is given the documents of a task, and then finds those that answer its queries.

    Args:
        meta: mteb's metadata of it.
        meter: gets the progress of each call, and its counts.
    """

    def __init__(self, meta: "ModelMeta", meter: Meter) -> None:
        self.mteb_model_meta: ModelMeta | None = meta
        self._meter = meter
        self._documents: frozenset[str] = frozenset()
        self._hits = 0
        self.sample = Sample()
        self.texts = 0
        self.seconds = 0.0

    @abstractmethod
    def take(self, corpus: Any, **context: Any) -> None:
        """Take in the documents of a task's split and subset, a table as mteb has it."""

    @abstractmethod
    def find(self, queries: Any, top_k: int, **context: Any) -> Rankings:
        """Return each query's documents with their scores, at most ``top_k``; queries are a table as mteb has it."""

    def index(self, corpus: Any, **context: Any) -> None:
        """Take in documents, as mteb calls it."""
        ids = list(corpus["id"][:])
        self._meter.tell(f"indexing {len(ids)} documents")
        started = time.perf_counter()
        self.take(corpus, **context)
        self.seconds += time.perf_counter() - started
        self._documents = frozenset(ids)
        self.texts += len(ids)

    def search(self, queries: Any, *, top_k: int, **context: Any) -> dict[str, dict[str, float]]:
        """Search, as mteb calls it; return each query's documents with their scores.

        Raises:
            ModelError: a document is none of the corpus, a score is no number, or a query was not answered.
        """
        ids = list(queries["id"][:])
        self._meter.tell(f"searching, 0 of {len(ids)} queries")
        started = time.perf_counter()
        rankings = self.find(queries, top_k, **context)
        self.seconds += time.perf_counter() - started
        self.texts += len(ids)
        answered = {query: self._check(rankings, query, top_k) for query in ids}
        self._hits += sum(map(len, answered.values()))
        return answered

    @property
    def prompts(self) -> dict[str, tuple[str, ...]] | None:
        """None: the prompts are not known."""
        return None

    @property
    def encoded(self) -> int | None:
        """Number of documents and queries that the model was given."""
        return self.texts

    def check_spread(self) -> None:
        """Refuse a model that finds nothing at all.

        Raises:
            ModelError: it does.
        """
        if self.texts and not self._hits:
            raise ModelError("the search found no document for any query; check what index and search are given")

    def flush(self) -> None:  # noqa: B027
        """Do nothing: no vectors are stored."""

    def _check(self, rankings: Rankings, query: str, top_k: int) -> dict[str, float]:
        """Return the documents of a query with their scores as plain numbers."""
        if query not in rankings:
            raise ModelError(
                f'the search gave nothing for query "{shorten(query, QUOTE_LIMIT)}", not even an empty list'
            )
        hits = rankings[query]
        if len(hits) > top_k:
            raise ModelError(f"the search gave {len(hits)} documents for a query, where k = {top_k} were asked for")
        if strange := [name for name in hits if name not in self._documents]:  # one may be empty
            raise ModelError(
                f'the search gave the document "{shorten(str(strange[0]), QUOTE_LIMIT)}", which is not in the corpus'
            )
        return dict(zip(hits, read_scores(list(hits.values()), "the search"), strict=True))


def read_scores(scores: Sequence[Any], whose: str) -> list[float]:
    """Return scores as plain numbers.

    Raises:
        ModelError: one is no number, or NaN or infinite; it begins with ``whose``.
    """
    try:
        numbers = np.array([float(score) for score in scores], np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ModelError(f"{whose} gave a score that is no number") from None
    if any(isinstance(score, str | bytes | bool | np.bool_) for score in scores):
        raise ModelError(f"{whose} gave a score that is no number")
    if not np.isfinite(numbers).all():
        raise ModelError(f"{whose} gave scores that are NaN or infinite")
    plain: list[float] = numbers.tolist()
    return plain
