"""Verdicts: what the gate decides, on which evidence and by which terms."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a verdict rests on beside the two measurements.

    ``against`` is the alias of the reference and ``model`` its name. ``margin`` is the loss allowed, a fraction;
    ``alpha`` is the rate of false alarms, shared among the ``gated`` cases of the model. ``differences`` say, a few
    words each, which settings the reference had otherwise.
    """

    against: str
    model: str
    margin: float
    alpha: float
    gated: int = 1
    differences: tuple[str, ...] = ()

    @property
    def level(self) -> float:
        """What p must stay below for a difference to count."""
        return self.alpha / self.gated


VerdictWord = Literal["pass", "improved", "inconclusive", "regressed", "drifted", "incomparable", "missing"]
OK_VERDICTS: frozenset[VerdictWord] = frozenset({"pass", "improved", "inconclusive"})
Rule = Literal["reproduce", "paired", "threshold", "floor", "chance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What paired samples say of a difference, in fractions.

    Its standard error with degrees of freedom (None: normal), the two-sided 95 % interval, the one-sided p of a loss,
    how many of n samples changed, and the smallest loss that would be called regressed four times in five.
    """

    error: float
    degrees: float | None
    interval: tuple[float, float]
    p: float
    n: int
    changed: int
    detectable: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate decided and why. ``baseline`` and ``delta`` are fractions, over the strata compared."""

    word: VerdictWord
    reason: str
    rule: Rule | None = None
    baseline: float | None = None
    delta: float | None = None
    evidence: Evidence | None = None
    terms: Terms | None = None

    @property
    def ok(self) -> bool:
        """Whether the case passes."""
        return self.word in OK_VERDICTS
