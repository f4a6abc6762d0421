"""One verdict for all cases of a model: the mean over its tasks, and whether any case speaks against it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from touchstone.formatting import points
from touchstone.judging.statistics import Difference, detectable, over_tasks
from touchstone.judging.units import correlations
from touchstone.records.cases import Policy
from touchstone.records.runs import Record, SuiteVerdict, SuiteWord
from touchstone.records.verdicts import Anchored, Evidence

BLOCKING_OUTCOMES = ("error", "not measured")
UNCOMPARED_VERDICTS = ("missing", "incomparable")
# Key of the mean against the anchors, as reasons end with it; that against the references has the empty key.
ANCHORS = " against the anchors"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mean:
    """The mean over ``cases`` against one reference, and its largest shifts by one sample more."""

    cases: int
    difference: Difference
    worst: float
    best: float

    @property
    def lowest(self) -> Difference:
        """The difference with one sample more that loses everything."""
        return self.difference.moved(self.worst)

    @property
    def p_loss(self) -> float:
        """The p-value of a loss, with one sample more that gains everything."""
        return self.difference.moved(self.best).p_loss()

    def lost(self, policy: Policy, level: float) -> bool:
        """Return True if the mean lost the suite's margin, and more than chance explains."""
        return self.difference.mean <= -policy.suite_margin and self.p_loss < level


def judge_models(records: Sequence[Record]) -> tuple[SuiteVerdict, ...]:
    """Return a verdict for each model with a judged case, or of which nothing could be measured."""
    aliases = dict.fromkeys(record.alias for record in records)
    by_alias = {alias: [record for record in records if record.alias == alias] for alias in aliases}
    return tuple(_judge(alias, group) for alias, group in by_alias.items() if _is_judged(group))


def _is_judged(records: Sequence[Record]) -> bool:
    return any(r.verdict for r in records) or all(r.outcome in BLOCKING_OUTCOMES for r in records)


def _judge(alias: str, records: Sequence[Record]) -> SuiteVerdict:
    policy = policy_of(records)
    of_all = _means(records)
    word, reason = _decide(records, of_all, policy)
    types = sorted({record.type for record in records if difference_of(record) is not None})
    by_type = {name: [record for record in records if record.type == name] for name in types}
    means_of = {name: _means(part) for name, part in by_type.items()}
    mean, anchor_mean = of_all[""], of_all.get(ANCHORS)
    overall = None if mean is None or mean.cases < 2 else mean.difference
    # A type is judged like a suite of its own, but that all of them share the error rate.
    shared = replace(Policy(), suite_margin=policy.suite_margin, alpha=policy.alpha / max(len(types), 1))
    return SuiteVerdict(
        model=alias,
        verdict=word,
        reason=reason,
        delta=None if overall is None else overall.mean,
        interval=None if overall is None else overall.interval(),
        paired=0 if mean is None else mean.cases,
        cases=len(records),
        by_type={name: _figures(means[""]) for name, means in means_of.items()},
        verdicts={name: _decide(part, means_of[name], shared, policy.confidence)[0] for name, part in by_type.items()},
        over_types=None if len(types) < 2 else _figures(_mean(records, by_types=True)),
        anchor=_figures(anchor_mean),
        planned=max(policy.gated, len(records)),
    )


def policy_of(records: Sequence[Record]) -> Policy:
    """Return the policy of a model's cases, which differ only in their margins."""
    return next((record.terms for record in records if record.terms is not None), Policy())


def detectable_mean(records: Sequence[Record]) -> float | None:
    """Return the loss of the mean that would be detected with 80 % power; None with fewer than two cases."""
    means, policy = _means(records), policy_of(records)
    level, mean = policy.mean_level(anchored=ANCHORS in means), means[""]
    if mean is None or mean.cases < 2:
        return None
    return detectable(mean.difference, policy.suite_margin, level, shift=mean.best)


def _figures(mean: _Mean | None) -> Any:
    return None if mean is None else (mean.difference.mean, *mean.difference.interval())


def _means(records: Sequence[Record]) -> dict[str, _Mean | None]:
    """Return the mean against the references, and the mean against their anchors if there are any."""
    anchored = any(record.anchor is not None for record in records)
    return {"": _mean(records)} | ({ANCHORS: _mean(records, anchored=True)} if anchored else {})


def _mean(records: Sequence[Record], *, anchored: bool = False, by_types: bool = False) -> _Mean | None:
    """Return the mean over the cases with samples, in which each case counts alike, or each type of task."""
    pairs = [(record, _against(record, anchored=anchored)) for record in records]
    compared = [(record, pair[0], pair[1]) for record, pair in pairs if pair is not None]
    if not compared:
        return None
    count, types = len(compared), [record.type for record, _, _ in compared]
    shares = [1 / len(set(types)) / types.count(name) if by_types else 1 / count for name in types]
    matrix = correlations([evidence.sketch for _, evidence, _ in compared])
    shifts = [
        (share * (evidence.worst or 0.0), share * (evidence.best or 0.0))
        for share, (record, evidence, _) in zip(shares, compared, strict=True)
        if record.rule != "reproduce"  # the same model again has no samples to lose that were not seen
    ]
    return _Mean(
        cases=count,
        difference=over_tasks([difference for _, _, difference in compared], matrix, shares),
        worst=min([0.0, *(worst for worst, _ in shifts)]),
        best=max([0.0, *(best for _, best in shifts)]),
    )


