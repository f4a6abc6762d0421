from typing import Any

from tests.benchmarks.compare_runs import cases, differences


def run(**fields: Any) -> dict[str, Any]:
    row = {"case": "m:T", "score": 0.5, "verdict": "unresolved", "seconds": 3.0, **fields}
    return {"records": [row], "suites": [{"model": "m", "verdict": "PASS"}]}


def test_times_and_renamed_words_may_differ_and_scores_may_not() -> None:
    renamed = [("unresolved", "inconclusive")]
    before = cases(run(), renamed)
    assert differences(before, cases(run(verdict="inconclusive", seconds=9.0), [])) == []
    assert differences(before, cases(run(verdict="inconclusive", score=0.50001), [])) == ["m:T: score: 0.5 -> 0.50001"]
    assert differences(before, {}) == ["m:T: only on one side", "suite m: only on one side"]
