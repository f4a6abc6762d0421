"""What studies of an index found: a model in several sizes, and two models beside each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from touchstone.metrics.geometry import Shape
from touchstone.records.lineups import Lineup


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of a variant: its size, its times, and its score beside that of the whole model.

    ``encode`` are the seconds of one text, as this run encoded them; None where it found them all in the store.
    ``bytes`` are those of a vector, ``index`` those of a million, ``search`` the seconds of one query through these.
    ``score`` is the mean over tasks, None where one has none; ``delta`` and its 95 % ``interval`` are fractions, None
    without samples. ``verdict`` is empty of the whole model itself.
    """

    name: str
    alias: str
    dimensions: int
    precision: str
    bytes: int
    index: int
    search: float
    score: float | None
    delta: float | None
    interval: tuple[float, float] | None
    verdict: str
    reason: str
    encoded: int
    encode: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """All variants of a model and those that it is compared with, the smallest first; ``whole`` names it as it is.

    ``lineup`` has the speeds of those that encoded, by the names of their rows.
    """

    model: str
    suite: str
    tasks: tuple[str, ...]
    margin: float
    whole: str
    rows: tuple[Row, ...]
    lineup: Lineup | None = None

    @property
    def smallest(self) -> Row | None:
        """The smallest variant that passed."""
        return next((row for row in self.rows if row.verdict == "PASS"), None)

    @property
    def fastest(self) -> Row | None:
        """The variant that passed and encodes a text soonest, of those that were encoded."""
        timed = [(row.encode, row) for row in self.rows if row.verdict == "PASS" and row.encode is not None]
        return min(timed, key=lambda pair: pair[0])[1] if timed else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One text, with how far apart its two vectors are: their cosine where they are of one width."""

    text: str
    cosine: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SameTexts:
    """Two models' vectors of the same texts.

    ``shapes`` are of both. What needs one width is None where there are two: the least, fifth in a hundred, and median
    cosine, ``below`` the share of texts under each threshold, the ``worst`` texts, and what ``moved`` in words.
    ``kept`` is the mean and the least share of ten neighbours; ``ranks`` and ``pairs`` are as in
    `geometry.compare_pairs`.
    """

    texts: int
    shapes: tuple[Shape, Shape]
    quantiles: tuple[float, float, float] | None
    below: Mapping[str, float]
    worst: tuple[Moved, ...]
    moved: str | None
    kept: tuple[float, float]
    ranks: float | None
    pairs: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """One way to search: whose queries on whose index, what it scores, and how that was judged by old on old."""

    queries: str
    index: str
    scores: Mapping[str, float]
    delta: float | None
    interval: tuple[float, float] | None
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexVerdict:
    """Whether an index of one model's vectors may stay where another model comes, and everything that says so."""

    old: str
    new: str
    verdict: Literal["interchangeable", "queries first", "re-embed", "inconclusive"]
    reason: str
    same_texts: SameTexts
    searched: tuple[Searched, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A model's vectors of a few texts beside those in a file, or beside each other: what moved, by each way."""

    model: str
    texts: int
    ways: Mapping[str, str]
    verdict: Literal["interchangeable", "inconclusive", "re-embed"]
    reason: str
