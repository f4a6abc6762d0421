"""Write the reference pages that are made from the code: ``python docs/generate.py``. A test holds them to it.

Options come from the option table, keys of ``models.toml`` and of suite files from the dataclasses that check them
(the string below a field is its description), commands from argparse.
"""

import argparse
import ast
import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

REFERENCE = Path(__file__).parent / "reference"
sys.path.insert(0, str(REFERENCE.parents[1] / "evals"))

from touchstone.__main__ import _parser  # noqa: E402
from touchstone.config.options import OPTIONS, Project  # noqa: E402
from touchstone.config.specs import KINDS, EncoderSpec, ExportSpec, WeightsSpec  # noqa: E402
from touchstone.config.suites import CustomTask, Gate, Selection, Suite  # noqa: E402

NOTE = "<!-- Made by docs/generate.py; change the code that it reads. -->\n"
# Sections that several kinds share, each under the title that they link to.
SHARED: Mapping[type, str] = {
    WeightsSpec: "Weights",
    EncoderSpec: "sentence-transformers",
    ExportSpec: "Exports",
}


def options() -> str:
    """Return the page of the options of a run."""
    rows = [(f"`{row.name}{f' {row.metavar}' if row.metavar else ''}`", row.settings()["help"]) for row in OPTIONS]
    return f"""# Options of a run

{NOTE}
`pytest evals`, `touchstone run` and `pytest -p touchstone.plugin --pyargs touchstone` take these beside pytest's own,
such as `-m`, `-k` and `-x`, and pytest-xdist's `-n`.

{_table(("option", "meaning"), rows)}
## Defaults of a project

`[tool.touchstone]` in `pyproject.toml`, found from every folder below it, and so is the store there. Paths are
relative to its folder, and what is typed wins.

{_keys(Project)}"""


def models_toml() -> str:
    """Return the page of the keys of models.toml."""
    parts = [
        f"""# models.toml

{NOTE}
Each table is a model, by its alias; its `kind` says which keys it has, and is `sentence-transformers` without one.
Relative paths start at the file's folder. [Kinds of models](../models.md) says when to use which.
"""
    ]
    parts += [_section("Weights", WeightsSpec), _section("Exports", ExportSpec)]
    parts += [_section(name, kind) for name, kind in KINDS.items()]
    return "\n".join(parts)


def suite_toml() -> str:
    """Return the page of the keys of suite files."""
    tables = (("The file", Suite), ("[tasks]", Selection), ("[[tasks.custom]]", CustomTask), ("[gate]", Gate))
    parts = [
        f"""# Suite files

{NOTE}
[Suites](../how-to/suites.md) has an example. `[source]` has `kind`, one of `hub`, `mirror` and `modelscope`, and for
the last two `path`, a folder.
"""
    ]
    return "\n".join([*parts, *(_section(title, table) for title, table in tables)])


def commands() -> str:
    """Return the page of the commands of ``touchstone``."""
    parts = [
        f"""# Commands

{NOTE}
`touchstone COMMAND --help` shows the same. Options that a run has too are those of [a run](options.md).
"""
    ]
    return "\n".join([*parts, *_commands(_parser(), "touchstone")])


PAGES = {"options": options, "models-toml": models_toml, "suite-toml": suite_toml, "commands": commands}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _section(title: str, kind: type) -> str:
    text = inspect.cleandoc(kind.__doc__ or "").replace("``", "`")
    also = next((name for base, name in SHARED.items() if base in kind.__mro__[1:] and base is _nearest(kind)), None)
    more = "" if also is None else f"\nIt has the keys of [{also}](#{_anchor(also)}), too.\n"
    table = _keys(kind)
    return f"## {title}\n\n{text}\n{more}\n{table}" if table else f"## {title}\n\n{text}\n{more}"


def _nearest(kind: type) -> type | None:
    return next((base for base in kind.__mro__[1:] if base in SHARED), None)


def _anchor(title: str) -> str:
    return title.lower()


def _keys(kind: Any) -> str:
    """Return the table of the keys that a dataclass itself adds."""
    types, texts = get_type_hints(kind), descriptions(kind)
    rows = [
        (f"`{field.name.rstrip('_')}`", _type(types[field.name]), _default(field), texts[field.name].replace("``", "`"))
        for field in dataclasses.fields(kind)
        if field.name in inspect.get_annotations(kind) and field.name != "kind"
    ]
    return _table(("key", "value", "default", "meaning"), rows) if rows else ""


def descriptions(kind: type) -> dict[str, str]:
    """Return the strings below the fields of a dataclass, by the field's name."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    for line, below in zip(tree.body, tree.body[1:], strict=False):
        match line, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found


def _type(kind: Any) -> str:
    origin, inner = get_origin(kind), [part for part in get_args(kind) if part is not type(None)]
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in inner)
    if origin in (Union, UnionType):
        return " or ".join(_type(part) for part in inner)
    if origin is tuple:
        return "list of tables" if dataclasses.is_dataclass(inner[0]) else f"list of {_type(inner[0])}s"
    if dataclasses.is_dataclass(kind) or (origin is not None and issubclass(origin, Mapping)):
        return "table"
    return {bool: "true or false", int: "whole number", float: "number", str: "string", Path: "path"}[kind]


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
        return "required"
    value = field.default
    if value is None or value is dataclasses.MISSING or value in ((), "") or dataclasses.is_dataclass(value):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _commands(parser: argparse.ArgumentParser, name: str) -> Iterator[str]:
    """Yield a section for each command below a parser, with those below it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for word, below in action.choices.items():
                yield from _command(below, f"{name} {word}", helps.get(word, ""))


def _command(parser: argparse.ArgumentParser, name: str, short: str) -> Iterator[str]:
    sentences = dict.fromkeys(" ".join((text or "").split()) for text in (short, parser.description))
    text = " ".join(f"{part[:1].upper()}{part[1:].rstrip('.')}." for part in sentences if part)
    rows = [row for action in parser._actions for row in _arguments(action)]
    table = f"\n{_table(('argument', 'meaning'), rows)}" if rows else ""
    yield f"## {name}\n\n{text}\n{table}"
    yield from _commands(parser, name)


def _arguments(action: argparse.Action) -> list[tuple[str, str]]:
    if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
        return []
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest)
    shown = value if isinstance(value, str) else " ".join(value)
    if not action.option_strings:
        many = {"+": f"{shown} …", "*": f"[{shown} …]", "?": f"[{shown}]"}
        return [(f"`{many.get(str(action.nargs), shown)}`", action.help or "")]
    takes = "" if action.nargs == 0 else f" {shown}"
    return [(f"`{', '.join(action.option_strings)}{takes}`", (action.help or "").replace("%%", "%"))]


def render(name: str) -> str:
    """Return a page by its name."""
    return re.sub("\n{3,}", "\n\n", PAGES[name]())


def main() -> None:
    """Write the pages."""
    for name in PAGES:
        (REFERENCE / f"{name}.md").write_text(render(name), encoding="utf-8")


if __name__ == "__main__":
    main()
