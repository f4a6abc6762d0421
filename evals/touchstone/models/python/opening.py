"""Models of kind ``python``: objects of the user's own that encode, search or rerank."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from touchstone.config.models import Model
from touchstone.config.retrievers import Provides, PythonSpec
from touchstone.encoding.base import Vectors
from touchstone.encoding.canaries import CANARIES
from touchstone.encoding.encoder import MtebEncoder, take_sample
from touchstone.encoding.keys import make_keys
from touchstone.encoding.meter import Meter
from touchstone.encoding.prompts import Prompting, Role
from touchstone.encoding.reranker import MtebReranker, score_by_query
from touchstone.encoding.texts import find_distinct, read_texts
from touchstone.errors import ModelError
from touchstone.models.api.served import Served, make_empty_meta
from touchstone.models.base import (
    ModelKind,
    OpenModel,
    OpenReranker,
    OpenSearcher,
    make_meta,
    only_reranks,
    only_searches,
)
from touchstone.models.python.answers import read_hits, read_scores, read_vectors
from touchstone.models.python.objects import OwnObject, find_object, identify
from touchstone.models.python.protocols import Document
from touchstone.models.searcher import MtebSearcher, Rankings
from touchstone.records.outcomes import ModelIdentity, Settings
from touchstone.seams import find
from touchstone.store.folder import Store
from touchstone.store.vectors import Embeddings, forgetful

# How far a vector may move with what else is encoded beside it, relative to its length.
TOLERANCE = 5e-2
# Documents that a query is timed for.
FIRST_PAGE = 10


class OwnEncoder:
    """A `TextEncoder` of an object: each distinct text of a role is asked for once.

    Args:
        handle: of the object.
        embeddings: the cache of vectors; None for one in memory, for this object's life.
    """

    def __init__(self, handle: OwnObject, embeddings: Embeddings | None = None) -> None:
        self._handle = handle
        self._embeddings = forgetful(self) if embeddings is None else embeddings
        self._at_once = handle.spec.batch_size
        self.dimension: int | None = None

    def encode(
        self,
        texts: Sequence[str],
        *,
        role: Role | None = None,
        prompt: str | None = None,  # noqa: ARG002
        meter: Meter | None = None,
        **_options: Any,
    ) -> Vectors:
        """Encode texts; shape (texts, dimensions). Prompts are the object's own matter.

        Raises:
            ModelError: it did not give a vector for each.
        """
        meter = meter or Meter()
        distinct, order = find_distinct(texts)
        keys = make_keys([f"{role}\0{text}" for text in distinct])
        hits, _ = self._embeddings.get(keys)
        missing = np.flatnonzero(~hits)
        meter.start()
        for start in range(0, len(missing), self._at_once):
            rows = missing[start : start + self._at_once]
            self._embeddings.put(keys[rows], self.ask([distinct[row] for row in rows], role))
            meter.count(len(rows))
            meter.tell(f"encoding, {start + len(rows)} of {len(missing)} texts")
        hits, vectors = self._embeddings.get(keys)
        if not hits.all():
            raise ModelError(f"vectors were lost from {self._embeddings.folder}; run again")
        return vectors[order]

    def ask(self, texts: list[str], role: Role | None) -> Vectors:
        """Return the vectors of texts without the cache.

        Raises:
            ModelError: it did not give a vector for each, or of another width than before.
        """
        vectors = self._handle.call("encode", texts, role=role, parse=partial(read_vectors, count=len(texts)))
        if self.dimension is not None and vectors.shape[1] != self.dimension:
            raise ModelError(
                f"{self._handle.spec.object}: encode gave {vectors.shape[1]} dimensions, and {self.dimension} before"
            )
        self.dimension = vectors.shape[1]
        return vectors

    def check(self) -> Vectors:
        """Compare a few texts together and alone, and return their vectors.

        Raises:
            ModelError: they differ.
        """
        together = self.ask(list(CANARIES), None)
        scale = float(np.linalg.norm(together, axis=1).max()) or 1.0
        for place in (0, len(CANARIES) - 1):
            apart = float(np.linalg.norm(together[place] - self.ask([CANARIES[place]], None)[0])) / scale
            if apart > TOLERANCE:
                raise ModelError(
                    f"{self._handle.spec.object}: encode gives a text another vector alone than among others, "
                    f"{apart:.2g} apart; check its order"
                )
        return together

    @contextmanager
    def encoding_anew(self, texts_at_once: int) -> Iterator[None]:
        """Ask for everything again, keep nothing, and ask for at most so many texts at once."""
        previous = self._embeddings, self._at_once
        self._embeddings, self._at_once = forgetful(self), min(texts_at_once, self._at_once)
        try:
            yield
        finally:
            self._embeddings, self._at_once = previous

    def flush(self) -> None:
        """Write new vectors to the store."""
        self._embeddings.flush()


class OwnSearch(MtebSearcher):
    """An object that searches, as mteb calls it, for one measurement."""

    def __init__(self, handle: OwnObject, meta: Any, meter: Meter) -> None:
        super().__init__(meta, meter)
        self._handle = handle

    def take(self, corpus: Any, **context: Any) -> None:
        """Give the documents to the object."""
        ids, texts = corpus["id"][:], _texts(corpus, "document", context["task_metadata"])
        titles = corpus["title"][:] if "title" in corpus.column_names else [""] * len(ids)
        documents = [Document(*row) for row in zip(ids, texts, (title or "" for title in titles), strict=True)]
        self._handle.call("index", documents, parse=lambda _: None)

    def find(self, queries: Any, top_k: int, **context: Any) -> Rankings:
        """Return each query's documents with their scores."""
        ids, texts = queries["id"][:], _texts(queries, "query", context["task_metadata"])
        rankings: dict[str, dict[str, float]] = {}
        self.sample = take_sample(texts, "query")
        size = self._handle.spec.batch_size
        for start in range(0, len(ids), size):
            batch = texts[start : start + size]
            hits = self._handle.call("search", batch, top_k, parse=partial(read_hits, count=len(batch), k=top_k))
            rankings |= dict(zip(ids[start : start + size], hits, strict=True))
            self._meter.tell(f"searching, {min(start + size, len(ids))} of {len(ids)} queries")
        return rankings


