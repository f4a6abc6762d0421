"""A terminal in memory: rich draws on it, and what it drew is text."""

from io import StringIO

from rich.console import Console


def open_console(out: StringIO, *, width: int, color: bool) -> Console:
    """Return what draws on ``out``, as many columns wide."""
    return Console(
        file=out,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
    )


def drawn(out: StringIO) -> list[str]:
    """Return the lines that were drawn, without the blanks that fill them up."""
    return [line.rstrip() for line in out.getvalue().splitlines()]
