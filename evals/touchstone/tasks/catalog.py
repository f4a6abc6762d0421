"""The tasks that a suite selects, from mteb's registry and the suite's own folders. Reads no data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from os.path import normpath
from pathlib import Path

from touchstone.config.suites import EMBEDDED_PREFIX, CustomTask, Selection, embedded_tasks
from touchstone.errors import ConfigError, suggest
from touchstone.records.cases import TaskInfo
from touchstone.tasks.classes import definition_of, find_registered, load_class, registered
from touchstone.tasks.custom import DEFAULT_SUBSET, find_subsets, languages_of, layout_of
from touchstone.tasks.registry import Definition, Registry, load_registry


def find_tasks(selection: Selection, where: str) -> tuple[TaskInfo, ...]:
    """Return the tasks of a ``[tasks]`` table, mteb's in mteb's order, then the custom ones.

    Args:
        selection: the table.
        where: the file of the table, for errors.

    Raises:
        ConfigError: a name, type, language, subset or split does not exist.
    """
    infos = _find_in_mteb(selection, where) if selection.asks_mteb else []
    infos += [
        _describe_class(task, where) if task.class_ else _describe_custom(task, where) for task in selection.custom
    ]
    names = [info.name for info in infos]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f'{where}: two tasks are called "{name}"')
    infos = _narrow(infos, selection.subsets, "subsets", where)
    return tuple(_narrow(infos, selection.splits, "splits", where))


def known_tasks() -> dict[str, str]:
    """Map the name of every task of mteb's, superseded ones too, to its type."""
    return {task.name: task.type for task in load_registry().tasks.values()}


def tasks_in(mirror: Path) -> tuple[str, ...]:
    """Return the names of mteb's current tasks whose data set has a folder in a mirror."""
    registry, owners = load_registry(), {folder.name for folder in mirror.iterdir() if folder.is_dir()}
    return tuple(
        name for name in registry.current
        if (task := registry.tasks[name]).dataset.partition("/")[0] in owners
        and task.modalities == ("text",) and not task.parts and (mirror / task.dataset).is_dir()
    )  # fmt: skip


def known_names() -> tuple[str, ...]:
    """Return the names of all tasks of mteb and of other packages."""
    return (*load_registry().tasks, *registered())


def _describe_class(task: CustomTask, where: str) -> TaskInfo:
    """Return the task of a user's class; the other keys of its table must agree with its metadata."""
    assert task.class_ is not None
    prefix = f"{where}: [[tasks.custom]] class ="
    try:
        info = describe_class(task.class_)
    except ConfigError as error:
        raise ConfigError(f"{prefix} {error}") from error
    pairs = (("name", task.name, info.name), ("type", task.type, info.type),
             ("language", task.language or None, " ".join(info.languages)))  # fmt: skip
    for key, value, expected in pairs:
        if value is not None and sorted(value.split()) != expected.split():
            fault = f'{key} = "{value}", and its metadata says "{expected}"; leave {key} out'
            raise ConfigError(f'{prefix} "{task.class_}": {fault}')
    return info


def _describe_custom(task: CustomTask, where: str) -> TaskInfo:
    assert task.name is not None
    assert task.type is not None
    assert task.path is not None
    prefix = f"{where}: [[tasks.custom]] {task.name}:"
    if not task.path.is_dir():
        fault = f"there is no folder {normpath(task.path)}; paths in a suite file are relative to it"
        raise ConfigError(f"{prefix} {fault}")
    layout, folder = layout_of(task.type), task.path.resolve()
    subsets = find_subsets(layout, folder)
    spoken = languages_of(subsets, task.language.split() or ["eng-Latn"] * (subsets == (DEFAULT_SUBSET,)))
    if not all(spoken.values()):
        raise ConfigError(
            f"{prefix} give the language of its subsets, or name each subset by its languages: "
            f'"{subsets[0]}" is not a code such as "deu-Latn" or "deu-Latn_eng-Latn"'
        )
    return TaskInfo(
        name=task.name,
        type=task.type,
        main_score=layout.main_score,
        subsets=subsets,
        languages=tuple(sorted({code for codes in spoken.values() for code in codes})),
        folder=folder,
    )


