"""Records in, text out. Nothing here measures, judges or writes a file."""

from evals.report.board import Board, Mean
from evals.report.github import render_annotations
from evals.report.html import render_html
from evals.report.json import make_schema, read_schema, render_json
from evals.report.markdown import render_markdown
from evals.report.summary import Summary, summarize
from evals.report.terminal import drawn, open_console
from evals.report.text import render_board, render_summary
from evals.report.trend import render_trend

__all__ = [
    "Board",
    "Mean",
    "Summary",
    "drawn",
    "make_schema",
    "open_console",
    "read_schema",
    "render_annotations",
    "render_board",
    "render_html",
    "render_json",
    "render_markdown",
    "render_summary",
    "render_trend",
    "summarize",
]
