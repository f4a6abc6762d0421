"""How often the gate is right: simulated releases with a known true difference, judged by its real code.

Run by hand: ``python -m tests.benchmarks.simulate_gate [--releases 4000] [--only NAME] [--jobs 2] [--seed 0]``. Each
condition draws releases, judges them, and tells which events happened. A limit is met where the upper 95 % bound of
the rate's Monte Carlo error is at most a fifth above it, and missed where the lower one is above it. A condition ends
after a tenth of its releases where that leaves no doubt, or where it has no limit and only shows power.
"""

import argparse
import math
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pool
from typing import Any

import numpy as np
from scipy import stats

from tests.benchmarks import releases as drawn
from tests.benchmarks.releases import CHANGES, NOMINAL, STRICT, Events, Generator

# Releases that are drawn from one seed.
BLOCK = 5
# What makes an early end certain; and how far above a limit the Monte Carlo bound of a rate may be.
SURE, ROOM = 0.999, 1.2
LEVELS = {f"loss, {NOMINAL}": 5.0, f"gain, {NOMINAL}": 5.0, STRICT: 0.25}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A kind of release.

    ``limits`` has in percent how often an event may happen; of a figure, between what its median must be. Other events
    show power. ``share`` of the releases asked for are drawn.
    """

    name: str
    draw: Callable[[Generator], Events]
    limits: Mapping[str, float | tuple[float, float]] = field(default_factory=dict)
    share: float = 1.0


def _make(name: str, draw: Callable[..., Events], limits: Any, share: float = 1.0, **arguments: Any) -> Condition:
    return Condition(name=name, draw=partial(draw, **arguments), limits=limits, share=share)


def _suites() -> Iterator[Condition]:
    limits = {f"k = {k}: FAIL": 5.0 for k in (2, 5, 10, 41)}
    yield _make("no loss, n = 300", drawn.no_loss, limits, n=300, sizes=(2, 5, 10, 41))
    limits = {f"k = {k}: FAIL": 5.0 for k in (1, 5, 41, 200)}
    for n in (20, 50, 100, 1000, 3000):
        yield _make(f"no loss, n = {n}", drawn.no_loss, limits, 0.1, n=n, sizes=(1, 5, 41, 200), most=5)
    both = {"nothing: FAIL": 5.0, "-0.5 everywhere: PASS": 5.0}
    for n, share in ((300, 1.0), (1000, 0.1)):
        for rho in (0.0, 0.1, 0.3):
            yield _make(f"shared texts, ρ = {rho:g}, n = {n}", drawn.shared_texts, both, share, n=n, correlation=rho)
    yield _make("41 tasks with anchors", drawn.with_anchor, {"FAIL": 5.0}, 0.5)
    yield _make("40 tasks in 8 jobs", drawn.jobs, {"k of the plan: FAIL": 5.0, "k of the job, merged: FAIL": 5.0})


def _small() -> Iterator[Condition]:
    for name, kind in CHANGES.items():
        more: dict[str, Any] = {"kind": kind, "span": (100, 100)}
        yield _make(f"{name}, n = 100: nothing", drawn.release, {"FAIL": 5.0}, 0.25, **more)
        yield _make(f"{name}, n = 100: -0.5 everywhere", drawn.release, {"PASS": 5.0}, 0.25, loss=0.005, **more)


def _skewed() -> Iterator[Condition]:
    for n in (100, 150, 300, 1000):
        yield _make(f"rare loss, n = {n}", drawn.rare_loss, {"the case passes": 5.0}, n=n)
    for n in (100, 200, 300):
        yield _make(f"rare gain, n = {n}", drawn.rare_gain, {"regressed, k = 41": 0.5}, n=n)
    for rate in (0.02, 0.035):
        limits = {f"k = {k}: PASS": 5.0 for k in (1, 2, 5)}
        yield _make(f"small stratum, {100 * rate:g} % lost", drawn.small_stratum, limits, rate=rate)
    for name, kind in CHANGES.items():
        yield _make(f"ten times -0.3, {name}", drawn.walk, {"ten in a row without FAIL": 5.0}, 0.025, kind=kind)


def _dependent() -> Iterator[Condition]:
    yield _make("experiments' error as items'", drawn.experiments, LEVELS, splits=1)
    yield _make("two splits share the draws", drawn.experiments, LEVELS, splits=2)
    yield _make("12 strata share the draws", drawn.of_strata, {"true error over ours": (0.9, 1.15)}, 0.01)
    for count in (4, 6, 8, 12, 20, 30, 60, 200):
        yield _make(f"{count} paragraphs of 5 queries", drawn.paragraphs, LEVELS, count=count)
    for n in (40, 100, 300, 1000):
        yield _make(f"pairs share texts, n = {n}", drawn.dyads, LEVELS, n=n)


def _computed() -> Iterator[Condition]:
    for n, part in ((100, 0.125), (300, 0.125), (1000, 0.05)):
        for share in (0.1, 0.6):
            yield _make(f"STS, {share:.0%} changed, n = {n}", drawn.sts, LEVELS, part, n=n, changed=share)
        yield _make(f"STS, heavy tails, n = {n}", drawn.sts, LEVELS, part, n=n, changed=0.6, heavy=True)
        yield _make(f"STS, pairs share texts, n = {n}", drawn.sts, LEVELS, part, n=n, changed=0.6, shares=True)
        for positives in (0.1, 0.3):
            name = f"AP, {positives:.0%} positives, n = {n}"
            yield _make(name, drawn.average_precision, LEVELS, part, n=n, positives=positives)
        yield _make(f"macro F1, n = {n}", drawn.macro_f1, LEVELS, part, n=n, draws=1)
        yield _make(f"macro F1, 10 experiments, n = {n}", drawn.macro_f1, LEVELS, part / 4, n=n, draws=10)


def _power() -> Iterator[Condition]:
    for name, kind in CHANGES.items():
        yield _make(f"{name}: nothing", drawn.release, {"FAIL": 5.0}, 0.25, kind=kind)
        yield _make(f"{name}: nothing, heavy tails", drawn.release, {"FAIL": 5.0}, 0.25, kind=kind, truth="heavy")
        yield _make(f"{name}: -0.5 everywhere", drawn.release, {"PASS": 5.0}, 0.25, kind=kind, loss=0.005)
        yield _make(f"{name}: -1 everywhere", drawn.release, {"PASS": 5.0}, 0.25, kind=kind, loss=0.01)
        yield _make(f"{name}: one task at -3", drawn.release, {}, 0.25, kind=kind, loss=0.03, truth="median")


def conditions() -> list[Condition]:
    """Return all conditions, in the order of the table."""
    return [*_dependent(), *_skewed(), *_suites(), *_power(), *_small(), *_computed()]


def draw_block(condition: Condition, number: int, seed: int) -> list[tuple[str, bool | float]]:
    """Return what happened in some releases, which depends on the condition's name, the number and the seed alone."""
    generator = np.random.default_rng([seed, zlib.crc32(condition.name.encode()), number])
    return [event for _ in range(BLOCK) for event in condition.draw(generator)]


