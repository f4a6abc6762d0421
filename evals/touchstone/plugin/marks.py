"""The marks of cases: what ``-m`` selects by."""

from functools import cache

import pytest

from touchstone.records.cases import Case
from touchstone.task_types.registry import BUILT_IN_TYPES

# The marks that exist whatever a suite selects, so that -m and --strict-markers know them.
TYPE_MARKS = tuple(task_type.mark for task_type in BUILT_IN_TYPES.values())


def describe_marks() -> list[str]:
    """Return what ``pytest --markers`` shows of them."""
    return [
        *(f"{mark}: cases of that task type" for mark in TYPE_MARKS),
        "language(code): cases with a subset in that language, such as deu",
        "in_benchmark(name): cases of a benchmark of mteb's",
    ]


def marks_of(case: Case) -> list[pytest.MarkDecorator]:
    """Return the marks of a case: its type, its languages, the benchmarks that hold it."""
    task = case.task
    return [
        _mark(task.mark),
        *(_mark("language", code=code) for code in task.language_codes),
        *(_mark("in_benchmark", name=name) for name in task.benchmarks),
        # A project's "error" is about its own code, not about libraries.
        _mark("filterwarnings", "default"),
    ]


@cache  # a few hundred are on thousands of cases
def _mark(kind: str, *arguments: str, **options: str) -> pytest.MarkDecorator:
    mark: pytest.MarkDecorator = getattr(pytest.mark, kind)
    return mark.with_args(*arguments, **options)
