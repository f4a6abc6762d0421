"""Judge a measured case against its baseline. Pure: no files, no clock, no randomness."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from statistics import fmean
from typing import Any

from touchstone.formatting import points, signed_points
from touchstone.judging.overall import rebuild
from touchstone.judging.pairing import Paired
from touchstone.judging.rules import ROUNDING, Change, by_draws, by_equivalence, by_pairs, level_words
from touchstone.judging.statistics import detectable
from touchstone.records.baselines import Baseline, Reference
from touchstone.records.cases import Case, Policy
from touchstone.records.examples import Shown
from touchstone.records.names import CODE
from touchstone.records.outcomes import Outcome, Settings
from touchstone.records.runs import Record
from touchstone.records.verdicts import Anchored, Evidence, Rule, Slice, Terms, Verdict, VerdictWord
from touchstone.task_types.registry import find_type

# Arithmetic in bf16 adds a rounding error to the tolerance of a task type.
TOLERANCE_BF16 = 1e-3
AT_CHANCE_MARGIN = 0.01
ABOVE_CHANCE_MARGIN = 0.05
# Settings that are found by experiment, not declared: two estimates of the same model may differ.
ESTIMATED_SETTINGS = {"long_texts"}
# From the worst: of the verdicts on the reference and on its anchor, the worse counts; the other words are all as good.
SEVERITY: Sequence[VerdictWord] = ("regressed", "drifted", "incomparable", "missing", "inconclusive")
# Rules whose p-values have to stay below a level, which a merge of runs lowers.
LEVEL_RULES: Sequence[Rule] = ("paired", "draws", "equivalent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The evidence by which a measured case is judged.

    ``reference`` has the baseline, None if there is none; ``env`` has the versions of libraries of this run. ``paired``
    compares the samples, or is the reason why they cannot be compared; None without samples. ``anchored`` is the same
    for the reference's anchor. ``verdict`` is a cached one, and ``key`` its cache key. ``shown`` are the samples that
    changed most, ``slices`` the figures of some samples.
    """

    reference: Reference | None
    env: Mapping[str, str] = field(default_factory=dict)
    paired: Paired | str | None = None
    anchored: Paired | str | None = None
    slices: tuple[Slice, ...] = ()
    verdict: Verdict | None = None
    key: Mapping[str, Any] | None = None
    shown: Shown | None = None


def judge(case: Case, outcome: Outcome, comparison: Comparison) -> Verdict:
    """Return the verdict on a measured case.

    Args:
        case: the case, with its policy.
        outcome: the measurement.
        comparison: the evidence.

    Returns:
        The verdict; a case without a reference is ``missing`` unless it fell below its floor.
    """
    if comparison.verdict is not None:
        return comparison.verdict
    reference, floor = comparison.reference, case.policy.floor
    if floor is not None and outcome.measurement.score < floor:
        measured = f"{outcome.measurement.metric} {points(outcome.measurement.score)}"
        reason = f"{measured} is below the suite's floor {points(floor)}"
        return Verdict(word="regressed", rule="floor", reason=reason)
    if reference is None:
        return Verdict(word="missing", reason=f"no baseline for {case.id}")
    terms = Terms(
        **asdict(case.policy),
        against=reference.alias,
        model=reference.model,
        anchored=reference.anchor is not None,
        differences=tuple(_other_settings(outcome.measurement.settings, reference.baseline.settings)),
    )
    verdict = replace(_judge_by(case, outcome, comparison, terms), terms=terms, slices=comparison.slices)
    if verdict.word == "incomparable":
        return verdict
    reason = "; ".join([verdict.reason, *terms.differences, *_notes(outcome, reference.baseline)])
    return _with_anchor(replace(verdict, reason=reason), case, outcome, comparison)


