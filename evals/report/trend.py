"""Scores over runs in the terminal: a line of blocks for each case, and where it moved."""

from collections.abc import Iterable, Sequence
from io import StringIO

from rich.table import Table
from rich.text import Text

from evals.history import MOVED, Line
from evals.points import points, signed_points
from evals.report.terminal import drawn, open_console

BLOCKS = "▁▂▃▄▅▆▇█"
SHOWN = 30
MOVES = 5


def render_trend(lines: Iterable[Line], *, width: int, color: bool) -> str:
    """Return a table of scores over runs, each followed by the runs at which it moved.

    Args:
        lines: from `evals.history.trace`.
        width: of the terminal, in columns.
        color: whether the terminal shows colours.
    """
    out = StringIO()
    console = open_console(out, width=width, color=color)
    found = list(lines)
    console.print(_table(found), end="")
    moved = [line for line in found if line.moves]
    if moved:
        console.print(Text("\nmoved", style="bold"))
    for line in moved:
        console.print(Text(f"{line.alias}:{line.key} {line.metric}"))
        left_out = len(line.moves) - MOVES
        if left_out > 0:
            console.print(Text(f"  {left_out} earlier moves are left out"))
        for index in line.moves[-MOVES:]:
            console.print(_move(line, index))
    return "\n".join(drawn(out))


def blocks(scores: Sequence[float]) -> str:
    """Draw scores as blocks, the lowest at the bottom; what differs no more than by repetition is flat."""
    low, high = min(scores), max(scores)
    if high - low <= MOVED:
        return BLOCKS[3] * len(scores)
    return "".join(BLOCKS[round((score - low) / (high - low) * (len(BLOCKS) - 1))] for score in scores)


def _table(lines: Sequence[Line]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("case", overflow="fold")
    table.add_column("metric", no_wrap=True)
    table.add_column("runs", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name in ("first", "last", "Δ"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        scores = [point.score for point in line.points]
        change = scores[-1] - scores[0]
        style = "red" if change < -MOVED else "green" if change > MOVED else ""
        table.add_row(
            Text(f"{line.alias}:{line.key}"),
            Text(line.metric),
            str(len(scores)),
            blocks(scores[-SHOWN:]),
            points(scores[0]),
            points(scores[-1]),
            Text(signed_points(change) if len(scores) > 1 else "", style=style),
        )
    return table


def _move(line: Line, index: int) -> Text:
    before, here = line.points[index - 1], line.points[index]
    change = here.score - before.score
    commit = "no commit known" if here.commit is None else f"commit {here.commit}"
    known = before.fingerprint is not None and here.fingerprint is not None
    same = "the same model" if before.fingerprint == here.fingerprint else "other weights or settings"
    text = Text(f"  {here.started[:16].replace('T', ' ')}  ")
    text.append(signed_points(change), style="red" if change < 0 else "green")
    return text.append(f"  {points(before.score)} -> {points(here.score)}  {commit}{f', {same}' if known else ''}")
