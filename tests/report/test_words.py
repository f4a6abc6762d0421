from dataclasses import replace

import pytest

from tests.builders import make_row
from tests.report.suites import evidence, judged
from touchstone.records.runs import Record
from touchstone.records.verdicts import Terms
from touchstone.report.words import clauses, explain, margins, near_guessing, rules, sentence, threshold

TERMS = Terms(against="released", model="org/released", margin=0.01, alpha=0.05, gated=12)


def inconclusive(delta: float, p: float, *, error: float = 0.004, reason: str = "f1 what it was") -> Record:
    found = evidence(delta, error=error, p=p)
    return judged("Tatoeba", delta, "inconclusive", evidence=found, terms=TERMS, reason=reason)


def test_the_rule_is_told_with_the_numbers_of_the_run() -> None:
    paired, by_score = judged("STS13", -0.1, "regressed", terms=TERMS), judged("Arxiv", 0.0, "pass", rule="threshold")

    (line,) = rules([paired])
    assert "lost the margin (1.00 point) or more" in line
    assert "is below 0.0042 (0.05 shared among 12 cases)" in line
    assert "within the margin with 95 % confidence" in line
    assert len(rules([paired, by_score])) == 2
    assert rules([make_row()]) == []
    assert threshold(replace(TERMS, gated=1)) == "0.05"


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
    assert "p = 0.0055 is not below 0.0042 (0.05 shared among 12 cases)" in text


@pytest.mark.parametrize(("delta", "p", "error"), [(-0.04, 0.06, 0.03), (-0.009, 0.0055, 0.003), (-0.04, 0.004, 0.01)])
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

    assert few.startswith("What to do: add a larger or a second data set of this kind, allow STS a wider margin")
    assert fitted.startswith("What to do: add a second data set of this kind, ")


def test_a_clustering_is_judged_by_its_score_and_nothing_else_is_said() -> None:
    row = judged("Arxiv", -0.1, "regressed", type="Clustering", rule="threshold", n=10)

    assert explain(row) == [
        "Judged by its score alone, as its 10 draws are too few to test: it lost more than the margin."
    ]
    assert "no more than" in explain(replace(row, verdict="pass", outcome="passed"))[0]


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
    drawn = judged("A", -0.1, "regressed", type="Clustering", rule="threshold", reason="v 1; 10 draws tell little")
    assert clauses(drawn) == ""


@pytest.mark.parametrize(("text", "found"), [("", ""), ("a b", "A b."), ("Done.", "Done."), ("why?", "Why?")])
def test_a_sentence_begins_large_and_ends(text: str, found: str) -> None:
    assert sentence(text) == found
