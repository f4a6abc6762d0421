"""A run as one HTML file that needs no network: styles and script inside, every text escaped."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup, escape

from touchstone.foreign import in_html
from touchstone.formatting import points, shorten, signed_points
from touchstone.judging.overall import policy_of
from touchstone.records.runs import Run
from touchstone.report.formats import ReportFormat
from touchstone.report.leaderboard import Board, side_by_side
from touchstone.report.page import make_page
from touchstone.report.summary import closing, numbers, summarize, verdict_word, why
from touchstone.report.text import APART, render_suite, speed_cell, speed_title
from touchstone.report.words import MEANING, sentence

# A sentence may name all tasks of a benchmark; no text that is meant to be read is longer.
LONGEST = 100_000
POLICY = "default-src 'none'; style-src '{}'; script-src '{}'; img-src data:; base-uri 'none'; form-action 'none'"


def render_html(run: Run, history: Sequence[Run] = (), board: Board | None = None) -> str:
    """Return the page of a run.

    Args:
        run: what to show.
        history: past runs, for lines of scores; the run itself may be among them.
        board: models side by side, where there are several.
    """
    return render_page(
        "page.html.jinja",
        page=make_page(run, history),
        board=board,
        apart=APART,
        meaning=MEANING,
        allowed=policy_of(run.records).suite_margin,
    )


def render_page(template: str, **shown: Any) -> str:
    """Return a page of one of our templates, which gets styles, script, and the policy that allows just these."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    known = cache(_shown)  # texts repeat, and to search one for secrets takes its time
    environment = Environment(
        loader=PackageLoader("touchstone.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: known(value) if type(value) is str else value,  # markup is the template's own
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"points": points, "signed": signed_points, "breaks": breaks, "sentence": sentence}
    environment.filters |= {"speed_title": speed_title, "speed_cell": speed_cell}
    style, script = _read("page.css"), _read("page.js")
    return environment.get_template(template).render(
        **shown, style=style, script=script, policy=POLICY.format(_hash(style), _hash(script))
    )


def render_fragment(run: Run, notes: Sequence[str] = ()) -> str:
    """Return a run as a part of a page, for a notebook: its verdicts, a row for each case, and some lines."""
    summary = summarize(run.records)
    return render_page(
        "fragment.html.jinja",
        suites=[(one.verdict, render_suite(one)) for one in run.suites],
        rows=[(r, verdict_word(r), numbers(r), why(r)) for found in summary.by_model.values() for r in found],
        closing=closing(summary),
        notes=notes,
    )


FORMAT = ReportFormat(
    name=".html", render=lambda run, history: render_html(run, history, side_by_side(run)), history=True
)


def breaks(text: str) -> Markup:
    """Let a long name break before a word that begins with a capital, and after an underscore or a mark."""
    escaped = str(escape(_shown(text)))
    return Markup(re.sub(r"(?<=[A-Za-z0-9]{2})(?=[A-Z][a-z])|(?<=[_+:/])(?=[^\s_+:/])", "<wbr>", escaped))


def _shown(text: str) -> str:
    return shorten(in_html(text), LONGEST)


def _read(name: str) -> Markup:
    return Markup(files("touchstone.report").joinpath("templates", name).read_text(encoding="utf-8").strip())


def _hash(text: str) -> str:
    """Return what a content security policy knows an inline element by: nothing else may run."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