def _judge_by(case: Case, outcome: Outcome, comparison: Comparison, terms: Terms) -> Verdict:
    """Judge by one reference, without its anchor."""
    reference = comparison.reference
    assert reference is not None
    stranger = _incomparable(case, outcome, reference)
    if stranger is not None:
        return Verdict(word="incomparable", reason=f"not comparable with {reference.alias}: {stranger}")
    change = _compare(outcome, reference)
    verdict = _at_chance(outcome, change, terms) or _by_rule(case, outcome, comparison, terms, change)
    if not isinstance(comparison.paired, Paired):
        return verdict
    return replace(
        verdict,
        evidence=_evidence(terms, comparison.paired),
        suspect=verdict.word == "inconclusive" and _is_suspect(comparison.paired, terms, verdict.rule),
    )


def _is_suspect(paired: Paired, terms: Terms, rule: Rule | None) -> bool:
    """Return True if the loss reaches the margin without proof, or if its error is not known."""
    allowed = terms.bound if rule == "equivalent" else terms.margin
    return not math.isfinite(paired.difference.error) or paired.difference.mean <= -allowed + ROUNDING


def _with_anchor(verdict: Verdict, case: Case, outcome: Outcome, comparison: Comparison) -> Verdict:
    """Judge by the anchor too, which bounds what many releases may lose together; the worse verdict counts."""
    reference, terms = comparison.reference, verdict.terms
    if reference is None or reference.anchor is None or terms is None:
        return verdict
    anchor = reference.anchor
    policy = replace(case.policy, rule="auto")
    on_anchor = _judge_by(
        replace(case, policy=policy), outcome, replace(comparison, reference=anchor, paired=comparison.anchored), terms
    )
    expected = None if on_anchor.word == "incomparable" else expected_score(outcome, anchor.baseline)
    anchored = Anchored(
        baseline=anchor.baseline.score if expected is None else expected,
        delta=on_anchor.delta or 0.0,
        word=on_anchor.word,
        recorded=anchor.baseline.recorded,
        evidence=on_anchor.evidence,
    )
    # A repetition of an accepted model needs no new evidence against the anchor; it must only not have lost too much.
    repeated = verdict.rule == "reproduce" and on_anchor.word == "inconclusive"
    ranks = [[*SEVERITY, word].index(word) for word in (on_anchor.word, verdict.word)]
    if repeated or ranks[0] >= ranks[1]:
        suspect = verdict.suspect or (on_anchor.suspect and verdict.word == on_anchor.word and not repeated)
        return replace(verdict, anchor=anchored, suspect=suspect)
    since = f" of {anchored.recorded}" if anchored.recorded else ""
    move = "; if that is meant, move it: touchstone baselines anchor --move" if on_anchor.word != "inconclusive" else ""
    return replace(
        verdict,
        word=on_anchor.word,
        anchor=anchored,
        suspect=on_anchor.suspect,
        reason=f"{verdict.reason}; against its anchor{since}: {on_anchor.reason}{move}",
    )


def _compare(outcome: Outcome, reference: Reference) -> Change:
    score, expected = outcome.measurement.score, expected_score(outcome, reference.baseline)
    delta = score - expected
    was = f"was {points(expected)} in {reference.alias} (Δ {signed_points(delta)})"
    return Change(expected=expected, delta=delta, words=f"{outcome.measurement.metric} {points(score)}, {was}")


def _by_rule(case: Case, outcome: Outcome, comparison: Comparison, terms: Terms, change: Change) -> Verdict:
    """Judge by the rule named, or by the strictest that applies."""
    rule, paired, reference = case.policy.rule, comparison.paired, comparison.reference
    assert reference is not None
    if rule == "reproduce" or (rule == "auto" and _is_repetition(outcome, reference)):
        return _by_reproduction(case, outcome, comparison, change)
    if isinstance(paired, str) and rule != "threshold":
        return Verdict(word="incomparable", reason=f"not comparable with {reference.alias}: {paired}")
    if isinstance(paired, Paired) and rule != "threshold":
        if rule == "equivalent":
            return by_equivalence(terms, paired, change)
        return (by_pairs if find_type(case.task.type).paired else by_draws)(terms, paired, change)
    if rule in ("paired", "equivalent"):
        return Verdict(word="incomparable", reason=f"{reference.alias} has no samples that could be paired")
    return _by_threshold(case.policy, change)


