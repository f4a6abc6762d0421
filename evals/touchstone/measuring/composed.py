"""Measure models that are made of others: pipelines, whose stages rerank, and hybrids, whose rankings are fused."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from touchstone import seams
from touchstone.errors import ModelError
from touchstone.measuring.case import OpenCase, Progress, evaluate, keep_result, measure_opened, rankings_key
from touchstone.models.base import Composed, OpenHybrid, OpenModel, OpenPipeline, OpenStage, make_meta
from touchstone.records.cases import Case
from touchstone.records.outcomes import OF_ANOTHER_COMPUTATION, ModelIdentity, Outcome, Stage
from touchstone.records.rankings import Ranking, decode_rankings, encode_rankings
from touchstone.store.folder import RANKINGS, Store
from touchstone.tasks.opening import OpenTask, open_task

if TYPE_CHECKING:
    from mteb.models import ModelMeta

    from touchstone.config.models import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranked:
    """Rankings of one model, its own or those of its members: the case as measured, and the seconds it took.

    ``is_cached``: its rankings were cached, and nothing was searched. ``reranks``: it only reranked what others found.
    """

    alias: str
    case: OpenCase
    phases: Mapping[str, float]
    before: "tuple[_Ranked, ...]" = ()
    is_cached: bool = False
    reranks: bool = False

    @property
    def stage(self) -> Stage:
        """The entry of this model in the record of a case."""
        outcome = self.case.outcome
        identity, measured = outcome.identity, outcome.measurement
        return Stage(
            alias=self.alias, model=identity.name, fingerprint=identity.fingerprint, metric=measured.metric,
            score=measured.score, reused=outcome.reused,
        )  # fmt: skip

    @property
    def all(self) -> "tuple[_Ranked, ...]":
        """Its members, in the order in which they were measured, and itself."""
        return (*(ranked for stage in self.before for ranked in stage.all), self)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One case of a model that is made of others, with its data open."""

    case: Case
    opened: OpenTask
    store: Store
    progress: Progress

    def rank(self, stage: OpenStage) -> _Ranked:
        """Return what a stage finds in the whole corpus: from the cache, or searched now."""
        key = rankings_key(self.case, self.opened, stage.identity, stage.device)
        content = self.store.get(RANKINGS, key)
        if content is not None:
            # Once a process of this run has forgotten the model, what is there was found since.
            reused = not self.store.has_forgotten(stage.identity.fingerprint)
            return self._score_cached(stage, decode_rankings(content), reused=reused)
        self.progress(f"loading {stage.model.alias}")
        started = time.perf_counter()
        model = stage.open()
        loaded = time.perf_counter() - started
        if isinstance(model, OpenPipeline | OpenHybrid):
            ranked = self.compose(model)
        else:
            measured = measure_opened(self.case, self.opened, model, self.progress)
            ranked = _Ranked(alias=stage.model.alias, case=measured, phases=measured.outcome.phases)
        self.opened.check_unchanged()
        self.store.put(RANKINGS, key, partial(encode_rankings, ranked.case.rankings))
        return replace(ranked, phases=_add(ranked.phases, {"model": loaded}))

    def compose(self, model: Composed) -> _Ranked:
        """Return the rankings of a pipeline or a hybrid."""
        ranked = self._pipe(model) if isinstance(model, OpenPipeline) else self._fuse(model)
        for member in ranked.all[:-1]:
            self.store.depend(model.identity.fingerprint, on=member.case.outcome.identity.fingerprint)
        return ranked

    def _pipe(self, model: OpenPipeline) -> _Ranked:
        """Let each model rerank the best documents of the one before it."""
        _refuse_depth(self.opened, model)
        members = [self.rank(model.stages[0])]
        for stage, depth in zip(model.stages[1:], model.depths, strict=True):
            self.progress(f"loading {stage.model.alias}")
            started = time.perf_counter()
            reranker: Any = stage.open()
            loaded = time.perf_counter() - started
            with _candidates_of(self.opened, members[-1].case, depth, corpus_too=isinstance(reranker, OpenModel)):
                case = measure_opened(self.case, self.opened, reranker, self.progress)
            phases = _add(case.outcome.phases, {"model": loaded})
            members.append(_Ranked(alias=stage.model.alias, case=case, phases=phases, reranks=True))
        last = members[-1].case
        measurement = replace(last.outcome.measurement, fingerprint=model.identity.fingerprint)
        outcome = replace(last.outcome, identity=model.identity, measurement=measurement)
        composed = replace(last, outcome=outcome, meta=make_meta(last.meta, model.identity, model.model))
        return _Ranked(alias=model.model.alias, case=composed, phases={}, before=tuple(members))

    def _fuse(self, model: OpenHybrid) -> _Ranked:
        """Fuse the rankings of several models."""
        members = [self.rank(stage) for stage in model.stages]
        started = time.perf_counter()
        depths = {part.metadata.name: seams.top_k_of(part) for part in self.opened.parts}
        by_key: dict[tuple[str, str, str], list[Ranking]] = {}
        for ranking in (ranking for member in members for ranking in member.case.rankings):
            by_key.setdefault((ranking.task, ranking.split, ranking.subset), []).append(ranking)
        fused = [_fuse(rankings, model, depths[task]) for (task, _, _), rankings in by_key.items()]
        case = self._evaluate(fused, model.identity, model.model)
        outcome = replace(case.outcome, device=members[0].case.outcome.device)
        spent = {"score": time.perf_counter() - started}
        return _Ranked(
            alias=model.model.alias, case=replace(case, outcome=outcome), phases=spent, before=tuple(members)
        )

    def _score_cached(self, stage: OpenStage, rankings: Sequence[Ranking], *, reused: bool) -> _Ranked:
        """Let mteb score cached rankings anew: no score is taken from a file."""
        started = time.perf_counter()
        case = self._evaluate(rankings, stage.identity, stage.model)
        outcome = replace(case.outcome, device=stage.device, reused=reused)
        spent = {"score": time.perf_counter() - started}
        return _Ranked(alias=stage.model.alias, case=replace(case, outcome=outcome), phases=spent, is_cached=True)

    def _evaluate(self, rankings: Sequence[Ranking], identity: ModelIdentity, model: "Model") -> OpenCase:
        """Let mteb score rankings as those of a model."""
        from mteb.models import ModelMeta

        meta = ModelMeta.create_empty({"name": identity.name, "revision": identity.revision})
        return score_rankings(self.case, self.opened, rankings, identity, make_meta(meta, identity, model))


