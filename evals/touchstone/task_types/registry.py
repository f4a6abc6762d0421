"""Task types by name: those of mteb, and those that other packages add.

Another package registers a `TaskType` in the entry-point group ``touchstone.task_types``.
"""

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from touchstone.errors import ConfigError
from touchstone.extensions import load_extensions
from touchstone.records.samples import Column, Samples
from touchstone.task_types.base import TaskType
from touchstone.task_types.bitext_mining import BITEXT_MINING
from touchstone.task_types.classification import CLASSIFICATION, share_right
from touchstone.task_types.clustering import CLUSTERING
from touchstone.task_types.multilabel_classification import MULTILABEL_CLASSIFICATION
from touchstone.task_types.pair_classification import PAIR_CLASSIFICATION
from touchstone.task_types.regression import REGRESSION
from touchstone.task_types.reranking import INSTRUCTION_RERANKING, RERANKING
from touchstone.task_types.retrieval import INSTRUCTION_RETRIEVAL, RETRIEVAL
from touchstone.task_types.sts import STS
from touchstone.task_types.summarization import SUMMARIZATION
from touchstone.task_types.zero_shot_classification import ZERO_SHOT_CLASSIFICATION

GROUP = "touchstone.task_types"
BUILT_IN_TYPES: Mapping[str, TaskType] = {
    kind.name: kind
    for kind in (
        RETRIEVAL, RERANKING, STS, CLASSIFICATION, PAIR_CLASSIFICATION, CLUSTERING, BITEXT_MINING, SUMMARIZATION,
        INSTRUCTION_RETRIEVAL, INSTRUCTION_RERANKING, MULTILABEL_CLASSIFICATION, REGRESSION, ZERO_SHOT_CLASSIFICATION,
    )
}  # fmt: skip


def find_type(name: str) -> TaskType:
    """Return a task type by name; tasks of a type that nobody describes have scores and no samples.

    Raises:
        ConfigError: another package registers an object that is not a type, or a type that exists already.
    """
    return BUILT_IN_TYPES.get(name) or _extensions().get(name) or TaskType(name=name)


def all_types() -> tuple[TaskType, ...]:
    """Return all described types, those of other packages last.

    Raises:
        ConfigError: as for `find_type`.
    """
    return (*BUILT_IN_TYPES.values(), *_extensions().values())


def _extensions() -> dict[str, TaskType]:
    extensions = {}
    for point, kind in load_extensions(GROUP).items():
        if not isinstance(kind, TaskType) or kind.name in BUILT_IN_TYPES:
            raise ConfigError(f"{GROUP}: {point} must be a TaskType with a name of its own")
        extensions[kind.name] = kind
    return extensions


def rescore(samples: Samples) -> dict[str, float] | None:
    """Return the main score of each stratum, in [0, 1] or [-1, 1]; None where there is no formula for it."""
    if samples.value is not None:
        value = samples.value
        return {name: float(value[rows].mean()) for name, rows in samples.by_stratum().items()}
    formula = find_type(samples.type).formulas.get(samples.metric)
    if formula is None or samples.prediction is None or samples.gold is None:
        return None
    return {
        name: fmean(formula(samples.gold[rows], column) for column in samples.prediction[rows].T)
        for name, rows in samples.by_stratum().items()
    }


def has_texts_for_numbers(samples: Samples) -> bool:
    """Return True if predictions are texts and the type has no labels: they would be ordered as text."""
    prediction = samples.prediction
    return prediction is not None and prediction.dtype.kind == "U" and not find_type(samples.type).counted


def own_scores(samples: Samples) -> Column | None:
    """Return the score of each sample if the main score is their mean, else None."""
    if samples.value is not None:
        return samples.value
    if samples.metric in find_type(samples.type).counted and samples.prediction is not None:
        gold: Any = samples.gold
        return share_right(gold, samples.prediction)
    return None
