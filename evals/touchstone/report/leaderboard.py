"""Models side by side: task by task, with the averages that a leaderboard shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from touchstone.baselines.files import make_baseline
from touchstone.records.baselines import Reference
from touchstone.records.cases import TaskInfo
from touchstone.records.names import baseline_key
from touchstone.records.runs import Record, Run
from touchstone.task_types.registry import find_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """The mean over ``tasks`` tasks and over those of each type, as fractions; None where there is no task.

    ``missing`` are tasks without a score; on a `Board` all those that another model has.
    """

    tasks: int
    average: float | None
    by_type: Mapping[str, float]
    missing: tuple[str, ...]

    @property
    def by_types(self) -> float | None:
        """The mean over the means of types."""
        return fmean(self.by_type.values()) if self.by_type else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Scores by task and then by model; ``types`` has the type of each task, by which tasks are in order.

    ``means`` are over the ``shared`` tasks that all models have: means over other tasks say nothing of the models.
    """

    models: tuple[str, ...]
    types: Mapping[str, str]
    scores: Mapping[str, Mapping[str, float]]
    means: Mapping[str, Average]
    shared: int


# More could not be read: fifty models on a thousand tasks.
CELLS = 50_000
AGGREGATE, CHILDREN = "CQADupstackRetrieval", "CQADupstack"
Metrics = Literal["main", "published"]


def side_by_side(run: Run) -> Board | None:
    """Put the models of a run side by side, with their means over what all measured; None if it has one or too many."""
    scored = [record for record in run.records if record.subsets and record.error is None]
    models = tuple(sorted({record.alias for record in scored}))
    types = {baseline_key(r.task, r.limit): r.type for r in sorted(scored, key=lambda r: (r.type, r.task))}
    if len(models) < 2 or len(models) * len(types) > CELLS:
        return None
    metrics = {baseline_key(record.task, record.limit): record.metric for record in scored}
    entries = {model: _entries(model, scored, run) for model in models}
    shared = [key for key in types if all(key in entries[model] for model in models)]
    tasks = [TaskInfo(name=key, type=types[key], main_score=metrics[key]) for key in without_children(shared)]
    return Board(
        models=models,
        types=types,
        scores={key: {m: entries[m][key].baseline.score for m in models if key in entries[m]} for key in types},
        means={
            model: replace(
                average(entries[model], tasks, "main", whole=True),
                missing=tuple(key for key in types if key not in entries[model]),
            )
            for model in models
        },
        shared=len(tasks),
    )


def _entries(model: str, records: Sequence[Record], run: Run) -> dict[str, Reference]:
    return {
        baseline_key(r.task, r.limit): Reference(
            alias=model, model=r.model or model, revision=r.revision, baseline=make_baseline(r, run.environment)
        )
        for r in records
        if r.alias == model
    }


def average(entries: Mapping[str, Reference], tasks: Sequence[TaskInfo], metrics: Metrics, *, whole: bool) -> Average:
    """Average a model's entries.

    Args:
        entries: by task name.
        tasks: what to average over, unweighted.
        metrics: today's main scores, or what the original tables averaged.
        whole: take all the strata that an entry has; else only and all those of the task.

    Returns:
        The averages; a task without the metric in each of its strata is missing.
    """
    found: dict[str, list[float]] = {}
    missing = []
    for task in tasks:
        score = _score(entries.get(task.name), task, metrics, whole=whole)
        if score is None:
            missing.append(task.name)
        else:
            found.setdefault(task.type, []).append(score)
    scores = [score for group in found.values() for score in group]
    return Average(
        tasks=len(scores),
        average=fmean(scores) if scores else None,
        by_type={name: fmean(group) for name, group in sorted(found.items())},
        missing=tuple(missing),
    )


def _score(reference: Reference | None, task: TaskInfo, metrics: Metrics, *, whole: bool) -> float | None:
    if reference is None:
        return None
    entry, kind, name = reference.baseline, find_type(task.type), task.main_score
    # Only the best of all similarities is another number; elsewhere tables average the main score, as in MindSmall's.
    if metrics == "published" and kind.best_of and kind.published_metric is not None:
        name = kind.published_metric
    values = entry.subsets if name == entry.metric else entry.metrics.get(name, {})
    strata = tuple(values) if whole else task.strata
    if not strata or any(stratum not in values for stratum in strata):
        return None
    return fmean(values[stratum] for stratum in strata)


def without_children(names: Sequence[str]) -> list[str]:
    """Leave out the tasks whose mean another of the tasks is."""
    if AGGREGATE not in names:
        return list(names)
    return [name for name in names if name == AGGREGATE or not name.startswith(CHILDREN)]
