"""Read a source of whatever kind: what it says of each model in it."""

from evals.errors import ConfigError
from evals.files import place
from evals.importing.cards import load_card
from evals.importing.detect import find_kind
from evals.importing.entries import known_revision, make_entries, require_entries
from evals.importing.hub import fetch_card
from evals.importing.names import choose_alias, find_published
from evals.importing.request import Imported, Request
from evals.importing.runs import read_run
from evals.importing.trees import find_folder, load_folder, name_source


def read_source(request: Request) -> tuple[Imported, ...]:
    """Read a source; write nothing.

    Raises:
        EvalsError: there is no such source, or something in it is wrong.
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
