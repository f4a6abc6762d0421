"""Import the measured cases of our own run records as baselines, with their samples."""

from collections.abc import Sequence
from dataclasses import replace

from touchstone.baselines.files import take_records
from touchstone.config.options import STORE, find_root
from touchstone.errors import BaselineError, ConfigError
from touchstone.files.writing import place
from touchstone.importing.entries import Note
from touchstone.importing.request import Imported, Request, choose_alias
from touchstone.records.runs import Record, Run
from touchstone.store.folder import Store
from touchstone.store.runs import choose_models, find_store, newest_run, read_run, split_alias

NO_SAMPLES = "taken without samples, which are not in the store"
NOT_MEASURED = "not measured in that run"
WORSE_NOTE = "taken, though that run judged it worse than what it was compared with"


def import_run(request: Request) -> tuple[Imported, ...]:
    """Read a run record, ``FILE.json`` or ``FILE.json:ALIAS``, or the newest run of a store; one for each model.

    Raises:
        TouchstoneError: there is no such record, it is damaged, or its samples are gone.
    """
    if request.revision is not None:
        raise ConfigError("--revision is not for a run record: it says itself what was measured")
    text, alias = split_alias(request.source)
    path = place(request.folder, text)
    file = newest_run(path) if path.is_dir() else path
    run = read_run(file)
    aliases = choose_models(run, file, alias)
    if request.alias is not None and len(aliases) > 1:
        raise ConfigError(f"{file}: has {len(aliases)} models; name one for --alias: {file.name}:{aliases[0]}")
    # The samples of a record inside a store are there; those of a record elsewhere are in the project's store.
    store = Store(find_store(file) or find_root(request.folder) / STORE)
    return tuple(_import(alias, run, request, store) for alias in aliases)


def _import(alias: str, run: Run, request: Request, store: Store) -> Imported:
    records = [record for record in run.records if record.alias == alias]
    measured = [record for record in records if record.score is not None]
    _need_one_model(measured, alias)
    unstored = [record for record in measured if record.samples and store.read_samples(record.samples) is None]
    importable = [replace(record, samples=None) if record in unstored else record for record in measured]
    baselines, samples = take_records(importable, run.environment, store)
    entries = {key: replace(entry, recorded=run.started[:10]) for key, entry in baselines.items()}
    notes = [Note(reason=NOT_MEASURED, what=record.task) for record in records if record.score is None]
    notes += [Note(reason=WORSE_NOTE, what=record.task) for record in measured if record.outcome == "failed"]
    notes += [Note(reason=f"{NO_SAMPLES} {store.folder}", what=record.task) for record in unstored]
    name = request.alias and choose_alias(request, alias)
    return Imported(alias=name or alias, model=measured[0].model or alias, revision=measured[0].revision,
                    source=f"run of {run.started}", entries=entries, samples=samples,
                    notes=tuple(notes))  # fmt: skip


def _need_one_model(records: Sequence[Record], alias: str) -> None:
    models = sorted({f"{record.model or 'a model'} at {record.revision or 'no revision'}" for record in records})
    if len(models) > 1:
        raise BaselineError(f"{alias} is more than one model in that run: {', '.join(models)}")
