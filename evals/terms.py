"""The terms that a case was judged on: against what, how much it may lose, and how sure a loss must be."""

from dataclasses import dataclass


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
