"""Stored run records: find them and read them."""

from pathlib import Path

from touchstone.errors import BaselineError, ConfigError, suggest
from touchstone.files.writing import find_files, read_bytes
from touchstone.records.flat import read_run as read_run_json
from touchstone.records.runs import Run


def read_run(path: Path) -> Run:
    """Read one run record, of a whole run.

    Raises:
        BaselineError: there is no such file, it is no run record, or that of a shard.
    """
    run = read_any_run(path)
    if run.shard is not None:
        raise BaselineError(f"{path}: is shard {run.shard} of a run and decides nothing; put all of them together with "
                            "touchstone merge")  # fmt: skip
    return run


def read_any_run(path: Path) -> Run:
    """Read one run record, of a whole run or of a shard.

    Raises:
        BaselineError: there is no such file, or it is no run record.
    """
    return read_run_json(read_bytes(path, BaselineError), str(path))


def load_runs(store: Path, newest: int | None = None) -> tuple[Run, ...]:
    """Read the run records of a store, those of shards too, oldest first; only so many of the newest, if that is said.

    Raises:
        BaselineError: one of them is damaged.
    """
    files = list_runs(store)
    try:
        return tuple(read_any_run(file) for file in (files if newest is None else files[-newest:]))
    except BaselineError as error:
        raise BaselineError(f"{error}; touchstone store verify --repair removes what is damaged") from None


def list_runs(store: Path) -> list[Path]:
    """Return the run records of a store, oldest first: they are named by when they started."""
    return find_files(store / "runs", "*.json")


def newest_run(store: Path) -> Path:
    """Return a store's newest run record.

    Raises:
        BaselineError: there is none.
    """
    runs = list_runs(store)
    if not runs:
        raise BaselineError(f"{store}: has no run records; a store has them in its folder runs")
    return runs[-1]


def split_alias(source: str) -> tuple[str, str | None]:
    """Split ``run.json:minilm`` into the file and the model."""
    file, colon, alias = source.partition(".json:")
    return (f"{file}.json", alias) if colon else (source, None)


def choose_models(run: Run, file: Path, alias: str | None) -> list[str]:
    """Return the aliases of a run that have a score: the one that is asked for, or all.

    Raises:
        TouchstoneError: there is none, or not this one.
    """
    aliases = list(dict.fromkeys(record.alias for record in run.records if record.score is not None))
    if not aliases:
        raise BaselineError(f"{file}: measured nothing")
    if alias is not None and alias not in aliases:
        raise ConfigError(f'{file}: has no model "{alias}"{suggest(alias, aliases)}')
    return aliases if alias is None else [alias]


def find_store(file: Path) -> Path | None:
    """Return the store that a run record lies in; None of one that was written elsewhere."""
    return file.parent.parent if file.parent.name == "runs" else None
