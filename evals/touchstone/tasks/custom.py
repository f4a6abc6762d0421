"""Make task objects, which mteb can evaluate like its own, of folders of users."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from touchstone.config.suites import LANGUAGE
from touchstone.errors import ConfigError
from touchstone.files.tables import FORMATS, find_forms
from touchstone.foreign import one_line
from touchstone.formatting import shorten
from touchstone.records.cases import TaskInfo
from touchstone.records.names import NAME, SIGNS
from touchstone.seams import find
from touchstone.task_types.base import FolderLayout
from touchstone.task_types.folders import JUDGEMENT_FORMATS
from touchstone.task_types.registry import find_type

if TYPE_CHECKING:
    from mteb import AbsTask

DEFAULT_SUBSET = "default"


def layout_of(type_name: str) -> FolderLayout:
    """Return the folder layout of a type; suites refuse types without one."""
    layout = find_type(type_name).folder
    assert layout is not None
    return layout


def find_subsets(layout: FolderLayout, folder: Path) -> tuple[str, ...]:
    """Return the subsets of a folder: those of its folders that have data, or "default" if it has data itself.

    Raises:
        ConfigError: one has a name that no subset can have.
    """
    if list(_files_in(layout, folder)):
        return (DEFAULT_SUBSET,)
    subsets = [path.name for path in subset_folders(folder) if any(_files_in(layout, path))]
    for name in subsets:
        if name == DEFAULT_SUBSET or not NAME.fullmatch(name):
            raise ConfigError(f'{folder}: a subset cannot be called "{shorten(name, 60)}"; expected {SIGNS}')
    return tuple(subsets) or (DEFAULT_SUBSET,)


def subset_folders(folder: Path) -> list[Path]:
    """Return the folders that may be subsets: a search has its judgements in one that is none."""
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and path.name[0] != "." and path.name != "qrels"]


def _files_in(layout: FolderLayout, folder: Path) -> Iterator[Path]:
    for name in layout.files:
        yield from find_forms_of(name, folder)


def find_forms_of(name: str, folder: Path) -> list[Path]:
    """Return the existing files of a table of a layout, by its name there."""
    return find_forms(folder / name, JUDGEMENT_FORMATS if name.startswith("qrels/") else FORMATS)


def languages_of(subsets: Sequence[str], codes: Sequence[str]) -> dict[str, list[str]]:
    """Return the languages of subsets: from their names if all are like ``deu-Latn_eng-Latn``, else the given codes."""
    by_name = {name: name.split("_") for name in subsets}
    coded = all(LANGUAGE.fullmatch(code) for parts in by_name.values() for code in parts)
    return by_name if coded else {name: list(codes) for name in subsets}


def folders_of(info: TaskInfo) -> dict[str, Path]:
    """Return the folder of each subset of a custom task."""
    folder = info.folder or Path()
    return {subset: folder if subset == DEFAULT_SUBSET else folder / subset for subset in info.subsets}


def files_of(info: TaskInfo) -> list[tuple[str, Path]]:
    """Return the existing files of a custom task, with their paths inside its folder."""
    layout, root = layout_of(info.type), info.folder or Path()
    return [
        (file.relative_to(root).as_posix(), file)
        for folder in folders_of(info).values()
        for file in _files_in(layout, folder)
    ]


def make_task(info: TaskInfo, data_sha256: str) -> "AbsTask":
    """Return a task object with the data of a folder, which is read lazily, when mteb asks for it.

    Args:
        info: a custom task.
        data_sha256: the hash of the files, which is the revision in mteb's results.
    """
    import mteb.abstasks

    layout = layout_of(info.type)
    base: Any = getattr(mteb.abstasks, layout.base)
    languages = list(info.languages)
    # mteb accepts only its own types when it makes metadata; how a task runs does not depend on its type.
    types = get_args(find("mteb.abstasks.task_metadata:TaskType"))
    metadata = mteb.TaskMetadata(
        name=info.name,
        description=f"A custom task of {len(files_of(info))} files.",
        type=info.type if info.type in types else types[0],  # type: ignore[arg-type]
        category="t2t",
        modalities=["text"],
        eval_splits=list(info.splits),
        eval_langs=languages if info.subsets == (DEFAULT_SUBSET,) else languages_of(info.subsets, languages),
        main_score=info.main_score,
        dataset={"path": info.name, "revision": data_sha256[:12]},
        reference=None,
        date=None,
    ).model_copy(update={"type": info.type})

    def load_data(self: Any, *_: Any, **__: Any) -> None:
        if self.data_loaded:
            return
        data = {subset: layout.load(self, folder) for subset, folder in folders_of(info).items()}
        # Data without subsets lies directly under its splits, except retrieval's.
        default = data.get(DEFAULT_SUBSET)
        self.dataset = default or {name: splits.get(DEFAULT_SUBSET, splits) for name, splits in data.items()}
        self.data_loaded = True
        with warnings.catch_warnings():  # mteb is kept quiet meanwhile
            warnings.simplefilter("always")
            for note in self.notes:
                warnings.warn(one_line(f"{info.name}: {note}"), stacklevel=2)

    kind = type(info.name, (base,), {"metadata": metadata, "load_data": load_data, "notes": (), **layout.attributes})
    task: AbsTask = kind()
    return task
