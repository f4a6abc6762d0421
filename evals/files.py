"""Read files against the shape they must have, and write them so that nobody ever sees half of one."""

import dataclasses
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from evals.errors import ConfigError, EvalsError, suggest

T = TypeVar("T")

NO_OTHER_KEYS = ConfigDict(extra="forbid")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file or nothing: to a neighbour first, then renamed over the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    temporary.chmod(0o644)  # a temporary file is private; what it becomes is not
    temporary.replace(path)


def to_json(value: Any) -> str:
    """Return canonical JSON: sorted keys, two spaces, a trailing newline, no NaN.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: there is no such file, or it is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None


def check(kind: type[T], data: Any, where: str, error: type[EvalsError] = ConfigError) -> T:
    """Turn plain data into a dataclass.

    Raises:
        EvalsError: of the type given, naming ``where``, the key, and what would be right.
    """
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as failure:
        raise error(f"{where}: {_sentence(kind, failure)}") from None


def check_json(kind: type[T], text: str | bytes, where: str, error: type[EvalsError] = ConfigError) -> T:
    """Turn JSON text into a dataclass, like `check`."""
    try:
        return TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as failure:
        raise error(f"{where}: {_sentence(kind, failure)}") from None


def _sentence(kind: type[Any], failure: ValidationError) -> str:
    first = failure.errors(include_url=False)[0]
    location = [str(part) for part in first["loc"]]
    name = location[-1] if location else ""
    inside = f"[{'.'.join(location[:-1])}] " if len(location) > 1 else ""
    match first["type"]:
        case "unexpected_keyword_argument" | "extra_forbidden":
            return f'{inside}has an unknown key "{name}"{suggest(name, _keys(kind, location[:-1]))}'
        case "missing" | "missing_argument":
            return f'{inside}needs a key "{name}"'
        case "literal_error":
            expected = first.get("ctx", {}).get("expected", "").replace("'", '"')
            return f"{inside}{name} = {_show(first['input'])}; expected one of {expected.replace(' or ', ', ')}"
        case "json_invalid":
            return f"not JSON: {first.get('ctx', {}).get('error', first['msg'])}"
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return f"{inside}{name} = {_show(first['input'])}: {message}" if name else message


def _keys(kind: Any, location: list[str]) -> list[str]:
    """Name the fields that a dataclass has at a place inside another."""
    for part in location:
        if not dataclasses.is_dataclass(kind):
            break
        types = {field.name: field.type for field in dataclasses.fields(kind)}
        kind = types.get(part, kind)
    return [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []


def _show(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    text = str(dict(value) if isinstance(value, Mapping) else value)
    return text if len(text) <= 60 else text[:57] + "…"
