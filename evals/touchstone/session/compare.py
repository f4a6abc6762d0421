"""Judge one stored measurement by another, without running anything: baselines and run records against each other."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from os.path import relpath
from pathlib import Path

from touchstone import __version__
from touchstone.baselines.files import Baselines, make_baseline
from touchstone.config.options import Options
from touchstone.environment import describe_environment
from touchstone.errors import BaselineError, ConfigError, TouchstoneError
from touchstone.files.writing import place
from touchstone.formatting import some
from touchstone.importing.trec import Qrels, read_trec_run
from touchstone.judging.gate import Comparison, judge
from touchstone.judging.overall import judge_models
from touchstone.judging.pairing import Paired, pair
from touchstone.judging.slicing import make_slices
from touchstone.records.baselines import Baseline, Reference
from touchstone.records.cases import Case, Policy, TaskInfo
from touchstone.records.names import NAME, baseline_key, slug
from touchstone.records.outcomes import ModelIdentity, Outcome, Speed
from touchstone.records.runs import Record, Run, SuiteVerdict, make_record
from touchstone.records.samples import Samples, decode_samples
from touchstone.records.verdicts import Slice, Verdict
from touchstone.session.examples import show
from touchstone.store.folder import Store
from touchstone.store.runs import choose_models, find_store, list_runs, newest_run, read_any_run, read_run, split_alias
from touchstone.task_types.base import Predicted
from touchstone.tasks.catalog import known_tasks

NO_TEXTS = "what is stored of a measurement has no texts"
# So far back a run of an alias is looked for.
NEWEST_RUNS = 20
SCORES_ONLY = "scores only: without samples nothing says which differences are more than chance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One stored measurement: an entry, its task and type, its samples where they are kept, and how it was judged.

    ``lost`` says which samples should be there and are not; ``anchor`` is that of a baseline, with its samples;
    ``predicted`` is the ranking of a run file, by stratum. ``speed`` is known of a run alone.
    """

    task: str
    type: str
    baseline: Baseline
    samples: Samples | None
    chance: float | None = None
    policy: Policy | None = None
    slices: tuple[str, ...] = ()
    lost: str | None = None
    anchor: Reference | None = None
    anchor_samples: Samples | None = None
    predicted: Mapping[str, Predicted] | None = None
    speed: Speed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """All stored measurements of one model, by key, and what a run of it could not measure.

    ``name`` is the user's name for the model, ``alias`` that of its run or baselines; ``notes`` are from reading it.
    """

    name: str
    alias: str
    model: str
    revision: str | None
    measured: Mapping[str, Measured]
    unmeasured: tuple[Record, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def record_alias(self) -> str:
        """The alias of its records: the name, as far as an alias can hold it."""
        if NAME.fullmatch(self.name):
            return self.name
        return slug(self.name, also="+").lstrip(".+-")[:128] or "candidate"

    def called(self, name: str) -> "Side":
        """Return the same side by another name."""
        side = replace(self, name=name)
        unmeasured = tuple(replace(record, alias=side.record_alias) for record in self.unmeasured)
        return replace(side, unmeasured=unmeasured)


def load_side(text: str, folder: Path, baselines: Baselines, store: Path) -> Side:
    """Read a side: an alias with baselines, a run record, ``FILE.json`` or ``FILE.json:ALIAS``, or a store's newest.

    Args:
        text: what the user wrote.
        folder: what a relative path is relative to.
        baselines: where aliases are looked up.
        store: where the samples of run records are, if they are not in the store that the record lies in.

    Raises:
        TouchstoneError: there is no such thing, or it is damaged.
    """
    if text.endswith(".json") or split_alias(text)[1]:
        return _load_run(text, folder, store)
    if text not in baselines.aliases() and place(folder, text).is_dir():
        return _load_run(str(newest_run(place(folder, text))), folder, store).called(text)
    try:
        baselines.require_alias(text, "compare")
    except BaselineError as error:
        raise _name_run(text, folder, store) or error from None
    entries = baselines.entries(text)
    if not entries:
        raise BaselineError(f"{text}: its baselines have no entry")
    measured = {key: _from_baseline(key, reference, baselines) for key, reference in entries.items()}
    first = next(iter(entries.values()))
    return Side(name=text, alias=text, model=first.model, revision=first.revision, measured=measured)


def load_trec(text: str, folder: Path, qrels: Qrels, metric: str) -> Side:
    """Read a run file of TREC as the side of one retrieval case, which is called as its judgements are.

    Raises:
        ConfigError: there is no such file, or something in it is wrong.
    """
    ranking = read_trec_run(place(folder, text), qrels, metric)
    measured = Measured(
        task=qrels.task,
        type=ranking.samples.type,
        baseline=Baseline(measurement=ranking.measurement, source="trec"),
        samples=ranking.samples,
        chance=ranking.measurement.chance,
        predicted=ranking.predicted,
    )
    notes = tuple(f"{text}: {note}" for note in ranking.notes)
    return Side(name=text, alias=text, model=text, revision=None, measured={measured.task: measured}, notes=notes)


def compare(
    reference: Side, candidate: Side, *, override: Callable[[Policy], Policy] = lambda policy: policy
) -> tuple[Record, ...]:
    """Judge every case of the candidate; one that the reference lacks is missing, one it could not measure stays so.

    Published scores of two models are put side by side and not judged, unless a rule was typed; what one lacks is left
    out then.

    Args:
        reference: what is expected.
        candidate: what is judged, by the terms that its own run had.
        override: returns a policy in which what was typed wins.

    Raises:
        BaselineError: they have no case in common.
    """
    keys = [key for key in candidate.measured if key in reference.measured]
    if not keys:
        raise BaselineError(f"{reference.name} and {candidate.name} have no case in common")
    kinds = _types(reference, candidate)
    cases = {key: _case(key, candidate, kinds[key], override) for key in candidate.measured}
    if are_published(reference, candidate) and all(case.policy.rule == "auto" for case in cases.values()):
        return tuple(_unjudged(_judge(cases[key], candidate, reference, key)) for key in keys)
    records = [_judge(case, candidate, reference, key) for key, case in cases.items()]
    return (*records, *candidate.unmeasured)


def make_run(reference: Side, records: Sequence[Record], suites: Sequence[SuiteVerdict]) -> Run:
    """Return what was compared with a side as a run, for reports."""
    return Run(
        suite=f"compared with {reference.name}",
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        environment={"touchstone-evals": __version__},
        records=tuple(records),
        suites=tuple(suites),
    )


def find_samples(sides: Sequence[Side], record: Record) -> tuple[Samples, Samples]:
    """Return the samples of a case that was compared, and those of the first side.

    Raises:
        TouchstoneError: one of them has none.
    """
    key = baseline_key(record.task, record.limit)
    candidate = next((side.measured[key].samples for side in sides[1:] if side.record_alias == record.alias), None)
    reference = sides[0].measured[key].samples
    if candidate is None or reference is None:
        raise TouchstoneError("samples are not kept of both sides")
    return candidate, reference


def sharing(options: Options, count: int) -> Callable[[Policy], Policy]:
    """Return an override by which several candidates share the error rate: one of them is going to be taken."""

    def override(policy: Policy) -> Policy:
        typed = options.override(policy)
        return typed if count == 1 else replace(typed, alpha=typed.alpha / count)

    return override


def name_apart(reference: Side, side: Side) -> list[str]:
    """Return a sentence for each side on the cases that it alone has."""
    sides = ((reference, side), (side, reference))
    apart = [(first.name, sorted(first.measured.keys() - second.measured.keys())) for first, second in sides]
    return [f"only in {name}, not compared: {some(keys)}" for name, keys in apart if keys]


def sum_up(records: Sequence[Record]) -> SuiteVerdict:
    """Return what one model's cases come to; of a single case difference, interval and reason are its own."""
    (suite,) = judge_models(records)
    if len(records) > 1:
        return suite
    (record,) = records
    interval = suite.interval if record.evidence is None else record.evidence.interval
    return replace(suite, delta=record.delta, interval=interval, reason=record.reason or suite.reason)


def are_published(reference: Side, candidate: Side) -> bool:
    """Return True if these are published scores of two models: nobody measured them here, and neither has samples."""
    keys = reference.measured.keys() & candidate.measured.keys()
    entries = [side.measured[key] for side in (reference, candidate) for key in keys]
    is_measured = any(entry.baseline.fingerprint is not None or entry.samples is not None for entry in entries)
    return reference.model != candidate.model and not is_measured


def _unjudged(record: Record) -> Record:
    """Return a record without its verdict: another model's lower score is no regression."""
    reason = record.reason if record.verdict == "incomparable" else SCORES_ONLY
    return replace(record, verdict=None, rule=None, outcome="passed", reason=reason)


def pair_known(candidate: Samples | None, reference: Samples | None) -> Paired | str | None:
    """Pair the samples of two measurements, where both have some."""
    return None if candidate is None or reference is None else pair(candidate, reference)


def slice_known(candidate: Samples | None, reference: Samples | None, fields: Sequence[str]) -> tuple[Slice, ...]:
    """Return the figures by some fields of the samples, where both measurements have some."""
    return () if candidate is None or reference is None else make_slices(candidate, reference, fields)


def _types(reference: Side, candidate: Side) -> dict[str, str]:
    """Return the task type of each of the candidate's cases; mteb is asked, once, only for what neither side knows."""
    sides = (candidate, reference)
    kinds = {
        key: next((side.measured[key].type for side in sides if key in side.measured and side.measured[key].type), "")
        for key in candidate.measured
    }
    catalog = {} if all(kinds.values()) else known_tasks()
    return {key: kind or catalog.get(candidate.measured[key].task, "unknown") for key, kind in kinds.items()}


def _from_baseline(key: str, reference: Reference, baselines: Baselines) -> Measured:
    samples = baselines.load_samples(reference)
    return Measured(
        task=key.partition("?")[0],
        type=samples.type if samples else "",
        baseline=reference.baseline,
        samples=samples,
        anchor=reference.anchor,
        anchor_samples=None if reference.anchor is None else baselines.load_samples(reference.anchor),
    )


def _load_run(text: str, folder: Path, store: Path) -> Side:
    file, alias = split_alias(text)
    path = place(folder, file)
    run = read_run(path)
    first, *others = choose_models(run, path, alias)
    if others:
        raise ConfigError(f"{path}: has {len(others) + 1} models; name one: {relpath(path, folder)}:{first}")
    return make_side(run, first, [*filter(None, [find_store(path)]), store], name=text)


def _name_run(alias: str, folder: Path, store: Path) -> BaselineError | None:
    """Return an error that names the newest run of an alias that has no baselines; None for an unknown one."""
    for file in list_runs(store)[-NEWEST_RUNS:][::-1]:
        with suppress(BaselineError):  # a damaged record says nothing
            aliases = {record.alias for record in read_any_run(file).records if record.score is not None}
            if alias in aliases:
                run = relpath(file, folder) + (f":{alias}" if len(aliases) > 1 else "")
                return BaselineError(f"{alias}: has no baselines; to compare its newest run, give {run}")
    return None


def make_side(run: Run, alias: str, stores: Sequence[Path], *, name: str) -> Side:
    """Return one model of a run as a side.

    Args:
        run: measured something of it.
        alias: the model's alias in the run.
        stores: where the samples of its records are looked for.
        name: what the side is called.
    """
    records = [record for record in run.records if record.alias == alias]
    measured = [record for record in records if record.score is not None]
    return Side(
        name=name,
        alias=alias,
        model=measured[0].model or alias,
        revision=measured[0].revision,
        measured={baseline_key(r.task, r.limit): _from_record(r, run, stores) for r in measured},
        unmeasured=tuple(record for record in records if record.score is None),
    ).called(name)


def _from_record(record: Record, run: Run, stores: Sequence[Path]) -> Measured:
    name, terms = record.samples or "", record.terms
    content = next((blob for store in stores if (blob := Store(store).read_samples(name)) is not None), None)
    absence = f"{name} is not in {' or '.join(map(str, dict.fromkeys(stores)))}"
    return Measured(
        task=record.task,
        type=record.type,
        baseline=replace(make_baseline(record, run.environment), recorded=None),
        samples=None if content is None else decode_samples(content, name),
        chance=record.chance,
        policy=None if terms is None else Policy(**{item.name: getattr(terms, item.name) for item in fields(Policy)}),
        slices=tuple(dict.fromkeys(part.field for part in record.slices)),
        lost=f"{absence}; name the store that has it with --store" if name and content is None else None,
        speed=record.speed,
    )


def _case(key: str, side: Side, kind: str, override: Callable[[Policy], Policy]) -> Case:
    """Return a case as the run had it that measured it; of a baseline only the level is known."""
    measured, entry = side.measured[key], side.measured[key].baseline
    gate = measured.policy or Policy(gated=entry.gated or len(side.measured), plan=entry.plan)
    task = TaskInfo(name=measured.task, type=kind, main_score=entry.metric)
    policy, limit = override(gate), entry.limit
    return Case(alias=side.record_alias, task=task, suite="compare", policy=policy, limit=limit, slices=measured.slices)


def _judge(case: Case, candidate: Side, reference: Side, key: str) -> Record:
    there, here = reference.measured.get(key), candidate.measured[key]
    outcome = _outcome(here, candidate)
    if there is None:
        reason = f"{reference.name} has no score for it"
        return make_record(case, outcome, Verdict(word="missing", reason=reason), None)
    loss = here.lost or there.lost
    if loss is not None and case.policy.rule != "threshold":  # which asks for no samples
        reason = f"not comparable with {reference.name}: {loss}"
        return make_record(case, outcome, Verdict(word="incomparable", reason=reason), None)
    expected = Reference(
        alias=reference.name,
        model=reference.model,
        revision=reference.revision,
        baseline=there.baseline,
        anchor=there.anchor,
    )
    env = here.baseline.env or describe_environment()
    paired, anchored = pair_known(here.samples, there.samples), pair_known(here.samples, there.anchor_samples)
    slices = slice_known(here.samples, there.samples, case.slices)
    comparison = Comparison(reference=expected, env=env, paired=paired, anchored=anchored, slices=slices)
    verdict = judge(replace(case, alias=candidate.alias), outcome, comparison)
    shown = None
    if here.samples is not None and there.samples is not None and isinstance(paired, Paired):
        shown = show(here.samples, there.samples, here.predicted, NO_TEXTS)
    record = make_record(case, outcome, verdict, None, shown)
    return replace(record, texts=None, seconds=None, phases=None)  # nothing was run


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
        speed=measured.speed,
    )
