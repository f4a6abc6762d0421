"""A study as text, a table with a chart, and as one page of HTML."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from touchstone.formatting import count, points, render_size, signed_points
from touchstone.records.studies import Row, Study
from touchstone.report.charts import nice_reach, scatter
from touchstone.report.html import render_page
from touchstone.report.summary import lineup_lines
from touchstone.report.text import BAD_STYLE, LINE_LENGTH, STYLES, brief, draw

# Characters of the chart beside the table; an odd number has a middle.
PICTURE_WIDTH = 21
# The narrowest terminal with room for the chart.
PICTURE_COLUMNS = 100
STYLE_NAMES = {"PASS": "pass", "INCONCLUSIVE": "inconclusive"}


def render_study(study: Study, *, width: int, color: bool) -> str:
    """Return the table, the smallest variant first, and the conclusions."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    reach, wide = _reach(study.rows), width >= PICTURE_COLUMNS
    header = ("", "bytes", *(("a million",) if wide else ()), "search", "a text", "score", "Δ", "95 %", "verdict")
    for name in header:
        table.add_column(name, justify="left" if name in ("", "verdict") else "right", no_wrap=True)
    if wide:
        table.add_column(_picture(None, None, reach, study.margin), no_wrap=True)
    for row in study.rows:
        style = "" if not row.verdict else STYLES.get(STYLE_NAMES.get(row.verdict, ""), BAD_STYLE)
        cells = [row.name, str(row.bytes), *_cells(row)[0 if wide else 1 :]]
        chart = [Text(_picture(row.delta, row.interval, reach, study.margin), style=style)] if wide else []
        table.add_row(*(Text(brief(cell)) for cell in cells), Text(brief(row.verdict or "whole"), style=style), *chart)
    return "\n".join([*draw([table], width=width, color=color), *conclude(study)])


def conclude(study: Study) -> list[str]:
    """Return the conclusions of a study: the smallest and the fastest variant, failures, and speeds."""
    whole = next(row for row in study.rows if not row.verdict)
    smallest = study.smallest
    margin = points(study.margin)
    if smallest is None:
        result = f"no variant is proven to lose less than {margin} points"
    else:
        times = whole.bytes / smallest.bytes
        fewer = f"{times:.3g} times fewer than {whole.name}" if times > 1 else "no fewer than the whole model's"
        size = count(smallest.bytes, "byte")
        result = f"the smallest proven to lose less than {margin} points is {smallest.name}: {size} a vector, {fewer}"
    fastest = study.fastest
    if fastest is not None and fastest.encode and whole.encode:
        faster = f"{whole.encode / fastest.encode:.2g} times as fast as {whole.name}"
        result += f"; the fastest is {fastest.name}: {_milliseconds(fastest.encode)} a text, {faster}"
    others = [f"{row.name} {row.verdict}: {row.reason}" for row in study.rows if row.verdict not in ("", "PASS")]
    return [result, *map(brief, others), *(brief(line, LINE_LENGTH) for line in lineup_lines(study.lineup))]


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1000 * seconds:.1f} ms"


def _cells(row: Row) -> tuple[str, ...]:
    score = "–" if row.score is None else points(row.score)
    delta = "" if row.delta is None else signed_points(row.delta)
    interval = "" if row.interval is None else "[{}, {}]".format(*map(signed_points, row.interval))
    return render_size(row.index), _milliseconds(row.search), _milliseconds(row.encode), score, delta, interval


def _reach(rows: Sequence[Row]) -> float:
    return nice_reach([bound for row in rows for bound in (row.delta, *(row.interval or ())) if bound is not None])


def _picture(delta: float | None, interval: tuple[float, float] | None, reach: float, margin: float) -> str:
    """Draw a difference with its interval; ┊ is the loss allowed and │ is zero."""
    line = [" "] * PICTURE_WIDTH
    if interval is not None:
        low, high = (_place(bound, reach) for bound in interval)
        line[low : high + 1] = "─" * (high + 1 - low)
    for value, sign in ((-margin, "┊"), (0.0, "│")):
        line[_place(value, reach)] = sign
    if delta is not None:
        line[_place(delta, reach)] = "●"
    return "".join(line)


def _place(value: float, reach: float) -> int:
    share = min(max(value / reach, -1.0), 1.0)
    return round((share + 1) / 2 * (PICTURE_WIDTH - 1))


def render_study_page(study: Study) -> str:
    """Return one page of HTML: the chart of scores by bytes, and the table."""
    scored = [row for row in study.rows if row.score is not None]
    whole = next(row for row in study.rows if not row.verdict)
    best = whole.score or 0.0
    dots = []
    for row in scored:
        interval = None if row.interval is None else (best + row.interval[0], best + row.interval[1])
        dots.append((row.name, float(row.bytes), row.score or 0.0, interval, row.verdict or "measured"))
    return render_page(
        "study.html.jinja",
        study=study,
        picture=scatter(dots, "bytes", best - study.margin),
        rows=[(row, _cells(row)) for row in study.rows],
        conclusions=conclude(study),
    )
