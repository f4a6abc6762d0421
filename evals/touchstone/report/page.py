"""The data of the HTML page: cases with their charts, grouped and ordered. The template only renders them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from markupsafe import Markup, escape

from touchstone.foreign import in_html
from touchstone.formatting import points, shorten
from touchstone.records.examples import Example
from touchstone.records.names import baseline_key
from touchstone.records.runs import Record, Run, SuiteVerdict
from touchstone.records.verdicts import Slice
from touchstone.report import charts
from touchstone.report.cards import Card, Fact, called, count_verdicts, facts, make_card
from touchstone.report.summary import Summary, rates, speed_lines, summarize, verdict_word, why, worst_first
from touchstone.report.trend import Key, Line, trace
from touchstone.report.words import MARGIN_RULES, SAMPLE_RULES, by_score, clauses, explain, near_guessing

# Bytes of a page that a CI can still show, those of a case without samples, and the least for all samples together.
PAGE_BYTES, CASE_BYTES, MIN_SAMPLE_BYTES = 4_700_000, 3_400, 300_000
# Bytes of a row of a slice, and the share of the room for samples that slices may take.
SLICE_BYTES, SLICES_SHARE = 280, 0.4
TAG_BYTES = 500
REASON_LENGTH, BRIEF_LENGTH = 2000, 110


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One case on the page. ``guessing`` is how its score or baseline stands to that of guessing, where it is close.

    ``worst`` is the sample that lost most: its text in brief, and its value before and now; ``magnet`` is how many of
    those that lost most now find the same wrong document first, and its text in brief; None where there is no such.
    ``left_out`` is True if its samples have texts that the page has no room for, and ``slices`` is None if the page has
    no room for these. ``rate`` are its texts per second, with a star where they cannot be compared with those of the
    model's other cases.
    """

    anchor: str
    name: str
    record: Record
    word: str
    why: str
    explained: Sequence[str]
    guessing: str | None
    facts: Sequence[Fact]
    forest: Markup | None
    line: Line | None
    history: Markup | None
    spark: Markup | None
    worst: tuple[str, str] | None
    magnet: tuple[int, str] | None
    left_out: bool
    slices: Sequence[Slice] | None
    rate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The cases of one task type, and the mean of those that have a baseline, of one model.

    ``interval`` is that of the mean difference; None where the cases were compared by their scores alone.
    """

    type: str
    model: str
    cases: Sequence[Shot]
    score: float | None
    baseline: float | None
    delta: float | None
    chart: Markup | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything that the template shows. ``called`` is the option that each alias stands for, where the two differ.

    ``choices`` are what the filters of the table offer, by the filter's name; ``speeds`` are lines by alias.
    """

    run: Run
    summary: Summary
    judged: Sequence[Card]
    counts: Mapping[str, int]
    called: Mapping[str, str | None]
    cases: Sequence[Shot]
    look: Sequence[Shot]
    rest: Sequence[Shot]
    groups: Sequence[Group]
    choices: Mapping[str, Sequence[str]]
    axis: Markup
    marks: Mapping[str, bool]
    speeds: Mapping[str, Sequence[str]]
    lines: int


