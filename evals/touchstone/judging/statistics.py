"""Intervals and p-values of paired differences, per task and over tasks. Pure: fixed seeds, same answer every time.

A score is the mean over strata (splits x subsets) of each stratum's score, so differences are stratified: the mean is
the mean over strata of their means, and the squared standard error is the sum of theirs over the number of strata
squared.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
# Called with the resampled counts of a stratum's samples, shape (resamples, n); gives a difference of scores for each.
Resampled = Callable[[Vector], Vector]
CONFIDENCE = 0.95
SMALL = 30
RESAMPLES = 2000
SEED = 20_250_101
AT_ONCE = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference of scores with what is known about its error.

    ``mean`` and ``error`` (one standard error) are fractions; ``degrees`` of the t distribution, infinite for a normal
    one; ``n`` samples in all.
    """

    mean: float
    error: float
    degrees: float
    n: int

    def quantile(self, probability: float) -> float:
        """Return the quantile of the standardized error."""
        return float(_t().ppf(probability, self.degrees))

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the two-sided interval."""
        reach = self.quantile(0.5 + confidence / 2) * self.error
        return self.mean - reach, self.mean + reach

    def lower_bound(self, confidence: float = CONFIDENCE) -> float:
        """Return the one-sided lower bound."""
        return self.mean - self.quantile(confidence) * self.error

    def upper_bound(self, confidence: float = CONFIDENCE) -> float:
        """Return the one-sided upper bound."""
        return self.mean + self.quantile(confidence) * self.error

    def p_loss(self) -> float:
        """Return the one-sided p-value of a mean this low where the true difference is 0."""
        if self.error == 0 and self.mean == 0:
            return 0.5
        standardized = self.mean / self.error if self.error else math.copysign(math.inf, self.mean)
        # However far away: no finite number of samples makes a p-value 0.
        return max(float(_t().cdf(standardized, self.degrees)), math.ulp(0.0))

    def negated(self) -> "Difference":
        """Return the difference the other way round."""
        return Difference(mean=-self.mean, error=self.error, degrees=self.degrees, n=self.n)


def _t() -> Any:
    """Return Student's distribution; infinite degrees make it the normal one. Imported late: a warm run needs none."""
    from scipy.stats import t

    return t


def mean_difference(strata: Sequence[Vector]) -> Difference:
    """Estimate the mean of per-sample differences.

    Args:
        strata: the differences of each stratum, shape (n_s,) each; with one sample in each the error is infinite.

    Returns:
        The stratified mean with the degrees of freedom of Welch and Satterthwaite (Biometrics Bulletin 2, 1946); for
        one stratum these are n - 1, Student's.
    """
    sizes = np.array([len(stratum) for stratum in strata])
    mean, n = float(np.mean([stratum.mean() for stratum in strata])), int(sizes.sum())
    free = n - len(strata)
    if free == 0:  # single samples say nothing about their own error
        return Difference(mean=mean, error=math.inf, degrees=math.inf, n=n)
    squares = np.array([((stratum - stratum.mean()) ** 2).sum() for stratum in strata])
    # A stratum of one borrows the variance within the others, and its degrees.
    alone = sizes == 1
    own = np.where(alone, free, sizes - 1)
    variances = np.where(alone, squares.sum(), squares) / own / sizes
    total, parts = variances.sum(), (variances**2 / own).sum()
    degrees = total**2 / parts if parts > 0 else free
    return Difference(mean=mean, error=math.sqrt(total) / len(strata), degrees=float(degrees), n=n)


def sign_flip_p(strata: Sequence[Vector]) -> float:
    """Return the exact one-sided p-value of a loss under random signs of the differences (Fisher 1935).

    All 2^n assignments are counted: the sums of one half of the samples are looked up among the sorted sums of the
    other, so that 30 samples cost 2 x 32 768 sums and not a thousand million.

    Args:
        strata: the differences of each stratum; at most 30 in all.

    Raises:
        ValueError: there are more.
    """
    weighted = np.concatenate([stratum / len(stratum) for stratum in strata])  # the mean, but for a common factor
    if len(weighted) > SMALL:
        raise ValueError(f"{len(weighted)} samples are too many to enumerate; use the t distribution")
    half = len(weighted) // 2
    left, right = _signed_sums(weighted[:half]), np.sort(_signed_sums(weighted[half:]))
    observed = weighted.sum()
    slack = 1e-12  # equal sums in another order differ in the last digit
    below = np.searchsorted(right, observed - left + slack)
    return float(below.sum() / (len(left) * len(right)))


