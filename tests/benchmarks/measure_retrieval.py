"""How fast a retrieval is judged where its embeddings are given, and what memory it takes: the rows of `measure_speed`.

Run as ``python -m tests.benchmarks.measure_speed MIRROR retrieval memory scale``. The vectors are random, of unit
length: nothing but search, metrics and what we keep of them is left; the encoding is subtracted.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tests.benchmarks.measure_speed import Stopwatch, compare, start, write_tables

DIMENSIONS = 384
SIZES = ((10_000, 1_000), (100_000, 1_000))
GROWTH = ((20_000, 1_000), (20_000, 10_000))
SCALE = ((250_000, 200), (500_000, 200), (1_000_000, 200))
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
        vectors = self._vectors[prompt_type.value]
        if len(rows) < len(vectors):  # a copy of all would be memory that neither side asks for
            vectors = vectors[rows]
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


def measure_retrieval(asked: argparse.Namespace) -> list[Any]:
    """Compare search, metrics and what is kept of them; then the same with what makes texts ready to be encoded."""
    pairs = measure_sizes(asked, SIZES)
    compare("retrieval, embeddings given", pairs, "mteb", "touchstone")
    ready = [{side: {**found, "tasks": {name: {**entry, "run": entry["run"] + entry["ready"]}
                                        for name, entry in found["tasks"].items()}}
              for side, found in pair.items()} for pair in pairs]  # fmt: skip
    compare("the same, with the texts made ready to be encoded", ready, "mteb", "touchstone")
    return pairs


def measure_memory(asked: argparse.Namespace) -> list[Any]:
    """Compare how much memory more queries take."""
    pairs = measure_sizes(asked, GROWTH)
    compare("retrieval for memory", pairs, "mteb", "touchstone")
    few, many = (f"{documents} x {queries}" for documents, queries in GROWTH)
    print(f"\npeak memory in MB, and growth a query in kB{'':8}{few:>16}{many:>16}{'growth':>8}   range")
    for side in ("mteb", "touchstone"):
        peaks = {size: [pair[side]["tasks"][size]["peak_kb"] for pair in pairs] for size in (few, many)}
        growth = [(b - a) / (GROWTH[1][1] - GROWTH[0][1]) for a, b in zip(peaks[few], peaks[many], strict=True)]
        shown = "".join(f"{statistics.median(peaks[size]) / 1024:16.0f}" for size in (few, many))
        spread = f"{min(growth):.1f} to {max(growth):.1f}"
        print(f"{side:50}{shown}{statistics.median(growth):8.1f}   {spread}", flush=True)
    return pairs


def measure_scale(asked: argparse.Namespace) -> list[Any]:
    """Look whether time and memory grow as the corpus does, or faster: ours alone, mteb needs hours for nothing new."""
    found = measure_sizes(asked, SCALE, sides=("touchstone",))
    print(f"\nsearch and metrics alone{'':20}{'CPU s':>8}{'s a million':>14}{'peak MB':>10}{'beside vectors':>16}")
    for documents, queries in SCALE:
        size = f"{documents} x {queries}"
        seconds, peak = (statistics.median(pair["touchstone"]["tasks"][size][column] for pair in found)
                         for column in ("run", "peak_kb"))  # fmt: skip
        given = documents * DIMENSIONS * 4 / 1e6
        print(f"{size:44}{seconds:8.2f}{seconds / documents * 1e6:14.2f}{peak / 1e3:10.0f}{peak / 1e3 - given:16.0f}",
              flush=True)  # fmt: skip
    return found


def measure_sizes(
    asked: argparse.Namespace, sizes: Sequence[tuple[int, int]], sides: Sequence[str] = ("mteb", "touchstone")
) -> list[dict[str, Any]]:
    """Run all sides on each size, a process for each, and in turns."""
    pairs = []
    for number in range(asked.pairs):
        pair: dict[str, Any] = {side: {"tasks": {}, "all": 0.0} for side in sides}
        for documents, queries in sizes:
            size = argparse.Namespace(**{**vars(asked), "tasks": [str(documents), str(queries)]})
            for side in list(pair)[:: 1 if number % 2 == 0 else -1]:
                with TemporaryDirectory() as scratch:
                    write_folder(Path(scratch) / "made", documents, queries)  # here: its memory is no side's
                    found = start(size, "retrieval", side, Path(scratch))
                pair[side]["tasks"] |= found["tasks"]
                pair[side]["all"] += found["all"]
        pairs.append(pair)
    return pairs


def run_retrieval(asked: argparse.Namespace) -> dict[str, Any]:
    """Be one side for one size; ``asked.tasks`` says how many documents and queries.

    A small one goes before: what is imported and compiled on first use is no part of either side.
    """
    documents, queries = map(int, asked.tasks)
    write_folder(asked.folder / "small", *SMALL)
    run_size(asked.side, asked.folder / "small", *SMALL)
    return {f"{documents} x {queries}": run_size(asked.side, asked.folder / "made", documents, queries)}


def run_size(side: str, folder: Path, documents: int, queries: int) -> dict[str, float]:
    """Judge a folder by one side; return the score, CPU seconds, and the peak of this process's memory."""
    import mteb
    from mteb.models import ModelMeta

    import touchstone.measuring.case
    from touchstone.config.options import Options
    from touchstone.models.base import OpenModel
    from touchstone.models.registry import RegistryEncoder
    from touchstone.records.outcomes import ModelIdentity, Settings
    from touchstone.session.plan import find_cases
    from touchstone.store.folder import Store
    from touchstone.tasks.opening import open_task

    runner: Any = touchstone.measuring.case
    readying = Stopwatch()
    _time_loaders(readying)
    suite = folder / "suite.toml"
    suite.write_text(SUITE.format(folder=folder), encoding="utf-8")
    (case,) = find_cases(Options.parse({"suites": [str(suite)]}, root=folder, cwd=folder)).cases
    store = Store(folder / "store")
    encoder: Any = Given(ModelMeta.create_empty({"name": "given/vectors", "revision": "1"}), documents, queries)
    model = OpenModel(
        for_mteb=lambda meter: RegistryEncoder(encoder, encoder.mteb_model_meta, meter),
        identity=ModelIdentity(name="given/vectors", revision="1", unmodified=True, fingerprint="0" * 12),
        settings=Settings(),
        device="cpu",
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
            with runner.measure(case, model, store, lambda _: None) as measured:
                score = measured.outcome.measurement.score
            runner.open_task = original
        ready = readying.seconds["ready"]
        run = time.process_time() - started - encoder.seconds - ready
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"score": score, "run": run, "ready": ready, "encode": encoder.seconds, "peak_kb": peak}


