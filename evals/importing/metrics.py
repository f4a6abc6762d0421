"""Published metrics under today's names: which of them is a task's score, and which others tables average."""

import math
from collections.abc import Iterable, Mapping

from evals.errors import BaselineError
from evals.records import TaskInfo

# Reranking ranked a whole candidate list before it was a cut-off; no list of mteb's has more than 1000.
FORMERLY = {"map_at_1000": "map", "max_over_subqueries_map_at_1000": "map"}
# The tables of the original benchmark average the AP of the cosine, not of the best similarity.
PUBLISHED = {"max_ap": ("cosine_ap",)}
SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")


def rename(name: str) -> str:
    """Spell a metric as mteb does today: ``cos_sim_spearman`` is ``cosine_spearman``."""
    return f"cosine_{name.removeprefix('cos_sim_')}" if name.startswith("cos_sim_") else name


def is_fraction(name: str) -> bool:
    """Say whether a metric is bounded by 1: a threshold and a normalised area under a curve are not."""
    return "threshold" not in name and not name.lower().startswith("nauc")


def gather_metrics(pairs: Iterable[tuple[str, float]], where: str) -> dict[str, float]:
    """Collect metrics, as fractions, under today's names.

    Args:
        pairs: name and value, in any order.
        where: what they are of, for errors.

    Raises:
        BaselineError: one is given twice with two values, or is no fraction.
    """
    found: dict[str, float] = {}
    for name, value in pairs:
        if is_fraction(name) and abs(value) > 1:  # not so of NaN, which is no score but no wrong one either
            raise BaselineError(f"{where}: {name} = {value:g}; expected a fraction, -1 to 1")
        now = rename(name)
        if now in found and found[now] != value and not (math.isnan(found[now]) and math.isnan(value)):
            raise BaselineError(f"{where}: {name} is {found[now]:g} in one place and {value:g} in another")
        found[now] = value
    return found


def find_score(task: TaskInfo, metrics: Mapping[str, float]) -> float | None:
    """Return the value of today's main score, by its present or former name; None where it was not published.

    Args:
        task: as defined today.
        metrics: from `gather_metrics`.
    """
    name = task.main_score
    value = metrics.get(name, metrics.get(FORMERLY.get(name, name)))
    if value is None and name.startswith("max_"):  # the best of all similarities, where each of them is known
        each = [metrics.get(f"{similarity}_{name.removeprefix('max_')}") for similarity in SIMILARITIES]
        known = [one for one in each if one is not None]
        value = max(known) if len(known) == len(each) and not any(map(math.isnan, known)) else None
    return value


def find_published(task: TaskInfo, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics beside the main score that published tables average over tasks like this one."""
    names = PUBLISHED.get(task.main_score, ())
    return {name: metrics[name] for name in names if math.isfinite(metrics.get(name, math.nan))}
