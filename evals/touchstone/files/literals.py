"""JSON, YAML and Python files become plain data: what a file says literally, never what it would do."""

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from touchstone.errors import ConfigError, suggest
from touchstone.files.json import make_distinct, parse_json
from touchstone.files.plain import TOO_DEEP, TOO_LONG, check_plain
from touchstone.files.writing import LARGEST_SETTINGS, read_text
from touchstone.files.yaml import parse_yaml
from touchstone.formatting import shorten

SUFFIXES = (".json", ".yaml", ".yml", ".py")
# Bytes of a Python file: its syntax tree takes a thousand times as many.
LARGEST_PYTHON = 1 << 18
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
    text = read_text(path, ConfigError, largest=LARGEST_PYTHON if path.suffix == ".py" else LARGEST_SETTINGS)
    if path.suffix == ".py":
        data = _read_python(text, path, mark, name)
    elif path.suffix == ".json":
        data = parse_json(text, str(path), ConfigError)
    else:
        data = parse_yaml(text, str(path), error=ConfigError)
    if not isinstance(data, dict):
        raise ConfigError(f'{path}: must hold a dictionary with "{mark}"')
    check_plain(data, str(path), ConfigError)
    return data


def _read_python(text: str, path: Path, mark: str, name: str | None) -> Any:
    """Evaluate the one dictionary with the key ``mark`` that a Python file assigns, or is."""
    tree = _parse_python(text, path)
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
    return _literal(wanted[0], text, path)


def _parse_python(text: str, path: Path) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in strings that are not ours
            return ast.parse(text)
    except SyntaxError as error:
        said = shorten(error.msg, 200)
        if "4300 digits" in said:
            raise ConfigError(f"{path}: {TOO_LONG} (line {error.lineno})") from None
        raise ConfigError(f"{path}: not Python: {said} (line {error.lineno})") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not Python: {error}") from None
    except (RecursionError, MemoryError):  # the latter is what the parser says of it
        raise ConfigError(f"{path}: {TOO_DEEP}") from None


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


def _literal(node: ast.expr, text: str, path: Path) -> Any:
    """Return the value of a literal, naming the line of what is none."""
    match node:
        case ast.Dict(keys=keys, values=values) if all(isinstance(key, ast.Constant) for key in keys):
            names = [key.value for key in keys if isinstance(key, ast.Constant)]
            pairs = [(name, _literal(value, text, path)) for name, value in zip(names, values, strict=True)]
            return make_distinct(pairs, str(path), ConfigError)
        case ast.Call(func=ast.Name(id=name), args=[], keywords=keywords) if name in DICTIONARIES:
            if all(keyword.arg is not None for keyword in keywords):
                pairs = [(str(word.arg), _literal(word.value, text, path)) for word in keywords]
                return make_distinct(pairs, str(path), ConfigError)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_literal(item, text, path) for item in items]
        case ast.Constant() | ast.UnaryOp():
            try:
                return ast.literal_eval(node)
            except ValueError:
                pass
        case _:
            pass
    said = shorten(" ".join((ast.get_source_segment(text, node) or "").split()), 40)
    raise ConfigError(f"{path}: line {node.lineno}: {said} is not a literal, and nothing is executed; write its value")
