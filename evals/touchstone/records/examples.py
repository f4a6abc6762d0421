"""Examples for reports: the samples that lost most and gained most, with their texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document of a query, with its places in the ranking before and after, from 1; None: not among the ten best."""

    id: str
    text: str
    relevant: bool
    before: int | None = None
    after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One sample that changed: its value before and after, which is a `Shown.measure`.

    ``texts`` are by role, such as ``query`` or ``sentence1``; empty where they could not be found. ``expected`` is the
    gold label or score, ``was`` and ``now`` the predictions, in words; None where there is no single one.
    """

    id: str
    stratum: str
    before: float
    after: float
    texts: Mapping[str, str]
    expected: str | None = None
    was: str | None = None
    now: str | None = None
    documents: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The samples of a case that lost most and gained most, the most changed first.

    ``measure`` is what a sample's value means, larger being better. ``note`` is what could not be found, and why.
    ``losers`` and ``gainers`` count all samples that lost and gained; ``lost_alike`` and ``gained_alike`` those that
    changed at least as much as the last one shown. None means not counted.
    """

    measure: str
    lost: tuple[Example, ...]
    gained: tuple[Example, ...]
    note: str | None = None
    losers: int | None = None
    gainers: int | None = None
    lost_alike: int | None = None
    gained_alike: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """All samples of a case that changed, as columns, the most changed first; `Shown` has the texts of a few."""

    measure: str
    ids: Sequence[str]
    strata: Sequence[str]
    before: Sequence[float]
    after: Sequence[float]
