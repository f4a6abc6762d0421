"""The ``evals`` command, for what is not a test run."""

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evals import __version__
from evals.baselines import Baselines
from evals.cases import Plan, find_cases
from evals.comparing import Side, compare, load_side
from evals.config import Options, find_model, load_models
from evals.doctor import examine, render
from evals.errors import EvalsError, ModelError
from evals.overall import exit_code, judge_models, render_power, render_suite
from evals.points import points
from evals.records import Policy
from evals.report import render_summary, summarize
from evals.store import Store

USAGE = 4  # pytest's exit code for a usage error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 4 for a mistake in what was typed, and for `compare` 1 or 9 too."""
    parsed = _parser().parse_args(arguments)
    try:
        text, code = parsed.run(parsed)
    except EvalsError as error:
        print(f"evals: {error}", file=sys.stderr)
        return USAGE
    print(text)
    return int(code)


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
    _add_compare(commands)
    _add_doctor(commands)
    return parser


def _add_compare(commands: Any) -> None:
    compare = commands.add_parser(
        "compare",
        help="judge stored scores of model B by those of A, without running anything",
        description="Judge B by A: each an alias with baselines, or a run record (RUN.json, RUN.json:ALIAS).",
    )
    compare.add_argument("reference", metavar="A", help="what is expected")
    compare.add_argument("candidate", metavar="B", help="what is judged")
    compare.add_argument("--baselines", metavar="DIR", help="the project's folder of baselines (default: baselines)")
    compare.add_argument("--store", metavar="DIR", default=".evals", help="where run records have their samples")
    for option in ("--gate", "--margin", "--alpha", "--inconclusive"):
        compare.add_argument(option, metavar="X", help="as for pytest evals")
    compare.add_argument("--power", action="store_true", help="print the smallest loss that each task could detect")
    compare.set_defaults(run=_compare)


def _add_doctor(commands: Any) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="load a model, show how it would be run, and look at a few of its vectors",
        description="Exit code 0: the vectors look healthy; 1: they do not, or the model cannot be loaded.",
    )
    doctor.add_argument("model", nargs=1, metavar="ALIAS", help="as for --model of pytest evals")
    doctor.add_argument("--models", metavar="FILE", help="a TOML file with more named models")
    doctor.add_argument("--on", metavar="DEVICE", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    doctor.add_argument("--store", metavar="DIR", default=".evals", help="remembers the hashes of weights")
    doctor.set_defaults(run=_doctor)


def _options(parsed: argparse.Namespace) -> Options:
    here = Path.cwd()
    typed = {
        "suites": getattr(parsed, "suite", []),
        "models": getattr(parsed, "model", []),
        "models_file": getattr(parsed, "models", None),
        "tasks": getattr(parsed, "task", []),
        "baselines": getattr(parsed, "baselines", None),
        "device": getattr(parsed, "on", "auto"),
        "store": getattr(parsed, "store", ".evals"),
        "gate": getattr(parsed, "gate", None),
        "margin": getattr(parsed, "margin", None),
        "alpha": getattr(parsed, "alpha", None),
        "inconclusive": getattr(parsed, "inconclusive", None),
    }
    return Options.parse(typed, root=here, cwd=here)


def _plan(parsed: argparse.Namespace) -> tuple[str, int]:
    plan = find_cases(_options(parsed))
    rows = [
        (case.id, case.task.type, case.task.main_score, " ".join(case.task.strata) if len(case.task.strata) <= 3
         else f"{len(case.task.strata)} strata", "folder" if case.task.folder else str(case.source))
        for case in plan.cases
    ]  # fmt: skip
    return "\n".join([*_columns(rows), "", *_totals(plan)]), 0


def _totals(plan: Plan) -> list[str]:
    by_type = Counter(case.task.type for case in plan.cases)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(by_type.items()))
    lines = [f"suite {plan.suite}: {len(plan.cases)} cases: {counts}"]
    return lines + [f"{count} cases left out: {reason}" for reason, count in plan.left_out.items()]


def _show_baselines(parsed: argparse.Namespace) -> tuple[str, int]:
    options = _options(parsed)
    baselines = Baselines(options.baselines)
    rows = []
    for alias in parsed.alias or baselines.aliases():
        baselines.require_alias(alias, "--alias")
        for key, reference in baselines.entries(alias).items():
            entry = reference.baseline
            where = entry.source if entry.recorded is None else f"{entry.source} {entry.recorded}"
            rows.append((f"{alias}:{key}", entry.metric, points(entry.score), where))
    return "\n".join(_columns(rows)), 0


def _compare(parsed: argparse.Namespace) -> tuple[str, int]:
    options = _options(parsed)
    baselines = Baselines(options.baselines)
    sides = [load_side(text, options.cwd, baselines, options.store) for text in (parsed.reference, parsed.candidate)]
    records = compare(sides[0], sides[1], options.override(Policy()))
    suites = judge_models(records)
    lines = [render_power(records)] if parsed.power else []
    if not parsed.power:
        color = sys.stdout.isatty()
        lines.append(render_summary(summarize(records), width=shutil.get_terminal_size((120, 24)).columns, color=color))
        lines += [f"{r.task} {r.verdict}: {r.reason}" for r in records if r.outcome == "failed"]
        lines += [render_suite(suite) for suite in suites]
        lines += _only_one_side(sides[0], sides[1])
    return "\n".join(lines), 0 if parsed.power else exit_code(records, suites, options.inconclusive)


def _only_one_side(reference: Side, candidate: Side) -> list[str]:
    alone = sorted(set(reference.measured) - set(candidate.measured))
    return [f"only in {reference.name}, not compared: {', '.join(alone)}"] if alone else []


def _doctor(parsed: argparse.Namespace) -> tuple[str, int]:
    options = _options(parsed)
    model = find_model(options.models[0], load_models(*options.models_files), options.cwd, "ALIAS")
    try:
        examination = examine(model, options.device, Store(options.store))
    except ModelError as error:
        return f"{error}\nnot healthy: it cannot be loaded", 1
    return render(examination), 0 if examination.healthy else 1


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align rows of cells."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


if __name__ == "__main__":
    sys.exit(main())