def expected_score(outcome: Outcome, baseline: Baseline) -> float:
    """Return the baseline's score over the strata that ran; all of them must be in the baseline."""
    return fmean(baseline.subsets[stratum] for stratum in outcome.measurement.subsets)


def _incomparable(case: Case, outcome: Outcome, reference: Reference) -> str | None:
    """Return the first difference that makes two numbers incomparable, or None."""
    baseline = reference.baseline
    checks = (
        ("metric", outcome.measurement.metric, baseline.metric),
        ("limit", case.limit, baseline.limit),
    )
    for name, here, there in checks:
        if here != there:
            return f"{name} is {_display(here)} here and {_display(there)} there"
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
    # A published number may have an old revision of data that has not changed; the revision of a recorded one is exact.
    recorded = baseline.fingerprint is not None
    if recorded and baseline.data_sha256 is None and outcome.measurement.dataset_revision != baseline.dataset_revision:
        here, there = _display(outcome.measurement.dataset_revision), _display(baseline.dataset_revision)
        return f"the data set revision is {here} here and {there} there"
    return None


def _other_settings(here: Settings, there: Settings) -> list[str]:
    """List settings that are known on both sides and differ."""
    names = [item.name for item in fields(Settings) if item.name not in ESTIMATED_SETTINGS]
    pairs = [(name, getattr(here, name), getattr(there, name)) for name in names]
    return [f"{name} is {a} here and {b} there" for name, a, b in pairs if a is not None and b is not None and a != b]


def _notes(outcome: Outcome, baseline: Baseline) -> list[str]:
    """Return the differences that do not forbid a comparison: the revision of published numbers, the code of a task."""
    here, there = outcome.measurement.dataset_revision, baseline.dataset_revision
    if not here or not there or here == there:
        return []
    if baseline.fingerprint is None:
        return [f"the imported number names data set revision {there}, this run {here}"]
    codes = [revision.rpartition(CODE)[2] for revision in (here, there) if CODE in revision]
    differ = len(codes) == 2 and codes[0] != codes[1]
    return [f"the code of its task is {codes[0]} here and {codes[1]} there"] if differ else []


def _display(value: object) -> str:
    return "not set" if value is None else str(value)


def _at_chance(outcome: Outcome, change: Change, terms: Terms) -> Verdict | None:
    chance, score = outcome.measurement.chance, outcome.measurement.score
    if chance is None or score > chance + AT_CHANCE_MARGIN or change.expected <= chance + ABOVE_CHANCE_MARGIN:
        return None
    if change.delta >= -terms.margin - ROUNDING:
        return None
    why = f": at chance ({points(chance)}): check pooling, prompts, weights first"
    return change.verdict("regressed", "chance", why)


def _by_reproduction(case: Case, outcome: Outcome, comparison: Comparison, change: Change) -> Verdict:
    """Judge a repetition of the same measurement by tolerance."""
    reference, paired = comparison.reference, comparison.paired
    assert reference is not None
    tolerance = _tolerance(case, outcome, reference.baseline, paired)
    changed_library = _other_environment(find_type(case.task.type).fitted_by, reference.baseline, comparison.env)
    word: VerdictWord
    if abs(change.delta) <= tolerance + ROUNDING:
        word, why = "pass", f", within {points(tolerance)}"
    elif changed_library is not None:
        word, why = "inconclusive", f": other environment ({changed_library})"
    else:
        word, why = "drifted", f", the same model may move by {points(tolerance)}"
    if isinstance(paired, Paired):
        why += f", {paired.changed} of {paired.difference.n} samples changed"
    return change.verdict(word, "reproduce", why)


def _is_repetition(outcome: Outcome, reference: Reference) -> bool:
    identity, fingerprint = outcome.identity, reference.baseline.fingerprint
    if fingerprint is not None:
        return identity.fingerprint == fingerprint
    same_model = (identity.name, identity.revision) == (reference.model, reference.revision)
    return identity.unmodified and identity.revision is not None and same_model


