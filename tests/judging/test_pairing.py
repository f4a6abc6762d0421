"""Pairing samples and judging the pairs: the laws of the gate on per-sample differences."""

import math
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import touchstone.judging.pairing
from tests.builders import compared, make_case, make_outcome, make_reference
from touchstone.judging.gate import judge
from touchstone.judging.pairing import Change, Extreme, FewUnits, Hidden, Paired, pair, shorten
from touchstone.judging.statistics import Difference
from touchstone.metrics.labels import f1
from touchstone.records.cases import Policy
from touchstone.records.samples import Samples, encode_samples, gather, read_samples
from touchstone.records.verdicts import OK_VERDICTS, Verdict
from touchstone.session.changes import find_changes
from touchstone.task_types.classification import CLASSIFICATION
from touchstone.task_types.registry import find_type

COUNT = 120


def values(scores: Any, metric: str = "ndcg_at_10") -> Samples:
    ids = np.array([f"q{number:04}" for number in range(len(scores))])
    return Samples(type="Retrieval", metric=metric, stratum=np.full(len(ids), "test/default"), id=ids, value=scores)


def verdict_of(before: Any, after: Any, **policy: Any) -> Verdict:
    paired = pair(values(after), values(before))
    assert isinstance(paired, Paired)
    case = make_case("Retrieval", policy=Policy(**policy))
    outcome = make_outcome(float(np.mean(after)))
    reference = make_reference(float(np.mean(before)))
    return judge(case, outcome, compared(reference, paired=paired))


