"""The ``touchstone`` command."""

import argparse
import io
import os
import sys
import traceback
from collections.abc import Sequence

from touchstone import __version__
from touchstone.commands import find_commands
from touchstone.commands.parsing import Parser
from touchstone.errors import TouchstoneError
from touchstone.foreign import Command, in_log, lines

USAGE, INTERNAL_ERROR = 4, 3  # pytest's exit codes for a usage error and for an error of its own


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 4 for a mistake in what was typed, and for `compare` 1 or 9 too."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a question mark for a character that the terminal cannot show
    try:
        parsed = _parser().parse_args(arguments)
        text, code = parsed.run(parsed)
    except TouchstoneError as error:
        print(f"touchstone: {error}", file=sys.stderr)
        return USAGE
    except Exception:  # a bug; its traceback may hold foreign text or a secret
        print(lines(traceback.format_exc()), file=sys.stderr)
        return INTERNAL_ERROR
    output = [text] if isinstance(text, str) else text
    try:
        print("\n".join(line if isinstance(line, Command) else in_log(line) for line in output), flush=True)
    except BrokenPipeError:  # the reader closed the pipe; the interpreter must not flush the rest at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"touchstone: the output cannot be written: {error.strerror}", file=sys.stderr)
        return USAGE
    return int(code)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="touchstone",
        description="Evaluate embedding models: run suites, and look at what runs measured and baselines expect.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"touchstone-evals {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add_command in find_commands():
        add_command(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
