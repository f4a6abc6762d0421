"""``touchstone data``: check which task types can read a folder of the user's data."""

import argparse
from pathlib import Path
from typing import Any

from touchstone.errors import ConfigError, suggest
from touchstone.task_types.registry import all_types
from touchstone.tasks.checking import check_folder


def add_command(commands: Any) -> None:
    """Add the parser and that of its action."""
    data = commands.add_parser("data", help="look at a folder of your own data before it is measured")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser(
        "check",
        help="print which task types can read a folder, with counts, longest texts, duplicates and leaks",
        description="Exit code 0: a type can read it; 1: none can.",
    )
    check.add_argument("folder", metavar="DIR", help="as path of [[tasks.custom]]")
    check.add_argument("--type", metavar="TYPE", help="the type to read it as (default: all that can be custom)")
    check.set_defaults(run=_check)


def _check(parsed: argparse.Namespace) -> tuple[str, int]:
    folder, types = Path(parsed.folder), [t.name for t in all_types() if t.folder is not None]
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}")
    if parsed.type not in (None, *types):
        raise ConfigError(f'--type = "{parsed.type}"; expected one of {", ".join(types)}{suggest(parsed.type, types)}')
    reports, refusals = check_folder(folder, parsed.type)
    if not reports:
        # A missing file mostly means that the data is of another type.
        reasons = {name: why for name, why in refusals.items() if "no such file" not in why} or refusals
        lines = [f"{folder}: no data of any type", *(f"  as {name}: {why}" for name, why in reasons.items())]
        return "\n".join(lines), 1
    lines = []
    for name, details in reports.items():
        lines += [f"{folder} as {name}", *(f"  {text}" for text in details)]
    return "\n".join(lines), 0
