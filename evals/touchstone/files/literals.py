"""JSON, YAML and Python files become plain data: what a file says literally, never what it would do."""

import ast
import json
import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from touchstone.errors import ConfigError, first_line, suggest
from touchstone.files.writing import read_text
from touchstone.files.yaml import parse_yaml

SUFFIXES = (".json", ".yaml", ".yml", ".py")
# Calls with keywords only that mean the dictionary of their keywords.
DICTIONARIES = ("dict", "TaskConfig")


def read_plain(path: Path, mark: str, name: str | None = None) -> dict[str, Any]:
    """Read the dictionary that a file holds: text, numbers, true, false, null, lists and dictionaries.

    Args:
        path: a file whose name ends in one of `SUFFIXES`.
        mark: the key by which the dictionary sought is known among the others of a Python file.
        name: which of a Python file's names is meant; None where it holds only one such dictionary.

    Raises:
        ConfigError: there is no such file or dictionary, or it says something that is not plain data.
    """
    text = read_text(path, ConfigError)
    try:
        if path.suffix == ".py":
            data = _read_python(text, path, mark, name)
        elif path.suffix == ".json":
            data = json.loads(text, object_pairs_hook=lambda pairs: _distinct(pairs, path))
        else:
            data = parse_yaml(text, str(path), error=ConfigError)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}: not JSON: {error}") from None
    except ValueError as error:  # a number too long to read
        raise ConfigError(f"{path}: cannot be read: {first_line(error)}") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply") from None
    if not isinstance(data, dict):
        raise ConfigError(f'{path}: must hold a dictionary with "{mark}"')
    _refuse_the_unplain(data, (), (), path)
    return data


def _distinct(pairs: Sequence[tuple[Any, Any]], path: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ConfigError(f'{path}: says "{key}" twice in one object')
        found[key] = value
    return found


def _read_python(text: str, path: Path, mark: str, name: str | None) -> Any:
    """Evaluate the one dictionary with the key ``mark`` that a Python file assigns, or is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in strings that are not ours
            tree = ast.parse(text)
    except SyntaxError as error:
        raise ConfigError(f"{path}: not Python: {error.msg} (line {error.lineno})") from None
    found = [(target, node) for target, node in _assigned(tree) if mark in _keys(node)]
    names = [target for target, _ in found]
    wanted = [node for target, node in found if name is None or target == name]
    if not found:
        raise ConfigError(f'{path}: holds no dictionary with "{mark}" in it, written out')
    if not wanted:
        raise ConfigError(f'{path}: no "{name}" in it has "{mark}"{suggest(str(name), names)}')
    if len(wanted) > 1:
        which = " and ".join(dict.fromkeys(names)) if name is None else f"{name} twice"
        example = "" if name is not None else f"; name one, as in {path.name}:{names[0]}"
        raise ConfigError(f"{path}: assigns {which}{example}")
    return _literal(wanted[0], path)


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield every name and what is assigned to it, inside functions too; an expression on its own has no name."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value
            case ast.Expr(value=value):
                yield "", value
            case _:
                pass


def _keys(node: ast.expr) -> list[Any]:
    match node:
        case ast.Dict(keys=keys):
            return [key.value for key in keys if isinstance(key, ast.Constant)]
        case ast.Call(func=ast.Name(id=name), keywords=keywords) if name in DICTIONARIES:
            return [keyword.arg for keyword in keywords]
        case _:
            return []


def _literal(node: ast.expr, path: Path) -> Any:
    """Return the value of a literal, naming the line of what is none."""
    match node:
        case ast.Dict(keys=keys, values=values) if all(isinstance(key, ast.Constant) for key in keys):
            names = [key.value for key in keys if isinstance(key, ast.Constant)]
            return _distinct([(name, _literal(value, path)) for name, value in zip(names, values, strict=True)], path)
        case ast.Call(func=ast.Name(id=name), args=[], keywords=keywords) if name in DICTIONARIES:
            if all(keyword.arg is not None for keyword in keywords):
                return _distinct([(str(word.arg), _literal(word.value, path)) for word in keywords], path)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_literal(item, path) for item in items]
        case ast.Constant() | ast.UnaryOp():
            try:
                return ast.literal_eval(node)
            except ValueError:
                pass
        case _:
            pass
    said = ast.unparse(node)
    said = said if len(said) <= 40 else said[:39] + "…"
    raise ConfigError(f"{path}: line {node.lineno}: {said} is not a literal, and nothing is executed; write its value")


def _refuse_the_unplain(value: Any, place: tuple[str, ...], around: tuple[int, ...], path: Path) -> None:
    """Refuse what JSON has no word for: dates, sets, bytes, infinity, keys that are no text, and loops."""
    where = f"{path}: {'.'.join(place)}" if place else str(path)
    if id(value) in around:
        raise ConfigError(f"{where} holds itself")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ConfigError(f"{where} has the key {key!r}; expected text")
            _refuse_the_unplain(item, (*place, key), (*around, id(value)), path)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _refuse_the_unplain(item, (*place, str(number)), (*around, id(value)), path)
    elif not (value is None or isinstance(value, str | int | float)) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        raise ConfigError(f"{where} = {value}; expected text, a number, true, false, a list or a dictionary")
