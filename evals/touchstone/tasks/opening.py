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
from touchstone.seams import eval_splits_of, import_libraries, local_datasets
from touchstone.store.folder import Store
from touchstone.store.hub import Snapshot
from touchstone.tasks.classes import describe_problem, load_class, telling
from touchstone.tasks.custom import files_of, make_task
from touchstone.tasks.identity import sets_of, watch_data
from touchstone.tasks.limiting import limit_data
from touchstone.tasks.registry import quiet_mteb
from touchstone.tasks.rows import hash_rows
from touchstone.tasks.sources import Reading, find_data, wanted_files

if TYPE_CHECKING:
    from mteb import AbsTask


# In the place of a revision, where a task's loader asks for no repository: mteb's says what it should be.
AS_MTEB_LOADS = "as-mteb-loads-it"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTask:
    """A task with its data: one object to evaluate, or an aggregate's children.

    ``check_unchanged`` raises SourceError where the files are not those that were read any more.
    """

    task: "AbsTask"
    parts: tuple["AbsTask", ...]
    dataset_revision: str | None
    data_sha256: str | None
    check_unchanged: Callable[[], None] = lambda: None


@contextmanager
def open_task(info: TaskInfo, source: Source, store: Store, *, limit: int | None = None) -> Iterator[OpenTask]:
    """Load a task's data, at most ``limit`` samples of each split and subset; free it afterwards.

    A fresh object each time: a clustering task evaluated twice gives two scores, its generator has moved on.

    Raises:
        SourceError: the data is not there or cannot be read.
    """
    bring_missing(info, source, store)  # fetched before it is watched
    check_unchanged = watch_data(info, source, store)
    check_loaded = partial(check_unchanged, loaded=True)
    with quiet_mteb(), _scratch(info) as own:
        if info.folder:
            opened = _open_custom(info, store)
            check_loaded()
        else:  # which looks before it keeps what is prepared
            reading = partial(_make_reading, source=source, store=store, info=info, own=own)
            opened = _open_mteb(info, reading, check_loaded)
        for part in opened.parts if limit is not None else ():
            with telling(info, f"--limit {limit}"):
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
    """Make a folder for what a class of the user's own has prepared by datasets; other tasks have none."""
    if info.code is None:
        yield None
        return
    with TemporaryDirectory(prefix="touchstone-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def bring_missing(info: TaskInfo, source: Source, store: Store) -> None:
    """Fetch what a mirror lacks of a task's data, where it is one that fetches.

    Raises:
        SourceError: the hub does not give it.
    """
    for one in sets_of(info) if source.kind == "modelscope" and info.folder is None else ():
        find_data(source, one.dataset, info.name, store)


def _open_custom(info: TaskInfo, store: Store) -> OpenTask:
    sha256 = store.files_sha256(files_of(info))
    task = make_task(info, sha256)
    task.load_data()
    return OpenTask(task=task, parts=(task,), dataset_revision=None, data_sha256=sha256)


def data_wanted(info: TaskInfo) -> Iterator[tuple[str, str, Callable[[Snapshot], list[str]]]]:
    """Yield the repositories of a task of mteb's with the revisions that it asks for, and what names the files needed.

    A loader of a task's own may read others beside these.
    """
    parts = {part.task: part for one in sets_of(info, parts=False) for part in one.parts}
    for one in sets_of(info):
        subsets = (parts[one.name].subsets or one.subsets) if one.name in parts else info.subsets
        yield one.dataset, one.revision, partial(wanted_files, wanted=needs(subsets, one.subsets))


def bring_data(info: TaskInfo, store: Store) -> Iterator[tuple[Snapshot, str | None, list[str]]]:
    """Read a task's data from the hub as a run does; yield the repositories that were read, and the files brought.

    Raises:
        SourceError: the data is not there or cannot be read.
    """
    import datasets

    datasets.disable_progress_bars()  # those of what is prepared say little beside what is brought
    with quiet_mteb(), _scratch(info) as own:
        for part in _make(info)[1]:
            reading = _make_reading(part, source=Source(), store=store, info=info, own=own)
            yield from _load(part, reading, lambda: None).brought
            part.dataset = None


def _make(info: TaskInfo) -> tuple["AbsTask", tuple["AbsTask", ...]]:
    """Return a task of mteb's or a class's and what of it has data: itself, or the children of an aggregate."""
    import_libraries("mteb")
    import mteb

    task = mteb.get_task(info.name) if info.code is None else load_class(info.code).kind()
    if task.is_aggregate:  # an aggregate's metadata has tasks
        return task, tuple(map(_fresh, task.metadata.tasks))  # type: ignore[attr-defined]
    task.filter_languages(None, hf_subsets=list(info.subsets))
    task.filter_eval_splits(list(info.splits))
    return task, (task,)


def _open_mteb(
    info: TaskInfo, reading: Callable[["AbsTask"], Reading], check_unchanged: Callable[[], None]
) -> OpenTask:
    """Open each child of an aggregate with our source: mteb would load them itself, from the hub."""
    task, parts = _make(info)
    read = [_load(part, reading(part), check_unchanged) for part in parts]
    revisions = [_revision(one, info) for one in read]
    hashes = [_sha256(one) if info.code is None else hash_rows(part.dataset, info.name)
              for part, one in zip(parts, read, strict=True)]  # fmt: skip
    alone = parts == (task,)
    if alone:
        _need_all(task, info)

    def check_prepared() -> None:
        for one in read:
            one.check_prepared()

    return OpenTask(
        task=task,
        parts=parts,
        dataset_revision=revisions[0] if alone else _digest(revisions),
        data_sha256=hashes[0] if alone else _digest(hashes),
        check_unchanged=check_prepared,
    )


def _revision(read: Reading, info: TaskInfo) -> str | None:
    """Return the revision of what was read: that of the commit, else the one that mteb asks a mirror's files to be.

    The code of a class of the user's own is part of it.
    """
    known = read.revisions.get(read.dataset) or (read.asked if read.found else None)
    if info.code is None:
        return known or AS_MTEB_LOADS
    code = f"{CODE}{load_class(info.code).code or 'unknown'}"
    return f"{known}+{code}" if known is not None and REVISION.fullmatch(known) else code


def _sha256(read: Reading) -> str | None:
    return read.store.files_sha256(read.files.items()) if read.files else None


def _fresh(child: "AbsTask") -> "AbsTask":
    """Make a child anew: those of an aggregate's metadata are shared by every object of it and keep their state."""
    fresh = type(child)()
    fresh.hf_subsets = child.hf_subsets
    return fresh.filter_eval_splits(eval_splits_of(child))


def _digest(values: Sequence[str | None]) -> str | None:
    """Return one identity for an aggregate's children; unknown when one of theirs is."""
    import hashlib

    known = [value for value in values if value is not None]
    return hashlib.sha256("\n".join(known).encode()).hexdigest() if len(known) == len(values) else None


def _make_reading(task: "AbsTask", *, source: Source, store: Store, info: TaskInfo, own: Path | None) -> Reading:
    metadata = task.metadata
    return Reading(
        source=source,
        task=metadata.name,
        dataset=metadata.dataset["path"],
        asked=metadata.revision,
        reads=f"{metadata.name} {sorted(task.hf_subsets or ())} {sorted(eval_splits_of(task) or ())}",
        wanted=needs(task.hf_subsets or metadata.hf_subsets, metadata.hf_subsets),
        store=store,
        own=own,
        loader=info.code if info.code is not None and load_class(info.code).loads_itself else None,
    )


def _load(task: "AbsTask", what: Reading, check_unchanged: Callable[[], None]) -> Reading:
    """Load a task's data from the source, and return what was read.

    What is prepared of it is kept only if the files have not moved since: what was read may be of others.
    """
    try:
        with local_datasets(what.find, what.note, what.own):
            task.load_data()
        if what.own is not None:
            _settle(task)
        check_unchanged()
        what.keep()
        return what
    except TouchstoneError:
        what.drop()
        raise
    except (Exception, SystemExit) as error:  # every loader of mteb's and datasets' has errors of its own
        refusal, cause = _refuse(what, error), without_frames(error)
    raise refusal from cause


def _settle(task: Any) -> None:
    """Bring what a loader of the user's own left into the shape that is evaluated; nothing is loaded a second time."""
    convert = getattr(task, "convert_v1_dataset_format_to_v2", None)
    if convert is not None:
        convert(num_proc=None)
    if task.dataset is None:
        raise SourceError(f"load_data of {task.metadata.name} has left no dataset")
    task.data_loaded = True


def _refuse(what: Reading, error: BaseException) -> SourceError:
    """Return what to say of an error of a loader."""
    if (full := find_no_space(error)) is not None:
        where = f"{what.store.folder}; free some, or name another --store"
        return SourceError(f'"{what.dataset}" cannot be prepared, {first_line(full)}: in {where}')
    for snapshot, _, _ in what.brought:
        snapshot.forget()  # the list of files may be what was wrong
    if what.loader is not None:
        return describe_problem(what.loader, "load_data", error)
    where = "the hub gave" if what.source.kind == "hub" else f"{what.source} has"
    return SourceError(f'{where} no readable data set "{what.dataset}" for {what.task}: {first_line(error)}')


def needs(subsets: Iterable[str], known: Iterable[str]) -> Callable[[str], bool]:
    """Return what says whether a task needs a configuration of its data set: all but those of other subsets."""

    def is_of(config: str, subsets: Iterable[str]) -> bool:
        return any(config == subset or config.startswith(f"{subset}-") for subset in subsets)

    selected = set(subsets)
    others = set(known) - selected
    return lambda config: is_of(config, selected) or not is_of(config, others)


def _need_all(task: "AbsTask", info: TaskInfo) -> None:
    """Refuse data that lacks a split or subset: a score over fewer of them is another score."""
    loaded = task.dataset or {}
    for subset in info.subsets:
        # Data sets of one language lie directly under their splits, except retrieval's.
        splits = loaded if subset == "default" and subset not in loaded else loaded.get(subset, {})
        for split in info.splits:
            if split not in splits and not _is_parallel(task):
                raise SourceError(f'the data set of {info.name} has no split "{split}" for its subset "{subset}"')


def _is_parallel(task: "AbsTask") -> bool:
    """Return True if all language pairs are columns of one table, so that no subset exists by itself."""
    return bool(getattr(task, "parallel_subsets", False))