def _against(record: Record, *, anchored: bool) -> tuple[Evidence, Difference] | None:
    """Return the evidence and difference against the reference, or against its anchor where it has another one."""
    source: Record | Anchored = record.anchor if anchored and record.anchor is not None else record
    if source.evidence is None or source.delta is None:
        return None
    return source.evidence, rebuild(source.evidence, source.delta)


def _decide(
    records: Sequence[Record], means: Mapping[str, _Mean | None], policy: Policy, confidence: float | None = None
) -> tuple[SuiteWord, str]:
    """Return the verdict on some cases and its reason; ``confidence`` of a pass, where alpha is shared."""
    worse = [record.task for record in records if record.verdict in ("regressed", "drifted")]
    if worse:
        return "FAIL", f"{', '.join(worse)} worse than expected"
    level = policy.mean_level(anchored=ANCHORS in means)
    for against, mean in means.items():
        if mean is not None and mean.cases > 1 and mean.lost(policy, level):
            lost, chance = points(-mean.difference.mean), f"p = {mean.p_loss:.2g} < {level:.3g}"
            return "FAIL", f"no single case is red, but their mean lost {lost}{against}, {chance}"
    return _unsettled(records) or _pass(records, policy, means, confidence or policy.confidence)


def _unsettled(records: Sequence[Record]) -> tuple[SuiteWord, str] | None:
    """Return the reason why the cases cannot be judged together, or None."""
    if unmeasured := [record.task for record in records if record.outcome in BLOCKING_OUTCOMES]:
        return "INCOMPLETE", f"not measured: {', '.join(unmeasured)}"
    if unknown := [record.task for record in records if record.verdict in UNCOMPARED_VERDICTS]:
        return "INCONCLUSIVE", f"not compared: {', '.join(unknown)}"
    if blind := [r.task for r in records if r.verdict == "inconclusive" and r.evidence is None]:
        return "INCONCLUSIVE", f"no interval can be computed for {', '.join(blind)}"
    return None


def _pass(
    records: Sequence[Record], policy: Policy, means: Mapping[str, _Mean | None], confidence: float
) -> tuple[SuiteWord, str]:
    open_ = [record.task for record in records if record.verdict == "inconclusive"]
    margin, compared = f"{100 * policy.suite_margin:g} point", 0 if means[""] is None else means[""].cases
    if compared < 2 or any(record.rule == "equivalent" for record in records):
        if open_:
            return "INCONCLUSIVE", f"too little evidence: {', '.join(open_)}"
        is_compared = any(record.delta is not None for record in records)
        return "PASS", "each case passed" if is_compared else "compared with nothing"
    for against, mean in means.items():
        if mean is not None and not mean.lowest.lower_bound(confidence) > -policy.suite_margin:
            return "INCONCLUSIVE", f"a mean loss of {margin} cannot be ruled out{against}"
    return "PASS", f"{100 * confidence:g} % confident that it lost less than {margin}{_hidden(records, confidence)}"


def _hidden(records: Sequence[Record], confidence: float) -> str:
    """Return the case in which a pass of the suite may hide the largest loss, if any sample changed."""
    lows = []
    for record in records:
        comparison = _against(record, anchored=False)
        if comparison is not None and record.rule != "reproduce" and comparison[0].changed:
            low = max(comparison[1].moved(comparison[0].worst).lower_bound(confidence), -1.0)
            lows += [(low, record.task)] if low < 0 else []
    return f"; could hide a loss of {points(-min(lows)[0])} in {min(lows)[1]}" if lows else ""


def difference_of(record: Record) -> Difference | None:
    """Rebuild the difference of a case from its record."""
    comparison = _against(record, anchored=False)
    return None if comparison is None else comparison[1]


def rebuild(evidence: Evidence, delta: float) -> Difference:
    """Rebuild a difference from the evidence that a record keeps."""
    degrees = math.inf if evidence.degrees is None else evidence.degrees
    return Difference(
        mean=delta, error=evidence.error, degrees=degrees, n=evidence.n, skew=evidence.skew, bias=evidence.bias
    )


def exit_code(records: Sequence[Record], suites: Sequence[SuiteVerdict], inconclusive: str) -> int:
    """Return the exit code of a run.

    1 where something failed or could not be compared; 9 where a case is suspect, unless ``inconclusive`` is pass, or
    where it is fail and a suite is inconclusive; else 0.
    """
    if any(record.outcome != "passed" for record in records) or any(s.verdict == "FAIL" for s in suites):
        return 1
    suspect = any(record.suspect for record in records)
    open_ = any(suite.verdict == "INCONCLUSIVE" for suite in suites)
    return 9 if (suspect and inconclusive != "pass") or (open_ and inconclusive == "fail") else 0
