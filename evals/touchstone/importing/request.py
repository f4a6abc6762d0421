"""The request of an import and its result."""

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
    """An import as it was typed; a relative source starts at ``folder``.

    ``into`` and ``models_files`` are for a configuration: the folder for its files, and the models that it may name.
    ``revision`` is the model's: the one to read from a tree or the hub, and the one of a card's numbers. ``qrels``,
    ``task``, ``stratum`` and ``metric`` are for a run file: its judgements, and the entry that it becomes.
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
    """The entries of one model from a source, ready to be merged; ``samples`` has the content of their files by key."""

    alias: str
    model: str
    revision: str | None
    source: str
    entries: Mapping[str, Baseline]
    notes: tuple[Note, ...] = ()
    samples: Mapping[str, bytes] = field(default_factory=dict)


def choose_alias(request: Request, model: str) -> str:
    """Return the requested alias, else the one that ``pytest evals --model ORG/NAME`` gives.

    Raises:
        ConfigError: the alias cannot be that of a case.
    """
    alias = request.alias or slug(model.rpartition("/")[2])
    if not NAME.fullmatch(alias):
        raise ConfigError(f'--alias = "{alias}" is not a name that pytest -k can select; use {SIGNS}')
    return alias


def find_model(names: Sequence[str]) -> str:
    """Return the `org/name` of the only mteb model with the first of these short names that has one, else the first.

    A card has its model's name without the organization.
    """
    import mteb

    full_names: dict[str, set[str]] = {}
    for meta in mteb.get_model_metas():
        if meta.name is not None:
            full_names.setdefault(meta.name.rpartition("/")[2], set()).add(meta.name)
    for name in names:
        if len(matches := full_names.get(name, ())) == 1:
            return next(iter(matches))
    return names[0]
