"""Task types: their samples, and everything else that depends on the type of a task."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np

from touchstone.formatting import shorten
from touchstone.records.names import name_unit, snake_case
from touchstone.records.samples import FIELD, Column

MAX_TEXT_LENGTH = 500
# Largest differences, as fractions, between repetitions of published results over years and versions: of deterministic
# scores, and of scores for which a classifier or a clustering is fitted.
TOLERANCE, TOLERANCE_FITTED = 5e-4, 5e-3

Columns = dict[str, Any]
Texts = dict[str, dict[str, str]]
# From gold labels (n,), one column of predictions (n,) and, for resamples, counts (resamples, n): a score, or one for
# each resample.
Formula = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """The predictions of one task for one split and subset.

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
        return dataset[self.subset][self.split] if self.subset in dataset else dataset[self.split]

    def other_rows(self) -> Iterator[Any]:
        """Yield the data of the split in those of the task's other subsets that have it."""
        for subset in self.task.hf_subsets or ():
            with suppress(KeyError):
                if subset != self.subset:
                    yield replace(self, subset=subset).rows()


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleValue:
    """A value for each sample, larger being better, where the score is no mean over samples.

    ``of`` takes gold labels (n,) and predictions (n, experiments) of one stratum; ``words`` name the value.
    """

    words: str
    of: Callable[[Any, Any], Column]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderLayout:
    """The layout of a folder with custom data of a type.

    Args:
        files: names inside the folder; ``load`` raises an error where one of them is missing and not optional.
        main_score: the metric of such a task.
        base: the class of mteb's that runs it, such as ``AbsTaskSTS``.
        load: reads the folder into the data set of a task object, which it may adjust.
        attributes: attributes of the task's class, which override those of the base class.
    """

    files: tuple[str, ...]
    main_score: str
    base: str
    load: Callable[[Any, Path], Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)


def chance_of_nothing(_metric: str, _gold: Sequence[Sequence[Any]]) -> float | None:
    """Return 0: guessing neither orders nor agrees better than at random."""
    return 0.0


def chance_of_labels(metric: str, gold: Sequence[Sequence[Any]]) -> float | None:
    """Return the score of guessing: the share of the largest class for accuracy, of positives for average precision."""
    levels = []
    for labels in gold:
        shares = Counter(labels)
        if metric == "accuracy":
            levels.append(max(shares.values()) / len(labels))
        elif metric.endswith("ap") and set(shares) <= {0, 1}:
            levels.append(shares[1] / len(labels))
        else:
            return None
    return fmean(levels) if levels else None


def as_numbers(_of: Predicted, *sides: Any, **_names: object) -> tuple[str | None, ...]:
    """Return gold and predicted numbers as text."""
    return tuple(f"{float(np.mean(side)):.4g}" for side in sides)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskType:
    """Everything that depends on the type of a task.

    Args:
        name: mteb's spelling; the mark follows from it.
        collect: turns predictions and gold labels of one stratum into the columns of `Samples`; None: no samples.
        texts: returns the texts of some samples for a person, by id and then by role.
        formulas: the score of one experiment, by metric; given counts, the scores of resamples.
        influences: by metric, the derivative of such a score by the weight of each sample (n,), from gold labels and
            one column of predictions; without it the derivative is computed numerically, which takes n scores.
        counted: metrics that are the mean over samples of the share of experiments that are right.
        sample_value: where the score is no mean over samples.
        tell: renders gold, earlier and present predictions of a sample for a person, given ``names`` of labels; None:
            they are not shown.
        label_names: returns the names of labels in the data.
        chance: returns the score of guessing, from a metric and the gold labels of each stratum; None: not known.
        tolerance: the largest difference of a repetition of the same measurement, as a fraction.
        fitted_by: libraries whose versions change a repetition by more.
        paired: whether samples of two models can be compared; if not, only the scores are.
        largest_loss: what one sample can lose at most, of scores that are means over samples; None: not bounded.
        units: returns for each row that `collect` gives the texts, paragraphs or rows that it may share with others, as
            `name_unit` writes them, 16 at most; None: no sample of the type has any, such as the draws of a clustering.
        fields: returns columns by name, a value for each row that `collect` gives; reports have figures by them.
        sample_word: the word for samples.
        published_metric: the metric that published tables average, whatever the main score of a task is today.
        former_names: earlier names of metrics, by their present names.
        best_of: prefixes of the metrics of which one that begins with ``max_`` is the best.
        searches: what the task ranks: a whole corpus, or given candidates; None: nothing.
        examples: tasks of mteb's that stand for the type where prompts are shown, each with its role of text.
        folder: the layout of a folder with custom data; None: there is no custom data of the type.
    """

    name: str
    collect: Callable[[Predicted], Columns] | None = None
    texts: Callable[[Predicted, set[str]], Texts] = lambda _of, _wanted: {}
    formulas: Mapping[str, Formula] = field(default_factory=dict)
    influences: Mapping[str, Callable[[Any, Any], Any]] = field(default_factory=dict)
    counted: frozenset[str] = frozenset()
    sample_value: SampleValue | None = None
    tell: Callable[..., tuple[str | None, ...]] | None = None
    label_names: Callable[[Predicted], Mapping[str, str]] = lambda _: {}
    chance: Callable[[str, Sequence[Sequence[Any]]], float | None] = lambda _metric, _gold: None
    tolerance: float = TOLERANCE
    fitted_by: tuple[str, ...] = ()
    paired: bool = True
    largest_loss: float | None = None
    units: Callable[[Predicted], Sequence[Sequence[str]]] | None = None
    fields: Callable[[Predicted], Mapping[str, Column]] | None = None
    sample_word: Literal["samples", "draws"] = "samples"
    published_metric: str | None = None
    former_names: Mapping[str, str] = field(default_factory=dict)
    best_of: tuple[str, ...] = ()
    searches: Literal["corpus", "candidates"] | None = None
    examples: tuple[tuple[str, str, str | None], ...] = ()
    folder: FolderLayout | None = None

    @property
    def mark(self) -> str:
        """The pytest mark: ``PairClassification`` is ``pair_classification``."""
        return snake_case(self.name)


