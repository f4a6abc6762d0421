"""``touchstone data``: what a folder of one's own data is understood to be."""

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
        help="say which task types can read a folder, with counts, longest texts, duplicates and leaks",
        description="Exit code 0: a type can read it; 1: none can.",
    )
    check.add_argument("folder", metavar="DIR", help="as path of [[tasks.custom]]")
    check.add_argument("--type", metavar="TYPE", help="the type to read it as (default: all that can be custom)")
    check.set_defaults(run=_check)


def _check(parsed: argparse.Namespace) -> tuple[str, int]:
    folder, known = Path(parsed.folder), [one.name for one in all_types() if one.folder is not None]
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}")
    if parsed.type not in (None, *known):
        raise ConfigError(f'--type = "{parsed.type}"; expected one of {", ".join(known)}{suggest(parsed.type, known)}')
    read, refused = check_folder(folder, parsed.type)
    if not read:
        # Where a file is missing it is mostly of another type.
        near = {name: why for name, why in refused.items() if "no such file" not in why} or refused
        return "\n".join([f"{folder}: no data of any type", *(f"  as {name}: {why}" for name, why in near.items())]), 1
    lines = [line for name, found in read.items() for line in (f"{folder} as {name}", *(f"  {one}" for one in found))]
    return "\n".join(lines), 0
