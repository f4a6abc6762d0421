"""Every input is in one batch; whatever was answered is kept."""

import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone.models.api.batches import Batch, ask_batches, make_batches


@given(st.lists(st.integers(0, 100)), st.integers(1, 8), st.integers(1, 200))
def test_batches_hold_every_input_once_and_no_more_than_fits(lengths: list[int], most: int, characters: int) -> None:
    batches = make_batches(lengths, size=most, characters=characters)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= most
        assert len(batch) == 1 or sum(lengths[place] for place in batch) <= characters
    for one, after in pairwise(batches):
        full = len(one) == most or sum(lengths[place] for place in [*one, after[0]]) > characters
        assert full, "a batch has room for the next input"
        assert min(lengths[place] for place in one) >= max(lengths[place] for place in after)


def test_so_many_are_asked_at_once_and_no_more() -> None:
    together = threading.Barrier(3, timeout=30)
    kept: list[Batch] = []

    def ask(batch: Batch) -> int:
        together.wait()  # passes only when three are here; a fourth would break the next round
        return batch[0]

    batches = [[place] for place in range(9)]
    ask_batches(batches, ask, lambda batch, answer: kept.append([answer]), at_once=3, stop=threading.Event())
    assert sorted(kept) == batches


def test_the_first_failure_ends_it_and_what_was_answered_is_kept() -> None:
    answered = threading.Event()
    stop = threading.Event()
    kept: list[Batch] = []
    asked: list[Batch] = []

    def ask(batch: Batch) -> None:
        asked.append(batch)
        if batch == [0]:
            answered.wait(30)
            raise OSError("no")
        if batch == [1]:
            answered.set()
            assert stop.wait(30), "the others are told"

    with pytest.raises(OSError, match="no"):
        ask_batches([[n] for n in range(50)], ask, lambda batch, _: kept.append(batch), at_once=2, stop=stop)
    assert kept == [[1]]
    assert len(asked) < 50


def test_nothing_to_ask_is_no_trouble() -> None:
    ask_batches([], lambda batch: None, lambda batch, answer: None, at_once=2, stop=threading.Event())
