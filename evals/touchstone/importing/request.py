"""What was asked for, and what a source gave: the nouns of an import."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from touchstone.errors import ConfigError
from touchstone.importing.entries import Note
from touchstone.records.baselines import Baseline
from touchstone.records.names import NAME, SIGNS, slug

Kind = Literal["card", "eval_results", "results", "run", "trec", "evalscope"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An import as it was typed. ``folder`` is what a relative source is relative to.

    ``into`` and ``models_files`` are for a configuration: where its files go, and which models it may name.
    ``revision`` is the model's: which one to take of a tree or from the hub, and which one a card's numbers are of.
    ``qrels``, ``task``, ``stratum`` and ``metric`` are for a run file: its judgements, and what it is an entry of.
    """

    source: str
    folder: Path
    alias: str | None = None
    revision: str | None = None
    kind: Kind | None = None
    include_external: bool = False
    into: Path | None = None
    models_files: tuple[Path, ...] = ()
    qrels: str | None = None
    task: str | None = None
    stratum: str | None = None
    metric: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a source says of one model, ready to be merged. ``samples`` has the content of their files, by key."""

    alias: str
    model: str
    revision: str | None
    source: str
    entries: Mapping[str, Baseline]
    notes: tuple[Note, ...] = ()
    samples: Mapping[str, bytes] = field(default_factory=dict)


def choose_alias(request: Request, model: str) -> str:
    """Return the alias asked for, else the one that ``pytest evals --model ORG/NAME`` gives.

    Raises:
        ConfigError: it is not one that a case can have.
    """
    alias = request.alias or slug(model.rpartition("/")[2])
    if not NAME.fullmatch(alias):
        raise ConfigError(f'--alias = "{alias}" is not a name that pytest -k can select; use {SIGNS}')
    return alias


def find_model(names: Sequence[str]) -> str:
    """Return the `org/name` of the only mteb model that has one of these short names, trying them in order.

    A card says its model's name without who published it. Where none is known, the first name is all there is.
    """
    import mteb

    known: dict[str, set[str]] = {}
    for meta in mteb.get_model_metas():
        if meta.name is not None:
            known.setdefault(meta.name.rpartition("/")[2], set()).add(meta.name)
    for name in names:
        if len(found := known.get(name, ())) == 1:
            return next(iter(found))
    return names[0]
