"""What was typed for pytest: whether our test will be collected, and the command that collects it again."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from touchstone.config.options import OPTIONS
from touchstone.plugin.nodeids import TEST_MODULE

PACKAGE = "touchstone"
IMPORT_LINE = re.compile(rf"^\s*from\s+{re.escape(TEST_MODULE)}\s+import\b", re.MULTILINE)
PACKAGE_FOLDER = Path(__file__).parent.parent
OUR_ARGUMENTS = pytest.StashKey[list[str]]()


class NearOptions:
    """What pytest shows below an option that it does not know: the option of ours that is spelt almost so."""

    def __init__(self, manager: pytest.PytestPluginManager) -> None:
        self._manager = manager

    def __str__(self) -> str:
        config, names = self._manager.get_plugin("pytestconfig"), [row.name for row in OPTIONS]
        words = [] if config is None else [word.partition("=")[0] for word in config.invocation_params.args]
        near = {word: get_close_matches(word, names, n=1, cutoff=0.75) for word in words if word not in names}
        hints = [f'"{word}": did you mean "{matches[0]}"?' for word, matches in near.items() if matches]
        return " ".join(hints) or "pytest --help lists the options of evals, too"


def collects_us(config: pytest.Config) -> bool:
    """Return True if one of the arguments leads to our test."""
    return bool(_ours(config))


def command_of(config: pytest.Config) -> tuple[str, ...]:
    """Return how this run was started, without options: the start of the commands that we print."""
    folder, ours = config.invocation_params.dir, list(dict.fromkeys(_ours(config)))
    packaged = all(path in (PACKAGE, TEST_MODULE) or PACKAGE_FOLDER in (folder / path).parents for path in ours)
    if "touchstone.plugin" in config.invocation_params.args and packaged:
        return (*_script_from_here("touchstone", folder), "run")
    started = _script_from_here("pytest", folder)
    if not config.option.pyargs:
        return (*started, *([_from_here(path, config) for path in ours] or ["evals"]))
    return (*started, "--pyargs", *(ours or [PACKAGE]))


def root_of(config: pytest.Config) -> Path:
    """Return the project's root: pytest's root directory, where a file or an option says it.

    Else pytest guesses before it knows our options, and takes what is behind one, a stranger's suite too, for tests.
    """
    folder, root = config.invocation_params.dir, config.rootpath
    typed = [path for argument in config.args if (path := _normal(folder / argument.partition("::")[0])).exists()]
    is_set = config.option.rootdir or config.inipath or (root / "setup.py").is_file()
    if is_set and any(path.is_relative_to(root) for path in (folder, *typed)):
        return root
    folders = [path if path.is_dir() else path.parent for path in typed]
    common = Path(os.path.commonpath([folder, *folders]))
    return Path(os.path.commonpath(folders)) if folders and common == Path(folder.anchor) else common


def _normal(path: Path) -> Path:
    return Path(os.path.normpath(path))


def _script_from_here(name: str, folder: Path) -> list[str]:
    """Return how a script of this environment is started: by its name only where that finds this environment's."""
    scripts = Path(sys.executable).parent
    path = shutil.which(name)
    if path is not None and Path(path).parent == scripts:
        return [name]
    script = scripts / name
    if not script.is_file():
        return [sys.executable, "-m", name]
    return [str(script.relative_to(folder)) if script.is_relative_to(folder) else str(script)]


def _ours(config: pytest.Config) -> list[str]:
    """Return the arguments that lead to our test, without the tests that they may name in a file."""
    if OUR_ARGUMENTS not in config.stash:  # folders are walked for it
        config.stash[OUR_ARGUMENTS] = _find_ours(config)
    return config.stash[OUR_ARGUMENTS]


def _find_ours(config: pytest.Config) -> list[str]:
    places = [argument.partition("::")[0] for argument in config.args]
    if config.option.pyargs:
        packages = [place for place in places if place in (PACKAGE, TEST_MODULE)]
        if packages:
            return packages
    return [place for place in places if _leads_to_us(config.invocation_params.dir / place, config)]


def _leads_to_us(path: Path, config: pytest.Config) -> bool:
    if path in (PACKAGE_FOLDER, PACKAGE_FOLDER / "test_tasks.py"):
        return True
    return any(map(_imports_us, [path] if path.is_file() else _test_files(path, config)))


def _test_files(folder: Path, config: pytest.Config) -> Iterator[Path]:
    """Yield the files that pytest would collect in a folder: it is asked before it does."""
    names, skipped = config.getini("python_files"), (*config.getini("norecursedirs"), "__pycache__")
    for place, folders, files in os.walk(folder):
        directory = Path(place)
        folders[:] = sorted(name for name in folders if not any(map((directory / name).match, skipped)))
        yield from (directory / name for name in sorted(files) if any(fnmatchcase(name, pattern) for pattern in names))


def _imports_us(file: Path) -> bool:
    try:
        return bool(IMPORT_LINE.search(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False


def _from_here(place: str, config: pytest.Config) -> str:
    """Return a path as it is typed in the folder where the run was started."""
    path = Path(place)
    return os.path.relpath(path, config.invocation_params.dir) if path.is_absolute() else place
