"""Regression: a number for each text, predicted in several experiments."""

from touchstone.metrics import correlation, influence
from touchstone.task_types.base import TaskType, as_numbers, chance_of_nothing
from touchstone.task_types.classification import INPUT, collect
from touchstone.task_types.sts import RANK_AGREEMENT

REGRESSION = TaskType(
    name="Regression",
    collect=collect,
    texts=INPUT.read,
    units=INPUT.units,
    fields=INPUT.fields,
    formulas={"kendalltau": correlation.kendall},
    influences={"kendalltau": influence.kendall},
    sample_value=RANK_AGREEMENT,
    tell=as_numbers,
    chance=chance_of_nothing,
)
