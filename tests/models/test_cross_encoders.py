"""Cross-encoders: the library's own scores whatever the batches, and only models that have a score for a pair."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentence_transformers import CrossEncoder

from tests.encoders import open_reranker, save_tiny_cross_encoder, save_tiny_model
from touchstone.config.models import Model
from touchstone.config.specs import CrossEncoderSpec
from touchstone.encoding.meter import Meter
from touchstone.errors import ModelError
from touchstone.models.base import OpenReranker
from touchstone.models.cross_encoders import BatchedReranker
from touchstone.models.kinds import identify
from touchstone.store.folder import Store

PAIRS = [("a b", "the quick brown fox"), ("a", "b"), ("a b", "x"), ("a", "b"), ("c " * 90, "d"), ("", "")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_cross_encoder(tmp_path_factory.mktemp("cross") / "tiny")


@pytest.fixture(scope="module")
def model(folder: Path) -> CrossEncoder:
    loaded: CrossEncoder = CrossEncoder(str(folder), device="cpu")
    return loaded


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def at(path: Path, **settings: Any) -> Model:
    return Model(alias="tiny", spec=CrossEncoderSpec(path=path, **settings), text=str(path))


def scores_of(opened: OpenReranker, pairs: list[tuple[str, str]]) -> Any:
    """Score pairs the way mteb asks for it."""
    from datasets import Dataset
    from torch.utils.data import DataLoader

    columns = [Dataset.from_dict({"text": list(texts)}) for texts in zip(*pairs, strict=True)]
    queries, documents = (DataLoader(column, batch_size=2) for column in columns)
    for_mteb = opened.for_mteb(Meter())
    return for_mteb.predict(queries, documents, task_metadata=None, hf_split="test", hf_subset="default")


@given(
    pairs=st.lists(
        st.tuples(st.text(alphabet="abc d", max_size=40), st.text(alphabet="abc d", max_size=40)),
        min_size=1, max_size=10,
    ),
    tokens=st.integers(1, 300),
    at_once=st.none() | st.integers(1, 4),
)  # fmt: skip
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_batches_give_the_librarys_own_scores(
    model: CrossEncoder, pairs: list[tuple[str, str]], tokens: int, at_once: int | None
) -> None:
    ours = BatchedReranker(model, tokens=tokens, pairs_at_once=at_once)
    meter = Meter()
    scores = ours.score(pairs, meter=meter)
    assert scores.shape == (len(pairs),)
    np.testing.assert_allclose(scores, model.predict(pairs), atol=1e-5)
    assert meter.computed == len(set(pairs))


def test_padding_stays_within_the_budget(model: CrossEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    predict = model.predict

    def note(pairs: list[Any], **kwargs: Any) -> Any:
        tokens = model.tokenizer([list(pair) for pair in pairs], truncation=True, max_length=128)
        sizes.append((len(pairs), max(map(len, tokens["input_ids"]))))
        return predict(pairs, **kwargs)

    monkeypatch.setattr(model, "predict", note)
    pairs = [("ab " * (number % 7), f"cd {number} " * (number % 5)) for number in range(120)]
    BatchedReranker(model, tokens=256).score(pairs)
    # a pair has one special token less than its two texts alone
    assert max(count * (longest + 1) for count, longest in sizes) <= 256
    assert len(sizes) < len(set(pairs)) / 2


def test_empty_task_has_no_scores(model: CrossEncoder) -> None:
    assert BatchedReranker(model).score([]).shape == (0,)


def test_the_prompt_is_put_before_each_query(folder: Path, model: CrossEncoder, store: Store) -> None:
    opened = open_reranker(at(folder, prompt="judge: "), "cpu", store)
    expected = model.predict([("judge: " + query, document) for query, document in PAIRS])
    np.testing.assert_allclose(scores_of(opened, PAIRS), expected, atol=1e-5)
    assert opened.settings.prompts == {"query": "judge: "}
    assert np.abs(expected - model.predict(PAIRS)).max() > 1e-3


def test_settings_of_the_specification_are_in_force(folder: Path, store: Store) -> None:
    opened = open_reranker(at(folder, max_seq_length=8), "cpu", store)
    short = CrossEncoder(str(folder), device="cpu", max_length=8)
    np.testing.assert_allclose(scores_of(opened, PAIRS), short.predict(PAIRS), atol=1e-5)
    assert opened.settings.max_length == 8
    half = open_reranker(at(folder, dtype="bfloat16"), "cpu", store)
    assert half.settings.dtype == "bfloat16"
    assert 0 < np.abs(scores_of(half, PAIRS) - scores_of(open_reranker(at(folder), "cpu", store), PAIRS)).max() < 0.2


def test_fingerprint_covers_weights_and_settings(folder: Path, store: Store, tmp_path: Path) -> None:
    other = save_tiny_cross_encoder(tmp_path / "other", seed=1)
    plain = identify(at(folder), store).fingerprint
    variants = [at(other), at(folder, prompt="judge: "), at(folder, max_seq_length=8), at(folder, dtype="bfloat16")]
    assert len({plain, *(identify(variant, store).fingerprint for variant in variants)}) == 5
    assert identify(at(folder, batch_size=3), store).fingerprint == plain


@pytest.mark.parametrize("kind", ["sentence-transformers folder", "bare transformer"])
def test_an_encoder_is_no_cross_encoder(kind: str, store: Store, tmp_path: Path) -> None:
    """The library would put a layer of random numbers on top, and say so in a log only."""
    encoder = save_tiny_model(tmp_path / "encoder")
    if kind.startswith("sentence"):
        place, sentence = encoder, 'is a SentenceTransformer; write kind = "sentence-transformers" in models.toml$'
    else:
        place, sentence = tmp_path / "encoder-bare", "is a BertModel, which has no layer that scores a pair; "
    with pytest.raises(ModelError, match=rf"^tiny: .* {sentence}"):
        open_reranker(at(place), "cpu", store)


def test_a_classifier_of_pairs_is_no_reranker(store: Store, tmp_path: Path) -> None:
    three = save_tiny_cross_encoder(tmp_path / "nli", labels=3)
    with pytest.raises(
        ModelError, match=r"^tiny: .*nli is a BertForSequenceClassification, which gives 3 numbers; a cro"
    ):
        open_reranker(at(three), "cpu", store)


def test_a_folder_without_a_model_is_one_sentence(store: Store, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"^tiny: cannot be loaded from "):
        open_reranker(at(tmp_path), "cpu", store)


def test_python_of_the_publisher_is_not_run_unasked(folder: Path, store: Store, tmp_path: Path) -> None:
    import json
    import shutil

    copy = shutil.copytree(folder, tmp_path / "own")
    config = json.loads((copy / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "configuration_own.OwnConfig"}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"^tiny: .* needs Python that its publisher wrote; "):
        open_reranker(at(copy), "cpu", store)


def test_options_that_give_no_scores_are_refused(model: CrossEncoder) -> None:
    scorer = BatchedReranker(model)
    with pytest.raises(ModelError, match=r"^encode_kwargs\.activation_fn: "):
        scorer.score(PAIRS, activation_fn=abs)


def test_a_model_whose_scores_depend_on_their_batch_is_refused(
    model: CrossEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = model.predict
    monkeypatch.setattr(model, "predict", lambda pairs, **kwargs: predict(pairs, **kwargs) + 0.01 * len(pairs))
    with pytest.raises(ModelError, match=r"^the model's scores depend on what else is in a batch: "):
        BatchedReranker(model).check()


def test_a_pair_too_large_for_the_device_is_one_sentence(model: CrossEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pairs: list[Any], **_: Any) -> Any:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(model, "predict", refuse)
    with pytest.raises(ModelError, match=r"^one pair of 10 tokens is too much for the memory of cpu; set max_seq_"):
        BatchedReranker(model).score([("abc", "def")])
