"""Models side by side: task by task, with the averages that a leaderboard shows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from statistics import fmean
from typing import Literal

from touchstone.baselines.files import make_baseline
from touchstone.records.baselines import Reference
from touchstone.records.cases import TaskInfo
from touchstone.records.lineups import Lineup, line_up
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
    """Scores by task and then by model; ``types`` has the type of each task, and tasks are sorted by type.

    ``means`` are over the ``shared`` tasks that all models have: means over different tasks cannot be compared.
    ``lineup`` has their speeds, None where none is known.
    """

    models: tuple[str, ...]
    types: Mapping[str, str]
    scores: Mapping[str, Mapping[str, float]]
    means: Mapping[str, Average]
    shared: int
    lineup: Lineup | None = None


# Nobody could read a larger board than of fifty models on a thousand tasks.
CELLS = 50_000
AGGREGATE, CHILDREN = "CQADupstackRetrieval", "CQADupstack"
Metrics = Literal["main", "published"]


def side_by_side(run: Run) -> Board | None:
    """Return the models of a run side by side, with means over their common tasks; None for one or too many."""
    scored = [record for record in run.records if record.subsets and record.error is None]
    models = tuple(sorted({record.alias for record in scored}))
    types = {baseline_key(r.task, r.limit): r.type for r in sorted(scored, key=lambda r: (r.type, r.task))}
    if len(models) < 2 or len(models) * len(types) > CELLS:
        return None
    metrics = {baseline_key(record.task, record.limit): record.metric for record in scored}
    entries = {model: _entries(model, scored, run) for model in models}
    shared = [key for key in types if all(key in entries[model] for model in models)]
    infos = [TaskInfo(name=k, type=types[k], main_score=metrics[k], splits=()) for k in without_children(shared)]
    means, _ = average_alike(entries, infos, "main")
    return Board(
        models=models,
        types=types,
        scores={key: {m: entries[m][key].baseline.score for m in models if key in entries[m]} for key in types},
        means={m: replace(means[m], missing=tuple(key for key in types if key not in entries[m])) for m in models},
        shared=means[models[0]].tasks,
        lineup=line_up({m: {baseline_key(r.task, r.limit): r.speed for r in scored if r.alias == m} for m in models}),
    )


def shorten_names(models: Sequence[str]) -> dict[str, str]:
    """Return names of models for a table; a variant of another model there is an ellipsis and its own settings.

    ``minilm+truncate_dim-64`` is ``…64`` beside ``minilm`` and ``minilm+truncate_dim-128``.
    """
    variants: dict[str, list[str]] = {}
    for model in models:
        base, plus, setting = model.partition("+")
        if plus and base in models:
            variants.setdefault(base, []).append(setting)
    names = {model: model for model in models}
    for base, settings in variants.items():
        words = [re.split(r"(?<=[-+_])", setting) for setting in settings]
        alike = 0 if len(words) == 1 else next(n for n, row in enumerate(zip_longest(*words)) if len(set(row)) > 1)
        for setting, parts in zip(settings, words, strict=True):
            names[f"{base}+{setting}"] = f"…{''.join(parts[alike:]) or setting}"
    return names if len(set(names.values())) == len(names) else {model: model for model in models}


def find_costs(board: Board, records: Sequence[Record]) -> dict[str, dict[str, float]]:
    """Return the costs of the models that have a mean, by unit and then by model; no cost that is the same for all."""
    speeds = {} if board.lineup is None else board.lineup.speeds
    values: dict[str, dict[str, float | None]] = {
        f"{next(iter(speeds.values())).unit}s per second" if speeds else "": {
            model: speed.texts_per_second for model, speed in speeds.items()
        },
        "dimensions of a vector": {r.alias: r.settings.dimension for r in records if r.settings is not None},
    }
    costs = {
        unit: {m: cost for m in board.models if (cost := by_model.get(m)) and board.means[m].average is not None}
        for unit, by_model in values.items()
    }
    return {unit: by_model for unit, by_model in costs.items() if len(set(by_model.values())) > 1}


def _entries(model: str, records: Sequence[Record], run: Run) -> dict[str, Reference]:
    return {
        baseline_key(r.task, r.limit): Reference(
            alias=model, model=r.model or model, revision=r.revision, baseline=make_baseline(r, run.environment)
        )
        for r in records
        if r.alias == model
    }


def average_alike(
    models: Mapping[str, Mapping[str, Reference]], tasks: Sequence[TaskInfo], metrics: Metrics
) -> tuple[dict[str, Average], list[str]]:
    """Average the entries of models over the same tasks: means over different tasks or subsets cannot be compared.

    Args:
        models: the entries of each, by task name.
        tasks: the tasks to average over, unweighted; a task without splits takes the strata of the entries.
        metrics: today's main scores, or what the original tables averaged.

    Returns:
        The averages, each with the tasks that its model has no score of, over those that all models have a score of,
        from the same strata; and the names of the tasks whose strata differ.
    """
    entries = list(models.values())
    strata = {task.name: [_strata(entry.get(task.name), task, metrics) for entry in entries] for task in tasks}
    scored = [task for task in tasks if None not in strata[task.name]]
    alike = [task for task in scored if len({frozenset(scores or ()) for scores in strata[task.name]}) == 1]
    averages = {
        model: _average(
            [(task.type, fmean((strata[task.name][place] or {}).values())) for task in alike],
            [task.name for task in tasks if strata[task.name][place] is None],
        )
        for place, model in enumerate(models)
    }
    return averages, [task.name for task in scored if task not in alike]


def _average(scores: Sequence[tuple[str, float]], missing: Sequence[str]) -> Average:
    by_type: dict[str, list[float]] = {}
    for name, score in sorted(scores):
        by_type.setdefault(name, []).append(score)
    return Average(
        tasks=len(scores),
        average=fmean(score for _, score in scores) if scores else None,
        by_type={name: fmean(values) for name, values in by_type.items()},
        missing=tuple(missing),
    )


def _strata(reference: Reference | None, task: TaskInfo, metrics: Metrics) -> Mapping[str, float] | None:
    """Return the scores whose mean is the score of a task, by stratum; None where one of these is missing."""
    if reference is None:
        return None
    entry, kind, name = reference.baseline, find_type(task.type), task.main_score
    # Only the best of all similarities is another number; elsewhere tables average the main score, as in MindSmall's.
    if metrics == "published" and kind.best_of and kind.published_metric is not None:
        name = kind.published_metric
    values = entry.subsets if name == entry.metric else entry.metrics.get(name, {})
    strata = task.strata or tuple(values)
    if not strata or any(stratum not in values for stratum in strata):
        return None
    return {stratum: values[stratum] for stratum in strata}


def without_children(names: Sequence[str]) -> list[str]:
    """Return the names without the parts of an aggregate task that is among them."""
    if AGGREGATE not in names:
        return list(names)
    return [name for name in names if name == AGGREGATE or not name.startswith(CHILDREN)]
