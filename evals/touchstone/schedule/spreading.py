"""Which actor of a cluster does what: the longest job first, and once more what was lost with an actor. Pure."""

from collections.abc import Iterable, Mapping

from touchstone.schedule.dispatch import Dispatcher, Job

# A job during which so many actors died is one that kills them.
MAX_DEATHS = 3


class Spread:
    """Jobs that actors do, one at a time each; actors come and go.

    Args:
        jobs: in any order.
        loading: seconds to load a model, by alias.
    """

    def __init__(self, jobs: Iterable[Job], loading: Mapping[str, float]) -> None:
        self._dispatcher = Dispatcher(jobs, loading)
        self._running: dict[int, Job] = {}
        self._free: set[int] = set()
        self._deaths: dict[tuple[int, ...], int] = {}

    @property
    def waiting(self) -> list[Job]:
        """The jobs that no actor has."""
        return self._dispatcher.waiting

    @property
    def ended(self) -> bool:
        """Return True if nothing is left and nothing runs."""
        return not self._dispatcher.waiting and not self._running

    @property
    def deserted(self) -> bool:
        """Return True if no actor is there."""
        return not self._running and not self._free

    @property
    def running(self) -> dict[int, Job]:
        """What each actor runs that is not free, by its number; what was handed out first comes first."""
        return dict(self._running)

    def welcome(self, actor: int) -> None:
        """Add an actor that has begun."""
        if actor not in self._free:
            self._free.add(actor)
            self._dispatcher.add_worker(actor)

    def hand_out(self, now: float) -> list[tuple[int, Job]]:
        """Give each free actor a job, if it is needed; ``now`` is a clock, in seconds."""
        self._dispatcher.reopen()
        pairs = []
        for actor in sorted(self._free):
            job = self._dispatcher.give(actor, now)
            if job is not None:
                self._running[actor] = job
                pairs.append((actor, job))
        self._free -= self._running.keys()
        return pairs

    def finish(self, actor: int, now: float) -> Job:
        """Return the job that an actor has done; it is free again."""
        self._dispatcher.finish(actor, now)
        self._free.add(actor)
        return self._running.pop(actor)

    def lose(self, actor: int) -> Job | None:
        """Note that an actor went away; return what it ran, if that is not to be run again."""
        self._free.discard(actor)
        self._dispatcher.drop_worker(actor)
        job = self._running.pop(actor, None)
        if job is None:
            return None
        self._deaths[job.items] = self._deaths.get(job.items, 0) + 1
        if self._deaths[job.items] >= MAX_DEATHS:
            return job
        self._dispatcher.put_back([job])
        return None

    def add(self, jobs: Iterable[Job]) -> None:
        """Add jobs."""
        self._dispatcher.put_back(jobs)
