"""The verdicts on one case, at every bound.

Mutation testing (see `tool.mutmut` in pyproject.toml) leaves these alive, which change nothing that can be told apart:

- `<` for `<=` beside a ROUNDING of 1e-9 that is arbitrary itself (`_by_reproduction`, `_by_threshold`, `_is_suspect`,
  `_at_chance`, `_lost`, the rules); bounds that only two equal floats would meet (`_pass` of the suite, `_too_few`);
- `zip` without its check of lengths, `None` for False, `assume_unique`, and types of numbers that are float64 anyway;
- a mean against anchors that no case has, which is the mean itself (`_decide`); a shift of the worst sample above 0,
  which counts as 0 (`_mean`); the mean of a difference where only its error is asked for (`_with_level`);
- other steps and starting points of a search that ends at the same number (`samples_to_settle`), other degrees of a
  part that is 0 (`_interaction`), halves of other sizes and each sum twice (`sign_flip_p`, whose sums come with either
  sign), and -2 for the -1 by which numpy works out a length (`make_sketch`) or that pads a
  table (`find_groups`); wider numbers than are needed (`_chosen`), room for more (`count_in`), and what is done without
  any sample (`find_groups`);
- p-values above one half (`_corrected`), what is at most a whole loss anyway (`_find_hidden`), one experiment that is
  crossed with itself (`_crossed`), the numbers that zeros are of (`_pair_values`), and n of a difference of which a
  bound alone is asked (`_find_hidden`), influences that nobody reads where there is no error (`estimate`), and the next
  class of a stratum that has one only (`_scaled`);
- influences by leaving out instead of the formula's own, which are the same to two percent (`_influence`).
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from statistics import fmean
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import touchstone.baselines.files
from tests.builders import (
    DATA_REVISION,
    ENV,
    FINGERPRINT,
    MODEL,
    REVISION,
    compared,
    make_case,
    make_identity,
    make_outcome,
    make_reference,
)
from touchstone.formatting import points, signed_points
from touchstone.judging.gate import expected_score, judge, rejudge
from touchstone.judging.pairing import Change, Extreme, FewUnits, Hidden, Paired, pair
from touchstone.judging.statistics import Difference, detectable, samples_to_settle
from touchstone.records.baselines import Reference
from touchstone.records.cases import Policy
from touchstone.records.outcomes import Settings
from touchstone.records.runs import Record, make_record
from touchstone.records.samples import Samples
from touchstone.records.verdicts import Anchored, Slice, Terms, Verdict, VerdictWord

fractions = st.floats(-1, 1)
types = st.sampled_from(["STS", "Retrieval", "Classification", "MultilabelClassification", "Clustering"])
some_subsets = st.dictionaries(st.sampled_from(["test/en", "test/de", "dev/en"]), fractions, min_size=1)


def repeated(
    delta: float, type_name: str = "STS", here: str | None = None, there: str | None = None, **entry: Any
) -> Verdict:
    """Judge a repetition of a measurement of 0.5 that came out `delta` away from it."""
    outcome = make_outcome(0.5 + delta, settings=Settings(dtype=here))
    reference = make_reference(0.5, alias="other", fingerprint=FINGERPRINT, settings=Settings(dtype=there), **entry)
    return judge(make_case(type_name), outcome, compared(reference))


TOLERANCES = [
    ("STS", None, None, 5e-4),
    ("STS", "float32", "float16", 5e-4),
    ("Retrieval", None, None, 5e-4),
    ("PairClassification", "float32", "float32", 5e-4),
    ("STS", "bfloat16", "float32", 1e-3),
    ("Retrieval", None, "bfloat16", 1e-3),
    ("Classification", None, None, 5e-3),
    ("MultilabelClassification", None, None, 5e-3),
    ("Classification", "bfloat16", "bfloat16", 5e-3),
    ("Clustering", None, None, 5e-3),
]


@pytest.mark.parametrize(("type_name", "here", "there", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_repetition_may_move_by_its_tolerance_and_no_more(
    type_name: str, here: str | None, there: str | None, tolerance: float, sign: int
) -> None:
    inside = repeated(sign * 0.99 * tolerance, type_name, here, there)
    outside = repeated(sign * 1.01 * tolerance, type_name, here, there)

    assert (inside.word, inside.rule) == ("pass", "reproduce")
    assert (outside.word, outside.rule) == ("drifted", "reproduce")


@pytest.mark.parametrize(("was", "now"), [(0.66027, 0.66077), (0.82, 0.8205), (0.3, 0.2995), (0.1, 0.0995)])
def test_a_repetition_exactly_at_the_tolerance_passes_in_decimals_as_people_read_them(was: float, now: float) -> None:
    verdict = judge(make_case(), make_outcome(now), compared(make_reference(was, fingerprint=FINGERPRINT)))

    assert (verdict.word, verdict.rule) == ("pass", "reproduce"), verdict.reason


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({**ENV, "scikit-learn": "1.6.0"}, ["scikit-learn", "1.7.2", "1.6.0"]),
        ({**ENV, "numpy": "2.0.1"}, ["numpy", "2.3.5", "2.0.1"]),
        ({**ENV, "mteb": "1.12.75"}, ["mteb", "2.26.1", "1.12.75"]),
        ({"mteb": ENV["mteb"], "numpy": ENV["numpy"]}, ["scikit-learn", "not known"]),
        ({}, ["not known"]),
    ],
)
def test_a_clustering_from_another_or_an_unknown_environment_is_unresolved(
    env: Mapping[str, str], told: list[str]
) -> None:
    verdict = repeated(-0.006, "Clustering", env=env)

    assert (verdict.word, verdict.rule, verdict.ok) == ("inconclusive", "reproduce", True)
    assert "other environment" in verdict.reason
    assert all(part in verdict.reason for part in told)
    assert repeated(0.0, "Clustering", env=env).ok


@pytest.mark.parametrize(
    ("type_name", "env"), [("Clustering", {**ENV, "torch": "2.4.0"}), ("Classification", {}), ("STS", {})]
)
def test_the_environment_excuses_only_clusterings_and_only_by_what_clusters(
    type_name: str, env: Mapping[str, str]
) -> None:
    assert repeated(-0.006, type_name, env=env).word == "drifted"


@pytest.mark.parametrize(
    ("entry", "who", "whose", "rule"),
    [
        ({"fingerprint": FINGERPRINT}, {}, {}, "reproduce"),
        ({"fingerprint": FINGERPRINT}, {"name": "local/x", "revision": None, "unmodified": False}, {}, "reproduce"),
        ({}, {}, {}, "threshold"),
        ({"imported": True}, {}, {}, "reproduce"),
        ({"imported": True}, {"fingerprint": "aaaaaaaaaaaa"}, {}, "reproduce"),
        ({"imported": True}, {"unmodified": False}, {}, "threshold"),
        ({"imported": True}, {"name": "someone/else"}, {}, "threshold"),
        ({"imported": True}, {"revision": "0" * 40}, {}, "threshold"),
        ({"imported": True}, {"revision": None}, {}, "threshold"),
        ({"imported": True}, {"revision": None}, {"revision": None}, "threshold"),
        ({"imported": True}, {}, {"model": "someone/else"}, "threshold"),
    ],
)
def test_only_the_same_weights_or_the_published_model_itself_repeat_a_measurement(
    entry: dict[str, Any], who: dict[str, Any], whose: dict[str, Any], rule: str
) -> None:
    outcome = make_outcome(0.815, identity=make_identity(**who))
    verdict = judge(make_case(), outcome, compared(make_reference(0.82, **whose, **entry)))

    assert verdict.rule == rule
    assert verdict.word == ("drifted" if rule == "reproduce" else "pass")


@pytest.mark.parametrize(
    ("was", "now", "margin", "word"),
    [
        (0.82, 0.8101, 0.01, "pass"),
        (0.82, 0.81, 0.01, "pass"),
        (0.72, 0.71, 0.01, "pass"),
        (0.66027, 0.65027, 0.01, "pass"),
        (0.82, 0.8099, 0.01, "regressed"),
        (0.82, 0.801, 0.02, "pass"),
        (0.82, 0.799, 0.02, "regressed"),
        (0.82, 0.95, 0.01, "pass"),
        (-0.2, -0.205, 0.01, "pass"),
    ],
)
def test_another_model_may_lose_the_margin_and_no_more(was: float, now: float, margin: float, word: str) -> None:
    verdict = judge(make_case(policy=Policy(margin=margin)), make_outcome(now), compared(make_reference(was)))

    assert (verdict.word, verdict.rule) == (word, "threshold"), verdict.reason


def test_the_reason_of_a_threshold_names_metric_scores_difference_margin_and_baseline() -> None:
    verdict = judge(make_case(), make_outcome(0.8), compared(make_reference(0.8203, alias="other")))

    assert verdict.reason == "cosine_spearman 80.00, was 82.03 in other (Δ −2.03), beyond the margin of 1.00"


@pytest.mark.parametrize(("score", "word"), [(0.7999, "regressed"), (0.8, "pass"), (0.8001, "pass")])
def test_a_floor_is_absolute(score: float, word: str) -> None:
    verdict = judge(make_case(policy=Policy(floor=0.8)), make_outcome(score), compared(make_reference(score)))

    assert verdict.word == word


@pytest.mark.parametrize(
    "reference",
    [None, make_reference(0.5), make_reference(0.7, fingerprint=FINGERPRINT), make_reference(metric="other")],
    ids=["no baseline", "improved", "reproduced", "incomparable"],
)
def test_below_the_floor_nothing_else_counts(reference: Reference | None) -> None:
    verdict = judge(make_case(policy=Policy(floor=0.8)), make_outcome(0.7), compared(reference))

    assert (verdict.word, verdict.rule) == ("regressed", "floor")
    assert "70.00" in verdict.reason
    assert "80.00" in verdict.reason


@pytest.mark.parametrize(
    ("chance", "was", "now", "caught"),
    [
        (0.0, 0.82, 0.01, True),
        (0.0, 0.82, -0.4, True),
        (0.0, 0.82, 0.0101, False),
        (0.0, 0.051, 0.01, True),
        (0.0, 0.05, 0.01, False),
        (0.5, 0.7, 0.51, True),
        (0.5, 0.7, 0.515, False),
        (0.5, 0.54, 0.5, False),
        (None, 0.7, 0.0, False),
    ],
)
@pytest.mark.parametrize("entry", [{}, {"fingerprint": FINGERPRINT}], ids=["other model", "same model"])
def test_a_score_at_chance_is_a_broken_model_whatever_the_rule(
    chance: float | None, was: float, now: float, caught: bool, entry: dict[str, Any]
) -> None:
    case = make_case(policy=Policy(margin=0.02))
    verdict = judge(case, make_outcome(now, chance=chance), compared(make_reference(was, **entry)))

    assert (verdict.rule == "chance") == caught
    if caught:
        assert verdict.word == "regressed"
        assert verdict.baseline == was
        assert verdict.delta == now - was
        assert verdict.reason.endswith(f": at chance ({points(chance or 0)}): check pooling, prompts, weights first")


@pytest.mark.parametrize(("margin", "rule"), [(0.049, "chance"), (0.05, "threshold"), (0.49, "threshold")])
def test_a_score_at_chance_that_lost_no_more_than_the_margin_is_none(margin: float, rule: str) -> None:
    verdict = judge(
        make_case(policy=Policy(margin=margin)), make_outcome(0.51, chance=0.5), compared(make_reference(0.56))
    )

    assert verdict.rule == rule
    assert verdict.ok == (rule == "threshold")


OURS, THEIRS = "1" * 64, "2" * 64
SETTINGS: list[tuple[str, Any, Any]] = [
    ("prompts", {"query": "q: "}, {"query": "query: "}),
    ("pooling", "cls", "mean"),
    ("max_length", 256, 512),
    ("dtype", "float16", "float32"),
    ("dimension", 128, 384),
    ("quantize", "int8", "binary"),
]
INCOMPARABLE: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[str]]] = {
    "metric": ({}, {}, {"metric": "max_ap"}, ["metric", "cosine_spearman", "max_ap"]),
    "limit": ({"limit": 50}, {}, {"limit": 100}, ["limit", "50", "100"]),
    "limit of a whole baseline": ({"limit": 50}, {}, {}, ["limit", "50"]),
    "limited baseline": ({}, {}, {"limit": 100}, ["limit", "100"]),
    "stratum": ({}, {"score": {"test/en": 0.8, "test/fr": 0.8}}, {"score": {"test/en": 0.8}}, ["test/fr"]),
    "data": ({}, {"data_sha256": OURS}, {"data_sha256": THEIRS}, ["data", OURS[:12], THEIRS[:12]]),
    "data of an imported entry": (
        {}, {"data_sha256": OURS}, {"data_sha256": THEIRS, "imported": True}, ["data", OURS[:12], THEIRS[:12]],
    ),
    "recorded revision": ({}, {"data_sha256": OURS}, {"dataset_revision": "abc"}, ["revision", DATA_REVISION, "abc"]),
    **{
        name: (
            {},
            {"settings": Settings(**{name: a})},
            {"settings": Settings(**{name: b})},
            [name, str(a), str(b)],
        )
        for name, a, b in SETTINGS
    },
}  # fmt: skip


@pytest.mark.parametrize("name", INCOMPARABLE)
def test_measurements_of_different_things_are_incomparable_and_both_values_are_told(name: str) -> None:
    case, outcome, entry, told = INCOMPARABLE[name]
    verdict = judge(make_case(**case), make_outcome(**outcome), compared(make_reference(**entry)))

    assert (verdict.word, verdict.ok, verdict.delta) == ("incomparable", False, None)
    assert all(part in verdict.reason for part in told), verdict.reason


@pytest.mark.parametrize(
    ("outcome", "entry"),
    [
        ({"settings": Settings(pooling="mean", dimension=384)}, {}),
        ({}, {"settings": Settings(prompts={"query": "q: "}, max_length=512)}),
        ({"settings": Settings(dtype="float32")}, {"settings": Settings(dtype="float32", pooling="cls")}),
        ({"settings": Settings(long_texts="cuts, about")}, {"settings": Settings(long_texts="cuts, or so")}),
        ({"data_sha256": OURS}, {}),
        ({}, {"data_sha256": THEIRS}),
        ({"data_sha256": OURS}, {"data_sha256": OURS, "dataset_revision": "abc"}),
        ({"data_sha256": OURS}, {"dataset_revision": "abc", "imported": True}),
        ({}, {"dataset_revision": "abc", "imported": True}),
    ],
)
def test_what_only_one_side_knows_and_old_revisions_of_published_numbers_stop_no_comparison(
    outcome: dict[str, Any], entry: dict[str, Any]
) -> None:
    assert judge(make_case(), make_outcome(**outcome), compared(make_reference(**entry))).word == "pass"


def test_another_revision_of_an_imported_entry_is_noted() -> None:
    reference = make_reference(imported=True, dataset_revision="abc")
    verdict = judge(make_case(), make_outcome(), compared(reference))

    assert "abc" in verdict.reason
    assert DATA_REVISION[:7] in verdict.reason


@pytest.mark.parametrize("entry", [{}, {"fingerprint": FINGERPRINT}, {"imported": True}])
def test_against_another_alias_settings_are_judged_and_listed_as_differences(entry: dict[str, Any]) -> None:
    outcome = make_outcome(settings=Settings(pooling="cls", dimension=128))
    reference = make_reference(alias="other", settings=Settings(pooling="mean", dimension=384), **entry)
    verdict = judge(make_case(), outcome, compared(reference))

    assert verdict.word == "pass"
    assert all(part in verdict.reason for part in ("pooling", "cls", "mean", "dimension", "128", "384"))


def test_a_run_of_fewer_strata_is_compared_with_the_same_strata() -> None:
    reference = make_reference({"test/en": 0.9, "test/de": 0.5, "dev/en": 0.1})
    verdict = judge(make_case(), make_outcome({"test/de": 0.495, "test/en": 0.895}), compared(reference))

    assert verdict.word == "pass"
    assert verdict.baseline == pytest.approx(0.7)
    assert verdict.delta == pytest.approx(-0.005)


def test_without_a_baseline_a_case_is_missing_and_fails() -> None:
    verdict = judge(make_case(), make_outcome(), compared(None))

    assert (verdict.word, verdict.ok) == ("missing", False)
    assert "minilm:STSBenchmark" in verdict.reason


def test_exactly_pass_improved_and_unresolved_let_a_case_pass() -> None:
    passing = {word for word in get_args(VerdictWord) if Verdict(word=word, reason="").ok}

    assert passing == {"pass", "improved", "inconclusive"}


@given(fractions, fractions, st.none() | st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_wider_margin_never_turns_ok_into_regressed(
    was: float, now: float, chance: float | None, margin: float, more: float
) -> None:
    narrow, wide = (
        judge(make_case(policy=Policy(margin=m)), make_outcome(now, chance=chance), compared(make_reference(was)))
        for m in (margin, margin + more)
    )

    assert wide.ok or not narrow.ok


@given(fractions, fractions, st.floats(0, 2), st.none() | st.floats(0, 1), st.none() | fractions)
def test_a_higher_score_never_turns_ok_into_regressed(
    was: float, now: float, gain: float, chance: float | None, floor: float | None
) -> None:
    case = make_case(policy=Policy(floor=floor))
    low, high = (
        judge(case, make_outcome(score, chance=chance), compared(make_reference(was))) for score in (now, now + gain)
    )

    assert low.rule in ("threshold", "chance", "floor")
    assert high.ok or not low.ok


@given(types, some_subsets, st.none() | st.floats(0, 1), st.sampled_from([None, 100]), st.sampled_from([None, OURS]))
def test_a_measurement_recorded_as_a_baseline_reproduces_itself(
    type_name: str, subsets: dict[str, float], chance: float | None, limit: int | None, data: str | None
) -> None:
    case = make_case(type_name, limit=limit)
    settings = Settings(prompts={"query": "q: "}, pooling="mean", dtype="bfloat16")
    outcome = make_outcome(subsets, chance=chance, data_sha256=data, settings=settings, limit=limit)
    entry = touchstone.baselines.files.make_baseline(make_record(case, outcome, None, None), ENV)
    reference = Reference(alias=case.alias, model=MODEL, revision=REVISION, baseline=entry)

    verdict = judge(case, outcome, compared(reference))

    assert (verdict.word, verdict.rule, verdict.delta) == ("pass", "reproduce", 0)


@given(types, some_subsets, some_subsets, st.booleans(), st.none() | st.floats(0, 1))
def test_the_delta_is_the_score_minus_what_was_expected_of_the_same_strata(
    type_name: str, now: dict[str, float], was: dict[str, float], same: bool, chance: float | None
) -> None:
    outcome = make_outcome(now, chance=chance)
    reference = make_reference({**now, **was}, fingerprint=FINGERPRINT if same else "f" * 12)

    verdict = judge(make_case(type_name), outcome, compared(reference))

    assert verdict.baseline == fmean({**now, **was}[stratum] for stratum in now)
    assert verdict.baseline == expected_score(outcome, reference.baseline)
    assert verdict.delta == outcome.measurement.score - verdict.baseline


def differing(mean: float, error: float = 0.002, n: int = 400, **changes: Any) -> Paired:
    """Make a comparison with a given difference, as if samples had shown it; all changed, no sample more."""
    difference = Difference(mean=mean, error=error, degrees=changes.pop("degrees", math.inf), n=n)
    defaults: dict[str, Any] = {"changed": n, "units": n, "strata": (("test/d", n),)}
    return Paired(difference=difference, **defaults | changes)


def sample_more(mean: float, n: int, loss: float, strata: int = 1) -> Extreme:
    return Extreme(shift=(loss - mean) / (n + 1) / strata, loss=loss, weight=1 / n / strata)


def bounded(mean: float, error: float = 0.002, n: int = 400, **changes: Any) -> Paired:
    """Make the same of samples that lose or gain 1 at most, in one stratum."""
    worst, best = (sample_more(mean, n, loss) for loss in (-1.0, 1.0))
    return differing(mean, error, n, **{"worst": worst, "best": best} | changes)


def by_pairs(paired: Paired, type_name: str = "Retrieval", **policy: Any) -> Verdict:
    """Judge such a comparison of 0.5 with another model's entry."""
    outcome = make_outcome(0.5 + paired.difference.mean)
    comparison = compared(make_reference(0.5), paired=paired)
    return judge(make_case(type_name, policy=Policy(**policy)), outcome, comparison)


