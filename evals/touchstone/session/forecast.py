"""What a plan will cost: its cases with what earlier runs of the store took and with the text they have."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from touchstone.errors import TouchstoneError
from touchstone.models.kinds import kind_of
from touchstone.records.cases import Case
from touchstone.records.runs import Run
from touchstone.schedule.devices import visible_devices
from touchstone.schedule.dispatch import Job, lower_bound, simulate
from touchstone.schedule.estimates import (
    Basis,
    Estimate,
    Sight,
    device_kind,
    estimate,
    find_loading,
    find_timings,
)
from touchstone.schedule.workload import find_workload, statistics_folder
from touchstone.session.plan import Plan
from touchstone.session.shards import make_parts
from touchstone.store.runs import load_runs

if TYPE_CHECKING:
    from touchstone.session.session import Session

# Of a store with many runs, the newest say enough of how long things take.
NEWEST_RUNS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The estimates of a plan's cases, by id, and the seconds to load its models, by alias."""

    cases: tuple[Case, ...]
    estimates: Mapping[str, Estimate]
    loading: Mapping[str, float]

    @property
    def jobs(self) -> list[Job]:
        """The cases as the schedule takes them, by their place in the plan."""
        return [
            Job(items=(number,), seconds=self.estimates[case.id].seconds, model=case.alias)
            for number, case in enumerate(self.cases)
        ]

    @property
    def bases(self) -> dict[Basis, int]:
        """How many estimates rest on what."""
        counts = Counter(item.basis for item in self.estimates.values())
        return {basis: counts[basis] for basis in get_args(Basis) if counts[basis]}

    @property
    def seconds_of_cases(self) -> dict[str, float]:
        """The estimated seconds of each case, by its id."""
        return {case: estimate.seconds for case, estimate in self.estimates.items()}

    def seconds(self, cases: Iterable[Case]) -> float:
        """Return the seconds of some of the cases, one after the other."""
        return sum(self.estimates[case.id].seconds for case in cases)

    def makespan(self, workers: int, parts: Mapping[str, int] | None = None) -> tuple[float, float]:
        """Return when so many workers have done all cases, and the time below which no order can bring it.

        Args:
            workers: how many.
            parts: into how many the corpora of cases are divided, by case id; None for none.
        """
        pairs = zip(self.jobs, self.cases, strict=True)
        jobs = [part for job, case in pairs for part in make_parts(job, (parts or {}).get(case.id, 1))]
        # A case that is in the store needs no model.
        aliases = {job.model for job in jobs if job.seconds}
        loading = {alias: seconds for alias, seconds in self.loading.items() if alias in aliases}
        end, _ = simulate([job for job in jobs if job.seconds], workers, loading)
        return end, lower_bound([job.seconds for job in jobs], workers)


def make_forecast(plan: Plan, runs: Sequence[Run], device: str, cached_ids: Collection[str] = frozenset()) -> Forecast:
    """Estimate the cases of a plan.

    Args:
        plan: of a run.
        runs: of the store, oldest first.
        device: as typed; auto is the GPU where the driver or the environment says that there is one.
        cached_ids: the ids of cases whose outcome is in the store already: they take no time.
    """
    statistics = statistics_folder()
    place = device_kind(device) if device != "auto" else "cuda" if visible_devices(os.environ) else "cpu"
    sight = Sight(
        timings=find_timings(runs),
        workloads={case.id: None if case.id in cached_ids else find_workload(case, statistics) for case in plan.cases},
        devices={alias: "api" if kind_of(model).served else place for alias, model in plan.models.items()},
        reads={alias: kind_of(model).reads(model) for alias, model in plan.models.items()},
        cached_ids=cached_ids,
    )
    return Forecast(cases=plan.cases, estimates=estimate(plan.cases, sight), loading=find_loading(runs))


def forecast_session(session: "Session") -> Forecast:
    """Estimate the cases of a run; a damaged record in the store is no reason to run nothing."""
    try:
        runs = load_runs(session.store.folder, NEWEST_RUNS)
    except TouchstoneError:
        runs = ()
    return make_forecast(session.plan, runs, session.options.device, session.cache.ids(session.plan.cases))
