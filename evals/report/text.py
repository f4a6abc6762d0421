"""The end of a run in the terminal: a table per model, and where the time went."""

from collections.abc import Sequence
from io import StringIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evals.points import points, signed_points
from evals.recording import Record
from evals.report.board import Board
from evals.report.summary import Summary, closing, verdict_word, why

STYLES = {
    "pass": "green",
    "measured": "green",
    "improved": "bold green",
    "unresolved": "yellow",
    "missing": "yellow",
    "not measured": "yellow",
}
BAD = "bold red"


def render_summary(summary: Summary, *, width: int, color: bool) -> str:
    """Return the tables and the closing lines.

    Args:
        summary: of a run.
        width: of the terminal, in columns.
        color: whether the terminal shows colours.
    """
    out = StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
    )
    for alias, records in summary.by_model.items():
        console.print(_table(alias, records), end="")
        for record in records:
            if record.stages:
                console.print(Text(_stages(record)))
    for record in summary.look:
        if record.outcome in ("passed", "not measured"):
            console.print(Text(f"{record.case} {verdict_word(record)}: {why(record)}"))
    console.print(Text(closing(summary)))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def render_board(board: Board, *, width: int) -> str:
    """Return models side by side: their means, and a row for each task under the mean of its type."""
    out = StringIO()
    console = Console(file=out, width=width, color_system=None, highlight=False, legacy_windows=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("", overflow="fold")
    for model in board.models:
        table.add_column(Text(model), justify="right", overflow="fold")
    means = [board.means[model] for model in board.models]
    table.add_row(f"mean over tasks ({board.shared})", *(_mean(one.overall) for one in means))
    table.add_row("mean over their types", *(_mean(one.by_types) for one in means))
    for kind in dict.fromkeys(board.types.values()):
        table.add_row(Text(kind), *(_mean(one.by_type.get(kind)) for one in means))
        for task in (task for task, of in board.types.items() if of == kind):
            table.add_row(Text(f"  {task}"), *(_mean(board.scores[task].get(model)) for model in board.models))
    console.print(table, end="")
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    lines += [
        f"{model} has no score for {len(mean.missing)} of the tasks, which are in no mean"
        for model, mean in zip(board.models, means, strict=True)
        if mean.missing
    ]
    return "\n".join(lines)


def _mean(score: float | None) -> str:
    return "-" if score is None else points(score)


def _table(alias: str, records: Sequence[Record]) -> Table:
    table = Table(
        box=None,
        pad_edge=False,
        title=Text(alias, style="bold"),
        title_justify="left",
        title_style="bold",
        header_style="dim",
    )
    for name in ("task", "metric"):
        table.add_column(name, overflow="fold")
    for name in ("score", "baseline", "Δ", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for record in records:
        table.add_row(*_cells(record))
    return table


def _cells(record: Record) -> list[str | Text]:
    word = verdict_word(record)
    name = record.task if record.limit is None else f"{record.task} (limit {record.limit})"
    return [
        Text(name),
        Text(record.metric),
        "" if record.score is None else points(record.score),
        "" if record.baseline is None else points(record.baseline),
        "" if record.delta is None else signed_points(record.delta),
        "" if record.n is None else str(record.n),
        Text(word, style=STYLES.get(word, BAD)),
    ]


def _stages(record: Record) -> str:
    """Say what each stage of a pipeline came to."""
    scores = [
        f"{stage.alias} {points(stage.score)}{', found before' if stage.reused else ''}" for stage in record.stages
    ]
    return f"{record.case}: {record.metric} by stage: {' -> '.join(scores)}"
