"""What a program gives: a model, tasks, and options by their names in Python."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypedDict

from touchstone.config.base import Spec
from touchstone.config.models import make_spec
from touchstone.config.options import Inconclusive, Options
from touchstone.config.suites import NamedSuite, built_in_suites, is_suite_file, load_suite, make_suite
from touchstone.errors import ConfigError, suggest
from touchstone.files.writing import place
from touchstone.models.files.detection import kind_at
from touchstone.models.in_memory import InMemorySpec, find_place, make_in_memory
from touchstone.records.cases import BaselineMode, GateRule
from touchstone.records.names import NAME, SIGNS, slug
from touchstone.tasks.catalog import find_tasks
from touchstone.tasks.checking import check_folder


class GateOptions(TypedDict, total=False):
    """How cases are judged, and where things lie; each is the option of ``pytest evals`` with this name.

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
    """How a model is measured, beside how it is judged.

    ``device`` is ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; a model in memory is measured where it lies.
    ``limit`` keeps at most so many queries, rows or pairs of each split and subset. ``select`` are globs of tasks of
    the suite. ``baseline`` is ``check``, ``record``, ``update`` or ``off``. ``source`` is ``hub``, ``mirror:DIR`` or
    ``modelscope:DIR``, and ``models`` a TOML file with more named models. ``offline`` keeps the whole process from the
    network, from then on. ``progress`` is True for a line of progress in a notebook or a terminal, False for none,
    or a function that is called with a few words on what is being done; by default a notebook has the line.
    """

    device: str
    limit: int
    select: Sequence[str]
    baseline: BaselineMode
    source: str
    models: str | Path
    offline: bool
    overwrite: bool
    progress: Callable[[str], None] | bool


# The rows of the option table that have another name there.
CALLED: Mapping[str, str] = {"select": "tasks", "models": "models_files"}
OF_GATE, OF_MEASURING = (frozenset(one.__annotations__) for one in (GateOptions, MeasureOptions))


def parse_options(given: Mapping[str, Any], known: frozenset[str], **more: Any) -> Options:
    """Return the options of a program against the defaults of the project in the working directory.

    Args:
        given: by their names in Python.
        known: the names that there are.
        more: by their names in the option table.

    Raises:
        ConfigError: naming the option and what it may be.
    """
    if unknown := sorted(given.keys() - known):
        raise ConfigError(f"{unknown[0]} = … is no option here{suggest(unknown[0], known)}")
    typed = {CALLED.get(name, name): _as_typed(value) for name, value in given.items() if name != "progress"}
    here = Path.cwd()
    command = ("pytest", "-p", "touchstone.plugin", "--pyargs", "touchstone")
    return Options.parse({**typed, **more}, root=here, cwd=here, command=command)


