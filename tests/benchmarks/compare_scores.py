"""The same scores in every way: by mteb alone, by Touchstone without padding and with it, by one worker and by two.

Run by hand: ``python -m tests.benchmarks.compare_scores MIRROR``. Every task of the mirror's index is run by mteb and
in five ways here, one with all vectors read from the store, with all-MiniLM-L6-v2, one thread each; the table has each
task's score and the difference of each way to mteb's. Stops with an error where one exceeds 1e-6, or 5e-6 where mteb
rounds. mteb's batches are its default, but for two tasks whose score by mteb depends on them: their texts are encoded
one by one.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.benchmarks.measure_speed import PINNED

# The parts of each task that the mirror has.
TASKS: dict[str, dict[str, Any]] = {
    "BIOSSES": {}, "STS13": {}, "STS16": {}, "STSBenchmark": {}, "SICK-R": {}, "FarsTail": {}, "SummEval": {},
    "SummEvalSummarization.v2": {}, "Banking77Classification": {},
    "AmazonCounterfactualClassification": {"subsets": ["en"], "splits": ["validation", "test"]},
    "SIB200Classification": {"subsets": ["eng_Latn"], "splits": ["test"]},
    "TweetSentimentClassification": {"subsets": ["english"]},
    "RTE3": {"subsets": ["en"]},
    "SIB200ClusteringS2S": {"subsets": ["eng_Latn"]},
    "MasakhaNEWSClusteringS2S": {"subsets": ["eng"]},
    "XQuADRetrieval": {"subsets": ["en"], "splits": ["validation"]},
    "Tatoeba": {"subsets": ["deu-eng", "spa-eng"]},
}  # fmt: skip
WITHIN, ROUNDED = 1e-6, 5e-6
MTEB_ROUNDS = {"XQuADRetrieval"}
# 38 of 100 texts have two equal machine summaries. In batches of mteb's they are padded differently, so that rounding
# decides which is better, and its score moves by up to 9e-4 with the batch size; here, and one by one, equal is equal.
TIED = {"SummEval", "SummEvalSummarization.v2"}


def write_suite(mirror: Path, folder: Path) -> Path:
    """Write a suite of all tasks."""
    lines = ['models = ["minilm"]', "[tasks]", f"include = {json.dumps(list(TASKS))}"]
    for what in ("subsets", "splits"):
        chosen = {name: parts[what] for name, parts in TASKS.items() if what in parts}
        lines.append(f"{what} = {{ {', '.join(f'{json.dumps(k)} = {json.dumps(v)}' for k, v in chosen.items())} }}")
    file = folder / "all.toml"
    file.write_text("\n".join([*lines, "[source]", 'kind = "mirror"', f'path = "{mirror.resolve()}"\n']))
    return file


def run_here(suite: Path, store: str, *more: str) -> dict[str, Any]:
    """Run the suite by pytest; return each task's record."""
    folder = suite.parent
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "touchstone.plugin",
               "--pyargs", "touchstone", "-q",
               "--suite", str(suite), "--store", store, "--baseline", "off", "--report", "run.json", *more]  # fmt: skip
    done = subprocess.run(command, cwd=folder, env=environ(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stdout[-3000:])
    return {record["task"]: record for record in json.loads((folder / "run.json").read_text())["records"]}


def run_mteb(suite: Path) -> dict[str, float]:
    """Run the same by mteb alone, in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.compare_scores", "--mteb", str(suite)]
    done = subprocess.run(command, env=environ(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr[-3000:])
    found: dict[str, float] = json.loads(done.stdout.partition("SCORES ")[2])
    return found


def environ() -> dict[str, str]:
    """Return the environment of every side."""
    return {**os.environ, **PINNED, "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def be_mteb(suite: Path) -> None:
    """Evaluate every case with sentence-transformers' model behind mteb's own wrapper."""
    import mteb
    from mteb.models import SentenceTransformerEncoderWrapper
    from sentence_transformers import SentenceTransformer

    from touchstone.config.options import Options
    from touchstone.models.weights.identity import locate
    from touchstone.session.plan import find_cases
    from touchstone.store.folder import Store
    from touchstone.tasks.opening import open_task

    plan = find_cases(Options.parse({"suites": [str(suite)]}, root=suite.parent, cwd=suite.parent))
    store = Store(suite.parent / "mteb")
    model: Any = SentenceTransformerEncoderWrapper(
        SentenceTransformer(locate(plan.models["minilm"], store).place, device="cpu")
    )
    scores = {}
    for case in plan.cases:
        with open_task(case.task, case.source, store, limit=None) as opened:
            result = mteb.evaluate(
                model,
                opened.task,
                cache=None,
                encode_kwargs={"batch_size": 1 if case.task.name in TIED else 32, "show_progress_bar": False},
                show_progress_bar=False,
                co2_tracker=False,
            )
            scores[case.task.name] = float(result.task_results[0].get_score())
    print("SCORES " + json.dumps(scores))


def main() -> None:
    """Compare, or be mteb's side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mirror", type=Path, nargs="?")
    parser.add_argument("--mteb", type=Path)
    asked = parser.parse_args()
    if asked.mteb:
        be_mteb(asked.mteb)
        return
    with TemporaryDirectory() as scratch:
        suite = write_suite(asked.mirror, Path(scratch))
        cold = run_here(suite, "one")
        for kind in ("outcomes", "rankings"):  # the vectors stay, the results go
            subprocess.run(["rm", "-rf", str(suite.parent / "one" / kind)], check=True)
        padded = ("-p", "tests.benchmarks.padded")
        ways = {
            "packed": cold,
            "vectors known": run_here(suite, "one"),
            "two workers": run_here(suite, "two", "-n", "2"),
            "padded": run_here(suite, "padded", *padded),
            "padded, two": run_here(suite, "padded-two", "-n", "2", *padded),
        }
        compare(run_mteb(suite), ways)


def compare(theirs: dict[str, float], ways: dict[str, dict[str, Any]]) -> None:
    """Print the table; stop where a score is another."""
    print(f"{'':36}{'mteb':>10}" + "".join(f"{way:>15}" for way in ways) + "   encoded anew where known")
    wrong = []
    for task, score in theirs.items():
        apart = {way: abs(records[task]["score"] - score) for way, records in ways.items()}
        within = ROUNDED if task in MTEB_ROUNDS else WITHIN
        wrong += [task for gap in apart.values() if gap > within]
        again = ways["vectors known"][task]["encoded"]
        print(f"{task:36}{score:10.6f}" + "".join(f"{gap:15.1e}" for gap in apart.values()) + f"   {again}")
    if wrong:
        sys.exit(f"the scores differ: {', '.join(sorted(set(wrong)))}")


if __name__ == "__main__":
    main()
