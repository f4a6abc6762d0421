"""A user's folder becomes a task object that mteb can evaluate like one of its own."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from touchstone.records.cases import TaskInfo
from touchstone.seams import find
from touchstone.task_types.base import FolderLayout
from touchstone.task_types.registry import find_type

if TYPE_CHECKING:
    from mteb import AbsTask


def layout_of(type_name: str) -> FolderLayout:
    """Return how a custom task of a type lies in its folder; suites refuse types that have none."""
    layout = find_type(type_name).folder
    assert layout is not None
    return layout


def files_of(info: TaskInfo) -> list[tuple[str, Path]]:
    """Name the files of a custom task that are there, by their path inside the folder."""
    folder = info.folder or Path()
    return [(name, folder / name) for name in layout_of(info.type).files if (folder / name).is_file()]


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
        eval_langs=list(info.languages),
        main_score=info.main_score,
        dataset={"path": info.name, "revision": data_sha256[:12]},
        reference=None,
        date=None,
    ).model_copy(update={"type": info.type})

    def load_data(self: Any, *_: Any, **__: Any) -> None:
        if not self.data_loaded:
            self.dataset = layout.load(self, info.folder or Path())
            self.data_loaded = True

    made = type(info.name, (base,), {"metadata": metadata, "load_data": load_data, **layout.attributes})
    task: AbsTask = made()
    return task
