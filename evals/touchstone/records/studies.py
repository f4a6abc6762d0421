"""Results of studies of an index: a model in several sizes, and two models side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from touchstone.metrics.geometry import Shape
from touchstone.records.lineups import Lineup


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The result of a variant: its size, its times, and its score compared with that of the whole model.

    ``encode`` is the time of one text in seconds, None if all texts were cached. ``bytes`` are those of a vector,
    ``index`` those of a million vectors, ``search`` the seconds of one query through these. ``score`` is the mean over
    tasks, None if one of them has none; ``delta`` and its 95 % ``interval`` are fractions, None without samples.
    ``verdict`` is empty for the whole model itself.
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
    """All variants of a model and the models compared with it, the smallest first; ``whole`` names the whole model.

    ``lineup`` has the speeds of the variants that encoded, by the names of their rows.
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
        """The fastest encoder of the variants that passed."""
        timed = [(row.encode, row) for row in self.rows if row.verdict == "PASS" and row.encode is not None]
        return min(timed, key=lambda pair: pair[0])[1] if timed else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One text, with the cosine of its two vectors, which have the same width."""

    text: str
    cosine: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SameTexts:
    """Two models' vectors of the same texts.

    ``shapes`` are of both. ``quantiles`` are the least cosine, the fifth percentile and the median, ``below`` is the
    share of texts under each threshold, ``worst`` the texts that changed most, ``moved`` the change in words; these are
    None or empty if the vectors have two widths. ``kept`` is the mean and the least share of ten common neighbours;
    ``ranks`` and ``pairs`` are as in `geometry.compare_pairs`.
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
    """One way to search: the models of queries and index, its scores, and the verdict against old on old."""

    queries: str
    index: str
    scores: Mapping[str, float]
    delta: float | None
    interval: tuple[float, float] | None
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexVerdict:
    """The verdict on keeping an index of one model's vectors with another model, and its evidence."""

    old: str
    new: str
    verdict: Literal["interchangeable", "queries first", "re-embed", "inconclusive"]
    reason: str
    same_texts: SameTexts
    searched: tuple[Searched, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A model's vectors of a few texts compared with those in a file or with each other: the changes by each way."""

    model: str
    texts: int
    ways: Mapping[str, str]
    verdict: Literal["interchangeable", "inconclusive", "re-embed"]
    reason: str
