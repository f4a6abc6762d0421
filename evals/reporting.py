"""Render a run for a file: what its suffix asks for, with what past runs and other models add to it."""

from collections.abc import Sequence
from pathlib import Path

from evals.averages import side_by_side
from evals.errors import BaselineError
from evals.recording import Run
from evals.report import render_html, render_json, render_markdown
from evals.runs import load_runs

# Older runs than these are in the store, and in `evals trend`.
HISTORY = 50


def render_report(run: Run, suffix: str, store: Path, merged: Sequence[Run] = ()) -> tuple[str, tuple[str, ...]]:
    """Return the run as ``.html``, ``.json`` or ``.md``, and sentences on what is missing there.

    Args:
        run: what to render.
        suffix: of the file.
        store: where past runs are.
        merged: the runs that it was made of, which may be of other stores.
    """
    if suffix == ".json":
        return render_json(run), ()
    if suffix == ".md":
        return render_markdown(run), ()
    history, notes = _past(store)
    known = {(one.started, one.suite): one for one in (*history, *merged)}
    return render_html(run, tuple(known.values()), side_by_side(run)), notes


def _past(store: Path) -> tuple[tuple[Run, ...], tuple[str, ...]]:
    """Read past runs; one that is damaged takes the lines over time with it, and nothing else."""
    try:
        return load_runs(store, HISTORY), ()
    except BaselineError as error:
        return (), (f"no lines over past runs in the report: {error}",)
