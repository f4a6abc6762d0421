"""Read the entries of each model from a source of any kind."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from touchstone.config.specs import HUB_ID
from touchstone.errors import BaselineError, ConfigError, suggest
from touchstone.files.json import parse_json
from touchstone.files.writing import place, read_text
from touchstone.importing.cards import fetch_card, load_card
from touchstone.importing.community import find_eval_results, load_eval_results
from touchstone.importing.entries import SOME_STRATA, Note, Published, known_revision, make_entries, require_entries
from touchstone.importing.request import Imported, Kind, Request, choose_alias, find_model
from touchstone.importing.results import find_folder, load_folder, name_source
from touchstone.importing.runs import import_run
from touchstone.importing.trec import METRIC, STRATUM, read_qrels, read_trec_run
from touchstone.records.baselines import Baseline
from touchstone.records.cases import TaskInfo
from touchstone.records.names import NAME, SIGNS, slug
from touchstone.records.samples import encode_samples
from touchstone.store.runs import split_alias
from touchstone.task_types.registry import find_type
from touchstone.tasks.definitions import define_task

STRATUM_PATTERN = re.compile(r"[A-Za-z0-9_.+-]{1,64}/[A-Za-z0-9_.+-]{1,64}")
# Only a configuration of EvalScope's MTEB back end has these.
EVALSCOPE_KEYS = {"eval_backend", "eval_config"}


def find_kind(request: Request) -> Kind:
    """Return the kind of a source, by its content; the name of a file decides only if nothing else does.

    Raises:
        TouchstoneError: there is no such source, or it cannot be imported.
    """
    if request.kind is not None or request.qrels is not None:
        return request.kind or "trec"
    text, alias = split_alias(request.source)
    if alias is not None:
        return "run"
    path = place(request.folder, text)
    if text.endswith((".yaml", ".yml", ".py")) or ".py:" in text:
        return "eval_results" if path.parent == find_eval_results(path) else "evalscope"
    if path.is_dir():
        return _kind_of_folder(path)
    if path.is_file():
        return _kind_of_file(path)
    if HUB_ID.fullmatch(request.source) and path.suffix not in (".md", ".json"):
        return "card"
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    names = [str(Path(request.source).parent / file.name) for file in beside]
    raise ConfigError(f"{request.source}: no such file or folder{suggest(request.source, names)}")


def _kind_of_folder(path: Path) -> Kind:
    if (path / "runs").is_dir() and any((path / "runs").glob("*.json")):
        return "run"
    card = path / "README.md"
    if find_eval_results(path) and not (card.is_file() and "\nmodel-index:" in read_text(card, BaselineError)):
        return "eval_results"
    if card.is_file() and not (path / "results").is_dir():
        return "card"  # the folder of a model's repository
    return "results"


def _kind_of_file(path: Path) -> Kind:
    text = read_text(path, BaselineError)
    if path.suffix == ".md" or text.startswith("---"):
        return "card"
    keys = _top_keys(text)
    if keys & EVALSCOPE_KEYS or {"models", "task_names"} <= keys or {"model", "tasks"} <= keys:
        return "evalscope"
    if {"scores", "mteb_dataset_name"} & keys:
        return "results"
    if "records" in keys or path.suffix == ".json":
        return "run"
    raise ConfigError(
        f"{path}: neither a card, a tree of results nor a run record, which --kind names, nor a run file with --qrels"
    )


def _top_keys(text: str) -> set[str]:
    try:
        content = parse_json(text, "", BaselineError, wide=True)
    except BaselineError:  # reading it raises the reason
        return set()
    return set(content) if isinstance(content, dict) else set()


def read_source(request: Request) -> tuple[Imported, ...]:
    """Read a source, without writing anything.

    Raises:
        TouchstoneError: there is no such source, or something in it is wrong.
    """
    kind = find_kind(request)
    if request.include_external and kind != "results":
        raise ConfigError(f"--include-external is for trees of results, and {request.source} is a {kind}")
    options = [name for name in ("qrels", "task", "stratum", "metric") if getattr(request, name) is not None]
    if options and kind != "trec":
        raise ConfigError(f"--{options[0]} is for run files of TREC, and {request.source} is a {kind}")
    match kind:
        case "card":
            return (_read_card(request),)
        case "eval_results":
            return (_read_eval_results(request),)
        case "results":
            return (_read_results(request),)
        case "run":
            return import_run(request)
        case "trec":
            return (_read_trec(request),)
        case "evalscope":
            raise ConfigError(f"{request.source}: an EvalScope configuration has no scores; it becomes a suite")


def _read_card(request: Request) -> Imported:
    path = place(request.folder, request.source)
    path = path / "README.md" if path.is_dir() else path
    if path.exists():
        revision, names = request.revision, [] if path.stem == "README" else [path.stem]
        card = load_card(path)
        model = find_model([card.name, *names])
    else:
        path, revision = fetch_card(request.source, request.revision)
        card, model = load_card(path), request.source
    source = f"card:{model.rpartition('/')[2]}"
    return _make_imported(request, (*card.rows, *card.notes), model=model, revision=revision, source=source, path=path)


def _read_eval_results(request: Request) -> Imported:
    path = place(request.folder, request.source)
    folder = find_eval_results(path)
    results = load_eval_results(path if path.is_file() or folder is None else folder)
    repository = path.parent if folder is None else folder.parent
    name, revision = repository.name, request.revision
    if repository.parent.name == "snapshots":  # in the hub's cache
        name, revision = repository.parent.parent.name.removeprefix("models--").replace("--", "/", 1), name
    model = name if "/" in name else find_model([name])
    source = f"eval_results:{model.rpartition('/')[2]}"
    return _make_imported(request, results, model=model, revision=revision, source=source, path=path)


def _read_results(request: Request) -> Imported:
    path = place(request.folder, request.source)
    folder = find_folder(path, request.revision, include_external=request.include_external)
    return _make_imported(request, load_folder(folder), model=folder.model, revision=known_revision(folder.revision),
                          source=name_source(folder), path=folder.path)  # fmt: skip


def _make_imported(
    request: Request, results: Iterable[Published | Note], *, model: str, revision: str | None, source: str, path: Path
) -> Imported:
    entries, notes = make_entries(results, source)
    require_entries(entries, notes, str(path))
    return Imported(alias=choose_alias(request, model), model=model, revision=revision, source=source,
                    entries=entries, notes=tuple(notes))  # fmt: skip


def _read_trec(request: Request) -> Imported:
    if request.qrels is None:
        raise ConfigError(f"{request.source}: a run file needs its judgements, --qrels FILE")
    path, qrels = place(request.folder, request.source), read_qrels(place(request.folder, request.qrels))
    task = _find_search(name := request.task or qrels.task)
    name, metric = (name, METRIC) if task is None else (task.name, task.main_score)
    stratum = _choose_stratum(request.stratum, task)
    run = read_trec_run(path, qrels, request.metric or metric, stratum)
    content = encode_samples(run.samples)
    # Judgements from elsewhere may not be the task's own, so that only the ids of samples are compared.
    data = None if task or request.task else qrels.sha256
    entry = Baseline(
        measurement=replace(run.measurement, chance=None, data_sha256=data),
        source=f"trec:{slug(path.stem)}",
        samples=hashlib.sha256(content).hexdigest(),
    )
    model = request.alias or slug(path.stem)
    notes = [Note(reason=note, what=path.name) for note in run.notes]
    if task is not None and len(task.strata) > 1:
        notes.append(Note(reason=SOME_STRATA, what=f"{name} ({stratum} of {len(task.strata)})"))
    return Imported(alias=choose_alias(request, model), model=model, revision=request.revision, source=entry.source,
                    entries={name: entry}, notes=tuple(notes), samples={name: content})  # fmt: skip


def _find_search(name: str) -> TaskInfo | None:
    """Return the task of a run file; None if mteb has no task of that name."""
    task = define_task(name)
    if task is None and not NAME.fullmatch(name):
        raise ConfigError(f'--task = "{name}" is not a name that a case can have; use {SIGNS}')
    if task is not None and find_type(task.type).searches != "corpus":
        raise ConfigError(
            f'--task = "{name}" is a task of type {task.type}, and a run file is of one that searches a corpus'
        )
    return task


def _choose_stratum(option: str | None, task: TaskInfo | None) -> str:
    if task is None:
        if option is not None and not STRATUM_PATTERN.fullmatch(option):
            raise ConfigError(f'--stratum = "{option}"; expected SPLIT/SUBSET, such as {STRATUM}')
        return option or STRATUM
    stratum = option or (task.strata[0] if len(task.strata) == 1 else "")
    if stratum not in task.strata:
        strata = ", ".join(task.strata[:6]) + (", ..." if len(task.strata) > 6 else "")
        raise ConfigError(f'--stratum = "{stratum}"; expected the part of {task.name} in the run file, one of {strata}')
    return stratum