@pytest.mark.parametrize(
    ("mean", "word"),
    [
        (-0.010_000_1, "regressed"),
        (-0.01, "regressed"),
        (-0.009_999_999_5, "regressed"),  # a rounding error away
        (-0.009_999_99, "pass"),
        (0.009_999_99, "pass"),
        (0.009_999_999_5, "improved"),
        (0.01, "improved"),
    ],
)
def test_a_difference_must_reach_the_margin(mean: float, word: str) -> None:
    # The error is so small that all these losses and gains are beyond chance.
    assert by_pairs(differing(mean, 1e-10)).word == word


@pytest.mark.parametrize(
    ("mean", "word"),
    [
        (-0.010_000_1, "regressed"),
        (-0.010_000_000_5, "pass"),  # a rounding error away
        (-0.01, "pass"),
        (0.009_999_99, "pass"),
        (0.009_999_999_5, "improved"),
    ],
)
def test_the_draws_of_a_clustering_may_lose_the_margin_and_no_more(mean: float, word: str) -> None:
    assert by_pairs(differing(mean, 1e-10), "Clustering").word == word


@pytest.mark.parametrize(
    ("level", "gated", "alpha", "shared"),
    [
        (0.025, 1, 0.05, "0.025"),
        (0.0125, 2, 0.05, "0.025/2"),
        (0.005, 1, 0.01, "0.005"),
        (0.00025, 200, 0.1, "0.05/200"),
    ],
)
@pytest.mark.parametrize("type_name", ["Retrieval", "Clustering"])
def test_a_difference_must_be_beyond_chance_at_half_of_alpha_shared_among_the_cases(
    level: float, gated: int, alpha: float, shared: str, type_name: str
) -> None:
    for factor, beyond in ((0.99, True), (1.01, False)):
        p = factor * level
        error = 0.02 / stats.norm.ppf(1 - p)
        loss = by_pairs(differing(-0.02, error), type_name, alpha=alpha, gated=gated)
        gain = by_pairs(differing(0.02, error), type_name, alpha=alpha, gated=gated)

        assert loss.word == ("regressed" if beyond else "inconclusive")
        assert loss.suspect == (not beyond)
        assert gain.word == ("improved" if beyond else "pass")
        told = f" {'<' if beyond else '≥'} {shared}, 400 "
        assert told in loss.reason
        assert told in gain.reason


