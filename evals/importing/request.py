"""What was asked for, and what a source gave: the nouns of an import."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from evals.importing.entries import Note
from evals.records import Baseline

Kind = Literal["card", "results", "run", "evalscope"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An import as it was typed. ``folder`` is what a relative source is relative to.

    ``into`` and ``models_files`` are for a configuration: where its files go, and which models it may name.
    ``revision`` is the model's: which one to take of a tree or from the hub, and which one a card's numbers are of.
    """

    source: str
    folder: Path
    alias: str | None = None
    revision: str | None = None
    kind: Kind | None = None
    include_external: bool = False
    into: Path | None = None
    models_files: tuple[Path, ...] = ()


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
