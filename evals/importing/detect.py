"""What a source is: a card, a tree of result files, a run of ours, or an EvalScope configuration."""

import json
import re
from pathlib import Path

from evals.errors import BaselineError, ConfigError, suggest
from evals.files import place, read_text
from evals.importing.request import Kind, Request
from evals.importing.runs import split_alias

# As find_model takes it: who, and what.
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
# What only a configuration of EvalScope's MTEB back end has.
EVALSCOPE = {"eval_backend", "eval_config"}


def find_kind(request: Request) -> Kind:
    """Say what kind of source it is, from what is there; the name of a file decides only where nothing else does.

    Raises:
        EvalsError: there is nothing, or nothing that can be imported.
    """
    if request.kind is not None:
        return request.kind
    text, alias = split_alias(request.source)
    if alias is not None:
        return "run"
    if text.endswith((".yaml", ".yml", ".py")) or ".py:" in text:
        return "evalscope"
    path = place(request.folder, text)
    if path.is_dir():
        return _kind_of_folder(path)
    if path.is_file():
        return _kind_of_file(path)
    if HUB_ID.fullmatch(request.source) and not request.source.startswith((".", "~")) and path.suffix not in KINDS:
        return "card"
    here = [str(Path(request.source).parent / name) for name in _beside(path)]
    raise ConfigError(f"{request.source}: no such file or folder{suggest(request.source, here)}")


KINDS = {".md": "card", ".json": "run"}


def _beside(path: Path) -> list[str]:
    return [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []


def _kind_of_folder(path: Path) -> Kind:
    if (path / "runs").is_dir() and any((path / "runs").glob("*.json")):
        return "run"
    if (path / "README.md").is_file() and not (path / "results").is_dir():
        return "card"  # the folder of a model's repository
    return "results"


def _kind_of_file(path: Path) -> Kind:
    text = read_text(path, BaselineError)
    if path.suffix == ".md" or text.startswith("---"):
        return "card"
    keys = _top_keys(text)
    if keys & EVALSCOPE or {"models", "task_names"} <= keys or {"model", "tasks"} <= keys:
        return "evalscope"
    if {"scores", "mteb_dataset_name"} & keys:
        return "results"
    if "records" in keys or path.suffix == ".json":
        return "run"
    raise ConfigError(f"{path}: neither a card, a tree of results nor a run record; force one with --kind")


def _top_keys(text: str) -> set[str]:
    try:
        content = json.loads(text)
    except ValueError:
        return set()
    return set(content) if isinstance(content, dict) else set()
