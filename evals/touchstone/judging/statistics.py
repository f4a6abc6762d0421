"""Errors, intervals and p-values of paired differences, per task and over tasks. Pure: fixed seeds, same answer always.

A score is the mean over strata (splits x subsets) of each stratum's score, so differences are stratified: the mean is
the mean over strata of their differences, and each sample's influence is divided by the number of strata.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from touchstone.judging.units import Groups, Rows, Vector

# Called with counts of a stratum's samples, shape (resamples, n); gives a difference of scores for each.
Resampled = Callable[[Vector], Vector]
CONFIDENCE = 0.95
# With fewer units than this their random signs are counted, beside Student's distribution.
SIGN_FLIP_UNITS = 40
RESAMPLES = 2000
SEED = 20_250_101
COUNTS_AT_ONCE = 20_000_000
# With more samples than this in each class of each stratum, resamples would say the same as influence alone.
ASYMPTOTIC_SAMPLES = 2000
# Bound of a bias and of an acceleration: a BCa interval corrects by no more.
MAX_SKEW = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference of scores with its error.

    ``mean`` and ``error`` (one standard error) are fractions; ``degrees`` of the t distribution, infinite for a normal
    one; ``n`` samples in all. ``skew`` is the acceleration and ``bias`` the bias correction of a BCa interval (Efron,
    Journal of the American Statistical Association 82, 1987), here to second order: the quantile q of the standardized
    error becomes q + bias + 2 skew q². It is used where it makes a bound wider.
    """

    mean: float
    error: float
    degrees: float
    n: int
    skew: float = 0.0
    bias: float = 0.0

    def quantile(self, probability: float) -> float:
        """Return the quantile of the standardized error."""
        return student_quantile(probability, self.degrees)

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the two-sided interval."""
        return self.lower_bound(0.5 + confidence / 2), self.upper_bound(0.5 + confidence / 2)

    def lower_bound(self, confidence: float = CONFIDENCE) -> float:
        """Return the one-sided lower bound."""
        return -self.negated().upper_bound(confidence)

    def upper_bound(self, confidence: float = CONFIDENCE) -> float:
        """Return the one-sided upper bound."""
        q = self.quantile(confidence)
        return self.mean + self.error * max(q, q + self.bias + 2 * self.skew * q**2)

    def p_loss(self) -> float:
        """Return the one-sided p-value of a mean this low if the true difference is 0."""
        if self.error == 0 and self.mean == 0:
            return 0.5
        distance = -self.mean / self.error if self.error else math.copysign(math.inf, -self.mean)
        q = min(distance, self._corrected(distance)) if self.error else distance
        # However far away the mean is, no finite number of samples makes a p-value 0.
        return max(student_probability(-q, self.degrees), math.ulp(0.0))

    def _corrected(self, distance: float) -> float:
        """Return the largest q whose corrected quantile is this distance above the mean, in standard errors."""
        a, offset = 2 * self.skew, distance - self.bias
        if abs(a) < 1e-9 or not math.isfinite(distance):
            return offset
        inside = 1 + 4 * a * offset
        if inside > 0:
            return (math.sqrt(inside) - 1) / (2 * a)
        return math.inf if a < 0 else -1 / (2 * a)

    def negated(self) -> "Difference":
        """Return the difference with the opposite sign."""
        return replace(self, mean=-self.mean, skew=-self.skew, bias=-self.bias)

    def moved(self, shift: float | None) -> "Difference":
        """Return the difference with one sample more, which moves the mean by so much; None and 0 move nothing."""
        return replace(self, mean=self.mean + shift, error=math.hypot(self.error, shift)) if shift else self


def student_quantile(probability: float, degrees: float) -> float:
    """Return a quantile of Student's distribution; infinite degrees make it the normal one."""
    from scipy import special  # late: a warm run needs none

    return float(special.ndtri(probability) if math.isinf(degrees) else special.stdtrit(degrees, probability))


