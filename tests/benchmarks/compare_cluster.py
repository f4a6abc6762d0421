"""Runs on a cluster of Ray against runs here: the same records, and how near the makespan is to the lower bound.

    python -m tests.benchmarks.compare_cluster FOLDER --suite smoke --actors 2
    python -m tests.benchmarks.compare_cluster FOLDER --documents 300000 --actors 3

Each machine of the cluster is a raylet of its own on this one. With ``--documents`` the run is of one retrieval task
with so many documents, a tenth of which occur twice, by a tiny model with random weights; ``--kill`` takes one machine
away in the middle. What remains of the wall time when all is known (imports, the cluster, a survey of it) is taken off
the makespan.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.encoders import save_tiny_model
from touchstone.records.flat import flatten
from touchstone.records.runs import Run
from touchstone.schedule.dispatch import lower_bound
from touchstone.store.runs import load_runs

ROOT = Path(__file__).parent.parent.parent
# What depends on time, on the machine, and on what a store had before.
APART = {"seconds", "phases", "speed", "encoded", "reused", "command", "device"}
SUITE = 'models = ["tiny"]\n[[tasks.custom]]\nname = "Large"\ntype = "Retrieval"\npath = "large"\n'


def main() -> None:
    """Run, compare and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for projects and stores; must not exist")
    parser.add_argument("--suite", help="a suite that needs no network")
    parser.add_argument("--source", help="as of pytest evals")
    parser.add_argument("--documents", type=int)
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--kill", type=float, help="after so many seconds")
    told = parser.parse_args()
    folder: Path = told.folder.resolve()
    (folder / "evals").mkdir(parents=True)
    shutil.copy(ROOT / "evals" / "test_tasks.py", folder / "evals")
    (folder / "conftest.py").write_text('pytest_plugins = ["touchstone.plugin"]\n')
    typed = ["--baseline", "off", "--device", "cpu"]
    if told.documents:
        write_corpus(folder / "large", told.documents)
        save_tiny_model(folder / "tiny")
        (folder / "suite.toml").write_text(SUITE)
        typed += ["--suite", "suite.toml", "--split-texts", str(told.documents // 3)]
    else:
        typed += ["--suite", told.suite, *(["--source", told.source] if told.source else [])]
    here = run(folder, "here", typed)
    print(f"here: {here:.1f} s")
    spread(folder, typed, told.actors, kill=told.kill)


def spread(folder: Path, typed: list[str], actors: int, *, kill: float | None) -> None:
    """Run on a cluster, twice: the second time all is known."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(actors - 1)]
    engine = [*typed, "--engine", "ray", "--ray-address", str(cluster.address)]
    process = start(folder, "cluster", engine)
    begun = time.monotonic()
    if kill is not None:
        time.sleep(kill)
        cluster.remove_node(nodes[0])
    wait(process)
    first = time.monotonic() - begun
    again = run(folder, "cluster", engine)
    cluster.shutdown()  # type: ignore[no-untyped-call]
    one, two = (newest(folder / store, oldest=store == "cluster") for store in ("here", "cluster"))
    pairs = list(zip(one.records, two.records, strict=True))
    differ = [here.case for here, there in pairs if plain(here) != plain(there)]
    scores = [here.case for here, there in pairs if (here.score, here.subsets) != (there.score, there.subsets)]
    seconds = [record.seconds or 0.0 for record in two.records]
    bound = sum(seconds) / actors if len(seconds) == 1 else lower_bound(seconds, actors)  # one case is divided
    print(f"{len(two.records)} cases; other scores: {scores or 'none'}; other in anything: {differ or 'none'}")
    print(f"cluster: {first:.1f} s, {again:.1f} s of it when all is known; makespan {first - again:.1f} s")
    print(f"lower bound on {actors} actors: {bound:.1f} s; ratio {(first - again) / bound:.2f}")


def plain(record: Any) -> dict[str, Any]:
    """Return what must be equal."""
    return {name: value for name, value in flatten(record).items() if name not in APART}


def newest(store: Path, *, oldest: bool) -> Run:
    """Return a run of a store."""
    return load_runs(store)[0 if oldest else -1]


def start(folder: Path, store: str, typed: list[str]) -> "subprocess.Popen[bytes]":
    """Start a run."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "evals"), str(ROOT)]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "evals", "-q", "--store", store, *typed]
    return subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL)


def wait(process: "subprocess.Popen[bytes]") -> None:
    """Wait for a run, which must succeed."""
    if process.wait() != 0:
        raise SystemExit(f"a run ended with exit code {process.returncode}")


def run(folder: Path, store: str, typed: list[str]) -> float:
    """Run, and return the seconds of it."""
    begun = time.monotonic()
    wait(start(folder, store, typed))
    return time.monotonic() - begun


def write_corpus(folder: Path, documents: int) -> None:
    """Write a data set of random words, whose queries are parts of documents."""
    chosen = random.Random(0)
    words = ["".join(chosen.choices("abcdefghijklmnopqrstuvwxyz", k=chosen.randint(2, 8))) for _ in range(3000)]
    texts = [" ".join(chosen.choices(words, k=chosen.randint(4, 9))) for _ in range(documents)]
    for place in range(0, documents, 10):
        texts[place] = texts[chosen.randrange(documents)]
    asked = [chosen.randrange(documents) for _ in range(200)]
    rows: dict[str, list[dict[str, Any]]] = {
        "corpus": [{"_id": f"d{at}", "text": text} for at, text in enumerate(texts)],
        "queries": [{"_id": f"q{at}", "text": " ".join(texts[at].split()[1:])} for at in dict.fromkeys(asked)],
        "qrels/test": [{"query-id": f"q{at}", "corpus-id": f"d{at}", "score": 1} for at in dict.fromkeys(asked)],
    }
    for name, lines in rows.items():
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))


if __name__ == "__main__":
    main()
