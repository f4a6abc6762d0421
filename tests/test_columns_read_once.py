"""Columns read once: the same values as the library's own, however they are asked for."""

from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from datasets.arrow_dataset import Column
from hypothesis import given
from hypothesis import strategies as st

from touchstone.seams import columns_read_once

ROWS = [{"text": f"text {number}", "label": number % 3, "tags": [{"at": number}]} for number in range(7)]


def both(ask: Any) -> tuple[Any, Any]:
    dataset = Dataset.from_list(ROWS)
    plain = ask(dataset)
    with columns_read_once():
        return plain, ask(dataset)


@pytest.mark.parametrize(
    "ask",
    [
        lambda d: list(d["text"]),
        lambda d: [d["label"][index] for index in range(7)],
        lambda d: d["text"][-1],
        lambda d: d["text"][2:5],
        lambda d: d["text"][[4, 0, 4]],
        lambda d: d["text"][np.int64(3)],
        lambda d: d["label"][np.array([1, 2])],
        lambda d: np.asarray(d["label"]).tolist(),
        lambda d: len(d["label"]),
        lambda d: list(d.select([3, 1])["text"]),
        lambda d: list(d.filter(lambda row: row["label"] == 1)["text"]),
        lambda d: list(d.rename_column("text", "sentence")["sentence"]),
        lambda d: [float(value) for value in d.with_format("numpy")["label"]],
        lambda d: list(d.with_transform(lambda rows: {"text": [t.upper() for t in rows["text"]]})["text"]),
    ],
)
def test_values_are_the_librarys(ask: Any) -> None:
    plain, once = both(ask)
    assert plain == once


def test_a_wrong_index_is_still_an_error() -> None:
    dataset = Dataset.from_list(ROWS)
    with columns_read_once(), pytest.raises(IndexError):
        dataset["text"][7]


def test_a_changed_list_changes_no_later_one() -> None:
    dataset = Dataset.from_list(ROWS)
    with columns_read_once():
        dataset["text"][:].append("mine")
        assert len(dataset["text"]) == len(list(dataset["text"])) == 7


def test_the_library_is_as_before_afterwards() -> None:
    get, walk = Column.__getitem__, Column.__iter__
    with columns_read_once():
        assert Column.__getitem__ is not get
    with pytest.raises(IndexError), columns_read_once():
        Dataset.from_list(ROWS)["text"][7]
    assert (Column.__getitem__, Column.__iter__) == (get, walk)


@given(st.lists(st.integers(-7, 6)))
def test_any_indices(chosen: list[int]) -> None:
    dataset = Dataset.from_list(ROWS)
    with columns_read_once():
        assert [dataset["text"][index] for index in chosen] == [ROWS[index]["text"] for index in chosen]


def test_a_column_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Dataset.from_list(ROWS)
    decoded: list[object] = []
    original = Column.__getitem__

    def note(self: Column, key: Any) -> Any:
        decoded.append(key)
        return original(self, key)

    monkeypatch.setattr(Column, "__getitem__", note)
    with columns_read_once():
        for index in range(7):
            assert dataset["label"][index] == index % 3
    assert decoded == [slice(None)]
