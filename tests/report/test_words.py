from dataclasses import replace

import pytest

from tests.builders import make_row
from tests.report.suites import evidence, judged
from touchstone.records.runs import Record
from touchstone.records.verdicts import Anchored, Terms
from touchstone.report.words import clauses, explain, margins, near_guessing, rules, sentence, threshold

TERMS = Terms(against="released", model="org/released", margin=0.01, alpha=0.05, gated=12)


def inconclusive(delta: float, p: float, *, error: float = 0.004, reason: str = "f1 what it was") -> Record:
    found = evidence(delta, error=error, p=p)
    return judged("Tatoeba", delta, "inconclusive", evidence=found, terms=TERMS, reason=reason)


def test_the_rule_is_told_with_the_numbers_of_the_run() -> None:
    paired, by_score = judged("STS13", -0.1, "regressed", terms=TERMS), judged("Arxiv", 0.0, "pass", rule="threshold")

    (line,) = rules([paired])
    assert "lost the margin (1.00 point) or more" in line
    assert "is below 0.0021 (0.025 shared among 12 cases)" in line
    assert "within the margin with 95 % confidence" in line
    assert len(rules([paired, by_score])) == 2
    assert rules([make_row()]) == []
    assert threshold(replace(TERMS, gated=1)) == "0.025"


def test_margins_are_told_by_type_where_they_differ() -> None:
    rows = [
        judged("a", 0.0, "pass", type="STS", terms=TERMS),
        judged("b", 0.0, "pass", type="Retrieval", terms=TERMS),
        judged("c", 0.0, "pass", type="Clustering", terms=replace(TERMS, margin=0.02)),
    ]

    assert margins(rows[:2]) == "1.00 point"
    assert margins(rows) == "1.00 point for Retrieval and STS, 2.00 points for Clustering"


def test_a_loss_that_only_the_number_of_cases_excuses_is_told_so() -> None:
    text = " ".join(explain(inconclusive(-0.04, 0.0055, error=0.01)))

    assert "Alone it would count as a loss; among 12 cases chance could explain it" in text
    assert "p = 0.0055 is not below 0.0021 (0.025 shared among 12 cases)" in text


@pytest.mark.parametrize(("delta", "p", "error"), [(-0.04, 0.03, 0.03), (-0.009, 0.0055, 0.003), (-0.04, 0.002, 0.01)])
def test_other_inconclusive_cases_are_not_called_a_loss(delta: float, p: float, error: float) -> None:
    text = " ".join(explain(inconclusive(delta, p, error=error)))

    assert "Alone it would" not in text
    assert "can be neither shown nor ruled out" in text
    assert text.startswith("Too little evidence")
    assert ("It lost something;" in text) == (delta + 2 * error < 0)


def test_an_inconclusive_case_ends_with_what_can_be_done() -> None:
    few = explain(inconclusive(-0.01, 0.2, reason="f1; about 335 samples would settle it"))[-1]
    fitted = explain(
        inconclusive(-0.01, 0.2, reason="f1; its experiments differ, which more samples would not settle")
    )[-1]

    assert few.startswith("What to do: look at the samples that lost most")
    assert "add a larger or a second data set of this kind; or allow STS a wider margin" in few
    assert "add a second data set of this kind; or" in fitted


def test_an_interval_without_0_beside_a_large_p_is_explained() -> None:
    row = inconclusive(-0.02, 0.005)
    assert row.evidence is not None
    high = replace(row, evidence=replace(row.evidence, interval=(-0.03, -0.001), p=0.06))
    assert any("(p = 0.06, though the interval leaves out 0: p also allows for" in line for line in explain(high))
    low = replace(row, evidence=replace(row.evidence, interval=(-0.03, -0.001), p=0.02))
    assert not any("though the interval" in line for line in explain(low))


def test_a_clustering_is_judged_by_its_draws_as_they_are_called() -> None:
    row = judged("Arxiv", -0.1, "regressed", type="Clustering", rule="draws", evidence=evidence(-0.1, changed=10))

    first, second = explain(row)
    assert first == "It lost at least the margin, and more than the scatter of its draws explains."
    assert second.startswith("10 of 500 draws changed; the true change lies between ")
    assert "its draws, of which both sides have the same seeds" in rules([row])[0]


def test_what_samples_share_is_counted_beside_them() -> None:
    found = replace(evidence(-0.1), units=240)

    assert "60 of 500 samples, 240 units, changed;" in " ".join(
        explain(judged("STS13", -0.1, "regressed", evidence=found))
    )
    same = replace(found, units=500)
    assert "60 of 500 samples changed;" in " ".join(explain(judged("STS13", -0.1, "regressed", evidence=same)))


