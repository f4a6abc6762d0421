"""A user's folder becomes a task object that mteb can evaluate like one of its own."""

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

DEFAULT = "default"


def layout_of(type_name: str) -> FolderLayout:
    """Return how a custom task of a type lies in its folder; suites refuse types that have none."""
    layout = find_type(type_name).folder
    assert layout is not None
    return layout


def find_subsets(layout: FolderLayout, folder: Path) -> tuple[str, ...]:
    """Return the folders inside one that has no data itself and whose folders have; else it has one subset, "default".

    Raises:
        ConfigError: one has a name that no subset can have.
    """
    if list(_files_in(layout, folder)):
        return (DEFAULT,)
    inside = [one.name for one in sorted(folder.iterdir()) if one.name[0] != "." and any(_files_in(layout, one))]
    for name in inside:
        if name == DEFAULT or not NAME.fullmatch(name):
            raise ConfigError(f'{folder}: a subset cannot be called "{shorten(name, 60)}"; expected {SIGNS}')
    return tuple(inside) or (DEFAULT,)


def _files_in(layout: FolderLayout, folder: Path) -> Iterator[Path]:
    for name in layout.files:
        yield from find_forms(folder / name, JUDGEMENT_FORMATS if name.startswith("qrels/") else FORMATS)


def languages_of(subsets: Sequence[str], said: Sequence[str]) -> dict[str, list[str]]:
    """Return the languages of subsets: those that all are called by, such as ``deu-Latn_eng-Latn``, or those said."""
    called = {name: name.split("_") for name in subsets}
    coded = all(LANGUAGE.fullmatch(code) for codes in called.values() for code in codes)
    return called if coded else {name: list(said) for name in subsets}


def folders_of(info: TaskInfo) -> dict[str, Path]:
    """Return where each subset of a custom task lies."""
    folder = info.folder or Path()
    return {subset: folder if subset == DEFAULT else folder / subset for subset in info.subsets}


def files_of(info: TaskInfo) -> list[tuple[str, Path]]:
    """Name the files of a custom task that are there, by their path inside the folder."""
    layout, whole = layout_of(info.type), info.folder or Path()
    return [
        (file.relative_to(whole).as_posix(), file)
        for folder in folders_of(info).values()
        for file in _files_in(layout, folder)
    ]


def make_task(info: TaskInfo, data_sha256: str) -> "AbsTask":
    """Make a task object whose data is the folder's; the data is read when mteb asks for it.

    Args:
        info: a custom task.
        data_sha256: what the files hash to; stands for a revision in mteb's results.
    """
    import mteb.abstasks

    layout = layout_of(info.type)
    base: Any = getattr(mteb.abstasks, layout.base)
    # mteb knows its own types only; what it calls the type of a task decides nothing of how it runs.
    known = get_args(find("mteb.abstasks.task_metadata:TaskType"))
    metadata = mteb.TaskMetadata(
        name=info.name,
        description=f"A custom task of {len(files_of(info))} files.",
        type=info.type if info.type in known else known[0],  # type: ignore[arg-type]
        category="t2t",
        modalities=["text"],
        eval_splits=list(info.splits),
        eval_langs=list(info.languages) if info.subsets == (DEFAULT,) else languages_of(info.subsets, info.languages),
        main_score=info.main_score,
        dataset={"path": info.name, "revision": data_sha256[:12]},
        reference=None,
        date=None,
    ).model_copy(update={"type": info.type})

    def load_data(self: Any, *_: Any, **__: Any) -> None:
        if self.data_loaded:
            return
        loaded = {subset: layout.load(self, folder) for subset, folder in folders_of(info).items()}
        # Data without subsets lies directly under its splits, except retrieval's.
        self.dataset = loaded.get(DEFAULT) or {name: found.get(DEFAULT, found) for name, found in loaded.items()}
        self.data_loaded = True
        with warnings.catch_warnings():  # mteb is kept quiet meanwhile
            warnings.simplefilter("always")
            for note in self.notes:
                warnings.warn(one_line(f"{info.name}: {note}"), stacklevel=2)

    made = type(info.name, (base,), {"metadata": metadata, "load_data": load_data, "notes": (), **layout.attributes})
    task: AbsTask = made()
    return task