@st.composite
def sides(draw: st.DrawFn) -> tuple[Any, Any]:
    """Two score vectors: a loss or gain at a few, some or all samples, drawn by a seed."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    before = generator.uniform(0.3, 0.7, draw(st.sampled_from([20, 60, COUNT, 400])))
    moved = generator.random(len(before)) < draw(st.sampled_from([0.0, 0.02, 0.2, 1.0]))
    shift = draw(st.floats(-0.05, 0.05)) + generator.normal(0, draw(st.sampled_from([0.001, 0.05])), len(before))
    return before, before + moved * shift


@given(sides(), st.floats(0, 0.2))
def test_adding_the_same_to_every_sample_never_makes_it_regressed(both: tuple[Any, Any], gain: float) -> None:
    before, after = both
    low, high = verdict_of(before, after), verdict_of(before, after + gain)
    assert not (low.ok and high.word == "regressed")


@given(sides(), st.floats(0.002, 0.05), st.floats(0, 0.1))
def test_wider_margin_never_makes_it_regressed(both: tuple[Any, Any], margin: float, more: float) -> None:
    before, after = both
    narrow, wide = verdict_of(before, after, margin=margin), verdict_of(before, after, margin=margin + more)
    assert not (narrow.ok and wide.word == "regressed")


@given(sides())
def test_swapping_sides_exchanges_regressed_and_improved(both: tuple[Any, Any]) -> None:
    before, after = both
    one, two = verdict_of(before, after), verdict_of(after, before)
    exchanged = {"regressed": "improved", "improved": "regressed"}
    if one.word in exchanged or two.word in exchanged:
        assert two.word == exchanged[one.word]
    assert one.delta == pytest.approx(-(two.delta or 0.0))
    if one.evidence and two.evidence:
        low, high = one.evidence.interval
        assert two.evidence.interval == pytest.approx((-high, -low))


@given(sides(), st.integers(1, 200))
def test_more_cases_never_make_it_regressed(both: tuple[Any, Any], gated: int) -> None:
    before, after = both
    assert not (verdict_of(before, after).ok and verdict_of(before, after, gated=gated).word == "regressed")


@given(st.integers(1, 500))
def test_identical_samples_pass_at_any_number(n: int) -> None:
    scores = np.linspace(0, 1, n)
    verdict = verdict_of(scores, scores)
    assert verdict.word == "pass"
    assert f"identical on {n} samples" in verdict.reason


def test_clear_loss_is_regressed_and_names_the_samples_that_lost_most() -> None:
    generator = np.random.default_rng(1)
    before = generator.uniform(0.5, 1, 400)
    after = before - 0.03 + generator.normal(0, 0.02, 400)
    after[7] = before[7] - 0.5
    verdict = verdict_of(before, after, gated=3)
    assert verdict.word == "regressed"
    assert "< 0.025/3" in verdict.reason
    assert "worst: q0007" in verdict.reason
    assert verdict.evidence is not None
    assert verdict.evidence.changed == 400


def test_order_of_samples_does_not_matter() -> None:
    generator = np.random.default_rng(2)
    one, two = values(generator.random(200)), values(generator.random(200))
    order = generator.permutation(200)
    value: Any = one.value
    shuffled = replace(one, id=one.id[order], stratum=one.stratum[order], value=value[order])
    assert isinstance(pair(shuffled, two), str), "rows are canonical by order of id; others are another file"
    assert pair(one, two) == pair(one, two)


def test_other_samples_are_counted_and_not_judged() -> None:
    one = values(np.linspace(0, 1, 10))
    other = replace(one, id=np.array([f"x{n}" if n < 3 else str(id_) for n, id_ in enumerate(one.id)]))
    told = pair(one, other)
    assert told == "the samples are others: 3 only here, 3 only there"
    verdict = judge(make_case("Retrieval"), make_outcome(), compared(make_reference(), paired=told))
    assert (verdict.word, verdict.ok) == ("incomparable", False)
    case = make_case("Retrieval", policy=Policy(rule="threshold"))
    verdict = judge(case, make_outcome(), compared(make_reference(), paired=told))
    assert (verdict.word, verdict.rule) == ("pass", "threshold"), "asked to look at the scores alone"


def test_fewer_strata_are_paired_with_the_same_ones() -> None:
    whole = values(np.linspace(0, 1, 10))
    whole = replace(whole, stratum=np.array(["test/a"] * 4 + ["test/b"] * 6))
    value: Any = whole.value
    part = replace(whole, id=whole.id[4:], stratum=whole.stratum[4:], value=value[4:])
    paired = pair(part, whole)
    assert isinstance(paired, Paired)
    assert (paired.changed, paired.difference.n) == (0, 6)


def test_items_of_a_classification_count_their_share_of_experiments() -> None:
    generator = np.random.default_rng(4)
    gold = generator.integers(0, 3, COUNT)
    before = np.where(generator.random((COUNT, 10)) < 0.8, gold[:, None], (gold[:, None] + 1) % 3)
    after = before.copy()
    after[:30] = (gold[:30, None] + 1) % 3
    ids = np.array([f"{n:04}" for n in range(COUNT)])
    make: dict[str, Any] = {
        "type": "Classification",
        "metric": "accuracy",
        "stratum": np.full(COUNT, "test/d"),
        "id": ids,
        "gold": gold,
    }
    paired = pair(Samples(**make, prediction=after), Samples(**make, prediction=before))
    assert isinstance(paired, Paired)
    expected = (after == gold[:, None]).mean() - (before == gold[:, None]).mean()
    assert paired.difference.mean == pytest.approx(expected)
    assert paired.changed <= 30
    assert paired.p_loss < 1e-3


def test_experiments_that_disagree_are_not_settled_by_more_samples() -> None:
    ids = np.array([f"{n:04}" for n in range(COUNT)])
    gold = np.arange(COUNT) % 2
    make: dict[str, Any] = {"type": "Classification", "metric": "accuracy", "stratum": np.full(COUNT, "t/d"), "id": ids}
    before = np.repeat(gold[:, None], 10, axis=1)
    after = before.copy()
    after[: COUNT // 4, :3] ^= 1  # three experiments lose a quarter, the others nothing
    paired = pair(Samples(**make, gold=gold, prediction=after), Samples(**make, gold=gold, prediction=before))
    assert isinstance(paired, Paired)
    comparison = compared(make_reference(1.0), paired=paired)
    case = make_case("Classification", policy=Policy(gated=10, margin=0.05))
    verdict = judge(case, make_outcome(0.925), comparison)
    assert verdict.word == "inconclusive"
    assert "its experiments differ too much, which more samples would not settle; worst: 0000" in verdict.reason


@pytest.mark.parametrize(
    ("type_name", "metric"),
    [
        ("STS", "cosine_spearman"),
        ("PairClassification", "max_ap"),
        ("PairClassification", "max_accuracy"),
        ("Classification", "f1"),
        ("MultilabelClassification", "f1"),
        ("BitextMining", "f1"),
        ("Regression", "kendalltau"),
    ],
)
def test_scores_that_are_no_means_are_resampled(type_name: str, metric: str) -> None:
    generator = np.random.default_rng(5)
    gold = np.arange(COUNT) if type_name == "BitextMining" else generator.integers(0, 2, COUNT)
    ids = np.array([f"{n:04}" for n in range(COUNT)])
    make: dict[str, Any] = {
        "type": type_name,
        "metric": metric,
        "stratum": np.full(COUNT, "test/d"),
        "id": ids,
        "gold": gold,
    }
    noise = generator.normal(0, 1, COUNT)
    exact = type_name in ("Classification", "MultilabelClassification", "BitextMining")
    before = np.where(noise < 1, gold, 0) if exact else gold + noise
    after = np.where(noise < -0.5, gold, 0) if exact else gold + 5 * noise
    if type_name == "MultilabelClassification":  # sets of labels are written as text
        make["gold"], before, after = (side.astype(str) for side in (gold, before, after))
    worse = pair(Samples(**make, prediction=after[:, None]), Samples(**make, prediction=before[:, None]))
    assert isinstance(worse, Paired)
    assert worse.difference.mean < 0
    assert worse.p_loss < 0.05
    assert (worse.worst, worse.best, worse.few, worse.spread) == (None, None, None, None)
    assert worse == pair(Samples(**make, prediction=after[:, None]), Samples(**make, prediction=before[:, None]))


def test_so_few_pairs_that_a_resample_has_no_positive_are_inconclusive_and_not_a_crash() -> None:
    ids = np.array(["a", "b", "c"])
    make: dict[str, Any] = {"type": "PairClassification", "metric": "max_ap", "stratum": np.full(3, "t/d"), "id": ids}
    one, two = (
        Samples(**make, gold=np.array([1, 0, 0]), prediction=np.array(scores)[:, None])
        for scores in ([0.9, 0.5, 0.1], [0.2, 0.5, 0.1])
    )
    paired = pair(one, two)
    assert isinstance(paired, Paired)
    case = make_case("PairClassification")
    verdict = judge(case, make_outcome(1.0), compared(make_reference(0.5), paired=paired))
    assert verdict.word == "inconclusive"
    assert verdict.evidence is None


@pytest.mark.parametrize(
    ("type_name", "metric", "why"),
    [
        ("PairClassification", "max_ap", "average precision without a positive"),
        ("STS", "cosine_spearman", "correlation with a constant"),
    ],
)
def test_samples_that_have_no_score_at_all_are_told_and_not_judged(type_name: str, metric: str, why: str) -> None:
    ids = np.array(["a", "b", "c"])
    make: dict[str, Any] = {"type": type_name, "metric": metric, "stratum": np.full(3, "t/d"), "id": ids}
    one = Samples(**make, gold=np.zeros(3, int), prediction=np.array([0.9, 0.5, 0.1])[:, None])
    assert pair(one, one) == f"the samples have no score that can be compared: {why}"


def test_so_few_samples_that_a_resample_has_no_score_leave_no_error_to_speak_of() -> None:
    """Of three pairs one in nine resamples is of the same pair three times, which has no correlation."""
    make: dict[str, Any] = {"type": "STS", "metric": "cosine_spearman", "stratum": np.full(3, "t/d")}
    make |= {"id": np.array(["a", "b", "c"]), "gold": np.array([0.0, 1.0, 2.0])}
    one, two = (Samples(**make, prediction=np.array(side)[:, None]) for side in ([0.1, 0.3, 0.2], [0.1, 0.2, 0.3]))
    paired = pair(one, two)
    assert isinstance(paired, Paired)
    assert paired.difference.mean == pytest.approx(-0.5)
    assert (paired.difference.error, paired.difference.degrees) == (math.inf, math.inf)
    verdict = judge(make_case("STS"), make_outcome(0.5), compared(make_reference(1.0), paired=paired))
    assert (verdict.word, verdict.suspect, verdict.evidence) == ("inconclusive", True, None)


def test_resamples_of_experiments_that_are_the_same_are_those_of_one() -> None:
    """Each resample has the mean over experiments, whether both sides have as many or not."""
    generator = np.random.default_rng(7)
    right, other = ((generator.random((80, 1)) < share).astype(int) for share in (0.8, 0.6))
    found = [
        pair(classified(np.repeat(right, here, axis=1), "f1"), classified(np.repeat(other, there, axis=1), "f1"))
        for here, there in ((1, 1), (3, 3), (4, 2))
    ]
    one, *more = (each.difference for each in found if isinstance(each, Paired))
    assert len(more) == 2
    assert one.bias not in (0.0, one.skew), "of resamples, not of influences alone"
    for each in more:
        assert (each.mean, each.error) == pytest.approx((one.mean, one.error))
        assert (each.skew, each.bias) == pytest.approx((one.skew, one.bias))


@pytest.mark.parametrize(("type_name", "metric"), [("STS", "cosine_spearman"), ("PairClassification", "max_ap")])
def test_a_formula_without_influences_of_its_own_has_them_by_leaving_out_and_adding(
    monkeypatch: pytest.MonkeyPatch, type_name: str, metric: str
) -> None:
    generator = np.random.default_rng(3)
    gold = generator.integers(0, 2, 150)
    make: dict[str, Any] = {"type": type_name, "metric": metric, "stratum": np.full(150, "t/d"), "gold": gold}
    make["id"] = np.array([f"{n:04}" for n in range(150)])
    one, two = (Samples(**make, prediction=(gold + generator.normal(0, 1, 150))[:, None]) for _ in range(2))
    known = pair(one, two)
    kind = replace(find_type(type_name), influences={})
    monkeypatch.setattr(touchstone.judging.pairing, "find_type", lambda _name: kind)
    numeric = pair(one, two)
    assert isinstance(known, Paired)
    assert isinstance(numeric, Paired)
    assert numeric.difference.mean == known.difference.mean
    assert numeric.difference.error == pytest.approx(known.difference.error, rel=0.02)


def test_a_metric_without_a_formula_has_no_paired_test() -> None:
    make: dict[str, Any] = {"type": "STS", "metric": "of_somebody_else", "stratum": np.full(3, "t/d")}
    one = Samples(**make, id=np.array(["a", "b", "c"]), gold=np.arange(3), prediction=np.array([[0.9], [0.5], [0.1]]))
    assert pair(one, one) is None


def test_labels_that_a_formula_has_no_meaning_for_are_told() -> None:
    make: dict[str, Any] = {"type": "PairClassification", "metric": "max_ap", "stratum": np.full(3, "t/d")}
    one = Samples(**make, id=np.array(["a", "b", "c"]), gold=np.arange(3), prediction=np.array([[0.9], [0.5], [0.1]]))
    assert pair(one, one) == "the samples have no score that can be compared: not all are 0 or 1"


def test_texts_are_never_put_in_order_as_numbers() -> None:
    ids = np.array(["a", "b", "c"])
    make: dict[str, Any] = {"type": "STS", "metric": "cosine_spearman", "stratum": np.full(3, "t/d"), "id": ids}
    numbers, texts = np.array([[0.9], [0.5], [0.1]]), np.array([["9"], ["10"], ["1"]])
    one, two = (Samples(**make, gold=np.arange(3), prediction=given) for given in (numbers, texts))
    assert pair(one, two) == "the samples have texts as prediction on one side, and numbers on the other"
    assert pair(two, two) == "the samples have texts where numbers are compared"
    assert find_changes(two, two) is None


EXPERIMENTS = 10
SOME = 60  # resamples: these laws hold for any number of them


def classified(right: Any, metric: str = "accuracy", stratum: Any = "test/d") -> Samples:
    """Make the items of a classification that experiment e got right or wrong: `right` (n, e) of 0 and 1."""
    right = np.asarray(right)
    ids = np.array([f"{n:04}" for n in range(len(right))])
    strata = np.broadcast_to(np.asarray(stratum), len(right))
    return Samples(
        type="Classification", metric=metric, stratum=strata, id=ids, gold=np.ones(len(right), int), prediction=right
    )


def lost_in_turn(lost: int) -> Any:
    """Every second of ten experiments loses `lost` of 120 items, each time others."""
    right = np.ones((COUNT, EXPERIMENTS), dtype=int)
    for e in range(0, EXPERIMENTS, 2):
        right[(np.arange(lost) + e // 2 * lost) % COUNT, e] = 0
    return right


def crossed(deltas: Any) -> tuple[float, float, float]:
    """Return the squared errors of the mean of a table (n, e) by items, by experiments and by what both contain."""
    n, e = deltas.shape
    items, draws = deltas.mean(axis=1), deltas.mean(axis=0)
    rest = deltas - items[:, None] - draws + deltas.mean()
    return items.var(ddof=1) / n, draws.var(ddof=1) / e, (rest**2).sum() / (n - 1) / (e - 1) / n / e


def test_experiments_and_items_are_crossed() -> None:
    """By hand: five losses of 0.25 among ten have a standard error of 0.125/√9 = 1/24; that of items adds nothing."""
    after = lost_in_turn(30)
    paired = pair(classified(after), classified(np.ones((COUNT, EXPERIMENTS), int)))
    assert isinstance(paired, Paired)
    items, draws, rest = crossed(after - 1.0)
    assert draws == pytest.approx(1 / 24**2)
    assert paired.difference.mean == pytest.approx(-0.125)
    assert items < rest
    assert paired.difference.error == pytest.approx(1 / 24)
    parts = items**2 / (COUNT - 1) + draws**2 / 9 + rest**2 / 9 / (COUNT - 1)
    assert paired.difference.degrees == pytest.approx(draws**2 / parts)
    assert paired.difference.n == COUNT
    assert paired.by_experiments


def test_experiments_of_strata_are_averaged_first() -> None:
    """Losses of 0.25 and of 0.5 in every second experiment, the same ones: 0.375 of both together."""
    strata = np.repeat(["test/a", "test/b"], COUNT)
    parts = [lost_in_turn(30), lost_in_turn(60)]
    before = classified(np.ones((2 * COUNT, EXPERIMENTS), int), stratum=strata)
    paired = pair(classified(np.concatenate(parts), stratum=strata), before)
    assert isinstance(paired, Paired)
    assert paired.difference.mean == pytest.approx(-0.375 / 2)
    assert paired.difference.error == pytest.approx(0.375 / 2 / 3)
    assert paired.difference.n == 2 * COUNT


@pytest.mark.parametrize("experiments", [1, 2, EXPERIMENTS])
def test_experiments_that_agree_leave_the_error_to_the_items(experiments: int) -> None:
    before = np.ones((COUNT, experiments), int)
    after = before.copy()
    after[:30] = 0
    paired = pair(classified(after), classified(before))
    assert isinstance(paired, Paired)
    deltas = (after - before)[:, 0]
    expected = (-0.25, stats.sem(deltas), COUNT - 1)
    assert (paired.difference.mean, paired.difference.error, paired.difference.degrees) == pytest.approx(expected)
    assert not paired.by_experiments


def test_two_experiments_are_enough_to_disagree() -> None:
    right = np.ones((COUNT, 2), int)
    right[:60, 0] = 0  # half of the items in one of two: 0.25 ± 0.25
    paired = pair(classified(right), classified(np.ones((COUNT, 2), int)))
    assert isinstance(paired, Paired)
    assert (paired.difference.mean, paired.difference.error) == pytest.approx((-0.25, 0.25))
    assert paired.difference.degrees == pytest.approx(1, abs=0.01)


def test_other_numbers_of_experiments_are_compared_item_by_item() -> None:
    after = lost_in_turn(30)
    paired = pair(classified(after), classified(np.ones((COUNT, 5), int)))
    assert isinstance(paired, Paired)
    deltas = after.mean(axis=1) - 1
    expected = (deltas.mean(), stats.sem(deltas), COUNT - 1)
    assert (paired.difference.mean, paired.difference.error, paired.difference.degrees) == pytest.approx(expected)


def test_f1_of_other_numbers_of_experiments_is_compared_by_its_mean() -> None:
    generator = np.random.default_rng(0)
    right = (generator.random((COUNT, 6)) < 0.8).astype(int)
    one, two = classified(right, "f1"), classified(right[:, :3], "f1")
    paired, formula = pair(one, two), partial(f1, average="macro")
    assert isinstance(paired, Paired)
    gold = np.ones(COUNT, int)
    scores = [np.mean([formula(gold, column) for column in side.T]) for side in (right, right[:, :3])]
    assert paired.difference.mean == pytest.approx(scores[0] - scores[1])
    assert paired.changed == COUNT


def test_f1_of_ten_experiments_has_their_error_beside_that_of_items() -> None:
    generator = np.random.default_rng(0)
    before = (generator.random((COUNT, EXPERIMENTS)) < 0.9).astype(int)
    after = before * (generator.random((COUNT, EXPERIMENTS)) < np.linspace(0.5, 1, EXPERIMENTS))
    paired = pair(classified(after, "f1"), classified(before, "f1"))
    assert isinstance(paired, Paired)
    gold, formula = np.ones(COUNT, int), partial(f1, average="macro")
    scores = np.array([formula(gold, one) - formula(gold, two) for one, two in zip(after.T, before.T, strict=True)])
    assert paired.difference.mean == pytest.approx(scores.mean())
    assert paired.by_experiments
    assert paired.difference.error >= scores.std(ddof=1) / np.sqrt(EXPERIMENTS) - 1e-12


def test_experiments_never_make_a_small_sample_surer() -> None:
    """Twenty items all lost in every experiment but one: signs flipped at random say 2⁻²⁰, the experiments more."""
    right = np.zeros((20, EXPERIMENTS), int)
    right[:, 0] = 1
    paired = pair(classified(right), classified(np.ones((20, EXPERIMENTS), int)))
    assert isinstance(paired, Paired)
    assert paired.difference.error == pytest.approx(0.1)
    assert paired.p_loss >= stats.t.cdf(-9, 9)
    assert paired.p_gain > 0.999


# One sample more.


def without_rounding(n: int, seed: int, loss: float = 0.05) -> tuple[Any, Any]:
    generator = np.random.default_rng(seed)
    before = generator.uniform(0.3, 0.7, n)
    return before, before + generator.normal(-loss, 0.1, n)


@pytest.mark.parametrize("n", [5, 39, 40, 400])
@pytest.mark.parametrize("loss", [-1.0, 1.0])
def test_one_sample_more_is_the_mean_computed_with_it(n: int, loss: float) -> None:
    before, after = without_rounding(n, 0)
    paired = pair(values(after), values(before))
    assert isinstance(paired, Paired)
    extreme = paired.worst if loss < 0 else paired.best
    assert extreme is not None
    deltas = np.append(after - before, loss)
    assert paired.difference.mean + extreme.shift == pytest.approx(deltas.mean())
    assert extreme.loss == loss
    # And the error is not below the one computed with it, nor the bound within its bound.
    moved = paired.difference.moved(extreme.shift)
    assert moved.error >= stats.sem(deltas)
    assert moved.error == pytest.approx(stats.sem(deltas), rel=1.1 / n)
    exact = stats.ttest_1samp(deltas, 0).confidence_interval(0.9)
    assert moved.lower_bound() <= exact.low if loss < 0 else moved.upper_bound() >= exact.high


def test_one_sample_more_is_in_the_smallest_stratum() -> None:
    before, after = without_rounding(60, 1)
    strata = np.array(["t/a"] * 40 + ["t/b"] * 20)
    paired = pair(replace(values(after), stratum=strata), replace(values(before), stratum=strata))
    assert isinstance(paired, Paired)
    assert paired.worst is not None
    assert paired.best is not None
    deltas = after - before
    for extreme, loss in ((paired.worst, -1.0), (paired.best, 1.0)):
        with_it = (deltas[:40].mean() + np.append(deltas[40:], loss).mean()) / 2
        assert paired.difference.mean + extreme.shift == pytest.approx(with_it)
        assert extreme.weight == 1 / 20 / 2
    assert paired.strata == (("t/a", 40), ("t/b", 20))


def test_p_of_a_loss_is_that_with_the_sample_that_gains_everything_and_of_a_gain_the_other_way_round() -> None:
    before, after = without_rounding(100, 2, 0.0)
    paired = pair(values(after), values(before))
    assert isinstance(paired, Paired)
    assert paired.best is not None
    assert paired.worst is not None
    assert paired.p_loss == paired.difference.moved(paired.best.shift).p_loss()
    assert paired.p_gain == paired.difference.moved(paired.worst.shift).negated().p_loss()
    assert paired.p_loss > paired.difference.p_loss()
    assert paired.p_gain > paired.difference.negated().p_loss()


def test_a_bound_is_exceeded_only_with_the_worst_sample_and_kept_below_only_with_the_best() -> None:
    before, after = without_rounding(400, 3, 0.0)
    paired = pair(values(after), values(before))
    assert isinstance(paired, Paired)
    assert paired.worst is not None
    assert paired.best is not None
    low = paired.difference.moved(paired.worst.shift).lower_bound(0.95)
    high = paired.difference.moved(paired.best.shift).upper_bound(0.95)
    assert paired.exceeds(low - 1e-9, 0.95)
    assert not paired.exceeds(low, 0.95)
    assert not paired.exceeds(low - 1e-9, 0.96)
    assert paired.stays_below(high + 1e-9, 0.95)
    assert not paired.stays_below(high, 0.95)
    assert not paired.stays_below(high + 1e-9, 0.96)


def test_scores_without_a_bound_of_a_sample_have_no_sample_more_but_their_skew() -> None:
    before = np.full(COUNT, 0.5)
    after = before - np.random.default_rng(0).exponential(0.01, COUNT)
    one, two = (replace(values(side), type="Summarization") for side in (after, before))
    paired = pair(one, two)
    assert isinstance(paired, Paired)
    assert (paired.worst, paired.best, paired.hidden) == (None, None, None)
    expected = stats.skew(after - before) / 6 / np.sqrt(COUNT)
    assert paired.difference.skew == paired.difference.bias == pytest.approx(expected)
    bounded = pair(values(after), values(before))
    assert isinstance(bounded, Paired)
    assert (bounded.difference.skew, bounded.difference.bias) == (0, 0)


# Few units.


@pytest.mark.parametrize(("n", "counted"), [(39, True), (40, False)])
def test_below_forty_samples_p_counts_signs(n: int, counted: bool) -> None:
    before = np.full(n, 0.5)
    after = before - np.linspace(0.1, 0.11, n)
    paired = pair(values(after), values(before))
    assert isinstance(paired, Paired)
    assert (paired.few is not None) == counted
    # Of all signs only those that leave the losses as they are make a mean as low, whatever the sample more has.
    assert paired.p_gain == pytest.approx(1.0)


@settings(max_examples=30)
@given(st.integers(4, 11), st.integers(0, 10_000), st.integers(-102, 51).map(lambda steps: steps / 1024))
def test_signs_of_few_samples_are_those_of_all_assignments_with_one_sample_more(n: int, seed: int, null: float) -> None:
    before, after = without_rounding(n, seed)
    paired = pair(values(after), values(before))
    assert isinstance(paired, Paired)
    assert paired.few is not None
    deltas = np.append(after - before, 1.0) - null
    theirs = stats.permutation_test(
        (deltas,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="less"
    )
    assert paired.few.p_loss(null, paired.best) == pytest.approx(theirs.pvalue, abs=1e-9)
    alone = stats.permutation_test(
        (deltas[:-1],), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="less"
    )
    assert paired.few.p_loss(null, None) == pytest.approx(alone.pvalue, abs=1e-9)
    other = pair(values(before), values(after))
    assert isinstance(other, Paired)
    assert paired.few.negated().p_loss(null, other.best) == pytest.approx(
        other.few.p_loss(null, other.best) if other.few else None
    )


def test_few_samples_count_signs_for_a_gain_too() -> None:
    """By hand: ten gains of 0.3 and a loss of 1 sum to 2; so much or more have 177 of 2 048 assignments."""
    before = np.full(10, 0.5)
    gain, loss = pair(values(before + 0.3), values(before)), pair(values(before), values(before + 0.3))
    assert isinstance(gain, Paired)
    assert isinstance(loss, Paired)
    assert gain.p_gain == loss.p_loss == pytest.approx(177 / 2048)
    assert gain.p_loss == loss.p_gain > 0.9


def test_signs_of_few_units_flip_their_samples_together() -> None:
    """By hand: of -0.6 ± 0.2 ± 0.1 and the opposite, two of eight are at -0.7 or below."""
    deltas = np.array([-0.3, -0.3, -0.1, -0.1, 0.1])
    before = np.full(5, 0.5)
    units = [["a"], ["a"], ["b"], ["b"], ["c"]]
    one, two = (replace(values(side), units=units) for side in (before + deltas, before))
    paired = pair(one, two)
    assert isinstance(paired, Paired)
    assert paired.units == 3
    assert paired.few is not None
    assert paired.few.sums == pytest.approx(np.array([-0.6, -0.2, 0.1]) / 5)
    assert paired.few.weights == pytest.approx(np.array([2, 2, 1]) / 5)
    assert paired.few.p_loss(0.0, None) == 2 / 8


@pytest.mark.parametrize("seed", range(40))
def test_bounds_and_p_of_few_units_are_counted_of_all_signs_with_the_sample_that_speaks_against_them(seed: int) -> None:
    """With an error of next to nothing only signs decide: as many as make a mean this extreme, of all."""
    generator = np.random.default_rng(seed)
    sums, weights = generator.normal(0.05, 0.1, 6), generator.dirichlet(np.ones(6))
    worst, best = (Extreme(shift=0.0, loss=loss, weight=0.2) for loss in (-0.3, 0.4))
    few = FewUnits(sums=sums, weights=weights)
    difference = Difference(mean=float(sums.sum()), error=1e-12, degrees=math.inf, n=6)
    paired = Paired(difference=difference, changed=6, units=6, worst=worst, best=best, few=few)

    def share(null: float, extreme: Extreme, sign: int) -> float:
        parts = sign * np.append(sums - null * weights, (extreme.loss - null) * extreme.weight)
        signed = np.array(list(product((-1, 1), repeat=len(parts)))) @ parts
        return float((signed <= parts.sum() + 1e-12).mean())

    for null in (-0.5, -0.1, 0.05, 0.3):
        assert few.p_loss(null, best) == pytest.approx(share(null, best, 1))
    for bound in (-0.4, -0.2, -0.1, 0.0, 0.1, 0.4, 0.8):
        for confidence in (0.6, 0.9, 0.95):
            above, below = difference.mean > bound, difference.mean < bound
            assert paired.exceeds(bound, confidence) == (above and share(bound, worst, -1) < 1 - confidence + 1e-12)
            assert paired.stays_below(bound, confidence) == (below and share(bound, best, 1) < 1 - confidence + 1e-12)


def test_signs_of_few_samples_in_two_strata_weigh_them_as_the_mean_does() -> None:
    """By hand: of strata of 2 and 4 samples each sample is a fourth and an eighth of the mean."""
    before, deltas = np.full(6, 0.5), np.array([0.1, 0.2, 0.1, 0.1, 0.3, 0.3])
    strata = np.array(["t/a", "t/a", *["t/b"] * 4])
    one, two = (replace(values(side), stratum=strata) for side in (before + deltas, before))
    paired = pair(one, two)
    assert isinstance(paired, Paired)
    assert paired.few is not None
    assert paired.few.weights == pytest.approx(np.array([1 / 4, 1 / 4, *[1 / 8] * 4]))
    assert paired.few.sums == pytest.approx(deltas * paired.few.weights)
    assert paired.few.sums.sum() == pytest.approx(paired.difference.mean)


@pytest.mark.parametrize("n", [2, 3, 30])
def test_the_spread_is_the_standard_deviation_of_the_differences(n: int) -> None:
    before, after = without_rounding(n, seed=3)
    paired = pair(values(after), values(before))
    assert isinstance(paired, Paired)
    assert paired.spread == pytest.approx(stats.tstd(after - before))
    alone = pair(values(after[:1]), values(before[:1]))
    assert isinstance(alone, Paired)
    assert alone.spread is None


def test_what_a_case_may_have_lost_has_the_worst_sample_in_it() -> None:
    before, after = without_rounding(200, seed=4)
    paired = pair(values(after), values(before))
    assert isinstance(paired, Paired)
    assert paired.worst is not None
    bound = paired.difference.moved(paired.worst.shift).lower_bound(0.95)
    assert paired.lowest(0.95) == bound < paired.difference.lower_bound(0.95) - 0.004


def test_what_a_stratum_of_two_samples_hides_by_hand() -> None:
    """Its mean is -0.1, its error 0.1; one sample more moves the mean by -0.3: -0.4 - 6.314 x 0.316, at most -1."""
    before = np.full(42, 0.5)
    deltas = np.array([0.0, -0.2, *np.zeros(40)])
    strata = np.array(["t/a", "t/a", *["t/b"] * 40])
    one, two = (replace(values(side), stratum=strata) for side in (before + deltas, before))
    paired = pair(one, two)
    assert isinstance(paired, Paired)
    assert paired.hidden == Hidden(stratum="t/a", n=2, low=-1.0)
    own = Difference(mean=-0.1, error=0.1, degrees=1, n=2)
    assert own.moved(-0.3).lower_bound() == pytest.approx(-0.4 - stats.t.ppf(0.95, 1) * math.hypot(0.1, 0.3))


def test_few_units_prove_a_bound_by_their_signs_too() -> None:
    """Four samples have sixteen signs: no mean of them is beyond a bound with 95 %, however far away."""
    for n, proven in ((3, False), (5, True)):
        before = np.full(n, 0.5)
        after = before + np.linspace(0.30, 0.31, n)
        paired = pair(values(after), values(before))
        assert isinstance(paired, Paired)
        free = replace(paired, worst=None, best=None)
        assert free.exceeds(-0.5, 0.95) == proven
        assert replace(free, few=None).exceeds(-0.5, 0.95)
        assert (
            replace(
                free, difference=free.difference.negated(), few=free.few.negated() if free.few else None
            ).stays_below(0.5, 0.95)
            == proven
        )


def test_samples_with_several_units_have_no_signs_to_flip() -> None:
    before, after = without_rounding(20, 0)
    units = [[f"t{number}", f"t{(number + 1) % 20}"] for number in range(20)]
    paired = pair(replace(values(after), units=units), replace(values(before), units=units))
    assert isinstance(paired, Paired)
    assert paired.few is None
    assert paired.units == 20


def test_units_of_a_paragraph_widen_the_error_and_are_counted() -> None:
    """Queries of one paragraph that lose together: 50 paragraphs of ten queries are 50 units."""
    lost = np.random.default_rng(0).normal(-0.02, 0.1, 50).repeat(10)
    before = np.full(500, 0.5)
    units = [[f"p{number // 10}", f"q{number}"] for number in range(500)]
    alone = pair(values(before + lost), values(before))
    shared = pair(replace(values(before + lost), units=units), replace(values(before), units=units))
    assert isinstance(alone, Paired)
    assert isinstance(shared, Paired)
    assert (alone.units, shared.units) == (500, 50)
    assert shared.difference.mean == alone.difference.mean
    assert shared.difference.error == pytest.approx(np.sqrt(10 * 499 / 500 * 50 / 49) * alone.difference.error)
    assert shared.difference.degrees == 49
    assert (alone.sketch, shared.sketch is not None) == (None, True)


@pytest.mark.parametrize("kind", ["values", "accuracy", "f1", "spearman", "ap"])
def test_order_of_units_does_not_matter(kind: str) -> None:
    generator = np.random.default_rng(0)
    one, two = kinds(generator)[kind]
    units = [[f"a{number % 25}", f"b{number % 23}", f"own {number}"] for number in range(60)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("touchstone.judging.statistics.RESAMPLES", SOME)
        there = pair(replace(one, units=units), replace(two, units=units))
        back = pair(replace(one, units=[of[::-1] for of in units]), two)
        alone = pair(one, two)
    assert isinstance(there, Paired)
    assert isinstance(back, Paired)
    assert isinstance(alone, Paired)
    assert back.difference == there.difference
    assert (there.units, there.difference.mean) == (25 + 23, alone.difference.mean)
    assert there.difference != alone.difference


def test_units_of_several_samples_are_not_pulled_apart_by_strata() -> None:
    """The same rows in two languages, which lose together, are no more than the rows of one."""
    before, after = without_rounding(100, 4)
    strata = np.repeat(["test/de", "test/en"], 100)
    rows = [[f"row {number % 100}"] for number in range(200)]
    both = [
        Samples(
            type="Retrieval",
            metric="ndcg_at_10",
            stratum=strata,
            id=np.tile([f"q{number:04}" for number in range(100)], 2),
            value=np.tile(side, 2),
            units=rows,
        )
        for side in (after, before)
    ]
    found, once = pair(both[0], both[1]), pair(values(after), values(before))
    assert isinstance(found, Paired)
    assert isinstance(once, Paired)
    assert (found.units, found.difference.n) == (100, 200)
    assert found.difference.error == pytest.approx(once.difference.error)
    assert found.difference.degrees == once.difference.degrees


@pytest.mark.parametrize(
    ("type_name", "metric"),
    [
        ("STS", "cosine_spearman"),
        ("PairClassification", "max_ap"),
        ("PairClassification", "max_accuracy"),
        ("Regression", "kendalltau"),
        ("Classification", "f1"),
        ("BitextMining", "f1"),
    ],
)
def test_errors_are_about_those_of_plain_resampling(type_name: str, metric: str) -> None:
    generator, n = np.random.default_rng(8), 300
    gold = generator.integers(0, 2, n) if type_name == "PairClassification" else generator.integers(0, 5, n)
    make: dict[str, Any] = {"type": type_name, "metric": metric, "stratum": np.full(n, "t/d"), "gold": gold}
    make["id"] = np.array([f"{number:04}" for number in range(n)])
    after, before = (gold + generator.normal(0, noise, n) for noise in (1.2, 0.8))
    if metric == "f1":
        after, before = (side.round().clip(0, 4).astype(int) for side in (after, before))
    paired = pair(Samples(**make, prediction=after[:, None]), Samples(**make, prediction=before[:, None]))
    assert isinstance(paired, Paired)
    formula = find_type(type_name).formulas[metric]
    counts = generator.multinomial(n, np.full(n, 1 / n), size=1000)
    spread = float(np.std(formula(gold, after, counts) - formula(gold, before, counts), ddof=1))
    assert paired.difference.mean == pytest.approx(formula(gold, after) - formula(gold, before))
    # The best accuracy of all thresholds is no smooth function of the weights.
    assert paired.difference.error == pytest.approx(spread, rel=0.2 if metric == "max_accuracy" else 0.12)


# Positives and negatives.


def similar(positives: int, n: int, scores: Any) -> Samples:
    gold = (np.arange(n) < positives).astype(int)
    return Samples(
        type="PairClassification",
        metric="max_ap",
        stratum=np.full(n, "t/d"),
        id=np.array([f"{number:04}" for number in range(n)]),
        gold=gold,
        prediction=np.asarray(scores, dtype=float)[:, None],
    )


def test_positives_and_negatives_are_drawn_apart() -> None:
    """1 000 pairs with five positives, AP 100 before and some 7 after: not one resample is without a positive."""
    generator = np.random.default_rng(0)
    negatives = generator.random(995)
    before = np.concatenate([np.linspace(2, 3, 5), negatives])
    after = np.concatenate([np.quantile(negatives, [0.88, 0.95, 0.96, 0.97, 0.99]), negatives])
    paired = pair(similar(5, 1000, after), similar(5, 1000, before))
    assert isinstance(paired, Paired)
    assert np.isfinite(paired.difference.error)
    assert paired.difference.mean < -0.85
    outcome, reference = make_outcome(1 + paired.difference.mean), make_reference(1.0)
    for gated in (1, 10, 200):
        case = make_case("PairClassification", policy=Policy(gated=gated))
        verdict = judge(case, outcome, compared(reference, paired=paired))
        assert verdict.word == "regressed" or (verdict.word == "inconclusive" and verdict.suspect)


def test_a_single_positive_has_no_error_to_speak_of() -> None:
    negatives = np.linspace(0, 1, 999)
    paired = pair(similar(1, 1000, [0.5, *negatives]), similar(1, 1000, [2.0, *negatives]))
    assert isinstance(paired, Paired)
    case = make_case("PairClassification")
    verdict = judge(case, make_outcome(0.002), compared(make_reference(1.0), paired=paired))
    assert (verdict.word, verdict.suspect) == ("inconclusive", True)
    assert verdict.reason.endswith("; its splits and subsets have too few samples to judge by")


def test_labels_are_not_drawn_apart() -> None:
    """Of a classification into two classes the shares of gold labels vary as they do."""
    right = lost_in_turn(30)[:, :1]
    one, two = classified(right, "f1"), classified(np.ones_like(right), "f1")
    with pytest.MonkeyPatch.context() as patch:
        seen: list[Any] = []
        real = CLASSIFICATION.formulas["f1"]

        def watched(gold: Any, column: Any, counts: Any = None) -> Any:
            seen.append(counts)
            return real(gold, column, counts)

        patch.setattr(
            "touchstone.judging.pairing.find_type", lambda _: replace(CLASSIFICATION, formulas={"f1": watched})
        )
        patch.setattr("touchstone.judging.statistics.RESAMPLES", SOME)
        gold = np.arange(COUNT) % 2
        assert isinstance(pair(replace(one, gold=gold), replace(two, gold=gold)), Paired)
    counts = np.concatenate([one for one in seen if one is not None])
    assert len(set(counts[:, ::2].sum(axis=1).tolist())) > 1


# What changed.


@pytest.mark.parametrize(("step", "changed"), [(0.0, 0), (1e-6, 0), (1.01e-6, 3)])
def test_a_sample_changed_when_it_moved_by_more_than_a_millionth(step: float, changed: int) -> None:
    before = np.zeros(COUNT)
    after = before.copy()
    after[[3, 50, 119]] = [step, -step, step]
    strata = np.repeat(["t/a", "t/b"], [20, 100])
    paired = pair(replace(values(after), stratum=strata), replace(values(before), stratum=strata))
    assert isinstance(paired, Paired)
    assert paired.changed == changed
    assert paired.strata == (("t/a", 20), ("t/b", 100))
    assert [one.id for one in paired.lost] == (["q0050"] if changed else [])
    assert (paired.worst is None) == (paired.best is None) == (changed == 0)


@pytest.mark.parametrize(("step", "changed"), [(0.0, 0), (1e-6, 0), (1.01e-6, 3)])
def test_a_similarity_changed_when_it_moved_by_more_than_a_millionth(step: float, changed: int) -> None:
    gold = np.linspace(-1, 1, COUNT)
    before = np.where(np.arange(COUNT) % 40 == 0, 0.0, gold + 5)
    after = np.where(np.arange(COUNT) % 40 == 0, step, gold + 5)
    make: dict[str, Any] = {
        "type": "STS",
        "metric": "cosine_spearman",
        "id": np.array([f"{n:03}" for n in range(COUNT)]),
    }
    one, two = (
        Samples(**make, stratum=np.full(COUNT, "t/d"), gold=gold, prediction=side[:, None]) for side in (after, before)
    )
    paired = pair(one, two)
    assert isinstance(paired, Paired)
    assert paired.changed == changed
    assert paired.lost == ()


def test_similarities_in_the_same_order_lose_nothing() -> None:
    gold = np.linspace(0, 1, COUNT)
    before = np.random.default_rng(0).normal(gold, 0.5)
    ids = np.array([f"{n:03}" for n in range(COUNT)])
    make: dict[str, Any] = {"type": "STS", "metric": "cosine_spearman", "stratum": np.full(COUNT, "t/d"), "id": ids}
    one, two = (Samples(**make, gold=gold, prediction=side[:, None]) for side in (before**3, before))
    paired = pair(one, two)
    assert isinstance(paired, Paired)
    assert (paired.difference.mean, paired.difference.error, paired.changed) == (0.0, 0.0, COUNT)
    assert paired.p_loss == paired.p_gain == 0.5


@pytest.mark.parametrize("type_name", ["Classification", "MultilabelClassification", "ZeroShotClassification"])
def test_every_kind_of_classification_counts_items(type_name: str) -> None:
    one, two = (replace(classified(side), type=type_name) for side in (lost_in_turn(30), lost_in_turn(0)))
    paired = pair(one, two)
    assert isinstance(paired, Paired)
    assert paired.worst is not None
    assert paired.worst.loss == -1
    assert paired.difference.mean == pytest.approx(-0.125)


def test_the_five_that_lost_most_come_in_order_with_their_values() -> None:
    before = np.full(COUNT, 0.75)
    after = before.copy()
    after[:8] -= [0.01, 0.5, 0.02, 0.75, 0.03, 0.25, 0.04, 0.05]
    after[9] = 1.0
    paired = pair(values(after), values(before))
    assert isinstance(paired, Paired)
    assert shorten(paired.lost) == (
        "q0003 0.75 -> 0.00, q0001 0.75 -> 0.25, q0005 0.75 -> 0.50, q0007 0.75 -> 0.70, q0006 0.75 -> 0.71"
    )


def test_of_equal_losses_the_first_ids_are_shown() -> None:
    before = np.full(COUNT, 0.75)
    after = before - np.where(np.arange(COUNT) < 7, 0.0, 0.5)
    paired = pair(values(after), values(before))
    assert isinstance(paired, Paired)
    assert [one.id for one in paired.lost] == ["q0007", "q0008", "q0009", "q0010", "q0011"]


def test_shares_of_experiments_are_compared_with_the_experiments_themselves() -> None:
    right = classified(lost_in_turn(30))
    shares = replace(right, value=lost_in_turn(30).mean(axis=1), prediction=None)
    for one, two in ((right, shares), (shares, right)):
        paired = pair(one, two)
        assert isinstance(paired, Paired)
        assert (paired.changed, paired.difference.mean) == (0, 0.0)


def test_long_ids_are_shortened_and_marked() -> None:
    whole = "abcdefghijklmnopqrstuvwx"
    changes = [Change(id=whole, before=1.0, after=0.5), Change(id=f"{whole}y", before=0.126, after=0.0)]
    assert shorten(changes) == f"{whole} 1.00 -> 0.50, abcdefghijkl…rstuvwxy 0.13 -> 0.00"


def kinds(generator: np.random.Generator) -> dict[str, tuple[Samples, Samples]]:
    """Make two sides of every kind of samples that can be paired."""
    n = 60
    ids = np.array([f"{number:03}" for number in range(n)])
    strata = np.repeat(["test/a", "test/b"], [25, 35])
    gold = generator.integers(0, 2, n)

    def sides(type_name: str, metric: str, make: Any, truth: Any = gold) -> tuple[Samples, Samples]:
        return (
            Samples(type=type_name, metric=metric, stratum=strata, id=ids, gold=truth, prediction=make(0.2)),
            Samples(type=type_name, metric=metric, stratum=strata, id=ids, gold=truth, prediction=make(0.4)),
        )

    def label(wrong: float) -> Any:
        return np.where(generator.random((n, 3)) < wrong, 1 - gold[:, None], gold[:, None])

    def similarity(noise: float) -> Any:
        return gold[:, None] + noise * generator.normal(0, 3, (n, 1))

    scores = [replace(values(generator.random(n)), id=ids, stratum=strata) for _ in range(2)]
    return {
        "values": (scores[0], scores[1]),
        "accuracy": sides("Classification", "accuracy", label),
        "f1": sides("Classification", "f1", label),
        "spearman": sides("STS", "cosine_spearman", similarity, gold + generator.random(n)),
        "ap": sides("PairClassification", "max_ap", similarity),
    }


@pytest.mark.parametrize("kind", ["values", "accuracy", "f1", "spearman", "ap"])
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_swapping_sides_negates_difference_and_interval_and_exchanges_p(kind: str, seed: int) -> None:
    one, two = kinds(np.random.default_rng(seed))[kind]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("touchstone.judging.statistics.RESAMPLES", SOME)
        there, back = pair(one, two), pair(two, one)
    assert isinstance(there, Paired)
    assert isinstance(back, Paired)
    assert back.difference.mean == pytest.approx(-there.difference.mean, abs=1e-12)
    low, high = there.difference.interval()
    assert back.difference.interval() == pytest.approx((-high, -low), abs=1e-12)
    assert (back.p_loss, back.p_gain) == pytest.approx((there.p_gain, there.p_loss), abs=1e-12)
    assert (back.changed, back.strata) == (there.changed, there.strata)


@pytest.mark.parametrize("kind", ["values", "accuracy", "f1", "spearman", "ap"])
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_of_rows_does_not_matter(kind: str, seed: int) -> None:
    """As they are measured in another order, `gather` puts both sides into theirs."""
    generator = np.random.default_rng(seed)
    one, two = kinds(generator)[kind]
    again = [gather([rows(side, generator.permutation(60))]) for side in (one, two)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("touchstone.judging.statistics.RESAMPLES", SOME)
        there, back = pair(again[0], again[1]), pair(one, two)
    assert isinstance(there, Paired)
    assert isinstance(back, Paired)
    assert replace(there, few=None) == replace(back, few=None)
    if there.few is not None and back.few is not None:
        assert there.few.sums.tolist() == back.few.sums.tolist()


@pytest.mark.parametrize("kind", ["values", "accuracy", "f1", "spearman", "ap"])
def test_recorded_samples_are_identical_with_themselves(kind: str, tmp_path: Path) -> None:
    one, _ = kinds(np.random.default_rng(0))[kind]
    (tmp_path / "kept.parquet").write_bytes(encode_samples(one))
    paired = pair(one, read_samples(tmp_path / "kept.parquet"))
    assert isinstance(paired, Paired)
    assert (paired.changed, paired.difference.mean, paired.difference.error) == (0, 0.0, 0.0)
    case = make_case(one.type, policy=Policy(rule="paired"))
    verdict = judge(case, make_outcome(0.5), compared(make_reference(0.5), paired=paired))
    assert (verdict.word, verdict.delta) == ("pass", 0.0)


@given(sides(), st.floats(0, 0.2))
def test_adding_the_same_to_every_sample_never_lowers_a_bound(both: tuple[Any, Any], gain: float) -> None:
    before, after = both
    low, high = (pair(values(side), values(before)) for side in (after, after + gain))
    assert isinstance(low, Paired)
    assert isinstance(high, Paired)
    assert high.difference.lower_bound() >= low.difference.lower_bound() - 1e-12
    assert high.p_loss >= low.p_loss - 1e-12


def rows(kept: Samples, chosen: Any) -> Samples:
    """Take some rows, in an order of their own."""
    columns = {name: getattr(kept, name) for name in ("stratum", "id", "value", "prediction", "gold")}
    return replace(kept, **{name: column[chosen] for name, column in columns.items() if column is not None})


def test_forced_rules_win() -> None:
    before = np.linspace(0.2, 0.8, 1000)
    paired = pair(values(before - 0.02), values(before))
    for rule, expected in (("threshold", "threshold"), ("reproduce", "reproduce"), ("auto", "paired")):
        case = make_case("Retrieval", policy=Policy(rule=rule))  # type: ignore[arg-type]
        verdict = judge(case, make_outcome(0.48), compared(make_reference(0.5), paired=paired))
        assert verdict.rule == expected
        assert verdict.word not in OK_VERDICTS
    case = make_case("Retrieval", policy=Policy(rule="paired"))
    verdict = judge(case, make_outcome(0.5), compared(make_reference(0.5)))
    assert verdict.word == "incomparable"


def test_a_small_stratum_that_lost_is_never_passed() -> None:
    """Strata count alike: three of sixty lost are 2.25 points of the score, not three of five thousand."""
    before = np.full(5060, 0.9)
    after = before.copy()
    after[:3] = 0.0
    strata = np.array(["t/a"] * 60 + ["t/b"] * 5000)
    one, two = (replace(values(side), stratum=strata) for side in (after, before))
    paired = pair(one, two)
    assert isinstance(paired, Paired)
    for gated in (1, 3, 10, 100):
        case = make_case("Retrieval", policy=Policy(gated=gated))
        verdict = judge(case, make_outcome(0.8775), compared(make_reference(0.9), paired=paired))
        assert verdict.word == "regressed" or (verdict.word == "inconclusive" and verdict.suspect)


def test_a_stratum_of_which_least_is_known_is_what_a_pass_may_hide() -> None:
    """By hand: 40 samples that jitter by 0.01 could lose (-1 - mean)/41 and 1.645 to 1.685 such shifts more."""
    generator = np.random.default_rng(0)
    before = np.full(5040, 0.5)
    after = before + generator.normal(0, 0.01, 5040)
    strata = np.array(["t/small"] * 40 + ["t/large"] * 5000)
    paired = pair(replace(values(after), stratum=strata), replace(values(before), stratum=strata))
    assert isinstance(paired, Paired)
    assert paired.hidden is not None
    own = (after - before)[:40]
    shift = (-1 - own.mean()) / 41
    expected = own.mean() + shift - stats.t.ppf(0.95, 39) * np.hypot(stats.sem(own), shift)
    assert (paired.hidden.stratum, paired.hidden.n) == ("t/small", 40)
    assert paired.hidden.low == pytest.approx(expected)
    one = pair(values(after), values(before))
    assert isinstance(one, Paired)
    assert one.hidden is None


def test_a_stratum_of_one_sample_may_hide_everything() -> None:
    before = np.full(501, 0.5)
    after = before + np.random.default_rng(0).normal(0, 0.01, 501)
    strata = np.array(["t/a"] * 500 + ["t/b"])
    paired = pair(replace(values(after), stratum=strata), replace(values(before), stratum=strata))
    assert isinstance(paired, Paired)
    assert paired.hidden == Hidden(stratum="t/b", n=1, low=-1.0)


def test_ten_queries_that_fall_never_pass() -> None:
    """From 0.9 to 0.3 on average: regressed, or suspect, whatever the number of cases."""
    generator = np.random.default_rng(0)
    for _ in range(20):
        before, after = np.full(10, 0.9), np.clip(generator.normal(0.3, generator.uniform(0, 0.4), 10), 0, 1)
        if after.mean() > 0.85:
            continue
        for gated in (1, 41):
            verdict = verdict_of(before, after, gated=gated)
            assert verdict.word == "regressed" or (verdict.word == "inconclusive" and verdict.suspect)


def test_labels_that_are_words_are_paired() -> None:
    ids = np.array([f"{n:03}" for n in range(COUNT)])
    gold = np.where(np.arange(COUNT) % 2, "yes", "no")
    make: dict[str, Any] = {"type": "Classification", "metric": "f1", "stratum": np.full(COUNT, "t/d"), "id": ids}
    worse = np.where(np.arange(COUNT) < 20, "no", gold)
    paired = pair(
        Samples(**make, gold=gold, prediction=worse[:, None]), Samples(**make, gold=gold, prediction=gold[:, None])
    )
    assert isinstance(paired, Paired)
    assert paired.changed == 10
    assert paired.difference.mean < 0


def test_score_without_a_paired_test_is_judged_by_its_margin() -> None:
    ids = np.array(["a", "b"])
    kept = Samples(type="InstructionReranking", metric="p-MRR", stratum=np.full(2, "t/d"), id=ids, top=[["x"], ["y"]])
    assert pair(kept, kept) is None
    comparison = compared(make_reference(0.5), paired=pair(kept, kept))
    assert judge(make_case("InstructionReranking"), make_outcome(0.5), comparison).word == "pass"


def test_single_sample_in_one_stratum_does_not_hide_a_loss_in_the_others() -> None:
    before = np.full(501, 0.8)
    after = before - np.random.default_rng(0).uniform(0.3, 0.4, 501)
    strata = np.array(["t/a"] * 500 + ["t/b"])
    paired = pair(replace(values(after), stratum=strata), replace(values(before), stratum=strata))
    assert isinstance(paired, Paired)
    comparison = compared(make_reference(0.8), paired=paired)
    verdict = judge(make_case("Retrieval"), make_outcome(0.45), comparison)
    assert (verdict.word, verdict.suspect) == ("inconclusive", True)
    # What the lone one's stratum may gain is not known; half of the loss is left where it gains nothing.
    alone = judge(make_case("Retrieval"), make_outcome(0.45), replace(comparison, paired=replace(paired, best=None)))
    assert alone.word == "regressed"


def test_the_samples_that_lost_most_are_told_apart() -> None:
    same = "x" * 30
    ids = ("5725d79e89a1e219009abf90", same + "-answer-1", same + "-answer-2")
    shown = shorten([Change(id=id_, before=1.0, after=0.5) for id_ in ids]).split(", ")
    assert shown[0] == "5725d79e89a1e219009abf90 1.00 -> 0.50"
    assert shown[1] == "xxxxxxxxxxxx…answer-1 1.00 -> 0.50"
    assert len(set(shown)) == 3