def _as_typed(value: Any) -> Any:
    """Return a value as it is typed on a command line."""
    if isinstance(value, bool | None):
        return value
    if isinstance(value, float):
        return format(Decimal(str(value)), "f")
    return [str(one) for one in value] if isinstance(value, list | tuple) else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A model as options take it: what is typed, and its specification where no command could name it."""

    text: str
    objects: Mapping[str, Spec] = field(default_factory=dict)

    @property
    def loaded(self) -> Any:
        """The model in memory; None where it is not there."""
        return next((one.loaded for one in self.objects.values() if isinstance(one, InMemorySpec)), None)


class Model:
    """A model under an alias, with settings: what a table of ``models.toml`` says, as keyword arguments.

    Args:
        source: a folder, the id of a hub, what a command takes (``ALIAS@key=value``), or a model in memory: one of
            sentence-transformers, or an object with ``encode``, ``index`` and ``search``, or ``rerank``.
        alias: the name in reports and baselines; by default that of the folder or id, and ``model`` of one in memory.
        settings: keys of ``models.toml``, such as ``prompts`` or ``pooling``. What can be set on a model in memory is
            set there, and only the rest is said here.
    """

    def __init__(self, source: object, alias: str | None = None, **settings: Any) -> None:
        self.source = source
        self.alias = alias
        self.settings = settings

    def give(self) -> Given:
        """Return the model as options take it.

        Raises:
            ConfigError: it is no model, or a setting is wrong.
        """
        if not isinstance(self.source, str | Path):
            alias = self._check(self.alias or "model")
            return Given(text=alias, objects={alias: make_in_memory(self.source, self.settings, f'Model("{alias}")')})
        text = str(self.source)
        if not self.settings:
            return Given(text=text if self.alias is None else f"{text}={self.alias}")
        alias = self._check(self.alias or slug(Path(text).name))
        folder, where = place(Path.cwd(), text), f'Model("{alias}")'
        said = {"path": str(folder), "kind": kind_at(folder)} if folder.is_dir() else {"id": text}
        return Given(text=alias, objects={alias: make_spec({**said, **self.settings}, where)})

    def _check(self, alias: str) -> str:
        if not NAME.fullmatch(alias):
            raise ConfigError(f'alias = "{alias}" may hold only {SIGNS}')
        return alias


class Suite:
    """Tasks and how they are judged: what a suite file says, as keyword arguments.

    Args:
        name: of the suite, for reports.
        tables: keys and tables of a suite file, such as ``tasks={"include": ["STS*"]}``, ``gate={"margin": 0.02}`` or
            ``limit=300``; paths are relative to the working directory.

    Raises:
        ConfigError: a key or a value is wrong.
    """

    def __init__(self, name: str = "suite", **tables: Any) -> None:
        self.named: NamedSuite = make_suite(name, tables, Path.cwd())


def give_model(model: object) -> Given:
    """Return whatever names or is a model as options take it.

    Raises:
        ConfigError: it is no model.
    """
    return (model if isinstance(model, Model) else Model(model)).give()


def give_suite(tasks: object) -> str | NamedSuite:
    """Return the suite of some tasks: by its name or file, or made of them.

    Args:
        tasks: a `Suite`; the name of a built-in one or the file of one; else names and globs of tasks of mteb's, and
            folders of one's own data, with their type before a colon where several can read them; one or several.

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
    if not isinstance(tasks, Sequence) or not tasks or not all(isinstance(one, str | Path) for one in tasks):
        raise ConfigError(f"tasks = {tasks!r}; expected a Suite, a suite's name or file, or names of tasks and folders")
    # A name alone is never a folder: one that happens to lie here would pass for the task.
    names = [one for one in tasks if isinstance(one, str) and "/" not in one]
    typed = [str(one).rpartition(":") for one in tasks if one not in names]
    folders = [(place(Path.cwd(), folder), kind) for kind, _, folder in typed]
    custom = [{"name": slug(at.name), "type": kind or _type_of(at), "path": str(at)} for at, kind in folders]
    return make_suite("tasks", {"tasks": {"include": names, "custom": custom}}, Path.cwd())


def _type_of(folder: Path) -> str:
    """Return the one task type that can read a folder."""
    if not folder.is_dir():
        raise ConfigError(f"tasks: there is no folder {folder}")
    read, refused = check_folder(folder)
    if len(read) != 1:
        why = f"can be read as {' and '.join(read)}" if read else f"is data of no type ({', '.join(refused.values())})"
        raise ConfigError(f'{folder} {why}; say which, as in "{next(iter(read or refused))}:{folder}"')
    return next(iter(read))


def device_for(loaded: Any, asked: str) -> str:
    """Return the device as options take it: a model in memory is measured where it lies.

    Raises:
        ConfigError: another one is asked for.
    """
    lies = find_place(loaded)
    if lies is None or asked in ("auto", lies) or (asked == "cuda" and lies.startswith("cuda")):
        return lies or asked
    raise ConfigError(f'device = "{asked}", but the model lies on {lies}; move it there, or leave device out')


def check_tasks(tasks: object) -> None:
    """Look for tasks, and open none of them.

    Raises:
        ConfigError: one is not there.
    """
    suite = give_suite(tasks)
    named = load_suite(suite, Path.cwd()) if isinstance(suite, str) else suite
    find_tasks(named.suite.tasks, str(named.file))
