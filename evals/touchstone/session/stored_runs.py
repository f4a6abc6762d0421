"""Make one run of several run records, or of the shards of one run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from touchstone.errors import ConfigError
from touchstone.files.writing import to_json
from touchstone.formatting import count, points
from touchstone.judging.gate import rejudge
from touchstone.judging.overall import judge_models
from touchstone.records.flat import flatten
from touchstone.records.runs import Record, Run, Shard
from touchstone.store.folder import Store
from touchstone.store.runs import list_runs, read_any_run


def merge_runs(runs: Sequence[Run]) -> tuple[Run, tuple[str, ...]]:
    """Make one run of several: a case that is in two is taken from the newest, unless only the older measured it.

    Returns:
        The run, each case judged again at the level of all of them, and sentences on what was taken from where.
    """
    if len(runs) == 1:
        return runs[0], ()
    ordered = sorted(runs, key=lambda run: (run.started, run.suite))
    by_key: dict[tuple[str, str, int | None], tuple[Run, Record]] = {}
    notes = []
    for run in ordered:
        for record in run.records:
            key = (record.alias, record.task, record.limit)
            earlier = by_key.get(key)
            if earlier is not None and earlier[1].score is not None and record.score is None:
                notes.append(f"{record.case}: not measured in {run.started}, taken from {earlier[0].started}")
                continue
            if earlier is not None:
                notes.append(f"{record.case}: in two runs, taken from {run.started}")
            by_key[key] = (run, record)
    records = _at_one_level([record for _, record in by_key.values()])
    judged = {suite.model for run in ordered for suite in run.suites}
    merged = replace(
        ordered[-1],
        suite=" + ".join(dict.fromkeys(run.suite for run in ordered)),
        environment=_environments(ordered),
        commit=ordered[-1].commit if len({run.commit for run in ordered}) == 1 else None,
        records=records,
        suites=judge_models([record for record in records if record.alias in judged]),
    )
    return merged, (*_other_plans(records), *notes)


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
        f"{alias}: its cases are of {len(ids)} plans, {', '.join(plan or 'an unknown one' for plan in ids)}: "
        "other tasks, limits or terms of the gate"
        for alias, ids in plans.items()
        if len(ids) > 1
    ]


def _environments(runs: Sequence[Run]) -> dict[str, str]:
    """Put the versions of several runs together; where they differ, all are named."""
    names = dict.fromkeys(name for run in runs for name in run.environment)
    versions = {name: dict.fromkeys(run.environment.get(name, "none") for run in runs) for name in names}
    return {name: " / ".join(values) for name, values in versions.items()}


# Shards that were measured further apart get a note: data may have changed meanwhile.
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRun:
    """The record of a shard, and the store that it lies in."""

    store: Store
    run: Run

    @property
    def shard(self) -> Shard:
        """Which shard it is of."""
        assert self.run.shard is not None
        return self.run.shard

    @property
    def order(self) -> tuple[str, int, str]:
        """What puts shards in an order, wherever they lie."""
        return self.run.started, self.shard.number, to_json(flatten(self.run))


def find_shards(stores: Sequence[Path]) -> list[ShardRun]:
    """Return the shards of one run that some stores have, of each store and number the newest.

    Raises:
        ConfigError: a store has none, or they are not of one run.
        BaselineError: a run record is damaged.
    """
    newest_shards: list[ShardRun] = []
    for store in stores:
        runs = [read_any_run(file) for file in list_runs(store)]
        shards = [ShardRun(store=Store(store), run=run) for run in runs if run.shard is not None]
        if not shards:
            raise ConfigError(f"{store}: has no record of a shard; pytest evals --shard K/N --store {store} writes one")
        by_number = {shard.shard.number: shard for shard in shards if shard.shard.plan == shards[-1].shard.plan}
        newest_shards += by_number.values()
    newest_shards.sort(key=lambda shard: shard.order)
    first = newest_shards[0]
    for other in newest_shards:
        if other.shard.plan != first.shard.plan:
            raise ConfigError(
                f"shard {other.shard} in {other.store.folder} is not of the run of shard {first.shard} in "
                f"{first.store.folder}: other cases, options, costs or versions; run all shards alike"
            )
    return newest_shards


def merge_shards(shards: Sequence[ShardRun]) -> tuple[Run, tuple[str, ...]]:
    """Make one run of its shards, in the order of `find_shards`: each case judged at the level of all of them.

    A case that no shard measured is not measured. What was measured twice must be equal, the samples of a case must be
    there, and one alias must be one model everywhere; else a case is an error.

    Returns:
        The run, and sentences on what is not there.
    """
    by_case: dict[str, list[tuple[ShardRun, Record]]] = {}
    for shard in shards:
        for record in shard.run.records:
            by_case.setdefault(record.case, []).append((shard, record))
    choices = [_choose(pairs) for pairs in by_case.values()]
    records = _at_one_level(list(_refuse_other_models(choices)))
    runs = [shard.run for shard in shards]
    first = runs[0]
    numbers, of = {shard.shard.number for shard in shards}, shards[0].shard.of
    newest = max(datetime.fromisoformat(run.started) for run in runs)
    old_shards = [
        f"shard {shard.shard} is of {shard.run.started}, more than a day before the newest"
        for shard in shards
        if newest - datetime.fromisoformat(shard.run.started) > DAY
    ]
    missing_shards = [f"shard {number}/{of} is not there" for number in range(1, of + 1) if number not in numbers]
    merged = replace(
        first,
        environment=_environments(runs),
        commit=first.commit if len({run.commit for run in runs}) == 1 else None,
        records=records,
        suites=judge_models(records),
        shard=None,
    )
    measured = sum(record.score is not None and record.error is None for record in records)
    summary = f"{measured} of {count(len(records), 'case')} measured, by {len(numbers)} of {of} shards"
    return merged, (summary, *missing_shards, *old_shards)


def name_merged(shards: Sequence[ShardRun]) -> str:
    """Return the name of a merged run's record in a store: after those of all its shards."""
    newest = max(datetime.fromisoformat(shard.run.started) for shard in shards)
    return newest.astimezone(UTC).strftime("%Y%m%dT%H%M%S.999999Z")