def score_rankings(
    case: Case, opened: OpenTask, rankings: Sequence[Ranking], identity: ModelIdentity, meta: "ModelMeta"
) -> OpenCase:
    """Let mteb score rankings of a model; nothing is searched."""
    evaluated = evaluate(case, opened, _StoredSearch(rankings, meta), {})
    measurement = replace(
        evaluated.measurement,
        limit=case.limit,
        dataset_revision=opened.dataset_revision,
        data_sha256=opened.data_sha256,
        fingerprint=identity.fingerprint,
    )
    return OpenCase(
        outcome=Outcome(identity=identity, measurement=measurement, device="", texts=0, encoded=0),
        samples=evaluated.samples,
        predicted=evaluated.predicted,
        result=evaluated.result,
        meta=meta,
        rankings=tuple(rankings),
    )


@contextmanager
def measure_composed(case: Case, model: Composed, store: Store, progress: Progress) -> Iterator[OpenCase]:
    """Run one case of a pipeline or a hybrid, all models on the same data, which stays open as long as the context.

    Args:
        case: what to run.
        model: the pipeline or hybrid.
        store: keeps what each model found, for every later one that is made of it, and the results in mteb's layout.
        progress: told, in a few words, what is being done.

    Raises:
        TouchstoneError: it could not be measured; the reason is the user's to fix.
    """
    started = time.perf_counter()
    progress("reading data")
    with seams.columns_read_once(), open_task(case.task, case.source, store, limit=case.limit) as opened:
        loaded = time.perf_counter() - started
        ranked = _Run(case=case, opened=opened, store=store, progress=progress).compose(model)
        opened.check_unchanged()
        model.check_unchanged()
        outcomes = [member.case.outcome for member in ranked.all if member.is_cached]
        if any(outcome.reused and store.has_forgotten(outcome.identity.fingerprint) for outcome in outcomes):
            raise ModelError(OF_ANOTHER_COMPUTATION)
        if case.limit is None:
            _keep_results(case, ranked, store)
        store.put(
            RANKINGS,
            rankings_key(case, opened, model.identity, ranked.case.outcome.device),
            partial(encode_rankings, ranked.case.rankings),
        )
        yield replace(ranked.case, outcome=_of_all(ranked, loaded))


