"""Which tasks a suite selects, from mteb's registry and the suite's own folders. Reads no data."""

import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from evals.config import CustomTask, Selection
from evals.errors import ConfigError, suggest
from evals.records import TaskInfo
from evals.tasks.custom import MAIN_SCORES

if TYPE_CHECKING:
    from mteb import AbsTask


def find_tasks(selection: Selection, where: str) -> tuple[TaskInfo, ...]:
    """Find the tasks of a ``[tasks]`` table, mteb's in mteb's order, then the custom ones.

    Args:
        selection: the table.
        where: the file it is in, for errors.

    Raises:
        ConfigError: a name, type, language, subset or split is not one that there is.
    """
    infos = _find_in_mteb(selection, where) if selection.asks_mteb else []
    infos += [_describe_custom(task) for task in selection.custom]
    names = [info.name for info in infos]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f'{where}: two tasks are called "{name}"')
    infos = _narrow(infos, selection.subsets, "subsets", where)
    return tuple(_narrow(infos, selection.splits, "splits", where))


def known_tasks() -> dict[str, str]:
    """Map the name of every task of mteb's, superseded ones too, to its type."""
    with quiet_mteb():
        import mteb

        tasks = mteb.get_tasks(exclude_superseded=False, exclude_private=False)
        return {task.metadata.name: task.metadata.type for task in tasks}


@contextmanager
def quiet_mteb() -> Iterator[None]:
    """Keep mteb's remarks about superseded and beta tasks out of the terminal: they repeat for every case."""
    logger = logging.getLogger("mteb")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _describe_custom(task: CustomTask) -> TaskInfo:
    if not task.path.is_dir():
        raise ConfigError(f"[[tasks.custom]] {task.name}: there is no folder {task.path}")
    return TaskInfo(
        name=task.name,
        type=task.type,
        main_score=MAIN_SCORES[task.type],
        languages=(task.language,),
        folder=task.path.resolve(),
    )


def _find_in_mteb(selection: Selection, where: str) -> list[TaskInfo]:
    with quiet_mteb():
        import mteb

        benchmarks = {benchmark.name: benchmark for benchmark in mteb.get_benchmarks()}
        if selection.benchmark is not None and selection.benchmark not in benchmarks:
            near = suggest(selection.benchmark, benchmarks)
            raise ConfigError(f'{where}: [tasks] benchmark = "{selection.benchmark}" is not a benchmark of mteb{near}')
        if selection.benchmark is not None:
            pool = list(benchmarks[selection.benchmark].tasks)
            in_pool = f'in "{selection.benchmark}"'
        else:
            pool = list(mteb.get_tasks())
            in_pool = "a current task of mteb"
        if selection.include:
            pool = _include(pool, selection, where, in_pool)
        pool = _exclude(pool, selection.exclude, where)
        pool = _of_types(pool, selection.types, where)
        membership = _membership(benchmarks)
        infos = [describe(task, membership.get(task.metadata.name, ())) for task in pool]
    if selection.languages:
        infos = _in_languages(pool, infos, selection.languages, where)
    if not infos:
        raise ConfigError(f"{where}: [tasks] no task of mteb meets all the keys at once")
    return infos


def _include(pool: list["AbsTask"], selection: Selection, where: str, in_pool: str) -> list["AbsTask"]:
    """Keep what an exact name or a glob asks for; without a benchmark an exact name may be a superseded task."""
    import mteb

    kept: dict[str, AbsTask] = {}
    by_name = {task.metadata.name: task for task in pool}
    for pattern in selection.include:
        matches = [name for name in by_name if fnmatchcase(name, pattern)]
        if not matches and selection.benchmark is None and not _is_glob(pattern):
            try:
                by_name[pattern] = mteb.get_task(pattern)
            except KeyError:
                near = suggest(pattern, known_tasks())
                raise ConfigError(f'{where}: [tasks] include: "{pattern}" is not a task of mteb{near}') from None
            matches = [pattern]
        if not matches:
            raise ConfigError(f'{where}: [tasks] include: "{pattern}" is not {in_pool}{suggest(pattern, by_name)}')
        kept |= {name: by_name[name] for name in matches}
    return [by_name[name] for name in by_name if name in kept]


