"""JSON that strangers wrote: each key once in an object, numbers that there are, and no more than can be held."""

import gc
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from touchstone.errors import TouchstoneError
from touchstone.files.plain import TOO_DEEP, TOO_LONG, check_plain
from touchstone.files.writing import decode, read_bytes
from touchstone.formatting import shorten

# What a document holds at most, and one object of it: the largest results of mteb come to half a million, the record of
# ten models on every task to a million.
MOST_VALUES, MOST_KEYS = 1_500_000, 250_000
STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def parse_json(text: str | bytes, where: str, error: type[TouchstoneError], *, wide: bool = False) -> Any:
    """Parse JSON.

    Args:
        text: one document.
        where: the file, for errors.
        error: the type to raise.
        wide: let all numbers pass that other programs write: infinite ones, NaN, integers of more than 64 bits.

    Raises:
        TouchstoneError: of the type given; it is not JSON, has a key twice in one object, or a value that none can be.
    """
    text = decode(text, where, error) if isinstance(text, bytes) else text
    if _count(text) > MOST_VALUES and _count(STRING.sub("", text)) > MOST_VALUES:
        raise error(f"{where}: holds more than {MOST_VALUES} values")

    def distinct(pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
        return make_distinct(pairs, where, error)

    try:
        data = load(text, object_pairs_hook=distinct)
    except json.JSONDecodeError as failure:
        raise error(f"{where}: not JSON: {_why(text, failure)}") from None
    except ValueError:
        raise error(f"{where}: {TOO_LONG}") from None
    except RecursionError:
        raise error(f"{where}: {TOO_DEEP}") from None
    check_plain(data, where, error, wide=wide)
    return data


def load(text: str | bytes, **options: Any) -> Any:
    """Return what `json.loads` does, and let it look for no garbage.

    In a document that is nested deeper than the stack, finalizers would run at the end of the stack, and fail there.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return json.loads(text, **options)
    finally:
        if collects:
            gc.enable()


def read_json(path: Path, error: type[TouchstoneError], *, wide: bool = False) -> Any:
    """Read a JSON file, as `parse_json` does.

    Raises:
        TouchstoneError: of the type given; there is no such file, or it cannot be read.
    """
    return parse_json(read_bytes(path, error), str(path), error, wide=wide)


def make_distinct(pairs: Sequence[tuple[Any, Any]], where: str, error: type[TouchstoneError]) -> dict[Any, Any]:
    """Return a dictionary of pairs.

    Raises:
        TouchstoneError: of the type given; a key is there twice.
    """
    if len(pairs) > MOST_KEYS:
        raise error(f"{where}: has an object of more than {MOST_KEYS} keys")
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise error(f'{where}: says "{shorten(str(twice), 60)}" twice in one object')
    return found


def _count(text: str) -> int:
    """Return about how many values there are, or more: of what begins one and what parts two."""
    return sum(map(text.count, ",[{"))


def _why(text: str, failure: json.JSONDecodeError) -> str:
    """Return the other parser's words, which say what is missing; of one line they need not say which."""
    try:
        from_json(text)
    except ValueError as error:
        return str(error) if "\n" in text else str(error).replace(" at line 1 column", " at column")
    return str(failure)
