"""Tasks, mteb's and custom ones: find them without data, open one with its data."""

from evals.tasks.catalog import find_tasks, known_tasks
from evals.tasks.opening import OpenTask, open_task

__all__ = ["OpenTask", "find_tasks", "known_tasks", "open_task"]
