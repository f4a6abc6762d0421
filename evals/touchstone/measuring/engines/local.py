"""Where cases run: here, one after the other, with one model in memory."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

from touchstone.config.models import Model
from touchstone.config.specs import PipelineSpec
from touchstone.errors import TouchstoneError
from touchstone.measuring.case import OpenCase, Progress, measure
from touchstone.measuring.pipeline import OpenPipeline, measure_pipeline
from touchstone.models.base import OpenModel, OpenReranker
from touchstone.models.devices import device_of
from touchstone.models.identity import identify
from touchstone.models.kinds import open_model, open_reranker
from touchstone.records.cases import Case
from touchstone.store.folder import Store

AnyModel = OpenModel | OpenReranker | OpenPipeline


class LocalEngine:
    """Runs cases in this process. The model of the last case, or a pipeline's two, stay loaded for the next.

    Args:
        models: by alias, what cases may name.
        device: auto, cpu, cuda, cuda:N or mps.
        store: the store folder.
    """

    def __init__(self, models: Mapping[str, Model], device: str, store: Store) -> None:
        self._models = models
        self._device = device
        self._store = store
        self._open: dict[str, AnyModel] = {}
        self._broken: dict[str, TouchstoneError] = {}

    @contextmanager
    def measure(self, case: Case, progress: Progress) -> Iterator[OpenCase]:
        """Run one case; its data stays open as long as the context.

        Raises:
            TouchstoneError: it could not be measured.
        """
        started = time.perf_counter()
        model = self._get(case.alias, progress)
        loaded = time.perf_counter() - started
        run = (
            measure_pipeline(case, model, self._store, progress)
            if isinstance(model, OpenPipeline)
            else measure(case, model, self._store, progress)
        )
        with run as opened:
            phases = opened.outcome.phases
            loaded += phases.get("model", 0.0)  # a pipeline loads its retriever where it must
            outcome = replace(opened.outcome, phases={"model": loaded} | {**phases, "model": loaded})
            yield replace(opened, outcome=outcome)

    def _get(self, alias: str, progress: Progress) -> AnyModel:
        if alias in self._broken:
            raise self._broken[alias]  # loading it again would take as long and fail the same way
        if alias not in self._open:
            progress("loading the model")
            self._open.clear()
            try:
                self._open[alias] = self._load(self._models[alias])
            except TouchstoneError as error:
                self._broken[alias] = error
                raise
        return self._open[alias]

    def _load(self, model: Model) -> AnyModel:
        if isinstance(model.spec, PipelineSpec):
            return self._load_pipeline(model, model.spec)
        if model.spec.reranks:
            return open_reranker(model, self._device, self._store)
        return open_model(model, self._device, self._store)

    def _load_pipeline(self, model: Model, spec: PipelineSpec) -> OpenPipeline:
        retriever, reranker = model.stages
        return OpenPipeline(
            identity=identify(model, self._store),
            models=(model, retriever, reranker),
            retriever=identify(retriever, self._store),
            retriever_device=device_of(retriever, self._device),
            open_retriever=cache(lambda: open_model(retriever, self._device, self._store)),
            reranker=open_reranker(reranker, self._device, self._store),
            top_k=spec.top_k,
        )
