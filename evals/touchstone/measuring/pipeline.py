"""Measure a pipeline: a retriever's best documents, put in order by a reranker."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from touchstone import seams
from touchstone.errors import ModelError
from touchstone.measuring.case import OpenCase, Progress, evaluate, keep_result, measure_opened, rankings_key
from touchstone.models.base import OpenPipeline, make_meta
from touchstone.records.cases import Case
from touchstone.records.outcomes import OF_ANOTHER_COMPUTATION, Measurement, ModelIdentity, Outcome, Stage
from touchstone.records.rankings import Ranking, decode_rankings, encode_rankings
from touchstone.store.folder import RANKINGS, Store
from touchstone.tasks.opening import OpenTask, open_task

if TYPE_CHECKING:
    from mteb.models import ModelMeta
    from mteb.results import TaskResult


STAGES = ("stage1", "stage2")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Retrieved:
    """What the first stage gave: its score and result, the documents found, and what it took."""

    stage: Stage
    result: "TaskResult"
    meta: "ModelMeta"
    rankings: Sequence[Ranking]
    texts: int
    encoded: int | None
    phases: dict[str, float]


@contextmanager
def measure_pipeline(case: Case, model: OpenPipeline, store: Store, progress: Progress) -> Iterator[OpenCase]:
    """Run one case of a pipeline, both models on the same data, which stays open as long as the context.

    Args:
        case: what to run.
        model: the pipeline.
        store: keeps what the retriever found, for every later pipeline with it, and the results in mteb's layout.
        progress: told, in a few words, what is being done.

    Raises:
        TouchstoneError: it could not be measured; the reason is the user's to fix.
    """
    started = time.perf_counter()
    progress("reading data")
    with seams.columns_read_once(), open_task(case.task, case.source, store, limit=case.limit) as opened:
        loaded = time.perf_counter() - started
        _refuse_more_than_is_retrieved(opened, model)
        first = _retrieve(case, opened, model, store, progress)
        _offer(opened, first, model.top_k)
        second = measure_opened(case, opened, model.reranker, progress)
        opened.check_unchanged()
        if first.stage.reused and store.has_forgotten(model.retriever.fingerprint):
            raise ModelError(OF_ANOTHER_COMPUTATION)
        store.depend(model.identity.fingerprint, on=model.retriever.fingerprint)
        if case.limit is None:
            _keep_results(case, model, first, second, store)
        yield replace(second, outcome=_of_both(model, first, second.outcome, loaded))


def _of_both(model: OpenPipeline, first: _Retrieved, second: Outcome, loaded: float) -> Outcome:
    """Return the outcome of the reranker as the pipeline's."""
    _, _, reranker = model.models
    phases = {name: first.phases.get(name, 0.0) + second.phases.get(name, 0.0)
              for name in ("model", "encode", "rerank", "score")}  # fmt: skip
    last = _stage(reranker.alias, second.identity, second.measurement)
    known = first.encoded is not None and second.encoded is not None
    return replace(
        second,
        identity=model.identity,
        measurement=replace(second.measurement, fingerprint=model.identity.fingerprint),
        phases={"data": loaded, **phases},
        texts=first.texts + second.texts,
        encoded=(first.encoded or 0) + (second.encoded or 0) if known else None,
        stages=(first.stage, last),
    )


def _refuse_more_than_is_retrieved(opened: OpenTask, model: OpenPipeline) -> None:
    for part in opened.parts:
        most = seams.top_k_of(part)
        if model.top_k > most:
            raise ModelError(
                f"{model.models[0].alias}: top_k = {model.top_k}, but mteb keeps at most {most} documents for a query "
                f"of {part.metadata.name}"
            )


