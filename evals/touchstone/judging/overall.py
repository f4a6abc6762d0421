"""One verdict for all cases of a model: the unweighted mean over its tasks, and whether any case speaks against it."""

import math
from collections.abc import Iterable, Sequence

from touchstone.formatting import signed_points
from touchstone.judging.statistics import Difference, over_tasks
from touchstone.records.runs import Record, SuiteVerdict, SuiteWord

# A suite may lose half a point on average and no more.
SUITE_MARGIN = 0.005
BLOCKING = ("error", "not measured")
UNCOMPARED = ("missing", "incomparable")


def judge_models(records: Sequence[Record]) -> tuple[SuiteVerdict, ...]:
    """Return a verdict for each model that was judged at all."""
    aliases = dict.fromkeys(record.alias for record in records)
    by_alias = {alias: [record for record in records if record.alias == alias] for alias in aliases}
    return tuple(_judge(alias, found) for alias, found in by_alias.items() if any(r.verdict for r in found))


def _judge(alias: str, records: Sequence[Record]) -> SuiteVerdict:
    paired = {record.case: found for record in records if (found := difference_of(record)) is not None}
    overall = over_tasks(list(paired.values())) if len(paired) >= 2 else None
    word, reason = _decide(records, overall)
    types = dict.fromkeys(record.type for record in records if record.case in paired)
    return SuiteVerdict(
        model=alias,
        verdict=word,
        reason=reason,
        delta=None if overall is None else overall.mean,
        interval=None if overall is None else overall.interval(),
        paired=len(paired),
        cases=len(records),
        by_type={
            name: _of_type(paired[r.case] for r in records if r.type == name and r.case in paired)
            for name in sorted(types)
        },
    )


def _decide(records: Sequence[Record], overall: Difference | None) -> tuple[SuiteWord, str]:
    worse = [record.task for record in records if record.verdict in ("regressed", "drifted")]
    unknown = [record.task for record in records if record.outcome in BLOCKING or record.verdict in UNCOMPARED]
    if worse:
        return "FAIL", f"{', '.join(worse)} worse than expected"
    if overall is not None and overall.mean <= -SUITE_MARGIN and overall.upper_bound() < 0:
        return "FAIL", f"no single case is red, but all together lost {signed_points(overall.mean)}"
    if unknown:
        return "INCONCLUSIVE", f"not compared: {', '.join(unknown)}"
    if overall is None:
        inconclusive = [record.task for record in records if record.verdict == "inconclusive"]
        return ("INCONCLUSIVE", f"inconclusive: {', '.join(inconclusive)}") if inconclusive else ("PASS", "scores only")
    if overall.lower_bound() > -SUITE_MARGIN:
        return "PASS", f"95 % confident that it lost less than {100 * SUITE_MARGIN:g} point"
    return "INCONCLUSIVE", f"a mean loss of {100 * SUITE_MARGIN:g} point cannot be ruled out"


def difference_of(record: Record) -> Difference | None:
    """Rebuild the difference of a case from what its record keeps of it."""
    found = record.evidence
    if found is None or record.delta is None:
        return None
    degrees = math.inf if found.degrees is None else found.degrees
    return Difference(mean=record.delta, error=found.error, degrees=degrees, n=found.n)


def _of_type(differences: Iterable[Difference]) -> tuple[float, float, float]:
    """Return mean and interval over the tasks of one type."""
    found = over_tasks(list(differences))
    return (found.mean, *found.interval())


def exit_code(records: Sequence[Record], suites: Sequence[SuiteVerdict], inconclusive: str) -> int:
    """Return 1 where something failed or could not be compared, 9 where being inconclusive is to fail, else 0."""
    if any(record.outcome != "passed" for record in records) or any(s.verdict == "FAIL" for s in suites):
        return 1
    return 9 if inconclusive == "fail" and any(s.verdict == "INCONCLUSIVE" for s in suites) else 0
