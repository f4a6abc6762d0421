"""Cases in pytest node ids: ``evals/test_tasks.py::test_task[minilm:STSBenchmark]``."""

from collections.abc import Iterable

# The one test, and the module that defines it; a project's test file imports it from there.
TEST = "test_task"
TEST_MODULE = "touchstone.test_tasks"


def case_of(nodeid: str) -> str | None:
    """Return the case in a node id, None where there is none; it may hold brackets no more than an alias may."""
    name = nodeid.partition("::")[2]
    return name[len(TEST) + 1 : -1] or None if name.startswith(f"{TEST}[") and name.endswith("]") else None


def cases_of(nodeids: Iterable[str]) -> list[str]:
    """Return the cases in node ids, in their order; tests that are none of ours have none."""
    return [case for case in map(case_of, nodeids) if case is not None]
