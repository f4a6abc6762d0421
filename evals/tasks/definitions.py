"""What a task is today, by name: for numbers that were published under the name or definition of their time."""

from collections.abc import Mapping
from functools import cache

from evals.records import TaskInfo
from evals.tasks.catalog import describe, quiet_mteb

# mteb keeps the first five in a module that is not its interface, and the last where it does not act on it.
RENAMED = {
    "8TagsClustering": "EightTagsClustering",
    "CMedQAv1": "CMedQAv1-reranking",
    "CMedQAv2": "CMedQAv2-reranking",
    "NorwegianParliament": "NorwegianParliamentClassification",
    "PPC": "PpcPC",
    "PersianTextTone": "SynPerTextToneClassification",
}


def define_task(name: str) -> TaskInfo | None:
    """Return a task of mteb's as it is defined today, superseded ones too; None where there is none of that name.

    Args:
        name: today's, or one that mteb has since changed.
    """
    with quiet_mteb():
        import mteb

        try:
            return describe(mteb.get_task(RENAMED.get(name, name)), ())
        except KeyError:
            return None


@cache  # mteb makes every task that there is, for each asking
def find_aggregates() -> Mapping[str, tuple[str, ...]]:
    """Map each aggregate whose score is the plain mean of several tasks of one number each to those tasks' names.

    The tasks are in the order of their names.
    """
    with quiet_mteb():
        import mteb

        found = {}
        for task in mteb.get_tasks(exclude_superseded=False, exclude_private=False):
            parts = task.metadata.tasks if task.is_aggregate else []  # type: ignore[attr-defined]  # an aggregate's has
            single = all(len(part.eval_splits) == len(part.hf_subsets) == 1 for part in parts)
            if single and len(parts) > 1:
                found[task.metadata.name] = tuple(sorted(part.metadata.name for part in parts))
        return found
