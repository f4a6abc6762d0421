"""Models side by side: task by task, with the averages that a leaderboard shows."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """The means of one model over the tasks that all have, overall and by type, as fractions; None without any task.

    ``by_types`` is the mean over the means of types; ``missing`` are tasks that another model has and this one has not.
    """

    overall: float | None
    by_types: float | None
    by_type: Mapping[str, float]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Scores by task and then by model; ``types`` has the type of each task, by which tasks are in order.

    ``shared`` counts the tasks that the means are over: means over other tasks say nothing of the models.
    """

    models: tuple[str, ...]
    types: Mapping[str, str]
    scores: Mapping[str, Mapping[str, float]]
    means: Mapping[str, Mean]
    shared: int
