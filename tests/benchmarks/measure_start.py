"""How fast to begin with: collecting many cases, running a suite again in which nothing has changed, one small case.

Run by hand on a quiet machine: ``python -m tests.benchmarks.measure_start MIRROR [--pairs N] [--json FILE] [ROW ...]``;
rows are collection, unchanged, cold. Sides take turns in fresh processes with one thread; CPU seconds are user and
system time of the whole process. Other plugins of pytest are off on both sides.

*Collection* is ``pytest evals --collect-only`` of 1 500 and of 5 000 cases against ``pytest`` on an empty file.
*Unchanged* is a second run of 41 cases, judged against their baselines, beside mteb giving the same 41 results out of
its own cache, and beside ``pytest`` on an empty file. *Cold* is minilm on BIOSSES with an empty store, beside a process
of mteb that does the same: what it takes beside encoding and reading data, in CPU seconds less the two phases' seconds
of one thread, is told of ours.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.measure_speed import PINNED, open_cases, wait_for_quiet
from tests.encoders import save_tiny_model
from touchstone.models.weights.identity import locate
from touchstone.store.folder import Store
from touchstone.tasks.registry import load_registry

# Cases, and of how many models.
CASES = {1500: 2, 5000: 7}
TASKS = {
    "STS13": None, "STS16": None, "BIOSSES": None, "STSBenchmark": None, "FarsTail": None, "SummEval": None,
    "SummEvalSummarization.v2": None, "RTE3": "en", "XQuADRetrieval": "en", "SIB200ClusteringS2S": "eng_Latn",
    "MasakhaNEWSClusteringS2S": "eng", "TweetSentimentClassification": "english",
}  # fmt: skip
FEW = tuple(TASKS)[:5]
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:hypothesispytest", "-p", "no:benchmark",
          "-p", "no:html", "-p", "no:cov", "-p", "no:timeout", "-p", "no:cacheprovider", "-q"]  # fmt: skip
EVALS = [*PYTEST, "-p", "touchstone.plugin", "--pyargs", "touchstone"]
# mteb as its documentation has it: nothing is loaded where all results are in the cache.
MTEB = """
import json, sys
import mteb
from mteb.models.model_meta import ModelMeta
given = json.loads(sys.argv[1])
cache = mteb.ResultCache(cache_path=given["store"])
scores = {}
for model in given["models"]:
    meta = ModelMeta.create_empty(overwrites={"name": model["name"], "revision": model["revision"]})
    tasks = [mteb.get_task(name, hf_subsets=subsets) for name, subsets in model["tasks"]]
    found = mteb.evaluate(meta, tasks, cache=cache, show_progress_bar=False, co2_tracker=False)
    scores |= {f"{model['name']}:{result.task_name}": result.get_score() for result in found.task_results}
