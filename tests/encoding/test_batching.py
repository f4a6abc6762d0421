"""Batches by tokens: the model's own vectors, whatever the batches, the store and the memory of the device."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from tests.encoders import save_tiny_model
from touchstone.encoding.batching import BatchedModel
from touchstone.encoding.meter import Meter
from touchstone.encoding.prompts import Role
from touchstone.errors import ModelError
from touchstone.store.vectors import Embeddings

ROLES: dict[str, Role | None] = {"encode": None, "encode_query": "query", "encode_document": "document"}
TEXTS = ["a", "abc def", "a", "", "the quick brown fox " * 20, "abc def", "x y z"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SentenceTransformer:
    folder = save_tiny_model(tmp_path_factory.mktemp("batching") / "tiny")
    loaded = SentenceTransformer(str(folder), device="cpu")
    loaded.prompts = {"query": "q ", "document": "", "STS": "s "}
    return loaded


def assert_same(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@given(
    texts=st.lists(st.text(alphabet="abc d", max_size=90), min_size=1, max_size=12),
    tokens=st.integers(1, 300),
    at_once=st.none() | st.integers(1, 5),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_batches_give_the_models_own_vectors(
    model: SentenceTransformer, texts: list[str], tokens: int, at_once: int | None
) -> None:
    ours = BatchedModel(model, tokens=tokens, texts_at_once=at_once).encode(texts)
    assert ours.dtype == np.float32
    assert_same(ours.reshape(len(texts), -1), model.encode(texts).reshape(len(texts), -1))


@pytest.mark.parametrize("method", ROLES)
@pytest.mark.parametrize("prompt", [None, "", "s "])
@pytest.mark.parametrize("normalize", [False, True])
def test_prompts_and_normalisation_are_the_models(
    model: SentenceTransformer, tmp_path: Path, method: str, prompt: str | None, normalize: bool
) -> None:
    batched, meter = BatchedModel(model, embeddings=Embeddings(tmp_path)), Meter()
    expected = getattr(model, method)(TEXTS, prompt=prompt, normalize_embeddings=normalize)
    asked: Any = {"role": ROLES[method], "prompt": prompt, "normalize_embeddings": normalize, "batch_size": 3}
    for _ in range(2):  # encoded, then read
        assert_same(batched.encode(TEXTS, meter=meter, **asked), expected)
    assert meter.computed == 5


def test_each_distinct_text_is_encoded_once(model: SentenceTransformer) -> None:
    batched, meter = BatchedModel(model), Meter()
    batched.encode(TEXTS, meter=meter)
    assert meter.computed == len(set(TEXTS)) == 5
    batched.encode(TEXTS, meter=meter)
    assert meter.computed == 10


def test_what_the_store_knows_is_not_encoded_again(model: SentenceTransformer, tmp_path: Path) -> None:
    first = BatchedModel(model, embeddings=Embeddings(tmp_path))
    first.encode(TEXTS[:3])
    first.flush()
    second = BatchedModel(model, embeddings=Embeddings(tmp_path))
    meter = Meter()
    assert_same(second.encode(TEXTS, meter=meter), model.encode(TEXTS))
    assert meter.computed == 3


def test_roles_and_prompts_do_not_share_vectors(model: SentenceTransformer, tmp_path: Path) -> None:
    batched, meter = BatchedModel(model, embeddings=Embeddings(tmp_path)), Meter()
    calls: list[tuple[str, dict[str, Any]]] = [
        ("encode", {}),
        ("encode_query", {}),
        ("encode", {"prompt": "s "}),
    ]
    for method, kwargs in calls:
        ours = batched.encode(["abc"], role=ROLES[method], meter=meter, **kwargs)
        assert_same(ours, getattr(model, method)(["abc"], **kwargs))
    assert meter.computed == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("own", [None, 6])
def test_whole_vectors_are_kept_and_truncated_and_normalized_as_the_library_does(
    tmp_path: Path, dtype: torch.dtype, own: int | None
) -> None:
    model = SentenceTransformer(str(save_tiny_model(tmp_path / "model")), device="cpu").to(dtype)
    model.truncate_dim = own
    meter = Meter()
    calls: list[dict[str, Any]] = [{}, {"truncate_dim": 4}, {"normalize_embeddings": True}]
    for kwargs in (*calls, {"truncate_dim": 3, "normalize_embeddings": True}):
        batched = BatchedModel(model, embeddings=Embeddings(tmp_path / "vectors"))
        ours = batched.encode(TEXTS, meter=meter, **kwargs)
        theirs = model.encode(TEXTS, batch_size=1, convert_to_tensor=True, **kwargs).float().cpu().numpy()
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=1e-5 if dtype == torch.float32 else 2e-2)
        batched.flush()
    assert meter.computed == len(set(TEXTS)), "one encoding serves all widths"


def test_without_prompts_queries_and_documents_share_their_vectors(tmp_path: Path) -> None:
    model = SentenceTransformer(str(save_tiny_model(tmp_path / "tiny")), device="cpu")
    batched, meter = BatchedModel(model, embeddings=Embeddings(tmp_path / "store")), Meter()
    for role in ROLES.values():
        batched.encode(["abc"], role=role, meter=meter)
    assert meter.computed == 1


def test_padding_stays_within_the_budget(model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    padded = []
    forward = type(model).forward

    def note(self: SentenceTransformer, features: dict[str, torch.Tensor], **kwargs: Any) -> Any:
        padded.append(tuple(features["input_ids"].shape))
        return forward(self, features, **kwargs)

    monkeypatch.setattr(type(model), "forward", note)
    texts = ["ab " * (number % 17) for number in range(200)]
    BatchedModel(model, tokens=64).encode([f"{text}{number}" for number, text in enumerate(texts)])
    assert max(rows * columns for rows, columns in padded) <= 64
    widths = [columns for _, columns in padded]
    assert widths == sorted(widths, reverse=True)
    assert len(padded) < 200


class SmallDevice:
    """A model's ``forward`` that runs out of memory for more than so many texts at once."""

    def __init__(self, model: SentenceTransformer, fits: int) -> None:
        self.forward_whole = model.forward
        self.fits = fits
        self.refused = 0

    def forward(self, features: dict[str, Any], **kwargs: Any) -> Any:
        if len(features["input_ids"]) > self.fits:
            self.refused += 1
            raise torch.OutOfMemoryError("out of memory")
        return self.forward_whole(features, **kwargs)


