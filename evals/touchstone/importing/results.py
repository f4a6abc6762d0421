"""Result files of mteb, in the present format and in the one before the key ``scores``."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import FailFast

from touchstone.environment import ask_git
from touchstone.errors import BaselineError, suggest
from touchstone.files.json import read_json
from touchstone.files.validation import check
from touchstone.files.writing import find_files
from touchstone.formatting import count, shorten
from touchstone.importing.entries import FAULT, NOT_A_TASK, Note, Published, known_revision
from touchstone.records.cases import TaskInfo
from touchstone.tasks.definitions import define_task

# Keys of a row that are no metrics.
NON_METRIC_KEYS = {"hf_subset", "languages", "mteb_version", "evaluation_time"}
VERSION = re.compile(r"[A-Za-z0-9.+!_-]{1,64}")
# Keys of an old file that are no splits.
NON_SPLIT_KEYS = {"dataset_revision", "mteb_dataset_name", "mteb_version", "evaluation_time"}
# Tables of metrics in an old file; any other table there is a subset.
OLD_TABLES = {"cos_sim", "dot", "euclidean", "manhattan", "max", "similarity", "v_measures"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """A result file. ``scores`` has the rows of each split, one row for each subset.

    Older files lack some of the other keys.
    """

    task_name: str
    scores: Mapping[str, Annotated[tuple[Mapping[str, Any], ...], FailFast()]]
    dataset_revision: str | None = None
    mteb_version: str | None = None


def load_result(path: Path) -> list[Published] | list[Note]:
    """Read one result file: a row for each split and subset.

    Raises:
        BaselineError: it is not a result file, or has an error.
    """
    content = _load_json(path)
    if "mteb_dataset_name" in content and "scores" not in content:
        content = _from_old(content, path)
    result = check(ResultFile, content, str(path), BaselineError)
    task = define_task(result.task_name)
    file_task = define_task(path.stem)
    if task is None:
        return [Note(reason=NOT_A_TASK, what=result.task_name)]
    if file_task != task:
        raise BaselineError(f'{path}: task_name = "{result.task_name}"; expected "{path.stem}", as the file is called')
    rows = [
        _publish(task, split, row, result, f"{path}: scores.{split}[{number}]")
        for split, table in result.scores.items()
        for number, row in enumerate(table)
    ]
    _refuse_duplicates(rows, path)
    return rows


def _load_json(path: Path) -> dict[str, Any]:
    content = read_json(path, BaselineError, wide=True)  # mteb writes NaN
    if not isinstance(content, dict):
        raise BaselineError(f"{path}: expected a table")
    return content


def _publish(task: TaskInfo, split: str, row: Mapping[str, Any], result: ResultFile, where: str) -> Published:
    if "hf_subset" not in row:
        raise BaselineError(f'{where} needs a key "hf_subset"')
    if not isinstance(row["hf_subset"], str):
        raise BaselineError(f"{where}: hf_subset = {_show(row['hf_subset'])}; expected a string")
    return Published(
        task=task,
        split=split,
        subset=row["hf_subset"],
        metrics=list(_read_metrics(_flatten(row["hf_subset"], row), where)),
        where=where,
        dataset_revision=known_revision(result.dataset_revision),
        mteb=_known_version(row.get("mteb_version") or result.mteb_version),
    )


def _known_version(version: object) -> str | None:
    return version if isinstance(version, str) and VERSION.fullmatch(version) else None


def _read_metrics(row: Mapping[str, Any], where: str) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a row; lists have the scores of single experiments, null stands for no score."""
    for name, value in row.items():
        if isinstance(value, bool | str) and name not in NON_METRIC_KEYS:
            raise BaselineError(f"{where}: {name} = {_show(value)}; expected a number")
        if isinstance(value, int | float) and name not in NON_METRIC_KEYS:
            yield name, float(value)


def _show(value: object) -> str:
    """Return a value as JSON writes it."""
    return shorten(json.dumps(value, ensure_ascii=False), 60)


def _refuse_duplicates(rows: Sequence[Published], path: Path) -> None:
    for stratum, times in Counter(row.stratum for row in rows).items():
        if times > 1:
            raise BaselineError(f"{path}: scores has {stratum} {times} times; expected it once")


