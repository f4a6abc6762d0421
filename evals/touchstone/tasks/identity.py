"""Identity of a task's data before it is read: part of the cache key of whatever is measured on it."""

from collections.abc import Callable, Sequence

from touchstone.errors import SourceError, TouchstoneError
from touchstone.files.writing import to_json
from touchstone.records.cases import Source, TaskInfo
from touchstone.store.folder import Store
from touchstone.store.hub import COMMIT, open_snapshot
from touchstone.tasks.classes import check_code, definition_of, load_class
from touchstone.tasks.custom import files_of
from touchstone.tasks.registry import Definition, load_registry
from touchstone.tasks.sources import files_in, find_content


def identify_data(info: TaskInfo, source: Source, store: Store) -> str | None:
    """Return an identity that changes with a task's data; None where the data is not there or has no identity.

    Of a folder it is the hash of all files; on the hub the name and the commit that mteb asks for. Without a commit
    there is none, as the newest data is measured each time. For a user's class it also has the hash of the code; a
    class that loads its data by itself has no identity unless it gives a ``version``.
    """
    if info.folder is not None:
        return store.files_sha256(files_of(info))
    if info.code is None:
        return _identify_sets(sets_of(info), source, store)
    kind = load_class(info.code)
    if kind.folder is not None and not kind.loads_itself:
        data: str | None = store.files_sha256(files_in(kind.folder))
    else:
        data = _identify_sets(sets_of(info), source, store)
    complete = kind.code is not None and (data is not None or kind.version is not None)
    return to_json({"code": kind.code, "version": kind.version, "data": data}) if complete else None


def _identify_sets(sets: Sequence[Definition], source: Source, store: Store) -> str | None:
    if not sets:
        return None  # the place of the data is not known
    try:
        if source.kind == "hub":
            return "\n".join(_on_hub(task, store) for task in sets) if all(task.pinned for task in sets) else None
        return "\n".join(find_content(source, task.dataset, store) for task in sets)
    except TouchstoneError:
        return None  # measuring raises the error


def _on_hub(task: Definition, store: Store) -> str:
    pinned = COMMIT.fullmatch(task.revision)
    commit = task.revision if pinned else open_snapshot(task.dataset, task.revision, store, kind="dataset").commit
    return f"{task.dataset}@{commit}"


def sets_of(info: TaskInfo, *, parts: bool = True) -> list[Definition]:
    """Return the tasks whose data sets a task reads; none where they are not known.

    Args:
        info: the task.
        parts: for an aggregate, return its children in its place.
    """
    task = definition_of(info)
    if task is None or (info.code is not None and not load_class(info.code).on_hub):
        return []
    return [load_registry().tasks[part.task] for part in task.parts if parts] or [task]


def watch_data(info: TaskInfo, source: Source, store: Store) -> Callable[..., None]:
    """Watch the files of a task's data; return a check that raises SourceError if one of them has changed.

    The check takes ``loaded``: the data was read a moment ago, so that a new file beside the others counts too.
    """
    check_code(info)
    with store.watching() as watch:
        before = identify_data(info, source, store)

    def check(*, loaded: bool = False) -> None:
        check_code(info)
        moved = watch.moved(beside=loaded)
        # Data that was not there at the start was fetched meanwhile, and is watched by whoever opens it.
        if moved is not None or (before is not None and identify_data(info, source, store) != before):
            where = moved or info.folder or source
            raise SourceError(
                f"{where} changed while {info.name} was measured, and nothing of that is kept; "
                "run again when it no longer changes"
            )

    return check
