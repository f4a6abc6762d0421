"""Model cards: the scores in the ``model-index`` of a README's front matter."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, NotRequired

from pydantic import FailFast, Field
from typing_extensions import TypedDict

from touchstone.errors import BaselineError, SourceError, first_line
from touchstone.files.validation import check
from touchstone.files.writing import read_text
from touchstone.files.yaml import parse_yaml
from touchstone.formatting import shorten
from touchstone.importing.entries import (
    FAULT,
    NOT_A_TASK,
    UNKNOWN_SCALE,
    Note,
    Published,
    find_published,
    find_score,
    is_fraction,
    known_revision,
    rename,
)
from touchstone.records.cases import TaskInfo
from touchstone.tasks.definitions import define_task, find_aggregates

# In points: cards give a mean in full or to three digits.
ROUNDING_TOLERANCE = 1e-3


def has_repeats(metrics: Sequence[tuple[str, float]]) -> bool:
    """Return True if a metric is given more than once."""
    return len({name for name, _ in metrics}) < len(metrics)


def split_repeats(
    metrics: Sequence[tuple[str, float]], task: str, aggregates: Mapping[str, Sequence[str]], where: str
) -> dict[str, list[tuple[str, float]]]:
    """Split a block that has every metric once for each part of an aggregate and once for the aggregate.

    Such a block was written from files in the order of their names, so the aggregate's own number has the place of its
    name among them. It is recognised as the mean of all the others, in every metric; nothing else distinguishes such a
    block from one that was repeated by mistake.

    Args:
        metrics: name and value in points, in the card's order.
        task: the task in the block's name.
        aggregates: from `find_aggregates`.
        where: the block's place, for errors.

    Returns:
        The metrics by task name.

    Raises:
        BaselineError: metrics are repeated in another way.
    """
    by_name: dict[str, list[float]] = {}
    for name, value in metrics:
        by_name.setdefault(name, []).append(value)
    aggregate = next((name for name, parts in aggregates.items() if task in (name, *parts)), None)
    tasks = [] if aggregate is None else sorted((aggregate, *aggregates[aggregate]))
    if aggregate is None or any(len(values) != len(tasks) for values in by_name.values()):
        name, values = max(by_name.items(), key=lambda item: len(item[1]))
        raise BaselineError(f'{where}: has the metric "{name}" {len(values)} times; expected it once')
    mean_at = tasks.index(aggregate)
    for name, values in by_name.items():
        mean = fmean(values[:mean_at] + values[mean_at + 1 :])
        if not abs(values[mean_at] - mean) <= ROUNDING_TOLERANCE:
            fault = f"number {mean_at + 1} is {values[mean_at]:g}, not the mean of the others, {mean:g}"
            raise BaselineError(
                f'{where}: has the metric "{name}" {len(values)} times, and {fault}; '
                f"expected it once, or {aggregate} between its parts"
            )
    return {part: [(name, values[at]) for name, values in by_name.items()] for at, part in enumerate(tasks)}


StrictNumber = Annotated[float, Field(strict=True, allow_inf_nan=False)]
# "MTEB STS17 (en-en)": the mark of mteb before version 2, the task, and mostly its subset.
MTEB_NAME = re.compile(r"(?P<mark>MTEB )?(?P<task>\S+)(?: \((?P<subset>[^()]+)\))?")
NOT_MTEB = "not of mteb, whose names begin with MTEB or end with a subset, or whose source is MTEB"
NO_SUBSET = "of a subset that the task does not have today"
FRACTIONS = "taken as fractions of one, which is what mteb 2 writes"


# The keys of a ``model-index`` that are read; others are ignored, as is the type of a task, which is not mteb's.
CardDataset = TypedDict(
    "CardDataset", {"name": str, "config": NotRequired[Any], "split": str, "revision": NotRequired[Any]}
)
# A list has the scores of single experiments, null stands for a score that was not computed.
CardMetric = TypedDict("CardMetric", {"type": str, "value": StrictNumber | list[Any] | None})
# One block: one data set, configuration and split.
CardResult = TypedDict("CardResult", {"dataset": CardDataset, "metrics": Annotated[tuple[CardMetric, ...], FailFast()]})
CardModel = TypedDict("CardModel", {"name": str, "results": tuple[Any, ...]})  # results are checked one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The contents of a model card: the model's name, and every block of mteb's."""

    name: str
    rows: tuple[Published, ...]
    notes: tuple[Note, ...]