def test_a_p_value_at_the_level_is_not_below_it() -> None:
    paired = differing(-0.02, 0.01)
    p = paired.p_loss

    assert by_pairs(paired, alpha=2 * p).word == "inconclusive"
    assert f"p = {p:.2g} ≥ " in by_pairs(paired, alpha=2 * p).reason
    assert by_pairs(differing(0.02, 0.01), alpha=2 * p).word == "pass"
    assert by_pairs(paired, alpha=2 * p * (1 + 1e-12)).word == "regressed"
    assert by_pairs(paired, "Clustering", alpha=2 * p).word == "inconclusive"
    for sign, word in ((-1, "regressed"), (1, "drifted")):
        assert by_pairs(differing(sign * 0.02, 0.01), rule="equivalent", alpha=2 * p).word == "inconclusive"
        assert by_pairs(differing(sign * 0.02, 0.01), rule="equivalent", alpha=2 * p * (1 + 1e-12)).word == word
    assert by_pairs(differing(0.02, 0.01), "Clustering", alpha=2 * p).word == "pass"


def test_a_pass_needs_a_bound_within_the_margin_at_the_confidence_asked_for() -> None:
    # 1.645 errors below the mean: 0.5 point less 0.4934, or 0.5099.
    assert by_pairs(differing(-0.005, 0.0030)).word == "pass"
    assert by_pairs(differing(-0.005, 0.0031)).word == "inconclusive"
    # 1.282 and 2.326 errors.
    assert by_pairs(differing(-0.005, 0.0031), alpha=0.1).word == "pass"
    assert by_pairs(differing(-0.005, 0.0030), alpha=0.01).word == "inconclusive"
    assert by_pairs(differing(-0.005, 0.0031), margin=0.0102).word == "pass"
    # A bound exactly at the margin is not within it.
    assert by_pairs(differing(-0.25, 0.0, changed=1, few=None), margin=0.25).word == "regressed"
    assert by_pairs(differing(-0.125, 0.0), margin=0.25).word == "pass"


def test_k_does_not_change_what_passes() -> None:
    for gated in (1, 200):
        assert by_pairs(differing(-0.005, 0.0030), gated=gated).word == "pass"
        assert by_pairs(differing(-0.005, 0.0031), gated=gated).word == "inconclusive"