def _time_loaders(watch: Stopwatch) -> None:
    """Time what makes texts ready to be encoded: loaders of mteb's, and ours."""
    from mteb.models import search_wrappers

    import touchstone.measuring.retrieval

    def timed(original: Any) -> Any:
        def make(*given: Any, **named: Any) -> Any:
            with watch("ready"):
                return original(*given, **named)

        return make

    modules: tuple[tuple[Any, str], ...] = (
        (touchstone.measuring.retrieval, "_load"),
        (search_wrappers, "create_dataloader"),
    )
    for module, name in modules:
        original = getattr(module, name)
        original = getattr(original, "original", original)
        replaced = timed(original)
        replaced.original = original
        setattr(module, name, replaced)


def _opening(opened: Any) -> Any:
    return lambda *_, **__: nullcontext(opened)


def write_folder(folder: Path, documents: int, queries: int) -> None:
    """Write a data set in the BEIR layout, with some judgements at random."""
    chosen = np.random.default_rng(1)
    tables: dict[str, list[dict[str, Any]]] = {
        "corpus": [{"_id": f"doc{i}", "text": f"document {i}"} for i in range(documents)],
        "queries": [{"_id": f"q{i}", "text": f"query {i}"} for i in range(queries)],
        "qrels/test": [
            {"query-id": f"q{i}", "corpus-id": f"doc{d}", "score": int(chosen.integers(1, 4))}
            for i in range(queries)
            for d in chosen.choice(documents, JUDGED, replace=False)
        ],
    }
    write_tables(folder, tables)
