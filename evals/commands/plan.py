"""``evals plan``: the cases of a suite, without running them."""

import argparse
from collections import Counter
from typing import Any

from evals.cases import Plan, find_cases
from evals.commands.parsing import columns, parse_options
from evals.records import Case


def add_plan(commands: Any) -> None:
    """Add the parser."""
    plan = commands.add_parser("plan", help="list the cases of a suite, without running them")
    for option, what in (
        ("--suite", "a suite by name, a TOML file, or an EvalScope configuration"),
        ("--model", "ALIAS, PATH or hub id instead of the suite's models"),
        ("--task", "only tasks that match this glob"),
    ):
        plan.add_argument(option, action="append", default=[], metavar="X", help=f"{what} (repeatable)")
    plan.add_argument("--models", metavar="FILE", help="a TOML file with more named models")
    plan.set_defaults(run=_plan)


def _plan(parsed: argparse.Namespace) -> tuple[str, int]:
    plan = find_cases(parse_options(parsed))
    return "\n".join([*columns([_row(case) for case in plan.cases]), "", *_totals(plan)]), 0


def _row(case: Case) -> tuple[str, ...]:
    strata = " ".join(case.task.strata) if len(case.task.strata) <= 3 else f"{len(case.task.strata)} strata"
    return case.id, case.task.type, case.task.main_score, strata, "folder" if case.task.folder else str(case.source)


def _totals(plan: Plan) -> list[str]:
    by_type = Counter(case.task.type for case in plan.cases)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(by_type.items()))
    lines = [f"suite {plan.suite}: {len(plan.cases)} cases: {counts}"]
    return lines + [f"{count} cases left out: {reason}" for reason, count in plan.left_out.items()] + list(plan.notes)
