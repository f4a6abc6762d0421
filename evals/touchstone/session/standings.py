"""Several models in one table: their means over the same tasks, and who is indistinguishable from whom."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from touchstone.judging.pairing import Paired
from touchstone.judging.statistics import over_tasks
from touchstone.judging.units import correlations
from touchstone.report.leaderboard import without_children
from touchstone.session.compare import Side, pair_known


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A model's mean over the tasks that all have, and the names of those that it cannot be told from.

    ``tied`` is None where that is not known of any: without samples of both there is no error.
    """

    name: str
    score: float
    tied: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standings:
    """Models, the best first. ``tasks`` are what their means are over; ``alpha`` is of all pairs, ``level`` of one."""

    rows: tuple[Standing, ...]
    tasks: tuple[str, ...]
    pairs: int
    alpha: float

    @property
    def level(self) -> float:
        """What the p-value of one of the pairs must stay below."""
        return self.alpha / self.pairs


def find_standings(sides: Sequence[Side], alpha: float) -> Standings | None:
    """Put models in order, and tell those apart whose difference chance does not explain; None without a common task.

    Two models differ where the two-sided p of their difference is below the error rate shared among all pairs
    (Bonferroni): all are compared with all, and the best is looked for.

    Args:
        sides: the models, each of another name.
        alpha: the error rate of all pairs together.
    """
    keys = without_children([key for key in sides[0].measured if _is_same(key, sides)])
    if not keys:
        return None
    pairs = list(combinations(sides, 2))
    tied: dict[str, list[str]] = {side.name: [] for side in sides}
    compared: set[str] = set()
    for first, second in pairs:
        p = _p_of_difference(first, second, keys)
        if p is not None:
            compared |= {first.name, second.name}
        if p is None or p >= alpha / len(pairs):
            tied[first.name].append(second.name)
            tied[second.name].append(first.name)
    rows = [
        Standing(
            name=side.name,
            score=fmean(side.measured[key].baseline.score for key in keys),
            tied=tuple(tied[side.name]) if side.name in compared else None,
        )
        for side in sides
    ]
    best_first = sorted(rows, key=lambda row: -row.score)
    return Standings(rows=tuple(best_first), tasks=tuple(keys), pairs=len(pairs), alpha=alpha)


def _is_same(key: str, sides: Sequence[Side]) -> bool:
    """Return True if all have a score for a case, by one metric, of the same subsets and, as far as known, data."""
    entries = [side.measured[key].baseline for side in sides if key in side.measured]
    kinds = {(entry.metric, frozenset(entry.subsets)) for entry in entries}
    data = {entry.data_sha256 for entry in entries} - {None}
    return len(entries) == len(sides) and len(kinds) == 1 and len(data) <= 1


def _p_of_difference(first: Side, second: Side, keys: Sequence[str]) -> float | None:
    """Return the two-sided p of the mean difference, though one sample more speaks against it; None if not known."""
    pairs = [pair_known(second.measured[key].samples, first.measured[key].samples) for key in keys]
    known_pairs = [pair for pair in pairs if isinstance(pair, Paired) and math.isfinite(pair.difference.error)]
    if len(known_pairs) < len(keys):
        return None
    if len(known_pairs) == 1:
        return min(1.0, 2 * min(known_pairs[0].p_loss, known_pairs[0].p_gain))
    mean = over_tasks([pair.difference for pair in known_pairs], correlations([pair.sketch for pair in known_pairs]))
    best, worst = (
        max(abs(extreme.shift) if extreme else 0.0 for extreme in extremes) / len(known_pairs)
        for extremes in ([pair.best for pair in known_pairs], [pair.worst for pair in known_pairs])
    )
    return min(1.0, 2 * min(mean.moved(best).p_loss(), mean.negated().moved(worst).p_loss()))
