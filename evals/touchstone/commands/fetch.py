"""``touchstone fetch``: download what a suite needs to a mirror, for a machine without a network."""

import argparse
import sys
import uuid
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from touchstone.commands.parsing import add_options, parse_options
from touchstone.config.specs import WeightsSpec
from touchstone.errors import ConfigError, first_line
from touchstone.files.writing import place
from touchstone.formatting import columns, render_size
from touchstone.models.weights.identity import files_on_hub
from touchstone.plugin.downloads import Downloads
from touchstone.records.cases import TaskInfo
from touchstone.session.plan import Plan, find_cases
from touchstone.store.asking import read_news
from touchstone.store.folder import Store
from touchstone.store.hub import Snapshot, open_snapshot
from touchstone.store.mirrors import MANIFEST, fill, verify
from touchstone.tasks.opening import bring_data, needed_repositories

Row = tuple[str, str, int, int]
# A repository, the revision asked for, and the files to download.
Download = tuple[Snapshot, str | None, list[str]]


def add_command(commands: Any) -> None:
    """Add the parser."""
    fetch = commands.add_parser(
        "fetch",
        help="download a suite's data and models to a mirror, or check it",
        description="Download the data sets of a suite's tasks, and its models that are named by a hub id, to a mirror "
        "with a manifest. A run reads data and models there with --source mirror:DIR --offline. Files that are there "
        "already are not downloaded again, so a fetch that was stopped goes on.",
    )
    add_options(fetch, "--suite", "--model", "--models", "--task", "--patience", "--store", "--allow-python")
    mode = fetch.add_mutually_exclusive_group(required=True)
    mode.add_argument("--into", metavar="DIR", help="the mirror to fill")
    mode.add_argument("--verify", metavar="DIR", help="read a mirror again, and compare it with its manifest")
    fetch.add_argument("--dry-run", action="store_true", help="print how much would be downloaded, and stop")
    fetch.set_defaults(run=_fetch)


def _fetch(parsed: argparse.Namespace) -> tuple[str, int]:
    try:
        return _verify_or_fill(parsed)
    except OSError as error:
        raise ConfigError(f"{parsed.verify or parsed.into} cannot be read or filled: {first_line(error)}") from error


def _verify_or_fill(parsed: argparse.Namespace) -> tuple[str, int]:
    if parsed.verify is not None:
        root = place(Path.cwd(), parsed.verify)
        errors = list(verify(root))
        return "\n".join(errors or [f"{root} is what its {MANIFEST} says"]), 1 if errors else 0
    options = parse_options(parsed)
    plan = find_cases(options)
    store = Store(plan.store, run=uuid.uuid4().hex, patience=options.patience)
    root = place(Path.cwd(), parsed.into)
    paint = (lambda text, write: write(f"\r\x1b[K{text}")) if sys.stdout.isatty() else None
    with Downloads(lambda: read_news(store.news), paint):
        rows = list(_estimate(plan, store) if parsed.dry_run else _bring(plan, store, root))
    if not rows:
        return "no data set or model of the suite is on the hub; nothing to download", 0
    size = sum(size for _, _, _, size in rows)
    lines = columns([(name, commit[:12], f"{files} files", render_size(size)) for name, commit, files, size in rows])
    if parsed.dry_run:
        return "\n".join([*lines, f"{render_size(size)} in all; what is in the hub's cache is not downloaded again"]), 0
    return "\n".join([*lines, f"{render_size(size)} in all; wrote {root / MANIFEST}"]), 0


def _estimate(plan: Plan, store: Store) -> Iterator[Row]:
    for snapshot, _, names in chain(_data(plan, store), _models(plan, store)):
        yield snapshot.repository, snapshot.commit, len(names), sum(snapshot.listed[name].size for name in names)


def _tasks(plan: Plan) -> Iterable[TaskInfo]:
    """Return the tasks whose data is on the hub, each once."""
    return {case.task.name: case.task for case in plan.cases if case.task.folder is None}.values()


def _data(plan: Plan, store: Store) -> Iterator[Download]:
    seen = set()
    for task in _tasks(plan):
        for repository, revision, select in needed_repositories(task):
            snapshot = open_snapshot(repository, revision, store, kind="dataset")
            names = select(snapshot)
            if (key := (repository, snapshot.commit, *names)) not in seen:
                seen.add(key)
                yield snapshot, revision, names


def _models(plan: Plan, store: Store) -> Iterator[Download]:
    """Yield the models that are repositories of the hub, with the files that are loaded of each."""
    for model in plan.models.values():
        for stage in model.parts:
            spec = stage.spec
            if isinstance(spec, WeightsSpec) and spec.id is not None and spec.hub == "huggingface":
                snapshot, names = files_on_hub(spec, spec.id, store)
                yield snapshot, spec.revision, names


def _bring(plan: Plan, store: Store, root: Path) -> Iterator[Row]:
    """Download data by reading it as a run would, so that everything a run reads is there and readable."""
    data = (item for task in _tasks(plan) for item in bring_data(task, store))
    for snapshot, revision, names in chain(data, _models(plan, store)):
        snapshot.expect(names)
        entry = fill(root, snapshot, revision, names)
        yield entry.repository, entry.commit, len(names), sum(entry.files[name].size for name in names)
