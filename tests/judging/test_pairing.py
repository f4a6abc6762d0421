"""Pairing samples and judging the pairs: the laws of the gate on per-sample differences."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.builders import compared, make_case, make_outcome, make_reference
from touchstone.judging.gate import judge
from touchstone.judging.pairing import Change, Paired, pair, shorten
from touchstone.judging.statistics import mean_difference
from touchstone.records.cases import Policy
from touchstone.records.samples import Samples, encode_samples, gather, read_samples
from touchstone.records.verdicts import OK_VERDICTS, Verdict
from touchstone.session.changes import find_changes

COUNT = 120


def values(scores: Any, metric: str = "ndcg_at_10") -> Samples:
    ids = np.array([f"q{number:04}" for number in range(len(scores))])
    return Samples(type="Retrieval", metric=metric, stratum=np.full(len(ids), "test/default"), id=ids, value=scores)


def verdict_of(before: Any, after: Any, gated: int = 1, **policy: Any) -> Verdict:
    paired = pair(values(after), values(before))
    assert isinstance(paired, Paired)
    case = make_case("Retrieval", policy=Policy(**policy))
    outcome = make_outcome(float(np.mean(after)))
    reference = make_reference(float(np.mean(before)))
    return judge(case, outcome, compared(reference, gated=gated, paired=paired))


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


def test_a_pass_needs_a_hundred_samples() -> None:
    generator = np.random.default_rng(0)
    before = generator.uniform(0.3, 0.7, 99)
    verdict = verdict_of(before, before + generator.normal(0.01, 0.001, 99), margin=0.1)
    assert verdict.word == "inconclusive"
    assert "a pass needs 100 samples" in verdict.reason


@pytest.mark.parametrize(("changed", "n", "word"), [(5, 1185, "pass"), (3, 300, "inconclusive")])
def test_a_handful_of_changed_samples_is_judged_by_the_worst_they_can_stand_for(
    changed: int, n: int, word: str
) -> None:
    before = np.full(n, 0.5)
    after = before.copy()
    after[:changed] -= 0.001
    assert verdict_of(before, after).word == word


def test_clear_loss_is_regressed_and_names_the_samples_that_lost_most() -> None:
    generator = np.random.default_rng(1)
    before = generator.uniform(0.5, 1, 400)
    after = before - 0.03 + generator.normal(0, 0.02, 400)
    after[7] = before[7] - 0.5
    verdict = verdict_of(before, after, gated=3)
    assert verdict.word == "regressed"
    assert "< 0.05/3" in verdict.reason
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
    comparison = compared(make_reference(1.0), gated=10, paired=paired)
    verdict = judge(make_case("Classification"), make_outcome(0.925), comparison)
    assert verdict.word == "inconclusive"
    assert verdict.reason.endswith("its experiments differ too much, which more samples would not settle")


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
    assert not worse.decomposable
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
FEW = 60  # resamples: these laws hold for any number of them


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


def test_experiments_that_disagree_more_than_items_give_the_error() -> None:
    """By hand: five losses of 0.25 among ten have a standard error of 0.125/√9 = 1/24, and t = -3."""
    paired = pair(classified(lost_in_turn(30)), classified(np.ones((COUNT, EXPERIMENTS), int)))
    assert isinstance(paired, Paired)
    assert paired.difference.mean == pytest.approx(-0.125)
    assert paired.difference.error == pytest.approx(1 / 24)
    assert paired.difference.degrees == pytest.approx(9)
    assert paired.difference.n == COUNT
    assert paired.p_loss == pytest.approx(0.007478, abs=1e-6)  # Student's t with 9 degrees at -3
    assert paired.p_gain > 1 - 0.007478


def test_experiments_of_two_strata_are_put_together_as_items_are() -> None:
    """Losses of 0.25 and of 0.5 in every second experiment: errors 1/24 and 2/24 of strata that count alike."""
    strata = np.repeat(["test/a", "test/b"], COUNT)
    after = np.concatenate([lost_in_turn(30), lost_in_turn(60)])
    before = classified(np.ones((2 * COUNT, EXPERIMENTS), int), stratum=strata)
    paired = pair(classified(after, stratum=strata), before)
    assert isinstance(paired, Paired)
    assert paired.difference.mean == pytest.approx(-(0.125 + 0.25) / 2)
    assert paired.difference.error == pytest.approx(np.sqrt(1 + 4) / 24 / 2)
    assert paired.difference.degrees == pytest.approx(9 * 5**2 / (1 + 16))
    assert paired.difference.n == 2 * COUNT


@pytest.mark.parametrize("experiments", [1, 2, EXPERIMENTS])
def test_experiments_that_agree_leave_the_error_to_the_items(experiments: int) -> None:
    before = np.ones((COUNT, experiments), int)
    after = before.copy()
    after[:30] = 0
    paired = pair(classified(after), classified(before))
    assert isinstance(paired, Paired)
    assert paired.difference == mean_difference([(after - before)[:, 0].astype(float)])
    assert paired.p_loss == paired.difference.p_loss()


def test_two_experiments_are_enough_to_disagree() -> None:
    right = np.ones((COUNT, 2), int)
    right[:60, 0] = 0  # half of the items in one of two: 0.25 ± 0.25
    paired = pair(classified(right), classified(np.ones((COUNT, 2), int)))
    assert isinstance(paired, Paired)
    assert (paired.difference.mean, paired.difference.error) == pytest.approx((-0.25, 0.25))
    assert paired.difference.degrees == pytest.approx(1)


def test_other_numbers_of_experiments_are_compared_item_by_item() -> None:
    after = lost_in_turn(30)
    paired = pair(classified(after), classified(np.ones((COUNT, 5), int)))
    assert isinstance(paired, Paired)
    assert paired.difference == mean_difference([after.mean(axis=1) - 1])


def test_experiments_never_make_a_small_sample_surer() -> None:
    """Twenty items all lost in every experiment but one: signs flipped at random say 2⁻²⁰, the experiments more."""
    right = np.zeros((20, EXPERIMENTS), int)
    right[:, 0] = 1
    paired = pair(classified(right), classified(np.ones((20, EXPERIMENTS), int)))
    assert isinstance(paired, Paired)
    assert paired.difference.error == pytest.approx(0.1)
    assert paired.p_loss == pytest.approx(stats.t.cdf(-9, 9))
    assert paired.p_gain == 1.0


@pytest.mark.parametrize(("n", "loss", "gain"), [(29, 2.0**-29, 1.0), (30, 0.0, 1.0)])
def test_below_thirty_samples_p_counts_signs(n: int, loss: float, gain: float) -> None:
    before = np.full(n, 0.5)
    after = before - np.linspace(0.1, 0.11, n)
    paired = pair(values(after), values(before))
    assert isinstance(paired, Paired)
    loss = loss or paired.difference.p_loss()
    assert (paired.p_loss, paired.p_gain) == pytest.approx((loss, gain), rel=1e-6, abs=0)
    other = pair(values(before), values(after))
    assert isinstance(other, Paired)
    assert (other.p_loss, other.p_gain) == pytest.approx((gain, loss), rel=1e-6, abs=0)


@pytest.mark.parametrize(("step", "changed"), [(0.0, 0), (1e-6, 0), (1.01e-6, 3)])
def test_a_sample_changed_when_it_moved_by_more_than_a_millionth(step: float, changed: int) -> None:
    before = np.zeros(COUNT)
    after = before.copy()
    after[[3, 50, 119]] = [step, -step, step]
    strata = np.repeat(["t/a", "t/b"], [20, 100])
    paired = pair(replace(values(after), stratum=strata), replace(values(before), stratum=strata))
    assert isinstance(paired, Paired)
    assert paired.changed == changed
    assert paired.strata == ((1 if changed else 0, 20), (2 if changed else 0, 100))
    assert [one.id for one in paired.worst] == (["q0050"] if changed else [])


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
    assert paired.decomposable is False


def test_similarities_in_the_same_order_lose_nothing() -> None:
    gold = np.linspace(0, 1, COUNT)
    before = np.random.default_rng(0).normal(gold, 0.5)
    ids = np.array([f"{n:03}" for n in range(COUNT)])
    make: dict[str, Any] = {"type": "STS", "metric": "cosine_spearman", "stratum": np.full(COUNT, "t/d"), "id": ids}
    one, two = (Samples(**make, gold=gold, prediction=side[:, None]) for side in (before**3, before))
    paired = pair(one, two)
    assert isinstance(paired, Paired)
    assert (paired.difference.mean, paired.difference.error, paired.changed) == (0.0, 0.0, COUNT)


@pytest.mark.parametrize("type_name", ["Classification", "MultilabelClassification", "ZeroShotClassification"])
def test_every_kind_of_classification_counts_items(type_name: str) -> None:
    one, two = (replace(classified(side), type=type_name) for side in (lost_in_turn(30), lost_in_turn(0)))
    paired = pair(one, two)
    assert isinstance(paired, Paired)
    assert paired.decomposable
    assert paired.difference.mean == pytest.approx(-0.125)


def test_other_numbers_of_experiments_count_as_all_changed() -> None:
    right = lost_in_turn(30)
    paired = pair(classified(right, "f1"), classified(right[:, :5], "f1"))
    assert isinstance(paired, Paired)
    assert paired.changed == COUNT


def test_the_five_that_lost_most_come_in_order_with_their_values() -> None:
    before = np.full(COUNT, 0.75)
    after = before.copy()
    after[:8] -= [0.01, 0.5, 0.02, 0.75, 0.03, 0.25, 0.04, 0.05]
    after[9] = 1.0
    paired = pair(values(after), values(before))
    assert isinstance(paired, Paired)
    assert shorten(paired.worst) == (
        "q0003 0.75 -> 0.00, q0001 0.75 -> 0.25, q0005 0.75 -> 0.50, q0007 0.75 -> 0.70, q0006 0.75 -> 0.71"
    )


def test_of_a_summary_a_correlation_may_lose_more_than_one() -> None:
    for type_name, decomposable in (("Retrieval", True), ("Summarization", False)):
        one, two = (replace(values(np.linspace(0, end, COUNT)), type=type_name) for end in (1.0, 0.9))
        paired = pair(one, two)
        assert isinstance(paired, Paired)
        assert paired.decomposable is decomposable


def test_of_equal_losses_the_first_ids_are_shown() -> None:
    before = np.full(COUNT, 0.75)
    after = before - np.where(np.arange(COUNT) < 7, 0.0, 0.5)
    paired = pair(values(after), values(before))
    assert isinstance(paired, Paired)
    assert [one.id for one in paired.worst] == ["q0007", "q0008", "q0009", "q0010", "q0011"]


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
        patch.setattr("touchstone.judging.statistics.RESAMPLES", FEW)
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
        patch.setattr("touchstone.judging.statistics.RESAMPLES", FEW)
        assert pair(again[0], again[1]) == pair(one, two)


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
    before = np.linspace(0.2, 0.8, COUNT)
    paired = pair(values(before - 0.02), values(before))
    for rule, expected in (("threshold", "threshold"), ("reproduce", "reproduce"), ("auto", "paired")):
        case = make_case("Retrieval", policy=Policy(rule=rule))  # type: ignore[arg-type]
        verdict = judge(case, make_outcome(0.48), compared(make_reference(0.5), paired=paired))
        assert verdict.rule == expected
        assert verdict.word not in OK_VERDICTS
    case = make_case("Retrieval", policy=Policy(rule="paired"))
    verdict = judge(case, make_outcome(0.5), compared(make_reference(0.5)))
    assert verdict.word == "incomparable"


def test_few_changed_samples_are_bounded_stratum_by_stratum() -> None:
    """Strata count alike: three of sixty lost are 2.25 points of the score, not three of five thousand."""
    before = np.full(5060, 0.9)
    after = before.copy()
    after[:3] = 0.0
    strata = np.array(["t/a"] * 60 + ["t/b"] * 5000)
    one, two = (replace(values(side), stratum=strata) for side in (after, before))
    paired = pair(one, two)
    assert isinstance(paired, Paired)
    for gated in (1, 3, 10, 100):
        comparison = compared(make_reference(0.9), gated=gated, paired=paired)
        assert judge(make_case("Retrieval"), make_outcome(0.8775), comparison).word != "pass"


def test_few_changed_samples_that_could_stand_for_more_say_how_much() -> None:
    before = np.full(300, 0.9)
    after = before.copy()
    after[:3] -= 0.01
    comparison = compared(make_reference(0.9), paired=pair(values(after), values(before)))
    verdict = judge(make_case("Retrieval"), make_outcome(0.8999), comparison)
    assert verdict.word == "inconclusive"
    assert verdict.reason.endswith("; so few changed samples could stand for a loss of 2.56")


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
    assert judge(make_case("Retrieval"), make_outcome(0.45), comparison).word == "regressed"


def test_the_samples_that_lost_most_are_told_apart() -> None:
    same = "x" * 30
    ids = ("5725d79e89a1e219009abf90", same + "-answer-1", same + "-answer-2")
    shown = shorten([Change(id=id_, before=1.0, after=0.5) for id_ in ids]).split(", ")
    assert shown[0] == "5725d79e89a1e219009abf90 1.00 -> 0.50"
    assert shown[1] == "xxxxxxxxxxxx…answer-1 1.00 -> 0.50"
    assert len(set(shown)) == 3
