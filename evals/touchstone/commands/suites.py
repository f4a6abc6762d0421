"""``touchstone suites``: list the named suites."""

import argparse
from typing import Any

from touchstone.commands.parsing import parse_options
from touchstone.config.models import load_models
from touchstone.config.suites import built_in_suites, load_suite
from touchstone.formatting import columns
from touchstone.tasks.catalog import find_tasks


def add_command(commands: Any) -> None:
    """Add the parser."""
    suites = commands.add_parser(
        "suites",
        help="list the named suites, and the project's own",
        description="List the suites of the package and the one that `pytest evals` runs here (*).",
    )
    suites.set_defaults(run=_suites)


def _suites(parsed: argparse.Namespace) -> tuple[list[str], int]:
    options = parse_options(parsed)
    models, default = load_models(*options.models_files), options.suites[0]
    built_in = sorted(built_in_suites())
    names = dict.fromkeys((default, *built_in))
    rows = [("", "suite", "models", "tasks", "about")]
    for name in names:
        suite = load_suite(name, options.cwd, models)
        comment = suite.file.read_text(encoding="utf-8").partition("\n")[0]
        about = comment.removeprefix("# ") if name in built_in else str(suite.file)
        count = len(find_tasks(suite.suite.tasks, str(suite.file)))
        rows.append(("*" if name == default else "", suite.name, ", ".join(suite.suite.models), str(count), about))
    return columns(rows), 0
