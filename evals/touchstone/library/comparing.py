"""The functions that a program calls: measure a model, judge a run, compare two, load one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from touchstone.baselines.files import Baselines
from touchstone.config.options import Options
from touchstone.errors import BaselineError, ConfigError
from touchstone.judging.overall import judge_models
from touchstone.library.arguments import (
    GATE_OPTIONS,
    MEASURE_OPTIONS,
    GateOptions,
    MeasureOptions,
    Model,
    Suite,
    check_names,
    give_model,
    give_suite,
    parse_options,
)
from touchstone.library.measure import run_open, run_session
from touchstone.library.result import Result
from touchstone.records.names import baseline_key
from touchstone.records.runs import Record, Run
from touchstone.session.compare import NO_TEXTS, Side, find_samples, load_side, make_run, make_side, name_apart
from touchstone.session.compare import compare as compare_sides
from touchstone.session.session import Session
from touchstone.store.runs import find_store, newest_run, read_run

# The fields of a record that judging sets, and their values for a case that is not judged; measuring sets the others.
VERDICT_FIELDS = ("outcome", "baseline", "delta", "verdict", "rule", "reason", "evidence", "terms", "suspect", "anchor",
          "slices", "shown")  # fmt: skip
NO_VERDICT = {"outcome": "passed", "baseline": None, "delta": None, "verdict": None, "rule": None, "reason": None,
            "evidence": None, "suspect": False, "anchor": None, "shown": None}  # fmt: skip


def measure(
    model: object,
    tasks: str | Path | Suite | Sequence[str | Path],
    *,
    against: object = None,
    **options: Unpack[MeasureOptions],
) -> Result:
    """Measure a model on tasks, as ``pytest evals`` does, and judge it.

    Args:
        model: an alias, a folder, the id of a hub, a `Model`, or a model in memory: one of sentence-transformers, or an
            object with ``encode``, ``index`` and ``search``, or ``rerank``.
        tasks: the name or file of a suite; a `Suite`; or names and globs of mteb's tasks and folders of one's own data,
            one or several. A folder is a `Path`, or text with a slash, and ``TYPE:FOLDER`` where several task types can
            read it.
        against: what it is judged by: the alias of a baseline, a `Result`, the file of a run record, or another model
            that is measured first. Without it, the baseline of its own alias; a model in memory that has none is not
            judged.
        options: as of `MeasureOptions`.

    Returns:
        The run, whose record is in the store. A case that could not be measured has an ``error`` and no score.

    Raises:
        ConfigError: an option, a task or the model is wrong.
        BaselineError: ``against`` names no baseline, or a baseline file is damaged.
    """
    check_names(options, MEASURE_OPTIONS, measure)
    argument, suite = give_model(model), give_suite(tasks)
    if against is None or (isinstance(against, str) and not against.endswith(".json")):
        no_baseline = against is None and argument.loaded is not None and not _has_baseline(argument.text, options)
        extra = {"baseline": "off"} if no_baseline and "baseline" not in options else {}
        return run_session(argument, suite, {**options, **extra}, against=against)
    if options.get("baseline", "check") != "check":
        raise ConfigError(f'baseline = "{options["baseline"]}" beside against, which is no baseline; drop one')
    unjudged: dict[str, Any] = {**options, "baseline": "off"}
    if isinstance(against, str | Path | Result):
        reference = _load(against)
    else:
        other = against if isinstance(against, Model) else Model(against, "reference")
        reference = run_session(give_model(other), suite, unjudged)
    result, session = run_open(argument, suite, unjudged)
    return _with_texts(_judge(result, reference, _parse_gate(options)), session)


def judge(
    run: Result | str | Path, against: Result | str | Path | None = None, **options: Unpack[GateOptions]
) -> Result:
    """Judge a run that was measured, without running anything.

    Args:
        run: of one model; or the file of a run record.
        against: the alias of a baseline, another run or its file; by default the baseline of the run's own alias.
        options: those of `GateOptions`; an option that is left out has its value from the run.

    Returns:
        The same run with the new verdicts.

    Raises:
        BaselineError: there is no such baseline, or the two have no case in common.
        ConfigError: the run has several models, or an option is wrong.
    """
    check_names(options, GATE_OPTIONS, judge)
    result = _load(run)
    return _judge(result, _alias(result) if against is None else against, _parse_gate(options))


def compare(
    reference: object,
    candidate: object,
    tasks: str | Path | Suite | Sequence[str | Path] | None = None,
    **options: Unpack[MeasureOptions],
) -> Result:
    """Judge a candidate by a reference, sample by sample, as ``touchstone compare`` does.

    Args:
        reference: a `Result`, the file of a run record, or the alias of a baseline.
        candidate: likewise; it is judged.
        tasks: measure both first, which are then models, as `measure` takes them.
        options: as of `MeasureOptions`; without ``tasks`` those of `GateOptions`.

    Returns:
        A run of the candidate's cases, each with its paired verdict.

    Raises:
        BaselineError: the two have no case in common, or a file is damaged.
        ConfigError: the reference or the candidate is no run and no model, or an option is wrong.
    """
    check_names(options, GATE_OPTIONS if tasks is None else MEASURE_OPTIONS, compare)
    if tasks is not None:
        other = reference if isinstance(reference, Model | str | Path) else Model(reference, "reference")
        return measure(candidate, tasks, against=Model(other) if isinstance(other, str | Path) else other, **options)
    parsed = parse_options(options)
    if isinstance(candidate, Result):
        return _judge(candidate, reference, parsed)
    sides = [_make_side(source, parsed) for source in (reference, candidate)]
    records = compare_sides(*sides, override=parsed.override)
    return _result(make_run(sides[0], records, judge_models(records)), sides, parsed)


def load_run(path: str | Path, *, store: str | Path | None = None) -> Result:
    """Load a run record.

    Args:
        path: the file, or a store, whose newest record is loaded.
        store: the folder with its samples; by default the store that the file lies in, else that of the project.

    Raises:
        BaselineError: there is no such file, or it is damaged.
    """
    file = Path(path)
    file = newest_run(file) if file.is_dir() else file
    folder = Path(store) if store is not None else find_store(file) or parse_options({}).store_folder
    return Result(run=read_run(file), store=folder)


def _load(what: object) -> Result:
    if isinstance(what, Result):
        return what
    if isinstance(what, str | Path):
        return load_run(what)
    raise ConfigError(f"a {type(what).__name__} is no run; expected what measure or load_run gives, or a file")


def _parse_gate(options: MeasureOptions | GateOptions) -> Options:
    return parse_options({name: value for name, value in options.items() if name in GATE_OPTIONS})


def _has_baseline(alias: str, options: MeasureOptions) -> bool:
    return alias in Baselines(_parse_gate(options).baselines).aliases()


def _make_side(what: object, options: Options) -> Side:
    """Return a run, its file or a baseline as a side."""
    if isinstance(what, str | Path):
        return load_side(str(what), options.cwd, Baselines(options.baselines), options.store_folder)
    result = _load(what)
    alias = _alias(result)
    if not any(record.score is not None for record in result.records):
        raise BaselineError(f"{alias}: its run measured nothing")
    return make_side(result.run, alias, [result.store, options.store_folder], name=alias)


def _alias(result: Result) -> str:
    aliases = list(dict.fromkeys(record.alias for record in result.records))
    if len(aliases) != 1:
        raise ConfigError(f"the run has {len(aliases)} models, {', '.join(aliases) or 'none'}; expected one")
    return aliases[0]


def _judge(result: Result, against: object, options: Options) -> Result:
    """Return a run with new verdicts, by another reference, and all measured values as they are."""
    reference = _make_side(against, options)
    if not any(record.score is not None for record in result.records):
        return result
    side = _make_side(result, options)
    judged = {_key(record): record for record in compare_sides(reference, side, override=options.override)}
    records = tuple(_with_verdict(record, judged.get(_key(record))) for record in result.records)
    return _result(
        replace(result.run, records=records, suites=judge_models(records)), [reference, side], options, result
    )


def _with_verdict(record: Record, judged: Record | None) -> Record:
    """Return the record of a measured case with its verdict; a case with an error stays as it is."""
    if record.score is None:
        return record
    fields: dict[str, Any] = NO_VERDICT if judged is None else {name: getattr(judged, name) for name in VERDICT_FIELDS}
    return replace(record, **fields)


def _key(record: Record) -> str:
    return baseline_key(record.task, record.limit)


def _result(run: Run, sides: Sequence[Side], options: Options, measured: Result | None = None) -> Result:
    notes = [*name_apart(*sides), *(note for side in sides for note in side.notes)]
    before = measured or Result(run=run, store=options.store_folder)
    return replace(
        before,
        run=run,
        notes=(*before.notes, *notes),
        inconclusive=options.inconclusive,
        baselines=options.baselines,
        sides=tuple(sides),
    )


def _with_texts(result: Result, session: Session) -> Result:
    """Return a judged run with the texts of the samples that changed most, whose data the session knows."""
    cases = {case.id: case for case in session.plan.cases}

    def with_texts(record: Record) -> Record:
        if record.shown is None or record.shown.note != NO_TEXTS or record.measurement is None:
            return record
        samples = find_samples(result.sides, record)
        return replace(
            record, shown=session.show_again(cases[record.case], record.measurement, *samples) or record.shown
        )

    return replace(result, run=replace(result.run, records=tuple(map(with_texts, result.records))))
