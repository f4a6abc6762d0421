"""Tasks, mteb's and custom ones: find them without data, open one with its data."""

from evals.tasks.catalog import find_tasks, known_tasks
from evals.tasks.definitions import define_task, find_aggregates
from evals.tasks.opening import OpenTask, open_task

__all__ = ["OpenTask", "define_task", "find_aggregates", "find_tasks", "known_tasks", "open_task"]
