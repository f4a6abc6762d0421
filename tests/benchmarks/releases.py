"""Simulated releases with a known true difference: each is drawn, judged, and tells what happened."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from tests.builders import compared, make_case, make_outcome, make_reference
from touchstone.judging.gate import judge, rejudge
from touchstone.judging.overall import judge_models
from touchstone.judging.pairing import Paired, pair
from touchstone.records.cases import Policy
from touchstone.records.runs import Record, SuiteWord, make_record
from touchstone.records.samples import Samples

Generator = np.random.Generator
# What happened, with True or False; or a figure of which the median and the largest are told.
Events = Iterator[tuple[str, bool | float]]
Sides = tuple[Samples, Samples]

# Share of samples that change, and the standard deviation over all samples: bf16, fewer dimensions, another model.
CHANGES = {"3 % changed": (0.03, 0.026), "20 % changed": (0.20, 0.112), "60 % changed": (0.60, 0.271)}
OFTEN = CHANGES["60 % changed"]
TASKS, SIZES = 41, (320, 2871)
# Of one case alone, and of one among 41.
NOMINAL, STRICT = "p < 5 %", "p < 0.12 %"


@cache
def _rows(n: int) -> dict[str, Any]:
    return {"id": np.char.mod("%05d", np.arange(n)), "stratum": np.full(n, "t/d")}


def make_sides(deltas: Any, *, units: Any = None, strata: Any = None) -> Sides:
    """Make queries whose scores differ by some amounts (n,)."""
    n = len(deltas)
    shared = {"type": "Retrieval", "metric": "ndcg_at_10", "units": units, **_rows(n)}
    shared |= {} if strata is None else {"stratum": strata}
    return Samples(**shared, value=0.5 + deltas), Samples(**shared, value=np.full(n, 0.5))


def predicted(kind: tuple[str, str], gold: Any, after: Any, before: Any, **more: Any) -> Sides:
    """Make samples of a type and metric from predictions (n, e) of both models."""
    shared = {"type": kind[0], "metric": kind[1], "gold": gold, **_rows(len(gold)), **more}
    return Samples(**shared, prediction=after), Samples(**shared, prediction=before)


def compare(sides: Sides) -> Paired:
    """Pair samples that can be."""
    paired = pair(*sides)
    assert isinstance(paired, Paired), paired
    return paired


def differ(deltas: Any, **more: Any) -> Paired:
    """Compare queries whose scores differ by some amounts."""
    return compare(make_sides(deltas, **more))


def judged(paired: Paired, gated: int, *, number: int = 0, anchored: Paired | None = None) -> Record:
    """Judge one case of a plan of so many."""
    case = make_case("Retrieval", name=f"Task{number}", policy=Policy(gated=gated))
    score = 0.5 + (anchored or paired).difference.mean
    reference = make_reference(score - paired.difference.mean, metric="ndcg_at_10")
    outcome = make_outcome(score, metric="ndcg_at_10")
    if anchored is not None:
        reference = replace(reference, anchor=make_reference(0.5, metric="ndcg_at_10"))
    verdict = judge(case, outcome, compared(reference, paired=paired, anchored=anchored))
    return make_record(case, outcome, verdict, None)


def judge_all(found: Sequence[Paired], gated: int | None = None) -> list[Record]:
    """Judge the cases of one model."""
    return [judged(paired, gated or len(found), number=number) for number, paired in enumerate(found)]


def word(records: Sequence[Record]) -> SuiteWord:
    """Return the verdict of the suite."""
    return judge_models(records)[0].verdict


def changes(generator: Generator, n: int, loss: float = 0.0, kind: tuple[float, float] = OFTEN) -> Any:
    """Draw differences (n,): a share of the samples changes by a normal amount, and a loss goes through these."""
    share, deviation = kind
    return (generator.random(n) < share) * (generator.standard_normal(n) * deviation / share**0.5 - loss / share)


def no_loss(generator: Generator, *, n: int, sizes: Sequence[int], most: int = 1) -> Events:
    """Suites of k tasks, as many of each size as the largest has tasks for, but no more than some."""
    found = [differ(changes(generator, n)) for _ in range(max(sizes))]
    for k in sizes:
        for start in range(0, len(found) - k + 1, k)[:most]:
            yield f"k = {k}: FAIL", word(judge_all(found[start : start + k])) == "FAIL"


def shared_texts(generator: Generator, *, n: int, correlation: float) -> Events:
    """Ten tasks on the same texts, once without a loss, and once with half a point in each."""
    own, common = generator.standard_normal((10, n)), generator.standard_normal(n)
    deltas = OFTEN[1] * (correlation**0.5 * common + (1 - correlation) ** 0.5 * own)
    units = [[f"t{number}"] for number in range(n)]
    yield "nothing: FAIL", word(judge_all([differ(row, units=units) for row in deltas])) == "FAIL"
    yield "-0.5 everywhere: PASS", word(judge_all([differ(row - 0.005, units=units) for row in deltas])) == "PASS"


def jobs(generator: Generator, *, tasks: int = 40, of_job: int = 5) -> Events:
    """Jobs that each judge some tasks, merged: with the plan's k in each, or judged again with the whole k."""
    found = [differ(changes(generator, 300)) for _ in range(tasks)]
    yield "k of the plan: FAIL", word(judge_all(found, tasks)) == "FAIL"
    yield "k of the job, merged: FAIL", word([rejudge(one, tasks) for one in judge_all(found, of_job)]) == "FAIL"


