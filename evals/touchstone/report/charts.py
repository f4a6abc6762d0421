"""Small charts as inline SVG, with coordinates in percent: a chart fits a phone without shrinking its text."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from touchstone.foreign import in_html
from touchstone.formatting import points, signed_points

# Scores differ by 2 at most; an interval that is wider ends where the axis does.
MAX_REACH = 100.0
ROUND_FACTORS = (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10)


def nice_reach(values: Sequence[float]) -> float:
    """Return the smallest round number that no value exceeds, of either sign; 0.01 at least, which is one point."""
    largest = min(max((abs(value) for value in values if math.isfinite(value)), default=0.0), MAX_REACH)
    if largest <= 0.01:
        return 0.01
    power: float = 10.0 ** math.floor(math.log10(largest))
    return next(factor * power for factor in ROUND_FACTORS if factor * power >= largest * (1 - 1e-9))


def forest(
    delta: float | None,
    interval: tuple[float, float] | None,
    reach: float,
    word: str,
    margin: float | None = None,
    sides: tuple[float, float] | None = None,
) -> Markup | None:
    """Draw one difference with its interval on an axis from -reach to +reach; None where there is no difference.

    Args:
        delta: the difference.
        interval: its bounds; None where there are none, which is drawn as a hollow point.
        reach: where the axis ends; bounds beyond it end there.
        word: the verdict, which decides the colour.
        margin: the loss allowed, a dashed line; None for no line.
        sides: the baseline and the score, to be read out.
    """
    if delta is None:
        return None
    middle = _share(delta, -reach, reach)
    lines = [Markup('<line class="zero" x1="50%" y1="0" x2="50%" y2="18"/>')]
    label = "" if sides is None else f"{points(sides[0])} → {points(sides[1])}, "
    label += f"Δ {signed_points(delta)}"
    if margin is not None:
        lines.append(
            Markup('<line class="margin" x1="{0}" y1="0" x2="{0}" y2="18"/>').format(_share(-margin, -reach, reach))
        )
    if interval is not None:
        label += f", 95 % from {signed_points(interval[0])} to {signed_points(interval[1])}"
        low, high = (_share(bound, -reach, reach) for bound in interval)
        lines.append(Markup('<line class="bar" x1="{}" y1="9" x2="{}" y2="9"/>').format(low, high))
    kind = "point" if interval is not None else "point hollow"
    lines.append(Markup('<circle class="{}" cx="{}" cy="9" r="4"/>').format(kind, middle))
    return _svg(f"forest v-{word.replace(' ', '-')}", label, lines)


def forest_axis(reach: float) -> Markup:
    """Draw the axis from -reach to +reach, labelled in points."""
    ticks = []
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        value = 100 * reach * (2 * share - 1)
        text = "0" if value == 0 else f"{value:+g}".replace("-", "−")
        ticks.append(Markup('<text x="{:g}%" y="13" text-anchor="{}">{}</text>').format(100 * share, anchor, text))
    return _svg("axis", f"axis from {-100 * reach:g} to {100 * reach:g} points", ticks)


def dumbbell(baseline: float | None, score: float, label: str) -> Markup:
    """Draw a score as a point and its baseline as an upright line, on an axis from 0 to 1 (from -1 if need be)."""
    lowest = 0.0 if min(score, score if baseline is None else baseline) >= 0 else -1.0
    here = _share(score, lowest, 1)
    lines = [Markup('<line class="rail" x1="0" y1="9" x2="100%" y2="9"/>')]
    if baseline is not None:
        there = _share(baseline, lowest, 1)
        lines.append(Markup('<line class="bar" x1="{}" y1="9" x2="{}" y2="9"/>').format(there, here))
        lines.append(Markup('<line class="baseline" x1="{0}" y1="3" x2="{0}" y2="15"/>').format(there))
    lines.append(Markup('<circle class="point" cx="{}" cy="9" r="4"/>').format(here))
    return _svg("dumbbell", label, lines)


def history(scores: Sequence[float], marked: Sequence[int], label: str) -> Markup:
    """Draw scores over runs from left to right, the lowest at the bottom; marked runs and the last have a point."""
    places = _places(scores)
    lines = [
        Markup('<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="100%">{}</svg>').format(
            _polyline(places)
        )
    ]
    for index in sorted({*marked, len(scores) - 1}):
        kind = "moved" if index in marked else "last"
        x, y = places[index]
        lines.append(Markup('<circle class="{}" cx="{:.4g}%" cy="{:.4g}%" r="3"/>').format(kind, x, y))
    return _svg("history", label, lines)


Dot = tuple[str, float, float, tuple[float, float] | None, str]


def scatter(dots: Sequence[Dot], unit: str, least: float | None = None) -> Markup:
    """Draw scores by a cost, on a logarithmic axis, with their intervals and a dashed line that is the least allowed.

    Args:
        dots: of each its name, cost, score, interval of the score if there is one, and verdict.
        unit: what the cost is counted in.
        least: the lowest score allowed; None for no line.
    """
    costs = [math.log2(cost) for _, cost, _, _, _ in dots]
    scores = [score for _, _, score, _, _ in dots]
    ends = [*scores, *(end for _, _, _, interval, _ in dots for end in interval or ())]
    ends += [] if least is None else [least]
    low, high = min(ends), max(ends)
    room, aside = max((high - low) * 0.12, 0.002), max((max(costs) - min(costs)) * 0.12, 0.1)
    across = (min(costs) - aside, max(costs) + aside)

    def down(score: float) -> str:
        return _share(high + room - score, 0, high - low + 2 * room)

    lines = [Markup('<line x1="0" y1="100%" x2="100%" y2="100%"/>')]
    for cost in (min(costs), max(costs)):
        tick = Markup('<text x="{}" y="100%" dy="16" text-anchor="middle">{:.4g}</text>')
        lines.append(tick.format(_share(cost, *across), 2**cost))
    for score in (min(scores), max(scores)) if least is None else (least,):
        lines.append(Markup('<line class="margin" x1="0" y1="{0}" x2="100%" y2="{0}"/>').format(down(score)))
        words = points(score) if least is None else f"{points(score)}, the least allowed"
        lines.append(Markup('<text x="0" y="{}" dy="-4">{}</text>').format(down(score), words))
    for number, (name, cost, score, interval, word) in enumerate(dots):
        x, y = _share(math.log2(cost), *across), down(score)
        lines.append(Markup('<g class="v-{}">').format(word))
        if interval is not None:
            reach = Markup('<line class="bar" x1="{0}" y1="{1}" x2="{0}" y2="{2}"/>')
            lines.append(reach.format(x, *map(down, interval)))
        lines.append(Markup('<circle class="point" cx="{}" cy="{}" r="4"/>').format(x, y))
        # Names run towards the middle, in turn above and below their points: on a phone some would overlap.
        end, step = ("end", -7) if float(x[:-1]) > 50 else ("start", 7)
        text = Markup('<text x="{}" y="{}" dx="{}" dy="{}" text-anchor="{}">{}</text></g>')
        lines.append(text.format(x, y, step, (-8, 16)[number % 2], end, in_html(name)))
    label = "; ".join(f"{name}: {cost:.4g} {unit}, {points(score)}" for name, cost, score, _, _ in dots)
    return _svg("scatter", label, lines)


def sparkline(scores: Sequence[float]) -> Markup:
    """Draw the line of `history` without points, for the cell of a table."""
    line = _polyline(_places(scores))
    return Markup('<svg class="spark" viewBox="0 0 100 100" preserveAspectRatio="none">{}</svg>').format(line)


def _places(scores: Sequence[float]) -> list[tuple[float, float]]:
    low, high = min(scores), max(scores)
    # Scores that differ by rounding alone make a flat line in the middle, not a mountain range.
    middle, half = (low + high) / 2, max((high - low) / 2, 0.0005)
    return [
        (100 * i / max(len(scores) - 1, 1), 85 - 70 * (score - middle + half) / (2 * half))
        for i, score in enumerate(scores)
    ]


def _polyline(places: Sequence[tuple[float, float]]) -> Markup:
    """Draw a line; a place on the same height as both its neighbours adds nothing."""
    heights = [y for _, y in places]
    inner = range(1, len(places) - 1)
    turns = [i for i, y in enumerate(heights) if i not in inner or not heights[i - 1] == y == heights[i + 1]]
    path = " ".join(f"{places[i][0]:.4g},{places[i][1]:.4g}" for i in turns)
    return Markup('<polyline points="{}"/>').format(path)


def _svg(kind: str, label: str, lines: Sequence[Markup]) -> Markup:
    return Markup('<svg class="{}" role="img" aria-label="{}">{}</svg>').format(
        kind, in_html(label), Markup("").join(lines)
    )


def _share(value: float, low: float, high: float) -> str:
    """Return the position of a value between two bounds, in percent; 0 or 100 for a value outside of them."""
    share = (min(max(value, low), high) - low) / (high - low)
    return f"{100 * share:.4g}%"
