"""The verdicts on one case, at every bound.

Mutation testing (see `tool.mutmut` in pyproject.toml) leaves these alive, which change nothing that can be told apart:

- `<` for `<=` beside a ROUNDING of 1e-9 that is arbitrary itself (`_by_reproduction`, `_by_threshold`, `_by_pairs`);
  bounds that only two equal floats would meet (`_decide` of the suite, experiments exactly as wide as items);
- `zip` without its check of lengths, and `or` for `and` where samples of one task have values on both sides or on none,
  and predictions likewise (`pair`);
- another way to cut the samples in two, sums of the left half with their signs exchanged, all sums counted twice
  (`sign_flip_p`, `_signed_sums`): the count of all assignments is the same;
- `kind="STABLE"`: numpy reads the first letter; `dtype=None` of a mean, which is float64 anyway (`_values`).

Constants are not mutated there; by hand, another SEED and another AT_ONCE survive, as they should.
"""

import math
from collections.abc import Mapping
from statistics import fmean
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from touchstone.formatting import points
from touchstone.judging.gate import Comparison, expected_score, judge
from touchstone.judging.pairing import Change, Paired
from touchstone.judging.statistics import Difference
from touchstone.records.baselines import Reference
from touchstone.records.cases import Policy
from touchstone.records.outcomes import Settings
from touchstone.records.runs import make_record
from touchstone.records.verdicts import Terms, Verdict, VerdictWord

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
def test_a_score_at_chance_is_a_broken_model_whatever_the_rule_and_the_margin(
    chance: float | None, was: float, now: float, caught: bool, entry: dict[str, Any]
) -> None:
    case = make_case(policy=Policy(margin=0.49))
    verdict = judge(case, make_outcome(now, chance=chance), compared(make_reference(was, **entry)))

    assert (verdict.rule == "chance") == caught
    if caught:
        assert verdict.word == "regressed"
        assert verdict.baseline == was
        assert verdict.delta == now - was
        assert verdict.reason.endswith(f": at chance ({points(chance or 0)}): check pooling, prompts, weights first")


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
    """Make a comparison with a given difference, as if samples had shown it; all changed, p from a normal error."""
    difference = Difference(mean=mean, error=error, degrees=changes.pop("degrees", math.inf), n=n)
    defaults: dict[str, Any] = {
        "p_loss": difference.p_loss(),
        "p_gain": difference.negated().p_loss(),
        "changed": n,
        "decomposable": True,
        "strata": ((n, n),),
    }
    return Paired(difference=difference, **defaults | changes)


def by_pairs(paired: Paired, gated: int = 1, type_name: str = "Retrieval", **policy: Any) -> Verdict:
    """Judge such a comparison of 0.5 with another model's entry."""
    outcome = make_outcome(0.5 + paired.difference.mean)
    comparison = compared(make_reference(0.5), gated=gated, paired=paired)
    return judge(make_case(type_name, policy=Policy(**policy)), outcome, comparison)


def test_a_case_counts_as_the_only_one_where_nothing_else_is_said() -> None:
    assert Comparison(reference=None, env=ENV) == Comparison(reference=None, env=ENV, gated=1, paired=None)


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
    ("p", "gated", "alpha", "beyond"),
    [
        (0.049, 1, 0.05, True),
        (0.05, 1, 0.05, False),
        (0.051, 1, 0.05, False),
        (0.026, 2, 0.05, False),
        (0.024, 2, 0.05, True),
        (0.024, 1, 0.01, False),
        (0.009, 1, 0.01, True),
    ],
)
def test_a_difference_must_be_beyond_chance_shared_among_the_cases(
    p: float, gated: int, alpha: float, beyond: bool
) -> None:
    loss = by_pairs(differing(-0.02, 0.02, p_loss=p, p_gain=1 - p), gated, alpha=alpha)
    gain = by_pairs(differing(0.02, 0.02, p_loss=1 - p, p_gain=p), gated, alpha=alpha)

    assert loss.word == ("regressed" if beyond else "inconclusive")
    assert gain.word == ("improved" if beyond else "inconclusive")
    shared = f"{alpha:g}" + (f"/{gated}" if gated > 1 else "")
    told = f"p = {p:.2g} {'<' if beyond else '≥'} {shared}, "
    assert told in loss.reason
    assert told in gain.reason


