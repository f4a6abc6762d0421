"""Runs to render: one small with every kind of verdict, and one larger than any benchmark."""

import random
from dataclasses import replace
from typing import Any

from tests.builders import make_row, make_run
from touchstone.judging.overall import judge_models
from touchstone.records.examples import Document, Example, Shown
from touchstone.records.runs import Record, Run
from touchstone.records.verdicts import Anchored, Evidence, Rule, Slice, Terms, VerdictWord

TYPES = ("Retrieval", "STS", "Classification", "Clustering", "Reranking", "BitextMining")
WORDS: tuple[VerdictWord, ...] = ("pass", "pass", "regressed", "inconclusive", "improved", "drifted", "missing")


def evidence(delta: float, *, error: float = 0.004, n: int = 500, changed: int = 60, p: float = 0.02) -> Evidence:
    return Evidence(
        error=error,
        degrees=n - 1.0,
        interval=(delta - 2 * error, delta + 2 * error),
        p=p,
        n=n,
        changed=changed,
        detectable=3 * error,
    )


def judged(task: str, delta: float, word: VerdictWord, **changes: Any) -> Record:
    """Make the record of a case that was compared by pairs."""
    rule: Rule = "paired"
    defaults: dict[str, Any] = {
        "outcome": "passed" if word in ("pass", "improved", "inconclusive") else "failed",
        "score": 0.8 + delta,
        "baseline": 0.8,
        "delta": delta,
        "n": 500,
        "verdict": word,
        "rule": rule,
        "reason": f"ndcg_at_10 is what it is in {task}",
        "evidence": evidence(delta, p=1e-4 if word == "regressed" else 0.02),
        "terms": Terms(against="released", model="org/released", margin=0.01, alpha=0.05, gated=5),
        "texts": 1000,
        "encoded": 900,
        "phases": {"model": 1.0, "encode": 2.5},
        "device": "cpu",
        "command": f"pytest evals --model minilm --task {task}",
    }
    return make_row(task, **defaults | changes)


PLANTED = '<script>document.title = "planted"</script><img src="https://example.org/x.png" onerror="planted()">'


def shown(lost: int = 2, gained: int = 1, *, length: int = 40) -> Shown:
    """Make samples that changed, of a retrieval task; their texts try to be markup."""

    def example(number: int, before: float, after: float) -> Example:
        document = Document(id=f"d{number}", text=f"{PLANTED} {'d' * length}", relevant=True, before=1, after=None)
        other = Document(id="other", text="another document", relevant=False, before=None, after=1)
        texts = {"query": f"{PLANTED} {'q' * length}"}
        return Example(
            id=f"q{number}",
            stratum="test/default",
            before=before,
            after=after,
            texts=texts,
            documents=(other, document),
        )

    return Shown(
        measure="ndcg_at_10",
        lost=tuple(example(i, 1.0, 0.25) for i in range(lost)),
        gained=tuple(example(100 + i, 0.0, 0.5) for i in range(gained)),
    )


SLICES = (
    Slice(field="language", value="deu", n=300, score=0.77, baseline=0.8, interval=(-0.05, -0.01)),
    Slice(field="length", value="<script>planted()</script>", n=200, score=0.79, baseline=0.78),
)
OLDER = Anchored(baseline=0.805, delta=-0.025, word="inconclusive", recorded="2024-05-06", evidence=evidence(-0.025))

SMALL = (
    judged("NFCorpus", -0.1, "regressed", type="Retrieval", metric="ndcg_at_10", shown=shown()),
    judged("SciFact", 0.02, "improved", type="Retrieval", metric="ndcg_at_10", limit=100),
    judged("STS13", -0.01, "inconclusive"),
    judged("STS14", -0.02, "inconclusive", suspect=True, slices=SLICES, anchor=OLDER),
    judged("STS16", 0.0, "pass", languages=("deu",)),
    make_row("XNLI", type="PairClassification", metric="max_ap", outcome="error", error="CUDA | out of <memory>"),
    make_row("Tatoeba", alias="jina", type="BitextMining", metric="f1", outcome="not measured"),
)


def small_run() -> Run:
    return _judge(make_run(*SMALL))


def large_run(cases: int = 1500, *, seed: int = 0, length: int = 40) -> Run:
    """Make a run of so many cases, of three models, with texts of that many characters."""
    chosen = random.Random(seed)
    rows = []
    for number in range(cases):
        delta = chosen.gauss(0, 0.02)
        alias = f"a-model-with-quite-a-long-name-{number % 3}"
        rows.append(
            judged(
                f"SomeRatherLongTaskName{number:04}",
                delta,
                chosen.choice(WORDS),
                alias=alias,
                type=TYPES[number % len(TYPES)],
                shown=shown(5, 5, length=length),
                reason="ndcg_at_10 is not what it was | " + "because of this <b>and</b> that, " * 10,
            )
        )
    return _judge(make_run(*rows))


def _judge(run: Run) -> Run:
    return replace(run, suites=judge_models(run.records), commit="0123456789ab")
