"""Published numbers, wherever they are from, become baseline entries by today's definition of each task."""

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
    """Spell a metric as mteb does today: ``cos_sim_spearman`` is ``cosine_spearman``."""
    return f"cosine_{name.removeprefix('cos_sim_')}" if name.startswith("cos_sim_") else name


def is_fraction(name: str) -> bool:
    """Return True if a metric is bounded by 1: a threshold and a normalised area under a curve are not."""
    return "threshold" not in name and not name.lower().startswith("nauc")


# What was published twice, once with fewer digits: files of mteb have six.
TWICE = 1e-6


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
        known = found.setdefault(now, value)
        if known != value and not abs(known - value) <= TWICE and not (math.isnan(known) and math.isnan(value)):
            raise BaselineError(f"{where}: {name} is {known!r} in one place and {value!r} in another")
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

    @property
    def what(self) -> str:
        """The task and the stratum, for notes."""
        return f"{self.task.name} {self.stratum}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that was not taken, or not as it stood: why, and what."""

    reason: str
    what: str


NOT_A_TASK = "not a task of mteb"
NOT_TODAY = "not a split and subset of the task today"
NO_SCORE = "without the task's main score of today"
NOT_A_NUMBER = "the score is not a number"
WRONG = "left out, as something in it is wrong"
UNTOLD = "left out, as nothing tells whether it is a percent or a fraction"
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


def make_entries(found: Iterable[Published | Note], source: str) -> tuple[dict[str, Baseline], list[Note]]:
    """Turn what was published into entries, by task name, and say what was left out: first what reading left.

    An aggregate that has no number of its own gets the mean of its parts, where all of them are there.

    Args:
        found: in any order.
        source: where it is from, as an entry says it.
    """
    found = list(found)
    entries: dict[str, Baseline] = {}
    notes = [note for note in found if isinstance(note, Note)]
    for rows in _grouped([row for row in found if isinstance(row, Published)], lambda row: row.task.name):
        entry, about = _make_entry(rows, source)
        notes += about
        if entry is not None:
            entries[rows[0].task.name] = entry
    derived, about = _add_aggregates(entries, source)
    return dict(sorted((entries | derived).items())), notes + about


def _make_entry(rows: Sequence[Published], source: str) -> tuple[Baseline | None, list[Note]]:
    task = rows[0].task
    each = {group[0].stratum: _read_stratum(group) for group in _grouped(rows, lambda row: row.stratum)}
    notes = [found for found in each.values() if isinstance(found, Note)]
    scored = {stratum: found for stratum, found in each.items() if not isinstance(found, Note)}
    if not scored:
        return None, notes
    if len(scored) < len(task.strata):
        named = ", ".join(scored) if len(scored) <= 2 else str(len(scored))
        notes.append(Note(reason=IN_PART, what=f"{task.name} ({named} of {len(task.strata)})"))
    used = [row for row in rows if row.stratum in scored]
    revisions = {row.dataset_revision for row in used}
    if len(revisions) > 1:
        notes.append(Note(reason=TWO_REVISIONS, what=task.name))
    versions = {row.mteb for row in used if row.mteb is not None}
    subsets = {stratum: score for stratum, (score, _) in scored.items()}
    measurement = Measurement(
        metric=task.main_score,
        score=fmean(subsets.values()),
        subsets=subsets,
        dataset_revision=revisions.pop() if len(revisions) == 1 else None,
    )
    names = set.intersection(*(set(others) for _, others in scored.values()))
    metrics = {name: {stratum: others[name] for stratum, (_, others) in scored.items()} for name in sorted(names)}
    env = {"mteb": versions.pop()} if len(versions) == 1 else {}
    return Baseline(measurement=measurement, source=source, metrics=metrics, env=env), notes


def _read_stratum(rows: Sequence[Published]) -> tuple[float, dict[str, float]] | Note:
    """Return the score of one split and subset, and the metric that tables average; a note where it has none."""
    first, task = rows[0], rows[0].task
    try:
        metrics = gather_metrics((pair for row in rows for pair in row.metrics), first.where)
    except BaselineError as error:
        return Note(reason=WRONG, what=str(error))
    score = find_score(task, metrics)
    if first.stratum not in task.strata:
        return Note(reason=NOT_TODAY, what=first.what)
    if score is None:
        return Note(reason=f"{NO_SCORE} ({task.main_score})", what=first.what)
    if not math.isfinite(score):
        return Note(reason=NOT_A_NUMBER, what=first.what)
    return score, find_published(task, metrics)


def _grouped(rows: Iterable[Published], by: Callable[[Published], str]) -> Iterator[list[Published]]:
    return (list(group) for _, group in groupby(sorted(rows, key=by), by))


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
