from dataclasses import replace

import pytest

from tests.builders import make_row
from tests.report.suites import evidence, judged
from touchstone.judging.overall import judge_models
from touchstone.records.runs import Record
from touchstone.records.verdicts import Anchored, Terms
from touchstone.report.cards import Card, called, count_verdicts, make_card

TERMS = Terms(against="released", model="org/released", margin=0.01, alpha=0.05, gated=2)


def card(*records: Record) -> Card:
    (suite,) = judge_models(records)
    return make_card(suite, records, 0.1)


def test_a_card_says_against_what_and_what_differs() -> None:
    found = card(
        judged("a", -0.1, "regressed", terms=replace(TERMS, differences=("dimension is 1 here and 2 there",))),
        judged("b", 0.0, "pass", terms=replace(TERMS, differences=("dimension is 1 here and 2 there",))),
    )

    assert found.against == {"released": "org/released"}
    assert found.differences == ["dimension is 1 here and 2 there"]
    assert found.rests == "2 compared sample by sample"
    assert found.rules[-1].startswith(
        "All together fail when a case is red, or when the mean over them lost 0.50 points or more"
    )


def test_cases_that_say_little_are_named() -> None:
    found = card(
        judged("a", 0.0, "pass", chance=0.9),
        judged("b", 0.0, "pass", chance=0.79),
        judged("c", 0.0, "pass", chance=0.1),
    )

    assert found.guessing == {"below what guessing gets": ["a"], "close to what guessing gets": ["b"]}


def test_a_card_of_a_run_from_before_terms_were_kept_has_no_rule() -> None:
    found = card(judged("a", 0.0, "pass", terms=None))

    assert (found.against, found.differences, found.rules) == ({}, [], ())


def test_verdicts_are_counted_and_the_worst_come_first() -> None:
    rows = [
        judged("a", 0.0, "pass"),
        judged("b", 0.0, "inconclusive"),
        judged("c", 0.0, "regressed"),
        judged("d", 0.0, "inconclusive"),
        make_row(outcome="error"),
    ]

    assert list(count_verdicts(rows).items()) == [("regressed", 1), ("error", 1), ("inconclusive", 2), ("pass", 1)]


def test_an_alias_is_told_from_the_option_that_it_stands_for() -> None:
    row = make_row(command="pytest evals --model minilm@truncate_dim=128 --task STS13 --against minilm")

    assert called("minilm+truncate_dim-128", [make_row(), row]) == "minilm@truncate_dim=128"
    assert called("minilm@truncate_dim=128", [row]) is None
    assert called("m", [make_row(command="pytest evals --model 'my model' --task a")]) == "my model"
    assert called("m", [make_row(command="pytest evals --task 'it")]) is None


@pytest.mark.parametrize(
    ("option", "alias", "told"),
    [
        ("minilm@dim=128", "minilm+dim-128", True),
        ("../models/acme", "acme", False),
        ("org/acme", "acme", False),
        ("../m=acme", "acme", False),
    ],
)
def test_a_card_tells_an_option_only_where_its_alias_is_another_word(option: str, alias: str, told: bool) -> None:
    found = card(judged("a", 0.0, "pass", alias=alias, command=f"pytest evals --model {option} --task a"))

    assert found.called == (option if told else None)


@pytest.mark.parametrize(
    ("anchored", "share"), [(False, "half of α"), (True, "a quarter, as its anchors are judged too, of α")]
)
def test_the_rule_of_the_mean_says_how_much_of_alpha_it_has(anchored: bool, share: str) -> None:
    since = Anchored(baseline=0.8, delta=0.0, word="pass", evidence=evidence(0.0)) if anchored else None
    rule = card(*(judged(task, 0.0, "pass", anchor=since) for task in "ab")).rules[-1]

    assert f"its p is below {0.013 if anchored else 0.025}: {share}, the rate of false alarms (0.05)" in rule