def load_card(path: Path) -> Card:
    """Read a model card; a block with errors or without certainty is left out, with a note.

    Raises:
        BaselineError: the card has no front matter or no ``model-index`` of one model.
    """
    front = read_front_matter(path)
    models = check(tuple[CardModel, ...], front["model-index"], f"{path}: model-index", BaselineError)
    if len(models) != 1:
        raise BaselineError(f"{path}: model-index has {len(models)} models; expected one")
    blocks = [_read_block(result, f"results[{number}]") for number, result in enumerate(models[0]["results"])]
    # mteb 2 writes fractions only: if percents have its mark too, a number of one or less may be either.
    mixed = {block.scale for block in blocks if block.by_mteb2} >= {1, 100}
    rows: list[Published] = []
    notes: list[Note] = []
    for block in blocks:
        notes += block.notes
        if block.scale == 1:
            names = dict.fromkeys(row.what for row in block.rows)
            notes += [Note(reason=UNKNOWN_SCALE if mixed else FRACTIONS, what=name) for name in names]
        rows += () if mixed and block.scale == 1 else block.rows
    return Card(name=models[0]["name"], rows=tuple(rows), notes=tuple(notes))


def read_front_matter(path: Path) -> Mapping[str, Any]:
    """Read the YAML between the first two ``---`` lines, which has a ``model-index``.

    Raises:
        BaselineError: there is no front matter, it is not YAML, or it has no ``model-index``.
    """
    lines = read_text(path, BaselineError).splitlines()
    if not lines or lines[0].rstrip() != "---":
        raise BaselineError(f"{path}: has no front matter: its first line is not ---")
    end = next((number for number, line in enumerate(lines) if number and line.rstrip() == "---"), None)
    if end is None:
        raise BaselineError(f"{path}: its front matter has no end: there is no second line ---")
    front = parse_yaml("\n".join(lines[1:end]), str(path), line=2)
    if not isinstance(front, dict) or "model-index" not in front:
        raise BaselineError(
            f'{path}: its front matter needs a key "model-index"; without it a card publishes no scores'
        )
    return front


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """One result of a card. ``scale`` is 100 where its scores are percents, 1 where they are fractions."""

    rows: Sequence[Published] = ()
    notes: Sequence[Note] = ()
    by_mteb2: bool = False
    scale: int = 100


def _read_block(result: Any, where: str) -> _Block:
    """Read one result; one that is not mteb's may have any shape."""
    tables = (result.get(key) for key in ("dataset", "source")) if isinstance(result, dict) else (None, None)
    name, source = (table.get("name") if isinstance(table, dict) else None for table in tables)
    from_mteb = source == "MTEB"
    match = MTEB_NAME.fullmatch(name) if isinstance(name, str) else None
    if isinstance(name, str) and not (name.startswith("MTEB ") or from_mteb or (match and match["subset"])):
        return _Block(notes=[Note(reason=NOT_MTEB, what=shorten(name, 100))])
    try:
        return _read_scores(check(CardResult, result, where, BaselineError), where, from_mteb=from_mteb)
    except BaselineError as error:
        return _Block(notes=[Note(reason=FAULT, what=str(error))])


