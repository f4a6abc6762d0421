"""Annotations of GitHub Actions: lines on standard output that its pages show beside the job."""

from collections.abc import Sequence

from evals.recording import Record
from evals.report.summary import summarize, verdict_word, why, worst_first

# GitHub shows ten errors and ten warnings of a step.
SHOWN = 10


def render_annotations(records: Sequence[Record]) -> tuple[str, ...]:
    """Return an ``::error`` for each case that failed and a ``::warning`` for each that is undecided."""
    look = worst_first(summarize(records).look)
    red = [record for record in look if record.outcome != "passed"]
    open_ = [record for record in look if record.verdict == "unresolved" and record.outcome == "passed"]
    return (*_annotate("error", red), *_annotate("warning", open_))


def _annotate(level: str, records: Sequence[Record]) -> list[str]:
    kept = records if len(records) <= SHOWN else records[: SHOWN - 1]
    lines = [f"::{level} title={_property(f'{r.case} {verdict_word(r)}')}::{_message(_text(r))}" for r in kept]
    if len(kept) < len(records):
        lines.append(f"::{level} title=evals::{len(records) - len(kept)} more cases are in the job summary")
    return lines


def _text(record: Record) -> str:
    return f"{why(record)}\n{record.command}" if record.command else why(record)


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
