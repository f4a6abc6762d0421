"""The result of measuring, judging or comparing from Python: a run, with its verdict, as a table, and as reports."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from touchstone.baselines.files import Baselines
from touchstone.config.options import BASELINES
from touchstone.judging.overall import BLOCKING_OUTCOMES, exit_code
from touchstone.records.runs import Record, Run, SuiteVerdict, SuiteWord
from touchstone.report.formats import find_target
from touchstone.report.html import render_fragment
from touchstone.report.summary import summarize, verdict_word, why
from touchstone.report.text import brief, draw, render_suite, render_summary
from touchstone.session.compare import Side, find_samples
from touchstone.session.reports import find_pair, write_report

if TYPE_CHECKING:
    import pandas as pd

# The worst first.
WORDS: tuple[SuiteWord, ...] = ("FAIL", "INCOMPLETE", "INCONCLUSIVE", "PASS")
WIDTH = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A run in memory. Scores, baselines and differences are fractions of 1: a point is 0.01.

    ``store`` is the folder of its samples, ``notes`` are the lines that a command would print beside it, and
    ``inconclusive`` is the option of a command with this name. ``lost`` is True if a part of it could not be written.
    ``baselines`` is the folder of the baselines that judged it; None for that of the project. ``sides`` are what was
    compared, the reference first; none where a run was judged by baselines while it was measured.
    """

    run: Run
    store: Path
    notes: tuple[str, ...] = ()
    inconclusive: str = "warn"
    lost: bool = False
    baselines: Path | None = None
    sides: tuple[Side, ...] = field(default=(), repr=False, compare=False)

    @property
    def records(self) -> tuple[Record, ...]:
        """Return a record of each case, in the order of the suite; one with an ``error`` has no score."""
        return self.run.records

    @property
    def suites(self) -> Mapping[str, SuiteVerdict]:
        """Return the verdict on each model that was judged, by alias, with its reason and the mean difference."""
        return {suite.model: suite for suite in self.run.suites}

    @property
    def verdict(self) -> SuiteWord | None:
        """Return ``PASS``, ``FAIL``, ``INCOMPLETE`` or ``INCONCLUSIVE``, of several models the worst.

        None where nothing was judged, which is no ``PASS``; a run with a case that was not measured never passes.
        """
        words = {suite.verdict for suite in self.run.suites}
        if any(record.outcome in BLOCKING_OUTCOMES for record in self.records):
            words.add("INCOMPLETE")
        return next((word for word in WORDS if word in words), None)

    @property
    def exit_code(self) -> int:
        """Return the exit code of ``pytest evals``: 0, 1, or 9 where a case is suspect."""
        return 1 if self.lost else exit_code(self.records, self.run.suites, self.inconclusive)

    def to_frame(self) -> "pd.DataFrame":
        """Return a table of pandas with a row for each case, in fractions of 1 and in seconds."""
        import pandas as pd

        return pd.DataFrame([_row(record) for record in self.records])

    def save(self, path: str | Path) -> tuple[str, ...]:
        """Write a report, and return lines on what was written and, with a warning for each, on what was left out.

        Args:
            path: its suffix says the format: ``.html``, ``.md``, ``.json`` (the run record, which `load_run` reads), or
                the folders ``eval_results/`` and ``runs/``.

        Raises:
            ConfigError: no format has this suffix.
            OSError: the file cannot be written.
        """
        baselines = Baselines(self.baselines or Path.cwd() / BASELINES)
        of_baselines = partial(find_pair, stores=[self.store], baselines=baselines)
        pairs = partial(find_samples, self.sides) if self.sides else of_baselines
        written, *others = write_report(find_target("path", Path.cwd(), str(path)), self.run, self.store, pairs)
        for line in others:
            warnings.warn(line, stacklevel=2)
        return (written, *others)

    def __str__(self) -> str:
        lines = [render_summary(summarize(self.records), width=WIDTH, color=False).rstrip("\n")]
        stopped = [record for record in self.records if record.outcome in ("failed", "error")]
        reasons = [Text(brief(f"{record.case} {verdict_word(record)}: {why(record)}")) for record in stopped]
        lines += draw(reasons, width=WIDTH, color=False)
        suites = [render_suite(suite, width=WIDTH) for suite in self.run.suites]
        return "\n".join([*lines, *suites, *self.notes])

    def _repr_html_(self) -> str:
        """Return HTML for a notebook, with every text escaped."""
        return render_fragment(self.run, self.notes)


def _row(record: Record) -> dict[str, Any]:
    low, high = (None, None) if record.evidence is None else record.evidence.interval
    return {  # a printed table is truncated in its middle: what one looks at comes first
        "case": record.case, "verdict": verdict_word(record), "score": record.score, "baseline": record.baseline,
        "delta": record.delta, "n": record.n, "low": low, "high": high, "model": record.alias, "task": record.task,
        "outcome": record.outcome, "why": why(record), "type": record.type, "metric": record.metric,
        "seconds": record.seconds, "reused": record.reused, "fingerprint": record.fingerprint,
    }  # fmt: skip
