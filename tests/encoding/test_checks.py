import copy
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from mteb.types import PromptType
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from tests.builders import FakeEncoder, vectors_by_text
from touchstone.encoding.encoder import MtebEncoder
from touchstone.encoding.meter import Meter
from touchstone.errors import ModelError
from touchstone.models.registry import RegistryEncoder

TEXTS = [f"text number {i}" for i in range(50)]


def watch(give: Any, *, takes: float = 0.0) -> MtebEncoder:
    """Watch an encoder that gives the same vectors whatever the texts, or what a function says."""
    return face(FakeEncoder(give if callable(give) else lambda _: give, takes=takes))


def face(encoder: FakeEncoder, told: Any = lambda _: None, **more: Any) -> MtebEncoder:
    return RegistryEncoder(encoder, encoder.mteb_model_meta, Meter(told), **more)


def encode(watched: MtebEncoder, texts: Sequence[str] = TEXTS, batch_size: int = 8, role: Any = None) -> Any:
    inputs: Any = DataLoader(cast("Any", Dataset.from_dict({"text": list(texts)})), batch_size=batch_size)
    task: Any = SimpleNamespace(type="STS")
    return watched.encode(inputs, task_metadata=task, prompt_type=role, hf_split="test", hf_subset="default")


def spoilt(value: float) -> NDArray[np.float32]:
    vectors = vectors_by_text(TEXTS)
    vectors[33, 7] = value
    return vectors


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "kind",
    [np.asarray, torch.as_tensor, lambda v: torch.as_tensor(v).bfloat16()],
    ids=["numpy", "float32 tensor", "bfloat16 tensor"],
)
def test_one_nan_or_infinite_number_is_an_error(value: float, kind: Any) -> None:
    watched = watch(kind(spoilt(value)))

    with pytest.raises(ModelError, match=r"^the model returned NaN or infinite numbers; check the weights and"):
        encode(watched)


def test_infinities_that_cancel_out_are_still_seen() -> None:
    vectors = spoilt(np.inf)
    vectors[34, 7] = -np.inf

    with pytest.raises(ModelError, match="infinite"):
        encode(watch(vectors))


@pytest.mark.parametrize("count", [0, 49, 51])
def test_another_number_of_vectors_than_texts_is_an_error(count: int) -> None:
    with pytest.raises(ModelError, match=rf"^the model returned {count} vectors for 50 texts$"):
        encode(watch(np.ones((count, 4))))


HEALTHY: dict[str, Any] = {
    "float32": vectors_by_text(TEXTS),
    "float64": vectors_by_text(TEXTS).astype(np.float64),
    "int8": (vectors_by_text(TEXTS) * 20).astype(np.int8),
    "large float16": np.abs(vectors_by_text(TEXTS) * 1000).astype(np.float16),
    "tensor": torch.as_tensor(vectors_by_text(TEXTS)),
    "half tensor": torch.as_tensor(vectors_by_text(TEXTS)).half(),
    "bfloat16 tensor": torch.as_tensor(vectors_by_text(TEXTS)).bfloat16(),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_vectors_pass_through_untouched(name: str) -> None:
    vectors = HEALTHY[name]
    before = copy.deepcopy(vectors)
    watched = watch(vectors)

    returned = encode(watched)
    watched.check_spread()

    assert returned is vectors
    assert bool((returned == before).all())


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_whatever_is_finite_and_spread_passes_through(count: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(count, 16))
    watched = watch(vectors)

    assert encode(watched, TEXTS[:count]) is vectors
    watched.check_spread()


def around_one_direction(spread: float, texts: Sequence[str] = TEXTS) -> NDArray[np.float32]:
    """Give vectors whose mean cosine is about 1 / (1 + spread²)."""
    noise = vectors_by_text(texts)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return np.asarray(np.eye(1, 16, dtype=np.float32) + spread * noise, dtype=np.float32)


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.07])
def test_collapsed_vectors_are_an_error_that_says_how_much(spread: float) -> None:
    watched = watch(around_one_direction(spread))
    encode(watched)

    with pytest.raises(
        ModelError, match=r"collapsed: 200 random pairs of different texts have a mean cosine of (0.99|1)"
    ):
        watched.check_spread()


