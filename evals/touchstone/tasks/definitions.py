"""Current definitions of tasks by name, for numbers that were published under an earlier name or definition."""

from collections.abc import Mapping

from touchstone.records.cases import TaskInfo
from touchstone.records.names import RENAMED_TASKS
from touchstone.tasks.catalog import describe
from touchstone.tasks.registry import load_registry


def define_task(name: str) -> TaskInfo | None:
    """Return a task of mteb's as it is defined today, superseded ones too; None if there is none of that name.

    Args:
        name: the current name, or an earlier one.
    """
    definition = load_registry().tasks.get(RENAMED_TASKS.get(name, name))
    return None if definition is None else describe(definition, ())


def find_aggregates() -> Mapping[str, tuple[str, ...]]:
    """Map each aggregate whose score is the plain mean of several tasks of one number each to those tasks' names.

    The tasks are in the order of their names.
    """
    return {
        task.name: tuple(sorted(part.task for part in task.parts))
        for task in load_registry().tasks.values()
        if len(task.parts) > 1 and all(len(part.splits or ()) == len(part.subsets or ()) == 1 for part in task.parts)
    }
