"""Scores over runs in the terminal: a line of blocks for each case, and where it moved."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from touchstone.formatting import points, signed_points
from touchstone.records.names import baseline_key
from touchstone.records.runs import Run
from touchstone.report.text import brief, draw

# A repetition of the same measurement moves a score by less: half a tenth of a point.
VISIBLE_CHANGE = 5e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One measurement: when, at which commit of the project, by which model."""

    started: str
    commit: str | None
    score: float
    fingerprint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """All measurements of one model on one task by one metric, oldest first."""

    alias: str
    key: str
    type: str
    metric: str
    points: tuple[Point, ...]

    @property
    def moves(self) -> tuple[int, ...]:
        """Indexes of the points that differ from the point before by more than a repetition does."""
        scores = [point.score for point in self.points]
        return tuple(i for i in range(1, len(scores)) if abs(scores[i] - scores[i - 1]) > VISIBLE_CHANGE)


Key = tuple[str, str, str]


def trace(runs: Iterable[Run]) -> Mapping[Key, Line]:
    """Return a line for each alias, task (with its limit) and metric; the order of the runs does not matter."""
    points: dict[Key, list[Point]] = {}
    types: dict[Key, str] = {}
    for run in sorted(runs, key=lambda run: run.started):
        for record in run.records:
            if record.score is None or record.error is not None:
                continue
            key = (record.alias, baseline_key(record.task, record.limit), record.metric)
            point = Point(started=run.started, commit=run.commit, score=record.score, fingerprint=record.fingerprint)
            points.setdefault(key, []).append(point)
            types[key] = record.type
    return {
        key: Line(alias=key[0], key=key[1], metric=key[2], type=types[key], points=tuple(measured))
        for key, measured in sorted(points.items())
    }


BLOCKS = "▁▂▃▄▅▆▇█"
ROW_LIMIT = 30
MOVE_LIMIT = 5


def render_trend(lines: Iterable[Line], *, width: int, color: bool) -> str:
    """Return a table of scores over runs, each followed by the runs at which it moved.

    Args:
        lines: from `touchstone.report.trend.trace`.
        width: of the terminal, in columns.
        color: True for a terminal with colours.
    """
    rows = list(lines)
    parts: list[Table | Text] = [_table(rows)]
    moving = [line for line in rows if line.moves]
    if moving:
        parts.append(Text("\nmoved", style="bold"))
    for line in moving:
        parts.append(Text(brief(f"{line.alias}:{line.key} {line.metric}")))
        left_out = len(line.moves) - MOVE_LIMIT
        if left_out > 0:
            parts.append(Text(f"  {left_out} earlier moves are left out"))
        parts += [_move(line, index) for index in line.moves[-MOVE_LIMIT:]]
    return "\n".join(draw(parts, width=width, color=color))


def blocks(scores: Sequence[float]) -> str:
    """Draw scores as blocks, the lowest at the bottom; scores that a repetition explains are flat."""
    low, high = min(scores), max(scores)
    if high - low <= VISIBLE_CHANGE:
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
        style = "red" if change < -VISIBLE_CHANGE else "green" if change > VISIBLE_CHANGE else ""
        table.add_row(
            Text(brief(f"{line.alias}:{line.key}")),
            Text(brief(line.metric)),
            str(len(scores)),
            blocks(scores[-ROW_LIMIT:]),
            points(scores[0]),
            points(scores[-1]),
            Text(signed_points(change) if len(scores) > 1 else "", style=style),
        )
    return table


def _move(line: Line, index: int) -> Text:
    before, here = line.points[index - 1], line.points[index]
    change = here.score - before.score
    commit = "no commit known" if here.commit is None else f"commit {brief(here.commit)}"
    comparable = before.fingerprint is not None and here.fingerprint is not None
    same = "the same model" if before.fingerprint == here.fingerprint else "other weights or settings"
    text = Text(f"  {brief(here.started[:16].replace('T', ' '))}  ")
    text.append(signed_points(change), style="red" if change < 0 else "green")
    return text.append(f"  {points(before.score)} -> {points(here.score)}  {commit}{f', {same}' if comparable else ''}")