def _choose(pairs: Sequence[tuple[ShardRun, Record]]) -> Record:
    """Return what became of a case: measured by one shard or more, else an error, else not measured."""
    measured = [(shard, record) for shard, record in pairs if record.score is not None and record.error is None]
    if not measured:
        return next((record for _, record in pairs if record.error is not None), pairs[0][1])
    first, record = measured[0]
    for other, repeat in measured[1:]:
        if (repeat.measurement, repeat.samples, repeat.stages) != (record.measurement, record.samples, record.stages):
            return _refuse(record, f"measured twice, and not alike: {_say(record)} in {first.store.folder}, "
                                   f"{_say(repeat)} in {other.store.folder}")  # fmt: skip
    if record.samples is not None and all(shard.store.read_samples(record.samples) is None for shard, _ in measured):
        return _refuse(record, f"its samples in {first.store.folder} are damaged or gone; run that shard again")
    return record


def _say(record: Record) -> str:
    return f"{points(record.score or 0.0)} by {record.fingerprint[:12] if record.fingerprint else 'an unknown model'}"


def _refuse_other_models(records: Sequence[Record]) -> Iterator[Record]:
    """Put an error in the place of what another model measured under the same alias: the first case's counts."""
    first: dict[str, tuple[str, str]] = {}
    for record in records:
        for alias, fingerprint in record.models:
            first.setdefault(alias, (fingerprint, record.case))
        other = next((alias for alias, fingerprint in record.models if first[alias][0] != fingerprint), None)
        yield (
            record
            if other is None
            else _refuse(record, f"{other} is another model here than in {first[other][1]}; run its shard again")
        )


def _refuse(record: Record, error: str) -> Record:
    """Return the record of a case whose number does not count."""
    names = ("case", "alias", "task", "type", "languages", "metric", "limit", "command")
    values: Mapping[str, object] = {name: getattr(record, name) for name in names}
    return Record(**values, model=None, revision=None, outcome="error", error=error)  # type: ignore[arg-type]
