"""Copies of a suite file with a limit for each task."""

import os.path
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from touchstone.config.models import load_models
from touchstone.config.options import Options
from touchstone.config.suites import load_suite
from touchstone.errors import ConfigError
from touchstone.files.writing import place, read_toml, write_first


def check_target(options: Options, target: str) -> tuple[Path, Path]:
    """Return the file of the planned suite, and the path that its copy can be written to.

    Raises:
        ConfigError: there are several suites or only a part of one, a file is not TOML, or the target exists.
    """
    if len(options.suites) != 1 or options.tasks:
        raise ConfigError(f"--write-suite {target}: writes one whole suite; name one --suite, and no --task")
    file = load_suite(options.suites[0], options.cwd, load_models(*options.models_files)).file
    if file.suffix != ".toml":
        raise ConfigError(f"--write-suite {target}: {file.name} is an EvalScope configuration; name a suite in TOML")
    path = place(options.cwd, target)
    if path.suffix != ".toml":
        raise ConfigError(f'--write-suite = "{target}"; expected a file that ends in .toml')
    if os.path.lexists(path):
        raise ConfigError(f"--write-suite {target}: there is such a file, which is not overwritten; name another")
    return file, path


def write_limited(options: Options, target: str, limits: Mapping[str, int], margin: float | None = None) -> None:
    """Write a copy of the planned suite with these limits by task only; its paths still lead to the same files.

    ``margin`` is the suite margin to write, None to keep that of the file.

    Raises:
        ConfigError: as of `check_target`.
    """
    file, path = check_target(options, target)
    suite = read_toml(file)
    suite.pop("limit", None)
    models = load_models(*options.models_files)
    suite["models"] = [_move_model(text, models, file.parent, path.parent) for text in suite["models"]]
    tables = [*suite.get("tasks", {}).get("custom", ()), suite.get("source", {})]
    for table, key in (*((table, "path") for table in tables), (suite, "store")):
        if key in table:
            table[key] = _move(table[key], file.parent, path.parent)
    if margin is not None:
        suite["gate"] = {**suite.get("gate", {}), "suite_margin": margin}
    write_first(path, tomli_w.dumps({**suite, "limits": dict(limits)}))


def _move(text: str, folder: Path, into: Path) -> str:
    """Return a path rewritten so that it leads from ``into`` where it led from ``folder``."""
    path = place(folder, text)
    return text if path == place(into, text) else os.path.relpath(path.resolve(), into.resolve())


def _move_model(text: str, models: Mapping[str, Any], folder: Path, into: Path) -> str:
    """Return the text of a model with its path rewritten, if the model is a folder."""
    path = text.partition("@")[0].partition("=")[0]
    if path in models or not place(folder, path).is_dir():
        return text
    new_path = _move(path, folder, into)
    return (new_path if new_path.startswith((".", "/", "~")) else f"./{new_path}") + text.removeprefix(path)
