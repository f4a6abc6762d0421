"""Tasks, mteb's and custom ones: find them without data, open one with its data."""

from evals.tasks.catalog import find_tasks, known_tasks
from evals.tasks.columns import columns_read_once
from evals.tasks.definitions import define_task, find_aggregates
from evals.tasks.identity import identify_data
from evals.tasks.opening import OpenTask, open_task
from evals.tasks.registry import package_digest

__all__ = [
    "OpenTask",
    "columns_read_once",
    "define_task",
    "find_aggregates",
    "find_tasks",
    "identify_data",
    "known_tasks",
    "open_task",
    "package_digest",
]
