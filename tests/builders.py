"""Small builders of the nouns: everything has a default, a test says only what it is about."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from touchstone.judging.gate import Comparison
from touchstone.records.baselines import Baseline, BaselineFile, Reference
from touchstone.records.cases import Case, TaskInfo
from touchstone.records.outcomes import Measurement, ModelIdentity, Outcome
from touchstone.records.runs import Record, Run

if TYPE_CHECKING:
    from mteb.types import Array
    from numpy.typing import NDArray

ALIAS = "minilm"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
REVISION = "8b3219a92973c328a8e22fadcfa821b5dc75636a"
FINGERPRINT = "0123456789ab"
OTHER_FINGERPRINT = "ba9876543210"
DATA_REVISION = "b0fddb56ed78048fa8b90373c8a3cfc37b684831"
STRATUM = "test/default"
ENV = {"mteb": "2.26.1", "torch": "2.9.0", "scikit-learn": "1.7.2", "numpy": "2.3.5"}


def make_case(type_name: str = "STS", *, name: str = "STSBenchmark", alias: str = ALIAS, **changes: Any) -> Case:
    task = TaskInfo(name=name, type=type_name, main_score="cosine_spearman", languages=("eng-Latn", "deu-Latn"))
    return Case(alias=alias, task=task, suite="smoke", **changes)


PARTS = {item.name for item in fields(Measurement)}


def make_measurement(score: float | Mapping[str, float] = 0.82, **changes: Any) -> Measurement:
    subsets = dict(score) if isinstance(score, Mapping) else {STRATUM: score}
    defaults: dict[str, Any] = {"metric": "cosine_spearman", "score": fmean(subsets.values()), "subsets": subsets}
    return Measurement(**defaults | changes)


def make_outcome(
    score: float | Mapping[str, float] = 0.82, *, identity: ModelIdentity | None = None, **changes: Any
) -> Outcome:
    """Make what a case gave; what is changed may be of its measurement too."""
    identity = identity or make_identity()
    inside: dict[str, Any] = {"n": 1379, "dataset_revision": DATA_REVISION, "fingerprint": identity.fingerprint}
    defaults: dict[str, Any] = {
        "device": "cpu",
        "phases": {"model": 1.25, "data": 0.5, "encode": 2.0, "score": 0.25},
        "texts": 2758,
    }
    inside |= {name: changes.pop(name) for name in PARTS & changes.keys()}
    return Outcome(identity=identity, measurement=make_measurement(score, **inside), **defaults | changes)


def make_identity(**changes: Any) -> ModelIdentity:
    defaults: dict[str, Any] = {"name": MODEL, "revision": REVISION, "unmodified": True, "fingerprint": FINGERPRINT}
    return ModelIdentity(**defaults | changes)


def make_baseline(score: float | Mapping[str, float] = 0.82, *, imported: bool = False, **changes: Any) -> Baseline:
    """Make an entry that another model recorded, or that was imported; what is changed may be of its measurement."""
    inside: dict[str, Any] = {
        "dataset_revision": DATA_REVISION,
        "fingerprint": None if imported else OTHER_FINGERPRINT,
    }
    inside |= {name: changes.pop(name) for name in PARTS & changes.keys()}
    defaults: dict[str, Any] = {"env": ENV, "source": "results-repo@f4cc6c8b" if imported else "run"}
    return Baseline(measurement=make_measurement(score, **inside), **defaults | changes)


def make_reference(
    score: float | Mapping[str, float] = 0.82,
    *,
    alias: str = ALIAS,
    model: str = MODEL,
    revision: str | None = REVISION,
    **entry: Any,
) -> Reference:
    return Reference(alias=alias, model=model, revision=revision, baseline=make_baseline(score, **entry))


def make_baseline_file(tasks: Mapping[str, Baseline], **changes: Any) -> BaselineFile:
    return BaselineFile(**{"model": MODEL, "revision": REVISION, "tasks": tasks} | changes)


def make_row(task: str = "STSBenchmark", *, alias: str = ALIAS, score: float | None = None, **changes: Any) -> Record:
    """Make the record of a case that was not judged; what is changed may be of its measurement, if it has a score."""
    metric = changes.pop("metric", "cosine_spearman")
    inside = {name: changes.pop(name) for name in PARTS & changes.keys()}
    limit = inside.get("limit")
    if score is not None:
        inside = {"subsets": {STRATUM: score}} | {name: value for name, value in inside.items() if value is not None}
        changes["measurement"] = Measurement(score=score, metric=metric, **inside)
    defaults: dict[str, Any] = {
        "case": f"{alias}:{task}",
        "model": MODEL,
        "revision": REVISION,
        "type": "STS",
        "languages": ("eng",),
        "outcome": "passed",
        "metric": metric,
        "limit": limit,
    }
    return Record(alias=alias, task=task, **defaults | changes)


def compared(reference: Reference | None, **changes: Any) -> Comparison:
    """Make what a case is judged by, with the libraries of `ENV`."""
    return Comparison(reference=reference, **{"env": ENV} | changes)


def make_run(*records: Record) -> Run:
    return Run(suite="smoke", started="2026-11-21T12:00:00+00:00", environment=ENV, records=records)


def vectors_by_text(texts: Sequence[str]) -> "NDArray[np.float32]":
    """Give every text a random vector of its own, the same in every process."""
    seeds = (int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) for text in texts)
    return np.stack([np.random.default_rng(seed).normal(size=16) for seed in seeds]).astype(np.float32)


class FakeEncoder:
    """An encoder of mteb's that turns texts into whatever it is told to."""

    def __init__(self, give: Callable[[Sequence[str]], Any] = vectors_by_text, *, takes: float = 0.0) -> None:
        from mteb.models import ModelMeta

        self.mteb_model_meta: ModelMeta = ModelMeta.create_empty({"name": "test/fake", "revision": "1"})
        self._give = give
        self._takes = takes

    def encode(self, inputs: Any, **_: Any) -> "Array":
        time.sleep(self._takes)
        vectors: Array = self._give([text for batch in inputs for text in batch["text"]])
        return vectors

    def similarity(self, embeddings1: Any, embeddings2: Any) -> "Array":
        import torch

        return torch.as_tensor(embeddings1 @ embeddings2.T)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> "Array":
        import torch

        return torch.as_tensor((embeddings1 * embeddings2).sum(axis=1))


def write_retrieval(folder: Path, queries: int, seed: int, split: str = "test") -> None:
    """Write a data set in the hub layout of BEIR-like tasks."""
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
    texts = [" ".join(words[(seed + i * j) % len(words)] for j in range(1, 7)) for i in range(queries)]
    files: dict[str, list[dict[str, Any]]] = {
        "corpus": [{"_id": f"d{i}", "title": "", "text": f"{text} number {i}"} for i, text in enumerate(texts)],
        "queries": [{"_id": f"q{i}", "text": text} for i, text in enumerate(texts)],
        "qrels": [{"query-id": f"q{i}", "corpus-id": f"d{i}", "score": 1} for i in range(queries)],
    }
    folder.mkdir(parents=True)
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    configs = [("corpus", "corpus"), ("queries", "queries"), ("default", "qrels")]
    lines = [
        f"- config_name: {config}\n  data_files:\n  - split: {split}\n    path: {name}.jsonl"
        for config, name in configs
    ]
    (folder / "README.md").write_text("---\nconfigs:\n" + "\n".join(lines) + "\n---\n")
