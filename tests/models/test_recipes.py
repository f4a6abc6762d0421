"""What a card says to do, computed by transformers alone, is what a specification of that card does."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

import mteb
import numpy as np
import pytest
from datasets import Dataset
from mteb.types import PromptType
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from tests.architectures import hidden_states, pool, save_bare, save_with_pooling, unit
from touchstone.config.models import Model, load_models
from touchstone.config.specs import EncoderSpec
from touchstone.encoding.meter import Meter
from touchstone.errors import ModelError
from touchstone.models.base import OpenModel
from touchstone.models.kinds import open_encoder
from touchstone.store.folder import Store

QUERIES = ["How to bake a chocolate cake", "flu?", "Which of the two rivers is the longer one, and by how much", "x"]
PASSAGES = [
    "To bake one, you need flour, sugar and cocoa.",
    "It is a fever.",
    "y",
    "The longer of them runs for 6 650 km." * 2,
    "No answer here.", "No answer there.", "A, b and c.", "Nine is more than seven texts.",
]  # fmt: skip
BGE = "Represent this sentence for searching relevant passages: "
RETRIEVAL, RERANKING, STS = "NFCorpus", "AskUbuntuDupQuestions", "STSBenchmark"
WITHIN = 1e-5
BATCHES = pytest.mark.parametrize("batch_size", [1, 7])
KINDS = pytest.mark.parametrize("saved_as", ["sentence-transformers", "bare"])


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: save_bare(kind, tmp_path_factory.mktemp(kind)) for kind in ("bert", "mpnet", "mistral")}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def open_with(store: Store, folder: Path, **settings: Any) -> OpenModel:
    return open_encoder(Model(alias="x", spec=EncoderSpec(path=folder, **settings), text="x"), "cpu", store)


def open_saved(store: Store, bare: Path, saved_as: str, pooling: str, **settings: Any) -> OpenModel:
    """Open a model whose files say its pooling and normalisation, or one that only the specification says it of."""
    if saved_as == "bare":
        return open_with(store, bare, pooling=pooling, normalize=True, max_seq_length=128, **settings)
    folder = save_with_pooling(bare, store.folder.parent / "saved", pooling)
    return open_with(store, folder, **settings)


def encode(
    opened: OpenModel, texts: Sequence[str], task: str, role: str | None, batch_size: int = 7
) -> NDArray[np.float32]:
    """Encode texts as mteb does for a task of its own."""
    inputs: Any = DataLoader(cast("Any", Dataset.from_dict({"text": list(texts)})), batch_size=batch_size)
    vectors = opened.for_mteb(Meter()).encode(
        inputs,
        task_metadata=mteb.get_task(task).metadata,
        hf_split="test",
        hf_subset="default",
        prompt_type=None if role is None else PromptType(role),
        **{"batch_size": batch_size, "show_progress_bar": False, **opened.encode_kwargs},
    )
    return np.asarray(vectors)


def by_card(bare: Path, texts: Sequence[str], pooling: str, *, prompt: str = "", side: str = "right") -> Any:
    return unit(pool(*hidden_states(bare, [prompt + text for text in texts], side), pooling))


@BATCHES
@KINDS
def test_cls_with_an_instruction_for_retrieval_queries_alone(
    store: Store, bare: dict[str, Path], saved_as: str, batch_size: int
) -> None:
    """bge-large-en: first token, normalised, "no instruction" but for the queries of retrieval."""
    named = load_models()["bge-large-en"]
    assert isinstance(named, EncoderSpec)
    opened = open_saved(store, bare["bert"], saved_as, "cls", prompts=named.prompts)
    card = partial(by_card, bare["bert"], pooling="cls")
    run = partial(encode, opened, batch_size=batch_size)
    assert run(QUERIES, RETRIEVAL, "query") == pytest.approx(card(QUERIES, prompt=BGE), abs=WITHIN)
    assert run(PASSAGES, RETRIEVAL, "document") == pytest.approx(card(PASSAGES), abs=WITHIN)
    assert run(QUERIES, RERANKING, "query") == pytest.approx(card(QUERIES), abs=WITHIN)
    assert run(QUERIES, STS, None) == pytest.approx(card(QUERIES), abs=WITHIN)
    # The same comparison sees a prompt that was lost, and another pooling.
    assert np.abs(card(QUERIES) - card(QUERIES, prompt=BGE)).max() > 0.05
    assert np.abs(card(QUERIES) - by_card(bare["bert"], QUERIES, "mean")).max() > 0.05


@BATCHES
@KINDS
def test_mean_without_a_prompt(store: Store, bare: dict[str, Path], saved_as: str, batch_size: int) -> None:
    """all-mpnet-base-v2: the mean of all tokens that are not padding, normalised."""
    opened = open_saved(store, bare["mpnet"], saved_as, "mean")
    for texts, task, role in ((QUERIES, RETRIEVAL, "query"), (PASSAGES, RETRIEVAL, "document"), (QUERIES, STS, None)):
        expected = by_card(bare["mpnet"], texts, "mean")
        assert encode(opened, texts, task, role, batch_size) == pytest.approx(expected, abs=WITHIN)


@BATCHES
@KINDS
@pytest.mark.parametrize("side", ["left", "right"])
def test_last_token_with_an_instruction_whatever_side_is_padded(
    store: Store, bare: dict[str, Path], saved_as: str, batch_size: int, side: Any
) -> None:
    """SFR-Embedding-Mistral: last token, normalised, an instruction of the task for all but documents."""
    named = load_models()["sfr-embedding-mistral"]
    assert isinstance(named, EncoderSpec)
    opened = open_saved(store, bare["mistral"], saved_as, "lasttoken", instruction=named.instruction, padding_side=side)
    assert opened.module is not None
    assert cast("Any", opened.module).tokenizer.padding_side == side
    card = partial(by_card, bare["mistral"], pooling="lasttoken", side=side)
    run = partial(encode, opened, batch_size=batch_size)
    retrieval = "Instruct: Given a question, retrieve relevant documents that best answer the question\nQuery: "
    sts = "Instruct: Retrieve semantically similar text.\nQuery: "
    assert run(QUERIES, RETRIEVAL, "query") == pytest.approx(card(QUERIES, prompt=retrieval), abs=WITHIN)
    assert run(PASSAGES, RETRIEVAL, "document") == pytest.approx(card(PASSAGES), abs=WITHIN)
    assert run(QUERIES, STS, None) == pytest.approx(card(QUERIES, prompt=sts), abs=WITHIN)
    assert np.abs(card(QUERIES, prompt=retrieval) - card(QUERIES, prompt=sts)).max() > 0.05


# Absolute positions move with a padding on the left, so that no such model is padded there.
@pytest.mark.parametrize(("kind", "side"), [("bert", "right"), ("mistral", "left"), ("mistral", "right")])
@pytest.mark.parametrize("pooling", get_args(get_args(get_type_hints(EncoderSpec)["pooling"])[0]))
def test_each_pooling_is_its_definition_in_place_of_the_models_own(
    store: Store, bare: dict[str, Path], kind: str, pooling: str, side: Any
) -> None:
    other = "mean" if pooling == "max" else "max"
    folder = save_with_pooling(bare[kind], store.folder.parent / "saved", other, normalize=False)
    opened = open_with(store, folder, pooling=pooling, padding_side=side)
    expected = pool(*hidden_states(bare[kind], PASSAGES, side), pooling)
    assert opened.settings.pooling == pooling
    for batch_size in (1, 7):
        assert encode(opened, PASSAGES, STS, None, batch_size) == pytest.approx(expected, abs=WITHIN)


def test_bare_transformer_needs_a_pooling_said(store: Store, bare: dict[str, Path]) -> None:
    with pytest.raises(ModelError) as caught:
        open_with(store, bare["bert"])
    assert str(caught.value) == (
        f"x: {bare['bert']} is a bare transformer, without a pooling; set the one that its card names, "
        'pooling = "mean" in models.toml or x@pooling=mean'
    )


def test_run_tells_the_prompts_that_texts_really_got(store: Store, bare: dict[str, Path]) -> None:
    opened = open_with(store, bare["bert"], pooling="cls", prompts={"Retrieval-query": BGE, "STS": "s: "})
    watched = opened.for_mteb(Meter())
    asked: Any = {"hf_split": "test", "hf_subset": "default", "show_progress_bar": False}
    for task, role in ((RETRIEVAL, "query"), (RETRIEVAL, "document"), (RERANKING, "query"), (STS, None), (STS, None)):
        inputs: Any = DataLoader(cast("Any", Dataset.from_dict({"text": QUERIES})), batch_size=4)
        metadata = mteb.get_task(task).metadata
        prompt_type = None if role is None else PromptType(role)
        watched.encode(inputs, task_metadata=metadata, prompt_type=prompt_type, **asked)
    assert watched.prompts == {"STS": ("s: ",), "document": ("",), "query": ("", BGE)}
