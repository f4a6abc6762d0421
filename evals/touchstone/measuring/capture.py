"""Capture of what a task predicts, and of the rows that its random generator chose."""

import random
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from touchstone.records.rankings import Ranking
from touchstone.records.samples import Column, Samples, gather
from touchstone.seams import keep_predictions_by
from touchstone.task_types.base import Predicted, TaskType
from touchstone.task_types.registry import find_type

if TYPE_CHECKING:
    from mteb import AbsTask

# What looking for columns and attributes that are not there raises.
UNUSUAL = (AttributeError, LookupError, TypeError, ValueError)


class RecordingRandom(random.Random):
    """A random generator that continues from another's state and records its choices, which mteb does not return."""

    def __init__(self, source: random.Random) -> None:
        super().__init__()
        self.setstate(source.getstate())
        self.sampled_rows: list[Sequence[int]] = []
        self.drawn_rows: list[Sequence[int]] = []

    def sample(self, population: Sequence[Any], k: int, **kwargs: Any) -> list[Any]:
        """Choose without replacement, and record the choice."""
        chosen = super().sample(population, k, **kwargs)
        self.sampled_rows.append(chosen)
        return chosen

    def choices(self, population: Sequence[Any], *args: Any, **kwargs: Any) -> list[Any]:  # type: ignore[override]
        """Choose with replacement, and record the choice."""
        chosen = super().choices(population, *args, **kwargs)
        self.drawn_rows.append(chosen)
        return chosen


def _find_units(kind: TaskType, predicted: Predicted, count: int) -> Sequence[Sequence[str]] | None:
    """Return the units of each sample; None where a class of tasks has its data elsewhere: the score is as good."""
    with suppress(*UNUSUAL):
        units = None if kind.units is None else kind.units(predicted)
        return units if units is not None and len(units) == count else None
    return None


def _find_fields(kind: TaskType, predicted: Predicted, count: int) -> dict[str, Column]:
    """Return the fields of each sample, as far as they can be found; those of a data set's own come last."""
    languages = dict.fromkeys(predicted.task.metadata.hf_subsets_to_langscripts.get(predicted.subset, ()))
    columns = {"language": np.full(count, " + ".join(languages))} if languages else {}
    with suppress(*UNUSUAL):
        columns |= {} if kind.fields is None else kind.fields(predicted)
    return {name: column for name, column in columns.items() if len(column) == count}


class Capture:
    """Collects what one task object predicts, by split and subset, instead of mteb's writing it to a file.

    ``rankings`` are what a search found, where the task is to search.

    Args:
        task: before it is evaluated.
        is_custom: its class is the user's own, and may predict what its type does not: it has no samples then.
    """

    def __init__(self, task: "AbsTask", *, is_custom: bool = False) -> None:
        self.task = task
        self._is_custom = is_custom
        self.rankings: list[Ranking] = []
        self._predicted: list[Predicted] = []
        self._random = RecordingRandom(task.rng_state)
        task.rng_state = self._random
        keep_predictions_by(task, self._keep)

    def _keep(self, predictions: Any, *_: Any, hf_split: str, hf_subset: str, **__: Any) -> None:
        metadata = self.task.metadata
        with suppress(*(UNUSUAL if self._is_custom else ())):
            if find_type(metadata.type).searches == "corpus":
                in_arrays = isinstance(predictions, Ranking)
                ranking = predictions if in_arrays else Ranking.take(metadata.name, hf_split, hf_subset, predictions)
                self.rankings.append(ranking)
        parallel = getattr(self.task, "parallel_subsets", False)
        for subset, part in predictions.items() if parallel else [(hf_subset, predictions)]:
            predicted = Predicted(
                task=self.task,
                split=hf_split,
                subset=subset,
                metric=metadata.main_score,
                found=part,
                sampled=self._random.sampled_rows,
                drawn=self._random.drawn_rows,
            )
            self._predicted.append(predicted)
        self._random.sampled_rows, self._random.drawn_rows = [], []

    def samples(self, stratum: str | None = None) -> Samples | None:
        """Make the samples of all splits and subsets; None for a task without captured predictions.

        Args:
            stratum: what to call them all, for a child of an aggregate; else ``split/subset``.
        """
        if not self._is_custom:
            return self._make_samples(stratum)
        once = len(self._predicted) == len({(predicted.split, predicted.subset) for predicted in self._predicted})
        with suppress(*UNUSUAL):
            return self._make_samples(stratum) if once else None
        return None

    def _make_samples(self, stratum: str | None) -> Samples | None:
        kind = find_type(self.task.metadata.type)
        if not self._predicted or kind.collect is None:
            return None
        parts = []
        for predicted in self._predicted:
            name = stratum or f"{predicted.split}/{predicted.subset}"
            columns = kind.collect(predicted)
            count = len(columns["id"])
            parts.append(
                Samples(
                    type=kind.name,
                    metric=predicted.metric,
                    stratum=np.full(count, name),
                    units=_find_units(kind, predicted, count),
                    fields=_find_fields(kind, predicted, count),
                    **columns,
                )
            )
        return gather(parts)

    def predicted(self, stratum: str | None = None) -> dict[str, Predicted]:
        """Return what was predicted, by the names that `samples` gives its strata."""
        return {stratum or f"{predicted.split}/{predicted.subset}": predicted for predicted in self._predicted}
