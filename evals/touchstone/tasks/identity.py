"""What a task's data is known by, before it is read: the key of what was measured on it."""

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
    """Return what changes when a task's data does; None where it is not there.

    Of a folder it is the hash of all its files; of the hub the name and the commit that mteb asks for. None too where
    it asks for none: what is newest is measured each time. Of a class of the user's own it is that and the hash of its
    code; where the class loads its data by itself, nobody knows what that will be, unless it says a ``version``.
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
    known = kind.code is not None and (data is not None or kind.version is not None)
    return to_json({"code": kind.code, "version": kind.version, "data": data}) if known else None


def _identify_sets(sets: Sequence[Definition], source: Source, store: Store) -> str | None:
    if not sets:
        return None  # nobody knows where it is
    try:
        if source.kind == "hub":
            return "\n".join(_on_hub(one, store) for one in sets) if all(one.pinned for one in sets) else None
        return "\n".join(find_content(source, one.dataset, store) for one in sets)
    except TouchstoneError:
        return None  # measuring says what is missing


def _on_hub(one: Definition, store: Store) -> str:
    pinned = COMMIT.fullmatch(one.revision)
    commit = one.revision if pinned else open_snapshot(one.dataset, one.revision, store, kind="dataset").commit
    return f"{one.dataset}@{commit}"


def sets_of(info: TaskInfo, *, parts: bool = True) -> list[Definition]:
    """Return the tasks whose data sets a task is on; none where that is not known.

    Args:
        info: the task.
        parts: of an aggregate its children, not itself.
    """
    task = definition_of(info)
    if task is None or (info.code is not None and not load_class(info.code).on_hub):
        return []
    return [load_registry().tasks[part.task] for part in task.parts if parts] or [task]


def watch_data(info: TaskInfo, source: Source, store: Store) -> Callable[..., None]:
    """Look at the files of a task's data; return what looks at them again, and raises SourceError if one has moved.

    That takes ``loaded``: the data was read a moment ago, and a file more beside them would have been too.
    """
    check_code(info)
    with store.watching() as watch:
        before = identify_data(info, source, store)

    def check(*, loaded: bool = False) -> None:
        check_code(info)
        moved = watch.moved(beside=loaded)
        # What was not there when it began was fetched meanwhile, and is watched by whoever opens it.
        if moved is not None or (before is not None and identify_data(info, source, store) != before):
            where = moved or info.folder or source
            raise SourceError(
                f"{where} changed while {info.name} was measured, and nothing of that is kept; run again when it rests"
            )

    return check
