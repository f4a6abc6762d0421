"""Read a source of whatever kind: what it says of each model in it."""

from pathlib import Path

from touchstone.config.specs import HUB_ID
from touchstone.errors import BaselineError, ConfigError, suggest
from touchstone.files.json import parse_json
from touchstone.files.writing import place, read_text
from touchstone.importing.cards import fetch_card, load_card
from touchstone.importing.entries import known_revision, make_entries, require_entries
from touchstone.importing.request import Imported, Kind, Request, choose_alias, find_published
from touchstone.importing.results import find_folder, load_folder, name_source
from touchstone.importing.runs import read_run, split_alias

# What only a configuration of EvalScope's MTEB back end has.
EVALSCOPE = {"eval_backend", "eval_config"}


def find_kind(request: Request) -> Kind:
    """Return what kind of source it is, from what is there; the name of a file decides only where nothing else does.

    Raises:
        TouchstoneError: there is nothing, or nothing that can be imported.
    """
    if request.kind is not None:
        return request.kind
    text, alias = split_alias(request.source)
    if alias is not None:
        return "run"
    if text.endswith((".yaml", ".yml", ".py")) or ".py:" in text:
        return "evalscope"
    path = place(request.folder, text)
    if path.is_dir():
        return _kind_of_folder(path)
    if path.is_file():
        return _kind_of_file(path)
    if HUB_ID.fullmatch(request.source) and path.suffix not in (".md", ".json"):
        return "card"
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    here = [str(Path(request.source).parent / file.name) for file in beside]
    raise ConfigError(f"{request.source}: no such file or folder{suggest(request.source, here)}")


def _kind_of_folder(path: Path) -> Kind:
    if (path / "runs").is_dir() and any((path / "runs").glob("*.json")):
        return "run"
    if (path / "README.md").is_file() and not (path / "results").is_dir():
        return "card"  # the folder of a model's repository
    return "results"


def _kind_of_file(path: Path) -> Kind:
    text = read_text(path, BaselineError)
    if path.suffix == ".md" or text.startswith("---"):
        return "card"
    keys = _top_keys(text)
    if keys & EVALSCOPE or {"models", "task_names"} <= keys or {"model", "tasks"} <= keys:
        return "evalscope"
    if {"scores", "mteb_dataset_name"} & keys:
        return "results"
    if "records" in keys or path.suffix == ".json":
        return "run"
    raise ConfigError(f"{path}: neither a card, a tree of results nor a run record; force one with --kind")


def _top_keys(text: str) -> set[str]:
    try:
        content = parse_json(text, "", BaselineError, wide=True)
    except BaselineError:  # what reads it says why
        return set()
    return set(content) if isinstance(content, dict) else set()


def read_source(request: Request) -> tuple[Imported, ...]:
    """Read a source; write nothing.

    Raises:
        TouchstoneError: there is no such source, or something in it is wrong.
    """
    kind = find_kind(request)
    if request.include_external and kind != "results":
        raise ConfigError(f"--include-external is for trees of results, and {request.source} is a {kind}")
    match kind:
        case "card":
            return (_read_card(request),)
        case "results":
            return (_read_results(request),)
        case "run":
            return read_run(request)
        case "evalscope":
            raise ConfigError(f"{request.source}: an EvalScope configuration has no scores; it becomes a suite")


def _read_card(request: Request) -> Imported:
    path = place(request.folder, request.source)
    path = path / "README.md" if path.is_dir() else path
    if path.exists():
        revision, names = request.revision, [] if path.stem == "README" else [path.stem]
        card = load_card(path)
        model = find_published([card.name, *names])
    else:
        path, revision = fetch_card(request.source, request.revision)
        card, model = load_card(path), request.source
    source = f"card:{model.rpartition('/')[2]}"
    entries, notes = make_entries(card.rows, source)
    notes = [*card.notes, *notes]
    require_entries(entries, notes, str(path))
    return Imported(alias=choose_alias(request, model), model=model, revision=revision, source=source,
                    entries=entries, notes=tuple(notes))  # fmt: skip


def _read_results(request: Request) -> Imported:
    path = place(request.folder, request.source)
    folder = find_folder(path, request.revision, include_external=request.include_external)
    rows, notes = load_folder(folder)
    source = name_source(folder)
    entries, more = make_entries(rows, source)
    notes += more
    require_entries(entries, notes, str(folder.path))
    return Imported(alias=choose_alias(request, folder.model), model=folder.model,
                    revision=known_revision(folder.revision), source=source, entries=entries,
                    notes=tuple(notes))  # fmt: skip
