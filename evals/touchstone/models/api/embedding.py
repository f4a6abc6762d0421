"""A model behind an embeddings endpoint: each distinct text is asked for once, and every answer is checked."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from touchstone.encoding.canaries import CANARIES
from touchstone.encoding.keys import Keys, make_keys
from touchstone.encoding.meter import Meter
from touchstone.encoding.prompts import Role
from touchstone.encoding.texts import find_distinct
from touchstone.errors import ModelError
from touchstone.models.api.answers import Vectors
from touchstone.models.api.batches import Batch, ask_batches, make_batches
from touchstone.models.api.client import ApiClient
from touchstone.models.api.protocols import ask_vectors
from touchstone.store.vectors import Embeddings, forgetful

# How far a vector may move between two requests, relative to its length: servers compute in half precision, in batches.
TOLERANCE = 5e-2


class ApiModel:
    """A `TextEncoder` that asks for vectors; they are as the server gives them.

    Args:
        client: of an embeddings endpoint.
        embeddings: the cache of vectors; None for one in memory, for this object's life.
    """

    def __init__(self, client: ApiClient, embeddings: Embeddings | None = None) -> None:
        self._client = client
        self._spec = client.spec
        self._embeddings = forgetful(self) if embeddings is None else embeddings
        self._batch_size = client.spec.batch_size
        self.dimension: int | None = None

    def encode(
        self,
        texts: Sequence[str],
        *,
        role: Role | None = None,
        prompt: str | None = None,
        meter: Meter | None = None,
        **_options: Any,
    ) -> Vectors:
        """Encode texts; shape (texts, dimensions).

        Raises:
            ModelError: the server did not give a vector for each.
        """
        body = self._body(role)
        sent = [((prompt or "") + text)[: self._spec.max_characters] for text in texts]
        distinct, order = find_distinct(sent)
        keys = _keys(distinct, body)
        hits, _ = self._embeddings.get(keys)
        self._fetch([distinct[place] for place in np.flatnonzero(~hits)], keys[~hits], body, meter or Meter())
        hits, vectors = self._embeddings.get(keys)
        if not hits.all():
            raise ModelError(f"{self._client.alias}: vectors were lost from {self._embeddings.folder}; run again")
        return vectors[order]

    def encode_alone(self, text: str, role: Role | None) -> Vectors:
        """Ask for one text, prompt included, with one request that is not sent again, and keep nothing.

        Raises:
            ModelError: the request failed.
        """
        return ask_vectors(self._client, [text[: self._spec.max_characters]], self._body(role), retries=0)

    def flush(self) -> None:
        """Write new vectors to the store."""
        self._embeddings.flush()

    @contextmanager
    def encoding_anew(self, texts_at_once: int) -> Iterator[None]:
        """Ask for everything again, keep nothing, and make requests of at most so many texts."""
        previous = self._embeddings, self._batch_size
        self._embeddings, self._batch_size = forgetful(self), min(texts_at_once, self._spec.batch_size)
        try:
            yield
        finally:
            self._embeddings, self._batch_size = previous

    def check(self) -> None:
        """Check that the server answers a few texts in order, alone as together, and as it did before.

        Raises:
            ModelError: it does not answer, puts vectors in another order than it says, or serves another model than
                the one whose vectors are in the store.
        """
        texts = list(CANARIES[: self._spec.batch_size])
        together = ask_vectors(self._client, texts, {})
        self._check_dimension(together)
        for place in (0, len(texts) - 1):
            if not _alike(together[[place]], ask_vectors(self._client, [texts[place]], {})):
                raise self._client.failure("gives a text another vector alone than among others; check its order")
        keys = _keys(texts, {})
        hits, stored = self._embeddings.get(keys)
        if hits.any() and not _alike(stored, together[hits]):
            raise self._client.failure(
                "no longer gives the vectors that it gave before, so they are of another model; "
                "leave out --reuse-api, or take another --store"
            )
        self._embeddings.put(keys[~hits], together[~hits])

    def _fetch(self, texts: list[str], keys: Keys, body: Mapping[str, Any], meter: Meter) -> None:
        """Ask for texts, and keep each answer as it comes."""
        done = 0

        def ask(batch: Batch) -> Vectors:
            return ask_vectors(self._client, [texts[place] for place in batch], body)

        def keep(batch: Batch, vectors: Vectors) -> None:
            nonlocal done
            self._check_dimension(vectors)
            self._embeddings.put(keys[batch], vectors)
            meter.count(len(batch))
            done += len(batch)
            meter.tell(f"encoding, {done} of {len(texts)} texts")

        spec = self._spec
        batches = make_batches([len(text) for text in texts], size=self._batch_size, characters=spec.batch_characters)
        meter.start()
        ask_batches(batches, ask, keep, at_once=spec.concurrency, stop=self._client.stop)

    def _body(self, role: Role | None) -> Mapping[str, Any]:
        return {"query": self._spec.query_body, "document": self._spec.document_body}.get(role or "", {})

    def _check_dimension(self, vectors: Vectors) -> None:
        width, dimensions = vectors.shape[1], self._spec.dimensions
        if dimensions is not None and width != dimensions:
            raise self._client.failure(f"gave {width} dimensions, and dimensions = {dimensions} were asked for")
        if self.dimension is not None and width != self.dimension:
            raise self._client.failure(f"gave {width} dimensions, and {self.dimension} before")
        self.dimension = width


def _keys(texts: Sequence[str], body: Mapping[str, Any]) -> Keys:
    meaning = json.dumps(dict(body), sort_keys=True, default=str)
    return make_keys([f"{meaning}\0{text}" for text in texts])


def _alike(first: Vectors, second: Vectors) -> bool:
    if first.shape != second.shape:
        return False
    scale = float(np.linalg.norm(first, axis=1).max()) or 1.0
    return float(np.linalg.norm(first - second, axis=1).max()) / scale <= TOLERANCE
