"""Render scores, durations and tables: fractions become points (percent)."""

from collections.abc import Sequence
from decimal import Decimal

# The most names in a sentence.
NAME_LIMIT = 10
# Rounding in other batches moves scores by less than this; a sample that moves no more has not changed.
ZERO_CHANGE = 1e-6


def points(fraction: float) -> str:
    """Render a score: 0.93257 is 93.26."""
    text = f"{100 * fraction:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")


def signed_points(fraction: float) -> str:
    """Render a difference with its sign; a small one, unless it is rounding, keeps the digit that tells it from 0."""
    value = 100 * fraction if abs(fraction) >= ZERO_CHANGE else 0.0
    text = f"{value:+.2f}" if abs(value) >= 0.01 or value == 0 else format(Decimal(f"{value:.1g}"), "+f")
    return text.replace("-", "−")


def shorten(text: str, longest: int) -> str:
    """Return text truncated to so many characters, with an ellipsis at the end."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 row``, ``2 rows``, ``3 queries``."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def some(names: Sequence[str]) -> str:
    """Return the number of names, and the first ten."""
    rest = f" and {len(names) - NAME_LIMIT} more" if len(names) > NAME_LIMIT else ""
    return f"{len(names)}: {', '.join(names[:NAME_LIMIT])}{rest}"


def render_duration(seconds: float) -> str:
    """Return a duration as one would say it: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"


def render_rate(rate: float) -> str:
    """Return a number of things a second: ``0.83``, ``7.5``, ``1240``, ``21k``, ``1.3M``."""
    if rate >= 999_500:
        return f"{rate / 1e6:.1f}M"
    if rate >= 9_999.5:
        return f"{rate / 1e3:.0f}k"
    return f"{rate:.0f}" if rate >= 9.95 else f"{rate:.1f}" if rate >= 0.995 else f"{rate:.2g}"


def render_latency(seconds: float) -> str:
    """Return a latency: ``0.4 ms``, ``12 ms``, ``1.3 s``."""
    if seconds >= 0.9995:
        return f"{seconds:.1f} s"
    return f"{1000 * seconds:.0f} ms" if seconds >= 0.00995 else f"{1000 * seconds:.2g} ms"


def render_size(count: int) -> str:
    """Return a number of bytes: ``0.4 kB``, ``90.9 MB``, ``1.25 GB``."""
    if count >= 1e9:
        return f"{count / 1e9:.2f} GB"
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align rows of cells."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
