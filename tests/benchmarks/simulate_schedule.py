"""How long a benchmark takes with several workers: in pytest-xdist's order, and longest first.

Run by hand: ``python -m tests.benchmarks.simulate_schedule [SEED ...]``. The cases are the 56 tasks of MTEB(eng, v1),
as long as the text that they have. With seeds the estimates are wrong: a case takes up to so many times longer or
shorter.
"""

import heapq
import random
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from touchstone.config.options import Options
from touchstone.schedule.dispatch import Job, lower_bound, simulate
from touchstone.session.forecast import make_forecast
from touchstone.session.plan import find_cases

WORKERS = (2, 4, 8)
# Published seconds are off by so much from what the texts say, either way.
OFF = 3.6


def benchmark_jobs(*models: str) -> list[Job]:
    """Return a job for each task of the benchmark and model, in the order of the plan."""
    typed = {"suites": ["english-v1"], "models": list(models or ["minilm"]), "device": "cpu"}
    plan = find_cases(Options.parse(typed, root=Path.cwd(), cwd=Path.cwd()))
    return make_forecast(plan, (), "cpu").jobs


def default_order(seconds: Sequence[float], workers: int) -> float:
    """Return when pytest-xdist's ``load`` ends: chunks in collection order, and at least two tests for each worker."""
    left = deque(range(len(seconds)))
    queues: list[deque[int]] = [deque() for _ in range(workers)]
    chunk = max(len(seconds) // workers // 4, 2)
    for queue in queues:
        queue.extend(left.popleft() for _ in range(min(chunk, len(left))))
    running: list[tuple[float, int]] = [(seconds[queue[0]], number) for number, queue in enumerate(queues) if queue]
    heapq.heapify(running)
    end = 0.0
    while running:
        end, number = heapq.heappop(running)
        queue = queues[number]
        queue.popleft()
        fewest, most = (max(2, len(left) // workers // share) for share in (4, 2))
        if len(queue) < fewest and not len(queue) >= 2:  # long tests wait while there are two
            queue.extend(left.popleft() for _ in range(min(most - len(queue), len(left))))
        if queue:
            heapq.heappush(running, (end + seconds[queue[0]], number))
    return end


def ratios(jobs: Sequence[Job], workers: int, seed: int | None = None) -> tuple[float, float]:
    """Return the time of the default order and of ours over the lower bound; with a seed the estimates are wrong."""
    generator = random.Random(seed)
    off = 1.0 if seed is None else OFF
    actual = {job.items: job.seconds * off ** generator.uniform(-1, 1) for job in jobs}
    seconds = [actual[job.items] for job in jobs]
    bound = lower_bound(seconds, workers)
    return default_order(seconds, workers) / bound, simulate(jobs, workers, {}, actual)[0] / bound


def main(seeds: Sequence[int]) -> None:
    """Print the table."""
    jobs = benchmark_jobs()
    print(f"{len(jobs)} tasks; time over the lower bound")
    print(f"{'estimates':24}{'workers':>8}{'xdist load':>12}{'longest first':>15}")
    for seed in (None, *seeds):
        for workers in WORKERS:
            before, ours = ratios(jobs, workers, seed)
            name = "exact" if seed is None else f"×/÷ {OFF} at most, seed {seed}"
            print(f"{name:24}{workers:8}{before:12.2f}{ours:15.2f}")


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]])
