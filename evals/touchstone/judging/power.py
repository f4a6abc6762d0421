"""Power of a case and a suite before they are measured, and the least samples that reach a goal. Pure.

All numbers are fractions of 1; errors are those of normal distributions, and tasks count as independent.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from touchstone.records.cases import Policy

Change = Literal["same-weights", "fine-tune", "another-model"]
# Standard deviation of the differences of samples in [0, 1], of which such a change alters 3, 20 and 60 %.
SPREADS: Mapping[Change, float] = {"same-weights": 0.026, "fine-tune": 0.112, "another-model": 0.271}
POWER = 0.8
# Number of limits to choose from, and the largest share of all samples that one may be: a larger one saves too little.
LIMIT_STEPS, MAX_LIMIT_SHARE = 32, 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """The margin that a loss has to reach, and the level that its p-value has to be below."""

    margin: float
    level: float

    def detects(self, error: float, shift: float = 0.0) -> float:
        """Return the smallest true loss that is detected with 80 % power, by the standard error.

        ``shift`` is the effect on the mean of one sample more that gains everything: the loss must be larger.
        """
        needed = _quantile(1 - self.level) * math.hypot(error, shift) + shift
        return max(needed, self.margin) + _quantile(POWER) * error

    def largest_error(self, goal: float) -> float:
        """Return the largest standard error that detects a loss; 0 if the loss is within the margin."""
        power, significant = _quantile(POWER), _quantile(1 - self.level)
        return max(0.0, min((goal - self.margin) / power, goal / (power + significant)))

    def times_needed(self, goal: float, error: float, shift: float = 0.0) -> float:
        """Return the multiple of the samples that detects a loss; infinite if no number does."""
        low, high = 1e-9, 1e9
        if self.detects(error / math.sqrt(high), shift / high) > goal:
            return math.inf
        for _ in range(80):
            middle = math.sqrt(low * high)
            enough = self.detects(error / math.sqrt(middle), shift / middle) <= goal
            low, high = (low, middle) if enough else (middle, high)
        return high


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A case at one limit, None for all: its samples, standard error, shift as in `Criterion`, and seconds."""

    limit: int | None
    n: int
    error: float
    seconds: float
    shift: float = 0.0


def _quantile(probability: float) -> float:
    return NormalDist().inv_cdf(probability)


def fitting_margin(margin: float, goal: float, level: float) -> float:
    """Return a margin with which a loss can be detected with 80 % power, rounded down to a hundredth of a point.

    A loss as small as the margin is below it half of the time, whatever the samples. The margin is then the largest
    one that needs no smaller error than the p-value does.
    """
    if margin < goal:
        return margin
    significant = _quantile(1 - level)
    return math.floor(1e4 * goal * significant / (significant + _quantile(POWER))) / 1e4


def mean_error(errors: Sequence[float]) -> float:
    """Return the standard error of the mean over cases."""
    return math.hypot(*errors) / len(errors)


def limit_sizes(sizes: Sequence[int], limit: int | None) -> tuple[int, ...]:
    """Return the samples that a limit leaves of each stratum."""
    return tuple(size if limit is None else min(size, limit) for size in sizes)


def effective(sizes: Sequence[int]) -> float:
    """Return the n for which a mean over strata of the same spread has the standard error spread / √n."""
    return len(sizes) ** 2 / sum(1 / size for size in sizes)


def spread_of(error: float, n: int, sizes: Sequence[int]) -> float:
    """Return the standard deviation of samples, by the standard error of n samples in strata of these proportions."""
    return error * math.sqrt(n * effective(sizes) / sum(sizes))


def passable(policy: Policy, largest_loss: float = 1.0) -> int:
    """Return the least n = strata x samples of the smallest with which a case can pass: 2.65 / margin at 95 %.

    One sample more that loses everything moves the bound by its weight, and by its weight times the quantile of the
    confidence.
    """
    return math.ceil((1 + _quantile(policy.confidence)) * largest_loss / policy.margin)


def find_limits(least: int, sizes: Sequence[int]) -> list[int | None]:
    """Return limits to choose from, in equal ratios from the least one up, and None, which is all samples."""
    most = max(sizes)
    shares = (step / LIMIT_STEPS for step in range(LIMIT_STEPS if least < most else 0))
    limits = dict.fromkeys(math.ceil(least * (most / least) ** share) for share in shares)
    return [*(limit for limit in limits if limit < MAX_LIMIT_SHARE * most), None]


def allocate(cases: Sequence[Sequence[Choice]], error: float) -> list[Choice] | None:
    """Return the choice of each case with which the mean over all has at most this standard error, at the least cost.

    Each case minimizes its seconds plus a price times its squared error, at the lowest price that is enough (Everett,
    Operations Research 11, 1963). If seconds are proportional to samples that is Neyman's n ∝ spread / √cost (Cochran,
    Sampling Techniques, 1977, section 5.5). Then each case takes a cheaper choice if it is still enough.

    Returns:
        The choices, or None if no choices are enough.
    """
    allowed = (error * len(cases)) ** 2 * (1 + 1e-9)
    if sum(min(choice.error for choice in choices) ** 2 for choices in cases) > allowed:
        return None
    low, high = -30.0, 60.0  # powers of ten
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _squares(_at_price(cases, 10**middle)) <= allowed else (middle, high)
    selection = _at_price(cases, 10**high)
    for place, choices in enumerate(cases):
        free = allowed - _squares(selection) + selection[place].error ** 2
        options = [choice for choice in choices if choice.error**2 <= free]
        selection[place] = min([selection[place], *options], key=lambda choice: choice.seconds)
    return selection


def _at_price(cases: Sequence[Sequence[Choice]], price: float) -> list[Choice]:
    return [min(choices, key=lambda choice: choice.seconds + price * choice.error**2) for choices in cases]


def _squares(choices: Sequence[Choice]) -> float:
    return sum(choice.error**2 for choice in choices)