def _retrieve(case: Case, opened: OpenTask, model: OpenPipeline, store: Store, progress: Progress) -> _Retrieved:
    """Return what the retriever finds: what it found before on the same data, or anew."""
    key = rankings_key(case, opened, model.retriever, model.retriever_device)
    known = store.get(RANKINGS, key)
    if known is not None:
        # Once a process of this run has forgotten the model, what is there was found since.
        reused = not store.has_forgotten(model.retriever.fingerprint)
        return _score_again(case, opened, model, decode_rankings(known), reused=reused)
    progress("loading the retriever")
    started = time.perf_counter()
    retriever = model.open_retriever()
    loaded = time.perf_counter() - started
    measured = measure_opened(case, opened, retriever, progress)
    opened.check_unchanged()
    store.put(RANKINGS, key, partial(encode_rankings, measured.rankings))
    outcome = measured.outcome
    return _Retrieved(
        stage=_stage(model.models[1].alias, model.retriever, outcome.measurement),
        result=measured.result,
        meta=measured.meta,
        rankings=measured.rankings,
        texts=outcome.texts,
        encoded=outcome.encoded,
        phases={"model": loaded, **outcome.phases},
    )


def _score_again(
    case: Case, opened: OpenTask, model: OpenPipeline, rankings: Sequence[Ranking], *, reused: bool
) -> _Retrieved:
    """Let mteb score what was found before, as if it were found now: no score is taken from a file."""
    from mteb.models import ModelMeta

    started = time.perf_counter()
    _, retriever, _ = model.models
    named = ModelMeta.create_empty({"name": model.retriever.name, "revision": model.retriever.revision})
    meta = make_meta(named, model.retriever, retriever)
    evaluated = evaluate(case, opened, _Found(rankings, meta), {})
    return _Retrieved(
        stage=replace(_stage(retriever.alias, model.retriever, evaluated.measurement), reused=reused),
        result=evaluated.result,
        meta=meta,
        rankings=rankings,
        texts=0,
        encoded=0,
        phases={"score": time.perf_counter() - started},
    )


def _stage(alias: str, who: ModelIdentity, measured: Measurement) -> Stage:
    return Stage(alias=alias, model=who.name, fingerprint=who.fingerprint, metric=measured.metric, score=measured.score)


class _Found:
    """Stands in for a search of mteb's, and gives what another one found."""

    def __init__(self, rankings: Sequence[Ranking], meta: "ModelMeta") -> None:
        self.mteb_model_meta = meta
        self._rankings = {(ranking.task, ranking.split, ranking.subset): ranking for ranking in rankings}

    def index(self, corpus: Any, **_: Any) -> None:
        """Take the documents that there are: they are not needed."""

    def search(
        self, queries: Any, *, task_metadata: Any, hf_split: str, hf_subset: str, **_: Any
    ) -> dict[str, dict[str, float]]:
        """Return the documents found for each query, with their scores."""
        found = self._rankings[task_metadata.name, hf_split, hf_subset].found()
        return {query: found[query] for query in queries["id"]}


def _offer(opened: OpenTask, first: _Retrieved, top_k: int) -> None:
    """Make the first stage's best documents the candidates that the second is given.

    As `mteb.AbsTaskRetrieval.convert_to_reranking` does with predictions that it reads from a file.
    """
    parts: dict[str, Any] = {part.metadata.name: part for part in opened.parts}
    if not first.rankings:
        raise ModelError(f"{', '.join(parts)}: its class does not tell what was found, so nothing can be reranked")
    for ranking in first.rankings:
        part = parts[ranking.task]
        part.dataset[ranking.subset][ranking.split]["top_ranked"] = ranking.best(top_k)
        seams.rerank_of(part, top_k, first.meta.name, first.meta.revision)


def _keep_results(case: Case, model: OpenPipeline, first: _Retrieved, second: OpenCase, store: Store) -> None:
    """Write both results in mteb's layout, each under its own name."""
    meta: Any = first.meta
    keep_result(first.result, meta, store)
    pipeline = make_meta(second.meta, model.identity, model.models[0])
    keep_result(second.result, pipeline, store)
    if case.stage_folders:
        for inside, result, its_meta in zip(STAGES, (first.result, second.result), (meta, second.meta), strict=True):
            keep_result(result, its_meta, store, inside=inside)
