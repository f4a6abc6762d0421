"""A run as one HTML file that needs no network: styles and script inside, every text escaped."""

import hashlib
import json
import re
from base64 import b64encode
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import accumulate
from operator import itemgetter
from typing import Any

from markupsafe import Markup, escape

from touchstone.foreign import in_html
from touchstone.formatting import points, shorten, signed_points
from touchstone.judging.overall import policy_of
from touchstone.records.examples import Changed
from touchstone.records.runs import Run
from touchstone.report.charts import scatter
from touchstone.report.formats import ReportFormat
from touchstone.report.leaderboard import Board, find_costs, shorten_names, side_by_side
from touchstone.report.page import CASE_BYTES, PAGE_BYTES, Page, Shot, make_page
from touchstone.report.summary import closing, numbers, summarize, verdict_word, why
from touchstone.report.text import NOT_COMPARABLE, render_suite, speed_cell, speed_title
from touchstone.report.words import MEANING, sentence

# A sentence may name all tasks of a benchmark; a longer text is truncated.
TEXT_LENGTH = 100_000
POLICY = "default-src 'none'; style-src '{}'; script-src '{}'; img-src data:; base-uri 'none'; form-action 'none'"


# Fields of a record that the page offers for download and compares; the verdict here is `verdict_word`'s.
COLUMNS = ("alias", "task", "limit", "type", "metric", "verdict", "score", "baseline", "delta", "n", "seconds",
           "texts_per_second", "data_sha256")  # fmt: skip
# Bytes of a page for the samples that changed, and those of one sample beside its id.
SAMPLES_BYTES, NUMBERS_BYTES = 1_500_000, 28


def render_html(
    run: Run,
    history: Sequence[Run] = (),
    board: Board | None = None,
    changed: Mapping[str, Changed | str] | None = None,
) -> str:
    """Return the page of a run.

    Args:
        run: what to show.
        history: past runs, for lines of scores; the run itself may be among them.
        board: models side by side, where there are several.
        changed: all samples that changed, by case, or why they are not known.
    """
    listed = _list_changed(changed or {}, max(min(SAMPLES_BYTES, PAGE_BYTES - CASE_BYTES * len(run.records)), 0))
    page = make_page(run, history, sum(case["bytes"] for case in listed.values()))
    return render_page(
        "page.html.jinja",
        page=page,
        board=board,
        names={} if board is None else shorten_names(board.models),
        costs=[] if board is None else list(_draw_costs(board, run)),
        apart=NOT_COMPARABLE,
        meaning=MEANING,
        allowed=policy_of(run.records).suite_margin,
        listed=listed,
        unlisted={case: why for case, why in (changed or {}).items() if isinstance(why, str)},
        data=_embed(page, listed),
    )


def _draw_costs(board: Board, run: Run) -> Iterator[tuple[str, Markup, list[str]]]:
    """Yield each kind of cost: its unit, a chart of mean scores by this cost, and the models without a known cost."""
    words = {suite.model: suite.verdict for suite in run.suites}
    for unit, costs in find_costs(board, run.records).items():
        dots = [
            (m, cost, board.means[m].average or 0.0, None, words.get(m, "measured"))
            for m, cost in sorted(costs.items(), key=itemgetter(1))
        ]
        yield unit, scatter(dots, unit), [model for model in board.models if model not in costs]


def _list_changed(changed: Mapping[str, Changed | str], room: int) -> dict[str, dict[str, Any]]:
    """Return the most changed samples of each case as rows, in `room` bytes; bytes that a case spares go to others."""
    pairs = [(case, samples) for case, samples in changed.items() if isinstance(samples, Changed)]
    listed: dict[str, dict[str, Any]] = {}
    for case, samples in sorted(pairs, key=lambda pair: len(pair[1].ids)):
        share = room // (len(pairs) - len(listed))
        ids = _clean(samples.ids[: share // NUMBERS_BYTES])
        ends = [0, *accumulate(NUMBERS_BYTES + len(id_.encode()) for id_ in ids)]
        count = bisect_right(ends, share) - 1
        room -= ends[count]
        places = {name: place for place, name in enumerate(dict.fromkeys(samples.strata))}
        columns = [[round(value, 6) for value in side[:count]] for side in (samples.before, samples.after)]
        rows = list(zip(ids[:count], (places[name] for name in samples.strata[:count]), *columns, strict=True))
        measure, *strata = _clean((samples.measure, *places))
        table = {"measure": measure, "of": len(samples.ids), "strata": strata, "rows": rows, "bytes": ends[count]}
        listed[case] = table
    return listed


def _clean(texts: Sequence[str]) -> list[str]:
    """Return texts safe for a page, all in one pass: a search for secrets in each would take long."""
    cleaned = in_html("\n".join(text.replace("\n", " ") for text in texts)).split("\n")
    return cleaned if len(cleaned) == len(texts) else list(map(in_html, texts))


def _embed(page: Page, listed: Mapping[str, Any]) -> Markup:
    """Return the data of the script as JSON: records, with the names of ``run.json``, and the samples that changed."""
    names = ("suite", "started", "commit")
    data: dict[str, Any] = dict(zip(names, _clean([getattr(page.run, name) or "" for name in names]), strict=True))
    data |= {"columns": COLUMNS, "records": [_row(shot) for shot in page.cases]}
    data["changed"] = [listed.get(shot.record.case) for shot in page.cases]
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c"))


def _row(shot: Shot) -> list[Any]:
    """Return the values of a case in the order of `COLUMNS`; long texts are truncated."""
    record, speed = shot.record, shot.record.speed
    values = {"verdict": shot.word, "texts_per_second": None if speed is None else speed.texts_per_second}
    row = [values[name] if name in values else getattr(record, name) for name in COLUMNS]
    texts = iter(_clean([shorten(value, 500) for value in row if isinstance(value, str)]))
    return [next(texts) if isinstance(value, str) else value for value in row]


def render_page(template: str, **shown: Any) -> str:
    """Return a page from one of our templates, with styles, script, and the policy that allows just these."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    show = cache(_shown)  # texts repeat, and a search for secrets takes time
    environment = Environment(
        loader=PackageLoader("touchstone.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: show(value) if type(value) is str else value,  # markup is the template's own
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
        suites=[(suite.verdict, render_suite(suite)) for suite in run.suites],
        rows=[(r, verdict_word(r), numbers(r), why(r)) for records in summary.by_model.values() for r in records],
        closing=closing(summary),
        notes=notes,
    )


FORMAT = ReportFormat(
    name=".html",
    render=lambda run, history: render_html(run, history, side_by_side(run)),
    render_changed=lambda run, history, changed: render_html(run, history, side_by_side(run), changed),
    history=True,
)


def breaks(text: str) -> Markup:
    """Let a long name break before a word that begins with a capital, and after an underscore or a mark."""
    escaped = str(escape(_shown(text)))
    return Markup(re.sub(r"(?<=[A-Za-z0-9]{2})(?=[A-Z][a-z])|(?<=[_+:/])(?=[^\s_+:/])", "<wbr>", escaped))


def _shown(text: str) -> str:
    return shorten(in_html(text), TEXT_LENGTH)


def _read(name: str) -> Markup:
    return Markup(files("touchstone.report").joinpath("templates", name).read_text(encoding="utf-8").strip())


def _hash(text: str) -> str:
    """Return the hash by which a content security policy allows an inline element: nothing else may run."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
