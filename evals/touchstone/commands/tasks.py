"""``touchstone tasks``: list the tasks that a suite may have."""

import argparse
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from touchstone.commands.parsing import add_options, parse_options
from touchstone.config.models import load_models
from touchstone.config.suites import NamedSuite, Selection, load_suite
from touchstone.errors import ConfigError
from touchstone.formatting import columns
from touchstone.records.cases import TaskInfo
from touchstone.tasks.catalog import find_tasks, known_names

CODE_LIMIT = 3


def add_command(commands: Any) -> None:
    """Add the parser."""
    tasks = commands.add_parser(
        "tasks",
        help="list tasks by type, language, benchmark or suite",
        description="List tasks: all current tasks of mteb that are of text alone, or those that are named; and those "
        "that the suite of this project adds to them, on data of your own.",
    )
    tasks.add_argument(
        "names", nargs="*", metavar="GLOB", help="only tasks with such names; exact ones find superseded tasks too"
    )
    for name, metavar in (("type", "TYPE"), ("language", "CODE")):
        settings: dict[str, Any] = {"action": "append", "default": [], "metavar": metavar}
        tasks.add_argument(f"--{name}", dest=f"of_{name}s", help=f"only of this {name} (repeatable)", **settings)
    tasks.add_argument("--benchmark", metavar="NAME", help='only those of a benchmark, such as "MTEB(eng, v2)"')
    add_options(tasks, "--suite")
    tasks.set_defaults(run=_tasks)


def _tasks(parsed: argparse.Namespace) -> tuple[list[str], int]:
    options = parse_options(parsed)
    models = load_models(*options.models_files)
    suites = [load_suite(name, options.cwd, models) for name in options.suites]
    if parsed.touchstone_suites:
        if parsed.names or parsed.of_types or parsed.of_languages or parsed.benchmark:
            raise ConfigError("--suite lists all tasks of a suite; drop it, or the names and other options")
        tasks = [task for suite in suites for task in find_tasks(suite.suite.tasks, str(suite.file))]
    else:
        own = [] if parsed.benchmark else [task for suite in suites for task in _added(suite, parsed)]
        tasks = [*own, *_of_mteb(parsed, [task.name for task in own])]
    if not tasks:
        raise ConfigError("no task of text alone matches")
    return [*columns([("task", "type", "metric", "languages"), *map(_row, tasks)]), f"{len(tasks)} tasks"], 0


def _added(suite: NamedSuite, parsed: argparse.Namespace) -> list[TaskInfo]:
    """Return the tasks that a suite has beside mteb's, as far as they are asked for."""
    custom = suite.suite.tasks.custom
    return [
        task for task in (find_tasks(Selection(custom=custom), str(suite.file)) if custom else ())
        if (not parsed.names or any(fnmatchcase(task.name, pattern) for pattern in parsed.names))
        and (not parsed.of_types or task.type in parsed.of_types)
        and (not parsed.of_languages or {*task.language_codes} & {*parsed.of_languages})
    ]  # fmt: skip


def _of_mteb(parsed: argparse.Namespace, own: Sequence[str]) -> list[TaskInfo]:
    """Return the tasks of mteb's that are asked for; what names only the user's own asks for none."""
    known = known_names()
    names = [
        pattern for pattern in parsed.names
        if any(fnmatchcase(name, pattern) for name in known) or not any(fnmatchcase(name, pattern) for name in own)
    ]  # fmt: skip
    if parsed.names and not names:
        return []
    selection = Selection(
        include=tuple(names) or ("*",),
        types=tuple(parsed.of_types),
        languages=tuple(parsed.of_languages),
        benchmark=parsed.benchmark,
    )
    return [task for task in find_tasks(selection, "touchstone tasks") if task.modalities == ("text",)]


def _row(task: TaskInfo) -> tuple[str, str, str, str]:
    codes = task.language_codes
    suffix = f" and {len(codes) - CODE_LIMIT} more" if len(codes) > CODE_LIMIT else ""
    return task.name, task.type, task.main_score, " ".join(codes[:CODE_LIMIT]) + suffix
