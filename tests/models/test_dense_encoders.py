"""Whatever sentence-transformers runs as a dense encoder runs, with the library's own vectors and mteb's scores."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import mteb
import numpy as np
import pytest
import torch
from datasets import Dataset
from mteb.mocks import mock_tasks as mocks
from mteb.models import SentenceTransformerEncoderWrapper
from mteb.types import PromptType
from numpy.typing import NDArray
from sentence_transformers import CrossEncoder, SentenceTransformer
from torch.utils.data import DataLoader

from tests import folders
from tests.encoders import open_reranker
from tests.folders import save_decoder, save_encoder, save_router, save_words
from tests.measuring.test_case import assert_scores_what_mteb_does
from touchstone.config.models import Model
from touchstone.config.specs import CrossEncoderSpec, EncoderSpec
from touchstone.encoding.batching import TOLERANCES, BatchedModel
from touchstone.encoding.canaries import CANARIES
from touchstone.encoding.meter import Meter
from touchstone.encoding.prompts import ROLES, Role
from touchstone.errors import ModelError
from touchstone.models.base import OpenModel
from touchstone.models.cross_encoders import BatchedReranker
from touchstone.models.kinds import open_encoder
from touchstone.models.weights.examination import examine
from touchstone.models.weights.loading import pooling_of
from touchstone.store.folder import Store

Vectors = NDArray[np.float32]
PROMPTS: Any = {"query": "ask: ", "document": "", "STS": "same? "}
FOLDERS: dict[str, Callable[[Path], Path]] = {
    **{f"BERT, {pooling}": partial(save_encoder, pooling=pooling) for pooling in
       ("mean", "cls", "max", "weightedmean", "mean_sqrt_len_tokens", "lasttoken")},
    "BERT, three poolings": partial(save_encoder, pooling=("cls", "mean", "max")),
    **{name: partial(save_encoder, architecture=name) for name in
       ("MPNet", "Roberta", "XLMRoberta", "DistilBert", "ModernBert")},
    "T5, no limit": folders.save_t5,
    **{f"{name}, last token": partial(save_decoder, architecture=name) for name in ("Qwen2", "Llama", "Mistral")},
    "dense layer and normalisation": folders.save_dense,
    "layer norm and dropout": folders.save_layer_norm,
    "all layers": folders.save_layers_weighted,
    "shards": folders.save_sharded,
    "pooling without the prompt": folders.save_without_prompt_in_pooling,
    "prompts": partial(save_encoder, prompts=PROMPTS),
    "default prompt": partial(save_encoder, prompts=PROMPTS, default_prompt_name="STS"),
    "truncated": partial(save_encoder, truncate_dim=7),
    "dot": partial(save_encoder, similarity_fn_name="dot"),
    "float16": partial(save_encoder, dtype=torch.float16),
    "bfloat16": partial(save_encoder, dtype=torch.bfloat16),
    "static": folders.save_static,
    "model2vec": folders.save_model2vec,
    "words": save_words,
    **{f"words, {kind}": partial(save_words, kind=kind) for kind in ("CNN", "LSTM", "weighted")},
    "bag of words": folders.save_bag_of_words,
    "routes and a default": save_router,
    "routes alone": partial(save_router, default=None),
}  # fmt: skip
TEXTS = ["a text", "rain makes the river rise after a late report " * 4, "", "What makes bread rise?", "unknown", "the"]
# Where routes differ in their limit, the library says the larger one.
UNLIMITED = {"T5, no limit", "static", "model2vec", "bag of words", "routes and a default", "routes alone"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def open_at(folder: Path, store: Store, **settings: Any) -> OpenModel:
    return open_encoder(Model(alias="x", spec=EncoderSpec(path=folder, **settings), text="x"), "cpu", store)


def plain_vectors(folder: Path, texts: Sequence[str], role: Role | None, **options: Any) -> Vectors:
    """Encode by the library alone, one text at a time."""
    model = SentenceTransformer(str(folder), device="cpu")
    encode = getattr(model, "encode" if role is None else f"encode_{role}")
    found = [encode(text, convert_to_tensor=True, **options).float().numpy() for text in texts]
    return np.stack(found)


def as_mteb_does(opened: OpenModel, texts: Sequence[str], role: Role | None) -> Vectors:
    """Encode as mteb does texts of an STS task, or those of a retrieval task in a role."""
    inputs: Any = DataLoader(cast("Any", Dataset.from_dict({"text": list(texts)})), batch_size=4)
    prompt_type = None if role is None else PromptType(role)
    metadata = mteb.get_task("STSBenchmark" if role is None else "NFCorpus").metadata
    asked: Any = {"hf_split": "test", "hf_subset": "default", "show_progress_bar": False}
    return np.asarray(opened.for_mteb(Meter()).encode(inputs, task_metadata=metadata, prompt_type=prompt_type, **asked))


def assert_near(ours: Vectors, theirs: Vectors, within: float) -> None:
    assert ours.shape == theirs.shape
    scale = np.linalg.norm(theirs, axis=1).max()
    assert np.linalg.norm(ours - theirs, axis=1).max() <= within * scale


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FOLDERS)
def test_vectors_are_the_librarys_own(kind: str, tmp_path: Path, store: Store) -> None:
    folder = FOLDERS[kind](tmp_path / "model")
    opened = open_at(folder, store)
    encoder = cast("BatchedModel", opened.encoder)
    roles: Any = ("query", "document") if kind == "routes alone" else (None, "query", "document")
    assert encoder.roles == roles
    limit = None if kind in UNLIMITED else 1_000_000 if kind.startswith("words") else 128
    assert opened.settings.max_length == limit
    for role in roles:
        theirs = plain_vectors(folder, TEXTS, role)
        assert np.linalg.norm(theirs[0] - theirs[1]) > 0.01, "a test of equality needs vectors that differ"
        with encoder.encoding_anew(1):
            assert_near(encoder.encode(TEXTS, role=role), theirs, 1e-6)
        for _ in range(2):  # in batches, then from the store
            assert_near(encoder.encode(TEXTS, role=role), theirs, TOLERANCES[opened.settings.dtype or ""])
    assert opened.settings.dimension == theirs.shape[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["prompts", "default prompt", "pooling without the prompt"])
@pytest.mark.parametrize(("role", "prompt"), [(None, "same? "), ("query", "ask: "), ("document", "")])
def test_prompts_of_the_files_are_put_before_mtebs_texts(
    kind: str, role: Role | None, prompt: str, tmp_path: Path, store: Store
) -> None:
    folder = FOLDERS[kind](tmp_path / "model")
    theirs = plain_vectors(folder, TEXTS, role, prompt=prompt)
    assert_near(as_mteb_does(open_at(folder, store), TEXTS, role), theirs, 1e-5)
    assert (prompt == "") == np.allclose(theirs, plain_vectors(folder, TEXTS, role, prompt=""), atol=1e-3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["static", "T5, no limit", "routes and a default", "routes alone", "bag of words",
                                  "dot", "pooling without the prompt", "words", "Qwen2, last token"])  # fmt: skip
@pytest.mark.parametrize("task", [mocks.MockRetrievalTask, mocks.MockSTSTask], ids=["retrieval", "STS"])
def test_scores_are_mtebs_own(
    kind: str, task: Any, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = FOLDERS[kind](tmp_path / "model")
    opened = open_at(folder, store)
    plain = SentenceTransformerEncoderWrapper(SentenceTransformer(str(folder), device="cpu"))
    if kind == "routes alone" and task is mocks.MockSTSTask:
        with pytest.raises(ModelError) as caught:
            as_mteb_does(opened, TEXTS, None)
        assert str(caught.value) == (
            "the model has a route for queries and one for documents, and none for texts that are neither query nor "
            "document; tasks with such texts cannot be run"
        )
        return
    assert_scores_what_mteb_does(task, opened, plain, store, monkeypatch)


def test_a_change_in_any_route_is_another_model_of_vectors(tmp_path: Path) -> None:
    folder = save_router(tmp_path / "model", default=None)
    model: Any = SentenceTransformer(str(folder), device="cpu")
    before = BatchedModel(model).check()
    assert before.shape == (2 * len(CANARIES), 32)
    for name, rows in (("query", slice(5)), ("document", slice(5, 10))):
        weights = next(model[0].sub_modules[name].parameters())
        with torch.no_grad():
            weights += torch.randn_like(weights)
        after = BatchedModel(model).check()
        moved = np.linalg.norm(after - before, axis=1) > 0.01
        assert moved[rows].all()
        assert moved.sum() == len(CANARIES)
        before = after


def test_routes_of_two_widths_are_one_sentence(tmp_path: Path, store: Store) -> None:
    folder = save_router(tmp_path / "model", default=None, width=8)
    with pytest.raises(
        ModelError,
        match=r"^x: the model's routes give vectors that cannot be compared: 8 numbers for queries, 32 numbers for ",
    ):
        open_at(folder, store)


def test_settings_of_the_specification_reach_every_route_that_has_them(tmp_path: Path, store: Store) -> None:
    folder = save_router(tmp_path / "model")
    opened = open_at(folder, store, max_seq_length=6, padding_side="right")
    text = "a text of more than six letters"
    short = cast("BatchedModel", opened.encoder).encode([text], role="document")
    assert_near(short, plain_vectors(folder, [text[:4]], "document"), 1e-6)  # between two tokens of the tokenizer's


def test_tokens_are_counted_by_the_route_that_reads_the_text(tmp_path: Path) -> None:
    model: Any = SentenceTransformer(str(save_router(tmp_path / "model")), device="cpu")
    sizes: list[int] = []
    document = model[0].sub_modules["document"][0]
    document.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0]["input_ids"].numel()))
    texts = [f"{'letters ' * 4}{number}" for number in range(20)]
    BatchedModel(model, tokens=160).encode(texts, role="document")
    assert max(sizes) <= 160
    assert len(sizes) < len(texts)


def test_model_without_a_route_for_plain_texts_is_examined_as_documents(tmp_path: Path, store: Store) -> None:
    spec = EncoderSpec(path=save_router(tmp_path / "model", default=None))
    (found,) = examine(Model(alias="x", spec=spec, text="x"), "cpu", store)
    assert [check.name for check in found.checks if "batch sizes" in check.name and check.ok]


@pytest.mark.parametrize("setting", ["query_length", "document_length"])
def test_a_length_for_one_role_keeps_its_vectors_from_the_others(tmp_path: Path, store: Store, setting: str) -> None:
    folder = save_encoder(tmp_path / "model")
    opened = open_at(folder, store)
    module, encoder = cast("Any", opened.module), cast("BatchedModel", opened.encoder)
    if not hasattr(module[0], setting):
        pytest.skip("this sentence-transformers has one length for all roles")
    setattr(module[0], setting, 6)
    texts, roles = ["a long text about rivers"], ROLES
    found: dict[str, Vectors] = {}
    for role in roles:
        found[role] = encoder.encode(texts, role=role, prompt="")
        assert_near(found[role], getattr(module, f"encode_{role}")(texts, prompt=""), 1e-6)
    assert np.abs(found["query"] - found["document"]).max() > 0.01


def test_where_a_prompt_ends_belongs_to_a_stored_vector(tmp_path: Path, store: Store) -> None:
    folder = folders.save_without_prompt_in_pooling(tmp_path / "model")
    encoder = cast("BatchedModel", open_at(folder, store).encoder)
    cuts = [("ab", "c"), ("a", "bc"), ("a\0b", "c"), ("a", "b\0c")]
    for prompt, text in cuts:
        expected = plain_vectors(folder, [text], None, prompt=prompt)
        assert_near(encoder.encode([text], prompt=prompt), expected, 1e-6)
    first, second = (encoder.encode([text], prompt=prompt) for prompt, text in cuts[:2])
    assert np.abs(first - second).max() > 0.01


@pytest.mark.parametrize("architecture", ["Qwen2", "Llama", "Mistral"])
def test_decoder_makes_no_cache_even_if_it_is_told_to(
    tmp_path: Path, store: Store, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_decoder(tmp_path / "model", architecture)
    opened = open_at(folder, store, config_kwargs={"use_cache": True})
    caches: list[Any] = []
    inside = cast("Any", opened.module)[0].auto_model
    forward = inside.forward  # which the library calls by itself, past the hooks of the module

    def note(**given: Any) -> Any:
        found = forward(**given)
        caches.append(found.past_key_values)
        return found

    monkeypatch.setattr(inside, "forward", note)
    ours = cast("BatchedModel", opened.encoder).encode(TEXTS)
    assert caches
    assert caches == [None] * len(caches)
    told = SentenceTransformer(str(folder), device="cpu", config_kwargs={"use_cache": True})
    assert_near(ours, np.stack([np.asarray(told.encode(text)) for text in TEXTS]), 1e-5)


def test_encoder_without_a_padding_token_is_one_sentence(tmp_path: Path, store: Store) -> None:
    folder = folders.save_without_padding_token(tmp_path / "model")
    with pytest.raises(ModelError) as caught:
        open_at(folder, store)
    assert str(caught.value) == (
        f"x: the tokenizer of {folder} has no padding token, without which no batch can be made; name one of its "
        'tokens in tokenizer_config.json, such as "pad_token": "</s>"'
    )


@pytest.mark.parametrize("architecture", ["Bert", "T5"])
def test_cross_encoder_of_a_tokenizer_without_limit_gives_the_librarys_scores(
    tmp_path: Path, store: Store, architecture: str
) -> None:
    start: Any = {"decoder_start_token_id": 0} if architecture == "T5" else {}
    folder = folders.save_cross_encoder(tmp_path / "model", architecture, limit=None, **start)
    opened = open_reranker(Model(alias="x", spec=CrossEncoderSpec(path=folder), text="x"), "cpu", store)
    assert opened.settings.max_length == (None if architecture == "T5" else 256)  # BERT's positions are a limit too
    plain: Any = CrossEncoder(str(folder), device="cpu")
    pairs = [(query, document) for query in TEXTS[:2] for document in TEXTS]
    expected = [float(plain.predict([pair])[0]) for pair in pairs]
    np.testing.assert_allclose(BatchedReranker(plain).score(pairs), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "settings", "sentence"),
    [
        ("Bert", {"padding": None}, "x: the tokenizer of .* has no padding token, "),
        ("Qwen2", {"pad_token_id": None, **folders.HEADS}, "x: the model scores no two pairs at once: .*; set pad"),
    ],
)  # fmt: skip
def test_cross_encoder_that_cannot_pad_is_one_sentence(
    tmp_path: Path, store: Store, architecture: str, settings: Any, sentence: str
) -> None:
    folder = folders.save_cross_encoder(tmp_path / "model", architecture, **settings)
    with pytest.raises(ModelError, match=f"^{sentence}"):
        open_reranker(Model(alias="x", spec=CrossEncoderSpec(path=folder), text="x"), "cpu", store)


def test_decoder_that_scores_no_two_pairs_at_once_scores_one_at_a_time(tmp_path: Path, store: Store) -> None:
    folder = folders.save_cross_encoder(tmp_path / "model", "Qwen2", pad_token_id=None, **folders.HEADS)
    spec = CrossEncoderSpec(path=folder, batch_size=1)
    assert open_reranker(Model(alias="x", spec=spec, text="x"), "cpu", store).batch_size == 1


@pytest.mark.parametrize("kind", ["static", "bag of words"])
def test_limit_for_a_model_that_has_none_is_refused(kind: str, tmp_path: Path, store: Store) -> None:
    folder = FOLDERS[kind](tmp_path / "model")
    with pytest.raises(ModelError) as caught:
        open_at(folder, store, max_seq_length=8)
    assert str(caught.value) == f"x: max_seq_length = 8, but {folder} cuts no texts"


def test_model_of_someones_own_without_a_tokenizer_runs() -> None:
    class Lengths(torch.nn.Module):
        """Vectors of what letters there are."""

        def tokenize(self, texts: list[str]) -> dict[str, Any]:
            return {"counts": torch.tensor([[float(text.count(letter)) for letter in "aeiou"] for text in texts])}

        def forward(self, features: dict[str, Any]) -> dict[str, Any]:
            return features | {"sentence_embedding": features["counts"]}

    Lengths.__name__ = "Pooling"  # the name alone does not make it the library's
    model = SentenceTransformer(modules=[Lengths()], device="cpu")
    assert pooling_of(model) is None
    batched = BatchedModel(model)
    assert batched.check().shape == (len(CANARIES), 5)
    np.testing.assert_array_equal(batched.encode(TEXTS), np.stack([np.asarray(model.encode(text)) for text in TEXTS]))
