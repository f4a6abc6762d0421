"""The progress of a run from Python: words for a function, or one line in a notebook or in a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from html import escape
from typing import Any

from touchstone.errors import ConfigError
from touchstone.records.cases import Case
from touchstone.schedule.progress import Progress
from touchstone.session.forecast import forecast_session
from touchstone.session.session import Session

INTERVAL_S = 0.3
# Paints a line from the number of cases that are done and a few words.
Paint = Callable[[int, str], object]


class RunProgress:
    """The progress of a run, case by case.

    Args:
        session: the run.
        paint: shows it; None where nobody could see it.
    """

    def __init__(self, session: Session, paint: Paint | None) -> None:
        self._progress = Progress(cache(lambda: forecast_session(session).seconds_of_cases), workers=1)
        self._progress.collect([case.id for case in session.plan.cases])
        self._paint = paint
        self._painted = 0.0

    @contextmanager
    def follow(self, case: Case) -> Iterator[Callable[[str], None]]:
        """Follow one case; yields the function that its measurement calls with a few words."""

        def tell(doing: str) -> None:
            if time.monotonic() - self._painted > INTERVAL_S:
                self._show(f"{case.id}: {doing}")

        self._progress.begin(case.id)
        self._show(case.id)
        try:
            yield tell
        finally:
            self._progress.end(case.id)
            self._show("")

    def _show(self, doing: str) -> None:
        if self._paint is None:
            return
        left = self._progress.render_left() if doing else ""
        summary = ", ".join(filter(None, (self._progress.render_done(), left)))
        self._paint(self._progress.done, "; ".join(filter(None, (summary, doing))))
        self._painted = time.monotonic()


def check_progress(choice: object) -> None:
    """Check that an argument is a choice of `open_line` or a function.

    Raises:
        ConfigError: it is neither.
    """
    if not callable(choice) and choice not in (True, False, None):
        raise ConfigError(f"progress = {choice!r}; expected True, False or a function that takes a text")


@contextmanager
def open_line(choice: object, cases: int) -> Iterator[Paint | None]:
    """Open the line of a run, and yield the function that paints it; None where nobody could see it.

    Args:
        choice: True for a line wherever one can be seen, None for one in a notebook only, anything else for none.
        cases: how many the run has.
    """
    if choice in (True, None) and (display := _notebook_display()) is not None:
        yield _paint_notebook(display, cases)
    elif choice is True and sys.stderr.isatty():
        with _terminal(cases) as paint:
            yield paint
    else:
        yield None


def _notebook_display() -> Any:
    """Return IPython's module of displays where a notebook's kernel runs; None elsewhere."""
    ipython = sys.modules.get("IPython")
    if ipython is None or getattr(ipython.get_ipython(), "kernel", None) is None:
        return None
    from IPython import display

    return display


def _paint_notebook(display: Any, cases: int) -> Paint:
    """Return the function that paints the output of a cell, which needs no widgets."""
    handle = display.display(display.HTML(""), display_id=True)

    def paint(done: int, text: str) -> None:
        bar = f'<progress max="{cases}" value="{done}" aria-label="cases done"></progress>'
        handle.update(display.HTML(f"{bar} <small>{escape(text)}</small>"))

    return paint


@contextmanager
def _terminal(cases: int) -> Iterator[Paint]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    with Bar(BarColumn(), TextColumn("{task.description}", markup=False), console=console, transient=True) as bar:
        task = bar.add_task("", total=cases)
        yield lambda done, text: bar.update(task, completed=done, description=text)
