"""Runs that somebody else wrote: every field of every record that the reader accepts may hold anything."""

import types
from collections.abc import Mapping
from dataclasses import is_dataclass, replace
from statistics import fmean
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from pydantic import TypeAdapter

from touchstone.records.flat import flat_twin, nest
from touchstone.records.outcomes import Stage
from touchstone.records.runs import Record, Run

# What would be more than text in a browser.
IN_PAGES = (
    "<script>document.title = 'ran'</script>", '<img src="https://example.org/x.png" onerror="document.title=1">',
    "<svg/onload=document.title='ran'>", '"><iframe src=https://example.org></iframe>', "</title><h1>x</h1>",
    "</script><script>document.title='ran'</script>", "</style><style>@import url(https://example.org/x.css)</style>",
    "' onmouseover='document.title=1' x='", '" autofocus onfocus="document.title=1" x="', "javascript:document.title=1",
    '<meta http-equiv="refresh" content="0;url=https://example.org">', '<base href="https://example.org/">',
    '<form action="https://example.org"><button>', "]]><!-- -->", "<!--", "{{ 7*7 }}{% raw %}${7*7}#{7*7}",
    "background: url(https://example.org/x.png)", "&lt;b&gt;&#x3c;script&#x3e;", "<template id=table>",
    "<textarea>", "<plaintext>", "<math><mi//xlink:href='data:x,<script>'>", "%3Cscript%3E",
)  # fmt: skip
# What would be more than text in Markdown, and on GitHub.
IN_MARKDOWN = (
    "[a](https://example.org)", "![a](https://example.org/x.png)", "https://example.org/a", "www.example.org",
    "somebody@example.org", "somebody@-example.org", "mailto:somebody@example.org", "xmpp:a@example.org/b",
    "ftp://example.org", "<https://example.org>", "@somebody", "#1", "GH-1", "owner/name#1", "[a]: https://example.org",
    "[a]", "[^1]", "[^1]: note", "# heading", "\n\n# heading\n", "heading\n===", "\n---\n", "> [!WARNING]",
    "- [ ] task",
    "1. one", "```\ncode", "~~~\ncode", "    code", "`code`", "````", "|", "| a | b |\n| - | - |", "\\", "\\\\|", "a\\",
    "*a*", "**a**", "__a__", "~~a~~", "$a$", "$$a$$", "</details>", "<br>", "</td></tr></table>", "<summary>", "&#124;",
    "&copy;", "<!-- a", "\r\n\r\n## heading", "a\u2028# heading", "http\x00://example.org",
)  # fmt: skip
# What would be more than text in a terminal, or in the log of a CI.
IN_LOGS = (
    "\x1b[31mred\x1b[0m", "\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "\x1b]52;c;eA==\x07", "\x9b2J", "\b\b",
    "a\rb", "\u202egnp", "\u2066a\u2069", "a\u2028b\u2029c", "a\x0bb\x0cc\x85d\x1ce", "\x00", "\ufeff", "\u200b\u00ad",
    "::error::x", "a\n::add-mask::x", "%0A::error::x", "\r::stop-commands::x", "##[error]x", "##vso[task.x]",
    "##teamcity[x]", "[red]a[/red]", "[link=https://example.org]a[/link]", "[/]", ":smile:", "\U000e0041",
)  # fmt: skip
PLAIN = ("", " ", "a", "STS", "Retrieval", "Clustering", "STSBenchmark", "en US", "eng", "漢字", "🦜👩‍👩‍👧",
         "e\u0301\u0301\u0301",
         "a" * 300, "a b " * 100, "--model 'x y' --task z", "yesterday", "9999-99-99T99:99:99+99:99",
         "2026-11-21T12:00:00+00:00", "; ; worst: x", "constructor", "__proto__")  # fmt: skip
# What may stand behind the address of a page.
IN_ADDRESSES = (
    "#%E0%A4%A", "#%", '#case-1"]', "#case-1'", "#']),*,a[href='", "#__proto__", "#constructor", "#toString",
    "#filters", "#table", "#text", "#<img src=x onerror=document.title=1>", "#javascript:document.title=1", "#\\",
    "#\x00", "##", "#/..", "#:~:text=x", "#" + "a" * 100_000, "?x=</script><script>document.title=1</script>#case-1",
    "#🦜", "#\u202ex", "#case-0",
)  # fmt: skip
HOSTILE = (*IN_PAGES, *IN_MARKDOWN, *IN_LOGS)
TEXTS = st.one_of(st.sampled_from((*HOSTILE, *PLAIN)), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
SCORES = st.one_of(st.sampled_from((0.0, -0.0, 1.0, -1.0, 0.5, 5e-324)), st.floats(-1, 1))
NUMBERS = st.one_of(SCORES, st.sampled_from((1e308, -1e308, 1e17)), st.floats(allow_nan=False, allow_infinity=False))
COUNTS = st.one_of(st.sampled_from((0, 1, 2, 2**53)), st.integers(0, 10**6))
# What the reader refuses of a run record, or is to refuse.
BOUNDED: Mapping[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("score", "baseline", "chance", "recomputed"), SCORES),
    "delta": st.floats(-2, 2),
    "error": st.floats(0, 10),
    "degrees": st.floats(1e-6, 1e6),
    "gated": st.integers(1, 10**6),
    "skew": st.floats(-1, 1),
    "bias": st.floats(-1, 1),
    "worst": st.floats(-2, 0),
    "best": st.floats(0, 2),
    "sketch": st.none(),
}


