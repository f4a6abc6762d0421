"""``touchstone store``: what the store holds, and how to make it smaller."""

import argparse
from typing import Any

from touchstone.commands.parsing import add_options, parse_options
from touchstone.errors import ConfigError
from touchstone.formatting import columns, render_size
from touchstone.store.folder import Store
from touchstone.store.pruning import prune, take_stock


def add_command(commands: Any) -> None:
    """Add the parser and those of its actions."""
    store = commands.add_parser("store", help="look at what past runs left, or remove what can be made again")
    actions = store.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="print what is in the store, with sizes")
    prune = actions.add_parser("prune", help="remove data caches and vectors that were not used for long")
    for action in (show, prune):
        add_options(action, "--store")
    prune.add_argument("--days", default="30", metavar="N", help="keep what was used within N days (default: 30)")
    show.set_defaults(run=_show)
    prune.set_defaults(run=_prune)


def _show(parsed: argparse.Namespace) -> tuple[str, int]:
    parts = take_stock(Store(parse_options(parsed).store_folder))
    rows = [
        (part.name, f"{part.files} files", render_size(part.size), f"used {part.idle:.0f} days ago") for part in parts
    ]
    total = render_size(sum(part.size for part in parts))
    return "\n".join([*(columns(rows) if rows else []), f"{total} in all"]), 0


def _prune(parsed: argparse.Namespace) -> tuple[str, int]:
    if not parsed.days.isdecimal():
        raise ConfigError(f'--days = "{parsed.days}"; expected a whole number of days')
    gone, orphans = prune(Store(parse_options(parsed).store_folder), float(parsed.days))
    lines = [f"removed {part.name}, {render_size(part.size)}" for part in gone]
    lines += [f"removed {orphans} files of samples that no run names"] if orphans else []
    return "\n".join(lines or ["nothing to remove"]), 0
