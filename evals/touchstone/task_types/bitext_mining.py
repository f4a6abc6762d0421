"""Bitext mining: which translation was found for each sentence."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from touchstone.errors import SourceError
from touchstone.formatting import shorten
from touchstone.metrics import influence, labels
from touchstone.records.names import name_unit
from touchstone.task_types.base import (
    MAX_TEXT_LENGTH,
    Columns,
    FolderLayout,
    Predicted,
    SampleValue,
    TaskType,
    TextColumns,
    chance_of_nothing,
    text_ids,
)
from touchstone.task_types.classification import share_right
from touchstone.task_types.folders import Pair, make_dataset, read_lines


def _sides(of: Predicted) -> tuple[Any, str, str]:
    """Return the rows and the columns of both languages; some tasks have all languages in one table."""
    if not getattr(of.task, "parallel_subsets", False):
        return of.rows(), "sentence1", "sentence2"
    left, right = of.subset.split("-")[:2]
    return of.task.dataset[of.split], left, right


def collect(of: Predicted) -> Columns:
    """Return the place of each sentence's translation, and the place that the model found."""
    rows, left, _ = _sides(of)
    nearest = _nearest(of)
    return {
        "id": text_ids(rows[left][:])[: len(nearest)],
        "prediction": np.array([hit["corpus_id"] for hit in nearest], dtype=np.int64)[:, None],
        "gold": np.array(list(_gold(of)), dtype=np.int64),
    }


def _nearest(of: Predicted) -> Sequence[Any]:
    return of.found if isinstance(of.found, list) else next(iter(of.found.values()))


def _gold(of: Predicted) -> Sequence[int]:
    """Return the place of each sentence's translation."""
    rows = _sides(of)[0]
    # mteb asks `"gold" in data`, which is false for every table; so do we, until mteb changes.
    return [pair[1] for pair in rows["gold"]] if "gold" in rows else range(len(_nearest(of)))


def units(of: Predicted) -> list[list[str]]:
    """Return the units of each sentence and of its translation, where there is one."""
    rows, _, right = _sides(of)
    names = [name_unit(str(text)) for text in rows[right][:]]
    return [
        list(dict.fromkeys([*sentence, *names[place : place + 1]]))
        for sentence, place in zip(SENTENCES.units(of), _gold(of), strict=True)
    ]


def translations(of: Predicted, *places: Any, **_names: object) -> tuple[str | None, ...]:
    """Return the sentences of the other language at some places, None where a place has no sentence."""
    rows, _, right = _sides(of)
    column = rows[right]
    numbers = [int(place[0]) for place in places]
    return tuple(shorten(str(column[n]), MAX_TEXT_LENGTH) if n < len(column) else None for n in numbers)


def _load(_task: Any, folder: Path) -> Any:
    pairs = read_lines(folder / "test.jsonl", Pair)
    if len(pairs.rows) < 2:
        raise SourceError(f"{pairs.path}: holds one pair; expected two or more, to find a translation among")
    return make_dataset(test=[{**pair, **fields} for pair, fields in pairs.with_fields()])


SENTENCES = TextColumns(
    columns=lambda of: {"sentence": _sides(of)[1]},
    data=lambda of: _sides(of)[0],
    samples=lambda of: range(len(_nearest(of))),
)
BITEXT_MINING = TaskType(
    name="BitextMining",
    collect=collect,
    texts=SENTENCES.read,
    units=units,
    fields=SENTENCES.fields,
    # Each sentence's number is a class, weighted by its gold count, as mteb reports it.
    formulas={"f1": partial(labels.f1, average="weighted")},
    influences={"f1": partial(influence.f1, average="weighted")},
    sample_value=SampleValue(words="translation found", of=share_right),
    tell=translations,
    chance=chance_of_nothing,
    published_metric="f1",
    examples=(("bitext mining", "Tatoeba", None),),
    folder=FolderLayout(files=("test.jsonl",), main_score="f1", base="AbsTaskBitextMining", load=_load),
)
