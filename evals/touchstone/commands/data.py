"""``touchstone data``: check which task types can read a folder of the user's data."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from touchstone.errors import ConfigError, suggest
from touchstone.files.tables import FORMATS
from touchstone.foreign import one_line
from touchstone.task_types.folders import JUDGEMENT_FORMATS, name_files
from touchstone.task_types.registry import all_types
from touchstone.tasks.checking import check_folder


def add_command(commands: Any) -> None:
    """Add the parser and that of its action."""
    data = commands.add_parser("data", help="check a folder of your own data before it is measured")
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
        return "\n".join(_explain(folder, parsed.type, refusals)), 1
    lines = [
        line
        for name, details in reports.items()
        for line in (f"{folder} as {name}", *(f"  {text}" for text in details))
    ]
    return "\n".join(lines), 0


def _explain(folder: Path, only: str | None, refusals: Mapping[str, str]) -> Iterator[str]:
    """Yield why no type can read a folder: what is wrong with its tables, or which tables each type needs."""
    if refusals:
        yield f"{folder}: no data of any type"
        for why in dict.fromkeys(refusals.values()):
            yield f"  as {' or '.join(name for name, reason in refusals.items() if reason == why)}: {why}"
        return
    yield f"{folder}: no data of any type; it holds {one_line(name_files(folder))}"
    needs: dict[str, list[str]] = {}
    for kind in all_types():
        if kind.folder is not None and only in (None, kind.name):
            needs.setdefault(", ".join(kind.folder.files), []).append(kind.name)
    for files, names in needs.items():
        yield f"  {', '.join(names)}: {files}"
    others, judgements = FORMATS[1:], [end for end in JUDGEMENT_FORMATS if end not in FORMATS]
    yield f"  {FORMATS[0]} may be {' or '.join(others)}, in qrels also {' or '.join(judgements)}, packed (.gz) or not"
