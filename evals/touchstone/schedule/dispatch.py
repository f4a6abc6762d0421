"""Which case goes to which worker, and when all will be done: longest first. Pure.

A worker of pytest-xdist begins a case only when it knows the one after it, so the next one is always promised before it
is needed. It is the one that longest-first scheduling would give this worker next, by all that is promised so far.
"""

import heapq
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# A worker that would get no more may have a case that takes at most this share of the time left: it goes on then, in
# case that the others take longer than was thought.
SPARE_TIME_SHARE = 0.02
# What an overdue case still takes, as a share of what it took so far.
OVERDUE_SHARE = 0.1
# How much the estimates count against what was measured, as a share of all that was estimated.
ESTIMATE_WEIGHT = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a worker gets at once: a case (or tests that are none of ours), its seconds without loading its model."""

    items: tuple[int, ...]
    seconds: float
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promised:
    """What a worker has to do already: for how long, and which model it has loaded then."""

    seconds: float = 0.0
    model: str | None = None


def longest_first(jobs: Iterable[Job]) -> list[Job]:
    """Put jobs in order; equally long ones stay in the order of their items."""
    return sorted(jobs, key=lambda job: (-job.seconds, job.items))


def share_out(workers: Sequence[Promised], jobs: Sequence[Job], loading: Mapping[str, float]) -> list[list[Job]]:
    """Give each job in turn to the worker that would have done it first, its model loaded where it was not.

    Args:
        workers: at least one.
        jobs: longest first.
        loading: seconds to load a model, by alias.

    Returns:
        The jobs of each worker, longest first.
    """
    ends = [worker.seconds for worker in workers]
    models = [{worker.model} for worker in workers]
    shares: list[list[Job]] = [[] for _ in workers]
    for job in jobs:
        load = loading.get(job.model or "", 0.0)
        starts = [end + (load if job.model not in loaded else 0.0) for end, loaded in zip(ends, models, strict=True)]
        soonest = min(range(len(starts)), key=starts.__getitem__)
        ends[soonest] = starts[soonest] + job.seconds
        models[soonest].add(job.model)
        shares[soonest].append(job)
    return shares


def choose(number: int, workers: Sequence[Promised], jobs: Sequence[Job], loading: Mapping[str, float]) -> Job | None:
    """Return what a worker does next; None when it is not needed any more.

    Of its share the longest job of the model that it has loaded, unless one of another model is more than half of its
    share: that one would end the run, and goes first. A worker without a share takes the shortest job left if that
    is next to nothing.
    """
    if not jobs:
        return None
    share = share_out(workers, jobs, loading)[number]
    if not share:
        total = sum(worker.seconds for worker in workers) + sum(job.seconds for job in jobs)
        return jobs[-1] if jobs[-1].seconds <= SPARE_TIME_SHARE * total / len(workers) else None
    same_model = next((job for job in share if job.model == workers[number].model), None)
    decisive = share[0].seconds > sum(job.seconds for job in share) / 2
    return share[0] if same_model is None or decisive else same_model


@dataclass(slots=True)
class _Worker:
    """What a worker was promised, in order, when it began the first of it, and the model before it.

    ``closed``: it was told that there is no more.
    """

    jobs: list[Job] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    since: float = 0.0
    model: str | None = None
    closed: bool = False

    @property
    def last_model(self) -> str | None:
        return next((job.model for job in reversed(self.jobs) if job.model is not None), self.model)


class Dispatcher:
    """Hands out jobs as workers ask for them, by what was handed out and took how long until then.

    Args:
        jobs: in any order.
        loading: seconds to load a model, by alias.
    """

    def __init__(self, jobs: Iterable[Job], loading: Mapping[str, float]) -> None:
        self.waiting = longest_first(jobs)
        self._loading = loading
        self._workers: dict[Hashable, _Worker] = {}
        self._timings: list[tuple[float, float]] = []
        self._total = sum(job.seconds for job in self.waiting)

    def add_worker(self, name: Hashable) -> None:
        """Add a worker that has nothing yet."""
        self._workers[name] = _Worker()

    def drop_worker(self, name: Hashable) -> None:
        """Forget a worker that went away."""
        self._workers.pop(name, None)

    def put_back(self, jobs: Iterable[Job]) -> None:
        """Take jobs back that were not done after all."""
        self.waiting = longest_first([*self.waiting, *jobs])

    def reopen(self) -> None:
        """Take back that workers are not needed any more: what others have may come back."""
        for worker in self._workers.values():
            worker.closed = False

    def give(self, name: Hashable, now: float) -> Job | None:
        """Promise a worker its next job; None when it is not needed any more, which is final.

        Args:
            name: of the worker.
            now: a clock, in seconds.
        """
        worker = self._workers[name]
        if worker.closed:
            return None
        names = [key for key, other in self._workers.items() if not other.closed]
        states = [self._promised(self._workers[key], now) for key in names]
        job = choose(names.index(name), states, self.waiting, self._loading)
        if job is None:
            worker.closed = True
            return None
        self.waiting.remove(job)
        load = self._loading.get(job.model or "", 0.0) if job.model != worker.last_model else 0.0
        if not worker.jobs:
            worker.since = now
        worker.jobs.append(job)
        worker.costs.append(job.seconds + load)
        return job

    def finish(self, name: Hashable, now: float) -> None:
        """Note that a worker has done the first of what it was promised."""
        worker = self._workers[name]
        worker.model = worker.jobs.pop(0).model or worker.model
        self._timings.append((worker.costs.pop(0), now - worker.since))
        worker.since = now

    def _promised(self, worker: _Worker, now: float) -> Promised:
        seconds = sum(worker.costs[1:])
        if worker.costs:
            spent = (now - worker.since) / pace(self._timings, self._total)
            seconds += still_needed(worker.costs[0], spent)
        return Promised(seconds=seconds, model=worker.last_model)


def pace(timings: Sequence[tuple[float, float]], total: float) -> float:
    """Return by what factor things take longer than estimated.

    Args:
        timings: seconds estimated and measured, of what is done.
        total: seconds estimated for everything; a share of it speaks for the estimates, so that the first few short
            cases, which pay for imports, do not decide.
    """
    prior = ESTIMATE_WEIGHT * total
    estimated, measured = sum(cost for cost, _ in timings), sum(seconds for _, seconds in timings)
    return (measured + prior) / (estimated + prior) if measured + prior and estimated + prior else 1.0


def still_needed(estimated: float, spent: float) -> float:
    """Return the seconds that a running case still takes."""
    return estimated - spent if spent < estimated else OVERDUE_SHARE * spent


def time_left(
    timings: Sequence[tuple[float, float]],
    running: Sequence[tuple[float, float]],
    waiting: Sequence[float],
    workers: int,
) -> float:
    """Return the seconds until a run ends, by its estimates and by how long things took so far.

    Args:
        timings: seconds estimated and measured.
        running: seconds estimated and spent.
        waiting: seconds estimated.
        workers: how many, at least those that are running.
    """
    total = sum(cost for cost, _ in (*timings, *running)) + sum(waiting)
    factor = pace(timings, total)
    ends = [still_needed(cost * factor, spent) for cost, spent in running]
    ends += [0.0] * (max(workers, 1) - len(running))
    heapq.heapify(ends)
    for seconds in sorted(waiting, reverse=True):
        heapq.heapreplace(ends, ends[0] + seconds * factor)
    return max(ends)


def simulate(
    jobs: Iterable[Job],
    workers: int,
    loading: Mapping[str, float],
    actual: Mapping[tuple[int, ...], float] | None = None,
) -> tuple[float, list[list[Job]]]:
    """Run a schedule without running anything.

    Args:
        jobs: with estimated seconds.
        workers: at least one.
        loading: seconds to load a model, by alias.
        actual: the seconds that jobs really take, by their items, where they are not as estimated.

    Returns:
        When the last worker is done, and what each did, in order.
    """
    dispatcher = Dispatcher(jobs, loading)
    took: list[list[Job]] = [[] for _ in range(workers)]
    for number in range(workers):
        dispatcher.add_worker(number)
    events = [(0.0, number, False) for number in range(workers)]
    end = 0.0
    while events:
        now, number, ran = heapq.heappop(events)
        worker = dispatcher._workers[number]
        if ran:
            end = max(end, now)
            dispatcher.finish(number, now)
        while len(worker.jobs) < 2 and (promised := dispatcher.give(number, now)) is not None:
            took[number].append(promised)
        if worker.jobs:
            job = worker.jobs[0]
            load = loading.get(job.model or "", 0.0) if job.model != worker.model else 0.0
            seconds = job.seconds if actual is None else actual[job.items]
            heapq.heappush(events, (now + load + seconds, number, True))
    return end, took


def lower_bound(seconds: Sequence[float], workers: int) -> float:
    """Return the seconds below which no schedule can end: the mean, or what has to be on one worker together.

    Of the k·m + 1 longest, k + 1 are on one of the m workers; the shortest of them take least.
    """
    longest = sorted(seconds, reverse=True)
    together = (
        sum(longest[k * workers - k : k * workers + 1]) for k in range(len(longest)) if k * workers < len(longest)
    )
    return max([sum(longest) / workers, *together], default=0.0)
