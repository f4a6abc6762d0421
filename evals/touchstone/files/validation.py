"""Check the data of files against dataclasses, with errors in the words of the file."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, TypeVar, cast, get_args, get_type_hints

from pydantic import BeforeValidator, ConfigDict, FiniteFloat, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from touchstone.errors import ConfigError, TouchstoneError, suggest
from touchstone.files.json import parse_json
from touchstone.files.writing import decode
from touchstone.formatting import shorten

T = TypeVar("T")


def _refuse_boolean(value: object) -> object:
    """Refuse a boolean, which Python counts as a number: whoever writes true for a number has mixed up two keys."""
    if isinstance(value, bool):
        raise PydanticCustomError("int_type", "expected a number")
    return value


Number = Annotated[FiniteFloat, BeforeValidator(_refuse_boolean)]
WholeNumber = Annotated[int, BeforeValidator(_refuse_boolean)]
NO_OTHER_KEYS = ConfigDict(extra="forbid", allow_inf_nan=False)
MAX_SHOWN_LENGTH, MAX_ERRORS = 60, 10_000


class Strict:
    """Base of a dataclass that is a table of the user's: an unknown key is an error."""

    __slots__ = ()
    __pydantic_config__ = NO_OTHER_KEYS


def check(kind: type[T], data: Any, where: str, error: type[TouchstoneError] = ConfigError) -> T:
    """Turn plain data into a dataclass.

    Raises:
        TouchstoneError: of the given type, naming ``where``, the key, and what would be right.
    """
    try:
        return cast(T, _adapter(cast(Any, kind)).validate_python(data))
    except ValidationError as failure:
        raise error(f"{where}: {_sentence(kind, failure, data)}") from None


def check_json(kind: type[T], text: str | bytes, where: str, error: type[TouchstoneError] = ConfigError) -> T:
    """Turn JSON text into a dataclass, like `check`."""
    text = decode(text, where, error) if isinstance(text, bytes) else text
    parse_json(text, where, error)  # checks keys and numbers in parts that the shape lacks, too
    try:
        return cast(T, _adapter(cast(Any, kind)).validate_json(text, strict=True))
    except ValidationError as failure:
        raise error(f"{where}: {_sentence(kind, failure)}") from None


@cache  # making one takes longer than reading a file by it
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _sentence(kind: type[Any], failure: ValidationError, data: Any = None) -> str:
    """Return the first error as a sentence, in the words of the file rather than of Python.

    ``data`` is what was checked, for the names of tables in lists.
    """
    if failure.error_count() > MAX_ERRORS:  # listing them all takes longer than reading the file
        return f"is wrong in {failure.error_count()} places; is it another kind of file?"
    detail = failure.errors(include_url=False)[0]
    parts = [part for part in detail["loc"] if isinstance(part, int) or not _is_type_name(part)]
    if detail["type"] == "value_error":  # raised by a dataclass of ours about its own table
        return f"{_table(kind, parts, data)}{detail['msg'].removeprefix('Value error, ')}"
    *inside, key = parts or [""]
    name, table = shorten(str(key), MAX_SHOWN_LENGTH), _table(kind, inside, data)
    if isinstance(key, int):
        name, table = f"{inside[-1] if inside else ''}[{key}]", _table(kind, inside[:-1], data)
    match detail["type"]:
        case "unexpected_keyword_argument" | "extra_forbidden":
            right = _home(kind, str(key), inside) or suggest(name, _keys(kind, inside))
            return f'{table}has an unknown key "{name}"{right}'
        case "missing" | "missing_argument":
            return f'{table}needs a key "{name}"'
        case "json_invalid":
            return f"not JSON: {detail.get('ctx', {}).get('error', detail['msg'])}"
        case "literal_error":
            message = _one_of(detail.get("ctx", {}).get("expected", ""))
        case code:
            message = MESSAGES.get(code, detail["msg"].replace("Input should be", "expected").replace("valid ", ""))
    return f"{table}{name} = {_show(detail['input'])}; {message}" if name else message


# For the author of a file, pydantic's tuple, mapping and path are a list, a table and a string.
MESSAGES = {
    **dict.fromkeys(("tuple_type", "list_type"), "expected a list"),
    **dict.fromkeys(("dict_type", "mapping_type", "dataclass_type", "model_type"), "expected a table"),
    **dict.fromkeys(("path_type", "string_type"), "expected a string"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "expected a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "expected a number"),
    "finite_number": "expected a number that is finite",
    **dict.fromkeys(("bool_type", "bool_parsing"), "expected true or false"),
}


def _is_type_name(part: str) -> bool:
    """Return True if a part of pydantic's location names a member of a union rather than a key of the file."""
    return part in ("str", "int", "float", "bool") or part.startswith(("function-", "constrained-"))


def _table(kind: Any, parts: Sequence[int | str], data: Any = None) -> str:
    """Return a table by its place; one of a list whose tables have names by its name, or else its number, from 1."""
    words: list[str] = []
    place = ""
    for depth, part in enumerate(parts, start=1):
        try:
            data = data[part]
        except (TypeError, LookupError):  # the place names a type, too, or nothing was handed over
            data = None
        if isinstance(part, int) and "name" in _keys(kind, parts[:depth]):
            name = data.get("name") if isinstance(data, Mapping) else None
            called = shorten(name, MAX_SHOWN_LENGTH) if name and isinstance(name, str) else part + 1
            place, words = f"{place}[[{'.'.join(words)}]] {called}: ", []
        else:
            words.append(shorten(str(part), MAX_SHOWN_LENGTH))
    return f"{place}[{'.'.join(words)}] " if words else place


def _one_of(expected: str) -> str:
    return f"expected one of {expected}".replace("'", '"').replace(" or ", ", ")


def _home(kind: Any, key: str, location: Sequence[int | str]) -> str:
    """Return where in the file a key belongs that is in another table; empty for one that belongs nowhere."""
    if location and key in _keys(kind, ()):
        return "; it belongs to the top of the file, above the first table"
    tables = _keys(kind, ()) if dataclasses.is_dataclass(kind) else []
    homes = [table for table in tables if [table] != [*location] and key in _keys(kind, [table])]
    return f"; it belongs to [{homes[0]}]" if homes else ""


def _keys(kind: Any, location: Sequence[int | str]) -> list[str]:
    """Return the keys of the dataclass at a place inside another, through lists, tables and optional values."""
    for part in location:
        if isinstance(part, str) and dataclasses.is_dataclass(kind):
            kind = get_type_hints(kind)[part]
        else:  # an entry of a list or of a table of tables: the dataclass is the last type argument
            kind = next((argument for argument in reversed(get_args(kind)) if argument is not Ellipsis), None)
        while not dataclasses.is_dataclass(kind) and type(None) in get_args(kind):
            kind = next(argument for argument in get_args(kind) if argument is not type(None))
    # The field of a key that is a keyword of Python ends with an underscore.
    return [field.name.rstrip("_") for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []


def _show(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, str):
        return f'"{shorten(value, MAX_SHOWN_LENGTH)}"'
    if isinstance(value, Mapping | list | tuple):
        return "{…}" if isinstance(value, Mapping) else "[…]" if value else "[]"
    return shorten(str(value), MAX_SHOWN_LENGTH)
