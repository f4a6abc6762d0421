"""``touchstone merge``: merge the shards of a run, and judge the whole once."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from touchstone.baselines.files import Baselines
from touchstone.commands.parsing import add_options, parse_options
from touchstone.commands.report import render_run
from touchstone.config.options import STORE
from touchstone.errors import BaselineError, TouchstoneError
from touchstone.files.writing import place
from touchstone.judging.overall import exit_code
from touchstone.measuring.case import join_results
from touchstone.records.flat import flatten
from touchstone.report.formats import find_target
from touchstone.session.reports import find_pair, write_baselines, write_report
from touchstone.session.stored_runs import find_shards, merge_shards, name_merged
from touchstone.store.folder import Store, is_store
from touchstone.store.gathering import gather


def add_command(commands: Any) -> None:
    """Add the parser."""
    merge = commands.add_parser(
        "merge",
        help="merge the shards of a run, and judge the whole once",
        description="Merge what pytest evals --shard K/N measured. Each case is judged at the level of the whole run; "
        "a case that no shard measured makes the run INCOMPLETE. Exit codes are those of pytest evals.",
    )
    merge.add_argument("stores", nargs="+", metavar="DIR", help="the store of a shard, or of several")
    merge.add_argument(
        "--into", metavar="STORE", help=f"the store that gets everything (default: the only DIR, else {STORE})"
    )
    add_options(merge, "--report", "--inconclusive", "--baselines")
    merge.set_defaults(run=_merge)


def _merge(parsed: argparse.Namespace) -> tuple[str | list[str], int]:
    options = parse_options(parsed)
    targets = [find_target("--report", options.cwd, text) for text in options.reports]
    stores = list(dict.fromkeys(_find_store(place(options.cwd, text)) for text in parsed.stores))
    shards = find_shards(stores)
    run, notes = merge_shards(shards)
    only = stores[0] if len(stores) == 1 else options.store_folder
    store = Store(only if parsed.into is None else place(options.cwd, parsed.into))
    store.make()
    lines = [render_run(run), *notes, *gather(store.folder, stores, join_results)]
    code = exit_code(run.records, run.suites, options.inconclusive)
    baselines = Baselines(options.baselines)
    pairs = partial(find_pair, stores=[store.folder], baselines=baselines)
    lines.append(f"written: {store.write_run(name_merged(shards), flatten(run))}")
    try:
        lines += write_baselines(shards[0].shard.baseline, run, baselines, store)
        for target in targets:
            lines += write_report(target, run, store.folder, pairs)
    except (TouchstoneError, OSError) as error:
        lines.append(str(error))
        code = 1
    finally:
        store.leave()
    return [*lines, *store.notes], 1 if store.trouble is not None else code


def _find_store(folder: Path) -> Path:
    """Return the store that is this folder, or lies in it under the default name."""
    store = next((path for path in (folder, folder / STORE) if is_store(path)), None)
    if store is None:
        raise BaselineError(f"{folder}: is no store and has none; name what a shard wrote, its --store")
    return store