def test_a_pass_bears_the_worst_sample_more_and_a_loss_the_best() -> None:
    """By hand: of 300 samples one loses 0.333 point and 1.645 of it are 0.547: a bound of -0.88; of 250, -1.05."""
    assert by_pairs(bounded(0.0, 1e-6, 300)).word == "pass"
    assert by_pairs(bounded(0.0, 1e-6, 250)).word == "inconclusive"
    # A loss of -1.2 in 300 samples would be -0.86 with one that gains 1.012, which is -2.6 errors of 0.337.
    assert by_pairs(bounded(-0.012, 1e-6, 300), alpha=0.02).word == "regressed"
    assert by_pairs(bounded(-0.012, 1e-6, 300), alpha=0.01).word == "inconclusive"
    assert by_pairs(differing(-0.012, 1e-6, 300), alpha=0.01).word == "regressed"
    assert by_pairs(bounded(0.012, 1e-6, 300), alpha=0.02).word == "improved"
    assert by_pairs(bounded(0.012, 1e-6, 300), alpha=0.01).word == "pass"


def test_signs_of_few_units_bar_a_loss_and_a_pass_that_the_error_would_allow() -> None:
    three = FewUnits(sums=np.array([-0.1, -0.1, -0.1]), weights=np.full(3, 1 / 3))

    assert by_pairs(differing(-0.3, 1e-3, 3)).word == "regressed"
    assert by_pairs(differing(-0.3, 1e-3, 3, few=three)).word == "inconclusive"
    assert by_pairs(differing(-0.3, 1e-3, 3, few=three), alpha=0.26).word == "regressed"  # 1/8 < 0.13
    assert by_pairs(differing(0.3, 1e-3, 3, few=three.negated()), alpha=0.26).word == "improved"
    level = FewUnits(sums=np.zeros(3), weights=np.full(3, 1 / 3))
    assert by_pairs(differing(0.0, 1e-3, 3)).word == "pass"
    assert by_pairs(differing(0.0, 1e-3, 3, few=level)).word == "inconclusive"
    assert by_pairs(differing(0.0, 1e-3, 3, few=level), alpha=0.13).word == "pass"


@pytest.mark.parametrize(
    ("mean", "gated", "reason"),
    [
        # 100 differences of -0.02 ± 0.2: error 0.2/√99 = 0.0201, t with 99 degrees; 95 % at 1.984 of them, power at
        # 0.845, p of t = -0.995.
        (
            -0.02,
            1,
            "cosine_spearman 48.00, was 50.00 in minilm (Δ −2.00, 95 % [−5.99, +1.99], p = 0.16 ≥ 0.025, 100 samples, "
            "100 changed, could detect −5.69); about 398 samples would settle it",
        ),
        (
            -0.02,
            2,
            "cosine_spearman 48.00, was 50.00 in minilm (Δ −2.00, 95 % [−5.99, +1.99], p = 0.16 ≥ 0.025/2, 100 "
            "samples, 100 changed, could detect −6.27); about 524 samples would settle it",
        ),
        # 1.660 errors are 0.0334; the bound must come within 0.6 point of the mean.
        (
            -0.004,
            1,
            "cosine_spearman 49.60, was 50.00 in minilm (Δ −0.40, 95 % [−4.39, +3.59], p = 0.42 ≥ 0.025, 100 samples, "
            "100 changed, could detect −5.69); about 3095 samples would settle it",
        ),
    ],
)
def test_the_reason_of_an_inconclusive_pair_tells_all_numbers_and_what_would_settle_it(
    mean: float, gated: int, reason: str
) -> None:
    verdict = by_pairs(differing(mean, 0.2 / math.sqrt(99), n=100, degrees=99), gated=gated)

    assert (verdict.word, verdict.rule, verdict.baseline, verdict.delta) == ("inconclusive", "paired", 0.5, mean)
    assert verdict.reason == reason


def test_the_reason_names_units_where_they_are_not_the_samples() -> None:
    assert "400 samples, 31 units, 7 changed" in by_pairs(differing(0.0, units=31, changed=7)).reason
    assert "400 samples, 400 changed" in by_pairs(differing(0.0)).reason


def test_the_reason_of_a_regression_ends_with_the_samples_that_lost_most() -> None:
    lost = (Change(id="q-1", before=1.0, after=0.0), Change(id="0123456789abc", before=0.75, after=0.5))
    verdict = by_pairs(differing(-0.02, 0.005, lost=lost))

    assert verdict.reason == (
        "cosine_spearman 48.00, was 50.00 in minilm (Δ −2.00, 95 % [−2.98, −1.02], p = 3.2e-05 < 0.025, 400 samples, "
        "400 changed, could detect −1.42); worst: q-1 1.00 -> 0.00, 0123456789abc 0.75 -> 0.50"
    )
    assert by_pairs(differing(-0.02, 0.005)).reason.endswith("could detect −1.42)")
    assert by_pairs(differing(0.02, 0.005, lost=lost)).reason.endswith("could detect −1.42)")


def test_identical_samples_pass_and_say_so() -> None:
    for rule, told in (("auto", "paired"), ("equivalent", "equivalent")):
        verdict = by_pairs(differing(0.0, 0.0, n=7, changed=0), rule=rule)

        assert (verdict.word, verdict.rule, verdict.baseline, verdict.delta) == ("pass", told, 0.5, 0.0)
        assert verdict.reason == "cosine_spearman 50.00, was 50.00 in minilm (Δ +0.00): identical on 7 samples"


@pytest.mark.parametrize(
    ("paired", "policy", "end"),
    [
        (differing(0.0, math.inf), {}, "; its splits and subsets have too few samples to judge by"),
        (bounded(0.0, math.inf, 9), {}, "; its splits and subsets have too few samples to judge by"),
        (
            differing(-0.02, 0.1, by_experiments=True),
            {},
            "; its experiments differ too much, which more samples would not settle",
        ),
        # 1 + 1.645 losses of a 101st are 2.62 points; (1 + 1.645)/0.01 = 264.5 samples lose one point.
        (
            bounded(0.0, 1e-5, 100),
            {},
            "; 100 samples are too few to pass at a margin of 1.00, which takes 265; these could pass at 2.62",
        ),
        (
            bounded(0.0, 1e-5, 100, by_experiments=True),
            {"alpha": 0.1, "margin": 0.02},
            "; 100 samples are too few to pass at a margin of 2.00, which takes 115; these could pass at 2.26",
        ),
        (
            bounded(0.0, 1e-5, 1060, strata=(("t/a", 1000), ("t/b", 60)), worst=sample_more(0.0, 60, -1.0, 2)),
            {},
            " 60 samples of t/b are too few to pass at a margin of 1.00, which takes 133; these could pass at 2.17",
        ),
        (
            bounded(0.0, 1e-5, 100, worst=sample_more(0.0, 100, -2.0)),
            {},
            "; 100 samples are too few to pass at a margin of 1.00, which takes 529; these could pass at 5.24",
        ),
        (bounded(0.0, 0.01, 263), {}, "at a margin of 1.00, which takes 265; these could pass at 1.01"),
        (bounded(0.0, 0.01, 264), {}, "; about 932 samples would settle it"),
    ],
)
def test_what_would_settle_an_inconclusive_case_is_told(paired: Paired, policy: dict[str, Any], end: str) -> None:
    verdict = by_pairs(paired, **policy)

    assert verdict.word == "inconclusive"
    assert verdict.reason.endswith(end), verdict.reason


def test_a_loss_may_be_settled_by_fewer_samples_than_a_pass_takes() -> None:
    reason = by_pairs(bounded(-0.03, 0.02, 100)).reason
    assert "too few to pass" not in reason
    assert reason.endswith(" samples would settle it")


def test_samples_that_share_units_need_more_units() -> None:
    alone, shared = (by_pairs(differing(-0.02, 0.02, 400, units=units)).reason for units in (400, 100))
    needed = int(alone.rpartition("about ")[2].split()[0])
    units = math.ceil(needed / 4)
    assert shared.endswith(f"; about {units} units ({needed} samples) like these 100 would settle it")


