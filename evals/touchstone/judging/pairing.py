"""Compare the samples of two models on one task: one difference, its error, and which samples changed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from touchstone.formatting import ZERO_CHANGE
from touchstone.judging.statistics import (
    SIGN_FLIP_UNITS,
    Difference,
    Estimate,
    Stratum,
    acceleration,
    correct,
    estimate,
    sign_flip_p,
)
from touchstone.judging.units import Groups, Rows, Vector, find_groups, make_sketch
from touchstone.metrics import Undefined
from touchstone.metrics.influence import numerical
from touchstone.records.samples import EXAMPLE_LIMIT, Column, Samples, find_difference, restrict
from touchstone.task_types.base import TaskType
from touchstone.task_types.registry import find_type, has_texts_for_numbers, own_scores

MAX_ID_LENGTH = 24
# Rounding error of a bound, in the units of a mean.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One sample that changed, with its value before and after."""

    id: str
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Extreme:
    """One sample more, in the smallest stratum, that loses or gains all that a sample can.

    ``shift`` is its effect on the mean, ``loss`` the difference of the sample itself, ``weight`` its share of the mean,
    with the shares of the others as they were.
    """

    shift: float
    loss: float
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FewUnits:
    """Units that are so few that random signs are counted: their contributions to the mean (u,) and weights (u,)."""

    sums: Vector
    weights: Vector

    def p_loss(self, null: float, extreme: Extreme | None) -> float:
        """Return the p-value of a mean this low if the true difference is ``null``, with one extreme sample more."""
        sums = self.sums - null * self.weights
        if extreme is not None:
            sums = np.append(sums, (extreme.loss - null) * extreme.weight)
        return sign_flip_p(sums)

    def negated(self) -> "FewUnits":
        """Return the units with the signs of their sums reversed."""
        return FewUnits(sums=-self.sums, weights=self.weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """The stratum with the least certainty: its difference may be as low as ``low``."""

    stratum: str
    n: int
    low: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """The comparison of a candidate's samples with a reference's.

    ``worst`` and ``best`` are one sample more, of scores that are means of bounded samples: each bound and p-value
    contains the one that speaks against it. ``few``: with few units their random signs count too. ``units`` is the
    number of units that the samples share. ``by_experiments``: training draws have the larger error, which no number
    of samples makes smaller. ``lost`` has the samples that lost most, where each has a score. ``strata`` has the number
    of samples of each stratum. ``hidden`` is the loss that a pass may hide. ``sketch`` is as in `Evidence`.
    """

    difference: Difference
    changed: int
    units: int
    worst: Extreme | None = None
    best: Extreme | None = None
    few: FewUnits | None = None
    by_experiments: bool = False
    strata: tuple[tuple[str, int], ...] = ()
    lost: tuple[Change, ...] = ()
    hidden: Hidden | None = None
    spread: float | None = None
    sketch: str | None = None

    @property
    def p_loss(self) -> float:
        """The one-sided p-value of the loss, even if one sample more gained everything."""
        return _p_below(self.difference, self.few, 0.0, self.best)

    @property
    def p_gain(self) -> float:
        """The one-sided p-value of the gain, even if one sample more lost everything."""
        few = None if self.few is None else self.few.negated()
        return _p_below(self.difference.negated(), few, 0.0, _negated(self.worst))

    def lowest(self, confidence: float) -> float:
        """Return the lower bound of the true difference, even if one sample more lost everything."""
        return self.difference.moved(self.worst.shift if self.worst else None).lower_bound(confidence)

    def exceeds(self, bound: float, confidence: float) -> bool:
        """Return True if the true difference is above a bound, even if one sample more lost everything."""
        return self._beyond(self.difference, self.few, self.worst, bound, confidence)

    def stays_below(self, bound: float, confidence: float) -> bool:
        """Return True if the true difference is below a bound, even if one sample more gained everything."""
        few = None if self.few is None else self.few.negated()
        return self._beyond(self.difference.negated(), few, _negated(self.best), -bound, confidence)

    @staticmethod
    def _beyond(
        difference: Difference, few: FewUnits | None, extreme: Extreme | None, bound: float, confidence: float
    ) -> bool:
        moved = difference.moved(extreme.shift if extreme else None)
        if not moved.lower_bound(confidence) > bound:
            return False
        if few is None:
            return True
        # The p-value of a mean this high if the true difference is the bound.
        mirrored = None if extreme is None else Extreme(shift=0.0, loss=-extreme.loss, weight=extreme.weight)
        return few.negated().p_loss(-bound, mirrored) < 1 - confidence + ROUNDING


def _p_below(difference: Difference, few: FewUnits | None, null: float, extreme: Extreme | None) -> float:
    p = difference.moved(extreme.shift if extreme else None).p_loss()
    return p if few is None else max(p, few.p_loss(null, extreme))


def _negated(extreme: Extreme | None) -> Extreme | None:
    return None if extreme is None else Extreme(shift=-extreme.shift, loss=-extreme.loss, weight=extreme.weight)


def pair(candidate: Samples, reference: Samples) -> Paired | str | None:
    """Pair samples by stratum and id.

    Returns:
        The comparison; a sentence if the samples are not the same ones or have no score; None if the score has no
        paired test.
    """
    reference = restrict(reference, candidate)
    if (difference := find_difference(candidate, reference)) is not None:
        return difference
    if has_texts_for_numbers(candidate):
        return "the samples have texts where numbers are compared"
    before, after = own_scores(reference), own_scores(candidate)
    kind = find_type(candidate.type)
    if before is not None and after is not None:
        return _pair_values(candidate, reference, before, after)
    if candidate.metric not in kind.formulas or candidate.prediction is None or reference.prediction is None:
        return None
    try:
        return _pair_predictions(candidate, reference, kind)
    except (Undefined, ValueError) as error:  # labels that the formula has no meaning for, too
        return f"the samples have no score that can be compared: {error}"


def _pair_values(candidate: Samples, reference: Samples, before: Column, after: Column) -> Paired:
    """Compare scores that are means over samples; the score of an item is the share of experiments that are right."""
    deltas = after - before
    strata = []
    for rows in candidate.by_stratum().values():
        crossed = _crossed(candidate, reference)
        differences = _right(candidate, rows) - _right(reference, rows) if crossed else deltas[rows][:, None]
        strata.append(
            Stratum(
                rows=rows,
                scores=differences.mean(axis=0),
                influences=(differences - differences.mean(axis=0)) / len(rows),
                classes=np.zeros(len(rows), np.intp),
            )
        )
    groups = find_groups(candidate.units, len(candidate))
    result = estimate(strata, groups)
    largest = find_type(candidate.type).largest_loss
    changed = np.abs(deltas) > ZERO_CHANGE
    order = np.argsort(deltas, kind="stable")[:EXAMPLE_LIMIT]
    weights = _weights(candidate)
    return Paired(
        difference=result.difference if largest is not None else _skewed(result, groups),
        changed=int(changed.sum()),
        worst=None if largest is None or not changed.any() else _extreme(candidate, deltas, -largest),
        best=None if largest is None or not changed.any() else _extreme(candidate, deltas, largest),
        few=_few(groups, deltas * weights, weights),
        by_experiments=result.by_experiments,
        lost=tuple(
            Change(id=str(candidate.id[i]), before=float(before[i]), after=float(after[i]))
            for i in order
            if deltas[i] < -ZERO_CHANGE
        ),
        hidden=_find_hidden(candidate, deltas, largest),
        spread=float(deltas.std(ddof=1)) if len(deltas) > 1 else None,
        **_common(candidate, groups, result),
    )


def _common(candidate: Samples, groups: Groups, result: Estimate) -> dict[str, Any]:
    sketch = None
    if candidate.units is not None:
        sketch = make_sketch(candidate.units, result.influences, result.difference.error)
    return {
        "units": groups.count,
        "strata": tuple((name, len(rows)) for name, rows in candidate.by_stratum().items()),
        "sketch": sketch,
    }


def _crossed(candidate: Samples, reference: Samples) -> bool:
    """Return True if both sides have the same experiments, which share their test items."""
    after, before = candidate.prediction, reference.prediction
    return after is not None and before is not None and after.shape == before.shape and after.shape[1] > 1


def _right(samples: Samples, rows: Rows) -> Any:
    gold: Any = samples.gold
    prediction: Any = samples.prediction
    return (prediction[rows] == gold[rows][:, None]).astype(np.float64)


def _weights(samples: Samples) -> Vector:
    """Return the share (n,) of each sample in the mean over strata."""
    strata = samples.by_stratum()
    weights = np.zeros(len(samples))
    for rows in strata.values():
        weights[rows] = 1 / len(rows) / len(strata)
    return weights


def _extreme(samples: Samples, deltas: Vector, loss: float) -> Extreme:
    """Return one sample more in the smallest stratum, with this loss."""
    strata = samples.by_stratum()
    rows = min(strata.values(), key=len)
    shift = (loss - float(deltas[rows].mean())) / (len(rows) + 1) / len(strata)
    return Extreme(shift=shift, loss=loss, weight=1 / len(rows) / len(strata))


def _few(groups: Groups, contributions: Vector, weights: Vector) -> FewUnits | None:
    if groups.single is None or groups.count >= SIGN_FLIP_UNITS:
        return None
    return FewUnits(sums=groups.sums(contributions), weights=groups.sums(weights))


def _skewed(result: Estimate, groups: Groups) -> Difference:
    """Correct a mean of samples without a bound by its own skewness, which is also its bias."""
    skew = acceleration(result.influences, groups)
    return replace(result.difference, skew=skew, bias=skew)


def _find_hidden(samples: Samples, deltas: Vector, largest: float | None) -> Hidden | None:
    """Return the stratum whose loss may be largest, judged by its own samples."""
    strata = samples.by_stratum()
    if largest is None or len(strata) < 2:
        return None
    candidates = []
    for name, rows in strata.items():
        differences, n = deltas[rows], len(rows)
        shift = (-largest - float(differences.mean())) / (n + 1)
        error = float(differences.std(ddof=1)) / n**0.5 if n > 1 else abs(shift)
        plain = Difference(mean=float(differences.mean()), error=error, degrees=max(n - 1, 1), n=n)
        candidates.append(Hidden(stratum=name, n=n, low=max(plain.moved(shift).lower_bound(), -largest)))
    return min(candidates, key=lambda hidden: hidden.low)


def _pair_predictions(candidate: Samples, reference: Samples, kind: TaskType) -> Paired:
    """Compare scores that are computed from all samples together, such as correlations, average precision and F1."""
    after, before = candidate.prediction, reference.prediction
    assert after is not None
    assert before is not None
    strata, resampled = [], []
    for rows in candidate.by_stratum().values():
        sides = _Sides(candidate=candidate, after=after[rows], before=before[rows], rows=rows, kind=kind)
        strata.append(sides.stratum())
        resampled.append(sides.resample)
    groups = find_groups(candidate.units, len(candidate))
    plain = estimate(strata, groups)
    difference = plain.difference
    if math.isfinite(difference.error):
        try:
            difference = correct(plain, strata, resampled, groups)
        except Undefined:  # so few samples that some resample has no score
            difference = replace(difference, error=math.inf, degrees=math.inf)
    changed = len(after)  # if the sides have different numbers of experiments
    if after.shape == before.shape:
        moved = np.abs(after - before) > ZERO_CHANGE if after.dtype.kind == "f" else after != before
        changed = int(moved.any(axis=1).sum())
    return Paired(
        difference=difference, changed=changed, by_experiments=plain.by_experiments, **_common(candidate, groups, plain)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """The predictions (n, e) of both models on the samples of one stratum."""

    candidate: Samples
    after: Column
    before: Column
    rows: Rows
    kind: TaskType

    @property
    def gold(self) -> Any:
        gold: Any = self.candidate.gold
        return gold[self.rows]

    def stratum(self) -> Stratum:
        """Return the differences of scores, with the influence of each sample on each of them."""
        return Stratum(
            rows=self.rows,
            scores=np.asarray(self._differ(self._score)),
            influences=np.stack(self._differ(self._influence), axis=-1),
            classes=self._classes(),
        )

    def resample(self, counts: Vector) -> Vector:
        """Return the difference of scores under counts of the samples (r, n)."""
        return np.asarray(np.mean(self._differ(lambda column: self._score(column, counts)), axis=0))

    def _differ(self, of_column: Callable[[Any], Any]) -> list[Any]:
        """Return a difference for each experiment, or only one if the sides have different numbers of experiments."""
        after, before = ([of_column(column) for column in side.T] for side in (self.after, self.before))
        if len(after) == len(before):
            return [a - b for a, b in zip(after, before, strict=True)]
        return [np.mean(after, axis=0) - np.mean(before, axis=0)]

    def _score(self, column: Any, counts: Vector | None = None) -> Any:
        return self.kind.formulas[self.candidate.metric](self.gold, column, counts)

    def _influence(self, column: Any) -> Vector:
        influence = self.kind.influences.get(self.candidate.metric)
        if influence is None:
            return numerical(self.kind.formulas[self.candidate.metric], self.gold, column)
        return np.asarray(influence(self.gold, column), dtype=np.float64)

    def _classes(self) -> Rows:
        """Return the classes drawn apart: positives and negatives of a similarity, so that no resample lacks one."""
        gold = self.gold
        if self.after.dtype.kind == "f" and np.isin(gold, (0, 1)).all():
            return np.asarray(gold, dtype=np.intp)
        return np.zeros(len(gold), np.intp)


def shorten(changes: Sequence[Change]) -> str:
    """Render the samples that lost most: ``q-008 1.00 -> 0.00``; of a long id both ends, as many share the start."""
    return ", ".join(f"{_short(change.id)} {change.before:.2f} -> {change.after:.2f}" for change in changes)


def _short(id_: str) -> str:
    return id_ if len(id_) <= MAX_ID_LENGTH else f"{id_[:12]}…{id_[-8:]}"