def _texts(table: Any, role: str, task_metadata: Any) -> list[str]:
    """Return the texts of documents or queries as mteb gives them to a model that encodes."""
    from mteb.types import PromptType

    create: Any = find("mteb._create_dataloaders:create_dataloader")
    return read_texts(create(table, task_metadata=task_metadata, prompt_type=PromptType(role), batch_size=32))


class OwnReranker:
    """A `PairScorer` of an object, asked query by query; each distinct text of a query once."""

    def __init__(self, handle: OwnObject) -> None:
        self._handle = handle

    def score(self, pairs: Sequence[tuple[str, str]], *, meter: Meter | None = None, **_options: Any) -> Any:
        """Score pairs of a query and a document; shape (pairs,).

        Raises:
            ModelError: it did not give a score for each.
        """
        return score_by_query(pairs, self._ask, meter or Meter())

    def check(self) -> None:
        """Ask for a few scores.

        Raises:
            ModelError: it does not give them.
        """
        self._ask(CANARIES[0], list(CANARIES))

    def _ask(self, query: str, texts: list[str]) -> Any:
        size = self._handle.spec.batch_size
        blocks = [texts[start : start + size] for start in range(0, len(texts), size)]

        def score(block: list[str]) -> Any:
            return self._handle.call("rerank", query, block, parse=partial(read_scores, count=len(block)))

        return np.concatenate(list(map(score, blocks)))


class MtebOwn(MtebEncoder):
    """An object that encodes, as mteb calls it: what it puts before texts is not known."""

    @property
    def prompts(self) -> None:
        """None: an object does not say which prompts it uses."""


def open_python(model: Model, _device: str, store: Store) -> OpenModel | OpenReranker | OpenSearcher:
    """Make the object of a model, and ask it for a few texts.

    Raises:
        ModelError: it is not there, its code fails, or it gives what cannot be scored.
    """
    return open_own(model, find_object(model), identify(model, store), store)


def open_own(
    model: Model, handle: OwnObject, identity: ModelIdentity, store: Store
) -> OpenReranker | OpenModel | OpenSearcher:
    """Open an object by its handle, and ask it for a few texts.

    Raises:
        ModelError: its code fails, or it gives what cannot be scored.
    """
    meta = make_meta(make_empty_meta(), identity, model)
    if handle.provides == "encode":
        return _open_encoder(model, handle, identity, store)
    size = handle.spec.batch_size
    if handle.provides == "rerank":
        reranker = OwnReranker(handle)
        reranker.check()
        return OpenReranker(
            for_mteb=lambda meter: MtebReranker(reranker, meta, meter),
            identity=identity, settings=Settings(), device="cpu", batch_size=size,
        )  # fmt: skip
    parse = partial(read_hits, count=1, k=FIRST_PAGE)
    return OpenSearcher(
        for_mteb=lambda meter: OwnSearch(handle, meta, meter),
        identity=identity,
        settings=Settings(),
        device="cpu",
        batch_size=size,
        answer=lambda text, _: handle.call("search", [text], FIRST_PAGE, parse=parse),
    )


def _open_encoder(model: Model, handle: OwnObject, identity: ModelIdentity, store: Store) -> OpenModel:
    canaries = OwnEncoder(handle).check()
    space = {"fingerprint": identity.fingerprint, "object": handle.spec.object}
    embeddings = store.embeddings(
        space, name=identity.name, fingerprint=identity.fingerprint, canaries=canaries, within=TOLERANCE
    )
    encoder = OwnEncoder(handle, embeddings)
    served = Served(handle.spec.similarity, lambda meta: make_meta(meta, identity, model))
    prompting = Prompting()
    return OpenModel(
        for_mteb=lambda meter: MtebOwn(encoder, served, prompting, meter),
        encoder=encoder,
        prompting=prompting,
        identity=identity,
        settings=Settings(dimension=canaries.shape[1]),
        device="cpu",
        batch_size=handle.spec.batch_size,
        answer=lambda text, role: encoder.ask([text], role),
    )


def why_not(model: Model, task_type: str) -> str | None:
    """Return why an object cannot run tasks of a type: it is made for that, where its specification does not say."""
    return why_not_as(_provides(model), model, task_type)


def why_not_as(provides: Provides | None, model: Model, task_type: str) -> str | None:
    """Return why an object that provides this cannot run tasks of a type, None if it can."""
    match provides:
        case "search":
            return only_searches("an object that searches")(model, task_type)
        case "rerank":
            return only_reranks(model, task_type)
    return None


def _provides(model: Model) -> Provides | None:
    """Return what an object provides; None for one that cannot be made, which measuring reports."""
    try:
        return model.spec_of(PythonSpec).provides or find_object(model).provides
    except ModelError:
        return None


KIND = ModelKind(
    name="python",
    spec=PythonSpec,
    identify=identify,
    open=open_python,
    device=lambda _model, _device: "cpu",
    reads=lambda model: "pairs" if _provides(model) == "rerank" else "texts",
    why_not=why_not,
)
