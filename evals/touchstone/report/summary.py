"""What a run comes down to: counts, rows, and where the time went."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from touchstone.formatting import ZERO_CHANGE, count, points, render_latency, render_rate, signed_points
from touchstone.records.lineups import Lineup, average
from touchstone.records.outcomes import OutcomeWord, Speed
from touchstone.records.runs import Record

SEVERITY = ("regressed", "drifted", "error", "not measured", "incomparable", "missing", "suspect", "inconclusive",
            "improved",
            "measured", "lower", "same", "higher", "pass")  # fmt: skip
SUSPECT_NOTE = "A suspect ends the run with exit code 9, unless --inconclusive pass is typed."
ORDER: tuple[OutcomeWord, ...] = ("failed", "error", "not measured", "passed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A run in brief. ``look`` holds the records that are not a plain pass; seconds are by phase.

    ``texts`` were asked for, ``encoded`` of them not known from before; None where that is not known of every case.
    ``reused`` cases count in neither: an earlier run measured them.
    """

    counts: Mapping[OutcomeWord, int]
    by_model: Mapping[str, Sequence[Record]]
    look: Sequence[Record]
    seconds: Mapping[str, float]
    texts: int
    encoded: int | None
    devices: Sequence[str]
    reused: int = 0


def summarize(records: Sequence[Record]) -> Summary:
    """Sum up records; their order does not matter."""
    ordered = sorted(records, key=lambda record: (record.alias, record.type, record.task, record.limit or 0))
    measured = [record for record in ordered if record.texts is not None and not record.reused]
    seconds: Counter[str] = Counter()
    by_model: dict[str, list[Record]] = {}
    for record in ordered:
        by_model.setdefault(record.alias, []).append(record)
        seconds.update(record.phases or {})
    return Summary(
        counts={word: count for word in ORDER if (count := sum(r.outcome == word for r in ordered))},
        by_model=by_model,
        look=[r for r in ordered if r.outcome != "passed" or r.verdict in ("improved", "inconclusive")],
        seconds=dict(seconds),
        texts=sum(record.texts or 0 for record in measured),
        encoded=None if any(r.encoded is None for r in measured) else sum(r.encoded or 0 for r in measured),
        devices=sorted({record.device for record in ordered if record.device}),
        reused=sum(record.reused for record in ordered),
    )


def numbers(record: Record) -> tuple[str, str, str, str]:
    """Return a case's score, baseline, difference and number of samples as cells of a table, empty for none."""
    score, baseline = ("" if one is None else points(one) for one in (record.score, record.baseline))
    delta = "" if record.delta is None else signed_points(record.delta)
    return score, baseline, delta, "" if record.n is None else str(record.n)


def speed_word(speed: Speed) -> str:
    """Return a speed in brief: ``1240 texts/s, 21k tokens/s, p50 12 ms, p95 40 ms``."""
    rates = {f"{speed.unit}s/s": speed.texts_per_second, "tokens/s": speed.tokens_per_second}
    latencies = {"p50": speed.query_p50, "p95": speed.query_p95}
    said = [f"{render_rate(rate)} {unit}" for unit, rate in rates.items() if rate is not None]
    return ", ".join(said + [f"{name} {render_latency(one)}" for name, one in latencies.items() if one is not None])


def speed_lines(records: Sequence[Record]) -> list[str]:
    """Return the speed of a model over its cases; a line with a star for each other machine that measured some."""
    found = average(record.speed for record in records)
    names = ["speed, not gated", *["* speed on another machine"] * len(found)]
    return [f"{name}: {speed_word(one)} on {one.machine}" for name, one in zip(names, found, strict=False)]


def lineup_lines(lineup: Lineup | None) -> list[str]:
    """Return the speeds of models side by side, each as a multiple of the first where they can be compared."""
    if lineup is None:
        return []
    lines = []
    if lineup.speeds:
        first, *_ = lineup.speeds.values()
        said = [f"{name} {speed_word(one)}{_times(one, first)}" for name, one in lineup.speeds.items()]
        lines.append(f"speed, not gated, over {count(lineup.cases, 'task')} on {first.machine}: {'; '.join(said)}")
    others = lineup.apart.items()
    return lines + [f"speed of {name}, not comparable here: {speed_word(one)} on {one.machine}" for name, one in others]


def _times(speed: Speed, first: Speed) -> str:
    if speed is first:
        return ""
    return f" ({(speed.texts_per_second or 0) / (first.texts_per_second or 1):.3g} times as fast)"


def rates(records: Sequence[Record]) -> list[str]:
    """Return the texts per second of each case as cells of a column, with a star as `speed_lines` has them.

    Nothing where none is known.
    """
    known = average(record.speed for record in records)
    cells = [_rate(record.speed, known[0]) if record.speed else "" for record in records]
    return cells if any(cells) else []


def _rate(speed: Speed, most: Speed) -> str:
    star = "" if speed.like(most) else "*"
    return "" if speed.texts_per_second is None else f"{render_rate(speed.texts_per_second)}{star}"


def verdict_word(record: Record) -> str:
    """Return one word for what became of a case: its verdict, or why it has none."""
    if record.outcome in ("error", "not measured"):
        return record.outcome
    if record.verdict is None and record.delta is not None:  # two published scores side by side
        return "same" if abs(record.delta) < ZERO_CHANGE else "lower" if record.delta < 0 else "higher"
    return "suspect" if record.suspect else record.verdict or "measured"


def why(record: Record) -> str:
    """Return the sentence that says why a case is what it is."""
    if record.outcome == "not measured":
        return record.reason or "the run ended before it was measured"
    said = record.error or record.reason or ""
    return f"{said}. {SUSPECT_NOTE}" if record.suspect else said


def worst_first(records: Sequence[Record]) -> list[Record]:
    """Order what needs a look by how much it needs it: what is red before what is not, large losses first."""
    return sorted(records, key=lambda r: (SEVERITY.index(verdict_word(r)), r.delta or 0.0, r.alias, r.type, r.case))


def closing(summary: Summary) -> str:
    """Return the counts, and where the time went."""
    counts = ", ".join(f"{count} {word}" for word, count in summary.counts.items())
    total = sum(summary.counts.values())
    line = f"{total} case{'s' if total != 1 else ''}{': ' if counts else ''}{counts}."
    if summary.texts and summary.seconds:
        times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in summary.seconds.items())
        encoded = "" if summary.encoded is None else f", {summary.encoded} encoded,"
        line += f" {summary.texts} texts{encoded} on {' + '.join(summary.devices)}; {times}."
    if summary.reused:
        which = "all" if summary.reused == total else str(summary.reused)
        line += f" Measured before and unchanged since: {which} (--overwrite measures again)."
    return line
