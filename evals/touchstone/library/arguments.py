"""The arguments of a program: a model, tasks, and options by their names in Python."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from os.path import normpath, relpath
from pathlib import Path
from typing import Any, TypedDict

from touchstone.config.base import Spec
from touchstone.config.models import make_spec
from touchstone.config.options import Inconclusive, Options, find_root
from touchstone.config.suites import (
    EMBEDDED_PREFIX,
    NamedSuite,
    built_in_suites,
    embedded_tasks,
    is_suite_file,
    load_suite,
    make_suite,
    place_data,
)
from touchstone.errors import ConfigError, TouchstoneError, suggest
from touchstone.files.writing import place
from touchstone.models.files.detection import kind_at
from touchstone.models.in_memory import InMemorySpec, find_place, make_in_memory
from touchstone.records.cases import BaselineMode, GateRule
from touchstone.records.names import NAME, SIGNS, slug
from touchstone.tasks.catalog import find_tasks, known_names
from touchstone.tasks.checking import check_folder


class GateOptions(TypedDict, total=False):
    """Options of the gate, and the folders of files; each is the option of ``pytest evals`` with this name.

    ``margin``, ``suite_margin``, ``bound`` and ``alpha`` are fractions: one point is 0.01. ``baselines`` and ``store``
    are folders.
    """

    gate: GateRule
    margin: float
    suite_margin: float
    bound: float
    alpha: float
    inconclusive: Inconclusive
    baselines: str | Path
    store: str | Path


class MeasureOptions(GateOptions, total=False):
    """Options of measuring, beside those of the gate.

    ``device`` is ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; a model in memory is measured where it lies.
    ``limit`` keeps at most so many queries, rows or pairs of each split and subset. ``select`` is a glob of tasks of
    the suite, or several. ``baseline`` is ``check``, ``record``, ``update`` or ``off``. ``source`` is ``hub``,
    ``mirror:DIR`` or ``modelscope:DIR``, and ``models`` a TOML file with more named models. ``offline`` keeps the whole
    process from the network, from then on. ``progress`` is True for a line of progress in a notebook or a terminal,
    False for none, or a function that is called with a few words on what is being done; by default a notebook has the
    line.
    """

    device: str
    limit: int
    select: str | Sequence[str]
    baseline: BaselineMode
    source: str
    models: str | Path
    offline: bool
    overwrite: bool
    progress: Callable[[str], None] | bool


# The options that have another name in the option table.
TABLE_NAMES: Mapping[str, str] = {"select": "tasks", "models": "models_files"}
# An option in an error, and the arguments that have another name than theirs.
OPTION = re.compile(r"touchstone [a-z][^;]*|(?<![\w-])--([a-z][a-z-]*)")
ARGUMENTS: Mapping[str, str] = {"suite": "tasks", "task": "select"}
# Where tasks are that a program gives by their names and folders, in a suite that is made of them.
PLACES_OF_TASKS = ("[tasks] include: ", "[[tasks.custom]] ")
GATE_OPTIONS, MEASURE_OPTIONS = (frozenset(table.__annotations__) for table in (GateOptions, MeasureOptions))


def check_names(options: Mapping[str, Any], names: frozenset[str], function: Callable[..., Any]) -> None:
    """Check the names of the options that a function takes beside its own arguments.

    Raises:
        ConfigError: one is neither; names the nearest of both.
    """
    if unknown := sorted(options.keys() - names):
        own = [name for name, one in inspect.signature(function).parameters.items() if one.kind is not one.VAR_KEYWORD]
        raise ConfigError(f"{unknown[0]} = … is no option here{suggest(unknown[0], {*names, *own} - {'self'})}")


def parse_options(options: Mapping[str, Any], **extra: Any) -> Options:
    """Return the options of a program against the defaults of the project that the working directory is in.

    Args:
        options: by their names in Python, which `check_names` checks.
        extra: more options, by their names in the option table.

    Raises:
        ConfigError: naming the option and what it may be.
    """
    if isinstance(select := options.get("select"), str):
        options = {**options, "select": [select]}
    typed = {TABLE_NAMES.get(name, name): _as_typed(value) for name, value in options.items() if name != "progress"}
    here = Path.cwd()
    command = ("pytest", "-p", "touchstone.plugin", "--pyargs", "touchstone")
    with spoken_in_python():
        return Options.parse({**typed, **extra}, root=find_root(here), cwd=here, command=command)


def _as_typed(value: Any) -> Any:
    """Return a value as it is typed on a command line."""
    if isinstance(value, bool | None):
        return value
    if isinstance(value, float):
        return format(Decimal(str(value)), "f")
    return [str(item) for item in value] if isinstance(value, list | tuple) else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelArgument:
    """A model as options take it: its text, and its specification where no command could name it."""

    text: str
    objects: Mapping[str, Spec] = field(default_factory=dict)

    @property
    def loaded(self) -> Any:
        """The model in memory; None where it is not there."""
        return next((spec.loaded for spec in self.objects.values() if isinstance(spec, InMemorySpec)), None)


class Model:
    """A model under an alias, with settings: a table of ``models.toml`` as keyword arguments.

    Args:
        source: a folder, the id of a hub, what a command takes (``ALIAS@key=value``), or a model in memory: one of
            sentence-transformers, or an object with ``encode``, ``index`` and ``search``, or ``rerank``.
        alias: the name in reports and baselines; by default that of the folder or id, and ``model`` of one in memory.
        settings: keys of ``models.toml``, such as ``prompts`` or ``pooling``; for a model in memory only those that
            cannot be set on the model itself.
    """

    def __init__(self, source: object, alias: str | None = None, **settings: Any) -> None:
        self.source = source
        self.alias = alias
        self.settings = settings

    def give(self) -> ModelArgument:
        """Return the model as options take it.

        Raises:
            ConfigError: it is no model, or a setting is wrong.
        """
        if not isinstance(self.source, str | Path):
            alias = self._check(self.alias or "model")
            spec = make_in_memory(self.source, self.settings, f'Model("{alias}")')
            return ModelArgument(text=alias, objects={alias: spec})
        text = str(self.source)
        if not self.settings:
            return ModelArgument(text=text if self.alias is None else f"{text}={self.alias}")
        alias = self._check(self.alias or slug(Path(text).name))
        folder, where = place(Path.cwd(), text), f'Model("{alias}")'
        source = {"path": str(folder), "kind": kind_at(folder)} if folder.is_dir() else {"id": text}
        return ModelArgument(text=alias, objects={alias: make_spec({**source, **self.settings}, where)})

    def _check(self, alias: str) -> str:
        if not NAME.fullmatch(alias):
            raise ConfigError(f'alias = "{alias}" may hold only {SIGNS}')
        return alias


class Suite:
    """Tasks and how they are judged: a suite file as keyword arguments.

    Args:
        name: of the suite, for reports.
        tables: keys and tables of a suite file, such as ``tasks={"include": ["STS*"]}``, ``gate={"margin": 0.02}`` or
            ``limit=300``; paths are relative to the working directory.

    Raises:
        ConfigError: a key or a value is wrong.
    """

    def __init__(self, name: str = "suite", **tables: Any) -> None:
        self.named: NamedSuite = make_suite(name, tables, Path.cwd())


def give_model(model: object) -> ModelArgument:
    """Return a model, or the name of one, as options take it.

    Raises:
        ConfigError: the argument is no model.
    """
    return (model if isinstance(model, Model) else Model(model)).give()


def give_suite(tasks: object) -> str | NamedSuite:
    """Return the suite of an argument ``tasks``: its name or file, or a suite made of the tasks.

    Args:
        tasks: a `Suite`; the name of a built-in one or the file of one; else names and globs of tasks of mteb's, and
            folders of one's own data or ``touchstone:NAME`` for data of the package, with their type before a colon
            where several can read them; one or several.

    Raises:
        ConfigError: there is no task among them, or a folder can be read as none or as several types.
    """
    if isinstance(tasks, Suite):
        return tasks.named
    if isinstance(tasks, str | Path):
        text = str(tasks)
        if is_suite_file(text) or text in built_in_suites():
            return text
        tasks = (tasks,)
    if not isinstance(tasks, Sequence) or not tasks or not all(isinstance(name, str | Path) for name in tasks):
        raise ConfigError(f"tasks = {tasks!r}; expected a Suite, a suite's name or file, or names of tasks and folders")
    # A name alone is never a folder: a folder in the working directory could have the name of a task.
    names = [name for name in tasks if isinstance(name, str) and "/" not in name and not _is_embedded(name)]
    for name in names:
        _refuse_folder(name)
        _refuse_own(name)
    custom = [_make_table(str(name)) for name in tasks if name not in names]
    return make_suite("tasks", {"tasks": {"include": names, "custom": custom}}, Path.cwd())


def _is_embedded(text: str) -> bool:
    return text.startswith(EMBEDDED_PREFIX) or f":{EMBEDDED_PREFIX}" in text


def _refuse_folder(name: str) -> None:
    """Refuse what would be a folder with a slash, and is no task."""
    kind, colon, folder = name.rpartition(":")
    places = [text for text in (f"./{folder}", f"data/{folder}") if folder and Path(text).is_dir()]
    if places and name not in known_names():
        right = f"{kind}{colon}{places[0]}"
        raise ConfigError(f'tasks: "{name}" is no task of mteb; a folder needs a slash in it, as in "{right}"')


def _refuse_own(name: str) -> None:
    """Refuse a task of the project's own suite, which alone says where its data is."""
    here = Path.cwd()
    file = parse_options({}).default_suite
    if not is_suite_file(file) or not Path(file).is_file() or name in known_names():
        return
    if any(task.name == name for task in load_suite(file, here).suite.tasks.custom):
        suite = relpath(file, here)
        raise ConfigError(f'tasks: "{name}" is a task of {suite}; write measure(model, "{suite}", select=["{name}"])')


