"""The loop of a run whose cases are measured by the actors of a Ray cluster; each is reported here as it comes back."""

import time
from collections.abc import Iterator, Sequence
from uuid import uuid4

import pytest

from touchstone.errors import TouchstoneError
from touchstone.files.writing import write_atomically
from touchstone.measuring.engines.ray import (
    ActorResult,
    Actors,
    Failed,
    Lost,
    Setup,
    Survey,
    Task,
    installed,
    refuse_others,
)
from touchstone.measuring.parts import Part
from touchstone.own_code import folders_looked_in
from touchstone.plugin.controller import Controller
from touchstone.plugin.nodeids import case_of
from touchstone.records.cases import Case
from touchstone.schedule.dispatch import Job
from touchstone.schedule.spreading import MAX_DEATHS, Spread
from touchstone.session.examples import show
from touchstone.session.forecast import Forecast
from touchstone.session.reuse import Elsewhere, what_computes
from touchstone.session.session import Session
from touchstone.session.shards import count_parts, make_parts
from touchstone.store.folder import AGREEMENTS

# How often the line of progress is painted, and how long a cluster may be without any actor, in seconds.
PAINT_INTERVAL_S, MAX_DESERTED_S = 1.0, 300.0


class Cluster:
    """Takes the place of pytest's loop: runs each item when its case is back; tests that are none of ours come last.

    Args:
        session: the run.
        controller: told what begins.
    """

    def __init__(self, session: Session, controller: Controller) -> None:
        self._session = session
        self._controller = controller
        self._actors: Actors | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run everything that was collected."""
        option = session.config.option
        if option.collectonly or (session.testsfailed and not option.continue_on_collection_errors):
            return None  # pytest itself says so
        items = {case: item for item in session.items if (case := case_of(item.nodeid)) is not None}
        others = [item for item in session.items if case_of(item.nodeid) is None]
        waiting = dict(items)
        try:
            for case in self._measure(list(items)):
                item = waiting.pop(case)
                _run(session, item, next(iter([*waiting.values(), *others]), None))
        except TouchstoneError as error:
            raise pytest.UsageError(str(error)) from None
        finally:
            self._close()
        for place, item in enumerate(others):
            _run(session, item, others[place + 1] if place + 1 < len(others) else None)
        return True

    def _close(self) -> None:
        if self._actors is not None:
            self._actors.close()

    def _measure(self, case_ids: list[str]) -> Iterator[str]:
        """Yield the cases as they are there: those that are known, then the others as actors give them back."""
        cases = {case.id: case for case in self._session.plan.cases if case.id in set(case_ids)}
        if not cases:
            return
        options = self._session.options
        self._actors = actors = Actors(self._make_setup(), options.ray_address, options.ray_cpus)
        self._controller.spread(len(actors))
        surveys = actors.survey(list(cases.values()))
        refuse_others(surveys, self._session.plan.models)
        self._session.lies_elsewhere(_sum_up(surveys))
        cached = self._session.cache.ids(cases.values())
        yield from (id_ for id_ in cases if id_ in cached)
        yield from self._spread([case for id_, case in cases.items() if id_ not in cached], actors)

    def _make_setup(self) -> Setup:
        session, options = self._session, self._session.options
        token = session.store.folder / AGREEMENTS / options.run / f"seen-{uuid4().hex}"
        write_atomically(token, "")
        return Setup(
            models=session.plan.models,
            device=options.device,
            store=session.store.folder,
            token=token,
            run=options.run,
            reuse_api=options.reuse_api,
            overwrite=options.overwrite,
            patience=options.patience,
            offline=options.offline,
            mirrors=session.plan.mirrors,
            folders=folders_looked_in(),
            versions=installed(),
            show=show,
            computes=what_computes,
        )

    def _spread(self, cases: Sequence[Case], actors: Actors) -> Iterator[str]:
        """Give the longest case to whoever is free, and again what an actor ran that died."""
        work = Work(cases, self._session, self._controller.forecast, len(actors))
        last_result = time.monotonic()
        while not work.spread.ended:
            for number, job in work.spread.hand_out(time.monotonic()):
                task = work.make_task(job)
                self._controller.begin(task.case.id)
                actors.measure(number, task)
            for number, result in actors.wait(PAINT_INTERVAL_S):
                if isinstance(result, Lost):
                    time.sleep(PAINT_INTERVAL_S)  # one that dies at once is not asked again and again
                else:
                    last_result = time.monotonic()
                if (ending := _take_in(work.spread, number, result)) is not None:
                    yield from work.end(*ending)
            self._controller.paint_progress(lambda: work.tell(actors))
            if work.spread.deserted and time.monotonic() - last_result > MAX_DESERTED_S:
                break
        for job in work.spread.waiting:
            yield from work.end(job, Failed(error=f"no actor of the cluster came back within {MAX_DESERTED_S:g} s"))


class Work:
    """What actors are to measure: cases, and those with a large corpus part by part.

    Args:
        cases: in the order of the plan.
        session: the run.
        forecast: how long they take.
        actors: among how many they are spread.
    """

    def __init__(self, cases: Sequence[Case], session: Session, forecast: Forecast, actors: int) -> None:
        self._cases = cases
        self._session = session
        models, max_documents = session.plan.models, session.options.split_texts
        self._parts = [count_parts(case, models[case.alias], max_documents, actors) for case in cases]
        self._open_parts = [of if of > 1 else 0 for of in self._parts]
        self._files: list[dict[str, bytes]] = [{} for _ in cases]
        self._ended_places: set[int] = set()
        jobs = [
            Job(items=(place,), seconds=forecast.estimates[case.id].seconds, model=case.alias)
            for place, case in enumerate(cases)
        ]
        parts = [part for job, of in zip(jobs, self._parts, strict=True) for part in make_parts(job, of)]
        self.spread = Spread(parts, forecast.loading)

    def make_task(self, job: Job) -> Task:
        """Return what an actor is told for a job."""
        place, *part = job.items
        case, of = self._cases[place], self._parts[place]
        if part:
            return Task(case=case, part=Part(number=part[0], of=of))
        return Task(case=case, parts=of, reference=self._session.reference_samples(case), files=self._files[place])

    def tell(self, actors: Actors) -> str:
        """Return what the actor with the longest running job is doing, and with which case."""
        number, job = next(iter(self.spread.running.items()), (None, None))
        if number is None or job is None or not (doing := actors.tell(number)):
            return ""
        return f"{self._cases[job.items[0]].id}: {doing}"

    def end(self, job: Job, result: ActorResult | Failed) -> Iterator[str]:
        """Add the result of a job; yield its case where that has ended."""
        place, *part = job.items
        if place in self._ended_places:  # by another part that failed
            return
        if isinstance(result, ActorResult) and part:
            self._files[place].update(result.files)
            self._open_parts[place] -= 1
            if not self._open_parts[place]:
                self.spread.add([Job(items=(place,), seconds=0.0, model=job.model)])
            return
        self._ended_places.add(place)
        self._files[place].clear()
        self._session.give(self._cases[place].id, result)
        yield self._cases[place].id


def _take_in(
    spread: Spread, number: int, result: ActorResult | Failed | Lost | None
) -> tuple[Job, ActorResult | Failed] | None:
    """Note the result of an actor; return the job that this ends, and how."""
    if result is None:
        spread.welcome(number)
        return None
    if not isinstance(result, Lost):
        return spread.finish(number, time.monotonic()), result
    job = spread.lose(number)
    if job is None:
        return None
    return job, Failed(error=f"{MAX_DEATHS} actors died while they ran it, the last: {result.reason}")


def _sum_up(surveys: tuple[Survey, ...]) -> Elsewhere:
    """Return what the machines have in common; what computes is named by all of its devices."""
    first = surveys[0]
    devices = " + ".join(sorted({survey.computes.device for survey in surveys}))
    same_kernels = all(survey.computes.kernels == first.computes.kernels for survey in surveys)
    computes = type(first.computes)(
        device=devices,
        libraries=first.computes.libraries,
        kernels=first.computes.kernels,
        complete=same_kernels and all(survey.computes.complete for survey in surveys),
    )
    data = {id_: hash_ if all(s.data[id_] == hash_ for s in surveys) else None for id_, hash_ in first.data.items()}
    per_machine = tuple(survey.computes for survey in surveys)
    return Elsewhere(computes=computes, per_machine=per_machine, identities=first.identities, data=data)


def _run(session: pytest.Session, item: pytest.Item, following: pytest.Item | None) -> None:
    """Run one item, as pytest's own loop does."""
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)