print("SCORES " + json.dumps(scores))
"""
# mteb at its quickest: no result cache, no bars, and of sentence-transformers the model alone.
MTEB_COLD = """
import json, sys
import mteb
from sentence_transformers import SentenceTransformer
given = json.loads(sys.argv[1])
task = mteb.get_task("BIOSSES")
dataset = {"path": given["data"], "revision": task.metadata.revision}
task.metadata = task.metadata.model_copy(update={"dataset": dataset})
model = mteb.SentenceTransformerEncoderWrapper(SentenceTransformer(given["model"], device="cpu"))
found = mteb.evaluate(
    model, task, cache=None, encode_kwargs={"batch_size": 32, "show_progress_bar": False}, show_progress_bar=False,
    co2_tracker=False,
)
print("SCORE", found.task_results[0].get_score())
"""


def run(command: Sequence[str], folder: Path, **variables: str) -> tuple[float, str]:
    """Run a command; return the CPU seconds of it and its children, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environ = {**os.environ, **PINNED, "HF_HUB_OFFLINE": "1", **variables}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as on a user's machine: the second start finds the first one's
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        sys.exit(f"{' '.join(command)[:200]}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def measure_collection(_mirror: Path, folder: Path, pairs: int) -> dict[str, list[float]]:
    """Collect many cases, and nothing."""
    texts = [task.name for task in load_registry().tasks.values() if task.modalities == ("text",)]
    names = sorted(set(texts) & set(load_registry().current))
    sides = {"empty": [*PYTEST, "--collect-only", empty_test(folder)]}
    for count, models in CASES.items():
        aliases = ["minilm", *(f"minilm@truncate_dim={8 * number}" for number in range(1, models))]
        (folder / f"{count}.toml").write_text(
            f"models = {json.dumps(aliases)}\n[tasks]\ninclude = {json.dumps(names[: count // models])}\n"
        )
        sides[str(count)] = [*EVALS, "--suite", f"{count}.toml", "--collect-only"]
    found = take_turns(sides, folder, pairs)
    for count in CASES:
        counted = run(sides[str(count)], folder)[1].count("test_task[")
        over = [ours - empty for ours, empty in zip(found[str(count)], found["empty"], strict=True)]
        print(f"collection of {counted} cases: {middle(found[str(count)])}; an empty run: {middle(found['empty'])}; "
              f"over it: {middle(over)}", flush=True)  # fmt: skip
    return found


def empty_test(folder: Path) -> str:
    """Write a file with a test that does nothing; return its name."""
    (folder / "test_nothing.py").write_text("def test_nothing(): pass\n")
    return "test_nothing.py"


def measure_cold(mirror: Path, folder: Path, pairs: int) -> dict[str, list[float]]:
    """Measure one small case with nothing known from before, here and by mteb alone."""
    plan = open_cases(mirror, ["BIOSSES"], folder)
    weights = locate(plan.models["minilm"], Store(folder / "weights")).place
    given = json.dumps({"model": weights, "data": str(mirror.resolve() / "mteb" / "biosses-sts")})
    found: dict[str, list[float]] = {"mteb": [], "evals": [], "beside": [], "mteb wall": [], "evals wall": []}
    for number in range(pairs + 1):
        for side in ("mteb", "evals") if number % 2 else ("evals", "mteb"):
            wait_for_quiet()
            new, started = folder / f"cold-{number}-{side}", time.monotonic()
            report = new / "run.json"
            command = [*EVALS, "--suite", "speed.toml", "--store", str(new), "--report", str(report)]
            theirs = [sys.executable, "-c", MTEB_COLD, given]
            seconds, printed = run(theirs if side == "mteb" else command, folder, HF_DATASETS_CACHE=str(new / "data"))
            wall = time.monotonic() - started
            if side == "mteb":
                score = float(printed.partition("SCORE ")[2])
            else:
                (record,) = json.loads(report.read_text())["records"]
            if number:
                found[side].append(seconds)
                found[f"{side} wall"].append(wall)
                if side == "evals":
                    found["beside"].append(seconds - record["phases"]["encode"] - record["phases"]["data"])
        if abs(score - record["score"]) > 1e-6:
            sys.exit(f"{score} by mteb, {record['score']} here; no ratio counts")
    for kind in ("", " wall"):
        ratios = [a / b for a, b in zip(found[f"mteb{kind}"], found[f"evals{kind}"], strict=True)]
        print(f"one small case{kind or ' CPU'}: {middle(found[f'evals{kind}'])}; mteb: {middle(found[f'mteb{kind}'])}; "
              f"ratio {middle(ratios)}", flush=True)  # fmt: skip
    print(f"of it beside encoding and data: {middle(found['beside'])}", flush=True)
    return found


def measure_unchanged(mirror: Path, folder: Path, pairs: int) -> dict[str, list[float]]:
    """Run a suite again; ask mteb's cache for the same."""
    write_suites(mirror, folder)
    ours = [*EVALS, "--models", "models.toml", "--suite", "all.toml", "--suite", "few.toml", "--store", "store"]
    run([*ours, "--baseline", "record"], folder)
    run([*ours, "--report", "run.json"], folder)
    records = json.loads((folder / "run.json").read_text())["records"]
    models: dict[str, dict[str, object]] = {}
    for record in records:
        name = f"{record['model']}__{record['fingerprint']}"
        given = models.setdefault(name, {"name": name, "revision": record["fingerprint"], "tasks": []})
        subset = TASKS[record["task"]]
        given["tasks"].append([record["task"], None if subset is None else [subset]])  # type: ignore[attr-defined]
    theirs = [sys.executable, "-c", MTEB, json.dumps({"store": str(folder / "store"), "models": list(models.values())})]
    scores = json.loads(run(theirs, folder)[1].partition("SCORES ")[2])
    for record in records:
        there = scores[f"{record['model']}__{record['fingerprint']}:{record['task']}"]
        if abs(there - record["score"]) > 5e-6:
            sys.exit(f"{record['case']}: {there} by mteb's cache, {record['score']} here; no ratio counts")
    assert all(record["reused"] for record in records), "something was measured again"
    found = take_turns({"mteb": theirs, "evals": ours, "empty": [*PYTEST, empty_test(folder)]}, folder, pairs)
    ratios = [a / b for a, b in zip(found["mteb"], found["evals"], strict=True)]
    print(f"{len(records)} unchanged cases: {middle(found['evals'])}; mteb with its result cache: "
          f"{middle(found['mteb'])}; ratio {middle(ratios)}; an empty run of pytest: "
          f"{middle(found['empty'])}", flush=True)  # fmt: skip
    return found


def write_suites(mirror: Path, folder: Path) -> None:
    """Write three small models on all tasks, and a fourth on a few: 41 cases."""
    models = ""
    for seed, name in enumerate("abcd"):
        save_tiny_model(folder / name, seed=seed)
        models += f'[{name}]\npath = "{name}"\n'
    (folder / "models.toml").write_text(models)
    for file, chosen, tasks in (("all", ["a", "b", "c"], tuple(TASKS)), ("few", ["d"], FEW)):
        subsets = {name: [TASKS[name]] for name in tasks if TASKS[name] is not None}
        inline = ", ".join(f"{json.dumps(name)} = {json.dumps(value)}" for name, value in subsets.items())
        (folder / f"{file}.toml").write_text(
            f"models = {json.dumps(chosen)}\n[tasks]\ninclude = {json.dumps(tasks)}\nsubsets = {{ {inline} }}\n"
            f'[source]\nkind = "mirror"\npath = "{mirror.resolve()}"\n'
        )


def take_turns(sides: dict[str, list[str]], folder: Path, pairs: int) -> dict[str, list[float]]:
    """Run every side so many times, in alternating order, after one run each that does not count."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(pairs + 1):
        for name in sides if number % 2 else reversed(sides):
            wait_for_quiet()
            seconds, _ = run(sides[name], folder)
            if number:
                found[name].append(seconds)
    return found


def middle(values: Sequence[float]) -> str:
    """Return the median with the range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Measure the rows asked for."""
    rows = {"collection": measure_collection, "unchanged": measure_unchanged, "cold": measure_cold}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mirror", type=Path)
    parser.add_argument("rows", nargs="*", default=list(rows))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = {}
    for row in asked.rows:
        with TemporaryDirectory() as scratch:
            found[row] = rows[row](asked.mirror, Path(scratch), asked.pairs)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
