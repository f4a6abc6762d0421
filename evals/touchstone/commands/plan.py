"""``touchstone plan``: the cases of a suite and how long they will take, without running them."""

import argparse
import math
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from touchstone.baselines.files import Baselines
from touchstone.commands.parsing import add_options, parse_options, terminal
from touchstone.config.limited_suite import check_target, write_limited
from touchstone.config.options import Options
from touchstone.errors import ConfigError, suggest
from touchstone.files.writing import place
from touchstone.formatting import columns, count, points, render_duration
from touchstone.judging.power import SPREADS, Change, Choice
from touchstone.models.kinds import kind_of
from touchstone.models.weights.size import count_parameters, needed_bytes
from touchstone.records.cases import Case
from touchstone.report.text import draw
from touchstone.schedule.estimates import Basis
from touchstone.session.forecast import Forecast, make_forecast
from touchstone.session.plan import Plan, find_cases
from touchstone.session.power import CasePower, ModelPower, find_goal, find_power
from touchstone.session.reuse import PLUGINS, OutcomeCache
from touchstone.session.shards import count_parts, write_costs
from touchstone.store.folder import Store
from touchstone.store.runs import load_runs

MARGIN = (
    "{} is found only where the mean counts as lost from {} on: suite_margin = {:g} under [gate], as --write-suite "
    "writes it"
)
WORKERS = (1, 2, 4, 8)
POWER_HEADER = ("case", "type", "n", "σ", "from", "detects now", "limit", "detects then", "time now", "time then")
# How far estimates of these kinds were from what was measured.
WORTH: Mapping[Basis, str] = {
    "in the store": "in the store already",
    "timed": "timed here before",
    "other model": "by other models here",
    "text statistics": "by the amount of text, which can be wrong by a factor of 4",
    "unknown": "unknown, taken as the mean of the others",
}

# Columns that a narrow terminal does without, the first one first.
SAY_LEAST = ("source", "strata", "metric", "from", "type", "time now", "time then")


def add_command(commands: Any) -> None:
    """Add the parser."""
    plan = commands.add_parser(
        "plan",
        help="list the cases of a suite and how long they will take, without running them",
        description="List the cases of a suite, with an estimate of how long each will take: from earlier runs of the "
        "store where there are any, else from the amount of text.",
    )
    add_options(plan, "--suite", "--model", "--task", "--models", "--limit", "--device", "--store", "--baselines",
                "--allow-python", "--engine", "--split-texts")  # fmt: skip
    number = ", ".join(map(str, WORKERS))
    plan.add_argument(
        "--workers", action="append", default=[], metavar="N", help=f"as many workers (default: {number})"
    )
    plan.add_argument(
        "--gpus", action="append", default=[], metavar="N", help="with --engine ray: as many GPUs, one actor on each"
    )
    plan.add_argument("--gpu-memory", default="80", metavar="GB", help="of each GPU (default: 80)")
    plan.add_argument("--write-costs", metavar="FILE", help="write what cases took here, by which --shard cuts a run")
    plan.add_argument(
        "--detect", metavar="POINTS", help="what the cases could detect, and the limits to detect such a mean loss"
    )
    plan.add_argument(
        "--change", metavar="|".join(SPREADS), help="what is judged where no run shows it (default: fine-tune)"
    )
    plan.add_argument("--write-suite", metavar="FILE", help="write the suite with the limits of --detect")
    plan.set_defaults(run=_plan)


def _plan(parsed: argparse.Namespace) -> tuple[str, int]:
    options = parse_options(parsed)
    if parsed.detect is not None:
        return _detect(parsed, options), 0
    for option, value in (("--change", parsed.change), ("--write-suite", parsed.write_suite)):
        if value is not None:
            raise ConfigError(f"{option} {value}: belongs to --detect, as in --detect 1")
    if parsed.gpus and options.engine != "ray":
        raise ConfigError("--gpus belongs to --engine ray; workers of pytest-xdist are counted by --workers")
    gpus = [_number(text, "--gpus") for text in parsed.gpus]
    workers = [_number(text, "--workers") for text in parsed.workers] or WORKERS
    plan = find_cases(options)
    runs = load_runs(plan.store)
    if gpus:
        return _on_gpus(plan, make_forecast(plan, runs, "cuda"), gpus, options, parsed.gpu_memory), 0
    if parsed.write_costs is not None:
        return _write_costs(place(options.cwd, parsed.write_costs), make_forecast(plan, runs, options.device)), 0
    # No conftest is loaded here; that of the newest run will be, if nobody has changed it.
    plugins = runs[-1].environment.get(PLUGINS, "") if runs else ""
    cache = OutcomeCache(plan.models, options.device, Store(plan.store, mirrors=plan.mirrors), lambda: plugins)
    forecast = make_forecast(plan, runs, options.device, cache.ids(plan.cases))
    blocks = [
        _table(("case", "type", "metric", "strata", "source", "time"), [_row(case, forecast) for case in plan.cases]),
        _by_type(forecast),
        _makespans(forecast, workers),
        "\n".join([_worth(forecast), *_totals(plan)]),
    ]
    return "\n\n".join(blocks), 0


