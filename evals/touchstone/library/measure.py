"""Measure a model from Python, with the session of a run of pytest."""

import hashlib
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from touchstone.config.suites import NamedSuite
from touchstone.errors import ModelError
from touchstone.foreign import one_line
from touchstone.judging.overall import exit_code
from touchstone.library.arguments import ModelArgument, device_for, named_as_given, parse_options, spoken_in_python
from touchstone.library.progress import RunProgress, check_progress, open_line
from touchstone.library.result import Result
from touchstone.measuring.case import Progress
from touchstone.models.in_memory import measured_as_is, process_settings
from touchstone.models.kinds import identify
from touchstone.own_code import is_installed
from touchstone.records.cases import Case
from touchstone.records.runs import Record, make_record
from touchstone.session.session import Finished, Session, open_session
from touchstone.tasks.sources import go_offline

HOME = Path(__file__).parent.parent


def run_session(model: ModelArgument, suite: str | NamedSuite, options: Mapping[str, Any], **typed: Any) -> Result:
    """Measure a model on a suite as `run_open` does."""
    return run_open(model, suite, options, **typed)[0]


def run_open(
    model: ModelArgument, suite: str | NamedSuite, options: Mapping[str, Any], **typed: Any
) -> tuple[Result, Session]:
    """Measure a model on a suite, each case as pytest does, and judge it by baselines unless an option says otherwise.

    Args:
        model: as options take it.
        suite: its name or file, or a suite in memory.
        options: of `MeasureOptions`.
        typed: more options, by their names in the option table.

    Returns:
        The run, and the session that knows its cases.

    Raises:
        TouchstoneError: an argument is wrong; the error of one case is in its record instead.
    """
    name = suite if isinstance(suite, str) else suite.name
    device = device_for(model.loaded, str(options.get("device", "auto")))
    parsed = parse_options({**options, "device": device}, suites=[name], models=[model.text], **typed)
    suites = {} if isinstance(suite, str) else {name: suite}
    parsed = replace(parsed, objects=model.objects, inline_suites=suites)
    check_progress(options.get("progress"))
    if parsed.offline:
        go_offline()
    with measured_as_is(model.loaded):
        with spoken_in_python(), named_as_given(suite):
            session = open_session(parsed, hash_program)
        session.plan.refuse_empty()
        finished = _go_through(session, progress=options.get("progress"))
    result = Result(
        run=finished.run,
        store=session.store.folder,
        notes=(*session.plan.notes, *session.warnings, *finished.notes),
        inconclusive=parsed.inconclusive,
        baselines=parsed.baselines,
        lost=finished.exit_code != exit_code(finished.run.records, finished.run.suites, parsed.inconclusive),
    )
    return result, session


def _go_through(session: Session, *, progress: Progress | bool | None) -> Finished:
    """Run every case, and write all results even after an error."""
    cases = session.plan.cases
    session.store.make()
    session.expect(case.id for case in cases)
    try:
        with open_line(progress, len(cases)) as paint:
            line = RunProgress(session, paint)
            for case in cases:
                with line.follow(case) as tell:
                    session.add(_run(session, case, progress if callable(progress) else tell), session.store.notes)
                session.write_so_far()
        for alias in session.options.objects:
            _look_again(session, alias)
    finally:
        finished = session.finish()
    return finished


def _run(session: Session, case: Case, progress: Progress) -> Record:
    """Measure and judge a case; an exception becomes the error of its record, as in pytest."""
    outcome = comparison = verdict = error = None
    try:
        with session.measure(case, progress) as measured:
            outcome = measured.outcome
            comparison = session.compare(case, measured)
            verdict = session.judge(case, outcome, comparison)
            comparison = session.read_texts(case, measured, comparison, verdict)
    except Exception as failure:  # foreign code may raise anything
        error = one_line(str(failure)).removeprefix(f"{case.id}: ") or type(failure).__name__
    return make_record(case, outcome, verdict, error, None if comparison is None else comparison.shown)


def _look_again(session: Session, alias: str) -> None:
    """Replace every score of a model by an error if the model changed during the run."""
    try:
        session.cache.check_model(alias, identify(session.plan.models[alias], session.store))
    except ModelError as error:
        cases = {case.id: case for case in session.plan.cases}
        for record in session.records():
            if record.error is None:
                session.add(make_record(cases[record.case], None, None, str(error)))


def hash_program() -> str:
    """Return the hash of the loaded code outside of installed packages, which can change how a model computes.

    ``""`` for no such code; another hash each time where the code has no file, as in a notebook.
    """
    parts = {f"setting {setting}" for setting in process_settings()}
    for name, file in _modules():
        if file is None:
            parts.add(uuid.uuid4().hex)
        elif not is_installed(file) and not file.is_relative_to(HOME) and file.is_file():
            parts.add(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}")
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16] if parts else ""


def _modules() -> Iterator[tuple[str, Path | None]]:
    """Yield the names and files of loaded modules; the file of a notebook's ``__main__`` is None."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            yield name, Path(file)
        elif name == "__main__":
            yield name, None
