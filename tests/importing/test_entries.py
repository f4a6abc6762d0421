import math
from statistics import fmean
from typing import Any

import pytest

from touchstone.errors import BaselineError
from touchstone.importing.entries import (
    NO_SCORE,
    NO_SUCH_STRATUM,
    NOT_A_NUMBER,
    NOT_THE_MEAN,
    SOME_STRATA,
    TWO_REVISIONS,
    Note,
    Published,
    known_revision,
    make_entries,
    require_entries,
)
from touchstone.records.baselines import Baseline
from touchstone.records.outcomes import Measurement
from touchstone.tasks.definitions import define_task, find_aggregates

FORUMS = find_aggregates()["CQADupstackRetrieval"]


def publish(name: str, stratum: str = "test/default", **changes: Any) -> Published:
    task = define_task(name)
    assert task is not None
    split, _, subset = stratum.partition("/")
    defaults: dict[str, Any] = {"metrics": [("ndcg_at_10", 0.5)], "where": "there"}
    return Published(task=task, split=split, subset=subset, **defaults | changes)


def publish_sts(stratum: str, score: float, **changes: Any) -> Published:
    return publish("STS17", stratum, metrics=[("cos_sim_spearman", score)], **changes)


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("None", None),
        (None, None),
        ("", None),
        ("1", None),
        (1, None),
        ("1.0.0", None),
        ("external", None),
        ("no_revision_available", None),
        ("b0fddb56ed78048fa8b90373c8a3cfc37b684831", "b0fddb56ed78048fa8b90373c8a3cfc37b684831"),
        (1234567, "1234567"),
        ("main", "main"),
    ],
)
def test_a_revision_that_names_nothing_is_unknown(said: object, known: str | None) -> None:
    assert known_revision(said) == known


def test_the_score_is_the_mean_over_the_strata_there_are_and_the_rest_is_told() -> None:
    rows = [publish_sts("test/en-en", 0.75), publish_sts("test/ko-ko", 0.25), publish_sts("dev/en-en", 0.9)]
    entries, notes = make_entries([*rows, publish_sts("test/xx-xx", 0.9)], "card:x")
    assert entries["STS17"] == Baseline(
        measurement=Measurement(metric="cosine_spearman", score=0.5, subsets={"test/en-en": 0.75, "test/ko-ko": 0.25}),
        source="card:x",
    )
    assert notes == [
        Note(reason=NO_SUCH_STRATUM, what="STS17 dev/en-en"),
        Note(reason=NO_SUCH_STRATUM, what="STS17 test/xx-xx"),
        Note(reason=SOME_STRATA, what="STS17 (test/en-en, test/ko-ko of 11)"),
    ]


def test_the_order_of_rows_does_not_matter() -> None:
    rows = [publish("NFCorpus"), publish_sts("test/en-en", 0.7), publish_sts("test/ko-ko", 0.2), publish("SciFact")]
    assert make_entries(rows, "x")[0] == make_entries(rows[::-1], "x")[0]


def test_what_has_no_score_of_today_is_told_and_not_taken() -> None:
    rows = [
        publish("NFCorpus", metrics=[("map_at_10", 0.5)]),
        publish("SciFact", metrics=[("ndcg_at_10", math.nan)]),
        publish("ArguAna"),
    ]
    entries, notes = make_entries(rows, "x")
    assert list(entries) == ["ArguAna"]
    assert notes == [
        Note(reason=f"{NO_SCORE} (ndcg_at_10)", what="NFCorpus test/default"),
        Note(reason=NOT_A_NUMBER, what="SciFact test/default"),
    ]
    with pytest.raises(BaselineError, match=r"^f: has no score of a task of mteb: NFCorpus test/default: without"):
        require_entries({}, notes, "f")


def test_a_pair_task_keeps_the_cosines_ap_where_every_stratum_has_it() -> None:
    both = [("max_ap", 0.9), ("cos_sim_ap", 0.8)]
    entries, _ = make_entries([publish("TwitterURLCorpus", metrics=both)], "x")
    assert entries["TwitterURLCorpus"].metric == "max_ap"
    assert entries["TwitterURLCorpus"].metrics == {"cosine_ap": {"test/default": 0.8}}
    rows = [publish("RTE3", "test/de", metrics=both), publish("RTE3", "test/fr", metrics=both[:1])]
    assert make_entries(rows, "x")[0]["RTE3"].metrics == {}


def test_provenance_is_kept_where_it_is_one() -> None:
    one = publish_sts("test/en-en", 0.5, dataset_revision="a" * 40, mteb="1.2.3-1.4.0")
    other = publish_sts("test/ko-ko", 0.5, dataset_revision="b" * 40, mteb="1.2.3-1.4.0")
    entries, _ = make_entries([one], "x")
    assert (entries["STS17"].dataset_revision, entries["STS17"].env) == ("a" * 40, {"mteb": "1.2.3-1.4.0"})
    entries, notes = make_entries([one, other], "x")
    assert entries["STS17"].dataset_revision is None
    assert Note(reason=TWO_REVISIONS, what="STS17") in notes


def test_all_parts_of_an_aggregate_give_its_own_entry() -> None:
    scores = [number / 20 for number in range(1, 13)]
    rows = [publish(name, metrics=[("ndcg_at_10", score)]) for name, score in zip(FORUMS, scores, strict=True)]
    entries, notes = make_entries(rows, "x")
    assert set(entries) == {*FORUMS, "CQADupstackRetrieval"}
    assert entries["CQADupstackRetrieval"].subsets == {"test/default": pytest.approx(fmean(scores))}
    assert notes == []
    assert set(make_entries(rows[1:], "x")[0]) == set(FORUMS[1:])


def test_an_aggregates_own_number_is_taken_and_a_contradiction_is_told() -> None:
    rows = [publish(name) for name in FORUMS]
    close = publish("CQADupstackRetrieval", metrics=[("ndcg_at_10", 0.50004)])
    entries, notes = make_entries([*rows, close], "x")
    assert (entries["CQADupstackRetrieval"].score, notes) == (0.50004, [])
    far = publish("CQADupstackRetrieval", metrics=[("ndcg_at_10", 0.51)])
    entries, notes = make_entries([*rows, far], "x")
    assert entries["CQADupstackRetrieval"].score == 0.51
    assert notes == [Note(reason=NOT_THE_MEAN, what="CQADupstackRetrieval (0.5100, the mean 0.5000)")]
