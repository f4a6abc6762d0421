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
# Calls with keywords only that mean the dictionary of their keywords, and those that run one.
DICTIONARIES = ("dict", "TaskConfig")
RUNS = ("run_task", "submit_task")
# What else may be called with one, as it changes nothing in it.
READS = (*RUNS, "TaskConfig", "print", "pprint", "dump", "dumps", "safe_dump", "info", "debug")
# Names whose value is known without running anything.
CONSTANTS = {f"torch.{name}": f"torch.{name}" for name in ("float16", "bfloat16", "float32")} | {
    "EvalBackend.RAG_EVAL": "RAGEval"
}


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
    _fold_attributes(tree)
    found = [(target, node) for target, node in _assigned(tree) if mark in _keys(node)]
    names = [target or f"one on line {node.lineno}" for target, node in found]
    wanted = [(target, node) for target, node in found if name is None or target == name]
    if not found:
        raise ConfigError(f'{path}: holds no dictionary with "{mark}" in it, written out')
    if not wanted:
        raise ConfigError(f'{path}: no "{name}" in it has "{mark}"{suggest(str(name), names)}')
    if len(wanted) > 1:
        which = " and ".join(dict.fromkeys(names)) if name is None else f"{name} twice"
        example = "" if name is not None else f"; name one, as in {path.name}:{names[0]}"
        raise ConfigError(f"{path}: assigns {which}{example}")
    target, node = wanted[0]
    changed = _find_change(tree, target, node) if target else None
    if changed is not None:
        said = shorten(text.splitlines()[changed - 1].strip(), 60)
        raise ConfigError(
            f"{path}: line {changed}: {said} may change {target}, and nothing is executed; "
            f"write what is meant into the dictionary on line {node.lineno}"
        )
    return _literal(node, text, path)


def _find_change(tree: ast.Module, target: str, value: ast.expr) -> int | None:
    """Return the first line that may change what a name was assigned, under another name of it too."""
    names, harmless = {target}, {id(one) for one in ast.walk(value)}
    given: dict[str, list[ast.expr]] = {}  # what a part of each name is assigned to, and that part
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            to, root = node.targets if isinstance(node, ast.Assign) else [node.target], _root(node.value)
            if node.value is value:
                harmless |= set(map(id, to))
            elif root is not None and all(isinstance(one, ast.Name) for one in to):
                given.setdefault(root.id, []).extend((*to, root))
    found = [target]
    while found:
        parts = given.pop(found.pop(), [])
        harmless |= set(map(id, parts))
        new = {one.id for one in parts if isinstance(one, ast.Name)} - names
        names |= new
        found += new
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=func, args=args, keywords=words) if _last_name(func) in READS:
                if len(args) + len(words) == 1 or _last_name(func) != "TaskConfig":
                    harmless |= {id(_root(part)) for part in (*args, *(word.value for word in words))}
            case ast.FormattedValue(value=part):
                harmless.add(id(_root(part)))
            case _:
                pass
    uses = [one for one in ast.walk(tree) if isinstance(one, ast.Name) and one.id in names]
    return min((one.lineno for one in uses if id(one) not in harmless), default=None)


def _root(node: ast.expr) -> ast.Name | None:
    """Return the name that a part is of: ``cfg`` of ``cfg["eval"].limits`` and of ``TaskConfig(**cfg)``."""
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Starred | ast.Call):
        if isinstance(node, ast.Call):
            given = [*node.args, *(word.value for word in node.keywords)]
            if _last_name(node.func) != "TaskConfig" or len(given) != 1:
                return None
            node = given[0]
        else:
            node = node.value
    return node if isinstance(node, ast.Name) else None


def _fold_attributes(tree: ast.Module) -> None:
    """Make keywords of a TaskConfig of what the statements right behind it assign to its attributes."""
    bodies = [body for node in ast.walk(tree) if isinstance(body := getattr(node, "body", None), list)]
    for body in bodies:
        of: str | None = None
        words: list[ast.keyword] = []
        for one in list(body):
            match one:
                case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=name), attr=key)], value=value) if name == of:
                    words.append(ast.keyword(arg=key, value=value))
                    body.remove(one)
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=func, args=[], keywords=words)):
                    of = name if _last_name(func) == "TaskConfig" else None
                case _:
                    of = None


def _last_name(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None


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
    """Yield every name and what is assigned to it, inside functions too; an expression or argument has no name."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value
            case ast.Expr(value=value):
                yield "", value
            case ast.Call(func=func, args=args, keywords=keywords) if _last_name(func) in RUNS:
                yield from (("", value) for value in [*args, *(word.value for word in keywords)])
            case _:
                pass


def _keys(node: ast.expr) -> list[Any]:
    match node:
        case ast.Dict(keys=keys):
            return [key.value for key in keys if isinstance(key, ast.Constant)]
        case ast.Call(func=func, keywords=keywords) if _last_name(func) in DICTIONARIES:
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
        case ast.Call(func=func, args=[], keywords=keywords) if _last_name(func) in DICTIONARIES:
            if all(keyword.arg is not None for keyword in keywords):
                pairs = [(str(word.arg), _literal(word.value, text, path)) for word in keywords]
                return make_distinct(pairs, str(path), ConfigError)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_literal(item, text, path) for item in items]
        case ast.Attribute(value=of) if (said := f"{_last_name(of)}.{node.attr}") in CONSTANTS:
            return CONSTANTS[said]
        case ast.Constant() | ast.UnaryOp():
            try:
                return ast.literal_eval(node)
            except ValueError:
                pass
        case _:
            pass
    said = shorten(" ".join((ast.get_source_segment(text, node) or "").split()), 40)
    raise ConfigError(f"{path}: line {node.lineno}: {said} is not a literal, and nothing is executed; write its value")
