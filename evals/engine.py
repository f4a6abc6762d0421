"""Where cases run: here, one after the other, with one model in memory."""

import time
from collections.abc import Mapping
from dataclasses import replace

from evals.config import Model
from evals.errors import EvalsError
from evals.models import OpenModel, open_model
from evals.records import Case, Outcome
from evals.runner import Progress, measure
from evals.samples import Samples
from evals.store import Store


class LocalEngine:
    """Runs cases in this process. The model of the last case stays loaded for the next.

    Args:
        models: by alias, what cases may name.
        device: auto, cpu, cuda, cuda:N or mps.
        store: the store folder.
    """

    def __init__(self, models: Mapping[str, Model], device: str, store: Store) -> None:
        self._models = models
        self._device = device
        self._store = store
        self._open: dict[str, OpenModel] = {}
        self._broken: dict[str, EvalsError] = {}

    def measure(self, case: Case, progress: Progress, reference: Samples | None = None) -> Outcome:
        """Run one case; ``reference`` as for `evals.runner.measure`.

        Raises:
            EvalsError: it could not be measured.
        """
        started = time.perf_counter()
        model = self._get(case.alias, progress)
        loaded = time.perf_counter() - started
        outcome = measure(case, model, self._store, progress, reference)
        return replace(outcome, phases={"model": loaded, **outcome.phases})

    def _get(self, alias: str, progress: Progress) -> OpenModel:
        if alias in self._broken:
            raise self._broken[alias]  # loading it again would take as long and fail the same way
        if alias not in self._open:
            progress("loading the model")
            self._open.clear()
            try:
                self._open[alias] = open_model(self._models[alias], self._device, self._store)
            except EvalsError as error:
                self._broken[alias] = error
                raise
        return self._open[alias]
