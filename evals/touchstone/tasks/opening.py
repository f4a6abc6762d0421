"""Open a task: a fresh object with its data loaded from the source, and only from there."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from touchstone.errors import SourceError, TouchstoneError, find_no_space, first_line
from touchstone.records.cases import Source, TaskInfo
from touchstone.records.names import CODE, REVISION
from touchstone.retrying import without_frames
from touchstone.seams import eval_splits_of, import_libraries, local_datasets, no_progress_bars
from touchstone.store.folder import Store
from touchstone.store.hub import Snapshot
from touchstone.tasks.classes import class_errors, describe_problem, load_class
from touchstone.tasks.custom import files_of, make_task
from touchstone.tasks.identity import sets_of, watch_data
from touchstone.tasks.limiting import limit_data
from touchstone.tasks.registry import quiet_mteb
from touchstone.tasks.rows import hash_rows
from touchstone.tasks.sources import Reading, find_data, wanted_files

if TYPE_CHECKING:
    from mteb import AbsTask


# In the place of a revision, where a task's loader asks for no repository.
AS_MTEB_LOADS = "as-mteb-loads-it"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTask:
    """A task with its data: one object to evaluate, or an aggregate's children.

    ``check_unchanged`` raises SourceError if the files have changed since they were read.
    """

    task: "AbsTask"
    parts: tuple["AbsTask", ...]
    dataset_revision: str | None
    data_sha256: str | None
    check_unchanged: Callable[[], None] = lambda: None


@contextmanager
def open_task(info: TaskInfo, source: Source, store: Store, *, limit: int | None = None) -> Iterator[OpenTask]:
    """Load a task's data, at most ``limit`` samples of each split and subset; free it afterwards.

    The object is a new one each time: a clustering task evaluated twice gives two scores, as its generator moves on.

    Raises:
        SourceError: the data is not there or cannot be read.
    """
    bring_missing(info, source, store)  # fetched before it is watched
    check_unchanged = watch_data(info, source, store)
    check_loaded = partial(check_unchanged, loaded=True)
    with quiet_mteb(), no_progress_bars(), _scratch(info) as scratch:
        if info.folder:
            opened = _open_custom(info, store)
            check_loaded()
        else:  # checks before it keeps the cache
            reading = partial(_make_reading, source=source, store=store, info=info, scratch=scratch)
            opened = _open_mteb(info, reading, check_loaded)
        for part in opened.parts if limit is not None else ():
            with class_errors(info, f"--limit {limit}"):
                limit_data(part, info, limit or 0)
        check_prepared = opened.check_unchanged

        def check() -> None:
            check_unchanged()
            check_prepared()

        try:
            yield replace(opened, check_unchanged=check)
        finally:
            for part in opened.parts:
                part.dataset = None


@contextmanager
def _scratch(info: TaskInfo) -> Iterator[Path | None]:
    """Make a temporary folder for what `datasets` prepares for a user's class; other tasks have none."""
    if info.code is None:
        yield None
        return
    with TemporaryDirectory(prefix="touchstone-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def bring_missing(info: TaskInfo, source: Source, store: Store) -> None:
    """Fetch what a mirror of ModelScope lacks of a task's data.

    Raises:
        SourceError: the hub does not give it.
    """
    for task in sets_of(info) if source.kind == "modelscope" and info.folder is None else ():
        find_data(source, task.dataset, info.name, store)


def _open_custom(info: TaskInfo, store: Store) -> OpenTask:
    sha256 = store.files_sha256(files_of(info))
    task = make_task(info, sha256)
    task.load_data()
    return OpenTask(task=task, parts=(task,), dataset_revision=None, data_sha256=sha256)


def needed_repositories(info: TaskInfo) -> Iterator[tuple[str, str, Callable[[Snapshot], list[str]]]]:
    """Yield the repositories of a task of mteb's, with their revisions and a function that lists the needed files.

    A task's own loader may read others beside these.
    """
    parts = {part.task: part for task in sets_of(info, parts=False) for part in task.parts}
    for task in sets_of(info):
        subsets = (parts[task.name].subsets or task.subsets) if task.name in parts else info.subsets
        yield task.dataset, task.revision, partial(wanted_files, is_needed=needs(subsets, task.subsets))


def bring_data(info: TaskInfo, store: Store) -> Iterator[tuple[Snapshot, str | None, list[str]]]:
    """Read a task's data from the hub as a run does; yield the repositories that were read, with their fetched files.

    Raises:
        SourceError: the data is not there or cannot be read.
    """
    import datasets

    datasets.disable_progress_bars()  # those of preparing say little beside those of fetching
    with quiet_mteb(), _scratch(info) as scratch:
        for part in _make(info)[1]:
            reading = _make_reading(part, source=Source(), store=store, info=info, scratch=scratch)
            yield from _load(part, reading, lambda: None).snapshots
            part.dataset = None


def _make(info: TaskInfo) -> tuple["AbsTask", tuple["AbsTask", ...]]:
    """Return a task of mteb's or of a class, and the tasks that have its data: itself, or an aggregate's children."""
    import_libraries("mteb")
    import mteb

    task = mteb.get_task(info.name) if info.code is None else load_class(info.code).kind()
    if task.is_aggregate:  # an aggregate's metadata has tasks
        return task, tuple(map(_new_child, task.metadata.tasks))  # type: ignore[attr-defined]
    task.filter_languages(None, hf_subsets=list(info.subsets))
    task.filter_eval_splits(list(info.splits))
    return task, (task,)


def _open_mteb(
    info: TaskInfo, make_reading: Callable[["AbsTask"], Reading], check_unchanged: Callable[[], None]
) -> OpenTask:
    """Load a task's data from our source, for an aggregate that of each child: mteb would load them from the hub."""
    task, parts = _make(info)
    readings = [_load(part, make_reading(part), check_unchanged) for part in parts]
    revisions = [_revision(reading, info) for reading in readings]
    hashes = [_sha256(reading) if info.code is None else hash_rows(part.dataset, info.name)
              for part, reading in zip(parts, readings, strict=True)]  # fmt: skip
    single = parts == (task,)
    if single:
        _check_complete(task, info)

    def check_prepared() -> None:
        for reading in readings:
            reading.check_prepared()

    return OpenTask(
        task=task,
        parts=parts,
        dataset_revision=revisions[0] if single else _digest(revisions),
        data_sha256=hashes[0] if single else _digest(hashes),
        check_unchanged=check_prepared,
    )


def _revision(reading: Reading, info: TaskInfo) -> str | None:
    """Return the revision of the data: the commit, or for a mirror's files the revision that mteb asks for.

    For a user's class it also has the hash of the code.
    """
    revision = reading.revisions.get(reading.dataset) or (reading.expected_revision if reading.folders else None)
    if info.code is None:
        return revision or AS_MTEB_LOADS
    code = f"{CODE}{load_class(info.code).code or 'unknown'}"
    return f"{revision}+{code}" if revision is not None and REVISION.fullmatch(revision) else code


def _sha256(reading: Reading) -> str | None:
    return reading.store.files_sha256(reading.files.items()) if reading.files else None


def _new_child(child: "AbsTask") -> "AbsTask":
    """Return a new object of a child: those in an aggregate's metadata are shared by all its objects and keep state."""
    task = type(child)()
    task.hf_subsets = child.hf_subsets
    return task.filter_eval_splits(eval_splits_of(child))


def _digest(values: Sequence[str | None]) -> str | None:
    """Return one identity for an aggregate's children; None if one of theirs is not known."""
    import hashlib

    hashes = [value for value in values if value is not None]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest() if len(hashes) == len(values) else None


def _make_reading(task: "AbsTask", *, source: Source, store: Store, info: TaskInfo, scratch: Path | None) -> Reading:
    metadata = task.metadata
    return Reading(
        source=source,
        task=metadata.name,
        dataset=metadata.dataset["path"],
        expected_revision=metadata.revision,
        scope=f"{metadata.name} {sorted(task.hf_subsets or ())} {sorted(eval_splits_of(task) or ())}",
        needs_config=needs(task.hf_subsets or metadata.hf_subsets, metadata.hf_subsets),
        store=store,
        scratch=scratch,
        loader=info.code if info.code is not None and load_class(info.code).loads_itself else None,
    )


def _load(task: "AbsTask", reading: Reading, check_unchanged: Callable[[], None]) -> Reading:
    """Load a task's data from the source, and return its reading.

    The cache is kept only if the files have not changed since: the data may be of other files.
    """
    try:
        with local_datasets(reading.find, reading.note, reading.scratch):
            task.load_data()
        if reading.scratch is not None:
            _convert(task)
        check_unchanged()
        reading.keep()
        return reading
    except TouchstoneError:
        reading.drop()
        raise
    except (Exception, SystemExit) as error:  # every loader of mteb's and datasets' has errors of its own
        refusal, cause = _refuse(reading, error), without_frames(error)
    raise refusal from cause


def _convert(task: Any) -> None:
    """Convert the data of a user's own loader to the shape that is evaluated; nothing is loaded a second time."""
    convert = getattr(task, "convert_v1_dataset_format_to_v2", None)
    if convert is not None:
        convert(num_proc=None)
    if task.dataset is None:
        raise SourceError(f"load_data of {task.metadata.name} has left no dataset")
    task.data_loaded = True


def _refuse(reading: Reading, error: BaseException) -> SourceError:
    """Return the error of a loader as one sentence."""
    if (full := find_no_space(error)) is not None:
        where = f"{reading.store.folder}; free some, or name another --store"
        return SourceError(f'"{reading.dataset}" cannot be prepared, {first_line(full)}: in {where}')
    for snapshot, _, _ in reading.snapshots:
        snapshot.forget()  # the list of files may be the fault
    if reading.loader is not None:
        return describe_problem(reading.loader, "load_data", error)
    where = "the hub gave" if reading.source.kind == "hub" else f"{reading.source} has"
    return SourceError(f'{where} no readable data set "{reading.dataset}" for {reading.task}: {first_line(error)}')


def needs(subsets: Iterable[str], all_subsets: Iterable[str]) -> Callable[[str], bool]:
    """Return a predicate of the configurations that a task needs of its data set: all but those of other subsets."""

    def is_of(config: str, subsets: Iterable[str]) -> bool:
        return any(config == subset or config.startswith(f"{subset}-") for subset in subsets)

    selected = set(subsets)
    other_subsets = set(all_subsets) - selected
    return lambda config: is_of(config, selected) or not is_of(config, other_subsets)


def _check_complete(task: "AbsTask", info: TaskInfo) -> None:
    """Refuse data that lacks a split or subset: a score over fewer of them is another score."""
    dataset = task.dataset or {}
    for subset in info.subsets:
        # Data sets of one language lie directly under their splits, except retrieval's.
        splits = dataset if subset == "default" and subset not in dataset else dataset.get(subset, {})
        for split in info.splits:
            # With parallel subsets all language pairs are columns of one table, and no subset exists by itself.
            if split not in splits and not getattr(task, "parallel_subsets", False):
                raise SourceError(f'the data set of {info.name} has no split "{split}" for its subset "{subset}"')
