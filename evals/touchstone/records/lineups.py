"""Speeds of several cases, and of several models as far as they can be compared: on one machine, of the same cases."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from statistics import geometric_mean
from typing import Any

from touchstone.records.outcomes import Speed

NUMBERS = tuple(item.name for item in fields(Speed) if item.name not in ("machine", "unit"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineup:
    """Models side by side: their ``speeds`` over the same ``cases`` on one machine, and those of models ``apart``.

    What is apart was measured on another machine, of other cases, or is of pairs beside texts: it is not comparable.
    """

    cases: int
    speeds: Mapping[str, Speed]
    apart: Mapping[str, Speed]


def average(speeds: Iterable[Speed | None]) -> tuple[Speed, ...]:
    """Return a speed for each machine, that of the most cases first: the geometric mean of each number that is known.

    With it the ratio of two models is the mean of their ratios, whichever of the cases are the long ones.
    """
    found: dict[Speed, list[Speed]] = {}
    for speed in filter(None, speeds):
        found.setdefault(_kind(speed), []).append(speed)
    ordered = sorted(found.items(), key=lambda group: (-len(group[1]), group[0].machine, group[0].unit))
    return tuple(_average(group) for _, group in ordered)


def _average(speeds: Sequence[Speed]) -> Speed:
    means: dict[str, Any] = {name: _mean(speeds, name) for name in NUMBERS}
    return replace(speeds[0], **means)


def _kind(speed: Speed) -> Speed:
    """Return what two speeds must have in common to be compared."""
    return Speed(machine=speed.machine, unit=speed.unit)


def _mean(speeds: Iterable[Speed], name: str) -> float | None:
    known = [value for speed in speeds if (value := getattr(speed, name) or 0) > 0]
    return known[0] if len(known) == 1 else geometric_mean(known) if known else None


def line_up(models: Mapping[str, Mapping[str, Speed | None]]) -> Lineup | None:
    """Put models side by side by their texts per second; None where nothing is known of any.

    Args:
        models: by name, the speeds of each by case.
    """
    known = {
        model: {case: speed for case, speed in cases.items() if speed and (speed.texts_per_second or 0) > 0}
        for model, cases in models.items()
    }
    speeds = Counter(_kind(speed) for cases in known.values() for speed in cases.values())
    if not speeds:
        return None
    by = Counter(kind for cases in known.values() for kind in {_kind(speed) for speed in cases.values()})
    most = min(speeds, key=lambda kind: (-by[kind], -speeds[kind], kind.machine, kind.unit))
    there = {m: {case: s for case, s in cases.items() if s.like(most)} for m, cases in known.items()}
    there = {model: cases for model, cases in there.items() if cases}
    shared = set.intersection(*(set(cases) for cases in there.values())) if len(there) > 1 else set()
    alike = {model: average(cases[case] for case in shared)[0] for model, cases in there.items() if shared}
    apart = {m: average(cases.values())[0] for m, cases in known.items() if cases and m not in alike}
    return Lineup(cases=len(shared), speeds=alike, apart=apart)
