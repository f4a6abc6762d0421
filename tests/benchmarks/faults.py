"""Whether a hub that answers badly ever gets a wrong number kept: random faults, a run, and the truth afterwards.

Run by hand: ``python -m tests.benchmarks.faults [--rounds 300] [--seed 7]`` (some fifteen seconds a round). Each round
is a process of its own that measures a tiny model of a hub on three tasks of the hub: scores of pairs, a corpus with
queries and judgements, and labels of pairs. The hub fails in one way, at some of its questions and files, so often. A
second process runs the same when the hub is well again, by what the first left in store and cache; every other round a
third one, offline.

A number is wrong where it is not the one that a run without faults gives. What is not measured at the second run is
lost. Prints what happened by fault; exit code 1 where a number is wrong or lost.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.encoders import save_tiny_model
from tests.hub import Handler, Hub, files_in, serve
from touchstone.tasks.registry import load_registry

ROOT = Path(__file__).parent.parent.parent
MIRROR = Path(os.environ.get("TOUCHSTONE_MIRROR", ROOT.parent / "shared" / "hub"))
TASKS = ("BIOSSES", "XQuADRetrieval", "RTE3")
SUITE = """models = ["org/model"]
[tasks]
include = ["BIOSSES", "XQuADRetrieval", "RTE3"]
subsets = { XQuADRetrieval = ["en"], RTE3 = ["en"] }
"""
STATUSES = (400, 401, 403, 404, 408, 429, 500, 502, 503, 504)
# Parts of paths that a fault hits: a kind of question, a file first, in the middle and last, or anything.
PLACES = (
    "/api/", "/api/models/", "/api/datasets/", "modules.json", "config.json", "tokenizer.json", "model.safetensors",
    "README.md", "test", "en/corpus", "en/qrels", "biosses", "RTE3", "XQuAD", "/resolve/", "/",
)  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """How a hub fails: in which way, at paths with which part, how many times, and for which of these, by chance."""

    way: str
    place: str
    times: int
    chance: float
    seed: int


WAYS: Mapping[str, Callable[[Handler, bytes], object]] = {
    **{str(status): lambda handler, _, status=status: handler.send(status) for status in STATUSES},  # type: ignore[misc]
    "no such file": lambda handler, _: handler.refuse(404, "EntryNotFound"),
    "no such revision": lambda handler, _: handler.refuse(404, "RevisionNotFound"),
    "gated": lambda handler, _: handler.refuse(403, "GatedRepo"),
    "page": lambda handler, _: handler.send(200, b"<html>sign in</html>", Content_Type="text/html"),
    "empty": lambda handler, _: handler.send(200),
    "reset": lambda handler, _: handler.connection.close(),
    "cut": lambda *asked: send_cut(*asked),  # noqa: PLW0108  # it is defined below
    "other bytes": lambda handler, content: handler.send(
        200, content[::-1], X_Repo_Commit="0" * 40, ETag='"abc"', Content_Type="application/json"
    ),
    "half a list": lambda handler, content: handler.send(200, halved(content), Content_Type="application/json"),
}


def send_cut(handler: Handler, content: bytes) -> None:
    """Send the first half of a body that is said to be whole."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(max(len(content), 2)))
    handler.send_header("X-Repo-Commit", "0" * 40)
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])
    handler.close_connection = True


def halved(content: bytes) -> bytes:
    """Return a list of files without every second one; anything else as it is."""
    try:
        said = json.loads(content)
        said["siblings"] = said["siblings"][::2]
    except (ValueError, KeyError, TypeError):
        return content
    return json.dumps(said).encode()


def draw(number: int, seed: int) -> Fault:
    """Return the fault of a round."""
    chosen = random.Random(f"{seed} {number}")
    return Fault(
        way=chosen.choice(list(WAYS)), place=chosen.choice(PLACES), times=chosen.choice((1, 2, 5, 10_000)),
        chance=chosen.choice((0.3, 1.0, 1.0)), seed=chosen.randrange(10**6),
    )  # fmt: skip


def install(hub: Hub, fault: Fault) -> Counter[str]:
    """Let a hub fail so; return what counts how often it did."""
    chosen, struck = random.Random(fault.seed), Counter[str]()

    def strike(handler: Handler, path: str) -> bool:
        if fault.place not in path or struck["all"] >= fault.times or chosen.random() >= fault.chance:
            return False
        struck["all"] += 1
        WAYS[fault.way](handler, handler.content_of(path))
        return True

    hub.fault = strike
    return struck