def test_a_pass_needs_a_hundred_samples_and_a_bound_within_the_margin() -> None:
    assert by_pairs(differing(0.0, n=100)).word == "pass"
    assert by_pairs(differing(0.0, n=99)).reason.endswith("; a pass needs 100 samples")
    # 1.645 errors below the mean: 0.5 point less 0.4934, or 0.5099.
    assert by_pairs(differing(-0.005, 0.0030)).word == "pass"
    assert by_pairs(differing(-0.005, 0.0031)).word == "inconclusive"
    # A bound exactly at the margin is not within it.
    assert by_pairs(differing(-0.25, 0.0, p_loss=0.5), margin=0.25).word == "inconclusive"


def test_from_ten_changed_samples_on_the_t_bound_counts() -> None:
    """Of 300 samples, nine changed leave 5.2 points possible by the worst case, whatever their size."""
    small: dict[str, Any] = {"error": 1e-5, "n": 300}

    assert by_pairs(differing(0.0, **small, changed=10, strata=((10, 300),))).word == "pass"
    assert by_pairs(differing(0.0, **small, changed=9, strata=((9, 300),))).word == "inconclusive"
    assert by_pairs(differing(0.0, **small, changed=9, strata=((9, 300),)), margin=0.05).word == "inconclusive"
    assert by_pairs(differing(0.0, **small, changed=9, strata=((9, 300),)), margin=0.053).word == "pass"
    assert by_pairs(differing(0.0, **small, changed=9, decomposable=False)).word == "pass"
    # Where the score is no mean over samples, a wide bound counts however few changed and however many there are.
    assert by_pairs(differing(0.0, 0.01, changed=9, decomposable=False)).word == "inconclusive"
    assert by_pairs(differing(0.0, 0.01)).word == "inconclusive"


@pytest.mark.parametrize(
    ("mean", "gated", "reason"),
    [
        # 100 differences of -0.02 ± 0.2: error 0.2/√99 = 0.0201, t with 99 degrees; 95 % at 1.984 of them, power at
        # 0.845, p of t = -0.995.
        (
            -0.02,
            1,
            "cosine_spearman 48.00, was 50.00 in minilm (Δ −2.00, 95 % [−5.99, +1.99], p = 0.16 ≥ 0.05, 100 samples, "
            "100 changed, could detect −5.04); about 279 samples would settle it",
        ),
        (
            -0.02,
            2,
            "cosine_spearman 48.00, was 50.00 in minilm (Δ −2.00, 95 % [−5.99, +1.99], p = 0.16 ≥ 0.05/2, 100 samples, "
            "100 changed, could detect −5.69); about 398 samples would settle it",
        ),
        # 1.660 errors are 0.0334; the bound must come within 0.6 point of the mean.
        (
            -0.004,
            1,
            "cosine_spearman 49.60, was 50.00 in minilm (Δ −0.40, 95 % [−4.39, +3.59], p = 0.42 ≥ 0.05, 100 samples, "
            "100 changed, could detect −5.04); about 3095 samples would settle it",
        ),
    ],
)
def test_the_reason_of_an_inconclusive_pair_tells_all_numbers_and_what_would_settle_it(
    mean: float, gated: int, reason: str
) -> None:
    verdict = by_pairs(differing(mean, 0.2 / math.sqrt(99), n=100, degrees=99), gated)

    assert (verdict.word, verdict.rule, verdict.baseline, verdict.delta) == ("inconclusive", "paired", 0.5, mean)
    assert verdict.reason == reason


def test_the_reason_of_a_regression_ends_with_the_samples_that_lost_most() -> None:
    worst = (Change(id="q-1", before=1.0, after=0.0), Change(id="0123456789abc", before=0.75, after=0.5))
    verdict = by_pairs(differing(-0.02, 0.005, worst=worst))

    assert verdict.reason == (
        "cosine_spearman 48.00, was 50.00 in minilm (Δ −2.00, 95 % [−2.98, −1.02], p = 3.2e-05 < 0.05, 400 samples, "
        "400 changed, could detect −1.42); worst: q-1 1.00 -> 0.00, 0123456789abc 0.75 -> 0.50"
    )
    assert by_pairs(differing(-0.02, 0.005)).reason.endswith("could detect −1.42)")