@pytest.mark.parametrize("spread", [0.12, 0.3, 2.0])
def test_vectors_of_texts_that_are_much_alike_are_healthy(spread: float) -> None:
    watched = watch(around_one_direction(spread))
    encode(watched)

    watched.check_spread()


def test_one_text_many_times_is_no_collapse() -> None:
    watched = watch(vectors_by_text)
    encode(watched, ["the same"] * 500 + TEXTS[:20])
    encode(watched, ["the same"] * 500)

    watched.check_spread()


def test_a_collapse_is_seen_over_many_small_calls() -> None:
    watched = watch(lambda texts: around_one_direction(0.01, texts))
    for text in TEXTS:
        encode(watched, [text])

    with pytest.raises(ModelError, match="collapsed"):
        watched.check_spread()


def test_vectors_of_nothing_but_zeros_are_an_error_that_says_so() -> None:
    watched = watch(np.zeros((50, 16)))
    encode(watched)

    with pytest.raises(ModelError, match="zero"):
        watched.check_spread()


def test_texts_and_seconds_add_up_over_calls() -> None:
    watched = watch(vectors_by_text, takes=0.02)
    assert (watched.texts, watched.seconds) == (0, 0.0)

    encode(watched)
    first = watched.seconds
    encode(watched, TEXTS[:7])

    assert watched.texts == 57
    assert 0.02 <= first <= watched.seconds - 0.02


class Tiny(torch.nn.Module):
    def forward(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.nn.functional.one_hot(features["input_ids"], 8).float()


def batchwise(module: Tiny, size: int) -> FakeEncoder:
    def give(texts: Sequence[str]) -> torch.Tensor:
        lengths = torch.tensor([len(text) % 8 for text in texts])
        starts = range(0, len(lengths), size)
        return torch.cat([module({"input_ids": lengths[start : start + size]}) for start in starts])

    return FakeEncoder(give)


def test_progress_is_told_after_every_batch_of_a_call_and_never_outside_one() -> None:
    told: list[str] = []
    module = Tiny()
    watched = face(batchwise(module, 2), told.append, module=module)

    encode(watched, TEXTS[:5])
    module({"input_ids": torch.tensor([1])})
    encode(watched, TEXTS[:2])

    expected = ["2 of 5", "4 of 5", "5 of 5", "2 of 2"]
    assert told == [f"encoding, {part} texts" for part in expected]


def test_a_failing_encoder_is_watched_no_longer() -> None:
    told: list[str] = []
    module = Tiny()

    def give(texts: Sequence[str]) -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        encode(face(FakeEncoder(give), told.append, module=module))
    module({"input_ids": torch.tensor([1])})

    assert told == []


def test_similarities_and_metadata_are_the_encoders_own() -> None:
    fake = FakeEncoder()
    watched = face(fake)
    a, b = vectors_by_text(TEXTS[:3]), vectors_by_text(TEXTS[3:6])

    assert watched.mteb_model_meta is fake.mteb_model_meta
    assert np.array_equal(watched.similarity(a, b), a @ b.T)
    assert np.array_equal(watched.similarity_pairwise(a, b), (a * b).sum(axis=1))


def test_prompts_used_are_told_by_role_or_type_and_each_once() -> None:
    said = iter(["q: ", "q: ", "", "now: "])
    watched = face(FakeEncoder(), prompt_used=lambda: next(said))
    for role in (PromptType.query, PromptType.query, PromptType.document, None):
        encode(watched, role=role)
    assert watched.prompts == {"STS": ("now: ",), "document": ("",), "query": ("q: ",)}


def test_prompts_of_an_encoder_that_does_not_tell_are_unknown() -> None:
    watched = watch(vectors_by_text)
    encode(watched)
    assert watched.prompts is None
