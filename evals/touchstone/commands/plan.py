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

MARGIN_NOTE = "to find {}, a mean has to count as lost from {} on: suite_margin = {:g} under [gate]"
WORKER_COUNTS = (1, 2, 4, 8)
POWER_HEADER = ("case", "type", "n", "σ", "from", "detects now", "limit", "detects then", "time now", "time then")
# The sources of estimates, as they are printed.
BASIS_TEXTS: Mapping[Basis, str] = {
    "in the store": "in the store already",
    "timed": "timed here before",
    "other model": "by other models here",
    "text statistics": "by the amount of text, which can be wrong by a factor of 4",
    "unknown": "unknown, taken as the mean of the others",
}

# Columns that a narrow terminal does without, in this order.
OPTIONAL_COLUMNS = ("source", "strata", "metric", "from", "type", "time now", "time then")


def add_command(commands: Any) -> None:
    """Add the parser."""
    plan = commands.add_parser(
        "plan",
        help="list the cases of a suite, and how long they will take",
        description="List the cases of a suite, with an estimate of how long each will take: from earlier runs of the "
        "store where there are any, else from the amount of text.",
    )
    add_options(plan, "--suite", "--model", "--task", "--models", "--limit", "--device", "--store", "--baselines",
                "--allow-python", "--engine", "--split-texts")  # fmt: skip
    number = ", ".join(map(str, WORKER_COUNTS))
    counts: dict[str, Any] = {"action": "append", "default": [], "metavar": "N"}
    plan.add_argument("--workers", help=f"a number of workers (repeatable; default: {number})", **counts)
    plan.add_argument("--gpus", help="with --engine ray: a number of GPUs, one actor on each (repeatable)", **counts)
    plan.add_argument("--gpu-memory", default="80", metavar="GB", help="the memory of each GPU (default: 80)")
    plan.add_argument(
        "--write-costs", metavar="FILE", help="write how long cases took here, for --shard to cut runs by"
    )
    plan.add_argument(
        "--detect", metavar="POINTS", help="what the cases could detect, and limits that detect a mean loss of POINTS"
    )
    plan.add_argument(
        "--change", metavar="|".join(SPREADS), help="the kind of change, where no run shows it (default: fine-tune)"
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
    workers = [_number(text, "--workers") for text in parsed.workers] or WORKER_COUNTS
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
        "\n".join([_bases(forecast), *_totals(plan)]),
    ]
    return "\n\n".join(blocks), 0


def _bases(forecast: Forecast) -> str:
    """Return the line that counts the sources of estimates."""
    return "times: " + "; ".join(f"{cases} {BASIS_TEXTS[basis]}" for basis, cases in forecast.bases.items())


def _on_gpus(plan: Plan, forecast: Forecast, counts: Sequence[int], options: Options, memory: str) -> str:
    """Return when actors on these numbers of GPUs are done, corpora divided or whole, and models too large."""
    rows = []
    for number in counts:
        models, limit = plan.models, options.split_texts
        parts = {case.id: count_parts(case, models[case.alias], limit, number) for case in plan.cases}
        (divided, bound), (whole, _) = forecast.makespan(number, parts), forecast.makespan(number)
        total = forecast.seconds(plan.cases)
        shares = [f"{total / number / end:.0%}" if end else "-" for end in (divided, whole)]
        times = [render_duration(divided), shares[0], render_duration(whole), shares[1], render_duration(bound)]
        rows.append((str(number), *times))
    header = ("GPUs", "done after", "in use", "undivided", "in use", "at best")
    lines = [_bases(forecast), *_totals(plan), *_too_large(plan, _number(memory, "--gpu-memory"))]
    return "\n\n".join([_by_type(forecast), _table(header, rows), "\n".join(lines)])


def _too_large(plan: Plan, memory: int) -> list[str]:
    """Return a line for each model that needs more than so many GB, or whose number of parameters is unknown."""
    lines = []
    for alias, model in plan.models.items():
        parameters = None if kind_of(model).served else count_parameters(model)
        if parameters is None:
            lines += [] if kind_of(model).served else [f"{alias}: its number of parameters is not known"]
        elif (needed := needed_bytes(model, parameters) / 1e9) > memory:
            lines.append(
                f"{alias}: {parameters / 1e9:.1f} billion parameters take about {needed:.0f} GB, a GPU has {memory}; a "
                "smaller dtype takes less"
            )
    return lines


def _write_costs(file: Path, forecast: Forecast) -> str:
    costs = {id_: estimate.seconds for id_, estimate in forecast.estimates.items() if estimate.basis == "timed"}
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
    return case.id, case.task.type, case.task.main_score, strata, case.data, _time(forecast, [case])


def _by_type(forecast: Forecast) -> str:
    """Return a row for each task type and one for all, a column for each model and one for all."""
    aliases = list(dict.fromkeys(case.alias for case in forecast.cases))
    types = sorted({case.task.type for case in forecast.cases})
    groups = [(name, [case for case in forecast.cases if case.task.type == name]) for name in types]
    rows = []
    for name, cases in (*groups, ("all", forecast.cases)):
        cells = [_time(forecast, [case for case in cases if case.alias == alias]) for alias in aliases]
        rows.append((name, *cells, *([_time(forecast, cases)] if len(aliases) > 1 else [])))
    return _table(("type", *aliases, *(["all"] if len(aliases) > 1 else [])), rows)


