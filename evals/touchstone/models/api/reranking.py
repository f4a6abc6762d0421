"""A model behind a rerank endpoint: how well documents answer a query."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from touchstone.encoding.canaries import CANARIES
from touchstone.encoding.meter import Meter
from touchstone.encoding.reranker import score_by_query
from touchstone.models.api.batches import Batch, ask_batches, make_batches
from touchstone.models.api.client import ApiClient
from touchstone.models.api.protocols import ask_scores


class ApiReranker:
    """A `PairScorer` that asks for scores. A document's score is taken to depend on it and the query alone.

    Args:
        client: of a rerank endpoint.
    """

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def score(
        self, pairs: Sequence[tuple[str, str]], *, meter: Meter | None = None, **_options: Any
    ) -> NDArray[np.float32]:
        """Score pairs of a query and a document, query by query; shape (pairs,).

        Raises:
            ModelError: the server did not give a score for each.
        """
        limit = self._client.spec.max_characters
        cut = [(query, document[:limit]) for query, document in pairs]
        return score_by_query(cut, self.score_documents, meter or Meter())

    def check(self) -> None:
        """Check that the server answers, with a few scores.

        Raises:
            ModelError: it does not.
        """
        self.score_documents(CANARIES[0], CANARIES)

    def score_documents(self, query: str, documents: Sequence[str]) -> list[float]:
        """Return a score for each document, in their order; more is better. Equal documents are asked for once.

        Raises:
            ModelError: the server did not give a score for each.
        """
        spec = self._client.spec
        sent = [document[: spec.max_characters] for document in documents]
        distinct = list(dict.fromkeys(sent))
        scores: dict[str, float] = {}

        def ask(batch: Batch) -> list[float]:
            return ask_scores(self._client, query[: spec.max_characters], [distinct[place] for place in batch])

        def keep(batch: Batch, values: list[float]) -> None:
            scores.update((distinct[place], score) for place, score in zip(batch, values, strict=True))

        lengths = [len(document) for document in distinct]
        batches = make_batches(lengths, size=spec.batch_size, characters=spec.batch_characters)
        ask_batches(batches, ask, keep, at_once=spec.concurrency, stop=self._client.stop)
        return [scores[document] for document in sent]