def _read_scores(result: CardResult, where: str, *, from_mteb: bool) -> _Block:
    dataset, name = result["dataset"], shorten(result["dataset"]["name"], 100)
    match = MTEB_NAME.fullmatch(dataset["name"])
    task = None if match is None else define_task(match["task"])
    if match is None or task is None:
        return _Block(notes=[Note(reason=NOT_A_TASK, what=name)])
    where = f"{where} ({name})"
    config = "no" if dataset.get("config") is False else dataset.get("config")  # Norwegian, as YAML 1.1 reads it
    subset = _find_subset(task, config, match["subset"], where)
    if subset is None:
        label = name if config is None else f"{name} (config {shorten(str(config), 60)})"
        return _Block(notes=[Note(reason=NO_SUBSET, what=label)])
    values = [(m["type"], m["value"]) for m in result["metrics"] if isinstance(m["value"], int | float)]
    for metric, value in values:
        if is_fraction(metric) and abs(value) > 100:
            raise BaselineError(f"{where}: {metric} = {value:g}; expected percent, -100 to 100")
    parts, by_mteb2 = {task.name: values}, from_mteb or match["mark"] is None
    if has_repeats(values):
        parts, by_mteb2 = split_repeats(values, task.name, find_aggregates(), where), False
    tasks = [item for part in parts if (item := define_task(part))]
    scales = {item: _find_scale(item, parts[item.name], by_mteb2=by_mteb2) for item in tasks}
    rows = [_publish(item, subset, dataset, parts[item.name], scale or 100, where) for item, scale in scales.items()]
    published = [row for row in rows if scales[row.task]]
    notes = [Note(reason=UNKNOWN_SCALE, what=row.what) for row in rows if not scales[row.task]]
    return _Block(rows=published, notes=notes, by_mteb2=by_mteb2, scale=min(filter(None, scales.values()), default=100))


def _find_scale(task: TaskInfo, metrics: Sequence[tuple[str, float]], *, by_mteb2: bool) -> int | None:
    """Return the divisor that turns the scores of a task into fractions; None if it is not known.

    More than one is a percent. One or less is a fraction if mteb 2 wrote it, else perhaps the percent of a poor model.
    """
    by_name = {rename(metric): value for metric, value in metrics}
    values = [value for value in (find_score(task, by_name), *find_published(task, by_name).values()) if value]
    if all(abs(value) > 1 for value in values):  # zero is zero in both
        return 100
    return 1 if by_mteb2 and all(abs(value) <= 1 for metric, value in metrics if is_fraction(metric)) else None


def _publish(
    task: TaskInfo, subset: str, dataset: CardDataset, metrics: Sequence[tuple[str, float]], scale: int, where: str
) -> Published:
    revision = dataset.get("revision")  # YAML reads digits as a number, which loses some
    return Published(
        task=task,
        split=dataset["split"],
        subset=subset,
        # Twelve digits are more than anybody publishes, and hide the rounding error of the division.
        metrics=[(metric, round(value / scale, 12)) for metric, value in metrics],
        where=where,
        dataset_revision=known_revision(revision) if isinstance(revision, str) else None,
    )


def _find_subset(task: TaskInfo, config: object, name: str | None, where: str) -> str | None:
    """Return the subset of a block, by its configuration or its name, among the task's present subsets."""
    if config is None and name is None:
        return task.subsets[0] if len(task.subsets) == 1 else None
    subsets = {subset for subset in (config, name) if isinstance(subset, str) and subset in task.subsets}
    if len(subsets) > 1:
        raise BaselineError(f'{where}: is of the subset "{name}" by its name and of "{config}" by its config')
    return subsets.pop() if subsets else None


def fetch_card(model: str, revision: str | None) -> tuple[Path, str]:
    """Fetch a model's README; return the file and its commit.

    Raises:
        SourceError: there is no network, no such model, or no card.
    """
    from huggingface_hub import hf_hub_download

    file, why = None, ""
    try:
        file = Path(hf_hub_download(model, "README.md", revision=revision))
    except Exception as error:  # offline, refused, not found: the hub's library has an exception for each
        why = first_line(error)
    if file is None:  # raised here, as frames of that library contain tokens
        raise SourceError(f"{model} is no file or folder here, and the hub gave no card of that name: {why}")
    return file, file.parent.name  # the cache has a folder for each commit
