"""Stored run records: read them, and make one of several."""

from pathlib import Path

from touchstone.errors import BaselineError
from touchstone.files.writing import find_files, read_bytes
from touchstone.records.flat import read_run as read_run_json
from touchstone.records.runs import Run


def read_run(path: Path) -> Run:
    """Read one run record.

    Raises:
        BaselineError: there is no such file, or it is no run record.
    """
    return read_run_json(read_bytes(path, BaselineError), str(path))


def load_runs(store: Path, newest: int | None = None) -> tuple[Run, ...]:
    """Read the run records of a store, oldest first; only so many of the newest where that is said.

    Raises:
        BaselineError: one of them is damaged.
    """
    files = find_files(store / "runs", "*.json")  # they are named by when they started
    try:
        return tuple(read_run(file) for file in (files if newest is None else files[-newest:]))
    except BaselineError as error:
        raise BaselineError(f"{error}; touchstone store verify --repair removes what is damaged") from None


def newest_run(store: Path) -> Path:
    """Return a store's newest run record: they are named by when they started.

    Raises:
        BaselineError: there is none.
    """
    runs = find_files(store / "runs", "*.json")
    if not runs:
        raise BaselineError(f"{store}: has no run records; a store has them in its folder runs")
    return runs[-1]