def test_as_many_samples_settle_a_loss_as_bear_the_best_one_more() -> None:
    paired = bounded(-0.02, 0.02, 400)
    verdict = by_pairs(paired)
    assert paired.best is not None
    needed = samples_to_settle(paired.difference, paired.best.shift, 0.01, 0.025)
    assert needed > samples_to_settle(paired.difference, None, 0.01, 0.025)
    assert verdict.reason.endswith(f"; about {needed} samples would settle it")
    exactly = bounded(-0.01, 0.02, 400)
    assert exactly.best is not None
    needed = samples_to_settle(exactly.difference, exactly.best.shift, 0.01, 0.025)
    assert by_pairs(exactly).reason.endswith(f"; about {needed} samples would settle it")
    gain = bounded(-0.005, 0.02, 400)
    assert gain.worst is not None
    needed = samples_to_settle(gain.difference, gain.worst.shift, 0.02, 0.0125, 0.975)
    assert by_pairs(gain, margin=0.02, alpha=0.025).reason.endswith(f"; about {needed} samples would settle it")


def test_a_pass_says_what_it_could_hide_and_in_which_stratum_if_one_may_have_lost_more() -> None:
    """By hand: 1.645 errors of 0.2 points are 0.33."""
    hidden = Hidden(stratum="test/de", n=40, low=-0.0123)

    assert by_pairs(differing(0.0, hidden=hidden)).reason.endswith(
        "; could hide a loss of 1.23 in test/de, of 40 samples"
    )
    assert by_pairs(differing(0.0, hidden=replace(hidden, low=-0.003))).reason.endswith("; could hide a loss of 0.33")
    assert by_pairs(differing(0.0)).reason.endswith("; could hide a loss of 0.33")
    assert "hide" not in by_pairs(differing(0.005)).reason


# Suspects.


@pytest.mark.parametrize(
    ("paired", "policy", "suspect"),
    [
        (differing(-0.01, 0.02), {}, True),
        (differing(-0.0099, 0.02), {}, False),
        (differing(-0.0099, 0.02), {"margin": 0.005}, True),
        (differing(0.0, math.inf), {}, True),
        (differing(0.5, math.inf), {}, True),
        (differing(-0.002, 0.02), {"rule": "equivalent"}, True),
        (differing(-0.0019, 0.02), {"rule": "equivalent"}, False),
        (differing(-0.0019, 0.02), {"rule": "equivalent", "bound": 0.001}, True),
        (differing(0.05, 0.2), {"rule": "equivalent"}, False),
    ],
)
def test_an_inconclusive_loss_of_the_margin_and_an_error_that_is_not_known_are_suspect(
    paired: Paired, policy: dict[str, Any], suspect: bool
) -> None:
    verdict = by_pairs(paired, **policy)

    assert (verdict.word, verdict.suspect) == ("inconclusive", suspect)


@pytest.mark.parametrize(("mean", "named"), [(-0.011, True), (-0.009, False)])
def test_an_inconclusive_loss_of_the_margin_names_what_lost_most(mean: float, *, named: bool) -> None:
    verdict = by_pairs(differing(mean, 0.02, lost=(Change(id="q", before=1, after=0),)))

    assert (verdict.word, verdict.suspect) == ("inconclusive", named)
    assert verdict.reason.endswith("; worst: q 1.00 -> 0.00") == named


def test_only_inconclusive_cases_are_suspect() -> None:
    for paired in (differing(-0.02), differing(0.0), differing(0.02)):
        assert not by_pairs(paired).suspect
    assert not by_pairs(differing(-0.02, math.inf), rule="threshold").suspect


def test_an_error_that_is_not_known_leaves_no_evidence() -> None:
    verdict = by_pairs(differing(-0.9, math.inf))

    assert (verdict.word, verdict.suspect, verdict.evidence) == ("inconclusive", True, None)


# Clusterings.


def test_clusterings_are_judged_by_the_margin_and_by_their_draws() -> None:
    kept = by_pairs(differing(-0.009, 1e-6, n=10), "Clustering")

    assert (kept.word, kept.rule) == ("pass", "draws")
    assert kept.reason == (
        "cosine_spearman 49.10, was 50.00 in minilm (Δ −0.90, 95 % [−0.90, −0.90], p = 4.9e-324 < 0.025, 10 draws, "
        "10 changed, could detect −1.00), within the margin of 1.00"
    )
    lost = by_pairs(differing(-0.011, 1e-4, n=10), "Clustering", rule="paired")
    assert (lost.word, lost.rule, lost.suspect) == ("regressed", "draws", False)
    assert lost.reason.endswith("could detect −1.01)")
    open_ = by_pairs(differing(-0.011, 1.0, n=10), "Clustering")
    assert (open_.word, open_.rule, open_.suspect) == ("inconclusive", "draws", True)
    gained = by_pairs(differing(0.011, 1e-4, n=10), "Clustering")
    assert (gained.word, gained.rule) == ("improved", "draws")
    assert gained.reason.endswith("could detect −1.01)")
    assert open_.reason.endswith("; its 10 draws scatter too much")
    # Within the margin it passes, however much the draws scatter.
    assert by_pairs(differing(-0.009, 1.0, n=10), "Clustering").word == "pass"
    assert by_pairs(differing(-0.011, 1.0, n=10), "Clustering", margin=0.012).word == "pass"


def test_draws_of_a_clustering_are_paired_by_their_ids() -> None:
    generator = np.random.default_rng(0)
    ids = np.array([f"draw {number}" for number in range(10)])
    make: dict[str, Any] = {"type": "Clustering", "metric": "v_measure", "stratum": np.full(10, "test/d"), "id": ids}
    scatter = generator.normal(0.5, 0.05, 10)
    after, before = scatter - 0.02 + generator.normal(0, 0.002, 10), scatter
    paired = pair(Samples(**make, value=after), Samples(**make, value=before))
    outcome, reference = make_outcome(float(after.mean())), make_reference(float(before.mean()))
    verdict = judge(make_case("Clustering"), outcome, compared(reference, paired=paired))

    assert (verdict.word, verdict.rule) == ("regressed", "draws")


# Equivalence.


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_equivalence_is_two_one_sided_tests_of_statsmodels(seed: int, alpha: float) -> None:
    from statsmodels.stats.weightstats import ttost_paired

    generator = np.random.default_rng(seed)
    before = generator.normal(0.5, 0.1, 100)
    after = before + generator.normal(0.0005, 0.006, 100)
    deltas = after - before
    paired = differing(float(deltas.mean()), float(stats.sem(deltas)), 100, degrees=99)
    theirs, _, _ = ttost_paired(after, before, -0.002, 0.002)
    verdict = by_pairs(paired, rule="equivalent", alpha=alpha)

    assert verdict.rule == "equivalent"
    assert (verdict.word == "pass") == (theirs < alpha)


@pytest.mark.parametrize(
    ("mean", "error", "policy", "word"),
    [
        (0.001, 0.0005, {}, "pass"),
        (-0.001, 0.0005, {}, "pass"),
        (0.001, 0.0007, {}, "inconclusive"),
        (-0.001, 0.0007, {}, "inconclusive"),
        (0.001, 0.0007, {"bound": 0.0025}, "pass"),
        (-0.001, 0.0005, {"alpha": 0.02}, "inconclusive"),
        (-0.003, 0.0005, {}, "regressed"),
        (-0.002, 0.0005, {}, "regressed"),
        (-0.003, 0.0005, {"bound": 0.005}, "pass"),
        (0.003, 0.0005, {}, "drifted"),
        (0.002, 0.0005, {}, "drifted"),
        (-0.0015, 0.0006, {}, "inconclusive"),  # a loss for sure, though one that may be within the bound
        (0.0015, 0.0006, {}, "inconclusive"),
        (0.003, 0.0020, {}, "inconclusive"),
        (-0.003, 0.0020, {}, "inconclusive"),
        (-0.003, 0.0012, {"gated": 10}, "inconclusive"),
        (0.003, 0.0012, {"gated": 10}, "inconclusive"),
    ],
)
def test_equivalent_is_what_is_proven_to_be_within_the_bound(
    mean: float, error: float, policy: dict[str, Any], word: str
) -> None:
    verdict = by_pairs(differing(mean, error), rule="equivalent", **policy)

    assert (verdict.word, verdict.rule) == (word, "equivalent"), verdict.reason


