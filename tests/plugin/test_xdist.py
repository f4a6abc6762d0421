"""pytest-xdist's side of the schedule, on workers that keep its protocol in a time of their own."""

import heapq
from collections import deque
from collections.abc import Sequence
from itertools import groupby
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone.plugin.xdist import LongestFirst
from touchstone.schedule.dispatch import SPARE_TIME_SHARE, Job, lower_bound


class FakeWorker:
    """Begins a test only when it knows the one after it or that there is none, as xdist's workers do."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.queue: deque[int | None] = deque()
        self.shutting_down = False
        self.running: int | None = None
        self.ran: list[int] = []

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        assert not self.shutting_down
        self.queue.extend(indices)

    def shutdown(self) -> None:
        self.queue.append(None)
        self.shutting_down = True

    @property
    def can_begin(self) -> bool:
        return self.running is None and len(self.queue) >= 2 and self.queue[0] is not None


def config_of(workers: int) -> Any:
    """Return of pytest's configuration what the scheduler asks for."""
    return SimpleNamespace(
        option=SimpleNamespace(tx=["popen"] * workers, numprocesses=workers),
        getvalue={"tx": ["popen"] * workers, "numprocesses": workers}.get,
        getoption={"maxschedchunk": None, "tx": ["popen"] * workers}.get,
    )


class Machine:
    """Runs a schedule; a worker may die in the middle of a test, and another takes its place."""

    def __init__(self, seconds: Sequence[float], estimates: Sequence[float], workers: int, files: str = "") -> None:
        self.seconds = seconds
        self.now = 0.0
        self.ids = [f"{files[i]}.py::test_{i}" if files else f"ours[{i}]" for i in range(len(seconds))]
        self.estimates = dict(zip(self.ids, estimates, strict=True))
        self.scheduler = LongestFirst(config_of(workers), self.jobs, {}, lambda: self.now)
        self.workers: list[FakeWorker] = []
        self.crashed: list[str] = []
        self.shutting_down = False
        self.most_promised = 0
        for number in range(workers):
            self.start(f"gw{number}")

    def jobs(self, ids: Sequence[str]) -> list[Job]:
        found = []
        for _, group in groupby(enumerate(ids), key=lambda one: one[1].partition("::")[0]):
            items = [(number, self.estimates[id_]) for number, id_ in group]
            found.append(Job(items=tuple(n for n, _ in items), seconds=sum(seconds for _, seconds in items)))
        return found

    def start(self, name: str) -> None:
        worker: Any = FakeWorker(name)
        self.workers.append(worker)
        self.scheduler.add_node(worker)
        self.scheduler.add_node_collection(worker, self.ids)
        if self.scheduler.collection_is_completed:
            self.scheduler.schedule()

    def run(self, dies_in: int | None = None) -> float:
        events: list[tuple[float, int]] = []
        end = 0.0
        while True:
            self.end_workers()
            for number, worker in enumerate(self.workers):
                if worker.can_begin:
                    worker.running = worker.queue.popleft()
                    assert worker.running is not None
                    self.most_promised = max(self.most_promised, sum(one is not None for one in worker.queue))
                    heapq.heappush(events, (self.now + self.seconds[worker.running], number))
            if not events:
                break
            self.now, number = heapq.heappop(events)
            worker = self.workers[number]
            item, worker.running = worker.running, None
            assert item is not None
            node: Any = worker
            if item == dies_in:
                dies_in = None
                worker.queue.clear()
                self.crashed += filter(None, [self.scheduler.remove_node(node)])
                self.shutting_down = False
                self.start(f"gw{len(self.workers)}")
                continue
            worker.ran.append(item)
            end = self.now
            self.scheduler.mark_test_complete(node, item)
            self.look_whether_all_is_done()
        return end

    def end_workers(self) -> None:
        """Let those go that have read that there is no more; without any the session would break off."""
        for worker in self.workers:
            node: Any = worker
            if worker.running is None and list(worker.queue)[:1] == [None] and node in self.scheduler.nodes:
                assert self.scheduler.remove_node(node) is None
                self.look_whether_all_is_done()
        assert self.shutting_down or self.scheduler.nodes

    def look_whether_all_is_done(self) -> None:
        """Tell all workers to stop when the scheduler says so, as xdist does."""
        if self.scheduler.tests_finished and not self.shutting_down:
            self.shutting_down = True
            for other in self.scheduler.nodes:
                if not other.shutting_down:
                    other.shutdown()

    @property
    def ran(self) -> list[int]:
        return sorted(item for worker in self.workers for item in worker.ran)


