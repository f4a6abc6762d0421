"""Measure a case in parts of its corpus: each is encoded and searched by itself, and what they found is put together.

A document's score for a query does not depend on other documents, so the best of all are among the best of each part.
Which part a document belongs to follows from a hash of its text: texts that occur twice are encoded once.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from touchstone import seams
from touchstone.encoding.meter import Meter
from touchstone.errors import ModelError, TouchstoneError
from touchstone.files.validation import check_json
from touchstone.files.writing import to_json
from touchstone.measuring.case import OpenCase, Progress, keep_result, measure_opened, rankings_key
from touchstone.measuring.composed import score_rankings
from touchstone.measuring.search import first, in_order
from touchstone.models.base import MTEB_PREFIX, Opened, OpenModel
from touchstone.records.cases import Case
from touchstone.records.outcomes import Outcome
from touchstone.records.rankings import Ranking, decode_rankings, encode_rankings
from touchstone.store.folder import OUTCOMES, RANKINGS, Store
from touchstone.task_types.corpora import hash_text
from touchstone.tasks.opening import OpenTask, open_task

# Rows of a corpus that are read at once to be hashed.
ROWS_PER_READ = 10_000
# A corpus with fewer documents than so many for each part is searched as a whole by each of them.
MIN_DOCUMENTS_PER_PART = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Part ``number`` of ``of``, from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


class UnfinishedError(TouchstoneError):
    """A case has parts that nobody has measured yet, or that lie in another store."""


def measure_part(case: Case, model: Opened, part: Part, store: Store, progress: Progress) -> None:
    """Encode and search one part of a case's corpus, and write the rankings to the store.

    Raises:
        TouchstoneError: it could not be measured, or cannot be in parts.
    """
    model = _need_vectors(model)
    progress("reading data")
    with seams.columns_read_once(), open_task(case.task, case.source, store, limit=case.limit) as opened:
        key = _key(case, opened, model, part)
        if store.get(RANKINGS, key) is not None and store.get(OUTCOMES, key) is not None:
            return
        with _only(opened, part):
            measured = measure_opened(case, opened, model, progress)
        opened.check_unchanged()
        store.put(RANKINGS, key, partial(encode_rankings, measured.rankings))
        store.put(OUTCOMES, key, to_json(asdict(measured.outcome)).encode())


@contextmanager
def put_together(case: Case, model: Opened, of: int, store: Store, progress: Progress) -> Iterator[OpenCase]:
    """Score what all parts of a case's corpus found; its data stays open as long as the context.

    Args:
        case: what is measured.
        model: the loaded model.
        of: how many parts there are.
        store: has what they found, and keeps the result in mteb's layout.
        progress: told, in a few words, what is being done.

    Raises:
        UnfinishedError: a part is not in the store.
        TouchstoneError: it could not be measured.
    """
    model = _need_vectors(model)
    started = time.perf_counter()
    progress("reading data")
    with seams.columns_read_once(), open_task(case.task, case.source, store, limit=case.limit) as opened:
        parts = [Part(number=number, of=of) for number in range(1, of + 1)]
        outcomes = [_read_outcome(store, _key(case, opened, model, part)) for part in parts]
        if missing := [str(part) for part, outcome in zip(parts, outcomes, strict=True) if outcome is None]:
            raise UnfinishedError(f"parts {', '.join(missing)} of its corpus are not in {store.folder} yet")
        by_key = _read_rankings(store, [_key(case, opened, model, part) for part in parts])
        progress("putting parts together")
        depths = {part.metadata.name: seams.top_k_of(part) for part in opened.parts}
        rankings = [merge_rankings(rankings, depths[rankings[0].task]) for rankings in by_key.values()]
        measured = score_rankings(case, opened, rankings, model.identity, _meta_of(model))
        opened.check_unchanged()
        model.check_unchanged()
        if case.limit is None:
            keep_result(measured.result, measured.meta, store)
        store.put(
            RANKINGS, rankings_key(case, opened, model.identity, model.device), partial(encode_rankings, rankings)
        )
        part_outcomes = [outcome for outcome in outcomes if outcome is not None]
        spent = {name: sum(part.phases.get(name, 0.0) for part in part_outcomes) for name in part_outcomes[0].phases}
        loaded = time.perf_counter() - started
        phases = {"data": loaded, **spent}
        yield replace(measured, outcome=_sum_up(measured.outcome, part_outcomes, rankings, model, phases))


def merge_rankings(parts: Sequence[Ranking], depth: int) -> Ranking:
    """Return the best documents of each query among those that the parts of a corpus found.

    Of equal scores the last by its id comes first, as in a search of the whole.

    Args:
        parts: of one task, split and subset, each with the same queries in the same order and with equally many
            documents for each; a document is in one of them, or all are the same.
        depth: how many documents to keep.

    Raises:
        ModelError: the queries differ.
    """
    import torch

    head = parts[0]
    if any(list(part.queries) != list(head.queries) for part in parts[1:]):
        raise ModelError(f"the parts of {head.task} are of other queries; measure them again")
    if len(parts) > 1 and set(_document_names(parts[0])) & set(_document_names(parts[1])):  # too small to be divided
        return head
    used_names = [_document_names(part) for part in parts]
    names = [name for part_names in used_names for name in part_names]
    order = in_order(names)
    places = np.empty(len(names), np.int32)
    places[order] = np.arange(len(names), dtype=np.int32)
    ends = np.cumsum([0, *map(len, used_names)])
    triples = zip(parts, used_names, ends[:-1], strict=True)
    tables = [_table(part, part_names, places[end:]) for part, part_names, end in triples]
    scores, documents = (np.concatenate(side, axis=1) for side in zip(*tables, strict=True))
    count = min(depth, scores.shape[1])
    top_scores, top_documents = first(torch.as_tensor(scores), torch.as_tensor(documents), count)
    return replace(
        head,
        counts=np.full(len(head.queries), count, dtype=np.int64),
        names=[names[number] for number in order],
        documents=top_documents.reshape(-1),
        scores=top_scores.reshape(-1),
    )


def _document_names(ranking: Ranking) -> list[str]:
    return [ranking.names[number] for number in np.unique(ranking.documents)]


def _table(part: Ranking, names: Sequence[str], places: NDArray[np.int32]) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Return the scores and the places of a part's documents, a row for each query."""
    if len(set(part.counts.tolist())) > 1:
        raise ModelError(f"a part of {part.task} has not as many documents for each query; measure it again")
    numbers = np.searchsorted(np.unique(part.documents), part.documents)
    shape = len(part.queries), -1
    return part.scores.reshape(shape), places[: len(names)][numbers].reshape(shape).astype(np.int32)


