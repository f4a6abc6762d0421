"""Judge one stored measurement by another, without running anything: baselines and run records against each other."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from touchstone.baselines.files import Baselines, make_baseline
from touchstone.environment import describe_environment
from touchstone.errors import BaselineError, ConfigError, suggest
from touchstone.files.writing import place, read_bytes
from touchstone.judging.gate import Comparison, judge
from touchstone.judging.pairing import pair
from touchstone.records.baselines import Baseline, Reference
from touchstone.records.cases import Case, Policy, TaskInfo
from touchstone.records.flat import read_run
from touchstone.records.names import baseline_key
from touchstone.records.outcomes import ModelIdentity, Outcome
from touchstone.records.runs import Record, Run, make_record
from touchstone.records.samples import Samples, decode_samples
from touchstone.records.verdicts import Verdict
from touchstone.store.folder import Store
from touchstone.tasks.catalog import known_tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One stored measurement: an entry, its task and type, its samples where they are kept, and how long it took."""

    task: str
    type: str
    baseline: Baseline
    samples: Samples | None
    chance: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """All stored measurements of one model, by key, and what a run of it could not measure."""

    name: str
    model: str
    revision: str | None
    measured: Mapping[str, Measured]
    unmeasured: tuple[Record, ...] = ()


def load_side(text: str, folder: Path, baselines: Baselines, store: Path) -> Side:
    """Read a side: an alias with baselines, or a run record, ``FILE.json`` or ``FILE.json:ALIAS``.

    Args:
        text: what the user wrote.
        folder: what a relative path is relative to.
        baselines: where aliases are looked up.
        store: where the samples of run records are, unless the record lies in a store itself.

    Raises:
        TouchstoneError: there is no such thing, or it is damaged.
    """
    file, _, alias = text.partition(".json:")
    if text.endswith(".json") or alias:
        return _load_run(place(folder, text if not alias else f"{file}.json"), alias, text, store)
    baselines.require_alias(text, "compare")
    entries = baselines.entries(text)
    first = next(iter(entries.values()))
    measured = {}
    for key, reference in entries.items():
        samples = baselines.load_samples(reference)
        task = key.partition("?")[0]
        kind = samples.type if samples else ""
        measured[key] = Measured(task=task, type=kind, baseline=reference.baseline, samples=samples)
    return Side(name=text, model=first.model, revision=first.revision, measured=measured)


def compare(reference: Side, candidate: Side, policy: Policy) -> tuple[Record, ...]:
    """Judge every case of the candidate; one that the reference lacks is missing, one it could not measure stays so.

    Raises:
        BaselineError: they have no case in common.
    """
    shared = [key for key in candidate.measured if key in reference.measured]
    if not shared:
        raise BaselineError(f"{reference.name} and {candidate.name} have no case in common")
    kinds = _types(reference, candidate)
    judged = [_judge(key, reference, candidate, policy, kinds[key]) for key in candidate.measured]
    return (*judged, *candidate.unmeasured)


def _types(reference: Side, candidate: Side) -> dict[str, str]:
    """Return the task type of each of the candidate's cases; mteb is asked, once, only for what neither side knows."""
    sides = (candidate, reference)
    kinds = {
        key: next((side.measured[key].type for side in sides if key in side.measured and side.measured[key].type), "")
        for key in candidate.measured
    }
    known = {} if all(kinds.values()) else known_tasks()
    return {key: kind or known.get(candidate.measured[key].task, "unknown") for key, kind in kinds.items()}


def _load_run(path: Path, alias: str, text: str, store: Path) -> Side:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    run = read_run(read_bytes(path, ConfigError), str(path))
    found = dict.fromkeys(record.alias for record in run.records if record.score is not None)
    if alias and alias not in found:
        raise ConfigError(f'{path}: has no model "{alias}"{suggest(alias, found)}')
    if not alias and len(found) != 1:
        raise ConfigError(f"{path}: has {len(found)} models; name one: {path.name}:{next(iter(found), 'ALIAS')}")
    chosen = alias or next(iter(found))
    folder = path.parent.parent if path.parent.name == "runs" else store
    records = [record for record in run.records if record.alias == chosen and record.score is not None]
    measured = {baseline_key(r.task, r.limit): _from_record(r, run, folder) for r in records}
    lost = [replace(r, alias=text) for r in run.records if r.alias == chosen and r.score is None]
    return Side(
        name=text,
        model=records[0].model or chosen,
        revision=records[0].revision,
        measured=measured,
        unmeasured=tuple(lost),
    )


def _from_record(record: Record, run: Run, store: Path) -> Measured:
    content = None if record.samples is None else Store(store).read_samples(record.samples)
    samples = None if content is None else decode_samples(content, str(record.samples))
    baseline = replace(make_baseline(record, run.environment), recorded=None)
    return Measured(task=record.task, type=record.type, baseline=baseline, samples=samples, chance=record.chance)


def _judge(key: str, reference: Side, candidate: Side, policy: Policy, kind: str) -> Record:
    there, here = reference.measured.get(key), candidate.measured[key]
    task = TaskInfo(name=here.task, type=kind, main_score=here.baseline.metric)
    case = Case(alias=candidate.name, task=task, suite="compare", policy=policy, limit=here.baseline.limit)
    outcome = _outcome(here, candidate)
    if there is None:
        reason = f"{reference.name} has no score for it"
        return make_record(case, outcome, Verdict(word="missing", reason=reason), None)
    expected = Reference(
        alias=reference.name, model=reference.model, revision=reference.revision, baseline=there.baseline
    )
    paired = pair(here.samples, there.samples) if here.samples and there.samples else None
    env = here.baseline.env or describe_environment()
    comparison = Comparison(reference=expected, env=env, gated=len(candidate.measured), paired=paired)
    return make_record(case, outcome, judge(case, outcome, comparison), None)


def _outcome(measured: Measured, side: Side) -> Outcome:
    entry = measured.baseline
    return Outcome(
        identity=ModelIdentity(
            name=side.model,
            revision=side.revision,
            unmodified=entry.fingerprint is None,
            fingerprint=entry.fingerprint or "",
        ),
        measurement=replace(entry.measurement, chance=measured.chance),
        device="",
    )
