"""Write what a run leaves beside its record: reports, with what earlier runs add to them, and baselines."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from touchstone.baselines.files import Baselines
from touchstone.errors import BaselineError, TouchstoneError
from touchstone.formatting import ZERO_CHANGE
from touchstone.records.cases import BaselineMode
from touchstone.records.examples import Changed
from touchstone.records.names import baseline_key
from touchstone.records.runs import Record, Run
from touchstone.records.samples import Samples, decode_samples
from touchstone.report.formats import Target
from touchstone.session.changes import list_changed
from touchstone.store.folder import Store
from touchstone.store.runs import load_runs

# Older runs than these are in the store, and in `touchstone trend`.
HISTORY = 50
# Returns the samples of a case and those that it was judged by, or raises a TouchstoneError that says why not.
Pairs = Callable[[Record], tuple[Samples, Samples]]


def write_report(target: Target, run: Run, store: Path, pairs: Pairs, *, merged: Sequence[Run] = ()) -> tuple[str, ...]:
    """Write a report and return lines to print.

    Args:
        target: the format and the file.
        run: what to render.
        store: where past runs are.
        pairs: finds samples, for a format that shows all that changed.
        merged: the runs that it was made of, which may be of other stores.

    Raises:
        OSError: the file cannot be written.
    """
    changed = _list_changed(run, pairs) if target.format.render_changed is not None else {}
    if not target.format.history:
        return target.write(run, (), store, changed)
    notes: tuple[str, ...] = ()
    try:
        history = load_runs(store, HISTORY)
    except BaselineError as error:  # it takes the lines over time with it, and nothing else
        history, notes = (), (f"no lines over past runs in the report: {error}",)
    whole_runs = [past for past in (*history, *merged) if past.shard is None]
    by_start = {(past.started, past.suite): past for past in whole_runs}
    return (*target.write(run, tuple(by_start.values()), store, changed), *notes)


def _list_changed(run: Run, pairs: Pairs) -> dict[str, Changed | str]:
    """Return the samples that changed, by case, or why they are not known of one that has a baseline."""
    changed: dict[str, Changed | str] = {}
    for record in run.records:
        if record.score is not None and record.baseline is not None:
            try:
                changed[record.case] = list_changed(*pairs(record))
            except TouchstoneError as error:
                changed[record.case] = str(error)
    return changed


def find_pair(record: Record, stores: Sequence[Path], baselines: Baselines) -> tuple[Samples, Samples]:
    """Return the samples of a case, from the first store that has them, and those of its baseline.

    Raises:
        TouchstoneError: one of them is gone, or the baseline is another by now.
    """
    name, against = record.samples or "", None if record.terms is None else record.terms.against
    content = next((blob for store in stores if (blob := Store(store).read_samples(name)) is not None), None)
    if content is None:
        raise TouchstoneError("the store does not have its samples")
    entry = None if against is None else baselines.find(against, baseline_key(record.task, record.limit))
    if entry is None or not _is_of(record, entry.baseline.subsets):
        raise TouchstoneError("the baseline that it was judged by is not here any more")
    reference = baselines.load_samples(entry)
    if reference is None:
        raise TouchstoneError("its baseline has no samples")
    return decode_samples(content, name), reference


def _is_of(record: Record, subsets: Mapping[str, float]) -> bool:
    """Return True if these are the scores of the baseline that a case was judged by."""
    strata = (record.subsets or {}).keys()
    comparable = strata and strata <= subsets.keys() and record.baseline is not None
    return bool(comparable) and abs(fmean(subsets[name] for name in strata) - (record.baseline or 0.0)) <= ZERO_CHANGE


def write_baselines(mode: BaselineMode, run: Run, baselines: Baselines, store: Store) -> list[str]:
    """Write what was measured as baselines, as far as the mode has it, and return lines to print.

    Raises:
        BaselineError: a file of baselines is damaged, or samples are not in the store.
    """
    if mode not in ("record", "update"):
        return []
    measured = [r for r in run.records if r.score is not None and r.error is None]
    if mode == "record":
        measured = [r for r in measured if r.verdict == "pass" and r.baseline is None]
    if cases_without := [r.case for r in measured if r.samples is None and r.n is not None]:
        raise BaselineError(f"no baseline was written: the samples of {cases_without[0]} could not be kept")
    paths = baselines.write(measured, run.environment, store)
    return [f"wrote {path}: review and commit it{_and_samples(path)}" for path in paths]


def _and_samples(file: Path) -> str:
    folder = file.parent / "samples" / file.stem
    return f", with its samples in {folder}" if folder.is_dir() else ""