def _make_table(text: str) -> dict[str, str]:
    """Return the task of a folder as in a suite file; on data of the package it has the name that a suite gives it."""
    folder = text[text.index(EMBEDDED_PREFIX) :] if _is_embedded(text) else text.rpartition(":")[2]
    at = place_data(Path(folder), Path.cwd(), "tasks")
    if not at.is_dir():
        raise ConfigError(f"tasks: there is no folder {normpath(at)}")
    kind = text.removesuffix(folder).removesuffix(":") or _type_of(at, folder)
    embedded = (task for tasks in embedded_tasks().values() for task in tasks)
    names = {(task.type, task.path.resolve()): task.name for task in embedded if task.path is not None}
    return {"name": names.get((kind, at.resolve())) or slug(at.name), "type": kind, "path": str(at)}


def _type_of(folder: Path, text: str) -> str:
    """Return the one task type that can read a folder, which was given as that text."""
    types, errors = check_folder(folder)
    if not types and not errors:
        raise ConfigError(f"{folder} is data of no type; touchstone data check {folder} says what each type needs")
    if len(types) != 1:
        why = (
            f"can be read as {' and '.join(types)}"
            if types
            else f"is data of no type ({', '.join(dict.fromkeys(errors.values()))})"
        )
        raise ConfigError(f'{folder} {why}; say which, as in "{next(iter(types or errors))}:{text}"')
    return next(iter(types))


