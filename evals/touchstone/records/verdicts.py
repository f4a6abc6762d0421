"""Verdicts of the gate, with their evidence and terms."""

from dataclasses import dataclass
from typing import Literal

from touchstone.records.cases import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms(Policy):
    """The policy of a case, and the other facts that its verdict depends on.

    ``against`` is the alias of the reference and ``model`` its name, both None if there was none. ``anchored``: the
    case was judged by an anchor too. ``differences`` are the settings of the reference that differ, in a few words
    each.
    """

    against: str | None = None
    model: str | None = None
    anchored: bool = False
    differences: tuple[str, ...] = ()

    @property
    def case_level(self) -> float:
        """The level that p had to stay below for a difference to count."""
        return self.level(anchored=self.anchored)


# Numbers of a sketch, and smallest hashes of units that tell whether two cases share any.
SKETCH_WIDTH, SKETCH_HASHES = 256, 128
VerdictWord = Literal["pass", "improved", "inconclusive", "regressed", "drifted", "incomparable", "missing"]
OK_VERDICTS: frozenset[VerdictWord] = frozenset({"pass", "improved", "inconclusive"})
Rule = Literal["reproduce", "equivalent", "paired", "threshold", "draws", "floor", "chance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The evidence of paired samples on a difference, in fractions.

    The standard error with degrees of freedom (None: normal), the two-sided 95 % interval, the one-sided p of a loss,
    how many of n samples changed, and the smallest loss that would be called regressed four times in five. ``units`` is
    the number of units that the samples share, to which the error refers. ``worst`` and ``best`` are the effects on the
    mean of one sample more that loses or gains all that a sample can; None if that has no bound. ``skew`` is the
    acceleration and ``bias`` the correction of the bias of a BCa interval. ``effect`` is the mean over the standard
    deviation of the differences. ``sketch`` has the sums of influence by unit, from which the covariance with another
    case follows.
    """

    error: float
    degrees: float | None
    interval: tuple[float, float]
    p: float
    n: int
    changed: int
    detectable: float
    units: int | None = None
    worst: float | None = None
    best: float | None = None
    skew: float = 0.0
    bias: float = 0.0
    effect: float | None = None
    sketch: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchored:
    """The verdict on a case against its anchor, the first release that its baseline file keeps."""

    baseline: float
    delta: float
    word: VerdictWord
    recorded: str | None = None
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Figures of some samples of a case, which no verdict depends on: those whose ``field`` has a ``value``."""

    field: str
    value: str
    n: int
    score: float
    baseline: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The decision of the gate and its reason. ``baseline`` and ``delta`` are fractions, over the compared strata.

    ``suspect``: inconclusive, though the loss reaches the margin, or its error is not known.
    """

    word: VerdictWord
    reason: str
    rule: Rule | None = None
    baseline: float | None = None
    delta: float | None = None
    evidence: Evidence | None = None
    terms: Terms | None = None
    suspect: bool = False
    anchor: Anchored | None = None
    slices: tuple[Slice, ...] = ()

    @property
    def ok(self) -> bool:
        """True if the case passes."""
        return self.word in OK_VERDICTS