def _worth(forecast: Forecast) -> str:
    """Return what the times rest on."""
    return "times: " + "; ".join(f"{cases} {WORTH[basis]}" for basis, cases in forecast.bases.items())


def _on_gpus(plan: Plan, forecast: Forecast, counts: Sequence[int], options: Options, memory: str) -> str:
    """Return when actors on so many GPUs are done, with corpora divided and without, and what does not fit on one."""
    rows = []
    for number in counts:
        models, most = plan.models, options.split_texts
        parts = {case.id: count_parts(case, models[case.alias], most, number) for case in plan.cases}
        (divided, bound), (whole, _) = forecast.makespan(number, parts), forecast.makespan(number)
        total = forecast.seconds(plan.cases)
        shares = [f"{total / number / end:.0%}" if end else "-" for end in (divided, whole)]
        times = [render_duration(divided), shares[0], render_duration(whole), shares[1], render_duration(bound)]
        rows.append((str(number), *times))
    header = ("GPUs", "done after", "in use", "undivided", "in use", "at best")
    lines = [_worth(forecast), *_totals(plan), *_too_large(plan, _number(memory, "--gpu-memory"))]
    return "\n\n".join([_by_type(forecast), _table(header, rows), "\n".join(lines)])


def _too_large(plan: Plan, memory: int) -> list[str]:
    """Return a sentence on each model that a GPU with so many GB has no room for, and on those nobody knows of."""
    lines = []
    for alias, model in plan.models.items():
        parameters = None if kind_of(model).served else count_parameters(model)
        if parameters is None:
            lines += [] if kind_of(model).served else [f"{alias}: nobody says how many parameters it has"]
        elif (needed := needed_bytes(model, parameters) / 1e9) > memory:
            lines.append(
                f"{alias}: {parameters / 1e9:.1f} billion parameters take about {needed:.0f} GB, a GPU has {memory}; a "
                "smaller dtype takes less"
            )
    return lines


def _write_costs(file: Path, forecast: Forecast) -> str:
    costs = {id_: one.seconds for id_, one in forecast.estimates.items() if one.basis == "timed"}
    if not costs:
        raise ConfigError(f"--write-costs {file}: no run in the store has timed a case of this plan; run it first")
    write_costs(file, costs)
    return f"wrote {file}: what {count(len(costs), 'case')} of {len(forecast.estimates)} took; commit it"


def _number(text: str, option: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ConfigError(f'{option} = "{text}"; expected a whole number of 1 or more')
    return int(text)


def _row(case: Case, forecast: Forecast) -> tuple[str, ...]:
    strata = " ".join(case.task.strata) if len(case.task.strata) <= 3 else f"{len(case.task.strata)} strata"
    return case.id, case.task.type, case.task.main_score, strata, case.data, _about(forecast, [case])


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
    for number in workers:
        end, bound = forecast.makespan(number)
        rows.append((str(number), render_duration(end), render_duration(bound)))
    return _table(("workers", "done after", "at best"), rows)


def _totals(plan: Plan) -> list[str]:
    by_type = Counter(case.task.type for case in plan.cases)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(by_type.items()))
    lines = [f"suite {plan.suite}: {len(plan.cases)} cases: {counts}"]
    return [*lines, *plan.omissions, *plan.notes]


def _detect(parsed: argparse.Namespace, options: Options) -> str:
    """Return what the cases could detect now, and the limits by which the mean detects a loss of so many points."""
    goal, change, target = _points(parsed.detect), _change(parsed.change), parsed.write_suite
    if target is not None:
        check_target(options, target)
    plan, baselines = find_cases(options), Baselines(options.baselines)
    found = find_power(plan, load_runs(plan.store), baselines=baselines, device=options.device, change=change)
    models = tuple(model.fitted(goal) for model in found)
    margin = next((two.criterion.margin for one, two in zip(found, models, strict=True) if one != two), None)
    chosen = find_goal(models, goal)
    cases = [case for model in models for case in model.cases]
    rows = [_power_row(case, None if chosen is None else chosen.get(case.case.id)) for case in cases]
    lines = [line for model in models for line in _model_lines(model, goal, chosen)] + _remarks(cases, chosen)
    if margin is not None:
        lines.append(MARGIN.format(points(goal), points(margin), margin))
    if target is not None:
        limits = _limits(target, cases, chosen)
        write_limited(options, target, limits, margin)
        lines.append(f"written: {target}")
    return "\n".join([_table(POWER_HEADER, rows), "", *lines])