def _time(forecast: Forecast, cases: Sequence[Case]) -> str:
    """Return the time of some cases, marked with ~ if a part of it is not from timings."""
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
    """Return the losses that cases could detect now, and limits by which the mean detects a given loss."""
    goal, change, target = _points(parsed.detect), _change(parsed.change), parsed.write_suite
    if target is not None:
        check_target(options, target)
    plan, baselines = find_cases(options), Baselines(options.baselines)
    powers = find_power(plan, load_runs(plan.store), baselines=baselines, device=options.device, change=change)
    models = tuple(model.fitted(goal) for model in powers)
    margin = next((model.criterion.margin for power, model in zip(powers, models, strict=True) if power != model), None)
    choices = find_goal(models, goal)
    cases = [case for model in models for case in model.cases]
    rows = [_power_row(case, None if choices is None else choices.get(case.case.id)) for case in cases]
    lines = [line for model in models for line in _model_lines(model, goal, choices)] + _remarks(cases, choices)
    if margin is not None:
        lines.append(MARGIN_NOTE.format(points(goal), points(margin), margin))
    if target is not None:
        limits = _limits(target, cases, choices)
        write_limited(options, target, limits, margin)
        lines.append(f"written: {target}")
    table = [POWER_HEADER, *rows]
    # Where no limits reach the goal, three columns are empty.
    told = [at for at, cells in enumerate(zip(*rows, strict=True)) if set(cells) != {"-"}]
    header, *rows = [tuple(row[at] for at in told) for row in table]
    return "\n".join([_table(header, rows), "", *lines])


def _points(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]+)?", text) or not 0.1 <= float(text) <= 50:
        raise ConfigError(f'--detect = "{text}"; expected points from 0.1 to 50, as in --detect 1')
    return float(text) / 100


def _change(text: str | None) -> Change:
    for change in SPREADS:
        if change == (text or "fine-tune"):
            return change
    raise ConfigError(f'--change = "{text}" is not one of its values{suggest(str(text), SPREADS)}')


def _power_row(case: CasePower, goal_choice: Choice | None) -> tuple[str, ...]:
    spread = "-" if case.spread is None else ("~" if case.spread.rough else "") + points(case.spread.value)
    source = "-" if case.spread is None else case.spread.source
    limit = "-" if goal_choice is None else "all" if goal_choice.limit is None else str(goal_choice.limit)
    losses = ["-" if choice is None else points(case.detects(choice)) for choice in (case.now, goal_choice)]
    times = [render_duration(case.seconds), "-" if goal_choice is None else render_duration(goal_choice.seconds)]
    n = str(sum(case.sizes)) if case.sizes else "-"
    return case.case.id, case.case.task.type, n, spread, source, losses[0], limit, losses[1], *times


def _model_lines(model: ModelPower, goal: float, choices: Mapping[str, Choice] | None) -> list[str]:
    """Return the losses that a model's suite could detect now and with the new limits, each with its time."""
    if not model.known:
        return [f"{model.alias}: nothing is known of the samples of its cases"]
    other_seconds = sum(case.seconds for case in model.cases) - sum(case.seconds for case in model.known)
    now, cases = [case.now for case in model.known if case.now], f"of {len(model.cases)} cases"
    subject = f"the mean over {len(now)} {cases}" if len(now) > 1 else model.known[0].case.task.name
    lines = [
        f"{model.alias}: {subject} could detect a loss of {points(model.detects(now))} now"
        f"{_duration(now, other_seconds)}"
    ]
    if choices is not None:
        goal_choices = [choices[case.case.id] for case in model.known]
        loss = points(model.detects(goal_choices))
        return [*lines, f"{model.alias}: with these limits a loss of {loss}{_duration(goal_choices, other_seconds)}"]
    full_choices, times = [case.choices[-1] for case in model.known], model.times_needed(goal)
    time = _duration(full_choices, other_seconds)
    reached = f"with all samples a loss of {points(model.detects(full_choices))}{time}"
    reached = "these are all samples" if full_choices == now else reached
    if math.isinf(times):  # a case by itself
        reached += f"; {points(goal)} by no number of samples: its margin is {points(model.criterion.margin)}"
    elif times > 1:  # another model's cases may be those that do not reach it
        reached += f"; {points(goal)} would take {times:.1f} times as many"
    return [*lines, f"{model.alias}: {reached}"]


def _duration(choices: Sequence[Choice], other_seconds: float) -> str:
    return f", in {render_duration(other_seconds + sum(choice.seconds for choice in choices))}"


def _remarks(cases: Sequence[CasePower], choices: Mapping[str, Choice] | None) -> list[str]:
    """Return the notes below the table: how to read it, cases with too few samples, the effect of new limits."""
    lines = ["losses and σ are in points; a loss is detected that is found four times in five"]
    if any(case.spread and case.spread.rough for case in cases):
        lines.append("~: the score is no mean of samples; σ is that of one, an approximation")
    shortages = [(case.case.id, *case.lacking) for case in cases if case.lacking]
    if shortages:
        lines.append("too few to pass: " + ", ".join(f"{id_} ({n} of {least} samples)" for id_, n, least in shortages))
    if choices and any(case.now and case.now.limit != choices[case.case.id].limit for case in cases):
        lines.append("a limit is another entry of the baseline: record it before a candidate is judged by it")
    return lines


def _limits(target: str, cases: Sequence[CasePower], choices: Mapping[str, Choice] | None) -> dict[str, int]:
    if choices is None:
        raise ConfigError(f"--write-suite {target}: no limits reach --detect; name more points")
    limits = {case.case.task.name: choices.get(case.case.id, case.case).limit for case in cases}
    return {name: limit for name, limit in limits.items() if limit is not None}


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table for a terminal, or aligned lines for a pipe."""
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
    """Drop optional columns until a table fits the width, so that no name is broken."""
    for name in OPTIONAL_COLUMNS:
        if max(map(len, columns(table))) > width and name in table[0]:
            left_out = table[0].index(name)
            table = [[cell for place, cell in enumerate(row) if place != left_out] for row in table]
    return table[0], table[1:]
