"""What a study of a model in several sizes found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of a variant: its size, the time of a search, and its score beside that of the whole model.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """All variants of a model, the smallest first; ``whole`` is the name of the model as it is."""

    model: str
    suite: str
    tasks: tuple[str, ...]
    margin: float
    whole: str
    rows: tuple[Row, ...]

    @property
    def smallest(self) -> Row | None:
        """The smallest variant that passed."""
        return next((row for row in self.rows if row.verdict == "PASS"), None)
