"""What a task's data is known by, before it is read: the key of what was measured on it."""

from evals.errors import EvalsError
from evals.records import Source, TaskInfo
from evals.sources import find_content
from evals.store import Store
from evals.tasks.custom import files_of
from evals.tasks.registry import load_registry


def identify_data(info: TaskInfo, source: Source, store: Store) -> str | None:
    """Return what changes when a task's data does; None where it is not there.

    Of a folder it is the hash of all its files; of the hub the name and revision that mteb asks for.
    """
    if info.folder is not None:
        return store.files_sha256(files_of(info))
    registry = load_registry()
    task = registry.tasks[info.name]
    sets = [registry.tasks[part.task] for part in task.parts] or [task]
    if source.kind == "hub":
        return "\n".join(f"{one.dataset}@{one.revision}" for one in sets)
    try:
        return "\n".join(find_content(source, one.dataset, store) for one in sets)
    except EvalsError:
        return None  # measuring says what is missing
