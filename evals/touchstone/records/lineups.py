"""Average speeds over cases, and models side by side where they ran the same cases on the same machine."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from statistics import geometric_mean
from typing import Any

from touchstone.records.outcomes import Speed

NUMBER_FIELDS = tuple(item.name for item in fields(Speed) if item.name not in ("machine", "unit"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineup:
    """Models side by side: their ``speeds`` over the same ``cases`` on one machine, and those of models ``apart``.

    Speeds apart are not comparable: of another machine, of other cases, or of pairs in place of texts.
    """

    cases: int
    speeds: Mapping[str, Speed]
    apart: Mapping[str, Speed]


def average(speeds: Iterable[Speed | None]) -> tuple[Speed, ...]:
    """Return a speed for each machine, that of the most cases first: the geometric mean of each known number.

    With it the ratio of two models is the mean of their ratios, whichever cases are the long ones.
    """
    groups: dict[Speed, list[Speed]] = {}
    for speed in filter(None, speeds):
        groups.setdefault(_kind(speed), []).append(speed)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0].machine, group[0].unit))
    return tuple(_average(group) for _, group in ordered)


def _average(speeds: Sequence[Speed]) -> Speed:
    means: dict[str, Any] = {name: _mean(speeds, name) for name in NUMBER_FIELDS}
    return replace(speeds[0], **means)


def _kind(speed: Speed) -> Speed:
    """Return the part of a speed that must be the same in two speeds to compare them."""
    return Speed(machine=speed.machine, unit=speed.unit)


def _mean(speeds: Iterable[Speed], name: str) -> float | None:
    values = [value for speed in speeds if (value := getattr(speed, name) or 0) > 0]
    return values[0] if len(values) == 1 else geometric_mean(values) if values else None


def line_up(models: Mapping[str, Mapping[str, Speed | None]]) -> Lineup | None:
    """Compare models by their texts per second; None if no speed is known.

    Args:
        models: by name, the speeds of each by case.
    """
    by_model = {
        model: {case: speed for case, speed in cases.items() if speed and (speed.texts_per_second or 0) > 0}
        for model, cases in models.items()
    }
    speeds = Counter(_kind(speed) for cases in by_model.values() for speed in cases.values())
    if not speeds:
        return None
    model_counts = Counter(kind for cases in by_model.values() for kind in {_kind(speed) for speed in cases.values()})
    common = min(speeds, key=lambda kind: (-model_counts[kind], -speeds[kind], kind.machine, kind.unit))
    comparable = {m: {case: s for case, s in cases.items() if s.like(common)} for m, cases in by_model.items()}
    comparable = {model: cases for model, cases in comparable.items() if cases}
    shared = set.intersection(*(set(cases) for cases in comparable.values())) if len(comparable) > 1 else set()
    alike = {model: average(cases[case] for case in shared)[0] for model, cases in comparable.items() if shared}
    apart = {m: average(cases.values())[0] for m, cases in by_model.items() if cases and m not in alike}
    return Lineup(cases=len(shared), speeds=alike, apart=apart)
