"""What units do to the errors of real differences, and how often the gate then sees a loss where there is none.

Run by hand: ``python -m tests.benchmarks.real_errors MIRROR FOLDER [--rounds 2000] [--task NAME] [--variant MODEL]``
(an hour on one core; samples that are in FOLDER already are not measured again). Variants of a model are measured on
real tasks. The first table has the error of each difference, as if its samples were independent and with what they
share. In the second a coin decides in each round for every group of samples that share units whether it changes sides:
then nothing is lost on average, however skewed, sparse or dependent the differences are. What is left is judged by the
real code.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.builders import compared, make_case, make_outcome, make_reference
from touchstone.config.models import find_model, load_models
from touchstone.config.suites import Selection
from touchstone.judging.gate import judge
from touchstone.judging.pairing import Paired, pair
from touchstone.measuring.case import measure
from touchstone.models.kinds import open_encoder
from touchstone.records.cases import Case, Source
from touchstone.records.samples import Samples, encode_samples, read_samples
from touchstone.store.folder import Store
from touchstone.task_types.registry import own_scores
from touchstone.tasks.catalog import find_tasks

REFERENCE = "minilm"
VARIANTS = ("minilm@truncate_dim=256", "minilm@truncate_dim=128", "minilm@max_seq_length=32")
STS_TASKS = ("SICK-R", "STS12", "STS13", "STS14", "STS15", "STS16", "STSBenchmark")
TASKS = dict.fromkeys(STS_TASKS, ("test", "default")) | {
    "RTE3": ("test", "en"),
    "XQuADRetrieval": ("validation", "en"),
    "Banking77Classification": ("test", "default"),
    "SIB200Classification": ("test", "eng_Latn"),
}
ROUNDS = 2000
# Scores that are no means over samples take so many times as long to judge.
SLOWER = 10
# Of all samples, what the largest group may hold for signs by group to say anything.
LARGEST = 0.05


def measure_one(name: str, model: str, mirror: Path, store: Store) -> Samples:
    """Return the samples of a model on one task."""
    (info,) = find_tasks(Selection(include=(name,)), "real errors")
    split, subset = TASKS[name]
    task = replace(info, splits=(split,), subsets=(subset,))
    case = Case(alias="real", task=task, suite="real", source=Source(kind="mirror", path=mirror))
    opened = open_encoder(find_model(model, load_models(), Path.cwd(), "--model"), "cpu", store)
    with measure(case, opened, store, lambda _: None) as measured:
        assert measured.samples is not None
        return measured.samples


def find_samples(name: str, model: str, mirror: Path, folder: Path) -> Samples:
    """Return samples from a folder, measured where they are not there yet."""
    path = folder / f"{name}-{model}.parquet"
    if not path.exists():
        path.write_bytes(encode_samples(measure_one(name, model, mirror, Store(folder / "store"))))
    return read_samples(path)


def compare(one: Samples, two: Samples) -> Paired:
    """Pair samples that can be."""
    paired = pair(one, two)
    assert isinstance(paired, Paired), paired
    return paired


def find_components(units: Sequence[Sequence[str]]) -> Any:
    """Return the number of the group (n,) that each sample is in: those connected by what they share."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    known: dict[str, int] = {}
    edges = np.array([(row, known.setdefault(unit, len(known))) for row, of in enumerate(units) for unit in of])
    n, shape = len(units), (len(units) + len(known),) * 2
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], n + edges[:, 1])), shape=shape)
    return connected_components(graph, directed=False)[1][:n]


def find_signed(samples: Samples) -> tuple[str, Any]:
    """Return by what samples change sides together, in a word, and the number of that for each (n,)."""
    groups = find_components(samples.units or [[str(row)] for row in range(len(samples))])
    if len(np.unique(groups)) == len(samples):
        return "sample", groups
    if np.bincount(groups).max() > LARGEST * len(samples):
        return "sample, too connected", np.arange(len(samples))
    return "group", groups


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


def rates(one: Samples, two: Samples, groups: Any, rounds: int) -> Mapping[str, float]:
    """Return how often a loss or a gain is seen under random signs of groups, and how often the case is regressed."""
    generator, counts, case = np.random.default_rng(0), Counter[str](), make_case(one.type)
    names, places = np.unique(groups, return_inverse=True)
    for _ in range(rounds):
        paired = compare(*flip(one, two, (generator.random(len(names)) < 0.5)[places]))
        verdict = judge(case, make_outcome(0.5), compared(make_reference(0.5), paired=paired))
        counts.update({"loss": paired.p_loss < 0.05, "gain": paired.p_gain < 0.05, verdict.word: 1})
    return {event: counts[event] / rounds for event in ("loss", "gain", "regressed")}


def tell_errors(one: Samples, two: Samples) -> str:
    """Return the difference with its error, as if samples were independent and with what they share."""
    paired, alone = compare(one, two), compare(replace(one, units=None), two)
    points = [100 * number for number in (paired.difference.mean, alone.difference.error, paired.difference.error)]
    ratio = paired.difference.error / alone.difference.error if alone.difference.error else 1.0
    numbers = "".join(f"{number:>9.3f}" for number in points)
    return f"{len(one):>6}{paired.units:>7}{paired.changed:>9}{numbers}{ratio:>7.2f}"


def tell_signs(one: Samples, two: Samples, rounds: int) -> str:
    """Return how often random signs look like a loss, in percent."""
    by, groups = find_signed(one)
    done = rounds if own_scores(one) is not None else rounds // SLOWER
    found = rates(one, two, groups, done)
    return f"  {by:23}{len(np.unique(groups)):>7}{done:>8}" + "".join(f"{100 * rate:>11.1f}" for rate in found.values())


Pairs = Mapping[tuple[str, str], tuple[Samples, Samples]]


def find_pairs(options: argparse.Namespace) -> Pairs:
    """Return the samples of a variant and of the reference, by task and variant, where any differ."""
    found = {}
    for name in options.task or TASKS:
        two = find_samples(name, REFERENCE, options.mirror, options.folder)
        for variant in options.variant or VARIANTS:
            one = find_samples(name, variant, options.mirror, options.folder)
            if compare(one, two).changed:
                found[name, variant] = one, two
    return found


def render(pairs: Pairs, rounds: int) -> Iterator[str]:
    """Return the lines of both tables."""
    yield f"{'task':25}{'variant':26}{'n':>6}{'units':>7}{'changed':>9}{'Δ':>9}{'i.i.d.':>9}{'units':>9}{'ratio':>7}"
    for (name, variant), sides in pairs.items():
        yield f"{name:25}{variant:26}{tell_errors(*sides)}"
    if not rounds:
        return
    numbers = "".join(f"{word:>11}" for word in ("loss<5 %", "gain<5 %", "regressed"))
    yield f"{'task':25}{'variant':26}  {'signs by':23}{'groups':>7}{'rounds':>8}{numbers}"
    for (name, variant), sides in pairs.items():
        yield f"{name:25}{variant:26}{tell_signs(*sides, rounds)}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="Errors of real differences, and random signs of them.")
    parser.add_argument("mirror", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--task", action="append", choices=TASKS)
    parser.add_argument("--variant", action="append")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    for line in render(find_pairs(options), options.rounds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