def _need_vectors(model: Opened) -> OpenModel:
    if isinstance(model, OpenModel) and not str(model.quantize or "").startswith(MTEB_PREFIX):
        return model
    raise ModelError("its corpus cannot be searched in parts: scores depend on all of it; raise --split-texts")


def _key(case: Case, opened: OpenTask, model: OpenModel, part: Part) -> dict[str, Any]:
    return {**rankings_key(case, opened, model.identity, model.device), "part": [part.number, part.of]}


def _read_outcome(store: Store, key: dict[str, Any]) -> Outcome | None:
    content = store.get(OUTCOMES, key)
    return None if content is None else check_json(Outcome, content, "", TouchstoneError)


def _read_rankings(store: Store, keys: Sequence[dict[str, Any]]) -> dict[tuple[str, str, str], list[Ranking]]:
    by_key: dict[tuple[str, str, str], list[Ranking]] = {}
    for key in keys:
        content = store.get(RANKINGS, key)
        if content is None:
            raise UnfinishedError(f"part {key['part'][0]} of its corpus went from {store.folder} meanwhile; run again")
        for ranking in decode_rankings(content):
            by_key.setdefault((ranking.task, ranking.split, ranking.subset), []).append(ranking)
    return by_key


def _meta_of(model: OpenModel) -> Any:
    return model.for_mteb(Meter(lambda _: None)).mteb_model_meta


def _sum_up(
    outcome: Outcome, parts: Sequence[Outcome], rankings: Sequence[Ranking], model: OpenModel, phases: dict[str, float]
) -> Outcome:
    """Return an outcome with the phases and texts of all parts; each encoded the queries, which count once."""
    repeated = (len(parts) - 1) * sum(len(ranking.queries) for ranking in rankings)
    texts = max(0, sum(part.texts for part in parts) - repeated)
    encoded = [part.encoded for part in parts]
    return replace(
        outcome,
        measurement=replace(outcome.measurement, settings=model.settings),
        device=model.device,
        phases={**phases, "score": phases.get("score", 0.0) + outcome.phases.get("score", 0.0)},
        texts=texts,
        encoded=None if None in encoded else min(texts, sum(map(int, filter(None, encoded)))),
        prompts=parts[0].prompts,
    )


@contextmanager
def _only(opened: OpenTask, part: Part) -> Iterator[None]:
    """Leave of each corpus the documents of one part, as long as the context."""
    undo: list[tuple[dict[str, Any], Any]] = []
    for task in opened.parts:
        for by_split in getattr(task, "dataset", {}).values():
            for data in by_split.values():
                corpus = data["corpus"]
                rows = _rows(corpus, part, task.metadata.name)
                if rows is not None:
                    undo.append((data, corpus))
                    data["corpus"] = corpus.select(rows)
    try:
        yield
    finally:
        for data, corpus in undo:
            data["corpus"] = corpus


def _rows(corpus: Any, part: Part, name: str) -> NDArray[np.int64] | None:
    """Return the rows of one part; None for all of a corpus that is too small to be divided.

    Raises:
        ModelError: two documents have one id, so that nobody knows which of them is meant.
    """
    if len(corpus) < MIN_DOCUMENTS_PER_PART * part.of:
        return None
    texts, ids = np.empty(len(corpus), np.uint64), np.empty(len(corpus), np.uint64)
    for start in range(0, len(corpus), ROWS_PER_READ):
        block = corpus[start : start + ROWS_PER_READ]
        titles = block.get("title") or [""] * len(block["id"])
        rows = slice(start, start + len(block["id"]))
        texts[rows] = [hash_text(f"{title or ''}\0{text}") for title, text in zip(titles, block["text"], strict=True)]
        ids[rows] = [hash_text(id_) for id_ in block["id"]]
    if len(np.unique(ids)) < len(ids):
        raise ModelError(f"{name} has two documents with one id, and cannot be searched in parts; raise --split-texts")
    return np.flatnonzero(texts % np.uint64(part.of) == part.number - 1)
