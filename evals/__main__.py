"""The ``evals`` command, for what is not a test run."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from evals import __version__
from evals.baselines import Baselines
from evals.cases import Plan, find_cases
from evals.config import Options
from evals.errors import EvalsError
from evals.points import points

USAGE = 4  # pytest's exit code for a usage error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 4 for a mistake in what was typed or in a file."""
    parsed = _parser().parse_args(arguments)
    try:
        print(parsed.run(parsed))
    except EvalsError as error:
        print(f"evals: {error}", file=sys.stderr)
        return USAGE
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="evals", description="Look at what `pytest evals` would run and expect.")
    parser.add_argument("--version", action="version", version=f"touchstone-evals {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    plan = commands.add_parser("plan", help="list the cases of a suite, without running them")
    for option, what in (
        ("--suite", "a suite by name, or a TOML file"),
        ("--model", "ALIAS, PATH or hub id instead of the suite's models"),
        ("--task", "only tasks that match this glob"),
    ):
        plan.add_argument(option, action="append", default=[], metavar="X", help=f"{what} (repeatable)")
    plan.add_argument("--models", metavar="FILE", help="a TOML file with more named models")
    plan.set_defaults(run=_plan)
    baselines = commands.add_parser("baselines", help="look at committed baselines")
    actions = baselines.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="print the scores of each model, with where they are from")
    show.add_argument("--baselines", metavar="DIR", help="the project's folder of baselines (default: baselines)")
    show.add_argument("--alias", action="append", default=[], metavar="X", help="only this model (repeatable)")
    show.set_defaults(run=_show_baselines)
    return parser


def _options(parsed: argparse.Namespace) -> Options:
    here = Path.cwd()
    typed = {
        "suites": getattr(parsed, "suite", []),
        "models": getattr(parsed, "model", []),
        "models_file": getattr(parsed, "models", None),
        "tasks": getattr(parsed, "task", []),
        "baselines": getattr(parsed, "baselines", None),
    }
    return Options.parse(typed, root=here, cwd=here)


def _plan(parsed: argparse.Namespace) -> str:
    plan = find_cases(_options(parsed))
    rows = [
        (case.id, case.task.type, case.task.main_score, " ".join(case.task.strata) if len(case.task.strata) <= 3
         else f"{len(case.task.strata)} strata", "folder" if case.task.folder else str(case.source))
        for case in plan.cases
    ]  # fmt: skip
    return "\n".join([*_columns(rows), "", *_totals(plan)])


def _totals(plan: Plan) -> list[str]:
    by_type = Counter(case.task.type for case in plan.cases)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(by_type.items()))
    lines = [f"suite {plan.suite}: {len(plan.cases)} cases: {counts}"]
    return lines + [f"{count} cases left out: {reason}" for reason, count in plan.left_out.items()]


def _show_baselines(parsed: argparse.Namespace) -> str:
    options = _options(parsed)
    baselines = Baselines(options.baselines)
    rows = []
    for alias in parsed.alias or baselines.aliases():
        baselines.require_alias(alias, "--alias")
        for key, reference in baselines.entries(alias).items():
            entry = reference.baseline
            where = entry.source if entry.recorded is None else f"{entry.source} {entry.recorded}"
            rows.append((f"{alias}:{key}", entry.metric, points(entry.score), where))
    return "\n".join(_columns(rows))


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align rows of cells."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


if __name__ == "__main__":
    sys.exit(main())
