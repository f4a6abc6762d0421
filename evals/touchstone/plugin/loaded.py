"""The code beside ours in a run: conftest files and plug-ins, which can change how a model computes."""

import hashlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

PACKAGE = Path(__file__).parent.parent
# The files that our test is collected from.
TEST_FILES = pytest.StashKey[set[Path]]()


def hash_plugins(config: pytest.Config) -> str:
    """Return the hash of all conftest files, plug-ins and test files of ours that are loaded; ``""`` for none.

    Of an installed plug-in its name and version count, of any other its file; pytest's own and ours do not.
    """
    manager = config.pluginmanager
    installed = {id(plugin): f"{dist.project_name} {dist.version}" for plugin, dist in manager.list_plugin_distinfo()}
    descriptions = {_describe(file) for file in config.stash.get(TEST_FILES, set())}
    for plugin in manager.get_plugins():
        if id(plugin) in installed:
            descriptions.add(installed[id(plugin)])
        elif (file := _file_of(plugin)) is not None:
            descriptions.add(_describe(file))
    return hashlib.sha256("\n".join(sorted(descriptions)).encode()).hexdigest()[:16] if descriptions else ""


def _describe(file: Path) -> str:
    return f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}"


def _file_of(plugin: object) -> Path | None:
    """Return the file that a plug-in is written in; None for pytest's own, xdist's inner ones and ours."""
    module = plugin if isinstance(plugin, ModuleType) else sys.modules.get(type(plugin).__module__)
    name, file = getattr(module, "__name__", ""), getattr(module, "__file__", None)
    if file is None or name.partition(".")[0] in ("_pytest", "pytest", "xdist", "_hypothesis_pytestplugin"):
        return None
    path = Path(file)
    return None if path.is_relative_to(PACKAGE) or not path.is_file() else path
