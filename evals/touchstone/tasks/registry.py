"""Registry of mteb's tasks, cached in one file for each version of mteb: importing mteb takes seconds."""

import ast
import hashlib
import inspect
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from touchstone.environment import is_editable
from touchstone.files.writing import write_atomically
from touchstone.seams import import_libraries

if TYPE_CHECKING:
    from mteb import AbsTask


TASKS = "mteb.tasks"
# Functions by which loaders of tasks ask for data; all of them go through `seams.local_datasets`.
LOAD_FUNCTIONS = {"load_dataset", "get_dataset_config_names", "get_dataset_split_names"}
# Part of the file's name, so that another version is another file.
FORMAT_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A task as part of a benchmark or an aggregate; None is all of its splits or subsets."""

    task: str
    splits: tuple[str, ...] | None = None
    subsets: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A task of mteb's.

    ``spoken`` maps each subset to its language codes with scripts, such as ``deu-Latn fra-Latn``. ``dataset`` and
    ``revision`` are on the hub; ``parts`` are the tasks whose scores an aggregate combines. ``pinned`` is false where
    the task's own loader asks for data without a revision, and gets the newest.
    """

    name: str
    type: str
    main_score: str
    splits: tuple[str, ...]
    subsets: tuple[str, ...]
    spoken: Mapping[str, str]  # not lists: one task has 41 412 subsets, and reading the file would take thrice as long
    modalities: tuple[str, ...]
    dataset: str
    revision: str
    parts: tuple[Part, ...] = ()
    pinned: bool = True


@dataclass(frozen=True, kw_only=True)
class Registry:
    """All of mteb's tasks by name, superseded ones too, the names of the current ones, and the parts of benchmarks."""

    tasks: Mapping[str, Definition]
    current: tuple[str, ...]
    types: tuple[str, ...]
    benchmarks: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)

    def take(self, part: Part) -> Definition:
        """Return the task of a part with the part's splits and subsets."""
        task = self.tasks[part.task]
        splits = task.splits if part.splits is None else part.splits
        return replace(task, splits=splits, subsets=task.subsets if part.subsets is None else part.subsets)

    @cached_property
    def membership(self) -> Mapping[str, tuple[str, ...]]:
        """The benchmarks that hold each task."""
        benchmarks: dict[str, dict[str, None]] = {}
        for name, parts in self.benchmarks.items():
            for part in parts:
                benchmarks.setdefault(part.task, {})[name] = None
        return {task: tuple(names) for task, names in benchmarks.items()}


@cache
def load_registry() -> Registry:
    """Return the registry of the installed mteb, from its cache file or from mteb itself.

    The file's name holds the hash of all files of the installed package, as its installer recorded them. Without such a
    record, as for a checkout under development, mteb is asked each time.
    """
    file, shape = _file(), TypeAdapter(Registry)
    if file is not None:
        try:
            return shape.validate_json(file.read_bytes())
        except (OSError, ValueError):
            pass  # not made yet, or damaged
    registry = read_mteb()
    if file is not None:
        with suppress(OSError):  # a home that cannot be written costs time, nothing else
            write_atomically(file, shape.dump_json(registry))
    return registry


def package_digest() -> str | None:
    """Return the hash of the installed mteb, or None if its files may change at any time."""
    try:
        package = distribution("mteb")
    except PackageNotFoundError:
        return None
    record = package.read_text("RECORD")
    return None if record is None or is_editable(package) else hashlib.sha256(record.encode()).hexdigest()


def read_mteb() -> Registry:
    """Return the registry from mteb itself."""
    from typing import get_args

    with quiet_mteb():
        import_libraries("mteb")
        import mteb
        from mteb.abstasks.task_metadata import TaskType

        tasks = mteb.get_tasks(exclude_superseded=False, exclude_private=False, exclude_beta=False)
        definitions = {task.metadata.name: define(task) for task in tasks}
        return Registry(
            tasks=definitions,
            current=tuple(task.metadata.name for task in mteb.get_tasks()),
            types=tuple(get_args(TaskType)),
            benchmarks={
                benchmark.name: tuple(_part(task, definitions) for task in benchmark.tasks)
                for benchmark in mteb.get_benchmarks()
            },
        )


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


def define(task: "AbsTask") -> Definition:
    """Return the definition of a task, from its metadata."""
    metadata = task.metadata
    parts: Any = metadata.tasks if task.is_aggregate else []  # type: ignore[attr-defined]  # an aggregate's metadata has
    return Definition(
        name=metadata.name,
        type=metadata.type,
        main_score=metadata.main_score,
        splits=tuple(task.eval_splits),
        subsets=tuple(task.hf_subsets),
        spoken={name: " ".join(codes) for name, codes in metadata.hf_subsets_to_langscripts.items()},
        modalities=tuple(metadata.modalities),
        dataset=metadata.dataset["path"],
        revision=metadata.revision,
        parts=tuple(
            Part(task=part.metadata.name, splits=tuple(part.eval_splits), subsets=tuple(part.hf_subsets))
            for part in parts
        ),
        pinned=all(is_pinned(kind.__module__) for kind in type(task).__mro__ if kind.__module__.startswith(TASKS)),
    )


@cache
def is_pinned(module: str) -> bool:
    """Return True if a module of mteb's passes a revision wherever it asks for data."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    asking = (call for call in calls if ast.unparse(call.func).rpartition(".")[2] in LOAD_FUNCTIONS)
    return all(any(word.arg in (None, "revision") for word in call.keywords) for call in asking)


def _part(task: "AbsTask", definitions: Mapping[str, Definition]) -> Part:
    name, splits, subsets = task.metadata.name, tuple(task.eval_splits), tuple(task.hf_subsets)
    definition = definitions[name]
    return Part(
        task=name,
        splits=None if splits == definition.splits else splits,
        subsets=None if subsets == definition.subsets else subsets,
    )


def _file() -> Path | None:
    import platformdirs

    digest = package_digest()
    if digest is None:
        return None
    name = f"mteb-{distribution('mteb').version}-{digest[:16]}-{FORMAT_VERSION}.json"
    return Path(platformdirs.user_cache_dir("touchstone", appauthor=False)) / name