def text_ids(*columns: Sequence[str]) -> Any:
    """Name rows by the hash of their texts, and the second of equal rows by the hash and its number."""
    seen: Counter[str] = Counter()
    ids = []
    for texts in zip(*columns, strict=True):
        digest = name_unit(*map(str, texts))
        ids.append(digest if not seen[digest] else f"{digest}#{seen[digest]}")
        seen[digest] += 1
    return np.array(ids)


def rows_of(names: Any, selection: Collection[str]) -> dict[str, int]:
    """Return the row of each selected name."""
    return {str(name): row for row, name in enumerate(names) if str(name) in selection}


def share_rows(
    of: Predicted,
    units: Iterable[Iterable[str]],
    rows: Sequence[int | str],
    alike: Callable[[Any, Any], bool],
) -> list[list[str]]:
    """Return the distinct units of each sample; where another subset has the same rows, the row is a unit too.

    Such rows are mostly one text in many languages.

    Args:
        of: the predictions.
        units: the units of each sample.
        rows: the number or name of each sample's row.
        alike: returns whether the data of two subsets has the same rows.
    """
    data = of.rows()
    if any(alike(data, other) for other in of.other_rows()):
        place = "row", of.task.metadata.name, of.split
        units = ((*names, name_unit(*place, str(row))) for names, row in zip(units, rows, strict=True))
    return [list(dict.fromkeys(names)) for names in units]


def own_fields(data: Any) -> dict[str, Column]:
    """Return the fields of a custom folder's rows."""
    return {name.removeprefix(FIELD): np.array(data[name][:]) for name in data.column_names if name.startswith(FIELD)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextColumns:
    """The texts of samples that have their ids from them, each a row of the data.

    Args:
        columns: returns the columns of the data by role, in the order in which they make the id.
        data: returns the rows that were evaluated.
        samples: returns the numbers of the rows that are samples; None: all of them.
        size: returns the number of rows of a subset's data.
    """

    columns: Callable[[Predicted], Mapping[str, str]]
    data: Callable[[Predicted], Any] = Predicted.rows
    samples: Callable[[Predicted], Sequence[int]] | None = None
    size: Callable[[Any], int] = len

    def read(self, of: Predicted, ids: set[str]) -> Texts:
        """Return the texts of some samples, by id and then by role."""
        texts = self._texts(of, self.data(of))
        rows = rows_of(text_ids(*texts.values()), ids)
        return {id_: {role: shorten(str(column[row]), MAX_TEXT_LENGTH) for role, column in texts.items()}
                for id_, row in rows.items()}  # fmt: skip

    def units(self, of: Predicted) -> list[list[str]]:
        """Return the units of each sample: its texts, and its row if other languages have the same rows."""
        data = self.data(of)
        rows = self._numbers(of, data)
        columns = [[name_unit(str(column[row])) for row in rows] for column in self._texts(of, data).values()]
        return share_rows(of, zip(*columns, strict=True), rows, lambda *sides: len(set(map(self.size, sides))) == 1)

    def fields(self, of: Predicted) -> dict[str, Column]:
        """Return the total length of each sample's texts, and the fields of a custom folder."""
        data = self.data(of)
        rows = list(self._numbers(of, data))
        texts = zip(*self._texts(of, data).values(), strict=True)
        columns = {"length": np.array([sum(len(str(text)) for text in row) for row in texts]), **own_fields(data)}
        return {name: column[rows] for name, column in columns.items()}

    def _texts(self, of: Predicted, data: Any) -> dict[str, Any]:
        return {role: data[column][:] for role, column in self.columns(of).items()}

    def _numbers(self, of: Predicted, data: Any) -> Sequence[int]:
        return range(len(data)) if self.samples is None else self.samples(of)
