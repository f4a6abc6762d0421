"""Where cases run: here, one after the other, with one model in memory."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from touchstone.config.models import Model
from touchstone.environment import describe_memory
from touchstone.errors import ModelError, MovedError, TouchstoneError, find_no_memory, first_line
from touchstone.measuring.case import OpenCase, Progress, measure
from touchstone.measuring.composed import measure_composed
from touchstone.measuring.parts import Part, measure_part, put_together
from touchstone.measuring.speed import Latency, make_speed, measure_latency
from touchstone.models import kinds
from touchstone.models.base import Opened, OpenHybrid, OpenPipeline, OpenReranker
from touchstone.models.weights.devices import describe_machine
from touchstone.records.cases import Case
from touchstone.records.outcomes import Speed
from touchstone.retrying import may_pass
from touchstone.store.folder import Store


class LocalEngine:
    """Runs cases in this process. The model of the last case, with those that it is made of, stays loaded for the next.

    Args:
        models: by alias, what cases may name.
        device: auto, cpu, cuda, cuda:N or mps.
        store: the store folder.
        workers: processes that run cases beside each other, this one among them.
    """

    def __init__(self, models: Mapping[str, Model], device: str, store: Store, *, workers: int = 1) -> None:
        self._models = models
        self._device = device
        self._store = store
        self._workers = workers
        self._timed_aliases: set[str] = set()
        self._open: dict[str, Opened] = {}
        self._load_errors: dict[str, TouchstoneError] = {}

    @contextmanager
    def measure(self, case: Case, progress: Progress, *, parts: int = 1) -> Iterator[OpenCase]:
        """Run one case; its data stays open as long as the context.

        Args:
            case: what to run.
            progress: told, in a few words, what is being done.
            parts: into how many its corpus is divided: with more than one, all were measured before.

        Raises:
            TouchstoneError: it could not be measured.
        """
        with self._refuse_no_memory():
            yield from self._measure(case, progress, parts)

    def measure_part(self, case: Case, part: Part, progress: Progress) -> None:
        """Encode and search a part of a case's corpus, and keep in the store what was found.

        Raises:
            TouchstoneError: it could not be measured.
        """
        with self._refuse_no_memory():
            measure_part(case, self._open_model(case.alias, progress), part, self._store, progress)

    @contextmanager
    def _refuse_no_memory(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if (cause := find_no_memory(error)) is None:
                raise
            self._open.clear()  # the next case may need less, and loads its model anew
            raise ModelError(
                f"out of memory, {first_line(cause)}; {describe_memory()}: lower batch_size, take fewer workers or a "
                "machine with more"
            ) from None

    def _measure(self, case: Case, progress: Progress, parts: int) -> Iterator[OpenCase]:
        started = time.perf_counter()
        model = self._open_model(case.alias, progress)
        loaded = time.perf_counter() - started
        if parts > 1:
            run = put_together(case, model, parts, self._store, progress)
        elif isinstance(model, OpenPipeline | OpenHybrid):
            run = measure_composed(case, model, self._store, progress)
        else:
            run = measure(case, model, self._store, progress)
        with run as opened:
            phases = opened.outcome.phases
            loaded += phases.get("model", 0.0)  # a pipeline loads its retriever where it must
            phases = {"model": loaded} | {**phases, "model": loaded}
            speed = self._find_speed(case.alias, model, opened, progress)
            yield replace(opened, outcome=replace(opened.outcome, phases=phases, speed=speed))

    def _find_speed(self, alias: str, model: Opened, opened: OpenCase, progress: Progress) -> Speed | None:
        """Return how fast a model was; the first time, one that answers queries is asked some alone: that may cost."""
        ours = model.stages[-1].open() if isinstance(model, OpenPipeline) else model
        if isinstance(ours, OpenPipeline | OpenHybrid):
            return None
        latency, answer = Latency(), ours.answer
        if answer is not None and opened.sample.texts and alias not in self._timed_aliases:
            self._timed_aliases.add(alias)
            progress("timing queries")
            role = opened.sample.role
            latency = measure_latency(lambda text: answer(text, role), opened.sample.texts)
        return make_speed(
            opened.timed,
            latency,
            machine=describe_machine(ours.device, at_once=ours.at_once, workers=self._workers),
            unit="pair" if isinstance(ours, OpenReranker) else "text",
        )

    def _open_model(self, alias: str, progress: Progress) -> Opened:
        if alias in self._load_errors:
            raise self._load_errors[alias]  # loading it again would take as long and fail the same way
        if alias in self._open:
            try:
                self._open[alias].check_unchanged()
            except MovedError:
                del self._open[alias]  # loaded anew, it may be the same
        if alias not in self._open:
            progress("loading the model")
            self._open.clear()
            try:
                self._open[alias] = kinds.open_model(self._models[alias], self._device, self._store)
            except MovedError:
                raise  # its files may rest when the next case comes
            except TouchstoneError as error:
                if not may_pass(error) and find_no_memory(error) is None:
                    self._load_errors[alias] = error
                raise
        return self._open[alias]
