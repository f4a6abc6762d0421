"""A run as Markdown for the job summary of a CI, short even for a large suite."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from touchstone.foreign import in_code, in_markdown, one_line
from touchstone.formatting import count, shorten
from touchstone.records.runs import Record, Run, SuiteVerdict
from touchstone.report.formats import ReportFormat
from touchstone.report.summary import closing, numbers, rates, speed_lines, summarize, verdict_word, why, worst_first
from touchstone.report.text import SLICE_HEADER, render_suite, slice_cells

# GitHub truncates comments and check texts at 65 536 characters; a summary of this length fits into each.
MAX_LENGTH = 65_000
SUITES_ROOM, SPEEDS_ROOM, LOOK_ROOM, COMMANDS_ROOM, END_ROOM = 8_000, 4_000, 26_000, 10_000, 600
# Characters of one text: escaping makes it five times as long at most, and a row of such texts fits into its table.
TEXT_LENGTH, NAME_LENGTH, COMMAND_LENGTH = 700, 200, 2_000
MARKS = {"PASS": "🟢", "FAIL": "🔴", "INCOMPLETE": "🔴", "INCONCLUSIVE": "🟡"}
ELSEWHERE = "; the run record and the HTML report have all"
HEADER = ("case", "metric", "score", "baseline", "Δ", "n", "texts/s", "verdict")
ALIGNMENT = ("---", "---", "--:", "--:", "--:", "--:", "--:", "---")


def render_markdown(run: Run) -> str:
    """Return the verdicts, the cases to look at and why, the commands that repeat them, and all cases folded away.

    Never longer than ``MAX_LENGTH`` characters; the last line of a part counts the lines left out there.
    """
    summary = summarize(run.records)
    look = worst_first(summary.look)
    parts = [
        f"## touchstone: {_text(run.suite, NAME_LENGTH)}",
        _suites(run.suites),
        _text(closing(summary)),
        _speeds(summary.by_model),
    ]
    if look:
        parts += [f"### {count(len(look), 'case')} to look at", _look(look)]
    commands = [record.command for record in look if record.outcome != "passed" and record.command]
    if commands:
        parts += ["Each of them again, by itself:", _commands(commands)]
    room = MAX_LENGTH - sum(len(part) + 2 for part in parts) - END_ROOM
    cases = [record for records in summary.by_model.values() for record in records]
    speeds = [rate for records in summary.by_model.values() for rate in rates(records) or [""] * len(records)]
    parts.append(_folded(cases, speeds, room))
    parts.append(_slices(cases, MAX_LENGTH - sum(len(part) + 2 for part in parts) - END_ROOM))
    return "\n\n".join(part for part in parts if part) + "\n"


FORMAT = ReportFormat(name=".md", render=lambda run, _: render_markdown(run))


def _text(text: str, longest: int = TEXT_LENGTH) -> str:
    # Truncated between the two steps: half a secret would not be recognized, and half an escape would be none.
    return in_markdown(shorten(one_line(text), longest))


def _suites(suites: Iterable[SuiteVerdict]) -> str:
    lines = []
    for suite in sorted(suites, key=lambda suite: suite.model):
        first, *rest = map(_text, render_suite(suite).split("\n"))
        lines.append("<br>".join([f"- {MARKS[suite.verdict]} **{first}**", *rest]))
    return _fit(lines, SUITES_ROOM, "models")


def _look(look: Sequence[Record]) -> str:
    rows = [_row((verdict_word(r), _text(r.case), _limited(r), numbers(r)[2], _text(why(r)))) for r in look]
    head = [_row(("verdict", "case", "metric", "Δ", "why")), _row(("---", "---", "---", "--:", "---"))]
    return "\n".join([*head, _fit(rows, LOOK_ROOM, "cases")])


def _commands(commands: Sequence[str]) -> str:
    shown = [shorten(one_line(command), COMMAND_LENGTH) for command in commands]
    return in_code(_fit(shown, COMMANDS_ROOM, "commands", note="# ").split("\n"), "sh")


def _speeds(by_model: Mapping[str, Sequence[Record]]) -> str:
    # A name may begin as a list does, so the line does not begin with it.
    told = [(alias, line) for alias, records in by_model.items() for line in speed_lines(records)]
    lines = [_text(line.replace("speed", f"speed of {alias}", 1)) for alias, line in told]
    return _fit([f"- {line}" for line in lines], SPEEDS_ROOM, "models")


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
    rows = [_row(map(_text, slice_cells(record, figures))) for record in records for figures in record.slices]
    if not rows:
        return ""
    head = "<details><summary>By slice, not gated</summary>"
    aligned = _row(("---", "---", *["--:"] * 5))
    return "\n".join([head, "", _row(SLICE_HEADER), aligned, _fit(rows, room, "slices"), "", "</details>"])


def _fit(lines: Sequence[str], room: int, what: str, note: str = "\n") -> str:
    """Join the first lines that have room, and add a line that counts the others."""
    ends = accumulate(len(line) + 1 for line in lines)
    fitting = sum(end <= room for end in ends)
    text = "\n".join(lines[:fitting])
    left_out = len(lines) - fitting
    return f"{text}\n{note}{left_out} more {what} are left out here{ELSEWHERE}" if left_out else text


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _limited(record: Record) -> str:
    metric = _text(record.metric, NAME_LENGTH)
    return metric if record.limit is None else f"{metric}, limit {record.limit}"
