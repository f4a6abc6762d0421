"""Python code of the user, named as ``module:name``: import it, and identify it by a hash of its files.

Imports are followed to all files outside of installed packages, without running anything. Files that the code opens at
run time, such as an index or a table of settings, are not covered; for these the user sets a ``version``.
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
PACKAGE_FOLDERS = {"site-packages", "dist-packages"}  # of the user, or of the interpreter behind a virtual environment
# The folders in which the user's code is looked for, in this order.
_FOLDERS: dict[str, None] = {}


def check_reference(text: str, key: str) -> None:
    """Check that a text is a ``module:name``.

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
    """Return the folders passed to `look_in`, for another process."""
    return tuple(_FOLDERS)


def load_object(reference: str, refuse: type[TouchstoneError]) -> Any:
    """Import the object of a reference, from Python's path, the working directory and the folders of `look_in`.

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
        value: Any = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise refuse(f'"{reference}" cannot be imported: {_describe(error)}') from error
    for name in path.split("."):
        if not hasattr(value, name):
            raise refuse(f'"{reference}": {module} has no {path}{suggest(name, vars(value))}')
        value = getattr(value, name)
    return value


def identify_code(reference: str) -> dict[str, dict[str, str]] | None:
    """Return the identity of the code behind a reference; None where neither files nor a version can be found.

    Returns:
        ``files``: the first digits of the sha256 of each module outside of installed packages that may be imported;
        ``packages``: the versions of the installed packages that these import.
    """
    look_in(Path.cwd())
    files: dict[str, str] = {}
    packages: dict[str, str] = {}
    queue = [reference.partition(":")[0]]
    while queue:
        module = queue.pop()
        for name, spec in _chain(module):
            path = None if spec.origin is None else Path(spec.origin)
            if name in files or path is None or not path.is_file():
                continue
            if is_installed(path):
                packages |= _find_versions(name.partition(".")[0])
                break
            content = path.read_bytes()
            files[name] = hashlib.sha256(content).hexdigest()[:16]
            is_package = spec.submodule_search_locations is not None
            queue += _find_imports(content, name if is_package else name.rpartition(".")[0])
    return {"files": files, "packages": packages} if files or packages else None


def _describe(error: BaseException) -> str:
    """Return the error of an import in a line; for metadata that is not valid, the first wrong key."""
    if not isinstance(error, ValidationError):
        return first_line(error)
    first = error.errors(include_url=False)[0]
    return f"{error.title}: {'.'.join(map(str, first['loc']))}: {first['msg']}"


def _places(top: str) -> list[str]:
    """Return the files of a top-level module in our folders, of which Python would take the first."""
    specs = (PathFinder.find_spec(top, [folder]) for folder in _FOLDERS)
    files = {str(Path(spec.origin).resolve()): None for spec in specs if spec is not None and spec.origin is not None}
    return list(files)


def _chain(module: str) -> Iterator[tuple[str, ModuleSpec]]:
    """Yield the packages of a module, outermost first, and then the module, up to the first that is missing."""
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
    specs = dict(_chain(module))
    return specs.get(module)


def _find_in(name: str, path: list[str] | None) -> ModuleSpec | None:
    """Find a module as an import does, but import nothing, not even its packages."""
    return next((spec for finder in sys.meta_path if (spec := finder.find_spec(name, path)) is not None), None)


@cache
def is_installed(path: Path) -> bool:
    """Return True if a file belongs to Python's own library or to an installed package."""
    inside = path.resolve()
    return bool(PACKAGE_FOLDERS & set(inside.parts)) or any(map(inside.is_relative_to, INSTALL_PATHS))


def _find_versions(top: str) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _distributions().get(top, ())}


@cache
def _distributions() -> dict[str, list[str]]:
    return {top: sorted(set(names)) for top, names in importlib.metadata.packages_distributions().items()}


def _find_imports(content: bytes, package: str) -> Iterator[str]:
    """Yield the modules that Python code may import; for ``from a import b`` both ``a`` and ``a.b``."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # the import raises the error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join(filter(None, [*above, node.module]))
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)