def _exclude(pool: list["AbsTask"], patterns: Sequence[str], where: str) -> list["AbsTask"]:
    """Leave tasks out; a pattern that names nothing at all is a misspelling, not a wish."""
    for pattern in patterns:
        if not any(fnmatchcase(task.metadata.name, pattern) for task in pool):
            names = known_tasks()
            if not any(fnmatchcase(name, pattern) for name in names):
                near = suggest(pattern, names)
                raise ConfigError(f'{where}: [tasks] exclude: "{pattern}" matches no task of mteb{near}')
    return [t for t in pool if not any(fnmatchcase(t.metadata.name, pattern) for pattern in patterns)]


def _of_types(pool: list["AbsTask"], types: Sequence[str], where: str) -> list["AbsTask"]:
    from typing import get_args

    from mteb.abstasks.task_metadata import TaskType

    for name in types:
        if name not in get_args(TaskType):
            near = suggest(name, get_args(TaskType))
            raise ConfigError(f'{where}: [tasks] types: "{name}" is not a task type of mteb{near}')
    return [task for task in pool if not types or task.metadata.type in types]


def _in_languages(pool: list["AbsTask"], infos: list[TaskInfo], languages: Sequence[str], where: str) -> list[TaskInfo]:
    """Keep the subsets in which one of the languages occurs, and the tasks that still have one."""
    known = {language for info in infos for language in info.language_codes}
    for language in languages:
        if language not in known:
            near = suggest(language, known)
            raise ConfigError(f'{where}: [tasks] languages: "{language}" is in none of the tasks{near}')
    kept = []
    for task, info in zip(pool, infos, strict=True):
        spoken = _languages_by_subset(task)
        subsets = tuple(
            name
            for name in info.subsets
            if any(code.partition("-")[0] in languages for code in spoken.get(name, info.languages))
        )
        if subsets:
            kept.append(replace(info, subsets=subsets, languages=_union(spoken, subsets, info.languages)))
    return kept


def _narrow(infos: list[TaskInfo], wanted: Mapping[str, Sequence[str]], what: str, where: str) -> list[TaskInfo]:
    """Keep only the subsets or splits asked for, of the tasks named."""
    by_name = {info.name: info for info in infos}
    for name, values in wanted.items():
        if name not in by_name:
            near = suggest(name, by_name)
            raise ConfigError(f'{where}: [tasks] {what}: "{name}" is not selected by this suite{near}')
        offered = getattr(by_name[name], what)
        for value in values:
            if value not in offered:
                near = suggest(value, offered)
                raise ConfigError(f'{where}: [tasks] {what}: {name} has no {what[:-1]} "{value}"{near}')
        if not values:
            raise ConfigError(f"{where}: [tasks] {what}: {name} keeps none")
        by_name[name] = _keep(by_name[name], what, tuple(value for value in offered if value in values))
    return [by_name[info.name] for info in infos]


def _keep(info: TaskInfo, what: str, values: tuple[str, ...]) -> TaskInfo:
    if what == "splits":
        return replace(info, splits=values)
    with quiet_mteb():
        import mteb

        spoken = {} if info.folder else _languages_by_subset(mteb.get_task(info.name))
    return replace(info, subsets=values, languages=_union(spoken, values, info.languages))


def _union(spoken: Mapping[str, Sequence[str]], subsets: Iterable[str], otherwise: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({language for name in subsets for language in spoken.get(name, otherwise)}))


def _languages_by_subset(task: "AbsTask") -> Mapping[str, Sequence[str]]:
    """Map each subset to its language codes with their scripts, such as ``deu-Latn``."""
    return task.metadata.hf_subsets_to_langscripts


def describe(task: "AbsTask", benchmarks: Sequence[str]) -> TaskInfo:
    """Return what collecting needs to know of a task of mteb's, which is in the benchmarks given."""
    spoken = _languages_by_subset(task)
    # An aggregate's own score is one number over its children, under one name.
    subsets = ("default",) if task.is_aggregate else tuple(task.hf_subsets)
    return TaskInfo(
        name=task.metadata.name,
        type=task.metadata.type,
        main_score=task.metadata.main_score,
        splits=tuple(task.eval_splits),
        subsets=subsets,
        languages=_union(spoken, spoken if task.is_aggregate else subsets, ()),
        benchmarks=tuple(benchmarks),
        modalities=tuple(task.metadata.modalities),
    )


def _membership(benchmarks: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    """Map each task to the benchmarks that hold it."""
    found: dict[str, list[str]] = {}
    for name, benchmark in benchmarks.items():
        for task in getattr(benchmark, "tasks", ()):
            found.setdefault(task.metadata.name, []).append(name)
    return {task: tuple(dict.fromkeys(names)) for task, names in found.items()}


def _is_glob(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")
