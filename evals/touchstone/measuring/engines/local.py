"""Where cases run: here, one after the other, with one model in memory."""

import time
from collections.abc import Mapping
from dataclasses import replace

from touchstone.config.models import Model
from touchstone.errors import TouchstoneError
from touchstone.measuring.case import Progress, measure
from touchstone.measuring.pipeline import measure_pipeline
from touchstone.models import kinds
from touchstone.models.base import Opened, OpenPipeline
from touchstone.records.cases import Case
from touchstone.records.outcomes import Outcome
from touchstone.records.samples import Samples
from touchstone.store.folder import Store


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
        self._open: dict[str, Opened] = {}
        self._broken: dict[str, TouchstoneError] = {}

    def measure(self, case: Case, progress: Progress, reference: Samples | None = None) -> Outcome:
        """Run one case; ``reference`` as for `touchstone.measuring.case.measure`.

        Raises:
            TouchstoneError: it could not be measured.
        """
        started = time.perf_counter()
        model = self._get(case.alias, progress)
        loaded = time.perf_counter() - started
        if isinstance(model, OpenPipeline):
            outcome = measure_pipeline(case, model, self._store, progress, reference)
        else:
            outcome = measure(case, model, self._store, progress, reference)
        loaded += outcome.phases.get("model", 0.0)  # a pipeline loads its retriever where it must
        return replace(outcome, phases={"model": loaded} | {**outcome.phases, "model": loaded})

    def _get(self, alias: str, progress: Progress) -> Opened:
        if alias in self._broken:
            raise self._broken[alias]  # loading it again would take as long and fail the same way
        if alias not in self._open:
            progress("loading the model")
            self._open.clear()
            try:
                self._open[alias] = kinds.open_model(self._models[alias], self._device, self._store)
            except TouchstoneError as error:
                self._broken[alias] = error
                raise
        return self._open[alias]
