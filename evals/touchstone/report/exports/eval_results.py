"""Scores as community evaluations of the hub: ``.eval_results/TASK.yaml`` of a model's repository, as mteb has them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from touchstone import __version__
from touchstone.files.writing import write_atomically
from touchstone.formatting import some
from touchstone.records.runs import Record, Run
from touchstone.report.formats import ReportFormat
from touchstone.tasks.registry import Definition, load_registry

MTEB = "https://github.com/embeddings-benchmark/mteb/"


def write_entries(run: Run, folder: Path, _store: Path) -> tuple[str, ...]:
    """Write a file for each task of mteb's that was measured whole; in a folder for each model where there are several.

    Cases with a limit are left out: the file cannot tell a part of the data from the whole.

    Returns:
        Lines on what was written, and on what was left out and why.

    Raises:
        OSError: a file cannot be written.
    """
    several = len({record.alias for record in run.records}) > 1
    definitions = load_registry().tasks
    omitted: dict[str, list[str]] = {"not measured": [], "measured in part": [], "of no data set of the hub": []}
    written = 0
    for record in run.records:
        if record.score is None or record.error is not None or record.fingerprint is None:  # published by somebody
            omitted["not measured"].append(record.case)
        elif record.limit is not None:
            omitted["measured in part"].append(record.case)
        elif record.dataset_revision is None or record.task not in definitions or definitions[record.task].parts:
            # A custom task with the name of one of mteb's, or an aggregate, which has no data set of its own.
            omitted["of no data set of the hub"].append(record.case)
        else:
            path = (folder / record.alias if several else folder) / f"{record.task}.yaml"
            entries = list(make_entries(record, run, definitions[record.task]))
            write_atomically(path, yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=1000))
            written += 1
    notes = [f"left out, {why}, {some(cases)}" for why, cases in omitted.items() if cases]
    return (f"files written into {folder}: {written}", *notes)


def make_entries(record: Record, run: Run, task: Definition) -> Iterator[dict[str, Any]]:
    """Yield an entry for each split and subset, and one for the task where all of them were measured; in percent."""
    subsets = record.subsets or {}
    for stratum, score in subsets.items():
        split, _, subset = stratum.partition("/")
        yield _entry(record, run, task, f"{record.task}_{subset}_{split}", score)
    if set(subsets) == {f"{split}/{subset}" for split in task.splits for subset in task.subsets}:
        yield _entry(record, run, task, record.task, record.score or 0.0)


def _entry(record: Record, run: Run, task: Definition, name: str, score: float) -> dict[str, Any]:
    """Return an entry with the origin of its number: data, date, tools and model."""
    packages = [name for name in ("mteb", "torch") if name in run.environment]
    versions = ", ".join(f"{name} {run.environment[name]}" for name in packages)
    model = f"{record.model or record.alias}{f' at {record.revision}' if record.revision else ''}"
    notes = [f"{record.metric} of {record.alias} ({model})", f"fingerprint {record.fingerprint}", versions]
    if record.data_sha256:
        notes.append(f"data sha256 {record.data_sha256}")
    return {
        "dataset": {"id": task.dataset, "task_id": name, "revision": record.dataset_revision},
        "value": round(100 * score, 5),
        "date": run.started,
        "source": {"url": MTEB, "name": f"touchstone-evals {__version__}"},
        "notes": "; ".join(notes),
    }


FORMAT = ReportFormat(name="eval_results/", write_folder=write_entries)