def _from_old(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return a file from before mteb 1.11, which has splits at the top and subsets or metrics in them, as a new one."""
    scores = {}
    for split, table in content.items():
        if split not in NON_SPLIT_KEYS:
            if not isinstance(table, dict):
                raise BaselineError(f"{path}: {split} = {_show(table)}; expected a table")
            subsets = {key: sub for key, sub in table.items() if isinstance(sub, dict) and key not in OLD_TABLES}
            rows = subsets or {"default": table}
            scores[split] = tuple(_flatten(subset, row) for subset, row in rows.items())
    return {
        "task_name": content["mteb_dataset_name"],
        "dataset_revision": content.get("dataset_revision"),
        "mteb_version": content.get("mteb_version"),
        "scores": scores,
    }


def _flatten(subset: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Turn ``{"cos_sim": {"ap": …}}`` into ``{"cos_sim_ap": …}``; the main score is found by its name."""
    row: dict[str, Any] = {"hf_subset": subset, "languages": [], "main_score": None}
    for key, value in table.items():
        row |= {f"{key}_{name}": item for name, item in value.items()} if isinstance(value, dict) else {key: value}
    return row


EXTERNAL_NAME = "external"
META_FILE = "model_meta.json"
REVISION_NAME = re.compile(rf"[0-9a-f]{{7,64}}|{EXTERNAL_NAME}|main|master|no_revision\w*|v?[0-9][0-9.]*")
NAME_LIMIT = 12  # sets of results in an error; the rest are counted
MIN_COMMIT_LENGTH = 7  # characters of a commit that name it


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """The result files of one model at one revision, by the names of folders; the oldest have none for the revision."""

    path: Path
    files: tuple[Path, ...]

    @property
    def has_revision(self) -> bool:
        """True for the folder of a revision, by its name or by the metadata that mteb writes into it."""
        return REVISION_NAME.fullmatch(self.path.name) is not None or (self.path / META_FILE).is_file()

    @property
    def revision(self) -> str:
        """The revision, or a word in its place."""
        return self.path.name if self.has_revision else "no_revision_available"

    @property
    def model(self) -> str:
        """The model's name, in which a folder has two underscores for the slash."""
        return (self.path.parent if self.has_revision else self.path).name.replace("__", "/", 1)

    @property
    def external(self) -> bool:
        """True for a copy of a model card."""
        return self.path.name == EXTERNAL_NAME

    def __str__(self) -> str:
        return f"{self.model} at {self.revision} ({count(len(self.files), 'file')})"


def find_folder(path: Path, revision: str | None, *, include_external: bool) -> Folder:
    """Return the only folder of result files that matches.

    Args:
        path: the public repository or a cache of mteb's, its ``results``, a model's folder, or a revision's.
        revision: the revision, in full or its first seven characters or more; None if there is only one.
        include_external: whether a copy of a card counts.

    Raises:
        BaselineError: no folder or more than one matches; names them with their numbers of files.
    """
    folders = _find_folders(path)
    if not folders:
        raise BaselineError(f"{path}: has no result files of mteb, as in <model>/<revision>/<Task>.json")
    candidates = folders if revision is None else [folder for folder in folders if _matches(folder.revision, revision)]
    if revision is not None and not candidates:
        near = suggest(revision, {folder.revision for folder in folders})
        raise BaselineError(f'{path}: --revision = "{revision}" is not there{near}')
    selection = [folder for folder in candidates if include_external or not folder.external]
    if not selection:
        raise BaselineError(
            f"{path}: {candidates[0]} is a copy of a model card, not measured by mteb; "
            "import the card, or take the copy with --include-external"
        )
    if len(selection) > 1:
        models = {folder.model for folder in selection}
        how = "name one with --revision" if len(models) == 1 else "give the folder of one model"
        listing = "; ".join(str(folder) for folder in selection[:NAME_LIMIT])
        remainder = f" and {len(selection) - NAME_LIMIT} more" if len(selection) > NAME_LIMIT else ""
        raise BaselineError(f"{path}: has {len(selection)} sets of results: {listing}{remainder}; {how}")
    return selection[0]


def load_folder(folder: Folder) -> Iterator[Published | Note]:
    """Read all files of a folder; a damaged file is left out, with a note."""
    for file in folder.files:
        try:
            yield from load_result(file)
        except BaselineError as error:
            yield Note(reason=FAULT, what=str(error).replace(f"{folder.path}/", ""))


def name_source(folder: Folder) -> str:
    """Return the source of the numbers, independent of the path on this machine.

    It is the commit of the public repository in a clone of it, else the model's revision.
    """
    commit = _commit(folder.path.parents[2]) if len(folder.path.parents) > 2 else None
    short = folder.revision[:8] if known_revision(folder.revision) else folder.revision
    return f"results-repo@{commit[:8] if commit else short}{'/external' if commit and folder.external else ''}"


def _find_folders(path: Path) -> list[Folder]:
    """Return the folders with result files, at the first depth that has any."""
    if path.is_file():
        return [Folder(path=path.resolve().parent, files=(path,))]
    for pattern in ("results/*/*", ".", "*", "*/*"):
        places = [path] if pattern == "." else find_files(path, pattern)
        folders = [Folder(path=place.resolve(), files=_files(place)) for place in places if place.is_dir()]
        if folders := [folder for folder in folders if folder.files]:
            return folders
    return []


def _files(folder: Path) -> tuple[Path, ...]:
    return tuple(file for file in find_files(folder, "*.json") if file.name != META_FILE)


def _matches(revision: str, prefix: str) -> bool:
    return revision == prefix or (len(prefix) >= MIN_COMMIT_LENGTH and revision.startswith(prefix))


def _commit(root: Path) -> str | None:
    """Return the commit that a clone has checked out."""
    output = ask_git(root, "rev-parse", "HEAD") if (root / ".git").exists() else None
    return None if output is None else output.decode().strip()
