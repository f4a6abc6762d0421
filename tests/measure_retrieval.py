"""How fast a retrieval is judged where its embeddings are given, and what memory it takes: the rows of `measure_speed`.

Random unit vectors, so that nothing but search, metrics and what we keep of them is left; the encoding is subtracted.
"""

import argparse
import json
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

DIMENSIONS = 384
SIZES = ((10_000, 1_000), (100_000, 1_000))
GROWTH = ((20_000, 1_000), (20_000, 10_000))
JUDGED = 20
SUITE = """
models = ["minilm"]
[tasks]
include = []
[[tasks.custom]]
name = "Made"
type = "Retrieval"
path = "{folder}"
"""


class Given:
    """An encoder whose vectors are there before: a text ends in the number of its row."""

    def __init__(self, meta: Any, documents: int, queries: int) -> None:
        self.mteb_model_meta = meta
        self.seconds = 0.0
        chosen = np.random.default_rng(0)
        self._vectors = {"document": _unit(chosen, documents), "query": _unit(chosen, queries)}

    def encode(self, inputs: Any, *, prompt_type: Any, **_: Any) -> Any:
        started = time.process_time()
        rows = np.fromiter((int(text.rpartition(" ")[2]) for text in inputs.dataset["text"]), np.int64)
        vectors = self._vectors[prompt_type.value][rows]
        self.seconds += time.process_time() - started
        return vectors

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        from mteb.similarity_functions import cos_sim

        return cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(embeddings1, embeddings2)


def _unit(chosen: np.random.Generator, rows: int) -> Any:
    vectors = chosen.standard_normal((rows, DIMENSIONS), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def run_retrieval(asked: argparse.Namespace, _: Any) -> dict[str, Any]:
    """Judge one size by one side; ``asked.tasks`` is how many documents and queries."""
    import mteb
    import torch
    from mteb.models import ModelMeta

    from evals.cases import find_cases
    from evals.config import Options
    from evals.models import OpenModel
    from evals.records import ModelIdentity, Settings
    from evals.runner import measure
    from evals.store import Store
    from evals.tasks import open_task

    documents, queries = map(int, asked.tasks)
    write_folder(asked.folder / "made", documents, queries)
    suite = asked.folder / "suite.toml"
    suite.write_text(SUITE.format(folder=asked.folder / "made"), encoding="utf-8")
    (case,) = find_cases(Options.parse({"suites": [str(suite)]}, root=asked.folder, cwd=asked.folder)).cases
    store = Store(asked.folder / "store")
    encoder: Any = Given(ModelMeta.create_empty({"name": "given/vectors", "revision": "1"}), documents, queries)
    model = OpenModel(
        encoder=encoder,
        module=None,
        identity=ModelIdentity(name="given/vectors", revision="1", unmodified=True, fingerprint="0" * 12),
        settings=Settings(),
        device="cpu",
        quantize=None,
        batch_size=32,
        encode_kwargs={},
    )
    torch.ones(2).topk(1)  # what the first call of all costs
    with open_task(case.task, case.source, store) as opened:
        if asked.side == "mteb":
            timed = time.process_time()
            result = mteb.evaluate(
                encoder,
                opened.task,
                cache=None,
                encode_kwargs={"batch_size": 32, "show_progress_bar": False},
                show_progress_bar=False,
                co2_tracker=False,
            )
            score = float(result.task_results[0].get_score())
        else:
            import evals.runner

            evals.runner.open_task = _already(opened)  # type: ignore[assignment]  # reading data is not what is timed
            timed = time.process_time()
            score = measure(case, model, store, lambda _: None).scores.score
        run = time.process_time() - timed - encoder.seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    entry = {"score": score, "run": run, "data": 0.0, "encode": encoder.seconds, "peak_kb": peak}
    return {f"{documents} x {queries}": entry}


def _already(opened: Any) -> Any:
    from contextlib import contextmanager

    @contextmanager
    def opening(*_: Any, **__: Any) -> Iterator[Any]:
        yield opened

    return opening


def write_folder(folder: Path, documents: int, queries: int) -> None:
    """Write a data set in the BEIR layout, with some judgements at random."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    chosen = np.random.default_rng(1)
    files: dict[str, Sequence[dict[str, Any]]] = {
        "corpus": [{"_id": f"doc{i}", "text": f"document {i}"} for i in range(documents)],
        "queries": [{"_id": f"q{i}", "text": f"query {i}"} for i in range(queries)],
        "qrels/test": [
            {"query-id": f"q{i}", "corpus-id": f"doc{d}", "score": int(chosen.integers(1, 4))}
            for i in range(queries)
            for d in chosen.choice(documents, JUDGED, replace=False)
        ],
    }
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
