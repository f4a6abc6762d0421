"""``touchstone report``: render stored runs again, several as one."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from touchstone.baselines.files import Baselines
from touchstone.commands.parsing import add_options, parse_options, terminal
from touchstone.errors import BaselineError
from touchstone.files.writing import place
from touchstone.records.runs import Run
from touchstone.report.formats import find_target
from touchstone.report.leaderboard import side_by_side
from touchstone.report.summary import summarize
from touchstone.report.text import render_board, render_suite, render_summary
from touchstone.session.reports import find_pair, write_report
from touchstone.session.stored_runs import merge_runs
from touchstone.store.runs import newest_run, read_run

NOTE_LIMIT = 10


def add_command(commands: Any) -> None:
    """Add the parser."""
    report = commands.add_parser(
        "report",
        help="render stored runs again, several of them as one",
        description="Render runs again: each a run record (RUN.json) or a store, of which its newest run is meant. A "
        "case that is in two is taken from the newest. Several models are put side by side.",
    )
    report.add_argument("runs", nargs="+", metavar="RUN", help="a run record, or a store")
    report.add_argument(
        "--out", metavar="FILE", help="write a report; .html, .json or .md, eval_results/ or runs/ (default: print it)"
    )
    add_options(report, "--store", "--baselines")
    report.set_defaults(run=_report)


def _report(parsed: argparse.Namespace) -> tuple[str | list[str], int]:
    options = parse_options(parsed)
    target = None if parsed.out is None else find_target("--out", options.cwd, parsed.out)
    files = [_file(place(options.cwd, text)) for text in parsed.runs]
    runs = [read_run(file) for file in files]
    run, notes = merge_runs(runs)
    if len(notes) > NOTE_LIMIT:
        notes = (*notes[:NOTE_LIMIT], f"and {len(notes) - NOTE_LIMIT} more cases")
    if target is None:
        return "\n".join([render_run(run), *notes]), 0
    newest = max(zip(runs, files, strict=True), key=lambda pair: pair[0].started)[1]
    in_store = newest.parent.name == "runs" and options.store is None
    store = newest.parent.parent if in_store else options.store_folder
    stores = [store, *(file.parent.parent for file in files if file.parent.name == "runs")]
    pairs = partial(find_pair, stores=stores, baselines=Baselines(options.baselines))
    return [*notes, *write_report(target, run, store, pairs, merged=runs)], 0


def _file(path: Path) -> Path:
    if path.is_dir():
        return newest_run(path)
    if not path.is_file():
        raise BaselineError(f"{path}: no such run record or store")
    return path


def render_run(run: Run) -> str:
    """Return what a terminal shows of a run: its table, the verdicts, and models side by side."""
    drawing = terminal()
    lines = [render_summary(summarize(run.records), **drawing).rstrip("\n")]
    lines += [render_suite(suite, width=drawing["width"]) for suite in run.suites]
    board = side_by_side(run)
    return "\n".join(lines if board is None else [*lines, render_board(board, width=drawing["width"])])
