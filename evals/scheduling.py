"""The schedule inside pytest: pytest-xdist's workers get the longest case first, and the terminal shows the time left.

pytest-xdist's own schedulers keep collection order and send several tests at once.
"""

import time
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import groupby

import pytest

from evals.distribution import LongestFirst
from evals.errors import EvalsError
from evals.forecast import Forecast, make_forecast
from evals.progress import CaseProgress, TerminalLine, render_duration
from evals.runs import load_runs
from evals.schedule import Job, time_left
from evals.session import Session

NAME = "evals-schedule"
OUR_FILE = "test_tasks.py"
# Of a store with many runs, the newest say enough of how long things take.
NEWEST = 20
# A test that is none of ours, in seconds: they are short beside a case, and come last.
SECONDS_A_TEST = 0.1


def case_of(nodeid: str) -> str | None:
    """Return the case in a node id, None where there is none; it may hold brackets no more than an alias may."""
    place, _, rest = nodeid.partition("::")
    return rest.partition("[")[2].removesuffix("]") or None if place.rpartition("/")[2] == OUR_FILE else None


def cases_of(nodeids: Iterable[str]) -> list[str]:
    """Return the cases in node ids, in their order; tests that are none of ours have none."""
    return [case for case in map(case_of, nodeids) if case is not None]


def show_progress(config: pytest.Config) -> CaseProgress:
    """Return the progress line of this session."""
    schedule = config.pluginmanager.get_plugin(NAME)
    line = TerminalLine.of(config)
    return CaseProgress(line, schedule.words_left) if isinstance(schedule, Schedule) else CaseProgress(line)


class Schedule:
    """The hooks of the process that owns the run, alone or as the controller of workers."""

    def __init__(self, session: Session, config: pytest.Config) -> None:
        self._session = session
        self._config = config
        self._collected: tuple[str, ...] = ()
        self._begun: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._lost: set[str] = set()

    @cached_property
    def _line(self) -> TerminalLine:
        """The line behind the dots; there is no terminal reporter yet when this object is made."""
        return TerminalLine.of(self._config)

    @cached_property
    def forecast(self) -> Forecast:
        """The estimates of this run's cases; a damaged record in the store is no reason to run nothing."""
        session = self._session
        try:
            runs = load_runs(session.store.folder, NEWEST)
        except EvalsError:
            runs = ()
        return make_forecast(session.plan, runs, session.options.device, session.known.ids(session.plan.cases))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config) -> LongestFirst | None:
        """Take the place of xdist's default; another ``--dist`` was asked for."""
        if config.getvalue("dist") != "load":
            return None
        from xdist.workermanage import parse_tx_spec_config

        return LongestFirst(len(parse_tx_spec_config(config)), self._jobs, self.forecast.loading, config)

    def _jobs(self, nodeids: Sequence[str]) -> list[Job]:
        """Make a job of each case, and one of the tests of each other file: they may share what is dear to set up."""
        estimates, jobs = self.forecast.estimates, []
        ids = enumerate(nodeids)
        for place, found in groupby(ids, key=lambda item: case_of(item[1]) or item[1].partition("::")[0]):
            items = tuple(number for number, _ in found)
            known = estimates.get(place)
            seconds = SECONDS_A_TEST * len(items) if known is None else known.seconds
            jobs.append(Job(items=items, seconds=seconds, model=None if known is None else place.partition(":")[0]))
        return jobs

    def words_left(self) -> str:
        """Say how long the run will take from now; nothing of a single case."""
        if not self._line.shown or len(self._collected) < 2:
            return ""
        now, estimates = time.monotonic(), self.forecast.estimates
        costs = {id_: estimates[id_].seconds for id_ in self._collected if id_ not in self._lost}
        left = time_left(
            [(costs[id_], seconds) for id_, seconds in self._took.items() if id_ in costs],
            [(costs[id_], now - since) for id_, since in self._begun.items() if id_ in costs],
            [cost for id_, cost in costs.items() if id_ not in self._took and id_ not in self._begun],
            max(1, self._workers),
        )
        return f"about {render_duration(left)} left"

    @property
    def _workers(self) -> int:
        return len(self._config.getoption("tx", None) or ())

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the cases; xdist's controller has no items and hears of them from a worker."""
        self._collect([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Note the cases, from a worker's collection."""
        self._collect(ids)

    def _collect(self, nodeids: Sequence[str]) -> None:
        known = {case.id for case in self._session.plan.cases}
        self._collected = tuple(case for case in cases_of(nodeids) if case in known)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note when a case began."""
        case = case_of(nodeid)
        if case is not None:
            self._begun[case] = time.monotonic()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Make room for what pytest writes; a case that its worker did not survive is told of by its report alone."""
        self._line.clear()
        case = case_of(report.nodeid)
        if case is not None and report.when not in ("setup", "call", "teardown"):
            self._begun.pop(case, None)
            self._lost.add(case)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Note how long a case took; with workers, whose own lines nobody sees, show how long the others will."""
        case = case_of(nodeid)
        if case is not None and case in self._begun:
            self._took[case] = time.monotonic() - self._begun.pop(case)
        if self._workers and self._line.shown and self._collected:
            done = f"{len(self._took) + len(self._lost)} of {len(self._collected)} cases done"
            self._line.paint(f" {', '.join(filter(None, (done, self.words_left())))}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Leave the terminal as it was."""
        self._line.clear()
