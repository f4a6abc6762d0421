"""Merge several run records into one."""

from collections.abc import Sequence
from dataclasses import replace

from touchstone.judging.gate import rejudge
from touchstone.judging.overall import judge_models
from touchstone.records.runs import Record, Run


def merge_runs(runs: Sequence[Run]) -> tuple[Run, tuple[str, ...]]:
    """Make one run of several: a case that is in two is taken from the newest, unless only the older measured it.

    Returns:
        The run, each case judged again at the level of all of them, and sentences on what was taken from where.
    """
    if len(runs) == 1:
        return runs[0], ()
    ordered = sorted(runs, key=lambda run: (run.started, run.suite))
    taken: dict[tuple[str, str, int | None], tuple[Run, Record]] = {}
    replaced = []
    for run in ordered:
        for record in run.records:
            key = (record.alias, record.task, record.limit)
            known = taken.get(key)
            if known is not None and known[1].score is not None and record.score is None:
                replaced.append(f"{record.case}: not measured in {run.started}, taken from {known[0].started}")
                continue
            if known is not None:
                replaced.append(f"{record.case}: in two runs, taken from {run.started}")
            taken[key] = (run, record)
    records = _at_one_level([record for _, record in taken.values()])
    judged = {suite.model for run in ordered for suite in run.suites}
    merged = replace(
        ordered[-1],
        suite=" + ".join(dict.fromkeys(run.suite for run in ordered)),
        environment=_environments(ordered),
        commit=ordered[-1].commit if len({run.commit for run in ordered}) == 1 else None,
        records=records,
        suites=judge_models([record for record in records if record.alias in judged]),
    )
    return merged, (*_other_plans(records), *replaced)


def _at_one_level(records: Sequence[Record]) -> tuple[Record, ...]:
    """Judge again each case at the level of its model's whole plan, which has no fewer cases than there are."""
    aliases = [record.alias for record in records]
    gated = {alias: aliases.count(alias) for alias in set(aliases)}
    for record in records:
        if record.terms is not None:
            gated[record.alias] = max(gated[record.alias], record.terms.gated)
    return tuple(rejudge(record, gated[record.alias]) for record in records)


def _other_plans(records: Sequence[Record]) -> list[str]:
    """Return a sentence on each model whose cases are of several plans."""
    plans: dict[str, dict[str | None, None]] = {}
    for record in records:
        if record.terms is not None:
            plans.setdefault(record.alias, {})[record.terms.plan] = None
    return [
        f"{alias}: its cases are of {len(found)} plans, {', '.join(plan or 'an unknown one' for plan in found)}: "
        "other tasks, limits or terms of the gate"
        for alias, found in plans.items()
        if len(found) > 1
    ]


def _environments(runs: Sequence[Run]) -> dict[str, str]:
    """Put the versions of several runs together; where they differ, all are named."""
    names = dict.fromkeys(name for run in runs for name in run.environment)
    found = {name: dict.fromkeys(run.environment.get(name, "none") for run in runs) for name in names}
    return {name: " / ".join(values) for name, values in found.items()}
