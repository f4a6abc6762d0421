"""Read literals from JSON, YAML and Python files as plain data; no code is executed."""

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from touchstone.errors import ConfigError, suggest
from touchstone.files.json import make_distinct, parse_json
from touchstone.files.plain import TOO_DEEP, TOO_LONG, check_plain
from touchstone.files.writing import MAX_SETTINGS_BYTES, read_text
from touchstone.files.yaml import parse_yaml
from touchstone.formatting import shorten

SUFFIXES = (".json", ".yaml", ".yml", ".py")
# The syntax tree of a Python file takes a thousand times its size.
MAX_PYTHON_BYTES = 1 << 18
# Calls that stand for the dictionary of their keywords, and calls that run one.
DICTIONARY_CALLS = ("dict", "TaskConfig")
RUN_CALLS = ("run_task", "submit_task")
# Functions that do not change a dictionary that they are called with.
HARMLESS_CALLS = (*RUN_CALLS, "TaskConfig", "print", "pprint", "dump", "dumps", "safe_dump", "info", "debug")
# Names whose value is known without running anything.
CONSTANTS = {f"torch.{name}": f"torch.{name}" for name in ("float16", "bfloat16", "float32")} | {
    "EvalBackend.RAG_EVAL": "RAGEval"
}


def read_plain(path: Path, mark: str, name: str | None = None) -> dict[str, Any]:
    """Read the dictionary that a file holds: text, numbers, true, false, null, lists and dictionaries.

    Args:
        path: a file whose name ends in one of `SUFFIXES`.
        mark: the key that distinguishes the dictionary from the others of a Python file.
        name: the dictionary's name in a Python file; None where the file has only one with this key.

    Raises:
        ConfigError: there is no such file or dictionary, or it has a value that is not plain data.
    """
    text = read_text(path, ConfigError, max_bytes=MAX_PYTHON_BYTES if path.suffix == ".py" else MAX_SETTINGS_BYTES)
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
    """Return the only dictionary with the key ``mark`` that a Python file assigns, or is."""
    tree = _parse_python(text, path)
    _fold_attributes(tree)
    candidates = [(target, node) for target, node in _assignments(tree) if mark in _keys(node)]
    names = [target or f"one on line {node.lineno}" for target, node in candidates]
    matches = [(target, node) for target, node in candidates if name is None or target == name]
    if not candidates:
        raise ConfigError(f'{path}: holds no dictionary with "{mark}" in it, written out')
    if not matches:
        raise ConfigError(f'{path}: no "{name}" in it has "{mark}"{suggest(str(name), names)}')
    if len(matches) > 1:
        assigned_names = " and ".join(dict.fromkeys(names)) if name is None else f"{name} twice"
        example = "" if name is not None else f"; name one, as in {path.name}:{names[0]}"
        raise ConfigError(f"{path}: assigns {assigned_names}{example}")
    target, node = matches[0]
    line = _find_change(tree, target, node) if target else None
    if line is not None:
        statement = shorten(text.splitlines()[line - 1].strip(), 60)
        raise ConfigError(
            f"{path}: line {line}: {statement} may change {target}, and nothing is executed; "
            f"write the final value into the dictionary on line {node.lineno}"
        )
    return _literal(node, text, path)


def _find_change(tree: ast.Module, target: str, value: ast.expr) -> int | None:
    """Return the first line that may change the value of a name, also under another name of the value."""
    names, harmless = {target}, {id(node) for node in ast.walk(value)}
    assignments: dict[str, list[ast.expr]] = {}  # by name: the targets that a part of it is assigned to, and the part
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            to, root = node.targets if isinstance(node, ast.Assign) else [node.target], _root(node.value)
            if node.value is value:
                harmless |= set(map(id, to))
            elif root is not None and all(isinstance(item, ast.Name) for item in to):
                assignments.setdefault(root.id, []).extend((*to, root))
    pending = [target]
    while pending:
        parts = assignments.pop(pending.pop(), [])
        harmless |= set(map(id, parts))
        aliases = {part.id for part in parts if isinstance(part, ast.Name)} - names
        names |= aliases
        pending += aliases
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=func, args=args, keywords=words) if _last_name(func) in HARMLESS_CALLS:
                if len(args) + len(words) == 1 or _last_name(func) != "TaskConfig":
                    harmless |= {id(_root(part)) for part in (*args, *(word.value for word in words))}
            case ast.FormattedValue(value=part):
                harmless.add(id(_root(part)))
            case _:
                pass
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in names]
    return min((use.lineno for use in uses if id(use) not in harmless), default=None)


