"""``touchstone store``: show, prune or verify the store."""

import argparse
from contextlib import nullcontext
from typing import Any

from touchstone.commands.parsing import add_options, parse_options
from touchstone.errors import ConfigError
from touchstone.formatting import columns, render_size
from touchstone.store.folder import Store
from touchstone.store.pruning import prune, take_stock, unused
from touchstone.store.verifying import verify


def add_command(commands: Any) -> None:
    """Add the parser and those of its actions."""
    store = commands.add_parser("store", help="show, check or prune what past runs left")
    actions = store.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="print what is in the store, with sizes")
    prune = actions.add_parser("prune", help="remove data caches and vectors that have not been used for some days")
    verify = actions.add_parser("verify", help="read every file of the store, and list what is damaged")
    for action in (show, prune, verify):
        add_options(action, "--store")
    prune.add_argument("--days", default="30", metavar="N", help="keep what was used within N days (default: 30)")
    verify.add_argument("--repair", action="store_true", help="remove what is damaged; a run makes it again")
    verify.set_defaults(run=_verify)
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
    parts, orphans = prune(Store(parse_options(parsed).store_folder), float(parsed.days))
    lines = [f"removed {part.name}, {render_size(part.size)}" for part in parts]
    lines += [f"removed {orphans} files of samples that no run names"] if orphans else []
    return "\n".join(lines or ["nothing to remove"]), 0


def _verify(parsed: argparse.Namespace) -> tuple[str, int]:
    store = Store(parse_options(parsed).store_folder)
    with unused(store) if parsed.repair else nullcontext():
        findings = list(verify(store.folder))
        damages = [finding for finding in findings if finding.mend is not None]
        for finding in damages if parsed.repair else ():
            assert finding.mend is not None
            finding.mend()
    prefix = "removed: " if parsed.repair else ""
    lines = [f"{prefix if finding.mend else ''}{finding.path} {finding.what}" for finding in findings]
    if not damages:
        return "\n".join([*lines, f"{store.folder} is whole"]), 0
    if parsed.repair:
        return "\n".join(lines), 0
    advice = "touchstone store verify --repair removes that, and a run makes it again"
    return "\n".join([*lines, f"{len(damages)} damaged; {advice}"]), 1
