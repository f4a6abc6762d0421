"""Options of subcommands, from the option table."""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from touchstone.config.options import OPTIONS, Options, typed_options
from touchstone.foreign import in_log

BY_NAME = {row.name: row for row in OPTIONS}


def add_options(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add options of ``pytest evals`` to a subcommand, by their names, such as ``--store``."""
    for name in names:
        parser.add_argument(name, **BY_NAME[name].settings())


def parse_options(parsed: argparse.Namespace) -> Options:
    """Return the options typed, else the project's defaults.

    Raises:
        ConfigError: naming the option and what it may be.
    """
    cwd = Path.cwd()
    return Options.parse(typed_options(parsed), root=cwd, cwd=cwd)


def terminal() -> dict[str, Any]:
    """Return how to draw on what the output goes to: its width in columns, and whether it shows colours."""
    return {"width": shutil.get_terminal_size((120, 24)).columns, "color": sys.stdout.isatty()}


def tell(line: str) -> None:
    """Write a line of progress to stderr, apart from the command's output."""
    sys.stderr.write(f"{in_log(line)}\n")
    sys.stderr.flush()
