"""Scheduler for pytest-xdist: the longest case first, one test ahead of the one that a worker runs.

pytest-xdist's own schedulers keep collection order.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import pytest
from xdist.scheduler.load import LoadScheduling
from xdist.workermanage import WorkerController

from touchstone.plugin.nodeids import case_of
from touchstone.schedule.dispatch import Dispatcher, Job
from touchstone.schedule.estimates import Estimate

# A test that is none of ours, in seconds: they are short beside a case, and come last.
SECONDS_A_TEST = 0.1


class LongestFirst(LoadScheduling):  # type: ignore[misc]  # xdist gives no types
    """`LoadScheduling` that sends what a `Dispatcher` gives: a worker has the test that it runs and the one after it.

    Args:
        config: pytest's.
        make_jobs: turns node ids into jobs, whose items are places in that list.
        loading: seconds to load each model, by alias.
        clock: in seconds.
    """

    def __init__(
        self,
        config: pytest.Config,
        make_jobs: Callable[[Sequence[str]], list[Job]],
        loading: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(config)
        self.collection: list[str] | None = None
        self._make_jobs = make_jobs
        self._loading = loading
        self._clock = clock
        self._jobs: dict[WorkerController, list[Job]] = {}
        self._dispatcher = Dispatcher((), loading)

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Note what a worker collected; a worker that replaces another must have collected the same."""
        if self.collection is not None and list(collection) != self.collection:
            node.shutdown()
        else:
            self.node2collection[node] = list(collection)

    def schedule(self) -> None:
        """Send the first tests, or those that a new worker can take."""
        if self.collection is None:
            if not self._check_nodes_have_same_collection():
                return
            self.collection = next(iter(self.node2collection.values()))
            self.pending[:] = range(len(self.collection))
            self._dispatcher = Dispatcher(self._make_jobs(self.collection), self._loading)
        for node in self.nodes:
            if node in self.node2collection and node not in self._jobs and not node.shutting_down:
                self._jobs[node] = []
                self._dispatcher.add_worker(node)
        for node in self.nodes:
            self.check_schedule(node)

    def check_schedule(self, node: WorkerController, duration: float = 0) -> None:
        """Give a worker what it needs to go on; ``duration`` is not used: what it did before and after counts too."""
        del duration
        while node in self._jobs and not node.shutting_down and len(self.node2pending[node]) < 2:
            job = self._dispatcher.give(node, self._clock())
            if job is None:
                node.shutdown()
                return
            self._jobs[node].append(job)
            self.node2pending[node].extend(job.items)
            self.pending[:] = [item for item in self.pending if item not in job.items]
            node.send_runtest_some(job.items)

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """Note that a worker has run a test, and give it the next."""
        del duration  # what the worker did before and after counts as well
        self.node2pending[node].remove(item_index)
        if not set(self._jobs[node][0].items) & set(self.node2pending[node]):
            self._jobs[node].pop(0)
            self._dispatcher.finish(node, self._clock())
        self.check_schedule(node)

    def mark_test_pending(self, item: str) -> None:
        """Run a test again, as a plugin asks for that reruns what crashed."""
        assert self.collection is not None
        self._dispatcher.put_back([self._job_of(self.collection.index(item))])
        super().mark_test_pending(item)

    def remove_node(self, node: WorkerController) -> str | None:
        """Forget a worker; return the test during which it went away, if any. Others get what it was promised.

        Raises:
            KeyError: it is not known, as xdist expects.
        """
        promised = self.node2pending[node][1:]
        self._dispatcher.drop_worker(node)
        self._jobs.pop(node, None)
        self._dispatcher.put_back(self._job_of(item) for item in promised)
        crashed: str | None = super().remove_node(node)
        return crashed

    def _job_of(self, item: int) -> Job:
        """Return the job of one item."""
        assert self.collection is not None
        (job,) = self._make_jobs([self.collection[item]])
        return Job(items=(item,), seconds=job.seconds, model=job.model)


def make_jobs(nodeids: Sequence[str], estimates: Mapping[str, Estimate]) -> list[Job]:
    """Make a job of each case, and one of the tests of each other file: they may share what is dear to set up."""
    jobs = []
    for place, group in groupby(enumerate(nodeids), key=lambda item: case_of(item[1]) or item[1].partition("::")[0]):
        items = tuple(number for number, _ in group)
        estimate = estimates.get(place)
        seconds = SECONDS_A_TEST * len(items) if estimate is None else estimate.seconds
        jobs.append(Job(items=items, seconds=seconds, model=None if estimate is None else place.partition(":")[0]))
    return jobs
