"""Published numbers, wherever they are from, become baseline entries by today's definition of each task."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    """Spell a metric as mteb does today: ``cos_sim_spearman`` is ``cosine_spearman``."""
    return f"cosine_{name.removeprefix('cos_sim_')}" if name.startswith("cos_sim_") else name


def is_fraction(name: str) -> bool:
    """Return True if a metric is bounded by 1: a threshold and a normalised area under a curve are not."""
    return "threshold" not in name and not name.lower().startswith("nauc")


def gather_metrics(pairs: Iterable[tuple[str, float]], where: str) -> dict[str, float]:
    """Collect metrics, as fractions, under today's names.

    Args:
        pairs: name and value, in any order.
        where: what they are of, for errors.

    Raises:
        BaselineError: one is given twice with two values, or is no fraction.
    """
    found: dict[str, float] = {}
    for name, value in pairs:
        if is_fraction(name) and abs(value) > 1:  # not so of NaN, which is no score but no wrong one either
            raise BaselineError(f"{where}: {name} = {value:g}; expected a fraction, -1 to 1")
        now = rename(name)
        if now in found and found[now] != value and not (math.isnan(found[now]) and math.isnan(value)):
            raise BaselineError(f"{where}: {name} is {found[now]:g} in one place and {value:g} in another")
        found[now] = value
    return found


def find_score(task: TaskInfo, metrics: Mapping[str, float]) -> float | None:
    """Return the value of today's main score, by its present or former name; None where it was not published.

    Args:
        task: as defined today.
        metrics: from `gather_metrics`.
    """
    kind, name = find_type(task.type), task.main_score
    value = metrics.get(name, metrics.get(kind.former_names.get(name, name)))
    if value is not None or not kind.best_of or not name.startswith("max_"):
        return value
    each = [metrics.get(f"{one}_{name.removeprefix('max_')}", math.nan) for one in kind.best_of]
    return None if any(map(math.isnan, each)) else max(each)


def find_published(task: TaskInfo, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metric that published tables average over tasks of this type, where it is not the main score."""
    kind = find_type(task.type)
    name, former = kind.published_metric or task.main_score, kind.former_names
    if former.get(task.main_score, task.main_score) == former.get(name, name):
        return {}
    value = metrics.get(name, metrics.get(former.get(name, name)))
    return {name: value} if value is not None and math.isfinite(value) else {}