@pytest.mark.parametrize(
    ("paired", "end"),
    [
        (differing(0.0005, 0.0005), "could detect −1.04); the same within 0.20"),
        (differing(0.003, 0.0005), "; better by more than 0.20, so not the same"),
        (differing(-0.003, 0.0005, lost=(Change(id="q", before=1, after=0),)), "; worst: q 1.00 -> 0.00"),
        (differing(-0.003, 0.0005), "could detect −1.04)"),
        (
            bounded(0.0, 1e-6),
            "; 400 samples are too few to pass at a margin of 0.20, which takes 1323; these could pass at 0.66",
        ),
    ],
)
def test_the_reason_of_an_equivalence_names_its_bound(paired: Paired, end: str) -> None:
    verdict = by_pairs(paired, rule="equivalent")

    assert verdict.reason.startswith("cosine_spearman ")
    assert " 95 % [" in verdict.reason
    assert verdict.reason.endswith(end), verdict.reason


def test_the_whole_reason_of_an_equivalence() -> None:
    verdict = by_pairs(differing(0.0013, 0.0003), rule="equivalent")

    assert (verdict.delta, verdict.baseline) == (0.0013, 0.5)
    assert verdict.reason == (
        "cosine_spearman 50.13, was 50.00 in minilm (Δ +0.13, 95 % [+0.07, +0.19], p = 7.3e-06 < 0.025, 400 samples, "
        "400 changed, could detect −1.03); the same within 0.20"
    )


def test_equivalence_bears_one_sample_more_on_both_sides() -> None:
    """By hand: of 1 400 samples one moves the mean by 0.07 point and 1.645 of it: 0.189; of 1 200, 0.220."""
    assert by_pairs(bounded(0.0, 1e-6, 1400), rule="equivalent").word == "pass"
    assert by_pairs(bounded(0.0, 1e-6, 1200), rule="equivalent").word == "inconclusive"
    for side in ("worst", "best"):
        assert by_pairs(bounded(0.0, 1e-6, 1200, **{side: None}), rule="equivalent").word == "inconclusive"


def test_equivalence_needs_samples() -> None:
    case = make_case("Retrieval", policy=Policy(rule="equivalent"))

    assert judge(case, make_outcome(), compared(make_reference())).word == "incomparable"


def test_equivalence_of_the_same_model_is_asked_of_its_samples() -> None:
    case = make_case("Retrieval", policy=Policy(rule="equivalent"))
    reference = make_reference(0.5, fingerprint=FINGERPRINT)
    verdict = judge(case, make_outcome(0.5), compared(reference, paired=differing(0.0, 0.1)))

    assert (verdict.word, verdict.rule) == ("inconclusive", "equivalent")


# Anchors.


def anchored(now: float, *, was: float = 0.5, first: float = 0.53, error: float = 0.001, **changes: Any) -> Verdict:
    """Judge a score beside that of the last release and that of the first, with samples of both."""
    entry: dict[str, Any] = changes.pop("entry", {})
    anchor = make_reference(first, alias="first", **{"recorded": "2026-01-31"} | changes.pop("first_entry", {}))
    reference = replace(make_reference(was, **entry), anchor=anchor)
    comparison: dict[str, Any] = {
        "paired": differing(now - was, error),
        "anchored": differing(now - first, error),
    }
    policy = Policy(**changes.pop("policy", {}))
    return judge(make_case("Retrieval", policy=policy), make_outcome(now), compared(reference, **comparison | changes))


def test_with_an_anchor_the_level_is_half_as_large() -> None:
    for p, word in ((0.012, "regressed"), (0.013, "inconclusive")):
        verdict = anchored(0.48, first=0.5, error=0.02 / stats.norm.ppf(1 - p))

        assert verdict.word == word
        assert "0.0125, 400 samples" in verdict.reason
    assert verdict.terms is not None
    assert (verdict.terms.anchored, verdict.terms.case_level) == (True, 0.0125)


@pytest.mark.parametrize(
    ("now", "was", "first", "error", "word"),
    [
        (0.5, 0.5, 0.5, 0.001, "pass"),
        (0.497, 0.5, 0.52, 0.001, "regressed"),  # within the margin of the last, not of the first
        (0.48, 0.5, 0.47, 0.001, "regressed"),  # lost against the last, though better than the first
        (0.52, 0.5, 0.525, 0.001, "improved"),
        (0.52, 0.5, 0.54, 0.001, "regressed"),
        (0.5, 0.5, 0.505, 0.0025, "pass"),
        (0.5, 0.5, 0.507, 0.0025, "inconclusive"),
    ],
)
def test_the_worse_of_two_verdicts_counts(now: float, was: float, first: float, error: float, word: str) -> None:
    verdict = anchored(now, was=was, first=first, error=error)

    assert verdict.word == word, verdict.reason
    assert (verdict.baseline, verdict.rule) == (was, "paired")
    assert verdict.delta == pytest.approx(now - was)
    assert verdict.anchor is not None
    assert (verdict.anchor.baseline, verdict.anchor.recorded) == (first, "2026-01-31")
    assert verdict.anchor.delta == pytest.approx(now - first)
    assert verdict.anchor.evidence is not None
    assert verdict.anchor.evidence.error == error


def test_ten_releases_of_a_third_of_the_margin_do_not_pass() -> None:
    scores = [0.8 - 0.003 * number for number in range(11)]
    words = []
    for was, now in pairwise(scores):
        words.append(anchored(now, was=was, first=0.8).word)

    assert words[0] == "pass"
    assert words[3:] == ["regressed"] * 7
    # Without an anchor each passes.
    assert {by_pairs(differing(-0.003, 0.001)).word} == {"pass"}


def test_the_reason_says_what_the_anchor_says() -> None:
    lost = anchored(0.497, first=0.52)
    assert lost.reason.endswith(
        "; could hide a loss of 0.46; against its anchor of 2026-01-31: "
        "cosine_spearman 49.70, was 52.00 in first (Δ −2.30, 95 % [−2.50, −2.10], "
        f"p = {stats.norm.cdf(-23):.2g} < 0.0125, 400 samples, 400 changed, could detect −1.08); if that is meant, "
        "move it: touchstone baselines anchor --move"
    )
    open_ = anchored(0.5, first=0.507, error=0.0025)
    assert "; against its anchor of 2026-01-31: " in open_.reason
    assert open_.reason.endswith("samples would settle it")
    undated = anchored(0.497, first=0.52, first_entry={"recorded": None})
    assert "; against its anchor: cosine" in undated.reason


def test_what_the_anchor_does_not_make_worse_is_told_as_it_was() -> None:
    kept = anchored(0.5, first=0.5)
    assert "anchor" not in kept.reason
    assert kept.anchor is not None
    assert kept.anchor.word == "pass"


def test_a_suspect_of_the_anchor_is_one() -> None:
    """Inconclusive against both, and a loss of the margin against the first only."""
    verdict = anchored(0.495, first=0.51, error=0.01)
    assert (verdict.word, verdict.suspect) == ("inconclusive", True)
    assert not anchored(0.495, first=0.5, error=0.01).suspect
    assert anchored(0.485, first=0.485, error=0.01).suspect
    assert anchored(0.5, first=0.515, error=0.01, paired=differing(0.0)).suspect


def test_a_repetition_of_what_was_accepted_is_asked_only_whether_it_lost_too_much() -> None:
    same: dict[str, Any] = {"entry": {"fingerprint": FINGERPRINT}}
    # It lost the margin since the first, beyond chance.
    lost = anchored(0.5, first=0.52, **same)
    assert (lost.word, lost.rule) == ("regressed", "reproduce")
    # What the samples leave open is no reason to stop it.
    kept = anchored(0.5, first=0.507, error=0.0025, **same)
    assert (kept.word, kept.suspect) == ("pass", False)
    assert kept.anchor is not None
    assert kept.anchor.word == "inconclusive"
    drifted = anchored(0.51, first=0.5, **same)
    assert drifted.word == "drifted"
    unclear = anchored(
        0.45, was=0.5, first=0.48, error=0.1, entry={"fingerprint": FINGERPRINT, "env": {}}, paired=differing(0.0, 0.1)
    )
    assert (unclear.word, unclear.suspect) == ("drifted", False)


def test_an_anchor_without_samples_is_judged_by_its_score() -> None:
    assert anchored(0.5, first=0.509, anchored=None).word == "pass"
    verdict = anchored(0.5, first=0.511, anchored=None)
    assert verdict.word == "regressed"
    assert verdict.anchor is not None
    assert verdict.anchor.evidence is None


