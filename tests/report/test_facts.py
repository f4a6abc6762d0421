from dataclasses import replace

from tests.builders import DATA_REVISION, make_row
from tests.report.suites import evidence, judged, shown
from touchstone.records.verdicts import Terms
from touchstone.report.cards import facts

TERMS = Terms(
    against="released",
    model="org/released",
    margin=0.01,
    alpha=0.05,
    gated=12,
    differences=("dtype is a here and b there",),
)


def test_a_comparison_is_told_by_name() -> None:
    found = dict(
        facts(
            judged(
                "STS13",
                -0.1,
                "regressed",
                terms=TERMS,
                chance=0.0,
                dataset_revision=DATA_REVISION,
                shown=replace(shown(), losers=40, gainers=15),
            )
        )
    )

    assert found["score"] == "70.00 cosine_spearman"
    assert found["baseline"] == "80.00, released"
    assert found["Δ"] == "−10.00"
    assert found["95 % interval"] == "−10.80 to −9.20"
    assert found["p"] == "0.0001, below 0.0021 (0.025 shared among 12 cases)"
    assert found["could detect"] == "a loss of 1.20"
    assert found["margin"] == "1.00"
    assert found["guessing scores"] == "0.00"
    assert found["samples"] == "500, 60 changed: 40 lost, 15 gained, 5 worth the same"
    assert found["settings"] == "dtype is a here and b there"
    assert found["data revision"] == DATA_REVISION


def test_draws_are_compared_by_their_score_alone() -> None:
    row = judged("A", -0.1, "regressed", type="Clustering", rule="threshold", n=10, evidence=evidence(-0.1, changed=10))
    found = dict(facts(row))

    assert found["draws"] == "10, 10 changed"
    assert found["margin"] == "1.00"
    assert not {"p", "95 % interval", "could detect", "samples"} & found.keys()


def test_a_gain_and_a_repetition_have_no_p_of_a_loss() -> None:
    assert "p" not in dict(facts(judged("A", 0.1, "improved")))
    repeated = dict(facts(judged("A", -0.1, "drifted", rule="reproduce")))
    assert not {"p", "could detect", "margin"} & repeated.keys()
    assert "95 % interval" in repeated


def test_what_is_not_known_is_no_fact() -> None:
    assert facts(make_row(languages=())) == []
    assert facts(make_row(languages=(), texts=5)) == [("texts", "5 asked")]
