"""Averages over baselines, as a leaderboard shows them: a mean over tasks, overall and by type."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from evals.baselines import make_baseline
from evals.config import Selection
from evals.naming import baseline_key
from evals.recording import Record, Run
from evals.records import Reference, TaskInfo
from evals.report import Board, Mean
from evals.tasks import find_tasks, known_tasks

Metrics = Literal["main", "published"]
# What the tables of the MTEB paper (Muennighoff et al., 2023, section 3.2) average where today's main score is
# another metric: the best average precision of any similarity is at least that of the cosine.
PUBLISHED: Mapping[str, str] = {"PairClassification": "cosine_ap"}
AGGREGATE, CHILDREN = "CQADupstackRetrieval", "CQADupstack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """The mean over ``tasks`` tasks and over those of each type, as fractions; None where there is no task."""

    tasks: int
    average: float | None
    by_type: Mapping[str, float]
    missing: tuple[str, ...]


def tasks_to_average(entries: Mapping[str, Reference], benchmark: str | None) -> tuple[TaskInfo, ...]:
    """Return the tasks of a benchmark, or those of the entries, one that averages others instead of these.

    Raises:
        ConfigError: mteb has no such benchmark.
    """
    if benchmark is not None:
        return find_tasks(Selection(benchmark=benchmark), "--benchmark")
    types = known_tasks()
    counted = _without_children([name for name in entries if "?" not in name])
    return tuple(
        TaskInfo(name=name, type=types.get(name, "custom"), main_score=entries[name].baseline.metric)
        for name in counted
    )


def side_by_side(run: Run) -> Board | None:
    """Put the models of a run side by side, with their means over what all measured; None unless it has two models."""
    scored = [record for record in run.records if record.subsets is not None and record.error is None]
    models = tuple(sorted({record.alias for record in scored}))
    if len(models) < 2:
        return None
    types = {baseline_key(r.task, r.limit): r.type for r in sorted(scored, key=lambda r: (r.type, r.task))}
    metrics = {baseline_key(record.task, record.limit): record.metric for record in scored}
    entries = {model: _entries(model, scored, run) for model in models}
    shared = [key for key in types if all(key in entries[model] for model in models)]
    tasks = [TaskInfo(name=key, type=types[key], main_score=metrics[key]) for key in _without_children(shared)]
    return Board(
        models=models,
        types=types,
        scores={key: {m: entries[m][key].baseline.score for m in models if key in entries[m]} for key in types},
        means={model: _mean(entries[model], tasks, types) for model in models},
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


def _mean(entries: Mapping[str, Reference], tasks: Sequence[TaskInfo], every: Iterable[str]) -> Mean:
    found = average(entries, tasks, "main", whole=True)
    return Mean(
        overall=found.average,
        by_types=fmean(found.by_type.values()) if found.by_type else None,
        by_type=found.by_type,
        missing=tuple(key for key in every if key not in entries),
    )


def _without_children(names: Sequence[str]) -> list[str]:
    """Leave out the tasks whose mean another of the tasks is."""
    if AGGREGATE not in names:
        return list(names)
    return [name for name in names if name == AGGREGATE or not name.startswith(CHILDREN)]


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
    entry = reference.baseline
    name = PUBLISHED.get(task.type, task.main_score) if metrics == "published" else task.main_score
    values = entry.subsets if name == entry.metric else entry.metrics.get(name, {})
    strata = tuple(values) if whole else task.strata
    if not strata or any(stratum not in values for stratum in strata):
        return None
    return fmean(values[stratum] for stratum in strata)
