import time
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics.weighting import check_weights, samples
from touchstone.metrics import bitext

sentences = st.integers(0, 6)


@given(samples(sentences, sentences))
def test_f1_equals_the_weighted_f1_of_scikit_learn(drawn: Any) -> None:
    expected = sklearn.metrics.f1_score(*drawn[0], average="weighted", zero_division=0)
    assert bitext.f1(*drawn[0]) == pytest.approx(expected)


@given(samples(sentences, sentences))
def test_matches_take_weights_as_copies(drawn: Any) -> None:
    check_weights(bitext.f1, *drawn)


@given(samples(sentences, sentences), st.permutations(range(7)))
def test_renumbering_the_sentences_changes_nothing(drawn: Any, renumbered: list[int]) -> None:
    gold, predicted = (np.array(renumbered)[column] for column in drawn[0])
    assert bitext.f1(gold, predicted) == pytest.approx(bitext.f1(*drawn[0]))


def test_50_000_sentences_are_fast() -> None:
    gold = np.arange(50_000)
    predicted = np.random.default_rng(0).integers(0, 50_000, 50_000)
    started = time.process_time()
    bitext.f1(gold, predicted)
    assert time.process_time() - started < 1
