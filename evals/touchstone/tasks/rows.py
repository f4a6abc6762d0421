"""The hash of a task's data as it was loaded: what is known of data that no file and no revision stands for."""

import hashlib
import json
from collections.abc import Mapping
from datetime import date, time, timedelta
from typing import Any

from touchstone.errors import SourceError

ROWS_AT_ONCE = 1000


def hash_rows(data: Any, task: str) -> str:
    """Return the sha256 of all splits, subsets and columns, in the order of their rows.

    Columns and keys count in the order of their names; how a library holds them, in which types and pieces, does not.

    Args:
        data: a task's ``dataset``.
        task: whose it is, for errors.

    Raises:
        SourceError: something of it is neither text nor number, and cannot be told from another.
    """
    digest = hashlib.sha256()
    try:
        _add(digest, [], data)
    except (TypeError, ValueError) as error:
        raise SourceError(f"the data of {task} cannot be told from other data: {error}") from None
    return digest.hexdigest()


def _add(digest: Any, place: list[str], value: Any) -> None:
    if isinstance(value, Mapping) and any(isinstance(one, Mapping) or _is_table(one) for one in value.values()):
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
    """Return what JSON has no word for in words that it has."""
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