def _signed_sums(values: Vector) -> Vector:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def bootstrap_difference(observed: Sequence[float], resampled: Sequence[Resampled], sizes: Sequence[int]) -> Difference:
    """Estimate a difference of scores that are no means over samples, by resampling within each stratum.

    Args:
        observed: the difference of each stratum.
        resampled: for each stratum, the difference under given counts of its samples.
        sizes: how many samples each stratum has.

    Returns:
        The difference with the bootstrap's standard error, to be read with a normal distribution (Efron and Tibshirani,
        An Introduction to the Bootstrap, 1993, chapter 6): no number of resamples bounds its p-value.
    """
    generator = np.random.default_rng(SEED)
    squared = 0.0
    for difference, size in zip(resampled, sizes, strict=True):
        squared += float(np.var(_resample(generator, size, difference), ddof=1))
    return Difference(
        mean=float(np.mean(observed)),
        error=math.sqrt(squared) / len(observed),
        degrees=math.inf,
        n=sum(sizes),
    )


def _resample(generator: "np.random.Generator", size: int, difference: Resampled) -> Vector:
    """Draw the resamples a few at a time: all of them for 100 000 samples would be 1.6 GB."""
    at_once = max(1, min(RESAMPLES, AT_ONCE // size))
    found = []
    for start in range(0, RESAMPLES, at_once):
        rows = min(at_once, RESAMPLES - start)
        counts = generator.multinomial(size, np.full(size, 1 / size), size=rows)
        found.append(np.atleast_1d(difference(np.asarray(counts, dtype=np.float64))))
    return np.concatenate(found)


def worst_loss(changed: int, n: int, largest_loss: float, confidence: float = CONFIDENCE) -> float:
    """Return the largest mean loss that a few changed samples leave possible, as a positive fraction.

    The upper limit of the changed fraction (Clopper and Pearson, Biometrika 26, 1934) times what a sample can lose: 5
    changed of 1 185 leave 0.9 point, 3 of 300 leave 2.6.
    """
    from scipy.stats import beta

    limit = 1.0 if changed >= n else float(beta.ppf(confidence, changed + 1, n - changed))
    return limit * largest_loss


def detectable(difference: Difference, margin: float, alpha: float, power: float = 0.8) -> float:
    """Return the smallest true loss, as a positive fraction, that would be called regressed with the power given.

    A case is called regressed when its mean is at the margin or beyond and p < alpha; both must happen.
    """
    reach = difference.quantile(power) * difference.error
    return max(difference.quantile(1 - alpha) * difference.error, margin) + reach


def samples_to_settle(difference: Difference, margin: float, alpha: float) -> int:
    """Return how many samples like these would decide; the error must be finite."""
    if difference.mean <= -margin:
        needed = difference.quantile(1 - alpha) * difference.error / abs(difference.mean)
    else:
        needed = difference.quantile(CONFIDENCE) * difference.error / (difference.mean + margin)
    return math.ceil(difference.n * needed**2)


def over_tasks(differences: Sequence[Difference]) -> Difference:
    """Combine tasks into their unweighted mean; tasks are fixed, so that only their samples vary.

    Degrees of freedom are Welch and Satterthwaite's again.
    """
    total = sum(one.error**2 for one in differences)
    parts = sum(one.error**4 / one.degrees for one in differences)
    return Difference(
        mean=sum(one.mean for one in differences) / len(differences),
        error=math.sqrt(total) / len(differences),
        degrees=total**2 / parts if parts > 0 else math.inf,
        n=sum(one.n for one in differences),
    )
