"""Small model cards and result files, whole and right; a test changes what it is about."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from touchstone.importing.entries import Published
from touchstone.importing.results import load_result

NDCG = {"map_at_10": 50.0, "ndcg_at_10": 60.5, "recall_at_10": 80.25}
STS = {"cos_sim_pearson": 81.0, "cos_sim_spearman": 82.5, "euclidean_spearman": 82.1}
PAIRS = {"cos_sim_ap": 85.75, "dot_ap": 84.0, "euclidean_ap": 86.0, "manhattan_ap": 85.0, "max_ap": 86.0}
ACCURACY = {"accuracy": 70.25, "f1": 65.5}
TYPES = {"STS": STS, "Retrieval": NDCG, "PairClassification": PAIRS, "Classification": ACCURACY}


def make_block(
    task: str = "NFCorpus",
    type_name: str = "Retrieval",
    *,
    metrics: Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
    config: str | None = "default",
    split: str = "test",
    named: str | None = None,
    revision: Any = "None",
) -> dict[str, Any]:
    """Make one result of a ``model-index``; ``named`` is what stands in brackets behind the task."""
    given = TYPES[type_name] if metrics is None else metrics
    pairs = list(given.items()) if isinstance(given, Mapping) else list(given)
    return {
        "task": {"type": type_name},
        "dataset": {
            "type": f"mteb/{task.lower()}",
            "name": f"MTEB {task} ({named})" if named else f"MTEB {task}",
            "config": config,
            "split": split,
            "revision": revision,
        },
        "metrics": [{"type": name, "value": value} for name, value in pairs],
    }


def make_front(*blocks: dict[str, Any], name: str = "some-model") -> dict[str, Any]:
    return {"tags": ["mteb"], "model-index": [{"name": name, "results": list(blocks)}]}


def write_card(folder: Path, front: Mapping[str, Any], *, name: str = "card.md") -> Path:
    path = folder / name
    path.write_text(f"---\n{yaml.safe_dump(dict(front), sort_keys=False)}---\n\n# A model\n", encoding="utf-8")
    return path


def make_row(subset: str = "default", **metrics: Any) -> dict[str, Any]:
    return {"hf_subset": subset, "languages": ["eng-Latn"], "main_score": next(iter(metrics.values()), 0.5), **metrics}


def make_result(task: str = "NFCorpus", *rows: dict[str, Any], split: str = "test", **changes: Any) -> dict[str, Any]:
    content = {
        "dataset_revision": "ec0fa4fe99da2ff19ca1214b7966684033a58814",
        "task_name": task,
        "mteb_version": "1.12.75",
        "scores": {split: list(rows) or [make_row(ndcg_at_10=0.605, map_at_10=0.5, nauc_ndcg_at_10_std=-3.5)]},
        "evaluation_time": 12.5,
    }
    return content | changes


def write_results(folder: Path, *contents: dict[str, Any], meta: bool = True) -> Path:
    """Write a revision's folder of result files; they may hold NaN."""
    folder.mkdir(parents=True, exist_ok=True)
    if meta:
        (folder / "model_meta.json").write_text(json.dumps({"name": "org/some-model"}))
    for content in contents:
        name = content.get("task_name") or content.get("mteb_dataset_name")
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def rows_of(file: Path) -> list[Published]:
    """Read a result file of which nothing is left out."""
    found = [one for one in load_result(file) if isinstance(one, Published)]
    assert len(found) == len(load_result(file))
    return found
