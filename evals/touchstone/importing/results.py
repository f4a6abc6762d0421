"""Result files of mteb: those of today, and those from before they had the key ``scores``."""

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
from touchstone.formatting import count
from touchstone.importing.entries import NOT_A_TASK, WRONG, Note, Published, known_revision
from touchstone.records.cases import TaskInfo
from touchstone.tasks.definitions import define_task

# What a row has beside its metrics.
NO_METRIC = {"hf_subset", "languages", "mteb_version", "evaluation_time"}
VERSION = re.compile(r"[A-Za-z0-9.+!_-]{1,64}")
# What an old file has beside its splits.
NO_SPLIT = {"dataset_revision", "mteb_dataset_name", "mteb_version", "evaluation_time"}
# Tables of metrics in an old file; any other table there is a subset.
OLD_TABLES = {"cos_sim", "dot", "euclidean", "manhattan", "max", "similarity", "v_measures"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """A result file. ``scores`` has the rows of each split, one row for each subset.

    What is missing beside them is unknown, as it is in files of some ages.
    """

    task_name: str
    scores: Mapping[str, Annotated[tuple[Mapping[str, Any], ...], FailFast()]]
    dataset_revision: str | None = None
    mteb_version: str | None = None


def load_result(path: Path) -> list[Published] | list[Note]:
    """Read one result file: a row for each split and subset.

    Raises:
        BaselineError: it is no result file, or something in it is wrong.
    """
    content = _load_json(path)
    if "mteb_dataset_name" in content and "scores" not in content:
        content = _from_old(content, path)
    result = check(ResultFile, content, str(path), BaselineError)
    task = define_task(result.task_name)
    named = define_task(path.stem)
    if task is None:
        return [Note(reason=NOT_A_TASK, what=result.task_name)]
    if named != task:
        raise BaselineError(f'{path}: task_name = "{result.task_name}"; expected "{path.stem}", as the file is called')
    rows = [
        _publish(task, split, row, result, f"{path}: scores.{split}[{number}]")
        for split, found in result.scores.items()
        for number, row in enumerate(found)
    ]
    _refuse_twice(rows, path)
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
        raise BaselineError(f"{where}: hf_subset = {row['hf_subset']}; expected a string")
    return Published(
        task=task,
        split=split,
        subset=row["hf_subset"],
        metrics=list(_read_metrics(_flatten(row["hf_subset"], row), where)),
        where=where,
        dataset_revision=known_revision(result.dataset_revision),
        mteb=_known_version(row.get("mteb_version") or result.mteb_version),
    )


def _known_version(said: object) -> str | None:
    return said if isinstance(said, str) and VERSION.fullmatch(said) else None


def _read_metrics(row: Mapping[str, Any], where: str) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a row; lists hold what single experiments got, null what was not computed."""
    for name, value in row.items():
        if isinstance(value, bool | str) and name not in NO_METRIC:
            shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
            raise BaselineError(f"{where}: {name} = {shown}; expected a number")
        if isinstance(value, int | float) and name not in NO_METRIC:
            yield name, float(value)


def _refuse_twice(rows: Sequence[Published], path: Path) -> None:
    for stratum, times in Counter(row.stratum for row in rows).items():
        if times > 1:
            raise BaselineError(f"{path}: scores has {stratum} {times} times; expected it once")


def _from_old(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Give a file from before mteb 1.11 the shape of today: splits at the top, subsets or metrics under them."""
    scores = {}
    for split, table in content.items():
        if split not in NO_SPLIT:
            if not isinstance(table, dict):
                raise BaselineError(f"{path}: {split} = {table}; expected a table")
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
    """Turn ``{"cos_sim": {"ap": …}}`` into ``{"cos_sim_ap": …}``; the main score is looked for by its name."""
    row: dict[str, Any] = {"hf_subset": subset, "languages": [], "main_score": None}
    for key, value in table.items():
        row |= {f"{key}_{name}": one for name, one in value.items()} if isinstance(value, dict) else {key: value}
    return row


EXTERNAL = "external"
META = "model_meta.json"
REVISIONS = re.compile(rf"[0-9a-f]{{7,64}}|{EXTERNAL}|main|master|no_revision\w*|v?[0-9][0-9.]*")
NAME_LIMIT = 12  # sets of results in an error; the rest are counted
SHORTEST = 7  # characters of a commit that name it


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """The result files of one model at one revision, as the folders are called; the oldest have none for a revision."""

    path: Path
    files: tuple[Path, ...]

    @property
    def has_revision(self) -> bool:
        """Whether it is the folder of a revision, by its name or what mteb writes beside the results of one."""
        return REVISIONS.fullmatch(self.path.name) is not None or (self.path / META).is_file()

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
        """Whether this is a copy of a model card."""
        return self.path.name == EXTERNAL

    def __str__(self) -> str:
        return f"{self.model} at {self.revision} ({count(len(self.files), 'file')})"


def find_folder(path: Path, revision: str | None, *, include_external: bool) -> Folder:
    """Find the one folder of result files that is meant.

    Args:
        path: the public repository or a cache of mteb's, its ``results``, a model's folder, or a revision's.
        revision: which one to take, in full or its first seven characters or more; None where there is but one.
        include_external: whether a copy of a card counts.

    Raises:
        BaselineError: there is none or more than one; names them with how many files they have.
    """
    folders = _find_folders(path)
    if not folders:
        raise BaselineError(f"{path}: has no result files of mteb, as in <model>/<revision>/<Task>.json")
    wanted = folders if revision is None else [one for one in folders if _is(one.revision, revision)]
    if revision is not None and not wanted:
        near = suggest(revision, {one.revision for one in folders})
        raise BaselineError(f'{path}: --revision = "{revision}" is not there{near}')
    taken = [one for one in wanted if include_external or not one.external]
    if not taken:
        raise BaselineError(
            f"{path}: {wanted[0]} is a copy of a model card, not measured by mteb; "
            "import the card, or take the copy with --include-external"
        )
    if len(taken) > 1:
        models = {one.model for one in taken}
        how = "name one with --revision" if len(models) == 1 else "give the folder of one model"
        shown = "; ".join(str(one) for one in taken[:NAME_LIMIT])
        rest = f" and {len(taken) - NAME_LIMIT} more" if len(taken) > NAME_LIMIT else ""
        raise BaselineError(f"{path}: has {len(taken)} sets of results: {shown}{rest}; {how}")
    return taken[0]


def load_folder(folder: Folder) -> Iterator[Published | Note]:
    """Read all files of a folder; one that is damaged is left out, with a note."""
    for file in folder.files:
        try:
            yield from load_result(file)
        except BaselineError as error:
            yield Note(reason=WRONG, what=str(error).replace(f"{folder.path}/", ""))


def name_source(folder: Folder) -> str:
    """Return where the numbers are from, whatever the place on this machine.

    That is the commit of the public repository where it is a clone, else the model's revision.
    """
    commit = _commit(folder.path.parents[2]) if len(folder.path.parents) > 2 else None
    short = folder.revision[:8] if known_revision(folder.revision) else folder.revision
    return f"results-repo@{commit[:8] if commit else short}{'/external' if commit and folder.external else ''}"


def _find_folders(path: Path) -> list[Folder]:
    """Find folders that hold result files, at the depth at which the tree has them."""
    if path.is_file():
        return [Folder(path=path.resolve().parent, files=(path,))]
    for pattern in ("results/*/*", ".", "*", "*/*"):
        places = [path] if pattern == "." else find_files(path, pattern)
        found = [Folder(path=one.resolve(), files=_files(one)) for one in places if one.is_dir()]
        if found := [one for one in found if one.files]:
            return found
    return []


def _files(folder: Path) -> tuple[Path, ...]:
    return tuple(file for file in find_files(folder, "*.json") if file.name != META)


def _is(revision: str, asked: str) -> bool:
    return revision == asked or (len(asked) >= SHORTEST and revision.startswith(asked))


def _commit(root: Path) -> str | None:
    """Return the commit that a clone has checked out."""
    found = ask_git(root, "rev-parse", "HEAD") if (root / ".git").exists() else None
    return None if found is None else found.decode().strip()
