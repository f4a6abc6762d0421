"""The ``evals`` command, for what is not a test run."""

import argparse
import sys
from collections.abc import Sequence

from evals import __version__
from evals.commands import COMMANDS
from evals.errors import EvalsError

USAGE = 4  # pytest's exit code for a usage error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 4 for a mistake in what was typed, and for `compare` 1 or 9 too."""
    parsed = _parser().parse_args(arguments)
    try:
        text, code = parsed.run(parsed)
    except EvalsError as error:
        print(f"evals: {error}", file=sys.stderr)
        return USAGE
    print(text)
    return int(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="evals", description="Look at what `pytest evals` would run and expect.")
    parser.add_argument("--version", action="version", version=f"touchstone-evals {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
