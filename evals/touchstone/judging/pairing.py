"""Compare the samples of two models on one task: one difference, its error, and which samples changed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from touchstone.formatting import NOTHING
from touchstone.judging.statistics import SMALL, Difference, bootstrap_difference, mean_difference, sign_flip_p
from touchstone.metrics import Undefined
from touchstone.records.samples import SHOWN, Column, Samples, find_difference, restrict
from touchstone.task_types.registry import find_type, has_texts_for_numbers, own_scores

LONGEST_ID = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One sample that changed, with its value before and after."""

    id: str
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """The comparison of a candidate's samples with a reference's.

    ``p_loss`` and ``p_gain`` are one-sided. ``strata`` has the changed samples and all samples of each stratum.
    ``decomposable``: the score is a mean over samples, each in [0, 1], so that few changed samples bound the whole
    loss. ``by_experiments``: the error is the one between the experiments of a classification, which no number of
    samples makes smaller. ``worst`` holds the samples that lost most, of decomposable scores.
    """

    difference: Difference
    p_loss: float
    p_gain: float
    changed: int
    decomposable: bool
    by_experiments: bool = False
    strata: tuple[tuple[int, int], ...] = ()
    worst: tuple[Change, ...] = ()


def pair(candidate: Samples, reference: Samples) -> Paired | str | None:
    """Pair samples by stratum and id.

    Returns:
        The comparison; a sentence where the samples are not the same ones or have no score; None where the score has no
        paired test.
    """
    reference = restrict(reference, candidate)
    if (difference := find_difference(candidate, reference)) is not None:
        return difference
    if has_texts_for_numbers(candidate):
        return "the samples have texts where numbers are compared"
    before, after = own_scores(reference), own_scores(candidate)
    if before is not None and after is not None:
        return _pair_values(candidate, before, after, _experiments(reference, candidate))
    score = find_type(candidate.type).formulas.get(candidate.metric)
    if score is None or candidate.prediction is None or reference.prediction is None:
        return None
    try:
        return _pair_predictions(candidate, reference.prediction, candidate.prediction, score)
    except (Undefined, ValueError) as error:  # labels that the formula has no meaning for, too
        return f"the samples have no score that can be compared: {error}"


def _experiments(reference: Samples, candidate: Samples) -> Difference | None:
    """Estimate from the experiments of a classification, which share their test items: 10 of them, 9 degrees."""
    before, after = reference.prediction, candidate.prediction
    if before is None or after is None or before.shape != after.shape or after.shape[1] < 2:
        return None
    gold: Any = candidate.gold
    deltas = np.subtract(after == gold[:, None], before == gold[:, None], dtype=np.float64)
    return mean_difference([deltas[rows].mean(axis=0) for rows in candidate.by_stratum().values()])


def _pair_values(candidate: Samples, before: Column, after: Column, experiments: Difference | None) -> Paired:
    deltas = after - before
    strata = [deltas[rows] for rows in candidate.by_stratum().values()]
    difference = mean_difference(strata)
    small = difference.n < SMALL
    p_loss = sign_flip_p(strata) if small else difference.p_loss()
    p_gain = sign_flip_p([-stratum for stratum in strata]) if small else difference.negated().p_loss()
    by_experiments = experiments is not None and experiments.upper_bound() > difference.upper_bound()
    if experiments is not None and by_experiments:
        difference = Difference(
            mean=difference.mean, error=experiments.error, degrees=experiments.degrees, n=difference.n
        )
        p_loss, p_gain = max(p_loss, difference.p_loss()), max(p_gain, difference.negated().p_loss())
    order = np.argsort(deltas, kind="stable")[:SHOWN]
    worst = [i for i in order if deltas[i] < -NOTHING]
    return Paired(
        difference=difference,
        p_loss=p_loss,
        p_gain=p_gain,
        changed=int((np.abs(deltas) > NOTHING).sum()),
        decomposable=find_type(candidate.type).largest_loss is not None,
        by_experiments=by_experiments,
        strata=tuple((int((np.abs(stratum) > NOTHING).sum()), len(stratum)) for stratum in strata),
        worst=tuple(Change(id=str(candidate.id[i]), before=float(before[i]), after=float(after[i])) for i in worst),
    )


def _pair_predictions(candidate: Samples, before: Column, after: Column, score: Any) -> Paired:
    gold: Any = candidate.gold
    rows_of = list(candidate.by_stratum().values())

    def differ(rows: Column, counts: Column | None) -> Any:
        sides = [
            np.mean([score(gold[rows], column, counts) for column in side[rows].T], axis=0) for side in (after, before)
        ]
        return sides[0] - sides[1]

    observed = [float(differ(rows, None)) for rows in rows_of]
    resampled = [lambda counts, rows=rows: differ(rows, counts) for rows in rows_of]
    try:
        difference = bootstrap_difference(observed, resampled, [len(rows) for rows in rows_of])
    except Undefined:  # so few samples that some resample has no score, such as no positive pair
        difference = Difference(mean=float(np.mean(observed)), error=math.inf, degrees=math.inf, n=len(candidate))
    changed = len(gold)  # where the sides have other numbers of experiments
    if after.shape == before.shape:
        moved = np.abs(after - before) > NOTHING if after.dtype.kind == "f" else after != before
        changed = int(moved.any(axis=1).sum())
    return Paired(
        difference=difference,
        p_loss=difference.p_loss(),
        p_gain=difference.negated().p_loss(),
        changed=changed,
        decomposable=False,
    )


def shorten(changes: Sequence[Change]) -> str:
    """Render the samples that lost most: ``q-008 1.00 -> 0.00``; long ids by both ends: many share the start."""
    return ", ".join(f"{_short(one.id)} {one.before:.2f} -> {one.after:.2f}" for one in changes)


def _short(id_: str) -> str:
    return id_ if len(id_) <= LONGEST_ID else f"{id_[:12]}…{id_[-8:]}"
