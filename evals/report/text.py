"""The end of a run in the terminal: a table per model, and where the time went."""

from collections.abc import Sequence
from io import StringIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evals.points import points, signed_points
from evals.recording import Record
from evals.report.summary import Summary

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
            console.print(Text(f"{record.case} {verdict_word(record)}: {record.reason or 'no worker reported it'}"))
    console.print(Text(_closing(summary)))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def verdict_word(record: Record) -> str:
    """Return one word for what became of a case: its verdict, or why it has none."""
    if record.outcome in ("error", "not measured"):
        return record.outcome
    return record.verdict or "measured"


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


def _closing(summary: Summary) -> str:
    counts = ", ".join(f"{count} {word}" for word, count in summary.counts.items())
    total = sum(summary.counts.values())
    line = f"{total} case{'s' if total != 1 else ''}: {counts}."
    if summary.texts and summary.seconds:
        times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in summary.seconds.items())
        encoded = "" if summary.encoded is None else f", {summary.encoded} encoded,"
        line += f" {summary.texts} texts{encoded} on {' + '.join(summary.devices)}; {times}."
    return line
