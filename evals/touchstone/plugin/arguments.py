"""What was typed for pytest: whether our test will be collected, and the command that collects it again."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from touchstone.plugin.nodeids import TEST_MODULE

PACKAGE = "touchstone"
# Where a folder that was typed has our test file; `touchstone.test_tasks` imported into another file is found too, but
# only when that file is typed, or while tests are collected.
USUAL = ("test_tasks.py", "evals/test_tasks.py")
IMPORTS = re.compile(rf"^\s*from\s+{re.escape(TEST_MODULE)}\s+import\b", re.MULTILINE)
HOME = Path(__file__).parent.parent


def collects_us(config: pytest.Config) -> bool:
    """Return True if one of the arguments leads to our test."""
    return bool(_ours(config))


def command_of(config: pytest.Config) -> tuple[str, ...]:
    """Return how this run was started, without options: the start of the commands that we print."""
    started = _pytest_from_here(config.invocation_params.dir)
    ours = list(dict.fromkeys(_ours(config)))
    if not config.option.pyargs:
        return (*started, *([_from_here(one, config) for one in ours] or ["evals"]))
    loaded = ["-p", "touchstone.plugin"] if "touchstone.plugin" in config.invocation_params.args else []
    return (*started, *loaded, "--pyargs", *(ours or [PACKAGE]))


def _pytest_from_here(folder: Path) -> list[str]:
    """Return how pytest of this environment is started: by its name only where that finds this environment's."""
    scripts = Path(sys.executable).parent
    found = shutil.which("pytest")
    if found is not None and Path(found).parent == scripts:
        return ["pytest"]
    script = scripts / "pytest"
    if not script.is_file():
        return [sys.executable, "-m", "pytest"]
    return [str(script.relative_to(folder)) if script.is_relative_to(folder) else str(script)]


def _ours(config: pytest.Config) -> list[str]:
    """Return the arguments that lead to our test, without the tests that they may name in a file."""
    places = [argument.partition("::")[0] for argument in config.args]
    if config.option.pyargs:
        named = [place for place in places if place in (PACKAGE, TEST_MODULE)]
        if named:
            return named
    return [place for place in places if _leads_to_us(config.invocation_params.dir / place)]


def _leads_to_us(path: Path) -> bool:
    files = [path] if path.is_file() else [path / usual for usual in USUAL]
    return path in (HOME, HOME / "test_tasks.py") or any(_imports_us(file) for file in files)


def _imports_us(file: Path) -> bool:
    try:
        return bool(IMPORTS.search(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False


def _from_here(place: str, config: pytest.Config) -> str:
    """Return a path as it is typed in the folder where the run was started."""
    path = Path(place)
    return os.path.relpath(path, config.invocation_params.dir) if path.is_absolute() else place
