"""How often the gate sees a loss where there is none: real differences under random signs.

Run by hand: ``python -m tests.benchmarks.flip_signs MIRROR [ROUNDS]`` (some minutes, most of them to measure). Two
models are measured on real tasks. In each round a coin decides for every sample whether its two sides change places:
then nothing is lost on average, however skewed, sparse or heavy-tailed the differences are. What is left is judged by
the real code.
"""

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tests.builders import compared, make_case, make_outcome, make_reference
from touchstone.config.models import find_model, load_models
from touchstone.config.suites import Selection
from touchstone.judging.gate import judge
from touchstone.judging.pairing import Paired, pair
from touchstone.measuring.case import measure
from touchstone.models.kinds import open_encoder
from touchstone.records.cases import Case, Policy, Source
from touchstone.records.samples import Samples
from touchstone.store.folder import Store
from touchstone.tasks.catalog import find_tasks

REFERENCE, CANDIDATE = "minilm", "minilm@truncate_dim=256"
TASKS = {
    "SIB200Classification": ("test", "eng_Latn"),
    "XQuADRetrieval": ("validation", "en"),
    "Banking77Classification": ("test", "default"),
}
ROUNDS = 2000
# By chance alone, and as the gate judges by default.
MARGINS = (0.0, 0.01)


def measure_both(name: str, mirror: Path, store: Store) -> tuple[Samples, Samples]:
    """Return the samples of the candidate and of the reference on one task."""
    (info,) = find_tasks(Selection(include=(name,)), "flips")
    split, subset = TASKS[name]
    case = Case(
        alias="flips",
        task=replace(info, splits=(split,), subsets=(subset,)),
        suite="flips",
        source=Source(kind="mirror", path=mirror),
    )
    found = []
    for model in (CANDIDATE, REFERENCE):
        opened = open_encoder(find_model(model, load_models(), Path.cwd(), "--model"), "cpu", store)
        with measure(case, opened, store, lambda _: None) as measured:
            assert measured.samples is not None
            found.append(measured.samples)
    return found[0], found[1]


def flip(one: Samples, two: Samples, swapped: Any) -> tuple[Samples, Samples]:
    """Exchange the two sides of some samples, given as a mask."""

    def mixed(mine: Samples, other: Samples) -> Samples:
        columns = {name: (getattr(mine, name), getattr(other, name)) for name in ("value", "prediction")}
        return replace(
            mine,
            **{
                name: np.where(swapped.reshape(-1, *[1] * (there.ndim - 1)), there, here)
                for name, (here, there) in columns.items()
                if here is not None
            },
        )

    return mixed(one, two), mixed(two, one)


def verdicts(one: Samples, two: Samples, rounds: int, margin: float) -> Mapping[str, float]:
    """Return how often each verdict is reached under random signs, by a case that is the only one."""
    generator = np.random.default_rng(0)
    counts: Counter[str] = Counter()
    case = make_case(one.type, policy=Policy(margin=margin))
    for _ in range(rounds):
        paired = pair(*flip(one, two, generator.random(len(one)) < 0.5))
        assert isinstance(paired, Paired)
        outcome = make_outcome(0.5 + paired.difference.mean)
        counts[judge(case, outcome, compared(make_reference(0.5), paired=paired)).word] += 1
    return {word: counts[word] / rounds for word in ("pass", "inconclusive", "improved", "regressed")}


def main(mirror: Path, rounds: int) -> None:
    """Print the table."""
    print(f"{CANDIDATE} against {REFERENCE}, {rounds} rounds of random signs, in percent, alpha 5")
    words = ("pass", "inconclusive", "improved", "regressed")
    print(f"{'task':26}{'n':>6}{'changed':>9}{'margin':>8}{''.join(f'{word:>12}' for word in words)}")
    with TemporaryDirectory() as folder:
        for name in TASKS:
            one, two = measure_both(name, mirror, Store(Path(folder)))
            paired = pair(one, two)
            assert isinstance(paired, Paired)
            for margin in MARGINS:
                rates = verdicts(one, two, rounds, margin)
                cells = "".join(f"{100 * rates[word]:>12.1f}" for word in words)
                print(f"{name:26}{len(one):>6}{paired.changed:>9}{margin:>8g}{cells}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS)
