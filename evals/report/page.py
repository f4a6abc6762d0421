"""A run as the page shows it: cases with their charts, grouped and ordered. The template only writes it down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from markupsafe import Markup, escape

from evals.history import Key, Line, trace
from evals.naming import baseline_key
from evals.points import points, signed_points
from evals.recording import Record, Run, SuiteVerdict
from evals.report import charts
from evals.report.summary import Summary, shorten, summarize, verdict_word, why, worst_first
from evals.report.words import explain, facts
from evals.shown import Example

# A page of more bytes than these would be too large to be opened from a job: what its cases leave, their samples have.
ROOM, CASE, LEAST = 4_700_000, 2_500, 300_000
TAGS = 500
LONGEST = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One case on the page. ``left_out``: its samples have texts for which there was no room."""

    anchor: str
    name: str
    record: Record
    word: str
    why: str
    explained: Sequence[str]
    facts: Sequence[str]
    forest: Markup | None
    line: Line | None
    history: Markup | None
    spark: Markup | None
    left_out: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The cases of one task type, and the mean of those that have a baseline, of one model."""

    type: str
    model: str
    cases: Sequence[Shot]
    score: float | None
    baseline: float | None
    chart: Markup | None
    interval: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The verdict on a model, and what it rests on: cases by how they were compared."""

    suite: SuiteVerdict
    forest: Markup | None
    rests: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a filter of the table offers."""

    name: str
    values: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything that the template shows."""

    run: Run
    summary: Summary
    judged: Sequence[Judged]
    cases: Sequence[Shot]
    look: Sequence[Shot]
    rest: Sequence[Shot]
    groups: Sequence[Group]
    choices: Sequence[Choice]
    axis: Markup
    lines: int


def make_page(run: Run, history: Sequence[Run] = ()) -> Page:
    """Work out the page of a run; the order of records and of past runs does not matter."""
    summary = summarize(run.records)
    # A run that was merged of others is no measurement of its own beside them.
    lines = trace(history if run.started in {past.started for past in history} else (*history, run))
    reach = charts.nice_reach([bound for record in run.records for bound in _extent(record)])
    room = _room(worst_first(summary.look), max(ROOM - CASE * len(run.records), LEAST))
    records = [record for found in summary.by_model.values() for record in found]
    several = len(summary.by_model) > 1
    cases = [
        _shot(number, record, lines, reach, several=several, fits=record.case in room)
        for number, record in enumerate(records, start=1)
    ]
    by_case = {(shot.record.case, shot.record.limit): shot for shot in cases}
    look = [by_case.pop((record.case, record.limit)) for record in worst_first(summary.look)]
    return Page(
        run=run,
        summary=summary,
        judged=[_judged(suite, run.records, reach) for suite in sorted(run.suites, key=lambda suite: suite.model)],
        cases=cases,
        look=look,
        rest=list(by_case.values()),
        groups=_groups(cases, run.suites),
        choices=_choices(cases),
        axis=charts.forest_axis(reach),
        lines=sum(shot.history is not None for shot in cases),
    )


def _extent(record: Record) -> tuple[float, ...]:
    if record.delta is None:
        return ()
    return (record.delta, *(record.evidence.interval if record.evidence else ()))


def _room(look: Sequence[Record], limit: int) -> frozenset[str]:
    """Choose the cases whose texts have room, the worst first."""
    chosen, used = set(), 0
    for record in look:
        shown = record.shown
        if shown is None:
            continue
        used += sum(map(_size, (*shown.lost, *shown.gained)))
        if used > limit:
            break
        chosen.add(record.case)
    return frozenset(chosen)


def _size(example: Example) -> int:
    texts = [*example.texts.values(), *(document.text for document in example.documents)]
    return TAGS + sum(len(escape(text).encode()) for text in texts) + TAGS * len(example.documents) // 4


def _shot(number: int, record: Record, lines: Mapping[Key, Line], reach: float, *, several: bool, fits: bool) -> Shot:
    line = lines.get((record.alias, baseline_key(record.task, record.limit), record.metric))
    word = verdict_word(record)
    name = record.task if record.limit is None else f"{record.task} (limit {record.limit})"
    return Shot(
        anchor=f"case-{number}",
        name=f"{name} · {record.alias}" if several else name,
        record=record,
        word=word,
        why=shorten(why(record), LONGEST),
        explained=explain(record),
        facts=facts(record),
        forest=_forest(record.delta, None if record.evidence is None else record.evidence.interval, reach, word),
        line=line,
        history=_history(line),
        spark=None if line is None or len(line.points) < 2 else charts.sparkline([one.score for one in line.points]),
        left_out=record.shown is not None and not fits,
    )


def _forest(delta: float | None, interval: tuple[float, float] | None, reach: float, word: str) -> Markup | None:
    if delta is None:
        return None
    label = f"Δ {signed_points(delta)}"
    if interval is not None:
        label += f", 95 % from {signed_points(interval[0])} to {signed_points(interval[1])}"
    return charts.forest_row(delta, interval, reach, word, label)


def _history(line: Line | None) -> Markup | None:
    if line is None or len(line.points) < 2:
        return None
    scores = [point.score for point in line.points]
    label = f"{len(scores)} runs, from {points(scores[0])} to {points(scores[-1])}"
    return charts.history(scores, line.moves, label)


def _judged(suite: SuiteVerdict, records: Sequence[Record], reach: float) -> Judged:
    own = [record for record in records if record.alias == suite.model]
    ways = {
        "compared sample by sample": sum(r.rule == "paired" for r in own),
        "repeated the same measurement": sum(r.rule == "reproduce" for r in own),
        "compared by score alone": sum(r.rule == "threshold" for r in own),
        "at their floor or at chance": sum(r.rule in ("floor", "chance") for r in own),
        "not compared": sum(r.rule is None for r in own),
    }
    return Judged(
        suite=suite,
        forest=_forest(suite.delta, suite.interval, reach, suite.verdict),
        rests=", ".join(f"{count} {way}" for way, count in ways.items() if count),
    )


def _groups(cases: Sequence[Shot], suites: Sequence[SuiteVerdict]) -> list[Group]:
    by_type = {suite.model: suite.by_type for suite in suites}
    names = sorted({(shot.record.type, shot.record.alias) for shot in cases})
    groups = []
    for name, alias in names:
        found = [shot for shot in cases if (shot.record.type, shot.record.alias) == (name, alias)]
        compared = [shot.record for shot in found if shot.record.score is not None and shot.record.baseline is not None]
        score, baseline = (
            fmean(getattr(record, side) for record in compared) if compared else None for side in ("score", "baseline")
        )
        groups.append(
            Group(
                type=name,
                model=alias,
                cases=sorted(found, key=lambda shot: (shot.record.delta is None, shot.record.delta or 0.0)),
                score=score,
                baseline=baseline,
                chart=None if score is None else charts.dumbbell(baseline, score, f"{name} {points(score)}"),
                interval=by_type.get(alias, {}).get(name),
            )
        )
    return groups


def _choices(cases: Sequence[Shot]) -> list[Choice]:
    columns = {
        "verdict": [shot.word for shot in cases],
        "type": [shot.record.type for shot in cases],
        "language": [code for shot in cases for code in shot.record.languages],
        "model": [shot.record.alias for shot in cases],
    }
    return [Choice(name=name, values=sorted(set(values))) for name, values in columns.items()]
