"""The scores of a case over runs, and where they moved. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evals.naming import baseline_key
from evals.recording import Run
from evals.records import VerdictWord

# A repetition of the same measurement moves a score by less: half a tenth of a point.
MOVED = 5e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One measurement: when, at which commit of the project, by which model."""

    started: str
    commit: str | None
    score: float
    fingerprint: str | None
    verdict: VerdictWord | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """All measurements of one model on one task by one metric, oldest first."""

    alias: str
    key: str
    type: str
    metric: str
    points: tuple[Point, ...]

    @property
    def moves(self) -> tuple[int, ...]:
        """Which points differ from the one before by more than a repetition does."""
        scores = [point.score for point in self.points]
        return tuple(i for i in range(1, len(scores)) if abs(scores[i] - scores[i - 1]) > MOVED)


Key = tuple[str, str, str]


def trace(runs: Iterable[Run]) -> Mapping[Key, Line]:
    """Return a line for each alias, task (with its limit) and metric; the order of the runs does not matter."""
    points: dict[Key, list[Point]] = {}
    types: dict[Key, str] = {}
    for run in sorted(runs, key=lambda run: run.started):
        for record in run.records:
            if record.score is None or record.error is not None:
                continue
            key = (record.alias, baseline_key(record.task, record.limit), record.metric)
            point = Point(
                started=run.started,
                commit=run.commit,
                score=record.score,
                fingerprint=record.fingerprint,
                verdict=record.verdict,
            )
            points.setdefault(key, []).append(point)
            types[key] = record.type
    return {
        key: Line(alias=key[0], key=key[1], metric=key[2], type=types[key], points=tuple(found))
        for key, found in sorted(points.items())
    }
