"""Checks of plain data from any format: depth, numbers, text and types."""

import math
import sys
from typing import Any

from touchstone.errors import TouchstoneError
from touchstone.formatting import shorten

MAX_DEPTH = 100
TOO_DEEP = f"is nested too deeply; expected at most {MAX_DEPTH} levels"
TOO_LONG = "holds a number of more than 4300 digits; expected at most 64 bits"
MAX_NUMBER = int(sys.float_info.max)
EXPECTED_TYPES = "expected text, a number, true, false, a list or a dictionary"


def check_plain(
    data: Any, where: str, error: type[TouchstoneError], *, wide: bool = False, foreign: bool = False
) -> None:
    """Refuse data that cannot be processed or written again; each object is checked once.

    Args:
        data: what a parser returned.
        where: the file, for errors.
        error: the type to raise.
        wide: let infinite numbers, NaN and integers of more than 64 bits pass, which other programs write.
        foreign: let types pass that JSON lacks: dates, bytes, sets, and keys that are not text.

    Raises:
        TouchstoneError: of the given type, naming the place in the data.
    """
    fault = _find_fault(data, 0, set(), wide, foreign)
    if fault is not None:
        place, why = fault
        *table, key = [shorten(part, 60) for part in place] or [""]
        inside = f"[{'.'.join(table)}] " if table else ""
        raise error(f"{where}: {inside}{key} {why}" if key else f"{where}: {why}")


def _find_fault(value: Any, depth: int, seen: set[int], wide: bool, foreign: bool) -> tuple[list[str], str] | None:  # noqa: FBT001
    """Return the keys that lead to the first invalid value, and what is wrong with the value."""
    if not isinstance(value, dict | list):
        why = _value_fault(value, wide, foreign)
        return None if why is None else ([], why)
    if depth >= MAX_DEPTH:
        return [], TOO_DEEP
    if id(value) in seen:
        return None
    seen.add(id(value))
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(value, dict) and (why := _key_fault(key, foreign)):
            return [], why
        if fault := _find_fault(item, depth + 1, seen, wide, foreign):
            place, why = fault
            return ([] if why == TOO_DEEP else [str(key), *place]), why
    return None


def _key_fault(key: Any, foreign: bool) -> str | None:  # noqa: FBT001
    if not isinstance(key, str):
        return None if foreign else f"has the key {key!r}; expected text"
    return None if is_unicode(key) else "has a key with half of a surrogate pair, which is no text"


def _value_fault(value: Any, wide: bool, foreign: bool) -> str | None:  # noqa: FBT001
    if isinstance(value, str):
        return None if is_unicode(value) else "holds half of a surrogate pair, which is no text"
    if isinstance(value, int):
        limit = MAX_NUMBER if wide else 1 << 63
        return None if -limit <= value < limit else "is too large a whole number; expected at most 64 bits"
    if isinstance(value, float):
        return None if wide or math.isfinite(value) else f"= {value}; expected a number that is finite"
    return None if value is None or foreign else f"= {shorten(str(value), 60)}; {EXPECTED_TYPES}"


def is_unicode(value: str) -> bool:
    """Return True if text can be encoded: file names may have bytes that are not text, and JSON half a character."""
    try:
        return value.isascii() or value.encode() is not None
    except UnicodeEncodeError:
        return False
