"""The marks of cases: what ``-m`` selects by."""

import re
from collections.abc import Iterable
from functools import cache

import pytest

from touchstone.errors import suggest
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


def find_near(expression: str, described: Iterable[str]) -> str:
    """Return ``; did you mean "x"?`` for a word of ``-m`` that is spelt almost as a mark, empty without such a word.

    Args:
        expression: what was typed.
        described: the marks that there are, as ``pytest --markers`` shows them.
    """
    names = {line.partition(":")[0].partition("(")[0] for line in described}
    bare = re.sub(r"""'[^']*'|"[^"]*"|\w+\s*=""", "", expression)  # without the arguments of marks
    words = [word for word in re.findall(r"[^\W\d]\w*", bare) if word not in {*names, "and", "or", "not"}]
    return next((near for word in words if (near := suggest(word, names)).endswith("?")), "")


@cache  # a few hundred are on thousands of cases
def _mark(kind: str, *arguments: str, **options: str) -> pytest.MarkDecorator:
    mark: pytest.MarkDecorator = getattr(pytest.mark, kind)
    return mark.with_args(*arguments, **options)