Found = Mapping[str, Sequence[bool | float]]


def simulate(condition: Condition, count: int, seed: int, pool: Any = None) -> Found:
    """Return what happened, by event, in so many releases, or in a tenth of them where that settles it."""
    blocks = max(1, math.ceil(count * condition.share / BLOCK))
    first = math.ceil(blocks / 10)
    found: defaultdict[str, list[bool | float]] = defaultdict(list)
    for part in (range(first), range(first, blocks)):
        work = [(condition, number, seed) for number in part]
        for events in pool.starmap(draw_block, work, chunksize=1) if pool else (draw_block(*one) for one in work):
            for event, value in events:
                found[event].append(value)
        if is_settled(condition, found):
            break
    return found


def bound(hits: float, n: int, confidence: float) -> float:
    """Return the upper bound of a rate (Clopper and Pearson, Biometrika 26, 1934)."""
    return 1.0 if hits == n else float(stats.beta.ppf(confidence, hits + 1, n - hits))


def is_settled(condition: Condition, found: Found) -> bool:
    """Return True if more releases could not change what is met and what is missed."""
    rates = [(limit / 100, sum(found[event]), len(found[event])) for event, limit in condition.limits.items()
             if isinstance(limit, float)]  # fmt: skip
    kept = (bound(hits, n, SURE) <= limit or 1 - bound(n - hits, n, SURE) > ROOM * limit for limit, hits, n in rates)
    return len(rates) == len(condition.limits) and all(kept)


def render(condition: Condition, found: Found) -> Iterator[str]:
    """Return a line for each event."""
    for event, values in found.items():
        limit, told = condition.limits.get(event), _tell_figure if isinstance(values[0], float) else _tell_rate
        yield f"{condition.name:40}{event:31}{len(values):8}{told(values, limit)}"


def _tell_rate(values: Sequence[float], limit: Any) -> str:
    hits, n = sum(values), len(values)
    rate, upper = hits / n, bound(hits, n, 0.95)
    numbers = f"{100 * rate:8.2f}{100 * math.sqrt(rate * (1 - rate) / n):7.2f}{100 * upper:8.2f}"
    if limit is None:
        return numbers
    missed = 1 - bound(n - hits, n, 0.95) > limit / 100
    return f"{numbers}{f'<= {limit:g}':>13}{'yes' if 100 * upper <= ROOM * limit else 'NO' if missed else 'open':>6}"


def _tell_figure(values: Sequence[float], limit: Any) -> str:
    median = float(np.median(values))
    numbers = f"{median:8.2f}{'':7}{max(values):8.2f}"
    if limit is None:
        return numbers
    return f"{numbers}{f'{limit[0]:g} to {limit[1]:g}':>13}{'yes' if limit[0] <= median <= limit[1] else 'NO':>6}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="How often the gate is right.")
    parser.add_argument("--releases", type=int, default=4000)
    parser.add_argument("--only", default="", metavar="NAME", help="conditions whose name contains this")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    print(f"{options.releases} releases, seed {options.seed}; in percent; of figures the median and the largest")
    print(f"{'condition':40}{'event':31}{'n':>8}{'rate':>8}{'±':>7}{'upper':>8}{'must be':>13}{'met':>6}")
    with closing(Pool(options.jobs)) as pool:
        for condition in conditions():
            if options.only in condition.name:
                print(
                    *render(condition, simulate(condition, options.releases, options.seed, pool)), sep="\n", flush=True
                )


if __name__ == "__main__":
    main()
