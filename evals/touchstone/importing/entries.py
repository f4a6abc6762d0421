"""Turn published numbers from any source into baseline entries, by today's definition of each task."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean

from touchstone.errors import BaselineError
from touchstone.records.baselines import Baseline
from touchstone.records.cases import TaskInfo
from touchstone.records.names import REVISION
from touchstone.records.outcomes import Measurement
from touchstone.task_types.registry import find_type
from touchstone.tasks.definitions import define_task, find_aggregates


def rename(name: str) -> str:
    """Return mteb's present name of a metric: ``cos_sim_spearman`` is ``cosine_spearman``."""
    return f"cosine_{name.removeprefix('cos_sim_')}" if name.startswith("cos_sim_") else name


def is_fraction(name: str) -> bool:
    """Return True if a metric is bounded by 1: a threshold and a normalised area under a curve are not."""
    return "threshold" not in name and not name.lower().startswith("nauc")


# Largest difference of a value that is published twice, once with fewer digits: files of mteb have six.
DUPLICATE_TOLERANCE = 1e-6


def gather_metrics(pairs: Iterable[tuple[str, float]], where: str) -> dict[str, float]:
    """Collect metrics, as fractions, under today's names.

    Args:
        pairs: name and value, in any order.
        where: the place of the metrics, for errors.

    Raises:
        BaselineError: a metric has two values, or is not a fraction.
    """
    metrics: dict[str, float] = {}
    for name, value in pairs:
        if is_fraction(name) and abs(value) > 1:  # false for NaN, which is no score, but no error either
            raise BaselineError(f"{where}: {name} = {value:g}; expected a fraction, -1 to 1")
        present = rename(name)
        earlier = metrics.setdefault(present, value)
        is_same = earlier == value or abs(earlier - value) <= DUPLICATE_TOLERANCE
        if not is_same and not (math.isnan(earlier) and math.isnan(value)):
            raise BaselineError(f"{where}: {name} is {earlier!r} in one place and {value!r} in another")
    return metrics


def find_score(task: TaskInfo, metrics: Mapping[str, float]) -> float | None:
    """Return the value of today's main score, by its present or former name; None if it was not published.

    Args:
        task: the task as defined today.
        metrics: from `gather_metrics`.
    """
    kind, name = find_type(task.type), task.main_score
    value = metrics.get(name, metrics.get(kind.former_names.get(name, name)))
    if value is not None or not kind.best_of or not name.startswith("max_"):
        return value
    values = [metrics.get(f"{prefix}_{name.removeprefix('max_')}", math.nan) for prefix in kind.best_of]
    return None if any(map(math.isnan, values)) else max(values)