def make_page(run: Run, history: Sequence[Run] = (), taken: int = 0) -> Page:
    """Return the page of a run, of which `taken` bytes are used already; records and runs may come in any order."""
    summary = summarize(run.records)
    # A run that was merged from others is no measurement of its own beside them.
    lines = trace(history if run.started in {past.started for past in history} else (*history, run))
    reach = charts.nice_reach([bound for record in run.records for bound in _extent(record)])
    space = max(PAGE_BYTES - CASE_BYTES * len(run.records) - taken, MIN_SAMPLE_BYTES)
    look = worst_first(summary.look)
    sliced, used = _fitting([*look, *run.records], _size_of_slices, SLICES_SHARE * space)
    texts, _ = _fitting(look, _size_of_texts, space - used)
    room = {"texts": texts, "slices": sliced}
    records = [record for group in summary.by_model.values() for record in group]
    speeds = [rate for group in summary.by_model.values() for rate in rates(group) or [""] * len(group)]
    several = len(summary.by_model) > 1
    cases = [
        replace(_shot(number, record, lines, reach, several=several, room=room), rate=speeds[number - 1])
        for number, record in enumerate(records, start=1)
    ]
    rest = {id(shot.record): shot for shot in cases}
    shown = [rest.pop(id(record)) for record in look]
    return Page(
        run=run,
        summary=summary,
        judged=[
            make_card(suite, summary.by_model.get(suite.model, ()), reach)
            for suite in sorted(run.suites, key=lambda suite: suite.model)
        ],
        counts=count_verdicts(run.records),
        called={alias: called(alias, group) for alias, group in summary.by_model.items()},
        cases=cases,
        look=shown,
        rest=[rest[id(record)] for record in worst_first([shot.record for shot in rest.values()])],
        groups=_groups(cases, run.suites),
        choices=_choices(cases),
        axis=charts.forest_axis(reach),
        marks={
            "margin": any(record.terms and record.rule in MARGIN_RULES for record in run.records),
            "hollow": any(shot.forest is not None and _interval(shot.record) is None for shot in cases),
            "units": any(r.evidence is not None and r.evidence.units not in (None, r.evidence.n) for r in run.records),
            "tested": any(record.rule in SAMPLE_RULES and record.evidence for record in run.records),
        },
        speeds={alias: speed_lines(group) for alias, group in summary.by_model.items()},
        lines=sum(shot.history is not None for shot in cases),
    )


def _extent(record: Record) -> tuple[float, ...]:
    if record.delta is None:
        return ()
    margin = () if record.terms is None else (record.terms.margin,)
    return (record.delta, *margin, *(_interval(record) or ()))


def _interval(record: Record) -> tuple[float, float] | None:
    """Return the interval that the verdict rests on; None where only the scores decided."""
    return None if record.evidence is None or by_score(record) else record.evidence.interval


def _fitting(records: Sequence[Record], size: Callable[[Record], int], limit: float) -> tuple[frozenset[str], int]:
    """Return the first cases that fit into a limit, and the size of these together."""
    sizes = {record.case: size(record) for record in records}
    chosen, used = set(), 0
    for case, needed in sizes.items():
        if used + needed > limit:
            break
        chosen.add(case)
        used += needed
    return frozenset(chosen), used


def _size_of_slices(record: Record) -> int:
    return sum(SLICE_BYTES + len(escape(figures.value).encode()) for figures in record.slices)


def _size_of_texts(record: Record) -> int:
    return 0 if record.shown is None else sum(map(_size, (*record.shown.lost, *record.shown.gained)))


def _size(example: Example) -> int:
    documents = (text for document in example.documents for text in (document.id, document.text))
    labels = (example.id, example.stratum, example.expected or "", example.was or "", example.now or "")
    texts = (*example.texts, *example.texts.values(), *documents, *labels)
    return TAG_BYTES + sum(len(escape(text).encode()) for text in texts) + TAG_BYTES * len(example.documents) // 4


def _shot(
    number: int,
    record: Record,
    lines: Mapping[Key, Line],
    reach: float,
    *,
    several: bool,
    room: Mapping[str, frozenset[str]],
) -> Shot:
    line = lines.get((record.alias, baseline_key(record.task, record.limit), record.metric))
    word = verdict_word(record)
    name = record.task if record.limit is None else f"{record.task} (limit {record.limit})"
    return Shot(
        anchor=f"case-{number}",
        name=f"{name} · {record.alias}" if several else name,
        record=record,
        word=word,
        why=shorten(why(record) if record.error or record.verdict is None else clauses(record), REASON_LENGTH),
        explained=explain(record),
        guessing=near_guessing(record),
        facts=facts(record),
        forest=_forest(record, reach, word),
        line=line,
        history=_history(line),
        spark=None if line is None or not _tells(line) else charts.sparkline([p.score for p in line.points]),
        worst=_worst(record),
        magnet=_magnet(record),
        left_out=record.shown is not None and record.case not in room["texts"],
        slices=record.slices if record.case in room["slices"] else None,
        rate="",
    )