def runs(cases: int = 6) -> st.SearchStrategy[Run]:
    """Make runs of at most so many cases: all that the reader accepts, and many that it refuses for what they say."""
    kind = TypeAdapter(flat_twin(Run))
    return _any_of(flat_twin(Run), cases).map(lambda run: nest(kind.validate_json(kind.dump_json(run), strict=True)))


def _any_of(kind: Any, length: int = 3) -> st.SearchStrategy[Any]:
    """Make whatever a type lets through, and no more than the reader does."""
    origin, parts = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return st.builds(cast(type[Any], kind), **_fields(kind, length)).map(_with_mean)
    if origin is Literal:
        return st.sampled_from(parts)
    if origin in (Union, types.UnionType):
        return st.one_of(*(_any_of(part, length) for part in parts))
    if origin is tuple:
        several = st.lists(_any_of(parts[0]), max_size=length).map(tuple)
        return several if Ellipsis in parts else st.tuples(*map(_any_of, parts))
    if origin is Mapping:
        return st.dictionaries(_any_of(parts[0]), _any_of(parts[1]), max_size=length)
    known = {str: TEXTS, float: NUMBERS, int: COUNTS, bool: st.booleans(), type(None): st.none()}
    return known[kind]


def _with_mean(made: Any) -> Any:
    """Give a record that has both the score that its subsets have: no other is accepted."""
    both = getattr(made, "subsets", None) and made.score is not None
    return replace(made, score=fmean(made.subsets.values())) if both else made


def _fields(kind: Any, length: int) -> dict[str, st.SearchStrategy[Any]]:
    found = {}
    for name, hint in get_type_hints(kind).items():
        if name == "subsets" or (name in BOUNDED and float in (hint, *get_args(hint))):
            inside = st.dictionaries(TEXTS, SCORES, max_size=3) if name == "subsets" else BOUNDED[name]
            found[name] = st.one_of(st.none(), inside) if type(None) in get_args(hint) else inside
        elif name == "sketch" or (name in BOUNDED and int in (hint, *get_args(hint))):
            found[name] = BOUNDED[name]
        else:
            found[name] = _any_of(hint, length if name == "records" else 3)
    return found


def run_of(*texts: str) -> Run:
    """Make a run in which every text of every record is one of these, whatever became of the case."""
    rows = [record for text in texts for record in _records(text)]
    run: Run = _of(Run, " ".join(texts))
    suites = tuple(replace(one, model=record.alias, verdict="FAIL") for record in rows[:3] for one in run.suites)
    return replace(run, records=tuple(rows), suites=suites)


def _records(text: str) -> list[Record]:
    measured = replace(_of(Record, text), stages=(_of(Stage, text),) * 2, limit=None)
    return [
        replace(measured, outcome="failed", verdict="regressed", rule="paired"),
        replace(measured, alias=f"{text}b", outcome="error", error=text, verdict=None, rule=None, measurement=None),
        replace(measured, alias=f"{text}b", outcome="passed", verdict="inconclusive", rule="threshold", error=None),
        replace(measured, outcome="passed", verdict="improved", rule="floor", error=None, limit=10),
    ]


def _of(kind: Any, text: str) -> Any:
    """Make something of a type: all that may be missing is there, and each text is that one."""
    origin, parts = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        made = {name: _of(hint, text) for name, hint in get_type_hints(kind).items()}
        # Another sketch than a run writes is refused where the record is read.
        return kind(**made | ({"sketch": None} if "sketch" in made else {}))  # type: ignore[operator]
    if origin in (Union, types.UnionType):
        return _of(parts[0], text)
    if origin is tuple:
        return tuple(_of(part, text) for part in parts if part is not Ellipsis)
    if origin is Mapping:
        return {_of(parts[0], text): _of(parts[1], text)}
    return parts[0] if origin is Literal else {str: text, float: 0.5, int: 1, bool: True}[kind]
