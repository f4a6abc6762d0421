"""How fast: the same tasks by mteb and by Touchstone, side by side, in one run.

Run by hand on a quiet machine: ``python -m tests.benchmarks.measure_speed MIRROR [--pairs N] [--json FILE] [ROW
...]``; rows are cold, repeats, classification, warm, retrieval, memory, scale. Each side is a fresh process with one
thread; sides take turns. CPU seconds are user and system time. A ratio counts only where the scores agree, to 1e-6,
or 5e-6 where mteb rounds.

Of a process, *import* and *load* come before the first task; *data* is reading and preparing data, the same code on
both sides; *run* is the evaluation, and for Touchstone all that it does besides: samples, the scores again, files.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

FIVE = ("BIOSSES", "STS16", "STSBenchmark", "Banking77Classification", "SICK-R")
# Tasks that ask for the same texts again: in its pairs; in the candidates of each query, embedded and made.
REPEATS = ("SICK-R", "SmokeReranking", "Impressions")
BATCH_SIZES = (8, 16, 32, 64)
ROUNDED = 5e-6
PATIENCE = 60  # times ten seconds that a busy machine is waited for
PINNED = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
SUITE = """
models = ["minilm"]
[tasks]
include = {tasks}
{custom}
[source]
kind = "mirror"
path = "{mirror}"
"""
RERANKING = """
[[tasks.custom]]
name = "{name}"
type = "Reranking"
path = "{path}"
"""
# Of Impressions, which are as those of MindSmall: many readers are shown some of few headlines.
READERS, HEADLINES, SHOWN = 300, 160, 30
ROWS_OF_CLASSIFICATION = 20_000, 5_000


class Stopwatch:
    """CPU seconds of this process by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.process_time() - started


class Counting:
    """An encoder that counts the texts it is asked for, and its own seconds."""

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder
        self.texts = 0
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.encoder, name)

    def encode(self, inputs: Any, **kwargs: Any) -> Any:
        started = time.process_time()
        vectors = self.encoder.encode(inputs, **kwargs)
        self.seconds += time.process_time() - started
        self.texts += len(vectors)
        return vectors


class Cheap:
    """An encoder that costs next to nothing: what is left is everything but encoding."""

    def __init__(self, meta: Any) -> None:
        self.mteb_model_meta = meta

    def encode(self, inputs: Any, **_: Any) -> Any:
        rows = np.arange(len(inputs.dataset), dtype=np.float32)
        return np.stack([np.sin(rows * (number + 1)) for number in range(16)], axis=1)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        return embeddings1 @ embeddings2.T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        return (embeddings1 * embeddings2).sum(axis=1)


def import_what_the_first_case_needs() -> None:
    """Import what both sides would import inside the first case, whichever that is: no part of its work."""
    import mteb  # noqa: F401
    import scipy.stats  # noqa: F401
    import sentence_transformers  # noqa: F401
    import sklearn.linear_model
    import sklearn.metrics  # noqa: F401


def open_cases(mirror: Path, tasks: Sequence[str], folder: Path) -> Any:
    """Find the cases of minilm on some tasks of a mirror."""
    from touchstone.config.options import Options
    from touchstone.session.plan import find_cases

    found = [name for name in tasks if name not in REPEATS[1:]]
    custom = [RERANKING.format(name=name, path=write_reranking(name, folder)) for name in tasks if name not in found]
    suite = folder / "speed.toml"
    filled = SUITE.format(tasks=json.dumps(found), custom="".join(custom), mirror=mirror.resolve())
    suite.write_text(filled, encoding="utf-8")
    return find_cases(Options.parse({"suites": [str(suite)]}, root=folder, cwd=folder))


def write_reranking(name: str, folder: Path) -> Path:
    """Return the folder of a reranking task: the embedded one, or one that is written here."""
    embedded = files("touchstone") / "data" / "articles"
    if name == "SmokeReranking":
        return Path(str(embedded))
    made, chosen = folder / name, random.Random(3)
    words = (embedded / "corpus.jsonl").read_text(encoding="utf-8").split()
    tables: dict[str, list[dict[str, Any]]] = {
        "corpus": [{"_id": f"d{n}", "text": " ".join(chosen.choices(words, k=12))} for n in range(HEADLINES)],
        "queries": [{"_id": f"q{n}", "text": " ".join(chosen.choices(words, k=30))} for n in range(READERS)],
        "top_ranked": [{"query-id": f"q{n}", "corpus-ids": [f"d{d}" for d in chosen.sample(range(HEADLINES), SHOWN)]}
                       for n in range(READERS)],
    }  # fmt: skip
    tables["qrels/test"] = [
        {"query-id": row["query-id"], "corpus-id": document, "score": int(place < 3)}
        for row in tables["top_ranked"]
        for place, document in enumerate(row["corpus-ids"])
    ]
    write_tables(made, tables)
    return made


