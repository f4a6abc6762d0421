"""Predictions of one stratum, and what all task types share."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from touchstone.seams import find


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What one task predicted for one split and subset.

    ``found`` has the shape that mteb gives a prediction file for the task's type. ``sampled`` and ``drawn`` are the
    rows that the task's random generator chose meanwhile.
    """

    task: Any
    split: str
    subset: str
    metric: str
    found: Any
    sampled: Sequence[Sequence[int]]
    drawn: Sequence[Sequence[int]]

    def rows(self) -> Any:
        """Return the data of the split and subset, as mteb loaded it."""
        dataset = self.task.dataset
        rows = dataset[self.subset][self.split] if self.subset in dataset else dataset[self.split]
        # Older pair data sets hold all of a split in one row.
        if self.task.metadata.type == "PairClassification" and len(rows) == 1:
            from datasets import Dataset

            rows = Dataset.from_dict(rows[0])
        return rows


def text_ids(*columns: Sequence[str]) -> Any:
    """Name rows by the hash of their texts, and the second of equal rows by the hash and its number."""
    seen: Counter[str] = Counter()
    ids = []
    for texts in zip(*columns, strict=True):
        digest = hashlib.sha256("\0".join(map(str, texts)).encode()).hexdigest()[:10]
        ids.append(digest if not seen[digest] else f"{digest}#{seen[digest]}")
        seen[digest] += 1
    return np.array(ids)


def evaluated_rows(task: Any, rows: Any, split: str, count: int) -> Any:
    """Return the test rows that were evaluated: mteb takes a seeded sample of large sets."""
    if len(rows) == count:
        return rows
    from datasets import DatasetDict

    column = task.label_column_name
    draw = find("mteb.abstasks.abstask:_multilabel_subsampling")
    return draw(DatasetDict({split: rows}), task.seed, [split], column, task.max_eval_samples)[split]


LONGEST_TEXT = 500
LONGEST_DOCUMENT = 300
LONGEST_RELEVANT = 1000
