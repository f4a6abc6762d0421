"""Report how a folder of data is understood: counts, longest texts, duplicate rows, and leaks."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from touchstone.errors import TouchstoneError
from touchstone.foreign import one_line
from touchstone.formatting import count
from touchstone.records.cases import TaskInfo
from touchstone.records.samples import FIELD
from touchstone.task_types.base import FolderLayout
from touchstone.task_types.registry import all_types
from touchstone.tasks.custom import (
    DEFAULT_SUBSET,
    find_forms_of,
    find_subsets,
    folders_of,
    layout_of,
    make_task,
    subset_folders,
)
from touchstone.tasks.registry import quiet_mteb

# Columns with ids or gold values.
NON_TEXT_COLUMNS = {"id", "label", "labels", "score", "relevance"}


def check_folder(folder: Path, only: str | None = None) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return a report in lines for each type that can read a folder, and why the types that come nearest cannot.

    Those are the types of which most files are there, and most keys of the first rows; none where no file is there.

    Args:
        folder: the folder.
        only: the only type to try, or None for all.
    """
    reports: dict[str, list[str]] = {}
    refusals: dict[str, tuple[tuple[int, int], str]] = {}
    for name, layout in ((kind.name, kind.folder) for kind in all_types() if only in (None, kind.name)):
        if layout is None:
            continue
        try:
            subsets = find_subsets(layout, folder)
            info = TaskInfo(name=name, type=name, main_score=layout.main_score, subsets=subsets, folder=folder,
                            languages=("eng-Latn",))  # fmt: skip  # which decide nothing here
            reports[name] = [f"measured by {info.main_score}", *_describe(info)]
        except TouchstoneError as error:
            missing = _count_missing(layout, folder)
            if missing < len(layout.files):
                refusals[name] = (missing, getattr(error, "misfits", 0)), str(error)
    least = min((distance for distance, _ in refusals.values()), default=None)
    nearest = {name: why for name, (distance, why) in refusals.items() if distance == least}
    # Of that Retrieval has every file, and fewer keys.
    if nearest.keys() == {"InstructionRetrieval"} and "Retrieval" in refusals:
        nearest = {"Retrieval": refusals["Retrieval"][1], **nearest}
    return reports, nearest


def _count_missing(layout: FolderLayout, folder: Path) -> int:
    """Return how many of a layout's files no subset has."""
    folders = [folder, *subset_folders(folder)]
    return sum(not any(find_forms_of(name, path) for path in folders) for name in layout.files)


def _describe(info: TaskInfo) -> Iterator[str]:
    with quiet_mteb():
        task: Any = make_task(info, "0" * 64)
    for subset, folder in folders_of(info).items():
        task.notes = ()
        data = layout_of(info.type).load(task, folder)
        where = "" if subset == DEFAULT_SUBSET else f"{subset}: "
        splits = data[DEFAULT_SUBSET]["test"] if DEFAULT_SUBSET in data else data
        tables = {name: splits[name] for name in ("corpus", "queries", "train", "test") if name in splits}
        texts = {name: _read_texts(table) for name, table in tables.items()}
        pairs = [(name, table, texts[name]) for name, table in tables.items()]
        lines = [line for name, table, rows in pairs for line in (*_count(name, rows, table), *_others(name, table))]
        leaks = _leaks_of_search(texts, splits["relevant_docs"], tables) if "corpus" in splits else _leaks(texts)
        yield from (
            f"{where}{line}" for line in (*lines, *_grades(splits), *(f"note: {note}" for note in task.notes), *leaks)
        )


def _read_texts(table: Any) -> list[tuple[str, ...]]:
    """Return the texts of each row, with the items of lists as texts of their own."""
    names = [name for name in table.column_names if name not in NON_TEXT_COLUMNS and not name.startswith(FIELD)]
    columns = (table[name][:] for name in names)
    return [
        tuple(str(text) for cell in row for text in (cell if isinstance(cell, list) else [cell]))
        for row in zip(*columns, strict=True)
    ]


def _count(name: str, rows: list[tuple[str, ...]], table: Any) -> Iterator[str]:
    sizes = [max(map(len, row)) for row in rows]
    longest = max(range(len(rows)), key=sizes.__getitem__)
    size = count(sizes[longest], "character")
    place = f'"{one_line(table["id"][longest])}"' if "id" in table.column_names else f"row {longest + 1}"
    yield f"{name}: {count(len(rows), 'row')}, the longest text has {size}, in {place}"
    if duplicates := len(rows) - len(set(rows)):
        yield f"{name}: {count(duplicates, 'row')} with the texts of another"


def _others(name: str, table: Any) -> Iterator[str]:
    """Yield the columns that the type does not read: of data of another type there are some."""
    names = [column.removeprefix(FIELD) for column in table.column_names if column.startswith(FIELD)]
    if names:
        yield f"{name}: {', '.join(map(one_line, names))}: not read, but slices may be made by them"


def _grades(splits: Mapping[str, Any]) -> Iterator[str]:
    """Yield the number of judgements, or of labels."""
    if "corpus" in splits:
        grades = [grade for by_document in splits["relevant_docs"].values() for grade in by_document.values()]
        yield f"judgements: {len(grades)}, {sum(grade > 0 for grade in grades)} of them relevant"
    elif names := {"label", "labels"} & set(splits["test"].column_names):
        cells = splits["test"][names.pop()]
        labels = [label for cell in cells for label in (cell if isinstance(cell, list) else [cell])]
        yield f"test: {count(len(set(labels)), 'label')}"


def _leaks_of_search(
    texts: Mapping[str, Any], judgements: Mapping[str, Any], tables: Mapping[str, Any]
) -> Iterator[str]:
    corpus = {
        name: {" ".join(row).strip(), *row}
        for name, row in zip(tables["corpus"]["id"], texts["corpus"], strict=True)
    }  # fmt: skip
    queries = zip(tables["queries"]["id"], texts["queries"], strict=True)
    leaked = sum(
        any(g > 0 and row[0] in corpus.get(d, ()) for d, g in judgements[query].items()) for query, row in queries
    )
    if leaked:
        yield f"leak: {count(leaked, 'query', 'queries')} with the text or the title of a relevant document"


def _leaks(texts: Mapping[str, list[tuple[str, ...]]]) -> Iterator[str]:
    trained = set(texts.get("train", []))
    if leaked := sum(row in trained for row in texts["test"]):
        yield f"leak: {count(leaked, 'row')} of test with the text of a row of train"
    if alike := sum(len(row) == 2 and row[0] == row[1] for row in texts["test"]):
        yield f"leak: {count(alike, 'row')} of test with the same text twice"
