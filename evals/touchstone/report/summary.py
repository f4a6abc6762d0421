"""The summary of a run: counts, rows, and where the time went."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from touchstone.formatting import ZERO_CHANGE, count, points, render_latency, render_rate, signed_points
from touchstone.records.lineups import Lineup, average
from touchstone.records.outcomes import Speed
from touchstone.records.runs import Record

SEVERITY = ("regressed", "drifted", "error", "not measured", "incomparable", "missing", "suspect", "inconclusive",
            "improved",
            "measured", "recorded", "lower", "same", "higher", "pass")  # fmt: skip
SUSPECT_NOTE = "A suspect alone makes a run exit with 9, unless --inconclusive pass is typed; a FAIL makes it 1."
# In a count, what passed without being suspect stands by itself.
ORDER = ("failed", "error", "not measured", "suspect", "passed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A run in brief. ``look`` holds the records that are not a plain pass; seconds are by phase.

    ``texts`` were asked for; ``encoded`` of these were not in the cache, None where a case does not tell. ``reused``
    cases count in neither: an earlier run measured them.
    """

    counts: Mapping[str, int]
    by_model: Mapping[str, Sequence[Record]]
    look: Sequence[Record]
    seconds: Mapping[str, float]
    texts: int
    encoded: int | None
    devices: Sequence[str]
    reused: int = 0


def summarize(records: Sequence[Record]) -> Summary:
    """Return the summary of records, which may come in any order."""
    ordered = sorted(records, key=lambda record: (record.alias, record.type, record.task, record.limit or 0))
    measured = [record for record in ordered if record.texts is not None and not record.reused]
    seconds: Counter[str] = Counter()
    counted = Counter("suspect" if record.suspect else record.outcome for record in ordered)
    by_model: dict[str, list[Record]] = {}
    for record in ordered:
        by_model.setdefault(record.alias, []).append(record)
        seconds.update(record.phases or {})
    return Summary(
        counts={word: count for word in ORDER if (count := counted[word])},
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
    score, baseline = ("" if value is None else points(value) for value in (record.score, record.baseline))
    delta = "" if record.delta is None else signed_points(record.delta)
    return score, baseline, delta, "" if record.n is None else str(record.n)


def speed_word(speed: Speed) -> str:
    """Return a speed in brief: ``1240 texts/s, 21k tokens/s, p50 12 ms, p95 40 ms``."""
    rates = {f"{speed.unit}s/s": speed.texts_per_second, "tokens/s": speed.tokens_per_second}
    latencies = {"p50": speed.query_p50, "p95": speed.query_p95}
    cells = [f"{render_rate(rate)} {unit}" for unit, rate in rates.items() if rate is not None]
    cells += [f"{name} {render_latency(seconds)}" for name, seconds in latencies.items() if seconds is not None]
    return ", ".join(cells)


def speed_lines(records: Sequence[Record]) -> list[str]:
    """Return the speed of a model over its cases; a line with a star for each other machine that measured some."""
    speeds = average(record.speed for record in records)
    names = ["speed, not gated", *["* speed on another machine"] * len(speeds)]
    return [f"{name}: {speed_word(speed)} on {speed.machine}" for name, speed in zip(names, speeds, strict=False)]


def lineup_lines(lineup: Lineup | None) -> list[str]:
    """Return the speeds of models side by side, each as a multiple of the first where they can be compared."""
    if lineup is None:
        return []
    lines = []
    if lineup.speeds:
        first, *_ = lineup.speeds.values()
        speeds = [f"{name} {speed_word(speed)}{_times(speed, first)}" for name, speed in lineup.speeds.items()]
        lines.append(f"speed, not gated, over {count(lineup.cases, 'task')} on {first.machine}: {'; '.join(speeds)}")
    for name, speed in lineup.apart.items():
        lines.append(f"speed of {name}, not comparable here: {speed_word(speed)} on {speed.machine}")
    return lines


def _times(speed: Speed, first: Speed) -> str:
    if speed is first:
        return ""
    return f" ({(speed.texts_per_second or 0) / (first.texts_per_second or 1):.3g} times as fast)"


def rates(records: Sequence[Record]) -> list[str]:
    """Return the texts per second of each case as a column, with the stars of `speed_lines`; empty for none."""
    speeds = average(record.speed for record in records)
    cells = [_rate(record.speed, speeds[0]) if record.speed else "" for record in records]
    return cells if any(cells) else []


def _rate(speed: Speed, usual: Speed) -> str:
    star = "" if speed.like(usual) else "*"
    return "" if speed.texts_per_second is None else f"{render_rate(speed.texts_per_second)}{star}"


def verdict_word(record: Record) -> str:
    """Return the verdict of a case in a word, or in another word why it has none."""
    if record.outcome in ("error", "not measured"):
        return record.outcome
    if record.verdict is None and record.delta is not None:  # two published scores side by side
        return "same" if abs(record.delta) < ZERO_CHANGE else "lower" if record.delta < 0 else "higher"
    if record.verdict == "pass" and record.baseline is None and record.delta is None:
        return "recorded"
    return "suspect" if record.suspect else record.verdict or "measured"


def why(record: Record) -> str:
    """Return the reason of a case's verdict, or its error."""
    if record.outcome == "not measured":
        return record.reason or "the run ended before it was measured"
    return record.error or record.reason or ""


def worst_first(records: Sequence[Record]) -> list[Record]:
    """Sort records by severity of their verdicts, and large losses first."""
    return sorted(records, key=lambda r: (SEVERITY.index(verdict_word(r)), r.delta or 0.0, r.alias, r.type, r.case))


def closing(summary: Summary) -> str:
    """Return the counts of cases by outcome, suspect ones apart, and where the time went."""
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
