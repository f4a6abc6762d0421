"""Find the texts behind samples while a task's data is still loaded."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from touchstone.formatting import shorten
from touchstone.task_types.base import LONGEST_TEXT, Predicted, evaluated_rows, text_ids


def label_names(of: Predicted) -> dict[str, str]:
    """Return what the data calls its labels, by label as text; empty where it does not say."""
    if of.task.metadata.type not in ("Classification", "ZeroShotClassification"):
        return {}
    rows = of.rows()
    column = of.task.label_column_name
    if "label_text" not in rows.column_names:
        return {str(label): name for label, name in enumerate(getattr(rows.features[column], "names", None) or ())}
    return {str(label): str(name) for label, name in zip(rows[column][:], rows["label_text"][:], strict=True)}


def translations(of: Predicted, places: Collection[int]) -> dict[int, str]:
    """Return the sentences of the other language at some places."""
    parallel = getattr(of.task, "parallel_subsets", False)
    rows = of.task.dataset[of.split] if parallel else of.rows()
    column = rows[of.subset.split("-")[1] if parallel else "sentence2"]
    return {place: shorten(str(column[place]), LONGEST_TEXT) for place in places if place < len(column)}


def rows_of(names: Any, wanted: set[str]) -> dict[str, int]:
    """Return the rows of some names, by name."""
    return {str(name): row for row, name in enumerate(names) if str(name) in wanted}


def by_columns(
    name_columns: Callable[[Predicted], Mapping[str, str]],
) -> Callable[[Predicted, set[str]], dict[str, dict[str, str]]]:
    """Read samples that are named by their texts: ``name_columns`` returns columns by role, in the order of the id."""

    def read(of: Predicted, wanted: set[str]) -> dict[str, dict[str, str]]:
        columns = name_columns(of)
        rows = of.rows()
        if of.task.metadata.type == "MultilabelClassification":
            rows = evaluated_rows(of.task, rows, of.split, len(of.found[0]))
        texts = {role: rows[column][:] for role, column in columns.items()}
        found = rows_of(text_ids(*texts.values()), wanted)
        return {id_: {role: str(column[row]) for role, column in texts.items()} for id_, row in found.items()}

    return read


def read_sentences(of: Predicted, wanted: set[str]) -> dict[str, dict[str, str]]:
    """Return the sentences to be translated of some samples, by id and then by role."""
    parallel = getattr(of.task, "parallel_subsets", False)
    rows = of.task.dataset[of.split] if parallel else of.rows()
    texts = rows[of.subset.split("-")[0] if parallel else "sentence1"][:]
    return {id_: {"sentence": str(texts[row])} for id_, row in rows_of(text_ids(texts), wanted).items()}


def input_column(of: Predicted) -> dict[str, str]:
    """Return the one column of a task's texts, by role."""
    return {"text": of.task.input_column_name}