def _find_in_mteb(selection: Selection, where: str) -> list[TaskInfo]:
    classes = find_registered(selection)
    registry = _with_registered(load_registry(), classes)
    if selection.benchmark is not None:
        pool = _in_benchmark(selection.benchmark, registry, where)
        in_pool = f'in "{selection.benchmark}"'
    else:
        pool = [registry.tasks[name] for name in registry.current]
        in_pool = "a current task of mteb"
    if selection.include:
        pool = _include(pool, registry, selection, where, in_pool)
    pool = _exclude(pool, selection.exclude, where)
    pool = _of_types(pool, registry, selection.types, where)
    membership = registry.membership
    infos = [
        describe_class(classes[task.name]) if task.name in classes else describe(task, membership.get(task.name, ()))
        for task in pool
    ]
    if selection.languages:
        infos = _in_languages(pool, infos, selection.languages, where)
    if not infos:
        raise ConfigError(f"{where}: [tasks] no task of mteb meets all the keys at once")
    return infos


def _with_registered(registry: Registry, references: Mapping[str, str]) -> Registry:
    """Add the tasks that other packages register to those of mteb."""
    if not references:
        return registry
    added = {name: load_class(reference).definition for name, reference in references.items()}
    types = dict.fromkeys((*registry.types, *(task.type for task in added.values())))
    return replace(registry, tasks={**registry.tasks, **added}, current=(*registry.current, *added), types=tuple(types))


def _in_benchmark(name: str, registry: Registry, where: str) -> list[Definition]:
    benchmarks = registry.benchmarks
    if name not in benchmarks:
        near = suggest(name, [key for key in benchmarks if key.startswith(name.removesuffix(")"))] or benchmarks)
        raise ConfigError(f'{where}: [tasks] benchmark = "{name}" is not a benchmark of mteb{near}')
    return [registry.take(part) for part in benchmarks[name]]


def _include(
    pool: list[Definition], registry: Registry, selection: Selection, where: str, in_pool: str
) -> list[Definition]:
    """Keep the tasks that exact names and globs match; without a benchmark an exact name may be a superseded task."""
    selected_names: set[str] = set()
    by_name = {task.name: task for task in pool}
    for pattern in selection.include:
        matches = [name for name in by_name if fnmatchcase(name, pattern)] if _is_glob(pattern) else [pattern]
        matches = [name for name in matches if name in by_name]
        if not matches and selection.benchmark is None and not _is_glob(pattern):
            if pattern not in registry.tasks:
                near = _whose(pattern) or suggest(pattern, registry.tasks)
                raise ConfigError(f'{where}: [tasks] include: "{pattern}" is not a task of mteb{near}')
            by_name[pattern] = registry.tasks[pattern]
            matches = [pattern]
        if not matches:
            near = _whose(pattern) or suggest(pattern, by_name)
            raise ConfigError(f'{where}: [tasks] include: "{pattern}" is not {in_pool}{near}')
        selected_names |= set(matches)
    return [task for name, task in by_name.items() if name in selected_names]


def _whose(pattern: str) -> str:
    """Return which built-in suite has a task of its own that matches, and how to have it elsewhere, else nothing."""
    for suite, tasks in embedded_tasks().items():
        for task in tasks:
            if task.path is not None and fnmatchcase(task.name or "", pattern):
                path = f"{EMBEDDED_PREFIX}{task.path.name}"
                keys = f'[[tasks.custom]] name = "{task.name}", type = "{task.type}", path = "{path}"'
                advice = f'to have {task.name}, add {keys}, or in Python "{task.type}:{path}"'
                return f" but of the suite {suite}; {advice}"
    return ""


