"""pytest-xdist's workers get what the schedule says, one test ahead of the one that they run.

pytest-xdist's own schedulers keep collection order and send several tests at once.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

from evals.schedule import Dispatcher, Job

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController


class LongestFirst:
    """pytest-xdist's `Scheduling` protocol: a worker has the test that it runs and the one after it, and no more.

    Args:
        workers: how many there will be.
        make_jobs: turns node ids into jobs, whose items are places in that list.
        loading: seconds to load each model, by alias.
        config: pytest's.
        clock: in seconds.
    """

    def __init__(
        self,
        workers: int,
        make_jobs: Callable[[Sequence[str]], list[Job]],
        loading: Mapping[str, float],
        config: pytest.Config,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._expected = workers
        self._make_jobs = make_jobs
        self._loading = loading
        self._config = config
        self._clock = clock
        self._collections: dict[WorkerController, list[str]] = {}
        self._pending: dict[WorkerController, list[int]] = {}
        self._jobs: dict[WorkerController, list[Job]] = {}
        self._collection: list[str] | None = None
        self._dispatcher = Dispatcher((), loading)

    @property
    def nodes(self) -> "list[WorkerController]":
        """The workers that are there."""
        return list(self._pending)

    @property
    def collection_is_completed(self) -> bool:
        """Whether all workers of the start have collected; they may be gone since."""
        return self._collection is not None or len(self._collections) >= self._expected

    @property
    def tests_finished(self) -> bool:
        """Whether nothing is left to send: the last test of each worker runs when it is told to shut down."""
        left = self._dispatcher.left or any(len(items) > 1 for items in self._pending.values())
        return self.collection_is_completed and not left

    @property
    def has_pending(self) -> bool:
        """Whether tests are still to be run."""
        return bool(self._dispatcher.left) or any(self._pending.values())

    def add_node(self, node: "WorkerController") -> None:
        """Take in a worker, which collects now."""
        self._pending[node] = []

    def add_node_collection(self, node: "WorkerController", collection: Sequence[str]) -> None:
        """Take in what a worker collected; one that replaces another must have found the same."""
        if self._collection is not None and list(collection) != self._collection:
            node.shutdown()
            return
        self._collections[node] = list(collection)

    def schedule(self) -> None:
        """Send the first tests, or those that a new worker can take."""
        if self._collection is None:
            if self._differ():
                return
            self._collection = next(iter(self._collections.values()))
            self._dispatcher = Dispatcher(self._make_jobs(self._collection), self._loading)
        self._refill(*self._pending)

    def mark_test_complete(self, node: "WorkerController", item_index: int, duration: float = 0) -> None:
        """Note that a worker has run a test, and give it the next."""
        del duration  # what the worker did before and after counts as well
        self._pending[node].remove(item_index)
        if not set(self._jobs[node][0].items) & set(self._pending[node]):
            self._jobs[node].pop(0)
            self._dispatcher.finish(node, self._clock())
        self._refill(node)

    def mark_test_pending(self, item: str) -> None:
        """Run a test again, as a plugin asks for that reruns what crashed."""
        if self._collection is not None:
            self._dispatcher.put_back([self._alone(self._collection.index(item))])
            self._refill(*self._pending)

    def remove_pending_tests_from_node(self, node: "WorkerController", indices: Sequence[int]) -> None:
        """Never asked for: no test is taken back from a worker."""
        raise NotImplementedError

    def remove_node(self, node: "WorkerController") -> str | None:
        """Forget a worker; return the test during which it went away, if any. Others get what it was promised.

        Raises:
            KeyError: it is not known, as xdist expects.
        """
        pending = self._pending.pop(node)
        self._collections.pop(node, None)
        self._dispatcher.drop_worker(node)
        if not pending or self._collection is None:
            return None
        crashed, *rest = pending
        self._dispatcher.put_back(self._alone(item) for item in rest)
        self._refill(*self._pending)
        return self._collection[crashed]

    def _alone(self, item: int) -> Job:
        """Return the job of one item."""
        assert self._collection is not None
        (job,) = self._make_jobs([self._collection[item]])
        return Job(items=(item,), seconds=job.seconds, model=job.model)

    def _refill(self, *nodes: "WorkerController") -> None:
        """Give workers what they need to go on."""
        ready = [node for node in nodes if node in self._collections and not node.shutting_down]
        for node in ready:
            if node not in self._jobs:
                self._jobs[node] = []
                self._dispatcher.add_worker(node)
        for node in ready:
            while len(self._pending[node]) < 2:
                job = self._dispatcher.give(node, self._clock())
                if job is None:
                    node.shutdown()
                    break
                self._jobs[node].append(job)
                self._pending[node].extend(job.items)
                node.send_runtest_some(job.items)

    def _differ(self) -> bool:
        """Report workers that collected something else than the first; nothing can be scheduled then."""
        from xdist.report import report_collection_diff

        (first, collection), *others = self._collections.items()
        differing = False
        for node, other in others:
            message = report_collection_diff(collection, other, first.gateway.id, node.gateway.id)
            if message:
                differing = True
                report = pytest.CollectReport(nodeid=node.gateway.id, outcome="failed", longrepr=message, result=[])
                self._config.hook.pytest_collectreport(report=report)
        return differing