def experiments(generator: Generator, *, splits: int, n: int = 300, draws: int = 10) -> Events:
    """A classification whose training draws matter as much as its items; all splits share the draws."""
    gold, stratum = np.ones(n * splits, int), np.repeat([f"split{number}" for number in range(splits)], n)
    sides = []
    for _ in range(2):
        of_items, of_draws = generator.standard_normal((n * splits, 1)), 0.19 * generator.standard_normal(draws)
        sides.append((of_items + of_draws + generator.standard_normal((n * splits, draws)) > 0).astype(int))
    paired = compare(predicted(("Classification", "accuracy"), gold, *sides, stratum=stratum))
    yield from p_values(paired)


def p_values(paired: Paired) -> Events:
    """Tell how small the p-values are, of a loss and of a gain."""
    yield f"loss, {NOMINAL}", paired.p_loss < 0.05
    yield f"gain, {NOMINAL}", paired.p_gain < 0.05
    for p in (paired.p_loss, paired.p_gain):
        yield STRICT, p < 0.05 / TASKS


def rare_loss(generator: Generator, *, n: int) -> Events:
    """One sample in a hundred loses everything: a true loss of one point."""
    deltas = 0.01 * generator.standard_normal(n) - (generator.random(n) < 0.01)
    yield "the case passes", judged(differ(deltas), 1).verdict == "pass"


def rare_gain(generator: Generator, *, n: int) -> Events:
    """One sample in a hundred gains everything, the others lose as much together."""
    jitter = generator.choice([0.001, 0.003, 0.01]) * generator.standard_normal(n)
    deltas = np.where(generator.random(n) < 0.01, 1.0, -0.01 / 0.99) + jitter
    yield "regressed, k = 41", judged(differ(deltas), TASKS).verdict == "regressed"


def small_stratum(generator: Generator, *, rate: float) -> Events:
    """Strata of 1 000 and 20 samples; in the small one some lose everything."""
    strata, found = np.repeat(["t/large", "t/small"], [1000, 20]), []
    for _ in range(5):
        deltas = 0.01 * generator.standard_normal(1020)
        deltas[1000:] -= generator.random(20) < rate
        found.append(differ(deltas, strata=strata))
    for k in (1, 2, 5):
        yield f"k = {k}: PASS", word(judge_all(found[:k])) == "PASS"


def with_anchor(generator: Generator, *, n: int = 300) -> Events:
    """41 tasks, judged by the last release and by an anchor before it; neither lost anything."""
    records = []
    for number in range(TASKS):
        before, step = changes(generator, n), changes(generator, n)
        records.append(judged(differ(step), TASKS, number=number, anchored=differ(before + step)))
    yield "FAIL", word(records) == "FAIL"


def walk(generator: Generator, *, kind: tuple[float, float]) -> Events:
    """Ten releases that each lose 0.3 point; what does not FAIL becomes the reference, the anchor stays."""
    sizes = np.exp(generator.uniform(np.log(300), np.log(3000), TASKS)).astype(int)
    so_far = [np.zeros(n) for n in sizes]
    for release in range(10):
        steps = [changes(generator, int(n), 0.003, kind) for n in sizes]
        so_far = [one + step for one, step in zip(so_far, steps, strict=True)]
        against = [differ(one) if release else None for one in so_far]
        found = zip(steps, against, strict=True)
        records = [judged(differ(step), TASKS, number=i, anchored=anchor) for i, (step, anchor) in enumerate(found)]
        if word(records) == "FAIL":
            break
    else:
        release = 10
    yield "ten in a row without FAIL", release == 10
    yield "releases before the first FAIL", float(release)


