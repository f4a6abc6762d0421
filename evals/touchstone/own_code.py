"""Python of the user's own, named as ``module:name``: imported, and known by a hash of its files.

A file imports others: all that lie outside of installed packages are followed, without running anything. What is read
at run time, such as an index or a table of settings, is not seen; whoever has such a thing says a ``version`` of it.
"""

import ast
import hashlib
import importlib
import importlib.metadata
import re
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from touchstone.errors import TouchstoneError, first_line, suggest

REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
INSTALL_PATHS = {
    Path(path).resolve() for name, path in sysconfig.get_paths().items() if name.endswith(("lib", "stdlib"))
}
MORE_INSTALLED = {"site-packages", "dist-packages"}  # of the user, or of the interpreter behind a virtual environment
# The folders in which code of the user's own is looked for, in this order.
_FOLDERS: dict[str, None] = {}


def check_reference(text: str, key: str) -> None:
    """Refuse what is no ``module:name``.

    Raises:
        ValueError: naming the key.
    """
    if not REFERENCE.fullmatch(text):
        raise ValueError(f'{key} = "{text}"; expected module:name, as in "my_package.search:make_retriever"')


def look_in(folder: Path) -> None:
    """Look for modules in a folder too, as ``python -m`` does in the working directory, but after all other places."""
    _FOLDERS[str(folder)] = None
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        importlib.invalidate_caches()


def folders_looked_in() -> tuple[str, ...]:
    """Return the folders that `look_in` was told of, for another process."""
    return tuple(_FOLDERS)


def load_object(reference: str, refuse: type[TouchstoneError]) -> Any:
    """Import what a reference names; modules are looked for where Python looks, and in the working directory.

    `look_in` adds other folders.

    Raises:
        TouchstoneError: of the class given: it is not there, or its code fails while it is imported.
    """
    module, _, path = reference.partition(":")
    look_in(Path.cwd())
    if _find(module) is None:
        folders = " or ".join(_FOLDERS)
        raise refuse(f'"{reference}": there is no module {module}, neither installed nor in {folders}')
    if len(places := _places(module.partition(".")[0])) > 1:
        raise refuse(f'"{reference}": which of {" and ".join(places)} is meant cannot be told; rename one')
    try:
        found: Any = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # code of the user's own may raise anything
        raise refuse(f'"{reference}" cannot be imported: {_say(error)}') from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise refuse(f'"{reference}": {module} has no {path}{suggest(name, vars(found))}')
        found = getattr(found, name)
    return found


def identify_code(reference: str) -> dict[str, dict[str, str]] | None:
    """Return what the code behind a reference is known by; None where neither files nor a version can be found.

    Returns:
        ``files``: the first digits of the sha256 of each module outside of installed packages that may be imported;
        ``packages``: the versions of the installed packages that these import.
    """
    look_in(Path.cwd())
    files: dict[str, str] = {}
    packages: dict[str, str] = {}
    waiting = [reference.partition(":")[0]]
    while waiting:
        module = waiting.pop()
        for name, spec in _chain(module):
            path = None if spec.origin is None else Path(spec.origin)
            if name in files or path is None or not path.is_file():
                continue
            if is_installed(path):
                packages |= _version_of(name.partition(".")[0])
                break
            content = path.read_bytes()
            files[name] = hashlib.sha256(content).hexdigest()[:16]
            is_package = spec.submodule_search_locations is not None
            waiting += _imported(content, name if is_package else name.rpartition(".")[0])
    return {"files": files, "packages": packages} if files or packages else None


def _say(error: BaseException) -> str:
    """Return what an import raised, in a line; of wrong metadata and the like the first key that is wrong."""
    if not isinstance(error, ValidationError):
        return first_line(error)
    first = error.errors(include_url=False)[0]
    return f"{error.title}: {'.'.join(map(str, first['loc']))}: {first['msg']}"


def _places(top: str) -> list[str]:
    """Return the files of a module of one name in our folders: Python would take the first, whoever names it."""
    specs = (PathFinder.find_spec(top, [folder]) for folder in _FOLDERS)
    files = {str(Path(spec.origin).resolve()): None for spec in specs if spec is not None and spec.origin is not None}
    return list(files)


def _chain(module: str) -> Iterator[tuple[str, ModuleSpec]]:
    """Find the packages that a module lies in, outermost first, and then itself; what is not there ends it."""
    path, parts = None, module.split(".")
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        spec = _find_in(name, path)
        if spec is None:
            return
        yield name, spec
        if spec.submodule_search_locations is None:
            return
        path = list(spec.submodule_search_locations)


def _find(module: str) -> ModuleSpec | None:
    found = dict(_chain(module))
    return found.get(module)


def _find_in(name: str, path: list[str] | None) -> ModuleSpec | None:
    """Find a module as an import does, but import nothing, not even the packages that it lies in."""
    return next((spec for finder in sys.meta_path if (spec := finder.find_spec(name, path)) is not None), None)


@cache
def is_installed(path: Path) -> bool:
    """Return whether a file is of Python's own library or of an installed package."""
    inside = path.resolve()
    return bool(MORE_INSTALLED & set(inside.parts)) or any(map(inside.is_relative_to, INSTALL_PATHS))


def _version_of(top: str) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _distributions().get(top, ())}


@cache
def _distributions() -> dict[str, list[str]]:
    return {top: sorted(set(names)) for top, names in importlib.metadata.packages_distributions().items()}


def _imported(content: bytes, package: str) -> Iterator[str]:
    """Name the modules that Python code may import; of ``from a import b`` both ``a`` and ``a.b``."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # importing it says so
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join(filter(None, [*above, node.module]))
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)