def test_a_suspect_says_what_becomes_of_the_run() -> None:
    row = replace(inconclusive(-0.04, 0.03), suspect=True)

    assert (
        explain(row)[-1]
        == "A suspect alone makes a run exit with 9, unless --inconclusive pass is typed; a FAIL makes it 1."
    )
    assert explain(row)[0] == "It lost the margin or more, and too little is known to call it worse."
    unknown = replace(row, evidence=None)
    assert explain(unknown)[0] == "Its error is not known, so nothing rules out a loss of the margin."


def test_an_anchor_is_told_with_what_may_move_it() -> None:
    anchor = Anchored(baseline=0.82, delta=-0.012, word="regressed", recorded="2026-01-31")
    text = explain(replace(judged("STS13", -0.1, "regressed"), anchor=anchor))[-1]

    assert text.startswith("Its anchor of 2026-01-31 had 82.00 (Δ −1.20).")
    assert text.endswith("only touchstone baselines anchor --move moves it.")


def test_a_loss_against_the_anchor_alone_and_an_anchor_that_cannot_be_compared_are_told_so() -> None:
    anchor = Anchored(baseline=0.82, delta=-0.02, word="regressed")
    lost = replace(judged("STS13", -0.002, "regressed", reason="f1; against its anchor: f1"), anchor=anchor)
    other = replace(judged("STS13", -0.002, "pass"), anchor=replace(anchor, delta=0.0, word="incomparable"))

    assert explain(lost)[0].startswith("It lost too much against its anchor")
    assert explain(other)[-1] == "It cannot be compared with its anchor."


def test_a_proof_of_sameness_names_its_bound() -> None:
    row = judged("STS13", 0.0, "pass", rule="equivalent", terms=replace(TERMS, bound=0.003))

    assert rules([row]) == ["A case is the same when it is proven to differ by less than 0.30."]
    assert explain(row)[0] == "It is proven the same within the bound."


@pytest.mark.parametrize(
    ("score", "baseline", "chance", "said"),
    [
        (0.61, 0.64, 0.80, "below"),
        (0.82, 0.79, 0.80, "below"),
        (0.87, 0.82, 0.80, "close"),
        (0.81, 0.90, 0.80, "close"),
        (0.83, 0.83, 0.80, None),
        (0.83, None, 0.82, "close"),
        (0.80, 0.80, None, None),
        (None, None, 0.5, None),
    ],
)
def test_a_score_near_to_guessing_is_told(
    score: float | None, baseline: float | None, chance: float | None, said: str | None
) -> None:
    found = near_guessing(make_row(score=score, baseline=baseline, chance=chance))

    assert found == {"below": "below what guessing gets", "close": "close to what guessing gets", None: None}[said]


def test_a_verdict_of_being_at_chance_says_so_itself() -> None:
    assert near_guessing(make_row(score=0.5, baseline=0.9, chance=0.5, rule="chance")) is None


def test_of_a_reason_only_what_the_facts_do_not_say_is_left() -> None:
    reason = (
        "f1 4.82, was 6.76; worst: q1 1.00 -> 0.00; about 335 samples would settle it; dimension is 1 here and 2 there"
    )
    terms = replace(TERMS, differences=("dimension is 1 here and 2 there",))
    row = judged("Tatoeba", -0.1, "inconclusive", reason=reason, terms=terms)

    assert clauses(row) == "About 335 samples would settle it."
    drifted = judged("Tatoeba", -0.1, "drifted", rule="reproduce", reason="f1 4.82, the same model may move by 0.05")
    assert clauses(drifted) == "F1 4.82, the same model may move by 0.05."
    drawn = judged("A", -0.1, "inconclusive", type="Clustering", rule="draws", reason="v 1; its draws scatter")
    assert clauses(drawn) == "Its draws scatter."
    hiding = judged("A", 0.0, "pass", reason="f1 4.82, was 4.82; could hide a loss of 3.53 in test/a, of 40 samples")
    told = "A pass with these samples could hide a loss of 3.53 in test/a, of 40 samples."
    assert clauses(hiding) == told


@pytest.mark.parametrize(("text", "found"), [("", ""), ("a b", "A b."), ("Done.", "Done."), ("why?", "Why?")])
def test_a_sentence_begins_large_and_ends(text: str, found: str) -> None:
    assert sentence(text) == found