# Tables round to a hundredth of a point, files to six digits.
SAME = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What was published of one task in one split and subset: fractions by metric, under the names they had.

    ``where`` is the place they are from, for errors.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that was not taken, or not as it stood: why, and what."""

    reason: str
    what: str


NOT_A_TASK = "not a task of mteb"
NOT_TODAY = "not a split and subset of the task today"
NO_SCORE = "without the task's main score of today"
NOT_A_NUMBER = "the score is not a number"
IN_PART = "taken in part, the task has more splits or subsets"
TWO_REVISIONS = "of more than one data set revision, none noted"
NOT_THE_MEAN = "taken as published, though it is not the mean of its parts"


def known_revision(value: object) -> str | None:
    """Return a revision that names something; "None", "external", a bare "1" or "1.0" and what git refuses do not."""
    text = str(value).strip()
    if text.lower() in ("", "none", "null", "external", "no_revision_available"):
        return None
    bare = len(text) < 7 and text.replace(".", "").isdigit()
    return None if bare or not REVISION.fullmatch(text) else text


def make_entries(rows: Iterable[Published], source: str) -> tuple[dict[str, Baseline], list[Note]]:
    """Turn what was published into entries, by task name, and say what was left out.

    An aggregate that has no number of its own gets the mean of its parts, where all of them are there.

    Args:
        rows: in any order.
        source: where they are from, as an entry says it.

    Raises:
        BaselineError: a metric is given twice with two values, or is no fraction.
    """
    entries: dict[str, Baseline] = {}
    notes: list[Note] = []
    for name, found in _grouped(rows, lambda row: row.task.name):
        entry, about = _make_entry(found, source)
        notes += about
        if entry is not None:
            entries[name] = entry
    derived, about = _add_aggregates(entries, source)
    return dict(sorted((entries | derived).items())), notes + about


def _make_entry(rows: Sequence[Published], source: str) -> tuple[Baseline | None, list[Note]]:
    task = rows[0].task
    notes: list[Note] = []
    subsets: dict[str, float] = {}
    others: dict[str, dict[str, float]] = {}
    for stratum, published in _grouped(rows, lambda row: row.stratum):
        metrics = gather_metrics((pair for row in published for pair in row.metrics), published[0].where)
        score = find_score(task, metrics)
        reason = _why_not(task, stratum, score)
        if reason is not None or score is None:
            notes.append(Note(reason=reason or NO_SCORE, what=f"{task.name} {stratum}"))
            continue
        subsets[stratum] = score
        for name, value in find_published(task, metrics).items():
            others.setdefault(name, {})[stratum] = value
    if not subsets:
        return None, notes
    if len(subsets) < len(task.strata):
        some = ", ".join(subsets) if len(subsets) <= 2 else str(len(subsets))
        notes.append(Note(reason=IN_PART, what=f"{task.name} ({some} of {len(task.strata)})"))
    used = [row for row in rows if row.stratum in subsets]
    revisions = {row.dataset_revision for row in used}
    if len(revisions) > 1:
        notes.append(Note(reason=TWO_REVISIONS, what=task.name))
    versions = {row.mteb for row in used if row.mteb is not None}
    entry = Baseline(
        measurement=Measurement(
            metric=task.main_score,
            score=fmean(subsets.values()),
            subsets=dict(sorted(subsets.items())),
            dataset_revision=revisions.pop() if len(revisions) == 1 else None,
        ),
        source=source,
        metrics={name: dict(sorted(by.items())) for name, by in sorted(others.items()) if set(by) == set(subsets)},
        env={"mteb": versions.pop()} if len(versions) == 1 else {},
    )
    return entry, notes


def _grouped(rows: Iterable[Published], by: Callable[[Published], str]) -> list[tuple[str, list[Published]]]:
    return [(name, list(group)) for name, group in groupby(sorted(rows, key=by), by)]


def _why_not(task: TaskInfo, stratum: str, score: float | None) -> str | None:
    if stratum not in task.strata:
        return NOT_TODAY
    if score is None:
        return f"{NO_SCORE} ({task.main_score})"
    return None if math.isfinite(score) else NOT_A_NUMBER


def _add_aggregates(entries: Mapping[str, Baseline], source: str) -> tuple[dict[str, Baseline], list[Note]]:
    derived, notes = {}, []
    for name, parts in find_aggregates().items() if len(entries) > 1 else ():
        found = [entries[part] for part in parts if part in entries]
        task = define_task(name)
        if task is None or len(found) < len(parts) or len(task.strata) != 1:
            continue
        if {part.metric for part in found} != {task.main_score}:
            continue
        mean = fmean(part.score for part in found)
        if name in entries:
            if abs(entries[name].score - mean) > SAME:
                notes.append(Note(reason=NOT_THE_MEAN, what=f"{name} ({entries[name].score:.4f}, the mean {mean:.4f})"))
            continue
        env = found[0].env if all(part.env == found[0].env for part in found) else {}
        subsets = dict.fromkeys(task.strata, mean)
        derived[name] = Baseline(
            measurement=Measurement(metric=task.main_score, score=mean, subsets=subsets), source=source, env=env
        )
    return derived, notes


def require_entries(entries: Mapping[str, Baseline], notes: Sequence[Note], where: str) -> None:
    """Refuse a source that gives nothing.

    Raises:
        BaselineError: with the first reason why.
    """
    if not entries:
        because = f": {notes[0].what}: {notes[0].reason}" if notes else ""
        raise BaselineError(f"{where}: has no score of a task of mteb{because}")
