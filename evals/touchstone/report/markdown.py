"""A run as Markdown for the job summary of a CI: short whatever the size of the suite."""

from collections.abc import Iterable, Mapping, Sequence

from touchstone.foreign import in_code, in_markdown, one_line
from touchstone.formatting import count, shorten
from touchstone.records.runs import Record, Run, SuiteVerdict
from touchstone.report.formats import ReportFormat
from touchstone.report.summary import closing, numbers, rates, speed_lines, summarize, verdict_word, why, worst_first
from touchstone.report.text import SLICE_HEADER, render_suite, slice_cells

# GitHub cuts comments and check texts above 65 536; a summary of this size can be any of them.
LIMIT = 65_000
SUITES, SPEEDS, LOOK, COMMANDS, END_ROOM = 8_000, 4_000, 26_000, 10_000, 600
# Of one text: escaped it is five times as long at most, and a row of such texts fits into its table.
LONGEST, NAME, COMMAND = 700, 200, 2_000
MARKS = {"PASS": "🟢", "FAIL": "🔴", "INCOMPLETE": "🔴", "INCONCLUSIVE": "🟡"}
MORE = "; the run record and the HTML report have all"
HEADER = ("case", "metric", "score", "baseline", "Δ", "n", "texts/s", "verdict")
ALIGNMENT = ("---", "---", "--:", "--:", "--:", "--:", "--:", "---")


def render_markdown(run: Run) -> str:
    """Return the verdicts, what needs a look and why, commands that repeat it, and all cases folded away.

    Never longer than ``LIMIT`` characters; what is left out is counted in words.
    """
    summary = summarize(run.records)
    look = worst_first(summary.look)
    parts = [
        f"## touchstone: {_text(run.suite, NAME)}",
        _suites(run.suites),
        _text(closing(summary)),
        _speeds(summary.by_model),
    ]
    if look:
        parts += [f"### {count(len(look), 'case')} to look at", _look(look)]
    commands = [record.command for record in look if record.outcome != "passed" and record.command]
    if commands:
        parts += ["Each of them again, by itself:", _commands(commands)]
    room = LIMIT - sum(len(part) + 2 for part in parts) - END_ROOM
    every = [record for records in summary.by_model.values() for record in records]
    speeds = [rate for records in summary.by_model.values() for rate in rates(records) or [""] * len(records)]
    parts.append(_folded(every, speeds, room))
    parts.append(_slices(every, LIMIT - sum(len(part) + 2 for part in parts) - END_ROOM))
    return "\n\n".join(part for part in parts if part) + "\n"


FORMAT = ReportFormat(name=".md", render=lambda run, _: render_markdown(run))


def _text(text: str, longest: int = LONGEST) -> str:
    # Cut between the two: a secret would not be known by half of it, and half an escape would be none.
    return in_markdown(shorten(one_line(text), longest))


def _suites(suites: Iterable[SuiteVerdict]) -> str:
    lines = []
    for suite in sorted(suites, key=lambda suite: suite.model):
        first, *rest = map(_text, render_suite(suite).split("\n"))
        lines.append("<br>".join([f"- {MARKS[suite.verdict]} **{first}**", *rest]))
    return _fit(lines, SUITES, "models")


def _look(look: Sequence[Record]) -> str:
    rows = [_row((verdict_word(r), _text(r.case), _limited(r), numbers(r)[2], _text(why(r)))) for r in look]
    head = [_row(("verdict", "case", "metric", "Δ", "why")), _row(("---", "---", "---", "--:", "---"))]
    return "\n".join([*head, _fit(rows, LOOK, "cases")])


def _commands(commands: Sequence[str]) -> str:
    shown = [shorten(one_line(command), COMMAND) for command in commands]
    return in_code(_fit(shown, COMMANDS, "commands", note="# ").split("\n"), "sh")


def _speeds(by_model: Mapping[str, Sequence[Record]]) -> str:
    # A name may begin as a list does.
    lines = [_text(f"speed of {alias}: {line}") for alias, records in by_model.items() for line in speed_lines(records)]
    return _fit([f"- {line}" for line in lines], SPEEDS, "models")


def _folded(records: Sequence[Record], speeds: Sequence[str], room: int) -> str:
    cells = [
        (_text(r.case), _limited(r), *numbers(r), _text(speed), verdict_word(r))
        for r, speed in zip(records, speeds, strict=True)
    ]
    table: list[tuple[str, ...]] = [HEADER, ALIGNMENT, *cells]
    if not any(speeds):
        table = [(*row[:-2], row[-1]) for row in table]
    header, aligned, *rows = map(_row, table)
    head = f"<details><summary>{'The case' if len(rows) == 1 else f'All {len(rows)} cases'}</summary>"
    return "\n".join([head, "", header, aligned, _fit(rows, room, "cases"), "", "</details>"])


def _slices(records: Sequence[Record], room: int) -> str:
    rows = [_row(map(_text, slice_cells(record, one))) for record in records for one in record.slices]
    if not rows:
        return ""
    head = "<details><summary>By slice, not gated</summary>"
    aligned = _row(("---", "---", *["--:"] * 5))
    return "\n".join([head, "", _row(SLICE_HEADER), aligned, _fit(rows, room, "slices"), "", "</details>"])


def _fit(lines: Sequence[str], room: int, what: str, note: str = "\n") -> str:
    """Join the first lines that have room, and say how many do not."""
    kept, used = 0, 0
    for line in lines:
        used += len(line) + 1
        if used > room:
            break
        kept += 1
    text = "\n".join(lines[:kept])
    return text if kept == len(lines) else f"{text}\n{note}{len(lines) - kept} more {what} are left out here{MORE}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _limited(record: Record) -> str:
    metric = _text(record.metric, NAME)
    return metric if record.limit is None else f"{metric}, limit {record.limit}"
