"""A reduced simulation of releases: the gate's promises, with room for chance. The whole one is run by hand."""

import pytest

from tests.benchmarks.simulate_gate import CHANGES, Scenario, operating_characteristics

RUNS = 30
SHARE, DEVIATION = CHANGES["20 % changed"]


@pytest.mark.parametrize(
    ("scenario", "word", "smallest", "largest"),
    [
        (Scenario(share=SHARE, deviation=DEVIATION), "FAIL", 0.0, 0.20),
        (Scenario(share=SHARE, deviation=DEVIATION, loss=0.005), "PASS", 0.0, 0.20),
        (Scenario(share=SHARE, deviation=DEVIATION, loss=0.01), "FAIL", 0.95, 1.0),
        (Scenario(share=SHARE, deviation=DEVIATION, loss=0.03, only_one=True), "red", 0.9, 1.0),
    ],
    ids=["no change rarely fails", "half a point rarely passes", "one point is caught", "one bad task is caught"],
)
def test_simulated_releases(scenario: Scenario, word: str, smallest: float, largest: float) -> None:
    rates = operating_characteristics(scenario, RUNS)
    assert smallest <= rates[word] <= largest
