"""What the scores of a cross-encoder must be to be believed."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch.utils.data import DataLoader

from touchstone.encoding.meter import Meter
from touchstone.encoding.reranker import MtebReranker
from touchstone.errors import ModelError

PAIRS = 30


def watch(give: Callable[[int], Any], pairs: int = PAIRS) -> tuple[MtebReranker, Any]:
    """Watch a reranker that gives what it is told to, and ask it for scores."""
    inner: Any = SimpleNamespace(score=lambda pairs, **_: give(len(pairs)))
    meta: Any = "meta"
    watched = MtebReranker(inner, meta, Meter(), prompt="judge: ")
    loader: Any = DataLoader(cast("Any", Dataset.from_dict({"text": ["x"] * pairs})))
    task: Any = None
    return watched, watched.predict(loader, loader, task_metadata=task, hf_split="test", hf_subset="default")


def healthy(count: int) -> Any:
    return np.linspace(-3, 3, count, dtype=np.float32)


def spoilt(value: float) -> Callable[[int], Any]:
    def give(count: int) -> Any:
        scores = healthy(count)
        scores[count // 2] = value
        return scores

    return give


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, lambda v: torch.as_tensor(v).bfloat16()])
def test_one_score_that_is_no_number_is_an_error(value: float, kind: Any) -> None:
    with pytest.raises(ModelError, match=r"^the model returned scores that are NaN or infinite; check the weights"):
        watch(lambda count: kind(spoilt(value)(count)))


@pytest.mark.parametrize("shape", [(PAIRS - 1,), (PAIRS + 1,), (PAIRS, 3), (0,), (1, PAIRS)])
def test_another_shape_than_one_score_for_a_pair_is_an_error(shape: tuple[int, ...]) -> None:
    said = " × ".join(map(str, shape))
    with pytest.raises(ModelError, match=rf"^the model returned {said} scores for {PAIRS} pairs$"):
        watch(lambda _: np.ones(shape))


def test_the_same_score_for_every_pair_is_a_broken_model() -> None:
    watched, _ = watch(lambda count: np.full(count, 0.5))
    with pytest.raises(ModelError, match=rf"^the model gives each of {PAIRS} pairs the same score, 0\.5; check the we"):
        watched.check_spread()


def test_a_few_pairs_may_be_alike() -> None:
    watched, _ = watch(lambda count: np.full(count, 0.5), pairs=9)
    watched.check_spread()


def test_healthy_scores_pass_through_untouched_and_are_counted() -> None:
    watched, scores = watch(healthy)
    np.testing.assert_array_equal(scores, healthy(PAIRS))
    watched.check_spread()
    assert watched.texts == PAIRS
    assert watched.prompts == {"query": ("judge: ",)}