def _points(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]+)?", text) or not 0.1 <= float(text) <= 50:
        raise ConfigError(f'--detect = "{text}"; expected points from 0.1 to 50, as in --detect 1')
    return float(text) / 100


def _change(text: str | None) -> Change:
    for change in SPREADS:
        if change == (text or "fine-tune"):
            return change
    raise ConfigError(f'--change = "{text}" is not one of its values{suggest(str(text), SPREADS)}')


def _power_row(one: CasePower, then: Choice | None) -> tuple[str, ...]:
    spread = "-" if one.spread is None else ("~" if one.spread.rough else "") + points(one.spread.value)
    source = "-" if one.spread is None else one.spread.source
    limit = "-" if then is None else "all" if then.limit is None else str(then.limit)
    losses = ["-" if choice is None else points(one.detects(choice)) for choice in (one.now, then)]
    times = [render_duration(one.seconds), "-" if then is None else render_duration(then.seconds)]
    n = str(sum(one.sizes)) if one.sizes else "-"
    return one.case.id, one.case.task.type, n, spread, source, losses[0], limit, losses[1], *times


def _model_lines(model: ModelPower, goal: float, chosen: Mapping[str, Choice] | None) -> list[str]:
    """Return what a model's suite could detect now, and then, each with its time."""
    if not model.known:
        return [f"{model.alias}: nothing is known of the samples of its cases"]
    rest = sum(one.seconds for one in model.cases) - sum(one.seconds for one in model.known)
    now, cases = [one.now for one in model.known if one.now], f"of {len(model.cases)} cases"
    over = f"the mean over {len(now)} {cases}" if len(now) > 1 else model.known[0].case.task.name
    lines = [f"{model.alias}: {over} could detect {points(model.detects(now))} now{_in(now, rest)}"]
    if chosen is not None:
        then = [chosen[one.case.id] for one in model.known]
        return [*lines, f"{model.alias}: with these limits {points(model.detects(then))}{_in(then, rest)}"]
    whole, times = [one.choices[-1] for one in model.known], model.times_needed(goal)
    reached = f"with all samples {points(model.detects(whole))}{_in(whole, rest)}"
    if math.isinf(times):  # a case by itself
        reached += f"; {points(goal)} by no number of samples: its margin is {points(model.criterion.margin)}"
    elif times > 1:  # another model's cases may be those that do not reach it
        reached += f"; {points(goal)} would take {times:.1f} times as many"
    return [*lines, f"{model.alias}: {reached}"]


def _in(choices: Sequence[Choice], rest: float) -> str:
    return f", in {render_duration(rest + sum(choice.seconds for choice in choices))}"


def _remarks(cases: Sequence[CasePower], chosen: Mapping[str, Choice] | None) -> list[str]:
    """Return what the table does not say: how to read it, and what comes of too few samples and of new limits."""
    lines = ["losses and σ are in points; a loss is detected that is found four times in five"]
    if any(case.spread and case.spread.rough for case in cases):
        lines.append("~: the score is no mean of samples; σ is that of one, an approximation")
    short = [(one.case.id, *one.lacking) for one in cases if one.lacking]
    if short:
        lines.append("too few to pass: " + ", ".join(f"{id_} ({n} of {least} samples)" for id_, n, least in short))
    if chosen and any(one.now and one.now.limit != chosen[one.case.id].limit for one in cases):
        lines.append("a limit is another entry of the baseline: record it before a candidate is judged by it")
    return lines


def _limits(target: str, cases: Sequence[CasePower], chosen: Mapping[str, Choice] | None) -> dict[str, int]:
    if chosen is None:
        raise ConfigError(f"--write-suite {target}: no limits reach --detect; name more points")
    limits = {one.case.task.name: chosen.get(one.case.id, one.case).limit for one in cases}
    return {name: limit for name, limit in limits.items() if limit is not None}


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table for a terminal, or aligned lines for what reads a pipe."""
    if not sys.stdout.isatty():
        return "\n".join(columns([header, *rows]))
    header, rows = fit([header, *rows], terminal()["width"])
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return "\n".join(draw([table], **terminal()))


def fit(table: Sequence[Sequence[str]], width: int) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Leave out columns that say least until a terminal has room for the others; names are not broken for them."""
    for name in SAY_LEAST:
        if max(map(len, columns(table))) > width and name in table[0]:
            left_out = table[0].index(name)
            table = [[cell for place, cell in enumerate(row) if place != left_out] for row in table]
    return table[0], table[1:]
