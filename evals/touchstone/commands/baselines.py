"""``touchstone baselines``: show, average, import and compare baselines, and move anchors."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from touchstone.baselines.diff import Row, load_sides
from touchstone.baselines.files import Baselines
from touchstone.commands.importing import add_import
from touchstone.commands.parsing import add_options, parse_options
from touchstone.config.suites import Selection
from touchstone.files.writing import to_json
from touchstone.formatting import columns, points, signed_points, some
from touchstone.records.baselines import Baseline, Reference
from touchstone.records.cases import TaskInfo
from touchstone.records.flat import flatten
from touchstone.report.leaderboard import Average, average_alike, without_children
from touchstone.task_types.registry import all_types
from touchstone.tasks.catalog import find_tasks, known_tasks


def add_command(commands: Any) -> None:
    """Add the parser and those of its actions."""
    baselines = commands.add_parser("baselines", help="show, import, compare and anchor committed baselines")
    actions = baselines.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="print the scores of each model with where they are from, or its averages")
    add_options(show, "--baselines")
    show.add_argument("--alias", action="append", default=[], metavar="X", help="only this model (repeatable)")
    show.add_argument("--benchmark", metavar="NAME", help='only the tasks of a benchmark, as in "MTEB(eng, v2)"')
    show.add_argument("--by-type", action="store_true", help="averages over tasks, by type and overall")
    show.add_argument(
        "--metrics",
        choices=("main", "published"),
        default="main",
        help="what --by-type averages: today's main scores, or what the original MTEB tables did",
    )
    show.add_argument("--json", action="store_true", help="print JSON, scores as fractions")
    show.set_defaults(run=_show)
    add_import(actions)
    diff = actions.add_parser(
        "diff",
        help="print what changed between two models, two folders, or a commit and now",
        description="Each side is a model with baselines, a folder of baselines, or a commit of git.",
    )
    add_options(diff, "--baselines")
    diff.add_argument("before", metavar="A")
    diff.add_argument("after", metavar="B", nargs="?", help="default: the project's folder as it is now")
    diff.set_defaults(run=_diff)
    _add_anchor(actions)


def _add_anchor(actions: Any) -> None:
    anchor = actions.add_parser(
        "anchor",
        help="move anchors: the first releases that candidates are judged by, beside the current entries",
        description="Make current entries of the project's own folder their anchors. Commit the changed files.",
    )
    add_options(anchor, "--baselines")
    anchor.add_argument("--move", required=True, metavar="ALIAS", help="the model whose current entries become anchors")
    anchor.add_argument("--task", dest="of_task", default="*", metavar="GLOB", help="only tasks with a matching name")
    anchor.add_argument("--reason", default="", metavar="TEXT", help="why, in one line, which the file records")
    anchor.set_defaults(run=_move_anchors)


def _show(parsed: argparse.Namespace) -> tuple[str, int]:
    baselines = Baselines(parse_options(parsed).baselines)
    entries = {}
    # Those of the package are for whoever asks, by an alias or for a table of averages, and for who has none.
    own = [] if parsed.by_type or parsed.benchmark else baselines.own_aliases()
    for alias in parsed.alias or own or baselines.aliases():
        baselines.require_alias(alias, "--alias")
        entries[alias] = baselines.entries(alias)
    if parsed.by_type:
        return _by_type(entries, parsed), 0
    if parsed.benchmark:
        names = {task.name for task in tasks_to_average({}, parsed.benchmark)}
        entries = {alias: {k: r for k, r in rows.items() if k in names} for alias, rows in entries.items()}
    moves = {alias: baselines.anchor_moves(alias) for alias in entries}
    if parsed.json:
        return to_json(
            {a: {k: _to_json_entry(r, moves[a].get(k)) for k, r in rows.items()} for a, rows in entries.items()}
        ), 0
    others = [] if parsed.alias else [alias for alias in baselines.aliases() if alias not in entries]
    note = [f"not shown, of the package: {some(others)}; --alias NAME shows one"] if others else []
    return "\n".join([*columns(_rows(entries, moves)), *note]), 0


def _by_type(entries: Mapping[str, Mapping[str, Reference]], parsed: argparse.Namespace) -> str:
    """Return the averages of models, all over the same tasks and subsets, so that they can be ranked."""
    # The benchmark's tasks, or all that any of the models has.
    tasks: dict[str, TaskInfo] = {}
    for references in entries.values():
        for task in tasks_to_average(references, parsed.benchmark):
            tasks.setdefault(task.name, task)
    averages, left_out = average_alike(entries, list(tasks.values()), parsed.metrics)
    if parsed.json:
        return to_json({alias: asdict(average) for alias, average in averages.items()})
    notes = [f"of other subsets, so in no average, {some(left_out)}"] if left_out else []
    return "\n".join([*_averages_table(averages), *notes, _averages_note(averages, parsed.metrics)])


def _to_json_entry(reference: Reference, move: str | None) -> dict[str, Any]:
    """Return an entry as its file has it, with its anchor and when the anchor moved."""
    anchor = {"anchor": flatten(reference.anchor.baseline)} if reference.anchor else {}
    return flatten(reference.baseline) | anchor | ({"moved": move} if move else {})


def _rows(
    entries: Mapping[str, Mapping[str, Reference]], moves: Mapping[str, Mapping[str, str]]
) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for alias, references in entries.items():
        for key, reference in references.items():
            rows.append((f"{alias}:{key}", *_cells(reference), _anchor_cell(reference, moves[alias].get(key))))
            subsets = reference.baseline.subsets
            if len(subsets) > 1:
                rows += [(f"  {name}", "", points(score), "", "") for name, score in sorted(subsets.items())]
    return rows


def _cells(reference: Reference) -> tuple[str, ...]:
    entry = reference.baseline
    return entry.metric, points(entry.score), _origin(entry)


def _anchor_cell(reference: Reference, move: str | None) -> str:
    parts = [f"anchor {_dated(reference.anchor.baseline)}"] if reference.anchor else []
    return "; ".join([*parts, f"anchor moved {move}"] if move else parts)


def _dated(entry: Baseline) -> str:
    return f"{points(entry.score)} {entry.recorded or 'of no day'}"


def _move_anchors(parsed: argparse.Namespace) -> tuple[str, int]:
    alias = parsed.move
    baselines = Baselines(parse_options(parsed).baselines)
    references = baselines.move_anchors(alias, parsed.of_task, reason=parsed.reason.strip())
    lines = [
        f"{alias}:{key}: {_dated(reference.anchor.baseline)} → {_dated(reference.baseline)}"
        for key, reference in references.items()
        if reference.anchor is not None
    ]
    unmoved = [key for key, reference in references.items() if reference.anchor is None]
    return "\n".join(lines + ([f"their own anchors already, {some(unmoved)}"] if unmoved else [])), 0


def _origin(entry: Baseline) -> str:
    return entry.source if entry.recorded is None else f"{entry.source} {entry.recorded}"


def _averages_table(averages: Mapping[str, Average]) -> list[str]:
    types = sorted({name for average in averages.values() for name in average.by_type})
    rows = [("model", "tasks", "average", *types)]
    for alias, average in averages.items():
        means = [_mean_cell(average.average), *(_mean_cell(average.by_type.get(name)) for name in types)]
        rows.append((alias, str(average.tasks), *means))
    return columns(rows) + [
        f"{alias} lacks {some(average.missing)}" for alias, average in averages.items() if average.missing
    ]


def _averages_note(averages: Mapping[str, Average], metrics: str) -> str:
    types = [t for t in all_types() if t.folder is not None and t.published_metric not in (None, t.folder.main_score)]
    replaced = ", ".join(f"{task_type.published_metric} for {task_type.name}" for task_type in types)
    metric_names = "today's main scores" if metrics == "main" else f"the original tables' metrics ({replaced})"
    tasks = "tasks" if len(averages) < 2 else f"the tasks that all {len(averages)} have; --alias takes some of them"
    return f"averages of {metric_names}, over {tasks}"


def _mean_cell(mean: float | None) -> str:
    return "-" if mean is None else points(mean)


def _diff(parsed: argparse.Namespace) -> tuple[str, int]:
    options = parse_options(parsed)
    diff = load_sides(parsed.before, parsed.after, Baselines(options.baselines), options.root)
    after = parsed.after or "now"
    differences = [row for row in diff.rows if row.delta is None or row.before != row.after]
    header = ("task", parsed.before, after, "Δ", f"{parsed.before} from", f"{after} from", "")
    lines = columns([header, *map(_diff_row, differences)]) if differences else []
    count = len(diff.rows)
    lines.append(f"{len(differences)} of {count} in both differ" if differences else f"{count} in both, all the same")
    if diff.only_before:
        lines.append(f"only in {parsed.before}, {some(diff.only_before)}")
    if diff.only_after:
        lines.append(f"only in {after}, {some(diff.only_after)}")
    return "\n".join(lines), 0


def _diff_row(row: Row) -> tuple[str, ...]:
    delta = "-" if row.delta is None else signed_points(round(row.delta, 6))
    return (row.name, *map(points, row.scores), delta, _origin(row.before), _origin(row.after), row.note)


def tasks_to_average(entries: Mapping[str, Reference], benchmark: str | None) -> tuple[TaskInfo, ...]:
    """Return the tasks of a benchmark, or those of the entries without tasks that another entry averages.

    Raises:
        ConfigError: mteb has no such benchmark.
    """
    if benchmark is not None:
        return find_tasks(Selection(benchmark=benchmark), "--benchmark")
    types = known_tasks()
    names = without_children([name for name in entries if "?" not in name])
    return tuple(
        TaskInfo(name=name, type=types.get(name, "custom"), main_score=entries[name].baseline.metric, splits=())
        for name in names
    )