def make_hub(hub: Hub, folder: Path) -> None:
    """Put a model and the data of the tasks on a hub."""
    hub.add("org/model", files_in(save_tiny_model(folder / "model")))
    for name in TASKS:
        task = load_registry().tasks[name]
        hub.pin(task.dataset, task.revision, files_in(MIRROR / task.dataset))


def run(hub: Hub, folder: Path, *more: str, patience: float = 1.0, path: str = str(ROOT / "evals")) -> dict[str, Any]:
    """Run the suite in a process of its own; return the score or the error of each case."""
    (folder / "suite.toml").write_text(SUITE)
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "pytest", str(ROOT / "evals"), "-q", "-p", "no:cacheprovider", "--suite",
        str(folder / "suite.toml"), "--source", "hub", "--baseline", "off", "--store", str(folder / "store"),
        "--patience", str(patience), "--report", str(report), *more,
    ]  # fmt: skip
    env = {name: value for name, value in os.environ.items() if not name.endswith(("_OFFLINE", "_TOKEN"))} | {
        "HF_ENDPOINT": hub.address, "HF_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1",
        "PYTHONPATH": path,
    }  # fmt: skip
    said = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    if not report.is_file():
        raise RuntimeError(f"no report: {said.stdout[-2000:]} {said.stderr[-2000:]}")
    records = json.loads(report.read_text())["records"]
    return {record["task"]: record["error"] or record["score"] for record in records}


def judge(found: Mapping[str, Any], truth: Mapping[str, Any]) -> list[str]:
    """Name the cases with a number that is not the right one, or that nobody reported."""
    return [
        f"{task}: {found.get(task)}, not {right}" for task, right in truth.items()
        if found.get(task) is None or (isinstance(found[task], float) and abs(found[task] - right) > 1e-9)
    ]  # fmt: skip


def play(hub: Hub, folder: Path, fault: Fault, truth: Mapping[str, Any], *, offline: bool) -> tuple[str, list[str]]:
    """Play one round; return what became of the faulty run, and what is wrong."""
    struck = install(hub, fault)
    first = run(hub, folder)
    hub.fault = None
    wrong = judge(first, truth)
    errors = [said for said in first.values() if isinstance(said, str)]
    second = run(hub, folder)
    wrong += [f"afterwards {one}" for one in judge(second, truth)]
    wrong += [f"lost {task}: {said}" for task, said in second.items() if isinstance(said, str)]
    if offline:
        asked = len(hub.requests)
        third = run(hub, folder, "--offline")
        wrong += [f"offline {one}" for one in judge(third, truth)]
        wrong += [f"offline {task}: {said}" for task, said in third.items() if isinstance(said, str)]
        wrong += [f"offline: {len(hub.requests) - asked} requests"] if len(hub.requests) > asked else []
    what = "not struck" if not struck else f"{len(errors)} of {len(first)} ERROR"
    return what, wrong


def main() -> int:
    """Play the rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=7)
    parsed = parser.parse_args()
    table: dict[str, Counter[str]] = defaultdict(Counter)
    bad = 0
    with TemporaryDirectory() as folder, serve() as hub:
        make_hub(hub, Path(folder))
        (Path(folder) / "truth").mkdir()
        truth = run(hub, Path(folder) / "truth")
        print(f"the truth: {truth}", flush=True)
        for number in range(parsed.rounds):
            began, fault = time.monotonic(), draw(number, parsed.seed)
            with TemporaryDirectory(dir=folder) as place:
                what, wrong = play(hub, Path(place), fault, truth, offline=number % 2 == 0)
            table[fault.way]["WRONG" if wrong else what] += 1
            bad += bool(wrong)
            print(f"{number}: {fault}: {what} {'; '.join(wrong)} ({time.monotonic() - began:.0f} s)", flush=True)
    columns = sorted({name for row in table.values() for name in row})
    print("\n| fault | " + " | ".join(columns) + " |\n|---|" + "--:|" * len(columns))
    for way, row in sorted(table.items()):
        print(f"| {way} | " + " | ".join(str(row[name]) for name in columns) + " |")
    print(f"{bad} rounds with a wrong or lost number")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
