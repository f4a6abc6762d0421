"""``touchstone compare``: one stored measurement judged by another."""

import argparse
from typing import Any

from touchstone.baselines.files import Baselines
from touchstone.commands.parsing import add_options, parse_options, terminal
from touchstone.judging.overall import exit_code, judge_models
from touchstone.records.cases import Policy
from touchstone.report.summary import summarize
from touchstone.report.text import render_power, render_suite, render_summary
from touchstone.session.compare import compare, load_side


def add_command(commands: Any) -> None:
    """Add the parser."""
    compare = commands.add_parser(
        "compare",
        help="judge stored scores of model B by those of A, without running anything",
        description="Judge B by A: each an alias with baselines, or a run record (RUN.json, RUN.json:ALIAS).",
    )
    compare.add_argument("reference", metavar="A", help="what is expected")
    compare.add_argument("candidate", metavar="B", help="what is judged")
    add_options(compare, "--baselines", "--store", "--gate", "--margin", "--alpha", "--inconclusive")
    compare.add_argument("--power", action="store_true", help="print the smallest loss that each task could detect")
    compare.set_defaults(run=_compare)


def _compare(parsed: argparse.Namespace) -> tuple[str, int]:
    options = parse_options(parsed)
    baselines = Baselines(options.baselines)
    sides = [
        load_side(text, options.cwd, baselines, options.store_folder) for text in (parsed.reference, parsed.candidate)
    ]
    records = compare(sides[0], sides[1], options.override(Policy()))
    suites = judge_models(records)
    lines = [render_power(records)] if parsed.power else []
    if not parsed.power:
        lines.append(render_summary(summarize(records), **terminal()))
        lines += [f"{r.task} {r.verdict}: {r.reason}" for r in records if r.outcome == "failed"]
        lines += [render_suite(suite) for suite in suites]
        if alone := sorted(set(sides[0].measured) - set(sides[1].measured)):
            lines.append(f"only in {sides[0].name}, not compared: {', '.join(alone)}")
    return "\n".join(lines), 0 if parsed.power else exit_code(records, suites, options.inconclusive)