def _exclude(pool: list[Definition], patterns: Sequence[str], where: str) -> list[Definition]:
    """Remove tasks; a pattern that matches no task at all is a misspelling."""
    for pattern in patterns:
        if not any(fnmatchcase(task.name, pattern) for task in pool):
            names = known_names()
            if not any(fnmatchcase(name, pattern) for name in names):
                near = suggest(pattern, names)
                raise ConfigError(f'{where}: [tasks] exclude: "{pattern}" matches no task of mteb{near}')
    return [task for task in pool if not any(fnmatchcase(task.name, pattern) for pattern in patterns)]


def _of_types(pool: list[Definition], registry: Registry, types: Sequence[str], where: str) -> list[Definition]:
    for name in types:
        if name not in registry.types:
            near = suggest(name, registry.types)
            raise ConfigError(f'{where}: [tasks] types: "{name}" is not a task type of mteb{near}')
    return [task for task in pool if not types or task.type in types]


def _in_languages(
    pool: list[Definition], infos: list[TaskInfo], languages: Sequence[str], where: str
) -> list[TaskInfo]:
    """Keep the subsets in which one of the languages occurs, and the tasks that still have one."""
    codes = {language for info in infos for language in info.language_codes}
    for language in languages:
        if language not in codes:
            near = suggest(language, codes)
            raise ConfigError(f'{where}: [tasks] languages: "{language}" is in none of the tasks{near}')
    narrowed = []
    for task, info in zip(pool, infos, strict=True):
        subsets = tuple(
            name
            for name in info.subsets
            if any(code.partition("-")[0] in languages for code in task.spoken.get(name, "").split())
        )
        if subsets:
            narrowed.append(replace(info, subsets=subsets, languages=_union(task.spoken, subsets)))
    return narrowed


def _narrow(infos: list[TaskInfo], table: Mapping[str, Sequence[str]], key: str, where: str) -> list[TaskInfo]:
    """Keep only the subsets or splits that the table of this key lists for some tasks."""
    by_name = {info.name: info for info in infos}
    for name, values in table.items():
        if name not in by_name:
            near = suggest(name, by_name)
            raise ConfigError(f'{where}: [tasks] {key}: "{name}" is not selected by this suite{near}')
        offered = getattr(by_name[name], key)
        for value in values:
            if value not in offered:
                near = suggest(value, offered)
                raise ConfigError(f'{where}: [tasks] {key}: {name} has no {key[:-1]} "{value}"{near}')
        if not values:
            raise ConfigError(f"{where}: [tasks] {key}: {name} has an empty list; expected one of them or more")
        by_name[name] = _keep(by_name[name], key, tuple(value for value in offered if value in values))
    return [by_name[info.name] for info in infos]


def _keep(info: TaskInfo, key: str, values: tuple[str, ...]) -> TaskInfo:
    if key == "splits":
        return replace(info, splits=values)
    if info.folder:
        spoken = {name: " ".join(codes) for name, codes in languages_of(values, info.languages).items()}
    else:
        definition = definition_of(info)
        spoken = {} if definition is None else dict(definition.spoken)
    languages = _union(spoken, values)
    return replace(info, subsets=values, languages=languages)


def _union(spoken: Mapping[str, str], subsets: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({code for text in {spoken.get(name, "") for name in subsets} for code in text.split()}))


def describe_class(reference: str) -> TaskInfo:
    """Return the task of a user's class, as collecting needs it.

    Raises:
        ConfigError: the class cannot be imported or run.
    """
    kind = load_class(reference)
    return replace(
        describe(kind.definition, ()), code=reference, loads_itself=kind.folder is not None or kind.loads_itself
    )


def describe(task: Definition, benchmarks: Sequence[str]) -> TaskInfo:
    """Return a task of mteb's, as collecting needs it, with the benchmarks that contain it."""
    # An aggregate's own score is one number over its parts, under one name.
    subsets = ("default",) if task.parts else task.subsets
    return TaskInfo(
        name=task.name,
        type=task.type,
        main_score=task.main_score,
        splits=task.splits,
        subsets=subsets,
        languages=_union(task.spoken, task.spoken if task.parts else subsets),
        benchmarks=tuple(benchmarks),
        modalities=task.modalities,
    )


def _is_glob(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")
