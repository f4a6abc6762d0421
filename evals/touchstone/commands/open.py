"""``touchstone open``: show the newest run in a browser."""

import argparse
import webbrowser
from functools import partial
from typing import Any

from touchstone.baselines.files import Baselines
from touchstone.commands.parsing import add_options, parse_options, tell
from touchstone.report.formats import find_target
from touchstone.session.reports import find_pair, write_report
from touchstone.store.runs import newest_run, read_run

PAGE = "report.html"


def add_command(commands: Any) -> None:
    """Add the parser."""
    page = commands.add_parser(
        "open",
        help="show the newest run of a store in a browser",
        description="Write the HTML report of the newest run into its store, and open it.",
    )
    add_options(page, "--store")
    page.add_argument("--print", action="store_true", dest="only_print", help="print its path, and open nothing")
    page.set_defaults(run=_open)


def _open(parsed: argparse.Namespace) -> tuple[list[str], int]:
    options = parse_options(parsed)
    store = options.store_folder
    target = find_target("open", store, PAGE)
    pairs = partial(find_pair, stores=[store], baselines=Baselines(options.baselines))
    notes = write_report(target, read_run(newest_run(store)), store, pairs)
    if parsed.only_print:
        for note in notes:
            tell(note)
        return [str(target.path)], 0
    opened = webbrowser.open(target.path.as_uri())
    return [*notes, str(target.path)] + ([] if opened else ["no browser could be started"]), 0