def write_tables(folder: Path, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write the tables of a custom task as JSON Lines."""
    for name, rows in tables.items():
        file = folder / f"{name}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def run_mteb(asked: argparse.Namespace, watch: Stopwatch) -> dict[str, Any]:
    """Evaluate with mteb alone, plain or with its own cache of embeddings."""
    with watch("import"):
        import mteb
        from mteb.models import SentenceTransformerEncoderWrapper
        from mteb.models.cache_wrappers import CachedEmbeddingWrapper
        from sentence_transformers import SentenceTransformer

        from touchstone.models.weights.identity import locate
        from touchstone.store.folder import Store
        from touchstone.tasks.opening import open_task

        import_what_the_first_case_needs()
    plan = open_cases(asked.mirror, asked.tasks, asked.folder)
    store = Store(asked.folder / "store")
    with watch("load"):
        model = SentenceTransformer(locate(plan.models["minilm"], store).place, device="cpu")
        counted: Any = Counting(SentenceTransformerEncoderWrapper(model))
        encoder: Any = CachedEmbeddingWrapper(counted, asked.folder / "cache") if asked.cached else counted
    found: dict[str, Any] = {}
    for case in plan.cases:
        for batch_size in asked.batch_sizes[case.task.name]:
            timer = Stopwatch()
            counted.texts, counted.seconds = 0, 0.0
            opening = open_task(case.task, case.source, store, limit=None)
            with timer("data"):
                opened = opening.__enter__()
            with timer("run"):
                result = mteb.evaluate(
                    encoder,
                    opened.task,
                    cache=None,
                    encode_kwargs={"batch_size": batch_size, "show_progress_bar": False},
                    show_progress_bar=False,
                    co2_tracker=False,
                )
            opening.__exit__(None, None, None)
            seconds = {**timer.seconds, "encode": counted.seconds}
            score = float(result.task_results[0].get_score())
            entry = {"score": score, "asked": counted.texts, "encoded": counted.texts, **seconds}
            found.setdefault(case.task.name, {})[str(batch_size)] = entry
    return {
        name: min(entries.values(), key=lambda e: e["run"])
        | {"batch_size": min(entries, key=lambda b: entries[b]["run"])}
        for name, entries in found.items()
    }


def run_touchstone(asked: argparse.Namespace, watch: Stopwatch) -> dict[str, Any]:
    """Evaluate with our runner."""
    with watch("import"):
        import touchstone.measuring.case
        from touchstone.models.kinds import open_encoder
        from touchstone.store.folder import Store

        import_what_the_first_case_needs()
    runner: Any = touchstone.measuring.case
    plan = open_cases(asked.mirror, asked.tasks, asked.folder)
    store = Store(asked.folder / "store")
    with watch("load"):
        model = open_encoder(plan.models["minilm"], "cpu", store)
    found = {}
    for case in plan.cases:
        timer = Stopwatch()
        opening = _timed_opening(runner.open_task, timer)
        runner.open_task = opening  # to tell data from the rest
        with timer("all"), runner.measure(case, model, store, lambda _: None) as measured:
            outcome = measured.outcome
        runner.open_task = opening.original
        found[case.task.name] = {
            "score": outcome.measurement.score,
            "asked": outcome.texts,
            "encoded": outcome.encoded,
            "data": timer.seconds["data"],
            "run": timer.seconds["all"] - timer.seconds["data"],
            "encode": outcome.phases["encode"],
        }
    return found


def _timed_opening(original: Any, timer: Stopwatch) -> Any:
    @contextmanager
    def opening(*arguments: Any, **named: Any) -> Iterator[Any]:
        manager = original(*arguments, **named)
        with timer("data"):
            opened = manager.__enter__()
        try:
            yield opened
        finally:
            manager.__exit__(None, None, None)

    opening.original = original  # type: ignore[attr-defined]
    return opening


def run_classification(asked: argparse.Namespace, watch: Stopwatch) -> dict[str, Any]:
    """Evaluate a binary classification of many rows with an encoder that costs nothing."""
    from contextlib import nullcontext

    import mteb
    from datasets import Dataset, DatasetDict
    from mteb.models.model_meta import ModelMeta

    from touchstone.seams import columns_read_once

    import_what_the_first_case_needs()
    train, test = ROWS_OF_CLASSIFICATION
    data = DatasetDict(
        {
            name: Dataset.from_dict(
                {"text": [f"{name} {i}" for i in range(rows)], "label": [i % 2 for i in range(rows)]}
            )
            for name, rows in (("train", train), ("test", test))
        }
    )
    task = mteb.get_task("ToxicConversationsClassification")
    task.dataset, task.data_loaded = {"default": data}, True
    meta = ModelMeta.create_empty(overwrites={"name": "cheap/encoder", "revision": "1"})
    with columns_read_once() if asked.side == "touchstone" else nullcontext(), watch("run"):
        result = mteb.evaluate(Cheap(meta), task, cache=None, show_progress_bar=False, co2_tracker=False)
    score = float(result.task_results[0].get_score())
    return {"20 000 / 5 000 rows": {"score": score, "run": watch.seconds["run"], "data": 0.0, "encode": 0.0}}


def work(asked: argparse.Namespace) -> None:
    """Be one side: print what was found as JSON."""
    import torch

    torch.set_num_threads(1)
    watch = Stopwatch()
    if asked.row == "retrieval":
        from tests.benchmarks.measure_retrieval import run_retrieval

        tasks = run_retrieval(asked)
    elif asked.row == "classification":
        tasks = run_classification(asked, watch)
    else:
        tasks = {"mteb": run_mteb, "touchstone": run_touchstone}[asked.side](asked, watch)
    print("RESULT " + json.dumps({"tasks": tasks, **watch.seconds, "all": time.process_time()}))


def main() -> None:
    """Measure what was asked for, or be a side of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mirror", type=Path)
    parser.add_argument("rows", nargs="*", default=["cold", "classification", "warm"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", choices=("mteb", "touchstone"))
    parser.add_argument("--row")
    parser.add_argument("--tasks", nargs="*", default=list(FIVE))
    parser.add_argument("--batch-sizes", type=json.loads, default={}, help="of mteb by task, found before")
    parser.add_argument("--cached", action="store_true")
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    if asked.side:
        work(asked)
        return
    from tests.benchmarks.measure_retrieval import measure_memory, measure_retrieval, measure_scale

    rows = {
        "cold": measure_cold,
        "repeats": measure_repeats,
        "warm": measure_warm,
        "classification": measure_classification,
        "retrieval": measure_retrieval,
        "memory": measure_memory,
        "scale": measure_scale,
    }
    report = {row: rows[row](asked) for row in asked.rows}
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


def wait_for_quiet() -> None:
    """Wait until nobody else computes: the load average needs minutes to fall after work has ended. Else stop."""
    for _ in range(PATIENCE):
        if os.getloadavg()[0] <= (os.cpu_count() or 1):
            return
        time.sleep(10)
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    sys.exit(f"the load average stays at {load}: no time measured now is worth it")


def start(asked: argparse.Namespace, row: str, side: str, folder: Path, **more: Any) -> dict[str, Any]:
    """Run one side in a process of its own."""
    wait_for_quiet()
    command = [sys.executable, "-m", "tests.benchmarks.measure_speed", str(asked.mirror), "--side", side, "--row", row,
               "--folder", str(folder), "--tasks", *asked.tasks]  # fmt: skip
    for name, value in more.items():
        command += [f"--{name.replace('_', '-')}"] + ([] if value is True else [json.dumps(value)])
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        command, env={**os.environ, **PINNED, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=False
    )
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        sys.exit(f"{side} failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return found


def best_batch_sizes(asked: argparse.Namespace, scratch: Path) -> dict[str, list[int]]:
    """Find the batch size at which mteb is fastest, for each task."""
    sizes = {task: list(BATCH_SIZES) for task in asked.tasks}
    found = start(asked, "cold", "mteb", scratch / "sizes", batch_sizes=sizes)
    chosen = {name: [int(entry["batch_size"])] for name, entry in found["tasks"].items()}
    print("mteb's best batch sizes:", ", ".join(f"{name} {size[0]}" for name, size in chosen.items()), flush=True)
    return chosen


def measure_cold(asked: argparse.Namespace, title: str = "cold") -> list[Any]:
    """Compare first runs: nothing is known from before."""
    pairs = []
    with TemporaryDirectory() as scratch:
        sizes = asked.batch_sizes or best_batch_sizes(asked, Path(scratch))
        for number in range(asked.pairs):
            sides = {}
            for side in ("mteb", "touchstone") if number % 2 == 0 else ("touchstone", "mteb"):
                more = {"batch_sizes": sizes} if side == "mteb" else {}
                sides[side] = start(asked, "cold", side, Path(scratch) / f"{side}{number}", **more)
            pairs.append(sides)
    compare(title, pairs, "mteb", "touchstone")
    return pairs


def measure_repeats(asked: argparse.Namespace) -> list[Any]:
    """Compare first runs of tasks that ask for the same texts again."""
    return measure_cold(argparse.Namespace(**{**vars(asked), "tasks": list(REPEATS)}), "texts that come again")


def measure_warm(asked: argparse.Namespace) -> list[Any]:
    """Compare runs whose embeddings are all known, with mteb's own cache and without one."""
    pairs = []
    with TemporaryDirectory() as scratch:
        sizes = {task: [32] for task in asked.tasks}
        start(asked, "warm", "touchstone", Path(scratch) / "ours")
        start(asked, "warm", "mteb", Path(scratch) / "theirs", batch_sizes=sizes, cached=True)
        for number in range(asked.pairs):
            runs: list[tuple[str, str, Path, dict[str, Any]]] = [
                ("cached", "mteb", Path(scratch) / "theirs", {"batch_sizes": sizes, "cached": True}),
                ("touchstone", "touchstone", Path(scratch) / "ours", {}),
                ("plain", "mteb", Path(scratch) / f"plain{number}", {"batch_sizes": sizes}),
            ]
            order = runs if number % 2 == 0 else runs[::-1]
            pairs.append({name: start(asked, "warm", side, folder, **more) for name, side, folder, more in order})
    compare("warm, mteb with its cache warm", pairs, "cached", "touchstone")
    compare("warm, mteb without a cache", pairs, "plain", "touchstone")
    return pairs


def measure_classification(asked: argparse.Namespace) -> list[Any]:
    """Compare everything but encoding, on a classification of many rows."""
    pairs = []
    with TemporaryDirectory() as scratch:
        for number in range(asked.pairs):
            order = ("mteb", "touchstone") if number % 2 == 0 else ("touchstone", "mteb")
            pairs.append({side: start(asked, "classification", side, Path(scratch) / side) for side in order})
    compare("classification, encoding excluded", pairs, "mteb", "touchstone")
    return pairs


def compare(title: str, pairs: Sequence[Mapping[str, Any]], slow: str, fast: str) -> None:
    """Print the ratios of each task and of all, with their medians and ranges."""
    print(f"\n{title}: {len(pairs)} pairs, CPU seconds of one thread, data excluded")
    print(f"{'':28}{'mteb':>9}{'here':>9}{'ratio':>8}   range          asked  encoded  score apart")
    names = list(pairs[0][fast]["tasks"])
    for name in names:
        theirs, ours = ([pair[side]["tasks"][name] for pair in pairs] for side in (slow, fast))
        apart = max(abs(a["score"] - b["score"]) for a, b in zip(theirs, ours, strict=True))
        if apart > ROUNDED:
            sys.exit(f"{name}: the scores differ by {apart:g}; no ratio counts")
        texts = f"{ours[0].get('asked', 0):8}{ours[0].get('encoded', 0):8}"
        print(_line(name, [a["run"] for a in theirs], [b["run"] for b in ours]) + f"{texts}   {apart:.1g}")
    sums = [[sum(entry["run"] for entry in pair[side]["tasks"].values()) for pair in pairs] for side in (slow, fast)]
    print(_line("all tasks", *sums))
    print(_line("whole process", *([pair[side]["all"] for pair in pairs] for side in (slow, fast))), flush=True)


def _line(name: str, theirs: Sequence[float], ours: Sequence[float]) -> str:
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    middle = statistics.median
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return f"{name:28}{middle(theirs):9.2f}{middle(ours):9.2f}{middle(ratios):8.2f}   {spread:15}"


if __name__ == "__main__":
    main()
