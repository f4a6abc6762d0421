"""Keep a sample of a task's data: the same one on every machine and in every order of the rows."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from touchstone.errors import ConfigError
from touchstone.records.cases import TaskInfo
from touchstone.records.samples import FIELD

DISTRACTORS_PER_QUERY = 100


def limit_data(task: Any, info: TaskInfo, limit: int) -> None:
    """Keep ``limit`` queries, rows or pairs of each split and subset evaluated; training rows stay as they are.

    Retrieval keeps the judged documents (and the candidates) of its queries and 100 others for each query.

    Args:
        task: a task of mteb's with its data loaded; its data is replaced.
        info: the task with the splits and subsets that are evaluated.
        limit: how many to keep.

    Raises:
        ConfigError: the task's rows point at each other by number, so that none can be left out.
    """
    convert = getattr(task, "convert_v1_dataset_format_to_v2", None)
    if convert is not None:
        convert(num_proc=None)
    for holder, split in _places(task.dataset, info):
        data = holder[split]
        holder[split] = _limit_retrieval(data, limit) if isinstance(data, dict) else _limit_rows(data, info, limit)


def _places(dataset: Any, info: TaskInfo) -> list[tuple[Any, str]]:
    """Return the container and key of each split's data; data of one language has no level for subsets."""
    places = []
    for subset in info.subsets:
        holder = dataset.get(subset, dataset)
        places += [(holder, split) for split in info.splits if (holder, split) not in places]
    return places


def _limit_retrieval(data: dict[str, Any], limit: int) -> dict[str, Any]:
    judged = {query: grades for query, grades in data["relevant_docs"].items() if grades}
    queries = set(_choose(judged, limit))
    documents = {document for query in queries for document in judged[query]}
    ranked = data.get("top_ranked")
    if ranked is not None:
        ranked = {query: ranked[query] for query in ranked if query in queries}
        documents |= {document for candidates in ranked.values() for document in candidates}
    else:
        distractors = (document for document in data["corpus"]["id"] if document not in documents)
        documents |= set(_choose(distractors, DISTRACTORS_PER_QUERY * limit))
    return {
        **data,
        "queries": _select(data["queries"], data["queries"]["id"], queries),
        "corpus": _select(data["corpus"], data["corpus"]["id"], documents),
        "relevant_docs": {query: judged[query] for query in judged if query in queries},
        "top_ranked": ranked,
    }


def _limit_rows(rows: Any, info: TaskInfo, limit: int) -> Any:
    if "gold" in rows.column_names:
        raise ConfigError(f"--limit {limit}: the rows of {info.name} point at each other and cannot be left out")
    if len(rows) == 1 and all(isinstance(value, list) for value in rows[0].values()):
        from datasets import Dataset

        sample = _sample(Dataset.from_dict(rows[0]), limit)  # older pair data sets hold a whole split in one row
        return Dataset.from_list([{column: sample[column][:] for column in sample.column_names}])
    return _sample(rows, limit)


def _sample(rows: Any, limit: int) -> Any:
    names = _row_names(rows)
    return _select(rows, names, set(_choose(names, limit)))


def _row_names(rows: Iterable[Any]) -> list[str]:
    """Name each row by its content, and the second of equal rows by its content and number."""
    seen: Counter[str] = Counter()
    names = []
    for row in rows:
        columns = {name: value for name, value in row.items() if not name.startswith(FIELD)}  # fields choose no sample
        content = json.dumps(columns, sort_keys=True, default=str)
        names.append(f"{content}#{seen[content]}")
        seen[content] += 1
    return names


def _choose(names: Iterable[str], limit: int) -> list[str]:
    """Return the names whose hashes come first: a choice that no order and no library version changes."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:limit]


def _select(rows: Any, names: Iterable[str], selection: set[str]) -> Any:
    return rows.select([index for index, name in enumerate(names) if name in selection])
