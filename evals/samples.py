"""What a task's predictions and gold labels say about its samples: how many there are, and what guessing gets."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mteb import AbsTask

Predictions = dict[tuple[str, str], Any]
# A score of these can be reached only by ordering or agreeing better than at random: guessing gets nothing.
ORDERED = frozenset(
    {"Retrieval", "Reranking", "InstructionRetrieval", "InstructionReranking", "STS", "Summarization", "BitextMining"}
)
CORRELATIONS = frozenset({"kendalltau", "spearman", "pearson", "cosine_spearman", "cosine_pearson"})


class Capture:
    """Collects what one task object predicts, by split and subset, instead of mteb's writing it to a file."""

    def __init__(self, task: "AbsTask") -> None:
        self.task = task
        self.predictions: Predictions = {}
        task._save_task_predictions = self._keep  # type: ignore[method-assign,assignment]

    def _keep(self, predictions: Any, *_: Any, hf_split: str, hf_subset: str, **__: Any) -> None:
        if getattr(self.task, "parallel_subsets", False):
            self.predictions |= {(hf_split, pair): found for pair, found in predictions.items()}
        else:
            self.predictions[hf_split, hf_subset] = predictions

    def count(self) -> int:
        """Count the samples over all splits and subsets: what the score is a mean over, or is computed from."""
        if getattr(self.task, "is_cross_validation", False):
            return sum(len(fold) for folds in self.predictions.values() for fold in folds)
        return sum(_count(self.task.metadata.type, found) for found in self.predictions.values())

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
        labels = []
        for split, subset in self.predictions:
            rows = self.rows(split, subset)
            if column in rows.column_names:
                found = rows[column][:]
                # Older pair data sets hold all of a split in one row.
                labels.append(found[0] if len(found) == 1 and isinstance(found[0], list) else found)
        return labels

    def rows(self, split: str, subset: str) -> Any:
        """Return the data of one split and subset, as mteb loaded it."""
        dataset: Any = self.task.dataset
        return dataset[subset][split] if subset in dataset else dataset[split]


def _count(type_name: str, predictions: Any) -> int:
    """Count the samples in what mteb hands to its prediction file, whose shape depends on the type."""
    match type_name:
        case "STS" | "Summarization":
            counted = predictions["cosine_scores"]
        case "PairClassification":
            counted = predictions["similarity_scores"]
        case "Classification" | "MultilabelClassification" | "Regression":
            counted = predictions[0]  # every experiment predicts all test items
        case "BitextMining" | "Clustering" if isinstance(predictions, Mapping):
            return sum(len(part) for part in predictions.values())
        case _:
            counted = predictions
    return len(counted)


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
