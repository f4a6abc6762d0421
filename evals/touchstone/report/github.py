"""The job summary and the annotations of GitHub Actions, which its pages show beside the job."""

import os
from collections.abc import Sequence
from pathlib import Path

from touchstone.errors import ConfigError
from touchstone.foreign import Command, in_message, in_property, one_line
from touchstone.formatting import shorten
from touchstone.records.runs import Record
from touchstone.report.formats import ReportFormat
from touchstone.report.markdown import render_markdown
from touchstone.report.summary import summarize, verdict_word, why, worst_first

# GitHub Actions names the file of each step here.
SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
# GitHub shows ten errors and ten warnings of a step.
ANNOTATION_LIMIT = 10
TEXT_LENGTH, NAME_LENGTH = 2_000, 200


def render_annotations(records: Sequence[Record]) -> tuple[Command, ...]:
    """Return an ``::error`` for each case that failed and a ``::warning`` for each that is inconclusive."""
    look = worst_first(summarize(records).look)
    red = [record for record in look if record.outcome != "passed"]
    unclear = [record for record in look if record.verdict == "inconclusive" and record.outcome == "passed"]
    return (*_annotate("error", red), *_annotate("warning", unclear))


def _find_summary() -> Path:
    path = os.environ.get(SUMMARY_VARIABLE)
    if not path:
        raise ConfigError(
            f"--report github needs a step of GitHub Actions, which sets {SUMMARY_VARIABLE}; it is not set"
        )
    return Path(path)


FORMAT = ReportFormat(
    name="github",
    render=lambda run, _: render_markdown(run),
    find_file=_find_summary,
    print=lambda run: render_annotations(run.records),
)


def _annotate(level: str, records: Sequence[Record]) -> list[Command]:
    shown = records if len(records) <= ANNOTATION_LIMIT else records[: ANNOTATION_LIMIT - 1]
    lines = [(f"{shorten(one_line(r.case), NAME_LENGTH)} {verdict_word(r)}", _text(r)) for r in shown]
    if len(shown) < len(records):
        lines.append(("touchstone", f"{len(records) - len(shown)} more cases are in the job summary"))
    return [Command(f"::{level} title={in_property(title)}::{in_message(text)}") for title, text in lines]


def _text(record: Record) -> str:
    return "\n".join(shorten(one_line(text), TEXT_LENGTH) for text in (why(record), record.command) if text)
