"""A reduced simulation of releases: the gate's promises, with room for chance. The whole one is run by hand."""

import pytest
from scipy.stats import binomtest

from tests.benchmarks.simulate_gate import (
    Condition,
    bound,
    conditions,
    draw_block,
    is_settled,
    main,
    render,
    simulate,
)

CONDITIONS = {condition.name: condition for condition in conditions()}


@pytest.mark.parametrize(
    ("name", "event", "releases", "smallest", "largest"),
    [
        ("20 % changed: nothing", "FAIL", 20, 0.0, 0.20),
        ("20 % changed: -0.5 everywhere", "PASS", 20, 0.0, 0.20),
        ("20 % changed: -1 everywhere", "FAIL", 20, 0.95, 1.0),
        ("20 % changed: one task at -3", "a case red", 20, 0.9, 1.0),
        ("40 tasks in 8 jobs", "k of the job, merged: FAIL", 20, 0.0, 0.20),
        ("shared texts, ρ = 0.3, n = 300", "nothing: FAIL", 30, 0.0, 0.20),
        ("rare loss, n = 300", "the case passes", 200, 0.0, 0.10),
        ("rare gain, n = 100", "regressed, k = 41", 200, 0.0, 0.02),
        ("small stratum, 2 % lost", "k = 5: PASS", 50, 0.0, 0.20),
        ("ten times -0.3, 3 % changed", "ten in a row without FAIL", 50, 0.0, 0.0),
        ("two splits share the draws", "loss, p < 5 %", 200, 0.01, 0.12),
        ("pairs share texts, n = 100", "loss, p < 5 %", 200, 0.01, 0.12),
        ("12 paragraphs of 5 queries", "loss, p < 5 %", 200, 0.01, 0.12),
        ("AP, 30% positives, n = 100", "gain, p < 5 %", 200, 0.0, 0.20),
    ],
)
def test_simulated_releases(name: str, event: str, releases: int, smallest: float, largest: float) -> None:
    found = simulate(CONDITIONS[name], releases, seed=0)[event]
    assert smallest <= sum(found) / len(found) <= largest


def test_the_error_of_many_strata_that_share_draws_is_the_true_one() -> None:
    found = dict(draw_block(CONDITIONS["12 strata share the draws"], 0, 0))
    assert found["true error over ours"] == pytest.approx(1, abs=0.25)


def test_every_condition_has_a_name_of_its_own_and_the_seed_decides() -> None:
    assert len(CONDITIONS) == len(conditions())
    condition = CONDITIONS["12 strata share the draws"]
    one, two, other = draw_block(condition, 0, 1), draw_block(condition, 0, 1), draw_block(condition, 1, 1)
    assert one == two
    assert one != other


@pytest.mark.parametrize(("hits", "n"), [(0, 400), (20, 400), (400, 400)])
def test_the_bound_of_a_rate_is_that_of_clopper_and_pearson(hits: int, n: int) -> None:
    assert bound(hits, n, 0.95) == pytest.approx(binomtest(hits, n).proportion_ci(0.90).high)


def test_a_condition_ends_early_only_where_nothing_is_in_doubt() -> None:
    limited = Condition(name="x", draw=CONDITIONS["rare loss, n = 100"].draw, limits={"bad": 5.0})
    assert is_settled(limited, {"bad": [False] * 400})
    assert not is_settled(limited, {"bad": [True] * 16 + [False] * 384})
    assert is_settled(limited, {"bad": [True] * 60 + [False] * 340})


@pytest.mark.parametrize(
    ("bad", "n", "word"), [(190, 4000, "yes"), (216, 4000, "open"), (240, 4000, "NO"), (2, 40, "open")]
)
def test_a_line_tells_whether_a_limit_is_met(bad: int, n: int, word: str) -> None:
    limited = Condition(name="x", draw=CONDITIONS["rare loss, n = 100"].draw, limits={"bad": 5.0})
    (line,) = render(limited, {"bad": [True] * bad + [False] * (n - bad)})
    assert line.split()[-1] == word


def test_the_command_prints_the_conditions_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--releases", "40", "--only", "rare gain, n = 100", "--jobs", "1"])
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()[2:]] == ["rare gain, n = 100"]
