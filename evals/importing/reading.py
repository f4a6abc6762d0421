"""Read a source of whatever kind: what it says of each model in it."""

from evals.errors import ConfigError
from evals.files import place
from evals.importing.cards import load_card
from evals.importing.detect import find_kind
from evals.importing.entries import make_entries, require_entries
from evals.importing.hub import fetch_card
from evals.importing.names import choose_alias, find_published
from evals.importing.request import Imported, Request


def read_source(request: Request) -> tuple[Imported, ...]:
    """Read a source; write nothing.

    Raises:
        EvalsError: there is no such source, or something in it is wrong.
    """
    match find_kind(request):
        case "card":
            return (_read_card(request),)
        case kind:
            raise ConfigError(f"{request.source}: is of the kind {kind}, which is not imported as baselines")


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
