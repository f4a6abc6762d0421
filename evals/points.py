"""Scores as people read them: fractions inside, points (percent) outside; and texts no longer than can be read."""

from decimal import Decimal

# Rounding in other batches moves scores by less than this; a sample that moves no more has not changed.
NOTHING = 1e-6


def points(fraction: float) -> str:
    """Render a score: 0.93257 is 93.26."""
    text = f"{100 * fraction:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")


def signed_points(fraction: float) -> str:
    """Render a difference with its sign; a small one, unless it is rounding, keeps the digit that tells it from 0."""
    value = 100 * fraction if abs(fraction) >= NOTHING else 0.0
    text = f"{value:+.2f}" if abs(value) >= 0.01 or value == 0 else format(Decimal(f"{value:.1g}"), "+f")
    return text.replace("-", "−")


def shorten(text: str, longest: int) -> str:
    """Return text cut to so many characters, with an ellipsis where it was."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
