"""The ``touchstone`` command, for what is not a test run."""

import argparse
import io
import os
import sys
import traceback
from collections.abc import Sequence

from touchstone import __version__
from touchstone.commands import find_commands
from touchstone.errors import TouchstoneError
from touchstone.foreign import Command, in_log, lines

USAGE, INTERNAL_ERROR = 4, 3  # pytest's exit codes for a usage error and for an error of its own


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 4 for a mistake in what was typed, and for `compare` 1 or 9 too."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a sign shows a question mark
    parsed = _parser().parse_args(arguments)
    try:
        text, code = parsed.run(parsed)
    except TouchstoneError as error:
        print(f"touchstone: {error}", file=sys.stderr)
        return USAGE
    except Exception:  # nobody foresaw it; what it shows may hold a stranger's text, or a secret
        print(lines(traceback.format_exc()), file=sys.stderr)
        return INTERNAL_ERROR
    said = [text] if isinstance(text, str) else text
    try:
        print("\n".join(line if isinstance(line, Command) else in_log(line) for line in said), flush=True)
    except BrokenPipeError:  # whoever reads has seen enough; the interpreter must not write the rest when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"touchstone: the output cannot be written: {error.strerror}", file=sys.stderr)
        return USAGE
    return int(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="touchstone", description="Look at what `pytest evals` would run and expect.")
    parser.add_argument("--version", action="version", version=f"touchstone-evals {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add_command in find_commands():
        add_command(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
