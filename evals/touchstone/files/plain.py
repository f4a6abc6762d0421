"""Bounds on plain data, whatever language it was written in: how deep, how much, which numbers, which text."""

import math
import sys
from typing import Any

from touchstone.errors import TouchstoneError
from touchstone.formatting import shorten

DEEPEST = 100
TOO_DEEP = f"is nested too deeply; expected at most {DEEPEST} levels"
TOO_LONG = "holds a number of more than 4300 digits; expected at most 64 bits"
WIDEST = int(sys.float_info.max)
WORDS = "expected text, a number, true, false, a list or a dictionary"


def check_plain(
    data: Any, where: str, error: type[TouchstoneError], *, wide: bool = False, foreign: bool = False
) -> None:
    """Refuse data that could not be worked with or written again; each object is looked at once.

    Args:
        data: what a parser returned.
        where: the file, for errors.
        error: the type to raise.
        wide: let all numbers pass that other programs write: infinite ones, NaN, integers of more than 64 bits.
        foreign: let pass what JSON has no word for: dates, bytes, sets, keys that are no text.

    Raises:
        TouchstoneError: of the type given, naming the place in the data.
    """
    found = _find_wrong(data, 0, set(), wide, foreign)
    if found is not None:
        place, why = found
        *table, key = [shorten(part, 60) for part in place] or [""]
        inside = f"[{'.'.join(table)}] " if table else ""
        raise error(f"{where}: {inside}{key} {why}" if key else f"{where}: {why}")


def _find_wrong(value: Any, depth: int, seen: set[int], wide: bool, foreign: bool) -> tuple[list[str], str] | None:  # noqa: FBT001
    """Return the place of what is wrong, the keys that lead there, and what is wrong with it."""
    if not isinstance(value, dict | list):
        why = _why_not(value, wide, foreign)
        return None if why is None else ([], why)
    if depth >= DEEPEST:
        return [], TOO_DEEP
    if id(value) in seen:
        return None
    seen.add(id(value))
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(value, dict) and (why := _why_no_key(key, foreign)):
            return [], why
        if found := _find_wrong(item, depth + 1, seen, wide, foreign):
            place, why = found
            return ([] if why == TOO_DEEP else [str(key), *place]), why
    return None


def _why_no_key(key: Any, foreign: bool) -> str | None:  # noqa: FBT001
    if not isinstance(key, str):
        return None if foreign else f"has the key {key!r}; expected text"
    return None if is_unicode(key) else "has a key with half of a surrogate pair, which is no text"


def _why_not(value: Any, wide: bool, foreign: bool) -> str | None:  # noqa: FBT001
    if isinstance(value, str):
        return None if is_unicode(value) else "holds half of a surrogate pair, which is no text"
    if isinstance(value, int):
        most = WIDEST if wide else 1 << 63
        return None if -most <= value < most else "is too large a whole number; expected at most 64 bits"
    if isinstance(value, float):
        return None if wide or math.isfinite(value) else f"= {value}; expected a number that is finite"
    return None if value is None or foreign else f"= {shorten(str(value), 60)}; {WORDS}"


def is_unicode(value: str) -> bool:
    """Return True if text can be written: names of files may be bytes that are none, and JSON may spell half a sign."""
    try:
        return value.isascii() or value.encode() is not None
    except UnicodeEncodeError:
        return False
