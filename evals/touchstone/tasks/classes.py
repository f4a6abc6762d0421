"""Tasks of a user's own class: an `AbsTask` of mteb's, named in a suite or by another installed package.

Another package registers a class in the entry-point group ``touchstone.tasks``, under the name of the task.
"""

import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from touchstone.config.suites import Selection
from touchstone.errors import ConfigError, SourceError, TouchstoneError, first_line
from touchstone.extensions import find_references
from touchstone.files.writing import to_json
from touchstone.own_code import identify_code, load_object
from touchstone.records.cases import TaskInfo
from touchstone.records.names import NAME, SIGNS
from touchstone.retrying import without_frames
from touchstone.seams import import_libraries
from touchstone.task_types.registry import all_types
from touchstone.tasks.registry import Definition, define, load_registry, quiet_mteb
from touchstone.tasks.sources import find_folder

if TYPE_CHECKING:
    from mteb import AbsTask

GROUP = "touchstone.tasks"
# Methods that load the data of a task. A class that overrides one may read anything.
LOAD_METHODS = ("load_data", "fast_load", "dataset_transform")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskClass:
    """An imported class and its metadata.

    ``code`` is the hash of its files at that time, None where they cannot be found. ``version`` is the version that the
    class gives its data. ``loads_itself``: the class overrides a part of the loading.
    """

    kind: "type[AbsTask]"
    definition: Definition
    code: str | None
    version: str | None
    loads_itself: bool

    @property
    def file(self) -> str:
        """The source file of the class."""
        return str(getattr(sys.modules.get(self.kind.__module__), "__file__", ""))

    @property
    def on_hub(self) -> bool:
        """True if its data is only that of the repository in its metadata."""
        return not self.loads_itself and not self.definition.parts and self.folder is None

    @property
    def folder(self) -> Path | None:
        """The local folder of its data, if its metadata names one in the place of a repository."""
        return find_folder(self.definition.dataset)


@cache
def load_class(reference: str) -> TaskClass:
    """Import a class, and check everything about it that needs no data.

    Raises:
        ConfigError: it cannot be imported, or is not a task that can be run; the sentence begins with the reference.
    """
    code = hash_code(reference)
    with quiet_mteb():
        import_libraries("mteb")
        kind: Any = load_object(reference, ConfigError)
        if (fault := _find_fault(kind)) is not None:
            raise ConfigError(f'"{reference}" {fault}')
        try:
            definition = define(kind())
        except Exception as error:  # a class of the user's own may raise anything
            raise ConfigError(f'"{reference}" cannot be instantiated: {first_line(error)}') from error
    version = getattr(kind, "version", None)
    return TaskClass(
        kind=kind,
        definition=definition,
        code=code,
        version=None if version is None else str(version),
        loads_itself=any(getattr(kind, name).__module__.partition(".")[0] != "mteb" for name in LOAD_METHODS),
    )


def hash_code(reference: str) -> str | None:
    """Return the hash of the current code of a class and of the modules that it imports."""
    code = identify_code(reference)
    return None if code is None else sha256(to_json(code).encode()).hexdigest()[:16]


def check_code(info: TaskInfo) -> None:
    """Refuse a class whose files have changed since it was imported: the code on disk is not the code that runs.

    Raises:
        SourceError: the files have changed.
    """
    if info.code is not None and hash_code(info.code) != load_class(info.code).code:
        raise SourceError(f"the code of {info.code} changed after it was imported; run again when it no longer changes")


def _find_fault(kind: Any) -> str | None:
    """Return what is wrong with the object of a reference, as the end of a sentence that begins with the reference."""
    from mteb import AbsTask, TaskMetadata

    if not (isinstance(kind, type) and issubclass(kind, AbsTask)):
        return "is not a subclass of mteb's AbsTask"
    if lacking := sorted(getattr(kind, "__abstractmethods__", ())):
        return f"lacks {', '.join(lacking)}; write it, or inherit from the class of a type, such as AbsTaskRetrieval"
    metadata = getattr(kind, "metadata", None)
    if not isinstance(metadata, TaskMetadata):
        return "has no metadata; expected a TaskMetadata of mteb's"
    version = getattr(kind, "version", None)
    if version is not None and (isinstance(version, bool) or not isinstance(version, str | int | float)):
        return f"has a version of {type(version).__name__}; expected a text or a number"
    return _find_metadata_fault(metadata)


def _find_metadata_fault(metadata: Any) -> str | None:
    registry = load_registry()
    if not NAME.fullmatch(metadata.name):
        return f'is called "{metadata.name}", which may hold only {SIGNS}'
    if metadata.name in registry.tasks:
        return f'has the name "{metadata.name}" of a task of mteb; give it another'
    if metadata.type not in {*registry.types, *(kind.name for kind in all_types())}:
        return f'has the type "{metadata.type}", which does not exist'
    for key in ("main_score", "eval_splits", "eval_langs", "modalities"):
        if not getattr(metadata, key, None):
            return f"has no {key} in its metadata"
    fault = next((code for code in metadata.bcp47_codes if not _is_language(code)), None)
    return None if fault is None else f'has "{fault}" in its eval_langs, which is not a code such as "eng-Latn"'


def _is_language(code: str) -> bool:
    from mteb.languages import check_language_code

    try:
        check_language_code(code)
    except ValueError:
        return False
    return code.count("-") == 1


def describe_problem(reference: str, doing: str, error: BaseException) -> SourceError:
    """Return the error for an exception in a class, with the class, the line of its file, and what it was doing."""
    file = load_class(reference).file
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    where = f", line {lines[-1]}" if lines else ""
    return SourceError(f"{reference}{where}: {doing} raised {first_line(error)}")


@contextmanager
def class_errors(info: TaskInfo, doing: str) -> Iterator[None]:
    """Turn any exception of a user's class into one sentence; exceptions of other tasks are raised as they are.

    Raises:
        SourceError: names the class and its exception.
    """
    try:
        yield
    except TouchstoneError:
        raise
    except (Exception, SystemExit) as error:
        if info.code is None:
            raise
        refusal, cause = describe_problem(info.code, doing, error), without_frames(error)
        raise refusal from cause


def definition_of(info: TaskInfo) -> Definition | None:
    """Return the definition of a task of mteb or of a class; None for one that was added to mteb in this process."""
    return load_registry().tasks.get(info.name) if info.code is None else load_class(info.code).definition


def registered() -> Mapping[str, str]:
    """Return the references of the classes that other packages register, by the names of their tasks.

    Raises:
        ConfigError: one has the name of a task of mteb's.
    """
    references = find_references(GROUP)
    for name in references:
        if name in load_registry().tasks:
            raise ConfigError(f"{GROUP}: {name} has the name of a task of mteb; mend or uninstall its package")
    return references


def find_registered(selection: Selection) -> dict[str, str]:
    """Return the registered classes that a selection may select; no other one is imported.

    Raises:
        ConfigError: one of them cannot be run, or its task has another name.
    """
    if selection.benchmark is not None:
        return {}

    def matches(name: str, patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in patterns)

    references = {
        name: reference
        for name, reference in registered().items()
        if not matches(name, selection.exclude) and matches(name, selection.include or ("*",))
    }
    for name, reference in references.items():
        try:
            task_name = load_class(reference).definition.name
        except ConfigError as error:
            raise ConfigError(f"{GROUP}: {name} = {error}; mend or uninstall its package") from error
        if task_name != name:
            raise ConfigError(
                f'{GROUP}: {name} = "{reference}" is called "{task_name}" by its metadata; give both one name'
            )
    return references
