"""Bitext mining: which translation was found for each sentence."""

from functools import partial
from typing import Any

import numpy as np

from touchstone.formatting import shorten
from touchstone.metrics import labels
from touchstone.task_types.base import (
    LONGEST_TEXT,
    Columns,
    Predicted,
    SampleValue,
    TaskType,
    chance_of_nothing,
    read_columns,
    text_ids,
)
from touchstone.task_types.classification import share_right


def _sides(of: Predicted) -> tuple[Any, str, str]:
    """Return the rows and the columns of both languages; some tasks have all languages in one table."""
    if not getattr(of.task, "parallel_subsets", False):
        return of.rows(), "sentence1", "sentence2"
    left, right = of.subset.split("-")[:2]
    return of.task.dataset[of.split], left, right


def collect(of: Predicted) -> Columns:
    """Return the place of each sentence's translation, and the place that was found for it."""
    rows, left, _ = _sides(of)
    nearest = of.found if isinstance(of.found, list) else next(iter(of.found.values()))
    # mteb asks `"gold" in data`, which no table answers with yes; so do we, until it does.
    gold = [pair[1] for pair in rows["gold"]] if "gold" in rows else range(len(nearest))
    return {
        "id": text_ids(rows[left][:])[: len(nearest)],
        "prediction": np.array([hit["corpus_id"] for hit in nearest], dtype=np.int64)[:, None],
        "gold": np.array(list(gold), dtype=np.int64),
    }


def translations(of: Predicted, *places: Any, **_names: object) -> tuple[str | None, ...]:
    """Return the sentences of the other language at some places, None where there is none."""
    rows, _, right = _sides(of)
    column = rows[right]
    numbers = [int(place[0]) for place in places]
    return tuple(shorten(str(column[n]), LONGEST_TEXT) if n < len(column) else None for n in numbers)


BITEXT_MINING = TaskType(
    name="BitextMining",
    collect=collect,
    texts=read_columns(lambda of: {"sentence": _sides(of)[1]}, lambda of: _sides(of)[0]),
    # Each sentence's number is a class, weighted by its gold count: what mteb reports.
    formulas={"f1": partial(labels.f1, average="weighted")},
    sample_value=SampleValue(words="translation found", of=share_right),
    tell=translations,
    chance=chance_of_nothing,
    published_metric="f1",
    examples=(("bitext mining", "Tatoeba", None),),
)