def test_of_an_anchor_the_strata_that_ran_are_expected() -> None:
    anchor = make_reference({"test/en": 0.9, "test/de": 0.5}, alias="first")
    reference = replace(make_reference({"test/en": 0.9, "test/de": 0.51}), anchor=anchor)
    verdict = judge(make_case(), make_outcome({"test/de": 0.505}), compared(reference))

    assert verdict.anchor is not None
    assert (verdict.anchor.baseline, verdict.anchor.word) == (0.5, "pass")
    assert verdict.anchor.delta == pytest.approx(0.005)


def test_an_anchor_of_other_data_is_incomparable() -> None:
    verdict = anchored(0.5, first_entry={"metric": "other"})
    assert verdict.word == "incomparable"
    assert verdict.reason.endswith(
        "; against its anchor of 2026-01-31: not comparable with first: metric is cosine_spearman here and other "
        "there; if that is meant, move it: touchstone baselines anchor --move"
    )
    assert verdict.anchor == Anchored(baseline=0.53, delta=0.0, word="incomparable", recorded="2026-01-31")
    lost = anchored(0.4, first_entry={"metric": "other"})
    assert lost.word == "regressed"


def test_an_anchor_is_judged_by_the_strictest_rule_whatever_was_asked_for() -> None:
    for rule in ("threshold", "equivalent", "paired", "auto"):
        verdict = anchored(0.5, first=0.52, policy={"rule": rule})
        assert verdict.word == "regressed", rule
    # The margin of the case, and not the bound of an equivalence, is the total that may be lost.
    assert anchored(0.5, first=0.505, policy={"rule": "equivalent"}, paired=differing(0.0, 1e-4)).word == "pass"


def test_an_incomparable_case_is_not_judged_by_its_anchor() -> None:
    verdict = anchored(0.5, first=0.6, entry={"metric": "other"})
    assert (verdict.word, verdict.anchor) == ("incomparable", None)


def test_a_floor_counts_once() -> None:
    verdict = anchored(0.5, first=0.6, policy={"floor": 0.51})
    assert (verdict.rule, verdict.anchor) == ("floor", None)


# Levels after a merge.


def kept(paired: Paired, **changes: Any) -> Record:
    case = make_case("Retrieval", policy=Policy(**changes))
    outcome = make_outcome(0.5 + paired.difference.mean)
    return make_record(case, outcome, judge(case, outcome, compared(make_reference(0.5), paired=paired)), None)


@pytest.mark.parametrize("gated", [1, 2, 5, 41])
@pytest.mark.parametrize("t", [1.5, 2.0, 2.5, 3.0, 4.0])
@pytest.mark.parametrize("rule", ["auto", "equivalent"])
def test_a_loss_is_judged_again_at_the_level_of_all_cases(t: float, gated: int, rule: Any) -> None:
    """As if it had been judged so at once: what p is not below becomes inconclusive, and suspect."""
    paired = differing(-0.02, 0.02 / t)
    first, once = kept(paired, rule=rule), kept(paired, gated=gated, rule=rule)
    again = rejudge(first, gated)

    assert (again.verdict, again.outcome, again.suspect) == (once.verdict, once.outcome, once.suspect)
    assert again.terms == once.terms
    assert again.evidence == once.evidence
    if again.verdict != first.verdict:
        assert again.reason == f"{first.reason}; among {gated} cases that is not below 0.025/{gated}"


@pytest.mark.parametrize("gated", [2, 41])
@pytest.mark.parametrize("rule", ["auto", "equivalent"])
@pytest.mark.parametrize("skew", [-0.1, 0.0, 0.1])
@pytest.mark.parametrize("more", [True, False])
def test_a_gain_is_judged_again_at_the_level_of_all_cases(gated: int, rule: Any, skew: float, more: bool) -> None:
    for t in np.arange(1.5, 12, 0.1):
        paired = (bounded if more else differing)(0.1, 0.1 / t, 60)
        paired = replace(paired, difference=replace(paired.difference, skew=skew, bias=skew))
        first, once = kept(paired, rule=rule), kept(paired, gated=gated, rule=rule)
        again = rejudge(first, gated)

        assert (again.verdict, again.outcome, again.suspect) == (once.verdict, once.outcome, once.suspect)
        if again.verdict != first.verdict:
            assert again.reason == f"{first.reason}; among {gated} cases that is not below 0.025/{gated}"


def test_a_gain_without_evidence_is_left_as_it_is() -> None:
    record = kept(differing(0.02, 0.009))
    for bare in (replace(record, evidence=None), replace(record, delta=None)):
        assert rejudge(bare, 100).verdict == "improved"


def test_no_other_verdict_is_changed_by_more_cases() -> None:
    for paired in (differing(-0.02, 0.02), differing(0.0), differing(0.0, math.inf)):
        for rule in ("auto", "equivalent"):
            before = kept(paired, rule=rule)
            after = rejudge(before, 100)
            assert replace(after, terms=before.terms, evidence=before.evidence) == before
            assert after.terms is not None
            assert after.terms.gated == 100
    for rule in ("threshold", "reproduce"):
        before = kept(differing(-0.02, 0.01), rule=rule)
        after = rejudge(before, 100)
        assert replace(after, terms=before.terms, evidence=before.evidence) == before


def test_fewer_or_as_many_cases_change_nothing() -> None:
    record = kept(differing(-0.02, 0.009), gated=5)
    assert rejudge(record, 5) is record
    assert rejudge(record, 1) is record
    untold = replace(record, verdict=None)
    assert rejudge(untold, 10) is untold
    without = replace(record, terms=None)
    assert rejudge(without, 10) is without


def test_what_could_be_detected_is_that_at_the_level_of_all_cases() -> None:
    for paired in (differing(0.0, 0.02), bounded(0.0, 0.02)):
        record, once = rejudge(kept(paired), 10), kept(paired, gated=10)
        assert record.evidence is not None
        assert record.evidence == once.evidence
        shift = 1 / 401 if paired.best else 0.0
        by_chance = shift + math.hypot(0.02, shift) * stats.norm.ppf(1 - 0.0025)
        assert record.evidence.detectable == pytest.approx(by_chance + 0.02 * stats.norm.ppf(0.8))


def kept_with_anchor(verdict: Verdict) -> Record:
    return make_record(make_case("Retrieval"), make_outcome(0.5), verdict, None)


def test_a_loss_against_the_anchor_is_judged_again_by_the_anchor() -> None:
    lost = kept_with_anchor(anchored(0.5, first=0.52, error=0.02 / 2.5))
    assert lost.verdict == "regressed"
    assert rejudge(lost, 100).verdict == "inconclusive"
    assert rejudge(lost, 100).suspect
    sure = kept_with_anchor(anchored(0.5, first=0.52))
    assert rejudge(sure, 100).verdict == "regressed"


def test_what_lost_less_than_the_margin_does_not_keep_the_loss_of_its_anchor() -> None:
    """It lost half a point for sure since the last, and two, as it seems, since the first."""
    for last in (differing(-0.005, 0.0001), differing(0.0, math.inf), differing(-0.02, math.inf)):
        lost = kept_with_anchor(anchored(0.5, first=0.52, error=0.02 / 2.5, paired=last))
        assert lost.verdict == "regressed"
        assert rejudge(lost, 100).verdict == "inconclusive"


def test_a_loss_of_exactly_the_margin_is_kept() -> None:
    for rule, mean in (("auto", -0.01), ("equivalent", -0.002)):
        assert rejudge(kept(differing(mean, 1e-5), rule=rule), 100).verdict == "regressed"


def test_a_p_value_at_the_level_of_all_cases_is_not_below_it() -> None:
    for sign in (-1, 1):
        paired = differing(sign * 0.02, 0.01)
        p = min(paired.p_loss, paired.p_gain)
        words = [rejudge(kept(paired, alpha=4 * p * factor), 2).verdict for factor in (1, 1 + 1e-12)]
        assert words == (["inconclusive", "regressed"] if sign < 0 else ["pass", "improved"])


def test_a_loss_by_the_score_of_the_anchor_has_no_level() -> None:
    verdict = anchored(0.48, error=0.02 / 2.5, first=0.52, anchored=None)
    assert (verdict.word, verdict.rule) == ("regressed", "paired")
    assert rejudge(kept_with_anchor(verdict), 100).verdict == "regressed"


