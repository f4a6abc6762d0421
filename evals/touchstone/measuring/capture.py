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
    """A random generator continuing from another's state, which records the rows it chose: mteb does not tell them."""

    def __init__(self, source: random.Random) -> None:
        super().__init__()
        self.setstate(source.getstate())
        self.sampled: list[Sequence[int]] = []
        self.drawn: list[Sequence[int]] = []

    def sample(self, population: Sequence[Any], k: int, **kwargs: Any) -> list[Any]:
        """Choose without replacement, and remember."""
        chosen = super().sample(population, k, **kwargs)
        self.sampled.append(chosen)
        return chosen

    def choices(self, population: Sequence[Any], *args: Any, **kwargs: Any) -> list[Any]:  # type: ignore[override]
        """Choose with replacement, and remember."""
        chosen = super().choices(population, *args, **kwargs)
        self.drawn.append(chosen)
        return chosen


def _find_units(kind: TaskType, one: Predicted, count: int) -> Sequence[Sequence[str]] | None:
    """Return the units of each sample; None where a class of tasks has its data elsewhere: the score is as good."""
    with suppress(*UNUSUAL):
        found = None if kind.units is None else kind.units(one)
        return found if found is not None and len(found) == count else None
    return None


def _find_fields(kind: TaskType, one: Predicted, count: int) -> dict[str, Column]:
    """Return the fields of each sample, as far as they can be found; those of a data set's own come last."""
    languages = dict.fromkeys(one.task.metadata.hf_subsets_to_langscripts.get(one.subset, ()))
    found = {"language": np.full(count, " + ".join(languages))} if languages else {}
    with suppress(*UNUSUAL):
        found |= {} if kind.fields is None else kind.fields(one)
    return {name: column for name, column in found.items() if len(column) == count}


class Capture:
    """Collects what one task object predicts, by split and subset, instead of mteb's writing it to a file.

    ``rankings`` are what a search found, where the task is to search.

    Args:
        task: before it is evaluated.
        own: whether its class is the user's own, and may predict what its type does not: it has no samples then.
    """

    def __init__(self, task: "AbsTask", *, own: bool = False) -> None:
        self.task = task
        self._own = own
        self.rankings: list[Ranking] = []
        self._predicted: list[Predicted] = []
        self._random = RecordingRandom(task.rng_state)
        task.rng_state = self._random
        keep_predictions_by(task, self._keep)

    def _keep(self, predictions: Any, *_: Any, hf_split: str, hf_subset: str, **__: Any) -> None:
        metadata = self.task.metadata
        with suppress(*(UNUSUAL if self._own else ())):
            if find_type(metadata.type).searches == "corpus":
                in_arrays = isinstance(predictions, Ranking)
                taken = predictions if in_arrays else Ranking.take(metadata.name, hf_split, hf_subset, predictions)
                self.rankings.append(taken)
        parallel = getattr(self.task, "parallel_subsets", False)
        for subset, found in predictions.items() if parallel else [(hf_subset, predictions)]:
            predicted = Predicted(
                task=self.task,
                split=hf_split,
                subset=subset,
                metric=metadata.main_score,
                found=found,
                sampled=self._random.sampled,
                drawn=self._random.drawn,
            )
            self._predicted.append(predicted)
        self._random.sampled, self._random.drawn = [], []

    def samples(self, stratum: str | None = None) -> Samples | None:
        """Make the samples of all splits and subsets; None for a task that tells nobody its predictions.

        Args:
            stratum: what to call them all, for a child of an aggregate; else ``split/subset``.
        """
        if not self._own:
            return self._make_samples(stratum)
        once = len(self._predicted) == len({(one.split, one.subset) for one in self._predicted})
        with suppress(*UNUSUAL):
            return self._make_samples(stratum) if once else None
        return None

    def _make_samples(self, stratum: str | None) -> Samples | None:
        kind = find_type(self.task.metadata.type)
        if not self._predicted or kind.collect is None:
            return None
        parts = []
        for name, one in ((stratum or f"{one.split}/{one.subset}", one) for one in self._predicted):
            columns = kind.collect(one)
            count = len(columns["id"])
            parts.append(
                Samples(
                    type=kind.name,
                    metric=one.metric,
                    stratum=np.full(count, name),
                    units=_find_units(kind, one, count),
                    fields=_find_fields(kind, one, count),
                    **columns,
                )
            )
        return gather(parts)

    def predicted(self, stratum: str | None = None) -> dict[str, Predicted]:
        """Return what was predicted, by the names that `samples` gives its strata."""
        return {stratum or f"{one.split}/{one.subset}": one for one in self._predicted}
