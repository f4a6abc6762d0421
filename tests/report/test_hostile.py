"""Whatever is in a run that the reader accepts: it is shown as text, by every format, and nothing else happens."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass, replace
from typing import Any, get_args, get_type_hints

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from hypothesis import HealthCheck, Phase, given, settings

from tests.report.hostile import HOSTILE, run_of, runs
from tests.report.outline import Outline, outline
from tests.slowness import slowness
from touchstone.foreign import BREAK, JOINERS, Command
from touchstone.records.runs import Run
from touchstone.report.github import render_annotations
from touchstone.report.html import render_html
from touchstone.report.json import render_json
from touchstone.report.leaderboard import side_by_side
from touchstone.report.markdown import MAX_LENGTH, render_markdown
from touchstone.report.summary import summarize
from touchstone.report.text import render_board, render_power, render_suite, render_summary
from touchstone.report.trend import render_trend, trace

# Our own colours, and the signs that join or part others and are not seen.
OURS = re.compile(rf"\x1b\[[0-9;]*m|[{BREAK}{JOINERS}]")
# GitHub's own parser, with its extensions; it lets HTML through, so that what a text smuggles in is seen.
OPTIONS = Options.CMARK_OPT_UNSAFE | Options.CMARK_OPT_FOOTNOTES
EXTENSIONS = ["table", "autolink", "strikethrough", "tasklist"]


def in_terminal(run: Run) -> str:
    return render_summary(summarize(run.records), width=100, color=True)


def as_trend(run: Run) -> str:
    return render_trend(trace(twice(run)).values(), width=100, color=True)


def as_board(run: Run) -> str:
    board = side_by_side(run)
    return "" if board is None else render_board(board, width=100)


def twice(run: Run) -> list[Run]:
    """Return the run and one before it that got 0 everywhere."""
    before = [replace(r, measurement=replace(r.measurement, score=0.0)) for r in run.records if r.measurement]
    return [replace(run, started="", records=tuple(before)), run]


def in_page(run: Run) -> str:
    return render_html(run, twice(run), side_by_side(run))


def dom(markdown: str) -> list[str]:
    """Return the tags of Markdown as GitHub renders it, and their attributes."""
    found = Outline()
    found.feed(cmarkgfm.markdown_to_html_with_extensions(markdown, OPTIONS, EXTENSIONS))
    return found.tags


RENDERINGS: dict[str, Callable[[Run], Any]] = {
    "terminal": in_terminal,
    "plain": lambda run: render_summary(summarize(run.records), width=100, color=False),
    "suites": lambda run: "\n".join(map(render_suite, run.suites)),
    "power": lambda run: render_power(run.records),
    "trend": as_trend,
    "board": as_board,
    "markdown": render_markdown,
    "github": lambda run: render_annotations(run.records),
    "json": render_json,
    "html": in_page,
}


def without(whole: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a record is where one thing that may be missing is, however deep inside, with the name of that."""
    for field, hint in get_type_hints(type(whole)).items():
        inside = getattr(whole, field)
        if type(None) in get_args(hint):
            yield field, replace(whole, **{field: None})
        for name, less in without(inside) if is_dataclass(inside) else ():
            yield f"{field}.{name}", replace(whole, **{field: less})


@pytest.mark.parametrize("number", range(4), ids=["regressed", "error", "inconclusive", "improved"])
def test_what_is_missing_is_never_shown_as_none(number: int) -> None:
    run = run_of("text")
    record = run.records[number]
    names = []
    for name, less in without(record):
        names.append(name)
        other = replace(run, records=(less, replace(less, alias="other")))
        for form, render in RENDERINGS.items():
            assert form == "json" or not re.search(r"\b(None|nan|NaN)\b", str(render(other))), (name, form)
    assert len(names) > 20


def test_what_a_verdict_lacks_is_never_shown_as_none() -> None:
    run = run_of("text")
    for name, less in without(run.suites[0]):
        assert not re.search(r"\b(None|nan)\b", render_suite(less)), name
        assert not re.search(r"\b(None|nan)\b", render_markdown(replace(run, suites=(less,)))), name


@settings(max_examples=60, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(runs())
def test_every_run_that_is_accepted_is_shown(run: Run) -> None:
    shown = {name: render(run) for name, render in RENDERINGS.items()}

    assert len(shown["markdown"]) <= MAX_LENGTH
    assert not re.search(r"\b(nan|inf)%", shown["html"])
    for name in ("terminal", "plain", "suites", "power", "trend", "board", "markdown"):
        assert all(line.isprintable() for line in OURS.sub("", shown[name]).split("\n")), name
    assert outline(shown["html"]).tags.count("script") == 1


@pytest.mark.parametrize("name", [name for name in RENDERINGS if name != "plain"])
def test_thousands_of_such_cases_are_shown_in_seconds(name: str) -> None:
    run = run_of(*(f"{text} {number}" for number in range(8) for text in HOSTILE))
    started = time.process_time()
    RENDERINGS[name](run)

    assert len(run.records) >= 3000
    assert time.process_time() - started < 40 * slowness()  # a tenth of that where nothing else runs


@pytest.mark.parametrize("text", HOSTILE, ids=map(str, range(len(HOSTILE))))
def test_nothing_in_markdown_is_more_than_text(text: str) -> None:
    assert dom(render_markdown(run_of(text))) == dom(render_markdown(run_of("x")))


def test_a_long_fence_or_a_flood_of_escapes_does_not_break_the_limit() -> None:
    for text in ("`" * 4_000, "\U000e0041" * 4_000, "&" * 4_000, "@a" * 4_000, "| \n" * 4_000):
        shown = render_markdown(run_of(*[text] * 20))

        assert len(shown) <= MAX_LENGTH
        assert shown.endswith("</details>\n")
        assert dom(shown).count("pre") == 1
        assert set(dom(shown)) == set(dom(render_markdown(run_of(*["x"] * 20))))


@pytest.mark.parametrize("text", HOSTILE, ids=map(str, range(len(HOSTILE))))
def test_an_annotation_is_one_command_and_its_text_is_no_other(text: str) -> None:
    lines = render_annotations(run_of(text).records)

    assert all(isinstance(line, Command) and line.isprintable() for line in lines)
    for line in lines:
        command, title, message = re.fullmatch(r"::(error|warning) title=([^:,]*)::(.*)", line).groups()  # type: ignore[union-attr]
        assert command in ("error", "warning")
        assert "\n" not in title + message
        assert not re.search(r"%(?!25|0A|3A|2C)", title + message)


def test_the_colours_in_a_terminal_are_ours_alone() -> None:
    shown = render_summary(summarize(run_of(*HOSTILE).records), width=80, color=True)

    assert set(re.findall(r"\x1b[^m]*m", shown)) <= {
        f"\x1b[{code}m" for code in ("0", "1", "2", "31", "32", "33", "1;31", "1;32", "1;33")
    }
    assert "[red]" in shown
    assert "\\x1b[31m" in shown
