"""Model cards: the scores in the ``model-index`` of a README's front matter."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

from pydantic import FailFast, Field
from typing_extensions import TypedDict

from touchstone.errors import BaselineError, SourceError, first_line
from touchstone.files.validation import check
from touchstone.files.writing import read_text
from touchstone.files.yaml import parse_yaml
from touchstone.importing.entries import NOT_A_TASK, Note, Published, is_fraction, known_revision
from touchstone.records.cases import TaskInfo
from touchstone.tasks.definitions import define_task, find_aggregates

# In points. Cards give a mean in full or to three digits.
ROUNDED = 1e-3


def has_repeats(metrics: Sequence[tuple[str, float]]) -> bool:
    """Return True if a metric is given more than once."""
    return len({name for name, _ in metrics}) < len(metrics)


def split_repeats(
    metrics: Sequence[tuple[str, float]], task: str, aggregates: Mapping[str, Sequence[str]], where: str
) -> dict[str, list[tuple[str, float]]]:
    """Take apart a block that has every metric once for each part of an aggregate and once for the aggregate.

    Such a block was written from files in the order of their names, so the aggregate's own number stands where its
    name does among them. It is recognised by being the mean of all the others, in every metric; nothing else tells
    it from a block that was repeated by mistake.

    Args:
        metrics: name and value in points, in the card's order.
        task: the name that the block has.
        aggregates: from `find_aggregates`.
        where: the block's place, for errors.

    Returns:
        The metrics by task name.

    Raises:
        BaselineError: metrics are repeated and it is not this.
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
        if not abs(values[mean_at] - mean) <= ROUNDED:
            own = f"number {mean_at + 1} is {values[mean_at]:g}, not the mean of the others, {mean:g}"
            raise BaselineError(
                f'{where}: has the metric "{name}" {len(values)} times, and {own}; '
                f"expected it once, or {aggregate} between its parts"
            )
    return {part: [(name, values[at]) for name, values in by_name.items()] for at, part in enumerate(tasks)}


StrictNumber = Annotated[float, Field(strict=True, allow_inf_nan=False)]
# "MTEB STS17 (en-en)": mteb's own mark, the task, and mostly its subset.
MTEB_NAME = re.compile(r"MTEB (?P<task>\S+)(?: \((?P<subset>[^()]+)\))?")
NOT_MTEB = "not of mteb, whose names begin with MTEB"
NO_SUBSET = "of a subset that the task does not have today"


# What is read of a ``model-index``; other keys are ignored. The type of a task is another vocabulary than mteb's.
CardTask = TypedDict("CardTask", {"type": str})
CardDataset = TypedDict(
    "CardDataset", {"type": str, "name": str, "config": str | None, "split": str, "revision": str | int | float | None}
)
CardMetric = TypedDict("CardMetric", {"type": str, "value": StrictNumber})  # in percent
# One block: one data set, configuration and split.
CardResult = TypedDict(
    "CardResult", {"task": CardTask, "dataset": CardDataset, "metrics": Annotated[tuple[CardMetric, ...], FailFast()]}
)
CardModel = TypedDict("CardModel", {"name": str, "results": tuple[Any, ...]})  # results are looked at one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a card publishes: its model's name there, and every block that is mteb's."""

    name: str
    rows: tuple[Published, ...]
    notes: tuple[Note, ...]


def load_card(path: Path) -> Card:
    """Read a model card.

    Raises:
        BaselineError: it has no front matter or no ``model-index``, or something in there is wrong.
    """
    front = read_front_matter(path)
    models = check(tuple[CardModel, ...], front["model-index"], f"{path}: model-index", BaselineError)
    if len(models) != 1:
        raise BaselineError(f"{path}: model-index has {len(models)} models; expected one")
    rows: list[Published] = []
    notes: list[Note] = []
    for number, result in enumerate(models[0]["results"]):
        found, about = _read_result(result, f"{path}: model-index[0].results[{number}]")
        rows += found
        notes += about
    _refuse_fractions(rows, path)
    return Card(name=models[0]["name"], rows=tuple(rows), notes=tuple(notes))


