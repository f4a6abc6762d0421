"""Figures by a field of the samples: the same as of these samples alone, and judged by nobody."""

from typing import Any

import numpy as np
import pytest

from touchstone.judging.pairing import Paired, pair
from touchstone.judging.slicing import MAX_VALUES, OTHER_VALUES, make_slices
from touchstone.records.samples import Samples


def sides(n: int = 90, **fields: Any) -> tuple[Samples, Samples]:
    generator = np.random.default_rng(0)
    before = generator.random(n)
    make: dict[str, Any] = {
        "type": "Retrieval",
        "metric": "ndcg_at_10",
        "stratum": np.full(n, "test/default"),
        "id": np.array([f"q{number:03}" for number in range(n)]),
        "fields": fields,
    }
    after = np.clip(before + generator.normal(0, 0.1, n), 0, 1)
    return Samples(**make, value=after), Samples(**make | {"fields": {}}, value=before)


def test_each_text_is_a_slice_with_the_figures_of_its_samples_alone() -> None:
    language = np.array(["deu", "eng", "fra"] * 30)
    candidate, reference = sides(language=language)
    found = make_slices(candidate, reference, ["language"])

    assert [(one.field, one.value, one.n) for one in found] == [
        ("language", name, 30) for name in ("deu", "eng", "fra")
    ]
    rows = np.flatnonzero(language == "eng")
    alone = pair(candidate.take(rows), reference.take(rows))
    assert isinstance(alone, Paired)
    assert found[1].interval == alone.difference.interval()
    assert candidate.value is not None
    assert found[1].score == pytest.approx(float(candidate.value[rows].mean()))
    assert found[1].score - found[1].baseline == pytest.approx(alone.difference.mean)


def test_numbers_are_cut_into_thirds_and_equal_ones_stay_together() -> None:
    candidate, reference = sides(length=np.arange(90), flag=np.repeat([0, 1], [80, 10]), same=np.full(90, 7))
    found = make_slices(candidate, reference, ["length", "flag", "same"])

    assert [one.value for one in found if one.field == "length"] == ["0 to 29", "30 to 59", "60 to 89"]
    assert [(one.value, one.n) for one in found if one.field == "flag"] == [("0", 80), ("1", 10)]
    assert not [one for one in found if one.field == "same"]
    dates = make_slices(*sides(day=20240101 + np.arange(90)), ["day"])
    assert [one.value for one in dates] == ["20240101 to 20240130", "20240131 to 20240160", "20240161 to 20240190"]


def test_rare_texts_are_one_slice() -> None:
    names = np.array([f"site{min(number // 5, MAX_VALUES + 2)}" for number in range(90)])
    candidate, reference = sides(site=names)
    found = make_slices(candidate, reference, ["site"])

    assert len(found) == MAX_VALUES + 1
    assert found[-1].value == OTHER_VALUES
    assert sum(one.n for one in found) == 90


def test_a_single_sample_has_no_interval_and_an_unknown_field_no_slice() -> None:
    candidate, reference = sides(site=np.array(["a"] * 89 + ["b"]))
    found = make_slices(candidate, reference, ["site", "nothing"])

    assert [one.interval is None for one in found] == [False, True]


def test_other_samples_have_no_slices() -> None:
    candidate, reference = sides(site=np.full(90, "a"))

    assert make_slices(candidate, reference.take(np.arange(80)), ["site"]) == ()


def test_a_slice_without_a_score_is_left_out() -> None:
    gold, n = np.array([1, 0, 0, 1, 0, 0] * 10), 60
    make: dict[str, Any] = {
        "type": "PairClassification", "metric": "max_ap", "stratum": np.full(n, "t/d"), "gold": gold,
        "id": np.array([f"p{number:02}" for number in range(n)]), "fields": {"kind": np.where(gold, "yes", "no")},
    }  # fmt: skip
    scores = np.random.default_rng(0).random((n, 1))
    found = make_slices(Samples(**make, prediction=scores), Samples(**make, prediction=scores[::-1]), ["kind"])

    assert [one.value for one in found] == ["yes"]