def _root(node: ast.expr) -> ast.Name | None:
    """Return the name at the root of an expression: ``cfg`` of ``cfg["eval"].limits`` and of ``TaskConfig(**cfg)``."""
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Starred | ast.Call):
        if isinstance(node, ast.Call):
            arguments = [*node.args, *(word.value for word in node.keywords)]
            if _last_name(node.func) != "TaskConfig" or len(arguments) != 1:
                return None
            node = arguments[0]
        else:
            node = node.value
    return node if isinstance(node, ast.Name) else None


def _fold_attributes(tree: ast.Module) -> None:
    """Turn assignments to attributes of a TaskConfig, right after the call, into keywords of the call."""
    bodies = [body for node in ast.walk(tree) if isinstance(body := getattr(node, "body", None), list)]
    for body in bodies:
        cfg: str | None = None
        words: list[ast.keyword] = []
        for statement in list(body):
            match statement:
                case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=name), attr=key)], value=value) if name == cfg:
                    words.append(ast.keyword(arg=key, value=value))
                    body.remove(statement)
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=func, args=[], keywords=words)):
                    cfg = name if _last_name(func) == "TaskConfig" else None
                case _:
                    cfg = None


def _last_name(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None


def _parse_python(text: str, path: Path) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in strings of the user's
            return ast.parse(text)
    except SyntaxError as error:
        message, where = shorten(error.msg, 200), "" if error.lineno is None else f" (line {error.lineno})"
        if "4300 digits" in message:
            raise ConfigError(f"{path}: {TOO_LONG}{where}") from None
        raise ConfigError(f"{path}: not Python: {message}{where}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not Python: {error}") from None
    except (RecursionError, MemoryError):  # the parser raises the latter for deep nesting
        raise ConfigError(f"{path}: {TOO_DEEP}") from None


def _assignments(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield every name with its assigned value, inside functions too; an expression or argument has an empty name."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value
            case ast.Expr(value=value):
                yield "", value
            case ast.Call(func=func, args=args, keywords=keywords) if _last_name(func) in RUN_CALLS:
                yield from (("", value) for value in [*args, *(word.value for word in keywords)])
            case _:
                pass


def _keys(node: ast.expr) -> list[Any]:
    match node:
        case ast.Dict(keys=keys):
            return [key.value for key in keys if isinstance(key, ast.Constant)]
        case ast.Call(func=func, keywords=keywords) if _last_name(func) in DICTIONARY_CALLS:
            return [keyword.arg for keyword in keywords]
        case _:
            return []


def _literal(node: ast.expr, text: str, path: Path) -> Any:
    """Return the value of a literal; the error for anything else names the line."""
    match node:
        case ast.Dict(keys=keys, values=values) if all(isinstance(key, ast.Constant) for key in keys):
            names = [key.value for key in keys if isinstance(key, ast.Constant)]
            pairs = [(name, _literal(value, text, path)) for name, value in zip(names, values, strict=True)]
            return make_distinct(pairs, str(path), ConfigError)
        case ast.Call(func=func, args=[], keywords=keywords) if _last_name(func) in DICTIONARY_CALLS:
            if all(keyword.arg is not None for keyword in keywords):
                pairs = [(str(word.arg), _literal(word.value, text, path)) for word in keywords]
                return make_distinct(pairs, str(path), ConfigError)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_literal(item, text, path) for item in items]
        case ast.Attribute(value=of) if (constant := f"{_last_name(of)}.{node.attr}") in CONSTANTS:
            return CONSTANTS[constant]
        case ast.Constant() | ast.UnaryOp():
            try:
                return ast.literal_eval(node)
            except ValueError:
                pass
        case _:
            pass
    code = shorten(" ".join((ast.get_source_segment(text, node) or "").split()), 40)
    raise ConfigError(f"{path}: line {node.lineno}: {code} is not a literal, and nothing is executed; write its value")
