"""How fast to begin with: collecting many cases, and running a suite again in which nothing has changed.

Run by hand on a quiet machine: ``python -m tests.benchmarks.measure_start MIRROR [--pairs N] [--json FILE]``. Sides
take turns in fresh processes with one thread; CPU seconds are user and system time of the whole process. Other plugins
of pytest are off on both sides.

*Collection* is ``pytest evals --collect-only`` of 1 500 cases against ``pytest`` on an empty file. *Unchanged* is a
second run of 41 cases, judged against their baselines, beside mteb giving the same 41 results out of its own cache.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.measure_speed import PINNED, wait_for_quiet
from tests.encoders import save_tiny_model
from touchstone.tasks.registry import load_registry

CASES = 1500
TASKS = {
    "STS13": None, "STS16": None, "BIOSSES": None, "STSBenchmark": None, "FarsTail": None, "SummEval": None,
    "SummEvalSummarization.v2": None, "RTE3": "en", "XQuADRetrieval": "en", "SIB200ClusteringS2S": "eng_Latn",
    "MasakhaNEWSClusteringS2S": "eng", "TweetSentimentClassification": "english",
}  # fmt: skip
FEW = tuple(TASKS)[:5]
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:hypothesispytest", "-p", "no:benchmark",
          "-p", "no:html", "-p", "no:cov", "-p", "no:timeout", "-p", "no:cacheprovider", "-q"]  # fmt: skip
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


def run(command: Sequence[str], folder: Path) -> tuple[float, str]:
    """Run a command; return the CPU seconds of it and its children, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environ = {**os.environ, **PINNED, "HF_HUB_OFFLINE": "1"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as on a user's machine: the second start finds the first one's
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        sys.exit(f"{' '.join(command)[:200]}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def measure_collection(folder: Path, pairs: int) -> dict[str, list[float]]:
    """Collect many cases, and nothing."""
    texts = [task.name for task in load_registry().tasks.values() if task.modalities == ("text",)]
    names = sorted(set(texts) & set(load_registry().current))[: CASES // 2]
    (folder / "many.toml").write_text(
        f'models = ["minilm", "minilm@truncate_dim=128"]\n[tasks]\ninclude = {json.dumps(names)}\n'
    )
    (folder / "test_nothing.py").write_text("def test_nothing(): pass\n")
    sides = {
        "empty": [*PYTEST, "--collect-only", "test_nothing.py"],
        "evals": [
            *PYTEST,
            "-p",
            "touchstone.plugin",
            "--pyargs",
            "touchstone",
            "--suite",
            "many.toml",
            "--collect-only",
        ],
    }
    found = take_turns(sides, folder, pairs)
    counted = run(sides["evals"], folder)[1].count("test_task[")
    over = [ours - empty for ours, empty in zip(found["evals"], found["empty"], strict=True)]
    print(f"collection of {counted} cases: {middle(found['evals'])}; an empty run: {middle(found['empty'])}; "
          f"over it: {middle(over)}", flush=True)  # fmt: skip
    return found


def measure_unchanged(mirror: Path, folder: Path, pairs: int) -> dict[str, list[float]]:
    """Run a suite again; ask mteb's cache for the same."""
    write_suites(mirror, folder)
    ours = [*PYTEST, "-p", "touchstone.plugin", "--pyargs", "touchstone", "--models", "models.toml",
            "--suite", "all.toml",
            "--suite", "few.toml", "--store", "store"]  # fmt: skip
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
    found = take_turns({"mteb": theirs, "evals": ours}, folder, pairs)
    ratios = [a / b for a, b in zip(found["mteb"], found["evals"], strict=True)]
    print(f"{len(records)} unchanged cases: {middle(found['evals'])}; mteb with its result cache: "
          f"{middle(found['mteb'])}; ratio {middle(ratios)}", flush=True)  # fmt: skip
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
    """Measure both rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mirror", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with TemporaryDirectory() as scratch:
        found = {
            "collection": measure_collection(Path(scratch), asked.pairs),
            "unchanged": measure_unchanged(asked.mirror, Path(scratch), asked.pairs),
        }
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