@contextmanager
def spoken_in_python() -> Iterator[None]:
    """Name options in errors by their arguments of Python: ``against = …`` in place of ``--against = …``."""
    try:
        yield
    except TouchstoneError as error:
        text = str(error).replace("add --models ", "add models=")
        spoken = OPTION.sub(_name_argument, text)
        if spoken == str(error):
            raise
        raise type(error)(spoken) from None


def _name_argument(option: re.Match[str]) -> str:
    """Return the argument that an option is from Python; what is none, such as an option of a command, stays so."""
    name = ARGUMENTS.get(option[1] or "", (option[1] or "").replace("-", "_"))
    return name if name in {*MEASURE_OPTIONS, "tasks", "model", "against"} else option[0]


@contextmanager
def named_as_given(suite: str | NamedSuite) -> Iterator[None]:
    """Name a suite that a program made by what it gave: its errors begin with a file that does not exist."""
    try:
        yield
    except ConfigError as error:
        where = "" if isinstance(suite, str) else f"{suite.file}: "
        if isinstance(suite, str) or not str(error).startswith(where):
            raise
        fault = str(error).removeprefix(where)
        tasks = next((start for start in PLACES_OF_TASKS if fault.startswith(start)), None)
        raise ConfigError(
            f"suite {suite.name}: {fault}" if tasks is None else f"tasks: {fault[len(tasks) :]}"
        ) from None


def device_for(loaded: Any, device: str) -> str:
    """Return the device as options take it: a model in memory is measured on its own device.

    Raises:
        ConfigError: another device is asked for.
    """
    location = find_place(loaded)
    if location is None or device in ("auto", location) or (device == "cuda" and location.startswith("cuda")):
        return location or device
    raise ConfigError(f'device = "{device}", but the model lies on {location}; move it there, or leave device out')


def check_tasks(tasks: object) -> None:
    """Check that tasks exist, without opening them.

    Raises:
        ConfigError: there is no such task.
    """
    suite = give_suite(tasks)
    with spoken_in_python(), named_as_given(suite):
        named = load_suite(suite, Path.cwd()) if isinstance(suite, str) else suite
        find_tasks(named.suite.tasks, str(named.file))
