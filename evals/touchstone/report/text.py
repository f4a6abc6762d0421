"""The end of a run in the terminal: a table per model, and where the time went."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from io import StringIO
from textwrap import wrap

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from touchstone.foreign import one_line
from touchstone.formatting import points, render_rate, shorten, signed_points
from touchstone.judging.overall import detectable_mean
from touchstone.records.lineups import Lineup
from touchstone.records.runs import Record, SuiteVerdict
from touchstone.records.verdicts import Slice
from touchstone.report.leaderboard import Board
from touchstone.report.summary import Summary, closing, numbers, rates, speed_lines, verdict_word, why


def draw(parts: Iterable[Table | Text], *, width: int, color: bool) -> list[str]:
    """Return tables and texts as lines of at most `width` columns, without trailing blanks."""
    out = StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
    )
    for part in parts:
        console.print(part, end="" if isinstance(part, Table) else "\n")
    return [line.rstrip() for line in out.getvalue().splitlines()]


# Characters of a text in a cell, and of one on lines of its own.
CELL_LENGTH, LINE_LENGTH = 500, 4_000
STYLES = {
    "pass": "green",
    "measured": "green",
    "recorded": "green",
    "lower": "",
    "same": "",
    "higher": "",
    "improved": "bold green",
    "inconclusive": "yellow",
    "suspect": "bold yellow",
    "missing": "yellow",
    "not measured": "yellow",
}
BAD_STYLE = "bold red"
# Blanks at which no line is broken.
IN_FIGURES = re.compile(r"(?<=[Δ%]) | (?=Δ)| (?=%)|(?<=,) (?=[+−][\d.]+\])")
# Half characters of a bar to each side of its middle; a full bar is at least a point.
BAR_HALVES = 8
POINT = 0.01


def render_summary(summary: Summary, *, width: int, color: bool) -> str:
    """Return the tables and the closing lines.

    Args:
        summary: of a run.
        width: of the terminal, in columns.
        color: whether the terminal shows colours.
    """
    parts: list[Table | Text] = []
    shared = {alias: _shared(records) for alias, records in summary.by_model.items()}
    for alias, records in summary.by_model.items():
        parts.append(_fitting_table(alias, records, width, color=color))
        parts += [Text(brief(line, LINE_LENGTH)) for line in speed_lines(records)]
        parts += [Text(brief(line, LINE_LENGTH)) for line in _differing(alias, records, shared[alias])]
        parts += [Text(brief(_stages(record), LINE_LENGTH)) for record in records if record.stages]
        parts += [_slices_table(records)] if any(record.slices for record in records) else []
    for record in summary.look:
        if record.outcome in ("passed", "not measured"):
            reason = _why(record, shared[record.alias])
            parts.append(Text(brief(f"{record.case} {verdict_word(record)}: {reason}", LINE_LENGTH)))
    return "\n".join(draw([*parts, Text(brief(closing(summary), LINE_LENGTH))], width=width, color=color)) + "\n"


def render_board(board: Board, *, width: int) -> str:
    """Return models side by side: their means, and a row for each task under the mean of its type."""
    table = Table(box=None, pad_edge=False)
    table.add_column("", overflow="fold")
    for model in board.models:
        table.add_column(Text(brief(model)), justify="right", overflow="fold")
    means = [board.means[model] for model in board.models]
    table.add_row(f"mean over tasks ({board.shared})", *(_mean(mean.average) for mean in means))
    table.add_row("mean over their types", *(_mean(mean.by_types) for mean in means))
    if board.lineup is not None:
        table.add_row(speed_title(board.lineup), *(speed_cell(board.lineup, model) for model in board.models))
    for kind in dict.fromkeys(board.types.values()):
        table.add_row(Text(brief(kind)), *(_mean(mean.by_type.get(kind)) for mean in means))
        for task in (task for task, of in board.types.items() if of == kind):
            table.add_row(Text(f"  {brief(task)}"), *(_mean(board.scores[task].get(model)) for model in board.models))
    lines = draw([table], width=width, color=False) + [
        f"{brief(model)} has no score for {len(mean.missing)} of the tasks, which are in no mean"
        for model, mean in zip(board.models, means, strict=True)
        if mean.missing
    ]
    return "\n".join(lines + ([NOT_COMPARABLE] if board.lineup is not None and board.lineup.apart else []))


NOT_COMPARABLE = "* texts/s on another machine, of other tasks, or of pairs: not to be compared"


def speed_title(lineup: Lineup) -> str:
    """Return the name of the row of speeds."""
    return f"texts/s ({lineup.cases})" if lineup.cases else "texts/s"


def speed_cell(lineup: Lineup, model: str) -> str:
    """Return the speed of a model in a lineup, with a star where it cannot be compared."""
    speed, star = lineup.speeds.get(model), ""
    if speed is None:
        speed, star = lineup.apart.get(model), "*"
    return "-" if speed is None or speed.texts_per_second is None else f"{render_rate(speed.texts_per_second)}{star}"


def brief(text: str, longest: int = CELL_LENGTH) -> str:
    """Return foreign text on one line, truncated where it is too long to be read."""
    return shorten(one_line(text), longest)


def _mean(score: float | None) -> str:
    return "-" if score is None else points(score)


def _fitting_table(alias: str, records: Sequence[Record], width: int, *, color: bool) -> Table:
    """Return the table of a model with columns of bars and of speeds, where there is room for them.

    Speeds are left out before bars: a line below the table has their mean.
    """
    bars, speeds = _bars(records) if color else [], rates(records)
    wide = Console(width=2 * width, legacy_windows=False)
    for columns in [(bars, speeds)] * bool(speeds) + [(bars, [])] * bool(bars):
        table = _table(alias, records, *columns)
        if Measurement.get(wide, wide.options, table).maximum <= width:
            return table
    return _table(alias, records, [], [])


def _table(alias: str, records: Sequence[Record], bars: Sequence[str], speeds: Sequence[str]) -> Table:
    table = Table(
        box=None,
        pad_edge=False,
        title=Text(brief(alias), style="bold"),
        title_justify="left",
        title_style="bold",
        header_style="dim",
    )
    for name in ("task", "metric"):
        table.add_column(name, overflow="fold")
    for name in ("score", "baseline", "Δ", "n", *(["texts/s"] if speeds else [])):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    if bars:
        table.add_column("", no_wrap=True)
    for number, record in enumerate(records):
        bar = [Text(bars[number], style=_style(record))] if bars else []
        *cells, word = _cells(record)
        table.add_row(*cells, *([speeds[number]] if speeds else []), word, *bar)
    return table


def slice_cells(record: Record, figures: Slice) -> tuple[str, ...]:
    """Return a slice as a row of `SLICE_HEADER`."""
    interval = "" if figures.interval is None else "[{}, {}]".format(*map(signed_points, figures.interval))
    name, delta = f"{figures.field} {figures.value}", signed_points(figures.score - figures.baseline)
    return record.task, name, str(figures.n), points(figures.score), points(figures.baseline), delta, interval


SLICE_HEADER = ("task", "slice", "n", "score", "baseline", "Δ", "95 %")


def _slices_table(records: Sequence[Record]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", title=Text("by slice, not gated", style="dim"),
                  title_justify="left")  # fmt: skip
    for name in SLICE_HEADER:
        table.add_column(name, justify="left" if name in SLICE_HEADER[:2] else "right", overflow="fold")
    for record in records:
        for figures in record.slices:
            table.add_row(*(Text(brief(cell)) for cell in slice_cells(record, figures)))
    return table


def _bars(records: Sequence[Record]) -> list[str]:
    """Draw the differences, losses to the left, all to one scale; empty where all bars would be."""
    largest = max([POINT, *(abs(record.delta) for record in records if record.delta is not None)])
    bars = [_bar(record.delta, largest) for record in records]
    return bars if any(bar.strip(" │") for bar in bars) else []


def _bar(delta: float | None, largest: float) -> str:
    if delta is None:
        return ""
    whole, half = divmod(round(BAR_HALVES * abs(delta) / largest), 2)
    side = BAR_HALVES // 2
    if delta < 0:
        return ("▐" * half + "█" * whole).rjust(side) + "│" + " " * side
    return " " * side + "│" + "█" * whole + "▌" * half


def _cells(record: Record) -> list[str | Text]:
    word = verdict_word(record)
    name = record.task if record.limit is None else f"{record.task} (limit {record.limit})"
    return [
        Text(brief(name)),
        Text(brief(record.metric)),
        *numbers(record),
        Text(word, style=_style(record)),
    ]


def _style(record: Record) -> str:
    return STYLES.get(verdict_word(record), BAD_STYLE)


def _shared(records: Iterable[Record]) -> set[str]:
    """Return in which settings all cases of a model differ from what they are judged by."""
    terms = [set(record.terms.differences) for record in records if record.terms and record.terms.against]
    return set.intersection(*terms) if terms else set()


def _differing(alias: str, records: Sequence[Record], shared: Collection[str]) -> Iterator[str]:
    if shared:
        against = dict.fromkeys(r.terms.against for r in records if r.terms and r.terms.against)
        yield f"{alias} (here) and {', '.join(against)} (there) differ: {'; '.join(sorted(shared))}"


def _why(record: Record, shared: Collection[str]) -> str:
    """Return why a case has its verdict, without what is told above: figures in the table, settings of all cases."""
    before, at, figures = why(record).partition(f"(Δ {signed_points(record.delta or 0.0)}, ")
    clauses = (figures.replace(")", "", 1) if at else before).split("; ")
    return "; ".join(clause for clause in clauses if clause not in shared)


def _stages(record: Record) -> str:
    """Return the scores of the stages that a composed model has."""
    scores = [
        f"{stage.alias} {points(stage.score)}{' (found before)' if stage.reused else ''}" for stage in record.stages
    ]
    return f"{record.case}: {record.metric} by stage: {', '.join(scores)}"


def render_suite(suite: SuiteVerdict, *, width: int | None = None) -> str:
    """Return the verdict, with mean differences in points and their intervals, overall and by type.

    Args:
        suite: of one model.
        width: in columns; lines are folded there, and the one by type between two types. None for long lines.
    """
    part = f" of {suite.cases} of {suite.planned} cases" if (suite.planned or 0) > suite.cases else ""
    verdict = one_line(f"{suite.model}: {suite.verdict}{part}: {suite.reason}")
    if suite.delta is None or suite.interval is None:
        return _fold_text(verdict, width)
    others = f", {suite.cases - suite.paired} not paired by samples" if suite.cases > suite.paired else ""
    low, high = (signed_points(bound) for bound in suite.interval)
    mean = f"mean Δ {signed_points(suite.delta)}, 95 % [{low}, {high}] over {suite.paired} tasks{others}"
    over_types = _figures(*suite.over_types) if suite.over_types else ""
    if over_types != _figures(suite.delta, *suite.interval):  # which it is where each type has one task
        mean += f"; over types {over_types}" if over_types else ""
    mean += f"; against the anchors {_figures(*suite.anchor)}" if suite.anchor else ""
    if suite.interval == (0.0, 0.0) and set(suite.verdicts.values()) <= {"PASS"}:
        return _fold_text(f"{verdict} ({mean})", width)
    types = [
        f"{name} {suite.verdicts.get(name, '')} {_figures(*figures)}".replace("  ", " ")
        for name, figures in suite.by_type.items()
    ]
    return f"{_fold_text(f'{verdict} ({mean})', width)}\n{_fold('by type: ' + one_line('; '.join(types)), '; ', width)}"


def _fold_text(line: str, width: int | None) -> str:
    """Return lines of at most a width, broken between words, and neither in an interval nor before a figure."""
    return _fold(IN_FIGURES.sub("\0", line), " ", width)


def _fold(line: str, separator: str, width: int | None) -> str:
    """Return lines of at most a width, broken behind separators alone; the second and later ones are indented."""
    if width is None:
        return line.replace("\0", " ")
    glued = separator.join(part.replace(" ", "\0") for part in line.split(separator))
    lines = wrap(glued, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace("\0", " ")


def _figures(mean: float, low: float, high: float) -> str:
    return f"{signed_points(mean)} [{signed_points(low)}, {signed_points(high)}]"


def render_power(records: Sequence[Record]) -> str:
    """Return the loss that each task, and the mean over all, detects in 4 of 5 runs with samples like these."""
    lines = []
    for record in records:
        evidence = record.evidence
        if evidence is None:
            lines.append(f"{brief(record.task)}: no samples on both sides")
            continue
        lines.append(
            f"{brief(record.task)}: {signed_points(-evidence.detectable)} with {evidence.n} samples "
            f"(standard error {100 * evidence.error:.2f}, {evidence.changed} changed)"
        )
    reach = detectable_mean(records)
    if reach is not None:
        count = sum(record.evidence is not None for record in records)
        lines.append(f"the mean over {count} tasks: {signed_points(-reach)}")
    return "\n".join(lines)