def test_a_repetition_that_drifted_from_the_anchor_has_no_level() -> None:
    """Better than the last, which is another model, and not the same as the first, which is this one."""
    verdict = anchored(
        0.52, error=0.02 / 2.5, first=0.5, policy={"rule": "equivalent"}, first_entry={"fingerprint": FINGERPRINT}
    )
    assert verdict.word == "drifted"
    assert verdict.anchor is not None
    assert verdict.anchor.word == "drifted"
    assert rejudge(kept_with_anchor(verdict), 100).verdict == "drifted"


# What is kept.


def test_the_evidence_is_what_the_reason_was_made_of() -> None:
    paired = bounded(-0.02, 0.2 / math.sqrt(99), n=100, degrees=99, changed=42, units=17, spread=0.2, sketch="abc")
    paired = replace(paired, difference=replace(paired.difference, skew=0.02, bias=0.01))
    found = by_pairs(paired, gated=2).evidence

    assert found is not None
    assert (found.error, found.degrees, found.n, found.changed) == (paired.difference.error, 99, 100, 42)
    assert found.interval == paired.difference.interval()
    assert found.p == paired.p_loss
    assert found.detectable == pytest.approx(detectable(paired.difference, 0.01, 0.0125, shift=1.02 / 101))
    told = f"could detect {signed_points(-found.detectable)})"
    assert told in by_pairs(paired, gated=2).reason
    assert (found.units, found.sketch, found.skew, found.bias) == (17, "abc", 0.02, 0.01)
    assert found.effect == pytest.approx(-0.1)
    assert (found.worst, found.best) == pytest.approx((-0.98 / 101, 1.02 / 101))
    normal = by_pairs(differing(0.0)).evidence
    assert normal is not None
    assert (normal.degrees, normal.worst, normal.best, normal.effect) == (None, None, None, None)
    assert by_pairs(differing(0.0, math.inf)).evidence is None


def test_the_terms_of_a_verdict_are_kept_with_it() -> None:
    reference = make_reference(0.8, settings=Settings(dimension=384))
    policy = Policy(margin=0.02, gated=4, alpha=0.04, suite_margin=0.003, bound=0.001, plan="f" * 64)
    case = make_case(alias="short", policy=policy)
    terms = judge(case, make_outcome(0.7, settings=Settings(dimension=128)), compared(reference)).terms

    assert terms == Terms(
        against=reference.alias,
        model=reference.model,
        margin=0.02,
        alpha=0.04,
        gated=4,
        suite_margin=0.003,
        bound=0.001,
        plan="f" * 64,
        differences=("dimension is 128 here and 384 there",),
    )
    assert terms.case_level == 0.005
    assert judge(make_case(), make_outcome(), compared(None)).terms is None


def test_levels_by_hand() -> None:
    policy = Policy(alpha=0.1, gated=5)
    assert policy.level() == pytest.approx(0.01)
    assert policy.level(anchored=True) == pytest.approx(0.005)
    assert policy.confidence == pytest.approx(0.9)


def test_evidence_is_kept_whatever_the_rule() -> None:
    for rule in ("reproduce", "threshold", "paired", "equivalent", "auto"):
        assert by_pairs(differing(-0.002), rule=rule).evidence is not None


def test_slices_and_an_earlier_verdict_are_carried() -> None:
    slices = (Slice(field="language", value="de", n=7, score=0.5, baseline=0.4),)
    found = judge(make_case(), make_outcome(), compared(make_reference(), slices=slices))
    assert found.slices == slices
    assert judge(make_case(), make_outcome(0.1), compared(make_reference(), verdict=found)) is found


def test_a_repetition_tells_how_many_samples_changed() -> None:
    paired = differing(0.0003, n=2000, changed=3)
    reference = make_reference(0.5, fingerprint=FINGERPRINT)
    verdict = judge(make_case(), make_outcome(0.5003), compared(reference, paired=paired))

    assert verdict.reason == (
        "cosine_spearman 50.03, was 50.00 in minilm (Δ +0.03), within 0.05, 3 of 2000 samples changed"
    )


@pytest.mark.parametrize(
    ("delta", "n", "strata", "type_name", "word"),
    [
        (-0.02, 50, (("t/a", 50),), "Retrieval", "pass"),  # one flip among 50 queries
        (0.02, 50, (("t/a", 50),), "Retrieval", "pass"),
        (-0.0201, 50, (("t/a", 50),), "Retrieval", "drifted"),
        (-0.01, 1050, (("t/a", 50), ("t/b", 1000)), "Retrieval", "pass"),
        (-0.0101, 1050, (("t/a", 50), ("t/b", 1000)), "Retrieval", "drifted"),
        (-0.0005, 5000, (("t/a", 5000),), "Retrieval", "pass"),
        (-0.0006, 5000, (("t/a", 5000),), "Retrieval", "drifted"),
        (-0.02, 10, (("t/a", 10),), "Clustering", "drifted"),  # a draw is no sample that flips
    ],
)
def test_a_repetition_may_move_by_one_sample_of_the_smallest_stratum(
    delta: float, n: int, strata: Any, type_name: str, word: str
) -> None:
    paired = differing(delta, 0.01, n=n, strata=strata, changed=1)
    reference = make_reference(0.5, fingerprint=FINGERPRINT)
    verdict = judge(make_case(type_name), make_outcome(0.5 + delta), compared(reference, paired=paired))

    assert verdict.word == word, verdict.reason


@pytest.mark.parametrize(
    ("outcome", "entry", "reason"),
    [
        ({}, {"metric": "max_ap"}, "metric is cosine_spearman here and max_ap there"),
        ({"score": {"a/b": 0.8, "c/d": 0.8, "e/f": 0.8}}, {"score": {"a/b": 0.8}}, "it has no score for c/d, e/f"),
        ({"data_sha256": OURS}, {"data_sha256": THEIRS}, "the data files are 111111111111 here and 222222222222 there"),
        ({"dataset_revision": None}, {}, f"the data set revision is not set here and {DATA_REVISION} there"),
    ],
)
def test_the_reason_of_an_incomparable_case_is_one_sentence(
    outcome: dict[str, Any], entry: dict[str, Any], reason: str
) -> None:
    verdict = judge(make_case(), make_outcome(**outcome), compared(make_reference(**entry)))

    assert verdict.reason == f"not comparable with minilm: {reason}"


def test_samples_that_cannot_be_paired_are_told_where_pairs_are_asked_for() -> None:
    case = make_case("Retrieval", policy=Policy(rule="paired"))
    others = "the samples are others: 3 only here, 3 only there"
    told = [judge(case, make_outcome(), compared(make_reference(), paired=p)).reason for p in (others, None)]

    assert told == [
        "not comparable with minilm: the samples are others: 3 only here, 3 only there",
        "minilm has no samples that could be paired",
    ]


@pytest.mark.parametrize(
    ("here", "entry", "noted"),
    [
        ("def", {"imported": True, "dataset_revision": "abc"}, True),
        ("abc", {"imported": True, "dataset_revision": "abc"}, False),
        (None, {"imported": True, "dataset_revision": "abc"}, False),
        ("def", {"imported": True, "dataset_revision": None}, False),
        ("def", {"dataset_revision": "abc", "data_sha256": OURS}, False),
    ],
)
def test_only_another_revision_that_both_name_is_noted(here: str | None, entry: dict[str, Any], noted: bool) -> None:
    outcome = make_outcome(0.5, dataset_revision=here, data_sha256=OURS)
    verdict = judge(make_case(policy=Policy(rule="threshold")), outcome, compared(make_reference(0.5, **entry)))

    note = "; the imported number names data set revision abc, this run def" if noted else ""
    assert verdict.reason == (f"cosine_spearman 50.00, was 50.00 in minilm (Δ +0.00), within the margin of 1.00{note}")


def test_what_is_not_known_is_called_not_set() -> None:
    verdict = judge(make_case(limit=50), make_outcome(), compared(make_reference()))

    assert verdict.reason == "not comparable with minilm: limit is 50 here and not set there"


def test_notes_follow_the_reason_one_by_one() -> None:
    outcome = make_outcome(0.5, settings=Settings(pooling="cls", dimension=128))
    reference = make_reference(0.5, alias="other", settings=Settings(pooling="mean", dimension=384))
    verdict = judge(make_case(), outcome, compared(reference))

    assert verdict.reason == (
        "cosine_spearman 50.00, was 50.00 in other (Δ +0.00), within the margin of 1.00; pooling is cls here and mean "
        "there; dimension is 128 here and 384 there"
    )
