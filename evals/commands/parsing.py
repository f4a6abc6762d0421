"""What subcommands share: options as the plugin checks them, and aligned columns."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from evals.config import Options

# Options of `pytest evals` that are called otherwise there.
NAMES = {"suite": "suites", "model": "models", "models": "models_file", "task": "tasks", "on": "device"}


def parse_options(parsed: argparse.Namespace) -> Options:
    """Check what was typed against the project's defaults.

    Raises:
        ConfigError: naming the option and what it may be.
    """
    here = Path.cwd()
    typed = {NAMES.get(name, name): value for name, value in vars(parsed).items() if name != "run"}
    return Options.parse(typed, root=here, cwd=here)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align rows of cells."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