def read_front_matter(path: Path) -> Mapping[str, Any]:
    """Read the YAML between the first two ``---`` lines; it has a ``model-index``.

    Raises:
        BaselineError: there is none, it is not YAML, or has no ``model-index``.
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


def _read_result(result: Any, where: str) -> tuple[list[Published], list[Note]]:
    """Read one block; one that is not mteb's may have any shape."""
    said = result.get("dataset") if isinstance(result, dict) else None
    name = said.get("name") if isinstance(said, dict) else None
    if isinstance(name, str) and not name.startswith("MTEB "):
        return [], [Note(reason=NOT_MTEB, what=name)]
    block = check(CardResult, result, where, BaselineError)
    dataset = block["dataset"]
    named = MTEB_NAME.fullmatch(dataset["name"])
    task = None if named is None else define_task(named["task"])
    if named is None or task is None:
        return [], [Note(reason=NOT_A_TASK, what=dataset["name"])]
    where = f"{where} ({dataset['name']})"
    subset = _find_subset(task, dataset["config"], named["subset"], where)
    if subset is None:
        return [], [Note(reason=NO_SUBSET, what=f"{dataset['name']} (config {dataset['config']})")]
    points = [(metric["type"], _checked(metric, where)) for metric in block["metrics"]]
    parts = {task.name: points}
    if has_repeats(points):
        parts = split_repeats(points, task.name, find_aggregates(), where)
    return [_publish(part, subset, dataset, metrics, where) for part, metrics in parts.items()], []


def _publish(
    name: str, subset: str, dataset: CardDataset, metrics: Sequence[tuple[str, float]], where: str
) -> Published:
    task = define_task(name)
    if task is None:
        raise BaselineError(f"{where}: {name} is not a task of mteb")
    return Published(
        task=task,
        split=dataset["split"],
        subset=subset,
        # Twelve digits are more than anybody published, and do without the dust of the division.
        metrics=[(metric, round(value / 100, 12)) for metric, value in metrics],
        where=where,
        dataset_revision=known_revision(dataset["revision"]),
    )


def _find_subset(task: TaskInfo, config: str | None, named: str | None, where: str) -> str | None:
    """Return the subset that a block is of: what its configuration or its name says, as the task has it today."""
    said = {subset for subset in (config, named) if subset in task.subsets}
    if len(said) > 1:
        raise BaselineError(f'{where}: is of the subset "{named}" by its name and of "{config}" by its config')
    return said.pop() if said else None


def _checked(metric: CardMetric, where: str) -> float:
    name, value = metric["type"], metric["value"]
    if is_fraction(name) and abs(value) > 100:
        raise BaselineError(f"{where}: {name} = {value:g}; expected percent, -100 to 100")
    return value


def _refuse_fractions(rows: Sequence[Published], path: Path) -> None:
    """Refuse a card of fractions: no model is below one percent everywhere."""
    values = [value for row in rows for name, value in row.metrics if is_fraction(name)]
    if values and max(map(abs, values)) <= 0.01:
        raise BaselineError(f"{path}: model-index: no score is above 1; expected percent, as cards of mteb have it")


def fetch_card(model: str, revision: str | None) -> tuple[Path, str]:
    """Fetch a model's README; return the file and the commit that it is of.

    Raises:
        SourceError: there is no network, no such model, or it has no card.
    """
    from huggingface_hub import hf_hub_download

    file, why = None, ""
    try:
        file = Path(hf_hub_download(model, "README.md", revision=revision))
    except Exception as error:  # offline, refused, not found: the hub's library has an exception for each
        why = first_line(error)
    if file is None:  # raised here, as frames of that library hold tokens
        raise SourceError(f"{model} is no file or folder here, and the hub gave no card of that name: {why}")
    return file, file.parent.name  # the cache has a folder for each commit
