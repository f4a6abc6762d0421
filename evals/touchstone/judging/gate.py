"""Judge a measured case against what is expected of it. Pure: no files, no clock, no randomness."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from statistics import fmean
from typing import Any

from touchstone.formatting import points, signed_points
from touchstone.judging.pairing import Paired, shorten
from touchstone.judging.statistics import detectable, samples_to_settle, worst_loss
from touchstone.records.baselines import Baseline, Reference
from touchstone.records.cases import Case, Policy
from touchstone.records.examples import Shown
from touchstone.records.outcomes import Outcome, Settings
from touchstone.records.verdicts import Evidence, Rule, Terms, Verdict, VerdictWord
from touchstone.task_types.registry import find_type

# Arithmetic in bf16 adds a rounding of its own to what the type of a task may move by.
TOLERANCE_BF16 = 1e-3
# 0.82 - 0.8205 is not -0.0005 in binary: a score exactly at a bound is within it.
ROUNDING = 1e-9
# A pass needs this many samples; with fewer than FEW_CHANGED changed a t bound is not to be trusted: simulated, it
# passes wrongly in 12 to 36 of 100 cases.
ENOUGH = 100
FEW_CHANGED = 10
LARGEST_LOSS = 1.0
CHANCE_REACHED = 0.01
CHANCE_LEFT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a measured case is judged by.

    ``reference`` is what is expected, None where there is no baseline; ``env`` has the versions of the libraries that
    measured. ``gated`` counts this model's cases in the run: the error rate is shared among them. ``paired`` compares
    the samples, or says why they cannot be; None without samples. ``verdict`` is an earlier one on exactly this, and
    ``key`` what it is cached by. ``shown`` are the samples that changed most.
    """

    reference: Reference | None
    env: Mapping[str, str] = field(default_factory=dict)
    gated: int = 1
    paired: Paired | str | None = None
    verdict: Verdict | None = None
    key: Mapping[str, Any] | None = None
    shown: Shown | None = None


