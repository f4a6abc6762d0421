"""A run as one HTML file that needs no network: styles and script inside, every text escaped."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files

from markupsafe import Markup, escape

from touchstone.formatting import points, signed_points
from touchstone.judging.overall import SUITE_MARGIN
from touchstone.records.runs import Run
from touchstone.report.formats import ReportFormat
from touchstone.report.leaderboard import Board, side_by_side
from touchstone.report.page import make_page
from touchstone.report.words import MEANING, sentence


def render_html(run: Run, history: Sequence[Run] = (), board: Board | None = None) -> str:
    """Return the page of a run.

    Args:
        run: what to show.
        history: past runs, for lines of scores; the run itself may be among them.
        board: models side by side, where there are several.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("touchstone.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"points": points, "signed": signed_points, "breaks": breaks, "sentence": sentence}
    style, script = _read("page.css"), _read("page.js")
    return environment.get_template("page.html.jinja").render(
        page=make_page(run, history),
        board=board,
        meaning=MEANING,
        allowed=SUITE_MARGIN,
        style=style,
        script=script,
        policy=f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:",
    )


FORMAT = ReportFormat(
    name=".html", render=lambda run, history: render_html(run, history, side_by_side(run)), history=True
)


def breaks(text: str) -> Markup:
    """Let a long name break before a word that begins with a capital, and after an underscore or a mark."""
    return Markup(re.sub(r"(?<=[A-Za-z0-9]{2})(?=[A-Z][a-z])|(?<=[_+:/])(?=[^\s_+:/])", "<wbr>", str(escape(text))))


def _read(name: str) -> Markup:
    return Markup(files("touchstone.report").joinpath("templates", name).read_text(encoding="utf-8").strip())


def _hash(text: str) -> str:
    """Return what a content security policy knows an inline element by: nothing else may run."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