def test_identical_samples_pass_and_say_so() -> None:
    verdict = by_pairs(differing(0.0, 0.0, n=7, changed=0, strata=((0, 7),)))

    assert (verdict.word, verdict.rule, verdict.baseline, verdict.delta) == ("pass", "paired", 0.5, 0.0)
    assert verdict.reason == "cosine_spearman 50.00, was 50.00 in minilm (Δ +0.00): identical on 7 samples"


@pytest.mark.parametrize(
    ("paired", "end"),
    [
        (differing(0.0, math.inf), "; its splits and subsets have too few samples to judge by"),
        (differing(0.0, math.inf, n=100), "; its splits and subsets have too few samples to judge by"),
        (differing(0.0, math.inf, n=99), "; a pass needs 100 samples"),
        (
            differing(0.0, 1e-5, n=300, changed=3, strata=((3, 300),)),
            "; so few changed samples could stand for a loss of 2.56",
        ),
        # By its error 300 samples would just do, as many as there are: (1.645 x 0.607)² x 300 = 299.1.
        (
            differing(0.0, 0.00607, n=300, changed=3, strata=((3, 300),)),
            "; so few changed samples could stand for a loss of 2.56",
        ),
    ],
)
def test_what_no_number_of_samples_like_these_would_settle_is_told_otherwise(paired: Paired, end: str) -> None:
    verdict = by_pairs(paired)

    assert verdict.word == "inconclusive"
    assert verdict.reason.endswith(end), verdict.reason


def test_the_evidence_is_what_the_reason_was_made_of() -> None:
    paired = differing(-0.02, 0.2 / math.sqrt(99), n=100, degrees=99, changed=42)
    found = by_pairs(paired, gated=2).evidence

    assert found is not None
    assert (found.error, found.degrees, found.n, found.changed) == (paired.difference.error, 99, 100, 42)
    assert found.interval == pytest.approx((-0.05988, 0.01988), abs=1e-5)
    assert found.p == paired.p_loss
    assert found.detectable == pytest.approx(0.05687, abs=1e-5)
    normal = by_pairs(differing(0.0)).evidence
    assert normal is not None
    assert normal.degrees is None
    assert by_pairs(differing(0.0, math.inf)).evidence is None


def test_the_terms_of_a_verdict_are_kept_with_it() -> None:
    reference = make_reference(0.8, settings=Settings(dimension=384))
    case = make_case(alias="short", policy=Policy(margin=0.02))
    terms = judge(case, make_outcome(0.7, settings=Settings(dimension=128)), compared(reference, gated=4)).terms

    assert terms == Terms(
        against=reference.alias,
        model=reference.model,
        margin=0.02,
        alpha=0.05,
        gated=4,
        differences=("dimension is 128 here and 384 there",),
    )
    assert terms.level == 0.0125
    assert judge(make_case(), make_outcome(), compared(None)).terms is None


def test_evidence_is_kept_whatever_the_rule() -> None:
    for rule in ("reproduce", "threshold", "paired", "auto"):
        assert by_pairs(differing(-0.002), rule=rule).evidence is not None


def test_a_repetition_tells_how_many_samples_changed() -> None:
    paired = differing(0.0003, n=200, changed=3)
    reference = make_reference(0.5, fingerprint=FINGERPRINT)
    verdict = judge(make_case(), make_outcome(0.5003), compared(reference, paired=paired))

    assert verdict.reason == (
        "cosine_spearman 50.03, was 50.00 in minilm (Δ +0.03), within 0.05, 3 of 200 samples changed"
    )


def test_clusterings_are_judged_by_the_margin_whatever_their_draws_show() -> None:
    kept = by_pairs(differing(-0.009, 1e-6, n=10), type_name="Clustering")

    assert (kept.word, kept.rule) == ("pass", "threshold")
    assert kept.reason == (
        "cosine_spearman 49.10, was 50.00 in minilm (Δ −0.90), within the margin of 1.00; 1379 draws tell little"
    )
    assert by_pairs(differing(-0.011, 1.0, n=10), type_name="Clustering", rule="paired").rule == "threshold"
    assert by_pairs(differing(-0.011, 1.0, n=10), type_name="Clustering").word == "regressed"


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
