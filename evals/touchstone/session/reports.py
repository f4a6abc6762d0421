"""Write what a run leaves beside its record: reports, with what earlier runs add to them, and baselines."""

from collections.abc import Sequence
from pathlib import Path

from touchstone.baselines.files import Baselines
from touchstone.errors import BaselineError
from touchstone.records.cases import BaselineMode
from touchstone.records.runs import Run
from touchstone.report.formats import Target
from touchstone.store.folder import Store
from touchstone.store.runs import load_runs

# Older runs than these are in the store, and in `touchstone trend`.
HISTORY = 50


def write_report(target: Target, run: Run, store: Path, merged: Sequence[Run] = ()) -> tuple[str, ...]:
    """Write a report and return lines to print.

    Args:
        target: the format and the file.
        run: what to render.
        store: where past runs are.
        merged: the runs that it was made of, which may be of other stores.

    Raises:
        OSError: the file cannot be written.
    """
    if not target.format.history:
        return target.write(run, (), store)
    notes: tuple[str, ...] = ()
    try:
        history = load_runs(store, HISTORY)
    except BaselineError as error:  # it takes the lines over time with it, and nothing else
        history, notes = (), (f"no lines over past runs in the report: {error}",)
    whole = [one for one in (*history, *merged) if one.shard is None]
    known = {(one.started, one.suite): one for one in whole}
    return (*target.write(run, tuple(known.values()), store), *notes)


def write_baselines(mode: BaselineMode, run: Run, baselines: Baselines, store: Store) -> list[str]:
    """Write what was measured as baselines, as far as the mode has it, and return lines to print.

    Raises:
        BaselineError: a file of baselines is damaged, or samples are not in the store.
    """
    if mode not in ("record", "update"):
        return []
    measured = [r for r in run.records if r.score is not None and r.error is None]
    if mode == "record":
        measured = [r for r in measured if r.verdict == "pass" and r.baseline is None]
    if lost := [r.case for r in measured if r.samples is None and r.n is not None]:
        raise BaselineError(f"no baseline was written: the samples of {lost[0]} could not be kept")
    written = baselines.write(measured, run.environment, store)
    return [f"wrote {path}: review and commit it" for path in written]
