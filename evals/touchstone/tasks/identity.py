"""What a task's data is known by, before it is read: the key of what was measured on it."""

from collections.abc import Callable

from touchstone.errors import SourceError, TouchstoneError
from touchstone.records.cases import Source, TaskInfo
from touchstone.store.folder import Store
from touchstone.tasks.custom import files_of
from touchstone.tasks.registry import Definition, load_registry
from touchstone.tasks.sources import find_content


def identify_data(info: TaskInfo, source: Source, store: Store) -> str | None:
    """Return what changes when a task's data does; None where it is not there.

    Of a folder it is the hash of all its files; of the hub the name and revision that mteb asks for.
    """
    if info.folder is not None:
        return store.files_sha256(files_of(info))
    sets = sets_of(info)
    if not sets:
        return None  # added to mteb in this process
    if source.kind == "hub":
        return "\n".join(f"{one.dataset}@{one.revision}" for one in sets)
    try:
        return "\n".join(find_content(source, one.dataset, store) for one in sets)
    except TouchstoneError:
        return None  # measuring says what is missing


def sets_of(info: TaskInfo) -> list[Definition]:
    """Return the tasks whose data a task is on: itself, or the children of an aggregate; none where it is not known."""
    registry = load_registry()
    task = registry.tasks.get(info.name)
    return [] if task is None else [registry.tasks[part.task] for part in task.parts] or [task]


def watch_data(info: TaskInfo, source: Source, store: Store) -> Callable[..., None]:
    """Look at the files of a task's data; return what looks at them again, and raises SourceError if one has moved.

    That takes ``loaded``: the data was read a moment ago, and a file more beside them would have been too.
    """
    with store.watching() as watch:
        before = identify_data(info, source, store)

    def check(*, loaded: bool = False) -> None:
        moved = watch.moved(beside=loaded)
        # What was not there when it began was fetched meanwhile, and is watched by whoever opens it.
        if moved is not None or (before is not None and identify_data(info, source, store) != before):
            where = moved or info.folder or source
            raise SourceError(
                f"{where} changed while {info.name} was measured, and nothing of that is kept; run again when it rests"
            )

    return check
