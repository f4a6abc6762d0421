"""How often the gate is right: simulated releases with a known true difference.

Run by hand: ``python -m tests.benchmarks.simulate_gate [RUNS]`` (a few minutes for 400). A release is 41 tasks, their
sizes log-uniform from 320 to 2 871 samples. A share of the samples changes, by a normal amount; a true loss goes
through the changed ones. Everything is judged by the real code.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.builders import compared, make_case, make_outcome, make_reference
from touchstone.judging.gate import judge
from touchstone.judging.overall import judge_models
from touchstone.judging.pairing import Paired, pair
from touchstone.records.runs import Record, make_record
from touchstone.records.samples import Samples

TASKS = 41
SMALLEST, LARGEST = 320, 2871
# Share of samples that change, and the standard deviation over all samples: bf16, fewer dimensions, another model.
CHANGES = {"3 % changed": (0.03, 0.026), "20 % changed": (0.20, 0.112), "60 % changed": (0.60, 0.271)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A kind of release: the share of samples that changes, the standard deviation, the true loss, on which tasks."""

    share: float
    deviation: float
    loss: float = 0.0
    only_one: bool = False
    heavy: bool = False
    n: int | None = None


def release(scenario: Scenario, generator: np.random.Generator) -> list[Record]:
    """Draw one release and judge it."""
    sizes = np.exp(generator.uniform(np.log(SMALLEST), np.log(LARGEST), TASKS)).astype(int)
    sizes = sizes if scenario.n is None else np.full(TASKS, scenario.n)
    median = int(np.argsort(sizes)[TASKS // 2])
    return [
        _judge(number, _differences(scenario, int(n), number == median, generator)) for number, n in enumerate(sizes)
    ]


def _differences(scenario: Scenario, n: int, chosen: bool, generator: np.random.Generator) -> Any:
    changed = generator.random(n) < scenario.share
    loss = scenario.loss if chosen or not scenario.only_one else 0.0
    spread = scenario.deviation / np.sqrt(scenario.share)
    noise = generator.standard_t(3, n) / np.sqrt(3) if scenario.heavy else generator.standard_normal(n)
    return changed * (noise * spread - loss / scenario.share)


def _judge(number: int, deltas: Any) -> Record:
    ids = np.array([f"{index:04}" for index in range(len(deltas))])
    make: dict[str, Any] = {"type": "Retrieval", "metric": "ndcg_at_10", "id": ids, "stratum": np.full(len(ids), "t/d")}
    before = np.full(len(ids), 0.5)
    paired = pair(Samples(**make, value=before + deltas), Samples(**make, value=before))
    assert isinstance(paired, Paired)
    case = make_case("Retrieval", name=f"Task{number}")
    outcome = make_outcome(0.5 + float(deltas.mean()), metric="ndcg_at_10")
    reference = make_reference(0.5, metric="ndcg_at_10")
    verdict = judge(case, outcome, compared(reference, gated=TASKS, paired=paired))
    return make_record(case, outcome, verdict, None)


def operating_characteristics(scenario: Scenario, runs: int, seed: int = 0) -> dict[str, float]:
    """Return how often a release came to each verdict, and how often any case was regressed (``red``)."""
    generator = np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    for _ in range(runs):
        records = release(scenario, generator)
        (suite,) = judge_models(records)
        counts[suite.verdict] += 1
        counts["red"] += any(record.verdict == "regressed" for record in records)
        counts["cases regressed"] += sum(record.verdict == "regressed" for record in records)
    rates = {word: counts[word] / runs for word in ("PASS", "FAIL", "INCONCLUSIVE", "red")}
    return rates | {"cases regressed": counts["cases regressed"] / runs / TASKS}


def main(runs: int) -> None:
    """Print the table."""
    print(f"{runs} releases each, {TASKS} tasks")
    print(f"{'what is true':44}{'PASS':>8}{'FAIL':>8}{'INCONCL':>9}{'a case red':>12}")
    for name, (share, deviation) in CHANGES.items():
        kinds = {
            "nothing": Scenario(share=share, deviation=deviation),
            "-0.5 point everywhere": Scenario(share=share, deviation=deviation, loss=0.005),
            "-1 point everywhere": Scenario(share=share, deviation=deviation, loss=0.01),
            "one median task at -3 points": Scenario(share=share, deviation=deviation, loss=0.03, only_one=True),
            "nothing, heavy tails": Scenario(share=share, deviation=deviation, heavy=True),
            "nothing, n = 100": Scenario(share=share, deviation=deviation, n=100),
            "-0.5 point everywhere, n = 100": Scenario(share=share, deviation=deviation, loss=0.005, n=100),
        }
        for what, scenario in kinds.items():
            rates = operating_characteristics(scenario, runs)
            cells = "".join(f"{100 * rates[word]:>{width}.1f}" for word, width in
                            (("PASS", 8), ("FAIL", 8), ("INCONCLUSIVE", 9), ("red", 12)))  # fmt: skip
            print(f"{name + ': ' + what:44}{cells}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