def find_published(task: TaskInfo, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metric that published tables average for this type of task, if it is not the main score."""
    kind = find_type(task.type)
    name, former = kind.published_metric or task.main_score, kind.former_names
    if former.get(task.main_score, task.main_score) == former.get(name, name):
        return {}
    value = metrics.get(name, metrics.get(former.get(name, name)))
    return {name: value} if value is not None and math.isfinite(value) else {}


# Largest difference of a published mean: tables round to a hundredth of a point, files to six digits.
MEAN_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The published scores of one task in one split and subset, as fractions under their original names.

    ``where`` is the place of the scores in the source, for errors.
    """

    task: TaskInfo
    split: str
    subset: str
    metrics: Sequence[tuple[str, float]]
    where: str
    dataset_revision: str | None = None
    mteb: str | None = None

    @property
    def stratum(self) -> str:
        """The ``split/subset`` name."""
        return f"{self.split}/{self.subset}"

    @property
    def what(self) -> str:
        """The task and the stratum, for notes."""
        return f"{self.task.name} {self.stratum}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A number that was left out or changed, with the reason."""

    reason: str
    what: str


NOT_A_TASK = "not a task of mteb"
NO_SUCH_STRATUM = "not a split and subset of the task today"
NO_SCORE = "without the task's main score of today"
NOT_A_NUMBER = "the score is not a number"
FAULT = "left out, as something in it is wrong"
UNKNOWN_SCALE = "left out, as nothing tells whether it is a percent or a fraction"
SOME_STRATA = "taken in part, the task has more splits or subsets"
TWO_REVISIONS = "of more than one data set revision, none noted"
NOT_THE_MEAN = "taken as published, though it is not the mean of its parts"


def known_revision(value: object) -> str | None:
    """Return a revision, or None for words such as "None" and "external", a bare "1" or "1.0", and invalid names."""
    text = str(value).strip()
    if text.lower() in ("", "none", "null", "external", "no_revision_available"):
        return None
    bare = len(text) < 7 and text.replace(".", "").isdigit()
    return None if bare or not REVISION.fullmatch(text) else text


def make_entries(items: Iterable[Published | Note], source: str) -> tuple[dict[str, Baseline], list[Note]]:
    """Return entries by task name, and notes of what was left out, those of the items first.

    An aggregate without a published number gets the mean of its parts, if all of them have one.

    Args:
        items: published scores and notes, in any order.
        source: the source, as entries name it.
    """
    items = list(items)
    entries: dict[str, Baseline] = {}
    notes = [note for note in items if isinstance(note, Note)]
    for rows in _grouped([row for row in items if isinstance(row, Published)], lambda row: row.task.name):
        entry, about = _make_entry(rows, source)
        notes += about
        if entry is not None:
            entries[rows[0].task.name] = entry
    derived, about = _add_aggregates(entries, source)
    return dict(sorted((entries | derived).items())), notes + about


def _make_entry(rows: Sequence[Published], source: str) -> tuple[Baseline | None, list[Note]]:
    task = rows[0].task
    results = {group[0].stratum: _read_stratum(group) for group in _grouped(rows, lambda row: row.stratum)}
    notes = [result for result in results.values() if isinstance(result, Note)]
    scored = {stratum: result for stratum, result in results.items() if not isinstance(result, Note)}
    if not scored:
        return None, notes
    if len(scored) < len(task.strata):
        strata = ", ".join(scored) if len(scored) <= 2 else str(len(scored))
        notes.append(Note(reason=SOME_STRATA, what=f"{task.name} ({strata} of {len(task.strata)})"))
    scored_rows = [row for row in rows if row.stratum in scored]
    revisions = {row.dataset_revision for row in scored_rows}
    if len(revisions) > 1:
        notes.append(Note(reason=TWO_REVISIONS, what=task.name))
    versions = {row.mteb for row in scored_rows if row.mteb is not None}
    subsets = {stratum: score for stratum, (score, _) in scored.items()}
    measurement = Measurement(
        metric=task.main_score,
        score=fmean(subsets.values()),
        subsets=subsets,
        dataset_revision=revisions.pop() if len(revisions) == 1 else None,
    )
    names = set.intersection(*(set(by_metric) for _, by_metric in scored.values()))
    metrics = {name: {stratum: by_metric[name] for stratum, (_, by_metric) in scored.items()} for name in sorted(names)}
    env = {"mteb": versions.pop()} if len(versions) == 1 else {}
    return Baseline(measurement=measurement, source=source, metrics=metrics, env=env), notes


def _read_stratum(rows: Sequence[Published]) -> tuple[float, dict[str, float]] | Note:
    """Return the score of one split and subset and the metric that tables average, or a note if it has no score."""
    row, task = rows[0], rows[0].task
    try:
        metrics = gather_metrics((pair for row in rows for pair in row.metrics), row.where)
    except BaselineError as error:
        return Note(reason=FAULT, what=str(error))
    score = find_score(task, metrics)
    if row.stratum not in task.strata:
        return Note(reason=NO_SUCH_STRATUM, what=row.what)
    if score is None:
        return Note(reason=f"{NO_SCORE} ({task.main_score})", what=row.what)
    if not math.isfinite(score):
        return Note(reason=NOT_A_NUMBER, what=row.what)
    return score, find_published(task, metrics)


def _grouped(rows: Iterable[Published], by: Callable[[Published], str]) -> Iterator[list[Published]]:
    return (list(group) for _, group in groupby(sorted(rows, key=by), by))


def _add_aggregates(entries: Mapping[str, Baseline], source: str) -> tuple[dict[str, Baseline], list[Note]]:
    derived, notes = {}, []
    for name, parts in find_aggregates().items() if len(entries) > 1 else ():
        children = [entries[part] for part in parts if part in entries]
        task = define_task(name)
        if task is None or len(children) < len(parts) or len(task.strata) != 1:
            continue
        if {part.metric for part in children} != {task.main_score}:
            continue
        mean = fmean(part.score for part in children)
        if name in entries:
            if abs(entries[name].score - mean) > MEAN_TOLERANCE:
                notes.append(Note(reason=NOT_THE_MEAN, what=f"{name} ({entries[name].score:.4f}, the mean {mean:.4f})"))
            continue
        env = children[0].env if all(part.env == children[0].env for part in children) else {}
        subsets = dict.fromkeys(task.strata, mean)
        derived[name] = Baseline(
            measurement=Measurement(metric=task.main_score, score=mean, subsets=subsets), source=source, env=env
        )
    return derived, notes


def require_entries(entries: Mapping[str, Baseline], notes: Sequence[Note], where: str) -> None:
    """Refuse a source without entries.

    Raises:
        BaselineError: names the first reason.
    """
    if not entries:
        because = f": {notes[0].what}: {notes[0].reason}" if notes else ""
        raise BaselineError(f"{where}: has no score of a task of mteb{because}")
