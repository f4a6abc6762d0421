"""Stand between mteb and its prediction file, and between a task and its random generator."""

import random
from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from touchstone.records.cases import SEARCHED
from touchstone.records.rankings import Ranking
from touchstone.records.samples import Samples, gather
from touchstone.seams import keep_predictions_by
from touchstone.task_types.base import Predicted
from touchstone.task_types.registry import MAKERS, collect
from touchstone.task_types.retrieval import make_queries

if TYPE_CHECKING:
    from mteb import AbsTask


# A score of these can be reached only by ordering or agreeing better than at random: guessing gets nothing.
ORDERED = frozenset(
    {"Retrieval", "Reranking", "InstructionRetrieval", "InstructionReranking", "STS", "Summarization", "BitextMining"}
)
CORRELATIONS = frozenset({"kendalltau", "spearman", "pearson", "cosine_spearman", "cosine_pearson"})


class RecordingRandom(random.Random):
    """A generator that goes on where another stood and remembers the rows it chose: mteb does not tell them."""

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


class Capture:
    """Collects what one task object predicts, by split and subset, instead of mteb's writing it to a file.

    ``rankings`` are what a search found, where the task is to search.
    """

    def __init__(self, task: "AbsTask") -> None:
        self.task = task
        self.rankings: list[Ranking] = []
        self._predicted: list[Predicted] = []
        self._random = RecordingRandom(task.rng_state)
        task.rng_state = self._random
        keep_predictions_by(task, self._keep)

    def _keep(self, predictions: Any, *_: Any, hf_split: str, hf_subset: str, **__: Any) -> None:
        metadata = self.task.metadata
        if metadata.type in SEARCHED:
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
        if not self._predicted:
            return None
        return gather([self._part(one, stratum or f"{one.split}/{one.subset}") for one in self._predicted])

    def predicted(self, stratum: str | None = None) -> dict[str, Predicted]:
        """Return what was predicted, by the names that `samples` gives its strata."""
        return {stratum or f"{one.split}/{one.subset}": one for one in self._predicted}

    def _part(self, one: Predicted, stratum: str) -> Samples:
        type_name = self.task.metadata.type
        columns = collect(one) if type_name in MAKERS else make_queries(one)
        names = np.full(len(columns["id"]), stratum)
        return Samples(type=type_name, metric=one.metric, stratum=names, **columns)

    def chance(self, metric: str) -> float | None:
        """Return the mean over splits and subsets of the score that guessing gets; None where there is no such."""
        type_name = self.task.metadata.type
        if type_name in ORDERED or metric in CORRELATIONS:
            return 0.0
        levels = [_chance(metric, type_name, gold) for gold in self._gold()]
        known = [level for level in levels if level is not None]
        return fmean(known) if known and len(known) == len(levels) else None

    def _gold(self) -> list[Sequence[Any]]:
        """Return the labels of each split and subset evaluated."""
        column = getattr(self.task, "label_column_name", "label")
        tables = [one.rows() for one in self._predicted]
        return [rows[column][:] for rows in tables if column in rows.column_names]


def _chance(metric: str, type_name: str, gold: Sequence[Any]) -> float | None:
    """Return what guessing gets: the majority class for accuracy, the rate of positives for average precision."""
    if type_name == "Clustering" and metric == "v_measure":
        return 0.0
    if not gold or not isinstance(gold[0], int | str):
        return None
    shares = Counter(gold)
    if metric == "accuracy":
        return max(shares.values()) / len(gold)
    if metric.endswith("ap") and set(shares) <= {0, 1}:
        return shares[1] / len(gold)
    return None
