"""Suites: which tasks on which models, where their data is, and how strictly they are judged."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from os.path import relpath
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import Field

from touchstone.config.base import Spec, check_counts
from touchstone.config.models import check_models
from touchstone.errors import ConfigError, suggest
from touchstone.files import literals as plain
from touchstone.files.validation import Number, Strict, WholeNumber, check
from touchstone.files.writing import place, read_toml
from touchstone.own_code import check_reference
from touchstone.records.cases import Policy, Source
from touchstone.records.names import NAME, SIGNS
from touchstone.task_types.registry import all_types, find_type

LANGUAGE = re.compile(r"[a-z]{3}-[A-Z][a-z]{3}")
BUILT_IN = Path(__file__).parent.parent / "suites"
# The suite that `touchstone init` makes, and all of its kind: the folder of their project names them.
INIT_FILE = Path("evals/suite.toml")
# The prefix of paths to data that comes with the package, and the folder of that data.
EMBEDDED_PREFIX, DATA_FOLDER = "touchstone:", Path(__file__).parent.parent / "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomTask(Strict):
    """A folder of tables that is run like a task of mteb's, or a class of the user's own."""

    name: str | None = None
    """The task's name."""
    type: str | None = None
    """The task type, in mteb's spelling."""
    path: Path | None = None
    """The folder of the data."""
    language: str = ""
    """A code such as ``eng-Latn``, or several with blanks between; without it, that which its subsets are called by."""
    class_: Annotated[str | None, Field(alias="class")] = None
    """An ``AbsTask`` of mteb's as ``module:name``, in place of all other keys."""

    def __post_init__(self) -> None:
        if self.class_ is not None:
            check_reference(self.class_, "class")
            if self.path is not None:
                raise ValueError(f'path = "{self.path}" beside class, which loads its data itself; drop one')
        elif self.name is None or self.type is None or self.path is None:
            missing_key = next(key for key in ("name", "type", "path") if getattr(self, key) is None)
            raise ValueError(f'needs a key "{missing_key}"')
        else:
            self._check_folder(self.name, self.type)

    def _check_folder(self, name: str, type_name: str) -> None:
        if str(self.path) == ".":
            raise ValueError('path = ""; expected the folder of the data')
        if not NAME.fullmatch(name):
            raise ValueError(f'name = "{name}" may hold only {SIGNS}')
        if find_type(type_name).folder is None:
            names = [t.name for t in all_types() if t.folder is not None]
            near = suggest(type_name, names)
            right = near if near.endswith("?") else f"; expected one of {', '.join(names)}"
            raise ValueError(f'type = "{type_name}"{right}')
        if not all(map(LANGUAGE.fullmatch, self.language.split())):
            raise ValueError(f'language = "{self.language}"; expected a code such as "eng-Latn"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection(Strict):
    """The ``[tasks]`` table. All keys intersect; ``custom`` tasks are added."""

    benchmark: str | None = None
    """A benchmark of mteb's, as in ``MTEB(eng, v2)``."""
    types: tuple[str, ...] = ()
    """Only these task types, in mteb's spelling."""
    languages: tuple[str, ...] = ()
    """Only tasks in these languages, by codes such as ``eng``."""
    include: tuple[str, ...] = ()
    """Only these tasks, by names and globs. Exact names find superseded tasks too."""
    exclude: tuple[str, ...] = ()
    """Not these tasks, by names and globs."""
    subsets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Only these subsets, by task name."""
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Only these splits, by task name."""
    custom: tuple[CustomTask, ...] = ()
    """Tasks of your own, which are added."""

    @property
    def asks_mteb(self) -> bool:
        """Whether any of mteb's own tasks are asked for."""
        return bool(self.benchmark or self.types or self.languages or self.include)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate(Strict):
    """The ``[gate]`` table, all in fractions of 1: one point is 0.01."""

    margin: Number = 0.01
    """The loss that a case may have."""
    margins: Mapping[str, Number] = field(default_factory=dict)
    """The same by task type."""
    floors: Mapping[str, Number] = field(default_factory=dict)
    """By task: below it a case fails, whatever its baseline says."""
    alpha: Number = 0.05
    """The rate of false alarms among a model's cases."""
    suite_margin: Number = 0.005
    """The loss that the mean over a model's cases may have."""
    bound: Number = 0.002
    """How far ``--gate equivalent`` lets a case move."""

    def __post_init__(self) -> None:
        fractions = {name: getattr(self, name) for name in ("margin", "alpha", "suite_margin", "bound")}
        for name, margin in {**fractions, **self.margins}.items():
            if not 0 < margin < 0.5:
                raise ValueError(f"{name} = {margin}; expected more than 0 and less than 0.5; one point is 0.01")
        for name, floor in self.floors.items():
            if not -1 <= floor <= 1:
                raise ValueError(f"floors.{name} = {floor}; expected a fraction of 1; 80 points are 0.80")

    def policy(self, task: str, type_name: str) -> Policy:
        """Return how a task is judged."""
        return Policy(
            margin=self.margins.get(type_name, self.margin),
            floor=self.floors.get(task),
            alpha=self.alpha,
            bound=self.bound,
            suite_margin=self.suite_margin,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite(Strict):
    """A suite file. Paths are relative to the file's own folder."""

    models: tuple[str, ...] = ()
    """Models, as ``--model`` names them."""
    tasks: Selection = Selection()
    """Which tasks."""
    gate: Gate = Gate()
    """How strictly they are judged."""
    source: Source | None = None
    """Where data sets are."""
    limit: WholeNumber | None = None
    """The maximum number of queries, rows or pairs of each split and subset, as ``--limit``."""
    limits: Mapping[str, WholeNumber] = field(default_factory=dict)
    """The same, by task."""
    slices: tuple[str, ...] = ()
    """Fields of samples by which figures are shown, too; no verdict depends on them."""
    store: Path | None = None
    """The folder of the store, as ``--store``."""
    stage_folders: bool = False
    """Whether results of a pipeline's two models are also kept apart, in ``stage1`` and ``stage2``."""

    def __post_init__(self) -> None:
        check_counts(self, "limit")
        for name, limit in self.limits.items():
            if limit < 1:
                raise ValueError(f"limits.{name} = {limit}: must be 1 or more")
        for name in self.slices:
            if not NAME.fullmatch(name):
                raise ValueError(f'slices: "{name}" may hold only {SIGNS}')
            if self.slices.count(name) > 1:
                raise ValueError(f'slices: "{name}" is there twice; name each field once')
        if self.store is not None and str(self.store) == ".":
            raise ValueError('store = ""; expected a folder')


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSuite:
    """A suite with where it came from: ``name`` for people, ``file`` for errors and relative paths.

    ``models`` are those that the suite defines itself, by alias; ``notes`` tell where a file means something else here.
    """

    name: str
    file: Path
    suite: Suite
    models: Mapping[str, Spec] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def is_suite_file(name: str) -> bool:
    """Return True if a suite is named by its file rather than by a built-in name."""
    return _split(name)[0].endswith((".toml", *plain.SUFFIXES))


def built_in_suites() -> dict[str, Path]:
    """Return the files of the built-in suites, by name."""
    return {file.stem: file for file in BUILT_IN.glob("*.toml")}


@cache
def embedded_tasks() -> Mapping[str, tuple[CustomTask, ...]]:
    """Return the built-in suites' tasks on data of the package, by the suite's name."""
    loaded = {name: load_suite(name, BUILT_IN) for name in sorted(built_in_suites())}
    return {name: s.suite.tasks.custom for name, s in loaded.items() if s.suite.tasks.custom}


def load_suite(name: str, folder: Path, models: Mapping[str, Spec] | None = None) -> NamedSuite:
    """Read a suite by its name, or by its path.

    Args:
        name: a built-in name; a TOML file; or an EvalScope configuration, JSON, YAML or Python, the last as
            ``FILE.py:NAME`` where it holds several.
        folder: what a relative path is relative to.
        models: those of models.toml, for an EvalScope configuration to name.

    Raises:
        ConfigError: there is no such suite, or something in it is wrong.
    """
    built_in = built_in_suites()
    path, inner = _split(name)
    if is_suite_file(name) and not place(folder, path).exists():
        _refuse_missing(place(folder, path), path, folder)
    if is_suite_file(name) and not path.endswith(".toml"):
        return _load_evalscope(place(folder, path), inner, models or {})
    file = place(folder, name) if name.endswith(".toml") else built_in.get(name)
    if file is None:
        if name and place(folder, name).is_dir():
            example = next((f"{name.rstrip('/')}/{f.name}" for f in _files_in(place(folder, name))), "DIR/suite.toml")
            raise ConfigError(f'--suite = "{name}" is a folder; name the file of a suite, as in {example}')
        hint = suggest(name, built_in)
        raise ConfigError(f'--suite = "{name}" is neither a file (.toml, .json, .yaml, .py) nor a built-in suite{hint}')
    suite = _check_suite(read_toml(file), str(file), file)
    return NamedSuite(name=_name(file), file=file, suite=suite)


def _name(file: Path) -> str:
    """Return the name of a suite: that of its file, or that of its project's folder for a ``suite.toml``."""
    if file.name != INIT_FILE.name:
        return file.stem
    folders = (folder.name for folder in file.resolve().parents if folder.name != INIT_FILE.parent.name)
    return next(folders, "") or file.stem


def _refuse_missing(file: Path, typed: str, folder: Path) -> None:
    """Refuse a file that is not there, with who names it, and the nearest file of the project."""
    project = next((parent for parent in file.parents if _default_of(parent) == file), None)
    where = "--suite" if project is None else f"{project / 'pyproject.toml'}: [tool.touchstone] suite"
    base, name = (folder, typed) if project is None else (project, relpath(file, project))
    files = [relpath(path, base) for place in (base, *base.glob("*/")) for path in _files_in(place)]
    near = suggest(name, files)
    raise ConfigError(f'{where} = "{name}": no such file{near if near.endswith("?") else ""}')


def _files_in(folder: Path) -> list[Path]:
    """Return the files of a folder that may be suites, the likeliest first."""
    others = ("pyproject.toml", "models.toml")
    return sorted((f for f in folder.glob("*.toml") if f.name not in others), key=lambda f: f.name != "suite.toml")


def _default_of(folder: Path) -> Path | None:
    """Return the file that a folder's pyproject.toml names as its suite."""
    with suppress(ConfigError, LookupError, TypeError):  # what is wrong in it is told where it is read
        file = folder / "pyproject.toml"
        return place(folder, read_toml(file)["tool"]["touchstone"]["suite"]) if file.is_file() else None
    return None


def make_suite(name: str, tables: Mapping[str, Any], folder: Path) -> NamedSuite:
    """Return a suite from the tables that a program passes; its models are passed elsewhere.

    Args:
        name: the suite's name, for people.
        tables: the keys and tables of a suite file.
        folder: what relative paths are relative to.

    Raises:
        ConfigError: something in it is wrong.
    """
    file = folder / name
    return NamedSuite(name=name, file=file, suite=_check_suite({"models": [name], **tables}, f"suite {name}", file))


def _load_evalscope(file: Path, inner: str | None, named_models: Mapping[str, Spec]) -> NamedSuite:
    # Imported late: few suites are EvalScope's.
    from touchstone.config.evalscope.convert import convert
    from touchstone.config.evalscope.schema import read_evalscope

    converted = convert(read_evalscope(file, inner), file, named_models)
    models = check_models(converted.models, f"{file}, read as models", file.parent, named_models)
    for alias, spec in models.items():
        if spec.stages and named_models.get(alias, spec) != spec:
            raise ConfigError(f'{file}: a model would be called "{alias}", as another is in models.toml')
    return NamedSuite(
        name=inner or file.stem,
        file=file,
        suite=_check_suite(converted.suite, f"{file}, read as a suite", file),
        models=models,
        notes=converted.notes,
    )


def _split(name: str) -> tuple[str, str | None]:
    """Split the name of a suite into its file and, of a Python file that holds several, the configuration's name."""
    path, _, inner = name.rpartition(".py:")
    return (f"{path}.py", inner) if path and inner.isidentifier() else (name, None)


def _check_suite(data: Mapping[str, Any], where: str, file: Path) -> Suite:
    suite = check(Suite, data, where)
    if not suite.models:
        raise ConfigError(f'{where}: models must name at least one model, as in models = ["minilm"]')
    if not (suite.tasks.asks_mteb or suite.tasks.custom):
        raise ConfigError(f"{where}: [tasks] selects nothing; name a benchmark, types, languages, include or custom")
    custom = tuple(
        task if task.path is None else replace(task, path=place_data(task.path, file.parent, where))
        for task in suite.tasks.custom
    )
    source = suite.source
    if source is not None:
        source = _check_source(source, file.parent, f"{where}: [source]", 'path = "DIR"')
    store = None if suite.store is None else place(file.parent, suite.store)
    return replace(suite, tasks=replace(suite.tasks, custom=custom), source=source, store=store)


def place_data(path: Path, folder: Path, where: str) -> Path:
    """Return where the data of a task is: relative to a folder, or in the package.

    Raises:
        ConfigError: the package has no such data.
    """
    name = str(path).removeprefix(EMBEDDED_PREFIX)
    if name == str(path):
        return place(folder, path)
    names = sorted(f.name for f in DATA_FOLDER.iterdir() if (f / "test.jsonl").is_file() or (f / "qrels").is_dir())
    if name not in names:
        raise ConfigError(
            f'{where}: path = "{path}": the package has the data {", ".join(names)}{suggest(name, names)}'
        )
    return DATA_FOLDER / name


def parse_source(text: str, folder: Path, where: str) -> Source:
    """Read ``hub``, ``mirror:DIR`` or ``modelscope:DIR``.

    Raises:
        ConfigError: the text is none of these, or there is no such directory.
    """
    kind, _, path = text.partition(":")
    kinds = get_args(get_type_hints(Source)["kind"])
    if kind not in kinds or (kind == "hub" and ":" in text):
        right = '"hub", "mirror:DIR" or "modelscope:DIR"'
        raise ConfigError(f'{where} = "{text}"; expected {right}{suggest(kind, kinds)}')
    return _check_source(check(Source, {"kind": kind, "path": path or None}, where), folder, where, f"{kind}:DIR")


def _check_source(source: Source, folder: Path, where: str, example: str) -> Source:
    if source.kind == "hub":
        if source.path is not None:
            raise ConfigError(f"{where}: the hub takes no path; a directory is a mirror")
        return source
    if source.path is None or str(source.path) == ".":
        raise ConfigError(
            f"{where}: {'a mirror' if source.kind == 'mirror' else 'ModelScope'} needs a directory, as in {example}"
        )
    path = place(folder, source.path)
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{where}: {path} is no directory")
    if source.kind == "mirror" and not path.is_dir():  # one of ModelScope is made when something is fetched
        raise ConfigError(f"{where}: there is no directory {path}")
    return replace(source, path=path)
