"""``touchstone trend``: show scores over the runs of a store, and where they moved."""

import argparse
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from typing import Any

from touchstone.commands.parsing import add_options, parse_options, terminal
from touchstone.errors import BaselineError, ConfigError, suggest
from touchstone.records.names import snake_case
from touchstone.report.trend import Line, render_trend, trace
from touchstone.store.runs import load_runs


def add_command(commands: Any) -> None:
    """Add the parser."""
    trend = commands.add_parser(
        "trend",
        help="show scores over past runs, and at which commit they moved",
        description="Show each case's scores over the runs of a store, oldest first.",
    )
    add_options(trend, "--store")
    for name, metavar in (("model", "ALIAS"), ("task", "GLOB"), ("type", "TYPE")):
        settings: dict[str, Any] = {"action": "append", "default": [], "metavar": metavar}
        trend.add_argument(f"--{name}", dest=f"of_{name}s", help=f"only this {name} (repeatable)", **settings)
    trend.set_defaults(run=_trend)


def _trend(parsed: argparse.Namespace) -> tuple[str, int]:
    store = parse_options(parsed).store_folder
    lines = list(trace(run for run in load_runs(store) if run.shard is None).values())
    if not lines:
        raise BaselineError(f"{store}: has no runs that measured anything; a run adds itself to its store")
    _check("--model", parsed.of_models, {line.alias for line in lines})
    _check("--type", [snake_case(name) for name in parsed.of_types], {snake_case(line.type) for line in lines})
    matches = [line for line in lines if _is_match(line, parsed)]
    if not matches:
        raise ConfigError(f"{store}: no case of its {len(lines)} is of that model, task and type")
    return render_trend(matches, **terminal()), 0


def _check(option: str, names: Sequence[str], choices: Collection[str]) -> None:
    for name in names:
        if name not in choices:
            raise ConfigError(f'{option} = "{name}" is in no run{suggest(name, choices)}')


def _is_match(line: Line, parsed: argparse.Namespace) -> bool:
    task = line.key.partition("?")[0]
    return (
        (not parsed.of_models or line.alias in parsed.of_models)
        and (not parsed.of_tasks or any(fnmatchcase(task, pattern) for pattern in parsed.of_tasks))
        and (not parsed.of_types or snake_case(line.type) in map(snake_case, parsed.of_types))
    )
