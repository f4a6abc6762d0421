"""Community evaluations of the hub: the scores in ``.eval_results/*.yaml`` of a model's repository."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from touchstone.errors import BaselineError
from touchstone.files.validation import check
from touchstone.files.writing import find_files, read_text
from touchstone.files.yaml import parse_yaml
from touchstone.formatting import shorten
from touchstone.importing.cards import StrictNumber
from touchstone.importing.entries import FAULT, NOT_A_TASK, UNKNOWN_SCALE, Note, Published, known_revision
from touchstone.tasks.definitions import define_task
from touchstone.tasks.registry import load_registry

FOLDER = ".eval_results"
OTHER_DATA = "of another data set than the task has today"
MEAN = "a mean over splits or subsets, which are taken one by one"
# Prefixes of mteb's notes and of our own source; values with them are always percents.
BY_MTEB, BY_US = "Obtained using MTEB v", "touchstone-evals "

# The keys of an entry that are read; others are ignored.
EvalDataset = TypedDict("EvalDataset", {"id": str, "task_id": str, "revision": NotRequired[Any]})
EvalResult = TypedDict("EvalResult", {"dataset": EvalDataset, "value": StrictNumber, "notes": NotRequired[Any],
                                       "source": NotRequired[Any]})  # fmt: skip


def find_eval_results(path: Path) -> Path | None:
    """Return the folder of community evaluations that is, contains or lies in a path; None if there is none."""
    folders = (path, path.parent, path / FOLDER)
    return next((folder for folder in folders if folder.name == FOLDER and folder.is_dir()), None)


def load_eval_results(path: Path) -> Iterator[Published | Note]:
    """Read a file, or all files of a folder; scores with errors or without certainty are left out, with a note."""
    for file in [path] if path.is_file() else [*find_files(path, "*.yaml"), *find_files(path, "*.yml")]:
        try:
            entries = parse_yaml(read_text(file, BaselineError), file.name)
            for number, entry in enumerate(check(tuple[Any, ...], entries, file.name, BaselineError)):
                yield _read_entry(entry, f"{file.name}[{number}]")
        except BaselineError as error:
            yield Note(reason=FAULT, what=str(error))


def _read_entry(entry: Any, where: str) -> Published | Note:
    """Read one entry, which mteb names by the task, or by task, subset and split; the metric is the main score."""
    try:
        result = check(EvalResult, entry, where, BaselineError)
    except BaselineError as error:
        return Note(reason=FAULT, what=str(error))
    dataset, value, task_id = result["dataset"], result["value"], result["dataset"]["task_id"]
    label, revision = shorten(task_id, 100), dataset.get("revision")
    ends = [len(task_id), *(match.start() for match in re.finditer("_", task_id[:300]))]
    strata = [
        (task, split, subset)
        for task in (define_task(task_id[:end]) for end in ends)
        if task is not None
        for split in task.splits
        for subset in task.subsets
        if task_id in (f"{task.name}_{subset}_{split}", task.name if len(task.strata) == 1 else "")
    ]
    if len(strata) != 1:
        return Note(reason=MEAN if define_task(task_id) else NOT_A_TASK, what=label)
    task, split, subset = strata[0]
    if load_registry().tasks[task.name].dataset != dataset["id"]:
        return Note(reason=OTHER_DATA, what=f"{label} ({shorten(dataset['id'], 100)})")
    if abs(value) > 100:
        return Note(reason=FAULT, what=f"{where} ({label}): value = {value:g}; expected percent, -100 to 100")
    origin = result.get("source")
    by_us = isinstance(origin, dict) and str(origin.get("name")).startswith(BY_US)
    if 0 < abs(value) <= 1 and not (by_us or str(result.get("notes")).startswith(BY_MTEB)):
        return Note(reason=UNKNOWN_SCALE, what=label)
    return Published(
        task=task,
        split=split,
        subset=subset,
        metrics=[(task.main_score, round(value / 100, 12))],
        where=f"{where} ({label})",
        dataset_revision=known_revision(revision) if isinstance(revision, str) else None,
    )
