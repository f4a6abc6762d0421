"""``touchstone run``: run a suite in any folder through pytest, without a test file."""

import argparse
import os
import re
import subprocess
import sys
from typing import Any

# Python itself starts pytest without the working directory on its path: a folder there must not hide a package.
PYTEST = (sys.executable, "-P", "-m", "pytest", "-p", "touchstone.plugin", "--pyargs")
PACKAGE = ("touchstone",)
# The id of a case, as pytest prints it from wherever it stands.
CASE = re.compile(r"(?:.*[/\\])?test_tasks\.py::(test_task\[.*)")


def add_command(commands: Any) -> None:
    """Add the parser."""
    run = commands.add_parser(
        "run",
        help="run a suite without a test file; takes pytest's options",
        add_help=False,  # pytest's says more
        prefix_chars="\0",  # every option is pytest's
    )
    run.add_argument("arguments", nargs="*", metavar="OPTION")
    run.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> tuple[list[str], int]:
    words = [CASE.sub(r"touchstone.test_tasks::\1", word) for word in parsed.arguments]
    words = [*PYTEST, *([] if words != parsed.arguments else PACKAGE), *words]
    if os.name == "posix":
        os.execv(words[0], words)  # signals reach pytest alone
    return [], subprocess.call(words)
