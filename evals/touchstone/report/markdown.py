"""A run as Markdown for the job summary of a CI: short whatever the size of the suite."""

import html
import re
from collections.abc import Iterable, Sequence

from touchstone.formatting import shorten
from touchstone.records.runs import Record, Run, SuiteVerdict
from touchstone.report.formats import ReportFormat
from touchstone.report.summary import closing, numbers, summarize, verdict_word, why, worst_first
from touchstone.report.text import render_suite

# GitHub cuts comments and check texts above 65 536; a summary of this size can be any of them.
LIMIT = 65_000
SUITES, LOOK, COMMANDS, ENDING = 8_000, 26_000, 10_000, 600
LONGEST = 700
MARKS = {"PASS": "🟢", "FAIL": "🔴", "INCONCLUSIVE": "🟡"}
SPECIAL = re.compile(r"([\\`*_\[\]|~#!$@])")
MORE = "; the run record and the HTML report have all"
HEADER = ("case", "metric", "score", "baseline", "Δ", "n", "verdict")
ALIGNED = ("---", "---", "--:", "--:", "--:", "--:", "---")


def render_markdown(run: Run) -> str:
    """Return the verdicts, what needs a look and why, commands that repeat it, and all cases folded away.

    Never longer than ``LIMIT`` characters; what is left out is counted in words.
    """
    summary = summarize(run.records)
    look = worst_first(summary.look)
    parts = [
        f"## touchstone: {escape(shorten(run.suite, 200))}",
        _suites(run.suites),
        escape(shorten(closing(summary), LONGEST)),
    ]
    if look:
        parts += [f"### {_cases(len(look))} to look at", _look(look)]
    commands = [record.command for record in look if record.outcome != "passed" and record.command]
    if commands:
        parts += ["Each of them again, by itself:", _commands(commands)]
    room = LIMIT - sum(len(part) + 2 for part in parts) - ENDING
    every = [record for records in summary.by_model.values() for record in records]
    parts.append(_folded(every, room))
    return "\n\n".join(part for part in parts if part) + "\n"


FORMAT = ReportFormat(name=".md", render=lambda run, _: render_markdown(run))


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return SPECIAL.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _cases(count: int) -> str:
    return "1 case" if count == 1 else f"{count} cases"


def _suites(suites: Iterable[SuiteVerdict]) -> str:
    lines = []
    for suite in sorted(suites, key=lambda suite: suite.model):
        first, *rest = [escape(shorten(line, LONGEST)) for line in render_suite(suite).splitlines()]
        lines.append("<br>".join([f"- {MARKS[suite.verdict]} **{first}**", *rest]))
    return _fit(lines, SUITES, "models")


def _look(look: Sequence[Record]) -> str:
    rows = [_row((verdict_word(r), r.case, _limited(r), numbers(r)[2], shorten(why(r), LONGEST))) for r in look]
    head = [_row(("verdict", "case", "metric", "Δ", "why")), _raw(("---", "---", "---", "--:", "---"))]
    return "\n".join([*head, _fit(rows, LOOK, "cases")])


def _commands(commands: Sequence[str]) -> str:
    # No command of ours holds a line break or three backticks: names of models and tasks cannot.
    kept = _fit(commands, COMMANDS, "commands", note="# ")
    return f"```sh\n{kept}\n```"


def _folded(records: Sequence[Record], room: int) -> str:
    rows = [_row((r.case, _limited(r), *numbers(r), verdict_word(r))) for r in records]
    head = f"<details><summary>{'The case' if len(rows) == 1 else f'All {len(rows)} cases'}</summary>"
    return "\n".join([head, "", _row(HEADER), _raw(ALIGNED), _fit(rows, room, "cases"), "", "</details>"])


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


def _row(cells: Iterable[object]) -> str:
    return _raw([escape(str(cell)) for cell in cells])


def _raw(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _limited(record: Record) -> str:
    return record.metric if record.limit is None else f"{record.metric}, limit {record.limit}"
