"""Write reports of a run, with what earlier runs add to them."""

from collections.abc import Sequence
from pathlib import Path

from touchstone.errors import BaselineError
from touchstone.records.runs import Run
from touchstone.report.formats import Target
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
    known = {(one.started, one.suite): one for one in (*history, *merged)}
    return (*target.write(run, tuple(known.values()), store), *notes)
