"""How fast a retrieval is judged where its embeddings are given, and what memory it takes: the rows of `measure_speed`.

Random unit vectors, so that nothing but search, metrics and what we keep of them is left; the encoding is subtracted.
"""

import argparse
import json
import resource
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

DIMENSIONS = 384
SIZES = ((10_000, 1_000), (100_000, 1_000))
GROWTH = ((20_000, 1_000), (20_000, 10_000))
SMALL = 200, 20
JUDGED = 3
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
    """Judge one size by one side; ``asked.tasks`` says how many documents and queries.

    A small one goes before: what is imported and compiled on first use is no part of either side.
    """
    documents, queries = map(int, asked.tasks)
    run_size(asked.side, asked.folder / "small", *SMALL)
    return {f"{documents} x {queries}": run_size(asked.side, asked.folder / "made", documents, queries)}


def run_size(side: str, folder: Path, documents: int, queries: int) -> dict[str, float]:
    """Judge documents and queries by one side; return the score, CPU seconds, and the peak of this process's memory."""
    import mteb
    from mteb.models import ModelMeta

    import evals.runner
    from evals.cases import find_cases
    from evals.config import Options
    from evals.models import OpenModel
    from evals.records import ModelIdentity, Settings
    from evals.store import Store
    from evals.tasks import open_task

    runner: Any = evals.runner
    write_folder(folder, documents, queries)
    suite = folder / "suite.toml"
    suite.write_text(SUITE.format(folder=folder), encoding="utf-8")
    (case,) = find_cases(Options.parse({"suites": [str(suite)]}, root=folder, cwd=folder)).cases
    store = Store(folder / "store")
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
    with open_task(case.task, case.source, store) as opened:
        started = time.process_time()
        if side == "mteb":
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
            original, runner.open_task = runner.open_task, _opening(opened)  # reading data is not what is timed
            score = runner.measure(case, model, store, lambda _: None).scores.score
            runner.open_task = original
        run = time.process_time() - started - encoder.seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"score": score, "run": run, "data": 0.0, "encode": encoder.seconds, "peak_kb": peak}


def _opening(opened: Any) -> Any:
    return lambda *_, **__: nullcontext(opened)


def write_folder(folder: Path, documents: int, queries: int) -> None:
    """Write a data set in the BEIR layout, with some judgements at random."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    chosen = np.random.default_rng(1)
    files: dict[str, list[dict[str, Any]]] = {
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