def _tolerance(case: Case, outcome: Outcome, baseline: Baseline, paired: Paired | str | None) -> float:
    """Return the largest difference of a repetition: at least the weight of a sample in the smallest stratum."""
    kind = find_type(case.task.type)
    halved = "bfloat16" in (outcome.measurement.settings.dtype, baseline.settings.dtype)
    step = 0.0
    if isinstance(paired, Paired) and kind.paired:
        step = 1 / min(n for _, n in paired.strata) / len(paired.strata)
    return max(kind.tolerance, TOLERANCE_BF16 if halved else 0.0, step)


def _other_environment(libraries: Sequence[str], baseline: Baseline, env: Mapping[str, str]) -> str | None:
    for name in libraries:
        there = baseline.env.get(name)
        if there is None:
            return f"{name} of the baseline is not known"
        if there != env.get(name):
            return f"{name} {_display(env.get(name))}, was {there}"
    return None


def _by_threshold(policy: Policy, change: Change) -> Verdict:
    passed = change.delta >= -policy.margin - ROUNDING
    why = f", {'within' if passed else 'beyond'} the margin of {points(policy.margin)}"
    return change.verdict("pass" if passed else "regressed", "threshold", why)


def _evidence(terms: Terms, paired: Paired) -> Evidence | None:
    difference, best = paired.difference, None if paired.best is None else paired.best.shift
    if not math.isfinite(difference.error):
        return None
    return Evidence(
        error=difference.error,
        degrees=difference.degrees if math.isfinite(difference.degrees) else None,
        interval=difference.interval(),
        p=paired.p_loss,
        n=difference.n,
        changed=paired.changed,
        detectable=detectable(difference, terms.margin, terms.case_level, shift=best),
        units=paired.units,
        worst=None if paired.worst is None else paired.worst.shift,
        best=best,
        skew=difference.skew,
        bias=difference.bias,
        effect=difference.mean / paired.spread if paired.spread else None,
        sketch=paired.sketch,
    )


def rejudge(record: Record, gated: int) -> Record:
    """Judge a record again at the level of more cases, as when runs are merged: by its evidence alone."""
    terms = record.terms
    if terms is None or gated <= terms.gated or record.verdict is None:
        return record
    terms = replace(terms, gated=gated)
    record = replace(record, terms=terms, evidence=_with_level(record.evidence, terms))
    reason = f"{record.reason}; among {gated} cases that is not below {level_words(terms)}"
    if record.rule not in LEVEL_RULES or _still_stands(record, terms):
        return record
    if record.verdict == "improved":
        return replace(record, verdict="pass", reason=reason)
    suspect = record.verdict == "regressed"  # a drifted case has gained
    return replace(record, verdict="inconclusive", outcome="passed", suspect=suspect, reason=reason)


def _still_stands(record: Record, terms: Terms) -> bool:
    """Return True if the verdict does not depend on the level, or holds at it against the reference or its anchor."""
    evidence, delta, anchor = record.evidence, record.delta, record.anchor
    if record.verdict == "regressed":
        allowed = terms.bound if record.rule == "equivalent" else terms.margin
        if _lost(evidence, delta, allowed, terms.case_level):
            return True
        if anchor is None or anchor.word != "regressed":
            return False
        return anchor.evidence is None or _lost(anchor.evidence, anchor.delta, terms.margin, terms.case_level)
    if record.verdict not in ("improved", "drifted") or evidence is None or delta is None:
        return True
    if record.verdict == "drifted" and anchor is not None and anchor.word == "drifted":
        return True
    gain = rebuild(evidence, delta).negated().moved(-(evidence.worst or 0.0))
    return gain.p_loss() < terms.case_level


def _lost(evidence: Evidence | None, delta: float | None, allowed: float, level: float) -> bool:
    if evidence is None or delta is None:
        return False
    return delta <= -allowed + ROUNDING and evidence.p < level


def _with_level(evidence: Evidence | None, terms: Terms) -> Evidence | None:
    if evidence is None:
        return None
    loss = detectable(rebuild(evidence, 0.0), terms.margin, terms.case_level, shift=evidence.best)
    return replace(evidence, detectable=loss)
