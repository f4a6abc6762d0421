"""Untrusted JSON: no duplicate keys, no invalid numbers, and a bounded size."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from touchstone.environment import no_garbage_collection
from touchstone.errors import TouchstoneError
from touchstone.files.plain import TOO_DEEP, TOO_LONG, check_plain
from touchstone.files.writing import decode, read_bytes
from touchstone.formatting import shorten

# Of a document and of one object: the largest results of mteb have half a million values, the record of ten models on
# every task a million.
MAX_VALUES, MAX_KEYS = 1_500_000, 250_000
STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def parse_json(text: str | bytes, where: str, error: type[TouchstoneError], *, wide: bool = False) -> Any:
    """Parse JSON.

    Args:
        text: one document.
        where: the file, for errors.
        error: the type to raise.
        wide: let infinite numbers, NaN and integers of more than 64 bits pass, which other programs write.

    Raises:
        TouchstoneError: of the given type; it is not JSON, has a key twice in one object, or has an invalid value.
    """
    text = decode(text, where, error) if isinstance(text, bytes) else text
    if _count(text) > MAX_VALUES and _count(STRING.sub("", text)) > MAX_VALUES:
        raise error(f"{where}: holds more than {MAX_VALUES} values")

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
    """Return the value of `json.loads`, with the garbage collector off.

    With a document that is nested deeper than the stack, finalizers would run at the end of the stack, and fail there.
    """
    with no_garbage_collection():
        return json.loads(text, **options)


def read_json(path: Path, error: type[TouchstoneError], *, wide: bool = False) -> Any:
    """Read a JSON file, as `parse_json` does.

    Raises:
        TouchstoneError: of the given type; there is no such file, or it cannot be read.
    """
    return parse_json(read_bytes(path, error), str(path), error, wide=wide)


def make_distinct(pairs: Sequence[tuple[Any, Any]], where: str, error: type[TouchstoneError]) -> dict[Any, Any]:
    """Return a dictionary of pairs.

    Raises:
        TouchstoneError: of the given type; a key occurs twice.
    """
    if len(pairs) > MAX_KEYS:
        raise error(f"{where}: has an object of more than {MAX_KEYS} keys")
    data = dict(pairs)
    if len(data) < len(pairs):
        duplicate = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise error(f'{where}: says "{shorten(str(duplicate), 60)}" twice in one object')
    return data


def _count(text: str) -> int:
    """Return an upper estimate of the number of values, by the characters that begin or separate values."""
    return sum(map(text.count, ",[{"))


def _why(text: str, failure: json.JSONDecodeError) -> str:
    """Return the message of the other parser, which says what is missing; without the line if there is only one."""
    try:
        from_json(text)
    except ValueError as error:
        return str(error) if "\n" in text else str(error).replace(" at line 1 column", " at column")
    return str(failure)
