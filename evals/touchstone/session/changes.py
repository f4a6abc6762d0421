"""Which samples changed most between two measurements: each gets a value of its own, larger being better."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from touchstone.errors import TouchstoneError
from touchstone.formatting import ZERO_CHANGE
from touchstone.records.examples import Changed
from touchstone.records.samples import EXAMPLE_LIMIT, Column, Samples, find_difference, restrict
from touchstone.task_types.registry import find_type, has_texts_for_numbers, own_scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Values of all samples before and after, and the rows of those that lost and gained most, the most changed first.

    ``reference`` has the same rows as the candidate. ``measure`` says in words what a value is. The counts are those of
    `touchstone.records.examples.Shown`.
    """

    measure: str
    reference: Samples
    before: Column
    after: Column
    lost: tuple[int, ...]
    gained: tuple[int, ...]
    losers: int
    gainers: int
    lost_alike: int
    gained_alike: int


def find_changes(candidate: Samples, reference: Samples) -> Changes | None:
    """Compare sample by sample; None where the samples are not the same ones, or have no values of their own."""
    reference = restrict(reference, candidate)
    if find_difference(candidate, reference) is not None or has_texts_for_numbers(candidate):
        return None
    before, after = own_scores(reference), own_scores(candidate)
    measure, value = candidate.metric, find_type(candidate.type).sample_value
    if before is None or after is None:
        if value is None or candidate.prediction is None or reference.prediction is None:
            return None
        before, after = _by_stratum(reference, value.of), _by_stratum(candidate, value.of)
        measure = value.words
    elif candidate.metric in find_type(candidate.type).counted and value is not None:
        measure = value.words
    deltas = after - before
    lost, lost_alike = _largest_losses(deltas, candidate)
    gained, gained_alike = _largest_losses(-deltas, candidate)
    return Changes(
        measure=measure,
        reference=reference,
        before=before,
        after=after,
        lost=lost,
        gained=gained,
        losers=int((deltas < -ZERO_CHANGE).sum()),
        gainers=int((deltas > ZERO_CHANGE).sum()),
        lost_alike=lost_alike,
        gained_alike=gained_alike,
    )


def list_changed(candidate: Samples, reference: Samples) -> Changed:
    """Return all samples that changed.

    Raises:
        TouchstoneError: they cannot be compared one by one.
    """
    changes = find_changes(candidate, reference)
    if changes is None:
        raise TouchstoneError("its samples are not those of its baseline, or have no values of their own")
    distance = np.abs(changes.after - changes.before)
    order = np.lexsort((candidate.id, candidate.stratum, -distance))
    rows = order[distance[order] > ZERO_CHANGE]
    return Changed(
        measure=changes.measure,
        ids=candidate.id[rows].tolist(),
        strata=candidate.stratum[rows].tolist(),
        before=changes.before[rows].tolist(),
        after=changes.after[rows].tolist(),
    )


def _largest_losses(deltas: Column, samples: Samples) -> tuple[tuple[int, ...], int]:
    """Return the rows that lost most, and how many lost at least as much as the last of them.

    Where more lost alike than are shown, every stratum in turn gives one: the first by name would all be of one.
    """
    order = np.lexsort((samples.id, samples.stratum, deltas))
    lost = order[deltas[order] < -ZERO_CHANGE]
    if len(lost) <= EXAMPLE_LIMIT:
        return tuple(lost.tolist()), len(lost)
    limit = deltas[lost[EXAMPLE_LIMIT - 1]]
    clear = [row for row in lost[:EXAMPLE_LIMIT].tolist() if deltas[row] < limit - ZERO_CHANGE]
    ties = lost[np.abs(deltas[lost] - limit) <= ZERO_CHANGE]
    counts = Counter(samples.stratum[clear].tolist())
    turns = []
    for row in ties.tolist():
        stratum = str(samples.stratum[row])
        turns.append((counts[stratum], stratum, row))
        counts[stratum] += 1
    chosen = [row for _, _, row in sorted(turns, key=lambda turn: turn[:2])[: EXAMPLE_LIMIT - len(clear)]]
    return (*clear, *chosen), len(clear) + len(ties)


def _by_stratum(samples: Samples, value: Callable[[Any, Any], Column]) -> Column:
    """Value the samples of each stratum by themselves, as they are scored."""
    gold, prediction = samples.gold, samples.prediction
    values = np.zeros(len(samples))
    if gold is not None and prediction is not None:
        for rows in samples.by_stratum().values():
            values[rows] = value(gold[rows], prediction[rows])
    return values
