"""Hash of a task's loaded data, for data that no file and no revision identifies."""

import hashlib
import json
from collections.abc import Mapping
from datetime import date, time, timedelta
from typing import Any

from touchstone.errors import SourceError

ROWS_AT_ONCE = 1000


def hash_rows(data: Any, task: str) -> str:
    """Return the sha256 of all splits, subsets and columns, in the order of their rows.

    Columns and keys count in the order of their names; the types and chunks in which a library holds them do not count.

    Args:
        data: a task's ``dataset``.
        task: the task's name, for errors.

    Raises:
        SourceError: a value is of a type that has no form in JSON.
    """
    digest = hashlib.sha256()
    try:
        _add(digest, [], data)
    except (TypeError, ValueError) as error:
        raise SourceError(f"the data of {task} cannot be told from other data: {error}") from None
    return digest.hexdigest()


def _add(digest: Any, place: list[str], value: Any) -> None:
    if isinstance(value, Mapping) and any(isinstance(item, Mapping) or _is_table(item) for item in value.values()):
        for key in sorted(value, key=str):
            _add(digest, [*place, str(key)], value[key])
        return
    _write(digest, place)
    if _is_table(value):
        for rows in value.with_format(None).iter(batch_size=ROWS_AT_ONCE):
            _write(digest, rows)
    else:
        _write(digest, value)


def _is_table(value: Any) -> bool:
    from datasets import Dataset

    return isinstance(value, Dataset)


def _write(digest: Any, value: Any) -> None:
    digest.update(json.dumps(value, sort_keys=True, default=_plain).encode() + b"\n")


def _plain(value: Any) -> Any:
    """Return a form that JSON has of a value that JSON lacks."""
    import numpy as np

    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"it holds a {type(value).__name__}")