SECONDS = st.floats(0.01, 100.0)


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=40), st.integers(1, 6))
def test_every_test_runs_once_and_every_worker_is_told_to_stop(drawn: list[tuple[float, float]], workers: int) -> None:
    machine = Machine([actual for actual, _ in drawn], [estimate for _, estimate in drawn], workers)
    machine.run()
    assert machine.ran == list(range(len(drawn)))
    assert all(worker.shutting_down for worker in machine.workers)
    assert machine.most_promised <= 1
    assert not machine.scheduler.has_pending
    assert machine.scheduler.tests_finished


@given(st.lists(SECONDS, min_size=1, max_size=40), st.integers(1, 6))
def test_right_estimates_end_near_the_lower_bound(seconds: list[float], workers: int) -> None:
    end = Machine(seconds, seconds, workers).run()
    assert end <= lower_bound(seconds, workers) * 4 / 3 * (1 + SPARE_TIME_SHARE) + 1e-9


@given(st.lists(SECONDS, min_size=2, max_size=20), st.integers(1, 4), st.data())
def test_a_crash_costs_the_test_that_ran_and_no_other(seconds: list[float], workers: int, data: st.DataObject) -> None:
    dies_in = data.draw(st.integers(0, len(seconds) - 1))
    machine = Machine(seconds, seconds, workers)
    machine.run(dies_in)
    assert machine.crashed == [machine.ids[dies_in]]
    assert machine.ran == [item for item in range(len(seconds)) if item != dies_in]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=20), st.integers(1, 3), st.data())
def test_tests_of_one_file_stay_together(files: list[str], workers: int, data: st.DataObject) -> None:
    files = sorted(files)
    machine = Machine([1.0] * len(files), [0.1] * len(files), workers, "".join(files))
    dies_in = data.draw(st.none() | st.integers(0, len(files) - 1))
    machine.run(dies_in)
    assert machine.ran == [item for item in range(len(files)) if item != dies_in]
    if dies_in is None:
        places = [(files[item], worker.gateway.id) for worker in machine.workers for item in worker.ran]
        assert len(set(places)) == len(set(files))


def test_a_test_that_is_to_run_again_does() -> None:
    machine = Machine([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], 1)
    machine.scheduler.mark_test_pending(machine.ids[1])
    machine.run()
    assert machine.ran == [0, 1, 1, 2]


def test_no_tests_at_all_are_finished_at_once() -> None:
    machine = Machine([], [], 2)
    assert machine.scheduler.tests_finished
    assert not machine.scheduler.has_pending


def test_workers_that_collected_other_tests_are_reported_and_nothing_runs() -> None:
    reports: list[pytest.CollectReport] = []

    def take(report: pytest.CollectReport) -> None:
        reports.append(report)

    config = config_of(2)
    config.hook = SimpleNamespace(pytest_collectreport=take)
    scheduler = LongestFirst(config, lambda _: [], {})
    for name, ids in (("gw0", ["a[1]", "a[2]"]), ("gw1", ["a[1]"])):
        worker: Any = FakeWorker(name)
        scheduler.add_node(worker)
        scheduler.add_node_collection(worker, ids)
    scheduler.schedule()
    assert [report.outcome for report in reports] == ["failed"]
    assert "Different tests were collected" in str(reports[0].longrepr)
    assert scheduler.tests_finished


def test_a_new_worker_that_collected_other_tests_gets_none() -> None:
    machine = Machine([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], 1)
    worker: Any = FakeWorker("gw9")
    machine.scheduler.add_node(worker)
    machine.scheduler.add_node_collection(worker, ["other"])
    assert worker.shutting_down
    machine.run()
    assert not worker.ran
    assert machine.ran == [0, 1, 2]


def test_a_worker_that_nobody_knows_is_a_key_error_as_xdist_expects() -> None:
    stranger: Any = FakeWorker("gw7")
    with pytest.raises(KeyError):
        Machine([1.0], [1.0], 1).scheduler.remove_node(stranger)
