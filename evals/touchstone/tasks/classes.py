"""Tasks whose class is the user's own: an `AbsTask` of mteb's, named in a suite or by another installed package.

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
# What loads the data of a task. Where a class has one of these of its own, nothing tells beforehand what is read.
LOADERS = ("load_data", "fast_load", "dataset_transform")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskClass:
    """A class that was imported, and what it says of itself.

    ``code`` is what its files hashed to then, None where they cannot be found. ``version`` is the class's own word for
    its data. ``loads_itself``: a part of the loading is its own.
    """

    kind: "type[AbsTask]"
    definition: Definition
    code: str | None
    version: str | None
    loads_itself: bool

    @property
    def file(self) -> str:
        """The file that the class is written in."""
        return str(getattr(sys.modules.get(self.kind.__module__), "__file__", ""))

    @property
    def on_hub(self) -> bool:
        """Whether its data is a repository's, as its metadata says, and nothing else."""
        return not self.loads_itself and not self.definition.parts and self.folder is None

    @property
    def folder(self) -> Path | None:
        """The folder of its data, where its metadata names one of this machine in the place of a repository."""
        return find_folder(self.definition.dataset)


@cache
def load_class(reference: str) -> TaskClass:
    """Import a class, and check all that can be known of it without its data.

    Raises:
        ConfigError: it cannot be imported, or is no task that can be run; the sentence begins with the reference.
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
            raise ConfigError(f'"{reference}" cannot be made an object of: {first_line(error)}') from error
    version = getattr(kind, "version", None)
    return TaskClass(
        kind=kind,
        definition=definition,
        code=code,
        version=None if version is None else str(version),
        loads_itself=any(getattr(kind, name).__module__.partition(".")[0] != "mteb" for name in LOADERS),
    )


def hash_code(reference: str) -> str | None:
    """Return the hash of the code behind a class as it is now, with what it imports."""
    known = identify_code(reference)
    return None if known is None else sha256(to_json(known).encode()).hexdigest()[:16]


def check_code(info: TaskInfo) -> None:
    """Refuse a class whose files are others than when it was imported: what runs is not what lies there.

    Raises:
        SourceError: they have changed.
    """
    if info.code is not None and hash_code(info.code) != load_class(info.code).code:
        raise SourceError(f"the code of {info.code} changed after it was imported; run again when it rests")


def _find_fault(kind: Any) -> str | None:
    """Return what is wrong with what a reference names, as a sentence goes on behind its name."""
    from mteb import AbsTask, TaskMetadata

    if not (isinstance(kind, type) and issubclass(kind, AbsTask)):
        return "is no class under mteb's AbsTask"
    if lacking := sorted(getattr(kind, "__abstractmethods__", ())):
        return f"lacks {', '.join(lacking)}; write it, or inherit from the class of a type, such as AbsTaskRetrieval"
    metadata = getattr(kind, "metadata", None)
    if not isinstance(metadata, TaskMetadata):
        return "has no metadata; expected a TaskMetadata of mteb's"
    version = getattr(kind, "version", None)
    if version is not None and (isinstance(version, bool) or not isinstance(version, str | int | float)):
        return f"has a version of {type(version).__name__}; expected a text or a number"
    return _find_wrong_metadata(metadata)


def _find_wrong_metadata(metadata: Any) -> str | None:
    registry = load_registry()
    if not NAME.fullmatch(metadata.name):
        return f'is called "{metadata.name}", which may hold only {SIGNS}'
    if metadata.name in registry.tasks:
        return f'is called "{metadata.name}" as a task of mteb is; give it a name of its own'
    if metadata.type not in {*registry.types, *(one.name for one in all_types())}:
        return f'is of the type "{metadata.type}", which there is not'
    for key in ("main_score", "eval_splits", "eval_langs", "modalities"):
        if not getattr(metadata, key, None):
            return f"has no {key} in its metadata"
    wrong = next((code for code in metadata.bcp47_codes if not _is_language(code)), None)
    return None if wrong is None else f'has "{wrong}" in its eval_langs, which is no code such as "eng-Latn"'


def _is_language(code: str) -> bool:
    from mteb.languages import check_language_code

    try:
        check_language_code(code)
    except ValueError:
        return False
    return code.count("-") == 1


def describe_problem(reference: str, doing: str, error: BaseException) -> SourceError:
    """Return what to say of an exception in a class: which, in which line of its file, doing what."""
    file = load_class(reference).file
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    where = f", line {lines[-1]}" if lines else ""
    return SourceError(f"{reference}{where}: {doing} raised {first_line(error)}")


@contextmanager
def telling(info: TaskInfo, doing: str) -> Iterator[None]:
    """Make one sentence of whatever a class of the user's own raises; what other tasks raise is none of theirs.

    Raises:
        SourceError: naming the class and what it raised.
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
    """Return what is known of a task, mteb's or a class's; None for one that was added to mteb in this process."""
    return load_registry().tasks.get(info.name) if info.code is None else load_class(info.code).definition


def registered() -> Mapping[str, str]:
    """Return the references of the classes that other packages register, by the names of their tasks.

    Raises:
        ConfigError: one is called as a task of mteb's is.
    """
    found = find_references(GROUP)
    for name in found:
        if name in load_registry().tasks:
            raise ConfigError(f"{GROUP}: {name} is called as a task of mteb is; mend or uninstall its package")
    return found


def find_registered(selection: Selection) -> dict[str, str]:
    """Return those of them that a selection may mean: no other is imported.

    Raises:
        ConfigError: one of these cannot be run, or its task has another name.
    """
    if selection.benchmark is not None:
        return {}

    def matches(name: str, patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in patterns)

    found = {
        name: reference
        for name, reference in registered().items()
        if not matches(name, selection.exclude) and matches(name, selection.include or ("*",))
    }
    for name, reference in found.items():
        try:
            called = load_class(reference).definition.name
        except ConfigError as error:
            raise ConfigError(f"{GROUP}: {name} = {error}; mend or uninstall its package") from error
        if called != name:
            raise ConfigError(
                f'{GROUP}: {name} = "{reference}" is called "{called}" by its metadata; give both one name'
            )
    return found