def _of_all(ranked: _Ranked, loaded: float) -> Outcome:
    """Return the outcome of a pipeline or a hybrid, with the phases and texts of all its members."""
    *before, top = ranked.all
    outcomes = [member.case.outcome for member in before]
    encoded = [outcome.encoded for outcome in outcomes]
    phases = _add(dict.fromkeys(("model", "encode", "rerank", "score"), 0.0), *(member.phases for member in ranked.all))
    return replace(
        top.case.outcome,
        phases={"data": loaded, **phases},
        texts=sum(outcome.texts for outcome in outcomes),
        encoded=None if None in encoded else sum(map(int, filter(None, encoded))),
        stages=tuple(member.stage for member in ranked.before),
    )


def _add(*phases: Mapping[str, float]) -> dict[str, float]:
    return {name: sum(mapping.get(name, 0.0) for mapping in phases) for part in phases for name in part}


def _refuse_depth(opened: OpenTask, model: OpenPipeline) -> None:
    for part in opened.parts:
        limit = seams.top_k_of(part)
        if model.depths[0] > limit:
            raise ModelError(
                f"{model.model.alias}: top_k = {model.depths[0]}, but mteb keeps at most {limit} documents for a query "
                f"of {part.metadata.name}"
            )


class _StoredSearch:
    """A search for mteb that returns stored rankings."""

    def __init__(self, rankings: Sequence[Ranking], meta: "ModelMeta") -> None:
        self.mteb_model_meta = meta
        self._rankings = {(ranking.task, ranking.split, ranking.subset): ranking for ranking in rankings}

    def index(self, corpus: Any, **_: Any) -> None:
        """Ignore the corpus: the rankings are there already."""

    def search(
        self, queries: Any, *, task_metadata: Any, hf_split: str, hf_subset: str, **_: Any
    ) -> dict[str, dict[str, float]]:
        """Return the documents found for each query, with their scores."""
        by_query = self._rankings[task_metadata.name, hf_split, hf_subset].results()
        return {query: by_query[query] for query in queries["id"]}


@contextmanager
def _candidates_of(opened: OpenTask, retrieved: OpenCase, top_k: int, *, corpus_too: bool) -> Iterator[None]:
    """Give a reranker the best documents of a search as its candidates, as long as the context.

    As `mteb.AbsTaskRetrieval.convert_to_reranking` does with predictions that it reads from a file. With
    ``corpus_too`` the corpus is cut to the candidates: mteb lets an encoder encode all of it.
    """
    parts: dict[str, Any] = {part.metadata.name: part for part in opened.parts}
    if not retrieved.rankings:
        raise ModelError(f"{', '.join(parts)}: its class does not tell what was found, so nothing can be reranked")
    undo: list[Callable[[], None]] = []
    for ranking in retrieved.rankings:
        part = parts[ranking.task]
        data = part.dataset[ranking.subset][ranking.split]
        meta = retrieved.meta
        undo += [partial(data.update, dict(data)), seams.rerank_of(part, top_k, meta.name, meta.revision)]
        best = ranking.best(top_k)
        data["top_ranked"] = best
        if corpus_too:
            data["corpus"] = _only(data["corpus"], {document for documents in best.values() for document in documents})
    try:
        yield
    finally:
        for restore in reversed(undo):
            restore()


def _only(corpus: Any, names: set[str]) -> Any:
    ids = corpus["id"][:]
    return corpus.select([place for place, name in enumerate(ids) if name in names])


def _fuse(rankings: Sequence[Ranking], model: OpenHybrid, top_k: int) -> Ranking:
    """Fuse the rankings of several models for the same queries; of equal scores, the last by its id comes first."""
    first = rankings[0]
    all_scores = [ranking.results() for ranking in rankings]
    tops = [None if model.depth is None else ranking.best(model.depth) for ranking in rankings]
    fused: dict[str, dict[str, float]] = {}
    for query in first.queries:
        scored = [
            scores.get(query, {}) if top is None else {name: scores[query][name] for name in top.get(query, ())}
            for scores, top in zip(all_scores, tops, strict=True)
        ]
        ranked = sorted(model.fuse(scored).items(), key=lambda pair: (pair[1], pair[0]), reverse=True)
        fused[query] = dict(ranked[:top_k])
    return Ranking.take(first.task, first.split, first.subset, fused)


def _keep_results(case: Case, ranked: _Ranked, store: Store) -> None:
    """Write all results in mteb's layout, each under its own name; what only reranks has none alone."""
    for member in ranked.all:
        if not member.reranks:
            keep_result(member.case.result, member.case.meta, store)
    for number, member in enumerate(ranked.before if case.stage_folders else (), 1):
        keep_result(member.case.result, member.case.meta, store, folder=f"stage{number}")
