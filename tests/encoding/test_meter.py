"""What is counted and timed of a model's work: what it really computed, by a clock that a test turns."""

from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer

from tests.encoders import save_tiny_cross_encoder, save_tiny_model
from tests.encoding.test_checks import encode
from tests.folders import static
from touchstone.encoding.batching import BatchedModel
from touchstone.encoding.meter import Meter, Timed
from touchstone.models.cross_encoders import BatchedReranker
from touchstone.models.registry import RegistryEncoder
from touchstone.store.vectors import Embeddings

TEXTS = [f"the fox {'jumps ' * (number % 5)}" + "abc"[number % 3] for number in range(40)] + ["over the dog " * 40]
DISTINCT = len(set(TEXTS))
A_BATCH = 0.25


class Clock:
    """A clock that only a test turns."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def model(tmp_path: Path) -> SentenceTransformer:
    loaded = SentenceTransformer(str(save_tiny_model(tmp_path / "tiny")), device="cpu")
    loaded.prompts = {"query": "find ", "document": ""}
    return loaded


class Batches:
    """How many batches a model computed, each of which takes its time."""

    def __init__(self, model: torch.nn.Module, clock: Clock) -> None:
        self.count = 0
        self.clock = clock
        next(model.children()).register_forward_hook(self.add)

    def add(self, *_: Any) -> None:
        self.count += 1
        self.clock.now += A_BATCH


def warmed(model: SentenceTransformer, **more: Any) -> BatchedModel:
    """Return a model whose first batches are behind it."""
    batched = BatchedModel(model, texts_at_once=4, **more)
    batched.encode([f"{letter} {letter}" for letter in "abcdefghi"])
    return batched


def count_tokens(model: SentenceTransformer, texts: set[str], prompt: str = "") -> int:
    """Count the tokens of texts one by one."""
    most = model.max_seq_length
    ids = [model.tokenizer(prompt + text, truncation=True, max_length=most)["input_ids"] for text in texts]
    return sum(map(len, ids))


def test_seconds_are_those_between_the_start_and_each_count() -> None:
    clock = Clock()
    meter = Meter(clock=clock)
    meter.count(1)  # of a kind that only counts
    clock.now += 5
    meter.start()
    clock.now += 1
    meter.count(10, 50)
    clock.now += 2
    meter.count(20, 100)
    clock.now += 100
    meter.start()
    clock.now += 4
    meter.count(7, 7, warm=False)
    assert meter.timed == Timed(inputs=30, tokens=150, seconds=3.0)
    assert meter.computed == 38
    clock.now += 1
    meter.count(5)
    assert meter.timed == Timed(inputs=35, tokens=None, seconds=4.0)


@pytest.mark.parametrize("prompt", ["", "find ", None])  # None is the way of the library's own encode
def test_tokens_are_those_of_each_distinct_text_without_padding(model: SentenceTransformer, prompt: str | None) -> None:
    batched, meter = warmed(model), Meter()
    batched.encode(TEXTS, meter=meter, prompt=prompt, role="query")
    assert meter.timed.tokens == count_tokens(model, set(TEXTS), "find " if prompt is None else prompt)
    assert meter.timed.inputs == DISTINCT < len(TEXTS)


@pytest.mark.parametrize("prompt", ["", None])
def test_time_is_that_of_the_batches_without_the_first_of_a_models_life(
    model: SentenceTransformer, prompt: str | None
) -> None:
    clock = Clock()
    batches = Batches(model, clock)
    batched = BatchedModel(model, texts_at_once=4)
    cold, warm = Meter(clock=clock), Meter(clock=clock)
    batched._reads_only_ids = lambda call: prompt is not None  # type: ignore[method-assign]  # it tries some texts
    batched.encode(TEXTS, meter=cold, prompt=prompt)
    first = batches.count
    clock.now += 1000  # between two calls
    batched.encode(TEXTS, meter=warm, prompt=prompt)
    assert cold.computed == warm.computed == DISTINCT
    assert cold.timed.seconds == pytest.approx((first - 2) * A_BATCH)
    assert cold.timed.inputs == DISTINCT - 2 * 4
    assert warm.timed.seconds == pytest.approx((batches.count - first) * A_BATCH)
    assert warm.timed.inputs == DISTINCT


def test_what_the_store_has_is_neither_counted_nor_timed(model: SentenceTransformer, tmp_path: Path) -> None:
    batched = warmed(model, embeddings=Embeddings(tmp_path / "store"))
    batched.encode(TEXTS[:9], prompt="")
    meter = Meter()
    batched.encode(TEXTS, meter=meter, prompt="")
    new = set(TEXTS) - set(TEXTS[:9])
    assert meter.timed.inputs == len(new) < DISTINCT
    assert meter.timed.tokens == count_tokens(model, new)
    before = meter.timed
    batched.encode(TEXTS, meter=meter, prompt="")
    assert meter.timed == before


def test_tokens_of_a_model_that_has_no_attention_mask_are_not_known() -> None:
    batched, meter = warmed(SentenceTransformer(modules=[static()])), Meter()
    batched.encode(TEXTS, meter=meter)
    assert (meter.timed.inputs, meter.timed.tokens) == (DISTINCT, None)


def test_pairs_are_counted_once_with_the_tokens_that_the_model_reads(tmp_path: Path) -> None:
    model: Any = CrossEncoder(str(save_tiny_cross_encoder(tmp_path / "cross")), device="cpu", max_length=20)
    pairs = [(text, other) for text in TEXTS[:6] for other in TEXTS[-6:]]
    batched, clock = BatchedReranker(model, pairs_at_once=4), Clock()
    batched.score([(letter, letter) for letter in "abcdefghi"])
    meter, batches = Meter(clock=clock), Batches(model, clock)
    batched.score(pairs * 2, meter=meter)
    distinct = set(pairs)
    ids = [model.tokenizer(*pair, truncation=True, max_length=20)["input_ids"] for pair in distinct]
    assert (meter.timed.inputs, meter.timed.tokens) == (len(distinct), sum(map(len, ids)))
    assert meter.timed.seconds == pytest.approx(batches.count * A_BATCH)


class ByModule:
    """An encoder of mteb's that encodes by a model of the library, all that it is given, or but one of them."""

    def __init__(self, model: SentenceTransformer, *, skip: int = 0) -> None:
        self.model, self.skip, self.mteb_model_meta = model, skip, None

    def encode(self, inputs: Any, **_: Any) -> Any:
        texts = [text for batch in inputs for text in batch["text"]]
        vectors = self.model.encode(texts[self.skip :], batch_size=4, show_progress_bar=False)
        return vectors if not self.skip else vectors[[0, *range(len(vectors))]]


def test_what_mtebs_code_computes_is_known_where_all_of_it_goes_through_the_module(model: SentenceTransformer) -> None:
    clock = Clock()
    meter, batches = Meter(clock=clock), Batches(model, clock)
    own: Any = ByModule(model)
    watched = RegistryEncoder(own, None, meter, module=model)
    encode(watched, TEXTS)
    cold = batches.count
    assert meter.timed.seconds == pytest.approx((cold - 2) * A_BATCH)
    assert meter.timed.inputs == len(TEXTS) - 2 * 4, "duplicates are computed too, and so they count"
    before = meter.timed.tokens or 0
    encode(watched, TEXTS)
    assert (meter.timed.tokens or 0) - before == sum(count_tokens(model, {text}) for text in TEXTS)


def test_what_mtebs_code_computes_elsewhere_is_not_known(model: SentenceTransformer) -> None:
    for own, module in ((ByModule(model, skip=1), model), (ByModule(model), None)):
        unwatched: Any = own
        meter = Meter()
        for _ in range(2):
            encode(RegistryEncoder(unwatched, None, meter, module=module), TEXTS)
        assert meter.timed.inputs == 0
