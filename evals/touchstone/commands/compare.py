"""``touchstone compare``: judge stored measurements, published scores or run files of TREC by a reference."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from statistics import fmean
from typing import Any

from touchstone.baselines.files import Baselines
from touchstone.commands.parsing import add_options, parse_options, terminal
from touchstone.config.options import Options
from touchstone.errors import ConfigError
from touchstone.files.writing import place
from touchstone.formatting import columns, points, signed_points
from touchstone.importing.trec import METRIC, read_qrels
from touchstone.judging.overall import exit_code, judge_models
from touchstone.records.cases import Policy
from touchstone.records.lineups import line_up
from touchstone.records.runs import Record, Run, SuiteVerdict
from touchstone.report.formats import find_target
from touchstone.report.leaderboard import without_children
from touchstone.report.summary import lineup_lines, summarize, verdict_word
from touchstone.report.text import render_power, render_suite, render_summary
from touchstone.session.compare import (
    SCORES_ONLY,
    Side,
    compare,
    find_samples,
    load_side,
    load_trec,
    make_run,
    name_apart,
    sharing,
)
from touchstone.session.reports import write_report
from touchstone.session.standings import Standings, find_standings


def add_command(commands: Any) -> None:
    """Add the parser."""
    compare = commands.add_parser(
        "compare",
        help="judge stored scores of model B by those of A, or TREC runs",
        description="Judge each B by A, without running anything: each an alias with baselines, a run record "
        "(RUN.json, RUN.json:ALIAS), or a store, of which its newest run is meant; with --qrels each is a run file of "
        "TREC, of whatever tool. Several are put in order, too.",
    )
    compare.add_argument("reference", metavar="A", help="what is expected")
    compare.add_argument("candidates", metavar="B", nargs="+", help="what is judged")
    compare.add_argument("--qrels", metavar="FILE", help="judgements for run files, TREC's or BEIR's")
    compare.add_argument("--metric", metavar="NAME", help="what run files are scored by (default: ndcg_at_10)")
    add_options(compare, "--baselines", "--store", "--gate", "--margin", "--suite-margin", "--bound", "--alpha",
                "--inconclusive", "--report")  # fmt: skip
    compare.add_argument("--power", action="store_true", help="print the smallest loss that each task could detect")
    compare.set_defaults(run=_compare)


def _compare(parsed: argparse.Namespace) -> tuple[list[str], int]:
    options = parse_options(parsed)
    targets = [find_target("--report", options.cwd, text) for text in options.reports]
    sides = _load(parsed, options)
    override = sharing(options, len(sides) - 1)
    results = [compare(sides[0], side, override=override) for side in sides[1:]]
    if parsed.power:
        return [render_power(result) for result in results], 0
    records = tuple(chain.from_iterable(results))
    suites = judge_models(records)
    standings = find_standings(sides, options.override(Policy()).alpha) if len(results) > 1 else None
    lines = _tables(sides, results, standings)
    lines += [
        f"{r.task if len(results) == 1 else r.case} {r.verdict}: {r.reason}" for r in records if r.outcome == "failed"
    ]
    lines += [render_suite(suite, width=terminal()["width"]) for suite in suites]
    lines += lineup_lines(line_up({s.name: {key: case.speed for key, case in s.measured.items()} for s in sides}))
    lines += [note for side in sides[1:] for note in name_apart(sides[0], side)]
    lines += [note for side in sides for note in side.notes]
    run = _make_run(sides, results, suites, standings)
    pairs = partial(find_samples, sides)
    lines += [line for target in targets for line in write_report(target, run, options.store_folder, pairs)]
    return lines, exit_code(records, suites, options.inconclusive)


def _load(parsed: argparse.Namespace, options: Options) -> list[Side]:
    texts = (parsed.reference, *parsed.candidates)
    if parsed.qrels is None and parsed.metric is not None:
        raise ConfigError("--metric is what run files are scored by; it needs --qrels FILE")
    baselines = Baselines(options.baselines)
    aliases = baselines.aliases()
    qrels = None if parsed.qrels is None else read_qrels(place(options.cwd, parsed.qrels))
    sides = []
    for text in texts:
        path = place(options.cwd, text)
        if qrels is not None and not (text in aliases and not path.exists()):
            sides.append(load_trec(text, options.cwd, qrels, parsed.metric or METRIC))
            continue
        if not text.endswith(".json") and text not in aliases and path.is_file():
            raise ConfigError(f"{text}: a file; a run record ends in .json, and a run file of TREC needs --qrels FILE")
        sides.append(load_side(text, options.cwd, baselines, options.store_folder))
    if len({side.alias for side in sides}) == len(sides):
        sides = [side.called(side.alias) for side in sides]
    names = [side.record_alias for side in sides]
    if len(names) > 2 and (twice := [name for name in names if names.count(name) > 1]):
        raise ConfigError(f'two of these are called "{twice[0]}"; expected each once')
    return sides


def _make_run(
    sides: Sequence[Side],
    results: Sequence[Sequence[Record]],
    suites: Sequence[SuiteVerdict],
    standings: Standings | None,
) -> Run:
    """Return the run for reports: records carry the notes on their sources, suite verdicts the ties."""
    rows = () if standings is None else standings.rows
    labels = {side.name: side.record_alias for side in sides}
    ties = {labels[row.name]: row.tied for row in rows}
    records = []
    for side, result in zip(sides[1:], results, strict=True):
        notes = (*sides[0].notes, *side.notes)
        records += [replace(r, reason="; ".join([r.reason or "", *notes])) if notes else r for r in result]
    verdicts = [
        replace(suite, reason=f"{suite.reason}; not told apart from {', '.join(names)}")
        if (names := ties.get(suite.model))
        else suite
        for suite in suites
    ]
    return make_run(sides[0], records, verdicts)


def _tables(sides: Sequence[Side], results: Sequence[Sequence[Record]], standings: Standings | None) -> list[str]:
    lines = [] if len(results) == 1 else _standings(sides, results, standings)
    for side, records in zip(sides[1:], results, strict=True):
        if all(record.verdict is None for record in records):
            lines += _scores(sides[0], side, records)
        elif len(results) == 1:
            lines.append(render_summary(summarize(records), **terminal()))
    return lines


def _standings(sides: Sequence[Side], results: Sequence[Sequence[Record]], standings: Standings | None) -> list[str]:
    """Return one table of all models, the best first, each with those that it cannot be told from."""
    if standings is None:
        return ["no case that all have can be compared, so the models have no order"]
    cells = {side.name: _verdict_cells(records, standings) for side, records in zip(sides[1:], results, strict=True)}
    base = next(row.score for row in standings.rows if row.name == sides[0].name)
    rows = [("model", "mean", "Δ", "95 %", "", "not told apart from")]
    for row in standings.rows:
        ties = "not known" if row.tied is None else ", ".join(row.tied) or "none"
        delta = "" if row.name == sides[0].name else signed_points(row.score - base)
        rows.append((row.name, points(row.score), delta, *cells.get(row.name, ("", "baseline")), ties))
    tasks = "one task" if len(standings.tasks) == 1 else f"the {len(standings.tasks)} tasks that all have"
    alpha, count = standings.alpha, len(results)
    return [
        *columns(rows),
        f"means over {tasks}; α = {alpha:g} is shared: each of {count} candidates is judged at {alpha / count:.2g}; "
        f"two models are told apart where the two-sided p of one of {standings.pairs} pairs is below "
        f"{standings.level:.2g}",
        "",
    ]


def _verdict_cells(records: Sequence[Record], standings: Standings) -> tuple[str, str]:
    """Return the interval of a candidate's difference, empty if it is over other tasks, and the verdict."""
    (suite, *_) = judge_models(records) or (None,)
    interval = None if suite is None or suite.paired != len(standings.tasks) else suite.interval
    if len(records) == len(standings.tasks) == 1 and records[0].evidence is not None:
        interval = records[0].evidence.interval
    cell = "" if interval is None else "[{}, {}]".format(*map(signed_points, interval))
    return cell, "scores only" if suite is None else suite.verdict


def _scores(reference: Side, side: Side, records: Sequence[Record]) -> list[str]:
    """Return published scores side by side: means over the same tasks, by type, and all tasks, the lowest Δ first."""
    pairs = [record for record in records if record.baseline is not None]
    names = set(without_children([record.task for record in pairs]))
    types = {name: [r for r in pairs if r.type == name and r.task in names] for name in sorted({r.type for r in pairs})}
    groups = {"mean over tasks": [record for group in types.values() for record in group], **types}
    rows = [("", "tasks", reference.name, side.name, "Δ")]
    rows += [(name, str(len(group)), *_means(group)) for name, group in groups.items() if group]
    tasks = [("task", "metric", reference.name, side.name, "Δ", "")]
    for record in sorted(pairs, key=lambda record: record.delta or 0.0):
        tasks.append((record.task, record.metric, *_means([record]), verdict_word(record)))
    remarks = [f"{record.task}: {record.reason}" for record in records if record.baseline is None]
    return [SCORES_ONLY, *columns(rows), "", *columns(tasks), *remarks]


def _means(records: Sequence[Record]) -> tuple[str, str, str]:
    before, after = (fmean(getattr(record, name) for record in records) for name in ("baseline", "score"))
    return points(before), points(after), signed_points(after - before)
