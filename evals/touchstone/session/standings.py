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
    known: set[str] = set()
    for one, two in pairs:
        p = _p_of_difference(one, two, keys)
        if p is not None:
            known |= {one.name, two.name}
        if p is None or p >= alpha / len(pairs):
            tied[one.name].append(two.name)
            tied[two.name].append(one.name)
    rows = [
        Standing(
            name=side.name,
            score=fmean(side.measured[key].baseline.score for key in keys),
            tied=tuple(tied[side.name]) if side.name in known else None,
        )
        for side in sides
    ]
    ordered = sorted(rows, key=lambda row: -row.score)
    return Standings(rows=tuple(ordered), tasks=tuple(keys), pairs=len(pairs), alpha=alpha)


def _is_same(key: str, sides: Sequence[Side]) -> bool:
    """Return True if all have a score for a case, by one metric, of the same subsets and, as far as known, data."""
    found = [side.measured[key].baseline for side in sides if key in side.measured]
    kinds = {(one.metric, frozenset(one.subsets)) for one in found}
    data = {one.data_sha256 for one in found} - {None}
    return len(found) == len(sides) and len(kinds) == 1 and len(data) <= 1


def _p_of_difference(one: Side, two: Side, keys: Sequence[str]) -> float | None:
    """Return the two-sided p of the mean difference, though one sample more speaks against it; None if not known."""
    found = [pair_known(two.measured[key].samples, one.measured[key].samples) for key in keys]
    paired = [each for each in found if isinstance(each, Paired) and math.isfinite(each.difference.error)]
    if len(paired) < len(keys):
        return None
    if len(paired) == 1:
        return min(1.0, 2 * min(paired[0].p_loss, paired[0].p_gain))
    mean = over_tasks([each.difference for each in paired], correlations([each.sketch for each in paired]))
    best, worst = (
        max(abs(extreme.shift) if extreme else 0.0 for extreme in extremes) / len(paired)
        for extremes in ([each.best for each in paired], [each.worst for each in paired])
    )
    return min(1.0, 2 * min(mean.moved(best).p_loss(), mean.negated().moved(worst).p_loss()))
