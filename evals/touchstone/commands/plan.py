"""``touchstone plan``: the cases of a suite and how long they will take, without running them."""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from touchstone.commands.parsing import add_options, parse_options, terminal
from touchstone.errors import ConfigError
from touchstone.formatting import columns, render_duration
from touchstone.records.cases import Case
from touchstone.report.text import draw
from touchstone.schedule.estimates import Basis
from touchstone.session.forecast import Forecast, make_forecast
from touchstone.session.plan import Plan, find_cases
from touchstone.session.reuse import PLUGINS, Known
from touchstone.store.folder import Store
from touchstone.store.runs import load_runs

WORKERS = (1, 2, 4, 8)
# How far estimates of these kinds were from what was measured.
WORTH: Mapping[Basis, str] = {
    "in the store": "in the store already",
    "timed": "timed here before",
    "other model": "by other models here",
    "text statistics": "by the amount of text, which can be wrong by a factor of 4",
    "unknown": "unknown, taken as the mean of the others",
}


def add_command(commands: Any) -> None:
    """Add the parser."""
    plan = commands.add_parser(
        "plan",
        help="list the cases of a suite and how long they will take, without running them",
        description="List the cases of a suite, with an estimate of how long each will take: from earlier runs of the "
        "store where there are any, else from the amount of text.",
    )
    add_options(plan, "--suite", "--model", "--task", "--models", "--limit", "--device", "--store")
    number = ", ".join(map(str, WORKERS))
    plan.add_argument(
        "--workers", action="append", default=[], metavar="N", help=f"as many workers (default: {number})"
    )
    plan.set_defaults(run=_plan)


def _plan(parsed: argparse.Namespace) -> tuple[str, int]:
    options = parse_options(parsed)
    workers = [_number(text) for text in parsed.workers] or WORKERS
    plan = find_cases(options)
    runs = load_runs(plan.store)
    # No conftest is loaded here; that of the newest run will be, if nobody has changed it.
    plugins = runs[-1].environment.get(PLUGINS, "") if runs else ""
    known = Known(plan.models, options.device, Store(plan.store, mirrors=plan.mirrors), lambda: plugins).ids(plan.cases)
    forecast = make_forecast(plan, runs, options.device, known)
    worth = "; ".join(f"{count} {WORTH[basis]}" for basis, count in forecast.bases.items())
    blocks = [
        _table(("case", "type", "metric", "strata", "source", "time"), [_row(case, forecast) for case in plan.cases]),
        _by_type(forecast),
        _makespans(forecast, workers),
        "\n".join([f"times: {worth}", *_totals(plan)]),
    ]
    return "\n\n".join(blocks), 0


def _number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ConfigError(f'--workers = "{text}"; expected a whole number of 1 or more')
    return int(text)


def _row(case: Case, forecast: Forecast) -> tuple[str, ...]:
    strata = " ".join(case.task.strata) if len(case.task.strata) <= 3 else f"{len(case.task.strata)} strata"
    source = "folder" if case.task.folder else str(case.source)
    return case.id, case.task.type, case.task.main_score, strata, source, _about(forecast, [case])


def _by_type(forecast: Forecast) -> str:
    """Return a row for each task type and one for all, a column for each model and one for all."""
    aliases = list(dict.fromkeys(case.alias for case in forecast.cases))
    types = sorted({case.task.type for case in forecast.cases})
    groups = [(name, [case for case in forecast.cases if case.task.type == name]) for name in types]
    rows = []
    for name, cases in (*groups, ("all", forecast.cases)):
        cells = [_about(forecast, [case for case in cases if case.alias == alias]) for alias in aliases]
        rows.append((name, *cells, *([_about(forecast, cases)] if len(aliases) > 1 else [])))
    return _table(("type", *aliases, *(["all"] if len(aliases) > 1 else [])), rows)


def _about(forecast: Forecast, cases: Sequence[Case]) -> str:
    """Return the time of some cases, marked where a part of it is not from timings."""
    if not cases:
        return "-"
    sure = all(forecast.estimates[case.id].basis in ("timed", "in the store") for case in cases)
    return ("" if sure else "~") + render_duration(forecast.seconds(cases))


def _makespans(forecast: Forecast, workers: Sequence[int]) -> str:
    rows = []
    for count in workers:
        end, bound = forecast.makespan(count)
        rows.append((str(count), render_duration(end), render_duration(bound)))
    return _table(("workers", "done after", "at best"), rows)


def _totals(plan: Plan) -> list[str]:
    by_type = Counter(case.task.type for case in plan.cases)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(by_type.items()))
    lines = [f"suite {plan.suite}: {len(plan.cases)} cases: {counts}"]
    return lines + [f"{count} cases left out: {reason}" for reason, count in plan.left_out.items()] + list(plan.notes)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table for a terminal, or aligned lines for what reads a pipe."""
    if not sys.stdout.isatty():
        return "\n".join(columns([header, *rows]))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return "\n".join(draw([table], **terminal()))
