"""Pairing samples and judging the pairs: the laws of the gate on per-sample differences."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.gate import Circumstances, judge
from evals.pairing import Change, Paired, pair, shorten
from evals.records import OK_VERDICTS, Policy, Verdict
from evals.samples import Samples
from tests.builders import ENV, make_case, make_outcome, make_reference

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
    return judge(case, outcome, reference, Circumstances(env=ENV, gated=gated, paired=paired))


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
    assert verdict.word == "unresolved"
    assert "a pass needs 100 samples" in verdict.reason


@pytest.mark.parametrize(("changed", "n", "word"), [(5, 1185, "pass"), (3, 300, "unresolved")])
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
    verdict = judge(make_case("Retrieval"), make_outcome(), make_reference(), Circumstances(env=ENV, paired=told))
    assert (verdict.word, verdict.ok) == ("incomparable", False)


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
    circumstances = Circumstances(env=ENV, gated=10, paired=paired)
    verdict = judge(make_case("Classification"), make_outcome(0.925), make_reference(1.0), circumstances)
    assert verdict.word == "unresolved"
    assert verdict.reason.endswith("its experiments differ too much, which more samples would not settle")


@pytest.mark.parametrize(
    ("type_name", "metric"),
    [("STS", "cosine_spearman"), ("PairClassification", "max_ap"), ("Classification", "f1"), ("BitextMining", "f1")],
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
    exact = type_name in ("Classification", "BitextMining")
    before = np.where(noise < 1, gold, 0) if exact else gold + noise
    after = np.where(noise < -0.5, gold, 0) if exact else gold + 5 * noise
    worse = pair(Samples(**make, prediction=after[:, None]), Samples(**make, prediction=before[:, None]))
    assert isinstance(worse, Paired)
    assert worse.difference.mean < 0
    assert worse.p_loss < 0.05
    assert not worse.decomposable
    assert worse == pair(Samples(**make, prediction=after[:, None]), Samples(**make, prediction=before[:, None]))


def test_so_few_pairs_that_a_resample_has_no_positive_are_undecided_and_not_a_crash() -> None:
    ids = np.array(["a", "b", "c"])
    make: dict[str, Any] = {"type": "PairClassification", "metric": "max_ap", "stratum": np.full(3, "t/d"), "id": ids}
    one, two = (
        Samples(**make, gold=np.array([1, 0, 0]), prediction=np.array(scores)[:, None])
        for scores in ([0.9, 0.5, 0.1], [0.2, 0.5, 0.1])
    )
    paired = pair(one, two)
    assert isinstance(paired, Paired)
    case = make_case("PairClassification")
    verdict = judge(case, make_outcome(1.0), make_reference(0.5), Circumstances(env=ENV, paired=paired))
    assert verdict.word == "unresolved"
    assert verdict.evidence is None


def test_forced_rules_win() -> None:
    before = np.linspace(0.2, 0.8, COUNT)
    paired = pair(values(before - 0.02), values(before))
    for rule, expected in (("threshold", "threshold"), ("reproduce", "reproduce"), ("auto", "paired")):
        case = make_case("Retrieval", policy=Policy(rule=rule))  # type: ignore[arg-type]
        verdict = judge(case, make_outcome(0.48), make_reference(0.5), Circumstances(env=ENV, paired=paired))
        assert verdict.rule == expected
        assert verdict.word not in OK_VERDICTS
    case = make_case("Retrieval", policy=Policy(rule="paired"))
    verdict = judge(case, make_outcome(0.5), make_reference(0.5), Circumstances(env=ENV))
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
        circumstances = Circumstances(env=ENV, gated=gated, paired=paired)
        assert judge(make_case("Retrieval"), make_outcome(0.8775), make_reference(0.9), circumstances).word != "pass"


def test_few_changed_samples_that_could_stand_for_more_say_how_much() -> None:
    before = np.full(300, 0.9)
    after = before.copy()
    after[:3] -= 0.01
    circumstances = Circumstances(env=ENV, paired=pair(values(after), values(before)))
    verdict = judge(make_case("Retrieval"), make_outcome(0.8999), make_reference(0.9), circumstances)
    assert verdict.word == "unresolved"
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
    circumstances = Circumstances(env=ENV, paired=pair(kept, kept))
    assert (
        judge(make_case("InstructionReranking"), make_outcome(0.5), make_reference(0.5), circumstances).word == "pass"
    )


def test_single_sample_in_one_stratum_does_not_hide_a_loss_in_the_others() -> None:
    before = np.full(501, 0.8)
    after = before - np.random.default_rng(0).uniform(0.3, 0.4, 501)
    strata = np.array(["t/a"] * 500 + ["t/b"])
    paired = pair(replace(values(after), stratum=strata), replace(values(before), stratum=strata))
    assert isinstance(paired, Paired)
    circumstances = Circumstances(env=ENV, paired=paired)
    assert judge(make_case("Retrieval"), make_outcome(0.45), make_reference(0.8), circumstances).word == "regressed"


def test_the_samples_that_lost_most_are_told_apart() -> None:
    same = "x" * 30
    ids = ("5725d79e89a1e219009abf90", same + "-answer-1", same + "-answer-2")
    shown = shorten([Change(id=id_, before=1.0, after=0.5) for id_ in ids]).split(", ")
    assert shown[0] == "5725d79e89a1e219009abf90 1.00 -> 0.50"
    assert shown[1] == "xxxxxxxxxxxx…answer-1 1.00 -> 0.50"
    assert len(set(shown)) == 3
