"""Modules with tasks of one's own, written for a test: each has a name of its own, for Python imports a name once."""

import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from touchstone import own_code
from touchstone.extensions import find_references

# What a module begins with: ``meta`` makes the metadata of a task of BIOSSES' kind, and ``rows`` its data.
HEAD = """
from datasets import Dataset, DatasetDict, load_dataset
from mteb import AbsTask, TaskMetadata
from mteb.abstasks import AbsTaskRetrieval, AbsTaskSTS


def meta(name="Mine", type="STS", main_score="cosine_spearman", path="none", **more):
    return TaskMetadata(**{"name": name, "description": "Made for a test.", "type": type, "main_score": main_score,
                           "eval_langs": ["eng-Latn"], "dataset": {"path": path, "revision": "1"}} | more)


def rows(count=20):
    return Dataset.from_list([
        {"sentence1": f"the river {n}", "sentence2": f"rises {n * n % 7}", "score": float(n % 5)} for n in range(count)
    ])
"""
NUMBERS = count()


class Modules:
    """Writes modules to the working directory, where the code of a user's own is looked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, text: str, name: str | None = None) -> str:
        """Write a module, and return its name."""
        name = name or f"own_module_{next(NUMBERS)}"
        (self.folder / f"{name}.py").write_text(f"{HEAD}{text}")
        return name


def make_modules(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modules]:
    """Go to a folder, and look for modules there and nowhere that an earlier test has looked."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(own_code, "_FOLDERS", {})
    find_references.cache_clear()
    yield Modules(folder)
    find_references.cache_clear()


def install(folder: Path, **points: str) -> None:
    """Lay a distribution with tasks into a folder of the import path, as an installer would."""
    info = folder / "own_tasks-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-tasks\nVersion: 1.0\n")
    lines = [f"{name} = {reference}\n" for name, reference in points.items()]
    (info / "entry_points.txt").write_text("[touchstone.tasks]\n" + "".join(lines))
    find_references.cache_clear()