def student_probability(value: float, degrees: float) -> float:
    """Return the probability of a value this small or smaller, as `student_quantile` does."""
    from scipy import special

    return float(special.ndtr(value) if math.isinf(degrees) else special.stdtr(degrees, value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """One split and subset.

    ``rows`` (n,) are the places of its samples in the case, ``scores`` (e,) the differences of scores, one for each
    experiment, and ``influences`` (n, e) those of each sample on them. ``classes`` (n,) are drawn apart.
    """

    rows: Rows
    scores: Vector
    influences: Vector
    classes: Rows

    @property
    def cells(self) -> list[Rows]:
        """The samples of each class, as places in this stratum."""
        return [np.flatnonzero(self.classes == label) for label in np.unique(self.classes)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A difference; the influence of each sample on it (n,); whether training draws have the larger error."""

    difference: Difference
    influences: Vector
    by_experiments: bool = False


def estimate(strata: Sequence[Stratum], groups: Groups) -> Estimate:
    """Estimate the mean over strata and experiments, with the error of samples and of training draws.

    Samples and draws are crossed: each draw is used for all samples, and by all strata. So the squared error is that
    of samples plus that of draws minus that of their interaction, which both contain (Searle, Casella and McCulloch,
    Variance Components, 1992, chapter 4), with the degrees of freedom of Welch and Satterthwaite (Biometrics Bulletin
    2, 1946). Samples that share units count together. Where no stratum shows any spread the error is infinite.
    """
    mean = float(np.mean([stratum.scores.mean() for stratum in strata]))
    n, draws = sum(len(stratum.rows) for stratum in strata), len(strata[0].scores)
    scaled = _scaled(strata, groups, n)
    if scaled is None:
        nothing = Difference(mean=mean, error=math.inf, degrees=math.inf, n=n)
        return Estimate(difference=nothing, influences=np.zeros(n))
    parts = _squares(strata, groups, scaled)
    of_samples, of_draws = sum(square for square, _ in parts), 0.0
    if draws > 1:
        of_draws = float(np.mean([stratum.scores for stratum in strata], axis=0).var(ddof=1)) / draws
        parts += [(of_draws, draws - 1.0), *(_interaction(stratum, len(strata)) for stratum in strata)]
    total = max(sum(square for square, _ in parts), of_samples, of_draws)
    below = sum(square**2 / degrees for square, degrees in parts if square)
    degrees = total**2 / below if below else sum(degrees for _, degrees in parts)
    difference = Difference(mean=mean, error=math.sqrt(total), degrees=degrees, n=n)
    return Estimate(difference=difference, influences=scaled, by_experiments=of_draws > of_samples)


def _scaled(strata: Sequence[Stratum], groups: Groups, n: int) -> Vector | None:
    """Return the influences (n,), scaled for the degrees of freedom of the means; None if there is no spread."""
    scaled, single_cells, squares, free = np.zeros(n), [], 0.0, 0
    for stratum in strata:
        influences = stratum.influences.mean(axis=1)
        for cell in stratum.cells:
            count = groups.count_in(stratum.rows[cell])
            if count < 2:
                single_cells.append((stratum, cell))
                continue
            centred = influences[cell] - influences[cell].mean()
            scaled[stratum.rows[cell]] = centred * math.sqrt(count / (count - 1)) / len(strata)
            squares, free = squares + float(centred @ centred) * len(cell) ** 2, free + count - 1
    if not free or any(len(stratum.cells) > 1 for stratum, _ in single_cells):  # a class of one has no spread
        return None
    for stratum, cell in single_cells:  # a stratum of one borrows the spread within the others
        scaled[stratum.rows[cell]] = math.sqrt(squares / free) / len(cell) / len(strata)
    return scaled


def _squares(strata: Sequence[Stratum], groups: Groups, influences: Vector) -> list[tuple[float, float]]:
    """Return squared errors with their degrees of freedom: of each stratum, or of all strata if they share units."""
    square = groups.square if groups.single is not None or groups.count >= SIGN_FLIP_UNITS else groups.largest_square
    if groups.any_across([stratum.rows for stratum in strata]):
        return [(square(influences), float(min(groups.count, len(influences)) - 1))]
    free = [np.array([groups.count_in(stratum.rows[cell]) - 1.0 for cell in stratum.cells]) for stratum in strata]
    borrowed = float(sum(map(np.sum, free)))
    parts = []
    for stratum, of_classes in zip(strata, free, strict=True):
        of_stratum = np.zeros(len(influences))
        of_stratum[stratum.rows] = influences[stratum.rows]
        parts.append((square(of_stratum), _degrees(stratum, of_classes, influences) or borrowed))
    return parts


def _degrees(stratum: Stratum, free: Vector, influences: Vector) -> float:
    """Return the degrees of freedom of a stratum, by those of its classes and their parts of the squared error (Welch).

    Ten positives with most of the error count as ten, however many negatives there are; a single sample has 0.
    """
    squares = np.array([influences[stratum.rows[cell]] @ influences[stratum.rows[cell]] for cell in stratum.cells])
    if len(free) == 1 or not squares.any():
        return float(free.sum())
    return float(squares.sum() ** 2 / (squares**2 / free).sum())


def _interaction(stratum: Stratum, strata: int) -> tuple[float, float]:
    """Return the common part of the errors of samples and of draws, as a negative square."""
    n, draws = stratum.influences.shape
    if n < 2:
        return 0.0, 1.0
    residuals = stratum.influences - stratum.influences.mean(axis=1, keepdims=True)
    degrees = float((n - 1) * (draws - 1))
    return -n * float((residuals**2).sum()) / degrees / draws / strata**2, degrees


def sign_flip_p(sums: Vector) -> float:
    """Return the exact one-sided p-value of a loss under random signs of independent sums (Fisher 1935).

    For the sums of clusters this is the wild cluster bootstrap with Rademacher weights that imposes the null hypothesis
    (Cameron, Gelbach and Miller, Review of Economics and Statistics 90, 2008): random signs do not change the sum of
    squares, so that the studentized mean has the same order as the mean. All 2^n assignments are counted: the sums of
    one half are looked up among the sorted sums of the other.

    Args:
        sums: the contribution of each unit to the mean; at most 40 units.

    Raises:
        ValueError: there are more units.
    """
    if len(sums) > SIGN_FLIP_UNITS:
        raise ValueError(f"{len(sums)} units are too many to enumerate; use the t distribution")
    half = len(sums) // 2
    left, right = _signed_sums(sums[:half]), np.sort(_signed_sums(sums[half:]))
    slack = 1e-12  # equal sums in another order differ in the last digit
    below = np.searchsorted(right, sums.sum() - left + slack)
    return float(below.sum() / (len(left) * len(right)))


def _signed_sums(values: Vector) -> Vector:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def correct(plain: Estimate, strata: Sequence[Stratum], resampled: Sequence[Resampled], groups: Groups) -> Difference:
    """Correct the error of scores that are not means over samples, by resampling within each class of each stratum.

    Args:
        plain: the estimate by influence alone.
        strata: with their classes.
        resampled: for each stratum, the difference under given counts of its samples.
        groups: of samples that share units.

    Returns:
        The difference with the acceleration of its influences and the bias that 2000 resamples show, and an error that
        is larger by as much as these scatter wider than independent influences would. For a mean the bias is the
        acceleration; with enough samples it is here too.
    """
    difference, generator = plain.difference, np.random.default_rng(SEED)
    skew = acceleration(plain.influences, groups)
    if all(len(cell) > ASYMPTOTIC_SAMPLES for stratum in strata for cell in stratum.cells):
        return replace(difference, skew=skew, bias=skew)
    resamples = np.zeros(RESAMPLES)
    for stratum, differ in zip(strata, resampled, strict=True):
        resamples += _resample(generator, stratum, differ) / len(strata)
    of_influences = math.sqrt(float(plain.influences @ plain.influences))
    wider = float(resamples.std(ddof=1)) / of_influences if of_influences else 1.0
    below = np.mean(resamples < difference.mean - 1e-12) + np.mean(np.abs(resamples - difference.mean) <= 1e-12) / 2
    return replace(
        difference,
        error=difference.error * max(wider, 1.0),
        skew=skew,
        bias=_limited(student_quantile(min(max(float(below), 1e-3), 1 - 1e-3), math.inf)),
    )


def acceleration(influences: Vector, groups: Groups) -> float:
    """Return the acceleration of a BCa interval: a sixth of the skewness of the sum of influences."""
    values = influences if groups.single is None else groups.sums(influences)
    spread = float(values @ values)
    return _limited(float((values**3).sum()) / (6 * spread**1.5)) if spread else 0.0


def _limited(value: float) -> float:
    return min(max(float(value), -MAX_SKEW), MAX_SKEW)


def _resample(generator: "np.random.Generator", stratum: Stratum, difference: Resampled) -> Vector:
    """Draw the resamples in batches: all of them for 100 000 samples would be 1.6 GB."""
    size = len(stratum.rows)
    at_once = max(1, min(RESAMPLES, COUNTS_AT_ONCE // size))
    batches = []
    for start in range(0, RESAMPLES, at_once):
        counts = np.zeros((min(at_once, RESAMPLES - start), size))
        for cell in stratum.cells:
            counts[:, cell] = generator.multinomial(len(cell), np.full(len(cell), 1 / len(cell)), size=len(counts))
        batches.append(np.atleast_1d(difference(counts)))
    return np.concatenate(batches)


def detectable(
    difference: Difference, margin: float, level: float, power: float = 0.8, *, shift: float | None = None
) -> float:
    """Return the smallest true loss, as a positive fraction, that would be called regressed with the given power.

    A case is called regressed if its mean is at the margin or beyond and p is below its level, even if one sample more
    gained everything, which moves the mean by ``shift``; both must happen.
    """
    moved = shift or 0.0
    by_chance = moved + difference.quantile(1 - level) * math.hypot(difference.error, moved)
    return max(by_chance, margin) + difference.quantile(power) * difference.error


def samples_to_settle(
    difference: Difference, shift: float | None, margin: float, level: float, confidence: float = CONFIDENCE
) -> int:
    """Return how many samples like these would decide; the error must be finite.

    ``shift`` is that of one sample more: a pass has to bear the worst one, a loss the best one.
    """
    loss = difference.mean <= -margin
    distance = -difference.mean if loss else difference.mean + margin
    q = difference.quantile(1 - level if loss else confidence)

    def open_after(times: float) -> bool:
        moved = abs(shift or 0.0) / times
        return moved + q * math.hypot(difference.error / math.sqrt(times), moved) >= distance

    low, high = 0.0, 1.0
    while open_after(high) and high < 1e9:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if middle and open_after(middle) else (low, middle)
    return math.ceil(difference.n * high)


def over_tasks(differences: Sequence[Difference], correlations: Any = None, weights: Any = None) -> Difference:
    """Combine tasks into a mean; tasks are fixed, so that only their samples vary.

    Args:
        differences: of each task.
        correlations: (k, k) of the differences, 1 on the diagonal; None: the tasks are independent.
        weights: of the tasks (k,), which sum to 1; None: all the same.

    Returns:
        The mean, with the degrees of Welch and Satterthwaite as if the tasks were independent.
    """
    k = len(differences)
    shares = np.full(k, 1 / k) if weights is None else np.asarray(weights)
    errors = shares * [difference.error for difference in differences]
    squares = errors**2
    # Covariances are estimates: however negative, the mean is no surer than one of its tasks.
    total = max(float(errors @ (np.eye(k) if correlations is None else correlations) @ errors), float(squares.max()))
    parts = float((squares**2 / [difference.degrees for difference in differences]).sum())
    corrections = np.array([(difference.skew, difference.bias) for difference in differences]).T
    return Difference(
        mean=float(shares @ [difference.mean for difference in differences]),
        error=math.sqrt(total),
        degrees=float(squares.sum()) ** 2 / parts if parts > 0 else math.inf,
        n=sum(difference.n for difference in differences),
        skew=float(corrections[0] @ errors**3) / total**1.5 if total**1.5 else 0.0,  # which may be 0 before total is
        bias=float(corrections[1] @ errors) / math.sqrt(total) if total else 0.0,
    )