def judge(case: Case, outcome: Outcome, comparison: Comparison) -> Verdict:
    """Decide about one measured case.

    Args:
        case: the case, with its policy.
        outcome: what was measured.
        comparison: what it is judged by.

    Returns:
        The verdict; a case without a reference is ``missing`` unless it fell below its floor.
    """
    if comparison.verdict is not None:
        return comparison.verdict
    reference = comparison.reference
    floor = case.policy.floor
    if floor is not None and outcome.measurement.score < floor:
        measured = f"{outcome.measurement.metric} {points(outcome.measurement.score)}"
        reason = f"{measured} is below the suite's floor {points(floor)}"
        return Verdict(word="regressed", rule="floor", reason=reason)
    if reference is None:
        return Verdict(word="missing", reason=f"no baseline for {case.id}")
    stranger = _incomparable(case, outcome, reference)
    if stranger is not None:
        return Verdict(word="incomparable", reason=f"not comparable with {reference.alias}: {stranger}")
    change = _compare(outcome, reference)
    verdict = _at_chance(outcome, change) or _by_rule(case, outcome, reference, comparison, change)
    if isinstance(comparison.paired, Paired):
        verdict = replace(verdict, evidence=_evidence(case.policy, comparison.paired, comparison.gated))
    terms = Terms(
        against=reference.alias,
        model=reference.model,
        margin=case.policy.margin,
        alpha=case.policy.alpha,
        gated=comparison.gated,
        differences=tuple(_other_settings(outcome.measurement.settings, reference.baseline.settings)),
    )
    reason = "; ".join([verdict.reason, *terms.differences, *_notes(outcome, reference.baseline)])
    return replace(verdict, reason=reason, terms=terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A score beside what was expected of it, and both in words."""

    expected: float
    delta: float
    words: str

    def verdict(self, word: VerdictWord, rule: Rule, why: str) -> Verdict:
        return Verdict(word=word, rule=rule, baseline=self.expected, delta=self.delta, reason=self.words + why)


def _compare(outcome: Outcome, reference: Reference) -> _Change:
    score, expected = outcome.measurement.score, expected_score(outcome, reference.baseline)
    delta = score - expected
    was = f"was {points(expected)} in {reference.alias} (Δ {signed_points(delta)})"
    return _Change(expected=expected, delta=delta, words=f"{outcome.measurement.metric} {points(score)}, {was}")


def _by_rule(case: Case, outcome: Outcome, reference: Reference, comparison: Comparison, change: _Change) -> Verdict:
    """Judge by the rule named, or by the strictest that applies."""
    rule, paired = case.policy.rule, comparison.paired
    if rule == "reproduce" or (rule == "auto" and _is_repetition(outcome, reference)):
        return _by_reproduction(case, outcome, reference, comparison, change)
    clustered = not find_type(case.task.type).paired
    if isinstance(paired, Paired) and rule != "threshold" and not clustered:
        return _by_pairs(case.policy, paired, comparison.gated, change)
    if isinstance(paired, str) and rule != "threshold":
        return Verdict(word="incomparable", reason=f"not comparable with {reference.alias}: {paired}")
    if rule == "paired" and not clustered:
        return Verdict(word="incomparable", reason=f"{reference.alias} has no samples that could be paired")
    return _by_threshold(case.policy, outcome, change, clustered=clustered)


def expected_score(outcome: Outcome, baseline: Baseline) -> float:
    """Return the baseline's score over the strata that ran; all of them must be in the baseline."""
    return fmean(baseline.subsets[stratum] for stratum in outcome.measurement.subsets)


def _incomparable(case: Case, outcome: Outcome, reference: Reference) -> str | None:
    """Return what makes the two numbers measurements of different things, if anything does."""
    baseline = reference.baseline
    checks = (
        ("metric", outcome.measurement.metric, baseline.metric),
        ("limit", case.limit, baseline.limit),
    )
    for name, here, there in checks:
        if here != there:
            return f"{name} is {_known(here)} here and {_known(there)} there"
    absent = [stratum for stratum in outcome.measurement.subsets if stratum not in baseline.subsets]
    if absent:
        return f"it has no score for {', '.join(absent)}"
    data = _other_data(outcome, baseline)
    if data is None and reference.alias == case.alias:
        differences = _other_settings(outcome.measurement.settings, baseline.settings)
        return differences[0] if differences else None
    return data


def _other_data(outcome: Outcome, baseline: Baseline) -> str | None:
    if outcome.measurement.data_sha256 and baseline.data_sha256:
        if outcome.measurement.data_sha256 == baseline.data_sha256:
            return None
        return f"the data files are {outcome.measurement.data_sha256[:12]} here and {baseline.data_sha256[:12]} there"
    # A published file may carry the old revision of data that has not changed; a recorded one says what it read.
    recorded = baseline.fingerprint is not None
    if recorded and baseline.data_sha256 is None and outcome.measurement.dataset_revision != baseline.dataset_revision:
        here, there = _known(outcome.measurement.dataset_revision), _known(baseline.dataset_revision)
        return f"the data set revision is {here} here and {there} there"
    return None


def _other_settings(here: Settings, there: Settings) -> list[str]:
    """List settings that are known on both sides and differ."""
    pairs = [(item.name, getattr(here, item.name), getattr(there, item.name)) for item in fields(Settings)]
    return [f"{name} is {a} here and {b} there" for name, a, b in pairs if a is not None and b is not None and a != b]


def _notes(outcome: Outcome, baseline: Baseline) -> list[str]:
    """Return what else differs and yet is judged: the revision of published numbers."""
    here, there = outcome.measurement.dataset_revision, baseline.dataset_revision
    differs = baseline.fingerprint is None and here and there and here != there
    return [f"the imported number names data set revision {there}, this run {here}"] if differs else []


def _known(value: object) -> str:
    return "not set" if value is None else str(value)


def _at_chance(outcome: Outcome, change: _Change) -> Verdict | None:
    chance, score = outcome.measurement.chance, outcome.measurement.score
    if chance is None or score > chance + CHANCE_REACHED or change.expected <= chance + CHANCE_LEFT:
        return None
    why = f": at chance ({points(chance)}): check pooling, prompts, weights first"
    return change.verdict("regressed", "chance", why)


def _by_reproduction(
    case: Case, outcome: Outcome, reference: Reference, comparison: Comparison, change: _Change
) -> Verdict:
    """Judge a repetition of the same measurement by tolerance."""
    tolerance = _tolerance(case, outcome, reference.baseline)
    other = _other_environment(find_type(case.task.type).fitted_by, reference.baseline, comparison.env)
    word: VerdictWord
    if abs(change.delta) <= tolerance + ROUNDING:
        word, why = "pass", f", within {points(tolerance)}"
    elif other is not None:
        word, why = "inconclusive", f": other environment ({other})"
    else:
        word, why = "drifted", f", the same model may move by {points(tolerance)}"
    if isinstance(comparison.paired, Paired):
        why += f", {comparison.paired.changed} of {comparison.paired.difference.n} samples changed"
    return change.verdict(word, "reproduce", why)


def _is_repetition(outcome: Outcome, reference: Reference) -> bool:
    identity, fingerprint = outcome.identity, reference.baseline.fingerprint
    if fingerprint is not None:
        return identity.fingerprint == fingerprint
    same_model = (identity.name, identity.revision) == (reference.model, reference.revision)
    return identity.unmodified and identity.revision is not None and same_model


def _tolerance(case: Case, outcome: Outcome, baseline: Baseline) -> float:
    halved = "bfloat16" in (outcome.measurement.settings.dtype, baseline.settings.dtype)
    return max(find_type(case.task.type).tolerance, TOLERANCE_BF16 if halved else 0.0)


def _other_environment(libraries: Sequence[str], baseline: Baseline, env: Mapping[str, str]) -> str | None:
    for name in libraries:
        there = baseline.env.get(name)
        if there is None:
            return f"{name} of the baseline is not known"
        if there != env.get(name):
            return f"{name} {_known(env.get(name))}, was {there}"
    return None


def _by_threshold(policy: Policy, outcome: Outcome, change: _Change, *, clustered: bool) -> Verdict:
    kept = change.delta >= -policy.margin - ROUNDING
    why = f", {'within' if kept else 'beyond'} the margin of {points(policy.margin)}"
    few = f"; {outcome.measurement.n} draws tell little" if clustered else ""
    return change.verdict("pass" if kept else "regressed", "threshold", why + few)


def _by_pairs(policy: Policy, paired: Paired, gated: int, change: _Change) -> Verdict:
    """Judge by the samples: worse or better beyond margin and chance, within the margin at 95 %, or inconclusive."""
    difference, margin, level = paired.difference, policy.margin, policy.alpha / gated
    change = replace(change, delta=difference.mean)
    if paired.changed == 0:
        return change.verdict("pass", "paired", f": identical on {difference.n} samples")
    change = replace(change, words=f"{change.words[:-1]}, {_facts(paired, policy, gated)})")
    if difference.mean <= -margin + ROUNDING and paired.p_loss < level:
        return change.verdict("regressed", "paired", f"; worst: {shorten(paired.worst)}" if paired.worst else "")
    if difference.mean >= margin - ROUNDING and paired.p_gain < level:
        return change.verdict("improved", "paired", "")
    if difference.n >= ENOUGH and _lower_bound(paired) > -margin:
        return change.verdict("pass", "paired", "")
    return change.verdict("inconclusive", "paired", _settling(paired, margin, level))


def _lower_bound(paired: Paired) -> float:
    """Return how low the true difference may be; of a handful of changed samples, the worst they can stand for."""
    if paired.decomposable and paired.changed < FEW_CHANGED:
        # Strata count alike whatever their size, so each is bounded by itself.
        return -fmean(worst_loss(changed, n, LARGEST_LOSS) for changed, n in paired.strata)
    return paired.difference.lower_bound()


def _settling(paired: Paired, margin: float, level: float) -> str:
    """Return how many samples would decide; too few to trust any bound is another answer than too wide a bound."""
    if paired.difference.n < ENOUGH:
        return f"; a pass needs {ENOUGH} samples"
    if not math.isfinite(paired.difference.error):
        return "; its splits and subsets have too few samples to judge by"
    needed = samples_to_settle(paired.difference, margin, level)
    if needed <= paired.difference.n:
        return f"; so few changed samples could stand for a loss of {points(-_lower_bound(paired))}"
    if paired.by_experiments:
        return "; its experiments differ too much, which more samples would not settle"
    return f"; about {needed} samples would settle it"


def _facts(paired: Paired, policy: Policy, gated: int) -> str:
    difference = paired.difference
    low, high = difference.interval()
    p, level = min(paired.p_loss, paired.p_gain), policy.alpha / gated
    shared = f"{policy.alpha:g}" + (f"/{gated}" if gated > 1 else "")
    found = detectable(difference, policy.margin, level)
    return (
        f"95 % [{signed_points(low)}, {signed_points(high)}], p = {p:.2g} {'<' if p < level else '≥'} {shared}, "
        f"{difference.n} samples, {paired.changed} changed, could detect {signed_points(-found)}"
    )


def _evidence(policy: Policy, paired: Paired, gated: int) -> Evidence | None:
    difference = paired.difference
    if not math.isfinite(difference.error):
        return None
    return Evidence(
        error=difference.error,
        degrees=difference.degrees if math.isfinite(difference.degrees) else None,
        interval=difference.interval(),
        p=paired.p_loss,
        n=difference.n,
        changed=paired.changed,
        detectable=detectable(difference, policy.margin, policy.alpha / gated),
    )