def of_strata(generator: Generator, *, strata: int = 12, repeats: int = 200, draws: int = 10) -> Events:
    """One classification of many strata that share training draws: its true error over ours."""
    common, own = generator.uniform(0, 0.3, 2)
    sizes = generator.integers(20, 100, strata)
    stratum, gold = np.repeat([f"s{number:02}" for number in range(strata)], sizes), np.ones(sizes.sum(), int)
    found = []
    for _ in range(repeats):
        sides = []
        for _ in range(2):
            shifts = common * generator.standard_normal(draws) + own * generator.standard_normal((strata, draws))
            items = generator.standard_normal((len(gold), 1)) + generator.standard_normal((len(gold), draws))
            sides.append((items + np.repeat(shifts, sizes, axis=0) > 0).astype(int))
        found.append(compare(predicted(("Classification", "accuracy"), gold, *sides, stratum=stratum)).difference)
    true = np.std([one.mean for one in found], ddof=1)
    yield "true error over ours", float(true / np.sqrt(np.mean([one.error**2 for one in found])))


def paragraphs(generator: Generator, *, count: int, size: int = 5, correlation: float = 0.3) -> Events:
    """Queries that share a paragraph."""
    common, own = generator.standard_normal((count, 1)), generator.standard_normal((count, size))
    deltas = OFTEN[1] * (correlation**0.5 * common + (1 - correlation) ** 0.5 * own).ravel()
    units = [[f"p{number // size}"] for number in range(len(deltas))]
    yield from p_values(differ(deltas, units=units))


def of_texts(generator: Generator, n: int) -> tuple[Any, list[list[str]]]:
    """Draw pairs (n, 2) of n / 2 texts, and their units."""
    first = generator.integers(0, n // 2, n)
    texts = np.stack([first, (first + generator.integers(1, n // 2, n)) % (n // 2)], axis=1)
    return texts, [[f"t{one}" for one in row] for row in texts.tolist()]


def dyads(generator: Generator, *, n: int) -> Events:
    """Pairs that share sentences: what a text adds is in all of its pairs."""
    texts, units = of_texts(generator, n)
    deltas = 0.1 * (generator.standard_normal(n // 2)[texts].sum(axis=1) + generator.standard_normal(n))
    yield from p_values(differ(deltas, units=units))


def sts(generator: Generator, *, n: int, changed: float, heavy: bool = False, shares: bool = False) -> Events:
    """Spearman's correlation of two models that are equally good."""
    gold, texts, units = generator.standard_normal(n), None, None
    if shares:
        texts, units = of_texts(generator, n)
    noise = generator.standard_t(3, n) / 3**0.5 if heavy else generator.standard_normal(n)
    base, sides = gold + 0.7 * noise, []
    for _ in range(2):
        moved = generator.standard_normal(n // 2)[texts].sum(axis=1) if shares else generator.standard_normal(n)
        sides.append((base + (generator.random(n) < changed) * 0.5 * moved)[:, None])
    yield from p_values(compare(predicted(("STS", "cosine_spearman"), np.round(gold), *sides, units=units)))


def average_precision(generator: Generator, *, n: int, positives: float) -> Events:
    """Average precision of two models that are equally good."""
    gold = (generator.random(n) < positives).astype(int)
    gold[:3] = 1
    base = 1.5 * gold + generator.standard_normal(n)
    noise = ((generator.random(n) < 0.6) * 0.7 * generator.standard_normal(n) for _ in range(2))
    sides = ((base + one)[:, None] for one in noise)
    yield from p_values(compare(predicted(("PairClassification", "max_ap"), gold, *sides)))


def macro_f1(generator: Generator, *, n: int, draws: int, classes: int = 5) -> Events:
    """Macro F1 of two models that are equally good: they guess again in four of ten predictions."""
    gold, shape = generator.integers(0, classes, n), (n, draws)

    def guess() -> Any:
        return np.where(generator.random(shape) < 0.7, gold[:, None], generator.integers(0, classes, shape))

    base = guess()
    sides = (np.where(generator.random(shape) < 0.4, guess(), base) for _ in range(2))
    yield from p_values(compare(predicted(("Classification", "f1"), gold, *sides)))


def release(
    generator: Generator,
    *,
    kind: tuple[float, float],
    loss: float = 0.0,
    truth: str = "everywhere",
    span: tuple[int, int] = SIZES,
) -> Events:
    """41 tasks of log-uniform sizes; the loss is in all or in the median one; or heavy tails, and no loss."""
    low, high = np.log(span)
    sizes = (np.exp(generator.uniform(low, high, TASKS)) + 1e-9).astype(int)  # exp(log(100)) may be less than 100
    median, found = int(np.argsort(sizes)[TASKS // 2]), []
    for number, n in enumerate(sizes.tolist()):
        deltas = changes(generator, n, loss if truth == "everywhere" or number == median else 0.0, kind)
        if truth == "heavy":
            deltas = (deltas != 0) * generator.standard_t(3, n) / 3**0.5 * kind[1] / kind[0] ** 0.5
        found.append(differ(deltas))
    records = judge_all(found)
    verdict = word(records)
    yield from ((one, verdict == one) for one in ("PASS", "FAIL", "INCONCLUSIVE"))
    yield "a case red", any(record.verdict == "regressed" for record in records)