def test_a_device_out_of_memory_gets_smaller_batches_from_then_on(
    model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = SmallDevice(model, fits=3)
    texts = [f"text {chr(97 + number)}" for number in range(26)]
    expected = model.encode(texts)
    monkeypatch.setattr(model, "forward", device.forward)
    assert_same(BatchedModel(model).encode(texts), expected)
    assert 1 <= device.refused <= 5


def test_a_text_too_large_for_the_device_is_one_sentence(
    model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "forward", SmallDevice(model, fits=0).forward)
    with pytest.raises(
        ModelError, match=r"^one text of 5 tokens is too much for the memory of cpu; set max_seq_length$"
    ):
        BatchedModel(model).encode(["abc"])


@pytest.mark.parametrize("name", ["precision", "output_value", "convert_to_tensor", "pool"])
def test_options_that_give_no_plain_vectors_are_refused(model: SentenceTransformer, name: str) -> None:
    with pytest.raises(ModelError, match=rf"^encode_kwargs\.{name}: "):
        BatchedModel(model).encode(["a"], **{name: "int8"})  # type: ignore[arg-type]


def test_a_model_that_agrees_with_itself_passes_its_check(model: SentenceTransformer) -> None:
    BatchedModel(model).check()


def test_a_model_whose_vectors_depend_on_their_batch_is_refused(
    model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = model.forward

    def leaking(features: dict[str, Any], **kwargs: Any) -> Any:
        found = forward(features, **kwargs)
        return found | {"sentence_embedding": found["sentence_embedding"] + 0.01 * len(features["input_ids"])}

    monkeypatch.setattr(model, "forward", leaking)
    with pytest.raises(ModelError, match=r"^the model's vectors depend on what else is in a batch: "):
        BatchedModel(model).check()