def _forest(record: Record, reach: float, word: str) -> Markup | None:
    sides = None if record.score is None or record.baseline is None else (record.baseline, record.score)
    margin = record.terms.margin if record.terms is not None and record.rule in MARGIN_RULES else None
    return charts.forest(record.delta, _interval(record), reach, word, margin, sides)


def _worst(record: Record) -> tuple[str, str] | None:
    """Return the text of the sample that lost most, in brief, and its value before and now; None for no text."""
    lost = () if record.shown is None or (record.delta or 0.0) >= 0 else record.shown.lost
    example = next((one for one in lost if one.texts), None)
    if example is None:
        return None
    return _brief(" · ".join(example.texts.values())), f"{example.before:.2f} → {example.after:.2f}"


def _magnet(record: Record) -> tuple[int, str] | None:
    """Return how many of the samples that lost most find the same irrelevant document first that was not first before.

    None where it is not at least two.
    """
    found = [
        document
        for example in (() if record.shown is None else record.shown.lost)
        for document in example.documents
        if document.after == 1 and document.before != 1 and not document.relevant
    ]
    ((id_, times),) = Counter(document.id for document in found).most_common(1) or [("", 0)]
    texts = [document.text or document.id for document in found if document.id == id_]
    return (times, _brief(texts[0])) if times > 1 else None


def _brief(text: str) -> str:
    return shorten(" ".join(in_html(text).split()), BRIEF_LENGTH)


def _tells(line: Line) -> bool:
    """Return True if a line over runs tells more than that a run repeated the one before."""
    return bool(line.moves) or len(line.points) > 2


def _history(line: Line | None) -> Markup | None:
    if line is None or not _tells(line):
        return None
    scores = [point.score for point in line.points]
    label = f"{len(scores)} runs, from {points(scores[0])} to {points(scores[-1])}"
    return charts.history(scores, line.moves, label)


def _groups(cases: Sequence[Shot], suites: Sequence[SuiteVerdict]) -> list[Group]:
    by_type = {(suite.model, name): figures for suite in suites for name, figures in suite.by_type.items()}
    grouped: dict[tuple[str, str], list[Shot]] = {}
    for shot in cases:
        grouped.setdefault((shot.record.type, shot.record.alias), []).append(shot)
    groups = []
    for (name, alias), shots in sorted(grouped.items(), key=lambda item: item[0]):
        compared = [shot.record for shot in shots if shot.record.score is not None and shot.record.baseline is not None]
        score, baseline = (
            fmean(getattr(record, side) for record in compared) if compared else None for side in ("score", "baseline")
        )
        delta, chart = None, None
        if score is not None and baseline is not None:
            delta = score - baseline
            chart = charts.dumbbell(baseline, score, f"{name}: {points(baseline)} → {points(score)}")
        interval = by_type.get((alias, name)) if not all(by_score(record) for record in compared) else None
        groups.append(
            Group(
                type=name,
                model=alias,
                cases=sorted(shots, key=lambda shot: (shot.record.delta is None, shot.record.delta or 0.0)),
                score=score,
                baseline=baseline,
                delta=delta,
                chart=chart,
                interval=None if interval is None else interval[1:],
            )
        )
    return sorted(groups, key=lambda group: (group.delta is None, group.delta or 0.0))


def _choices(cases: Sequence[Shot]) -> dict[str, list[str]]:
    columns = {
        "verdict": [shot.word for shot in cases],
        "type": [shot.record.type for shot in cases],
        "language": [code for shot in cases for code in shot.record.languages],
        "model": [shot.record.alias for shot in cases],
    }
    return {name: sorted(set(values)) for name, values in columns.items()}
