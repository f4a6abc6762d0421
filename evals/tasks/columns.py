"""Read each column of a data set once: the library's columns are lazy, and mteb and scikit-learn read them by rows."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary


@contextmanager
def columns_read_once() -> Iterator[None]:
    """Make every lazy column a list behind its own interface, kept as long as its data set lives.

    A walk by rows decodes an Arrow table for each: of Banking77, 12 of the 13 seconds that are not encoding.
    """
    from datasets.arrow_dataset import Column

    lists: WeakKeyDictionary[Any, dict[str, list[Any]]] = WeakKeyDictionary()
    get, walk = Column.__getitem__, Column.__iter__

    def read(column: Any) -> list[Any] | None:
        # Held by the column too: some 200 000 single labels are asked for, and looking the data set up costs 5 us each.
        held: list[Any] | None = vars(column).get("read_once")
        if held is None and _is_plain(column.source):
            known = lists.setdefault(column.source, {})
            name = column.column_name
            if name not in known or len(known[name]) != len(column.source):
                known[name] = list(get(column, slice(None)))
            held = column.read_once = known[name]
        return held

    def get_once(column: Any, key: Any) -> Any:
        if type(key) is int and (held := column.__dict__.get("read_once")) is not None:
            return held[key]
        if isinstance(key, str) or (values := read(column)) is None:
            return get(column, key)
        return _pick(values, key)

    def walk_once(column: Any) -> Iterator[Any]:
        values = read(column)
        return walk(column) if values is None else iter(values)

    Column.__getitem__, Column.__iter__ = get_once, walk_once
    try:
        yield
    finally:
        Column.__getitem__, Column.__iter__ = get, walk


def _is_plain(source: Any) -> bool:
    from datasets import Dataset

    return isinstance(source, Dataset) and source.format["type"] is None


def _pick(values: list[Any], key: Any) -> Any:
    if isinstance(key, int | slice) or not isinstance(key, Iterable):
        return values[key]
    return [values[index] for index in key]
