"""Packing without padding: the vectors of one text at a time, or none of it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from tests import folders
from tests.folders import HEADS, save_decoder, save_encoder, save_modules, transformer
from touchstone.config.models import find_model, load_models
from touchstone.encoding import trial
from touchstone.encoding.batches import packing
from touchstone.encoding.batches.packing import Mask, Packing
from touchstone.encoding.batching import BatchedModel
from touchstone.encoding.canaries import CANARIES, long_text
from touchstone.encoding.trial import TOLERANCE, find_packing
from touchstone.errors import ModelError
from touchstone.models.kinds import open_encoder
from touchstone.store.folder import Store

ENCODERS = ("Bert", "Roberta", "XLMRoberta", "DistilBert", "ModernBert", "Electra", "Albert", "NomicBert", "Gte",
            "EuroBert", "JinaEmbeddingsV3")  # fmt: skip
DECODERS = ("Qwen2", "Qwen3", "Llama", "Mistral", "Gemma", "Gemma3Text", "GPTNeoX")
# Their library says that they cannot, they have no attention of torch's, or one with more in it than a mask.
PADDED = ("MPNet", "DebertaV2", "Longformer", "ConvBert", "RoFormer")
# What some architectures call the tokens that one token sees; Qwen2 looks at it in some of its layers.
WINDOW = 8
WINDOWS: dict[str, dict[str, Any]] = {
    "ModernBert": {"local_attention": WINDOW, "layer_types": ["sliding_attention", "full_attention"]},
    "Mistral": {"sliding_window": WINDOW},
    "Gemma3Text": {"sliding_window": WINDOW},
    "Qwen2": {"sliding_window": WINDOW, "use_sliding_window": True, "max_window_layers": 1},
}


def load(folder: Path) -> Any:
    return SentenceTransformer(str(folder), device="cpu")


def save(folder: Path, architecture: str, **config: Any) -> Path:
    if architecture not in DECODERS:
        return save_modules(folder, *transformer(folder, architecture, **config))
    return save_modules(folder, *transformer(folder, architecture, "lasttoken", side="left", **HEADS, **config))


def far(ours: Any, own: Any) -> float:
    return float(np.linalg.norm(ours - own, axis=1).max() / np.linalg.norm(own, axis=1).max())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("architecture", "config"),
    [*((name, {}) for name in (*ENCODERS, *DECODERS)), *WINDOWS.items()],
    ids=[*ENCODERS, *DECODERS, *(f"{name} with a window" for name in WINDOWS)],
)
def test_packed_vectors_are_those_of_one_text_at_a_time(
    architecture: str, config: dict[str, Any], tmp_path: Path
) -> None:
    model = load(save(tmp_path / "model", architecture, **config))
    texts = [*CANARIES, long_text(model, None), "", "a", "b", *(f"rain {'river ' * n}" for n in range(30))]
    own = model.encode(texts, batch_size=1, show_progress_bar=False)
    found = find_packing(model)
    if found is None:  # some processors round so much more with padding that nothing is proved
        assert far(BatchedModel(model).encode(CANARIES, prompt=""), own[: len(CANARIES)]) > TOLERANCE
        return
    calls = count_packed(model)
    for tokens in (1, 60, 700):
        ours = BatchedModel(model, tokens=tokens, packing=found).encode(texts, prompt="")
        assert far(ours, own) <= 2 * TOLERANCE
    assert calls == [found.first_position] * len(calls) != []
    padded = BatchedModel(model, tokens=700).encode(texts, prompt="")
    assert far(padded, own) <= 2 * TOLERANCE, "padded batches must stay what they were"


def count_packed(model: Any) -> list[int]:
    """Note the position of the first token of every packed batch."""
    calls: list[int] = []
    inside, forward = model[0].model, model[0].model.forward

    def note(*args: Any, **given: Any) -> Any:
        if "cu_seq_lens_q" in given:
            calls.append(int(given["position_ids"][0, 0]))
        return forward(*args, **given)

    inside.forward = note
    return calls


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("architecture", PADDED)
def test_architectures_that_cannot_pack_are_left_as_they_were(architecture: str, tmp_path: Path) -> None:
    model = load(save(tmp_path / "model", architecture))
    before = model[0].model.config._attn_implementation, model[0].model_forward_params
    assert find_packing(model) is None
    assert (model[0].model.config._attn_implementation, model[0].model_forward_params) == before


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("folder", ["save_t5", "save_static", "save_words", "save_router"])
def test_models_of_other_modules_are_not_packed(folder: str, tmp_path: Path) -> None:
    assert find_packing(load(getattr(folders, folder)(tmp_path / "model"))) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_not_packed(dtype: torch.dtype, tmp_path: Path) -> None:
    assert find_packing(load(save_encoder(tmp_path / "model", dtype=dtype))) is None


def blind(*_: Any) -> torch.Tensor:
    return torch.ones((), dtype=torch.bool)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("architecture", WINDOWS)
def test_a_window_that_is_ignored_is_seen(architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(save(tmp_path / "model", architecture, **WINDOWS[architecture]))
    causal = architecture in DECODERS
    monkeypatch.setattr(packing, "Mask", lambda _: Mask(lambda b, h, q, k: k <= q) if causal else Mask(blind))
    assert find_packing(model) is None
    assert model[0].model.config._attn_implementation == "sdpa"


def test_texts_that_see_each_other_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(save_encoder(tmp_path / "model"))
    length = Mask.by_length
    monkeypatch.setattr(Mask, "by_length", lambda self, bounds: length(self, bounds[[0, -1]]))
    assert find_packing(model) is None


def test_positions_that_do_not_begin_anew_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from touchstone.encoding.batches.token_ids import TokenIds

    model, pack = load(save_encoder(tmp_path / "model")), TokenIds.pack

    def running_on(self: TokenIds, rows: Any, first: int) -> Any:
        features = pack(self, rows, first)
        return features | {"position_ids": torch.arange(features["input_ids"].shape[1])[None]}

    monkeypatch.setattr(TokenIds, "pack", running_on)
    assert find_packing(model) is None


def test_an_attention_that_is_told_nothing_of_texts_is_an_error() -> None:
    nothing = torch.zeros(1, 1, 1, 1)
    for mask, told in ((Mask(blind), {}), (None, {"cu_seq_lens_q": torch.tensor([0, 1])})):
        with pytest.raises(ModelError, match=r"^the model's attention is not told where texts begin and what "):
            packing.attend(torch.nn.Identity(), nothing, nothing, nothing, mask, **told)


def test_packing_that_is_slower_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_is_slower", lambda *_: True)
    model = load(save_encoder(tmp_path / "model"))
    assert find_packing(model) is None
    assert model[0].model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    ("seconds", "slower"),
    [
        ((3.0, 2.0, 2.5, 4.0), True),
        ((3.0, 2.0, 1.5, 4.0), False),
        ((2.0, 2.0, 2.1, 1.95), False),
        ((0.04, 0.01, 0.04, 0.01), False),
    ],
    ids=["slower", "once faster", "by chance", "of a moment"],
)
def test_slower_is_what_took_more_time_than_chance(
    seconds: tuple[float, ...], slower: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([moment for end in seconds for moment in (0.0, end)])
    monkeypatch.setattr(trial, "time", SimpleNamespace(process_time=lambda: next(clock)))
    packed, padded = (Mock(spec=BatchedModel) for _ in range(2))  # they take turns, on a machine with other programs
    assert trial._is_slower(packed, padded) is slower


def test_what_was_found_is_remembered_and_not_tried_again(tmp_path: Path) -> None:
    folder, store, tried = save_encoder(tmp_path / "model"), Store(tmp_path / "store"), []

    def find(model: Any) -> Packing | None:
        def remember(compute: Callable[[], str]) -> str | None:
            return store.remember("packing", lambda: (tried.append(model), compute())[1])  # type: ignore[func-returns-value]

        return find_packing(model, remember)

    first, second = load(folder), load(folder)
    packing = find(first)
    assert packing == find(second) is not None
    calls = count_packed(second)
    BatchedModel(second, packing=packing).encode(["a", "b c"], prompt="")
    assert len(tried) == len(calls) == 1


def test_padding_is_remembered_too(tmp_path: Path) -> None:
    model = load(save_encoder(tmp_path / "model"))
    assert find_packing(model, lambda _: trial.PADDING_ONLY) is None
    assert find_packing(model, lambda _: None) is None
    calls = count_packed(model)
    BatchedModel(model).encode(["a", "b c"], prompt="")
    assert model[0].model.config._attn_implementation == "sdpa"
    assert not calls


def test_the_way_does_not_depend_on_what_was_encoded_before(tmp_path: Path) -> None:
    folder = save_encoder(tmp_path / "model")
    (tmp_path / "models.toml").write_text(f'[tiny]\npath = "{folder}"\n')
    model, packed = find_model("tiny", load_models(tmp_path / "models.toml"), tmp_path, "--model"), []
    for many in (0, 400):  # texts that are encoded before
        encoder = open_encoder(model, "cpu", Store(tmp_path / f"store {many}")).encoder
        assert encoder is not None
        encoder.encode([f"rain {number} " * 30 for number in range(many)], prompt="")
        calls = count_packed(encoder._model)  # type: ignore[attr-defined]
        encoder.encode(["one text"], prompt="")
        packed.append(calls)
    assert packed[0] == packed[1] != []


def test_texts_longer_than_any_that_was_tried_are_padded(tmp_path: Path) -> None:
    model = load(save_encoder(tmp_path / "model"))
    assert find_packing(model) is not None
    calls = count_packed(model)
    texts = ["a" * 10, "b" * 30]
    BatchedModel(model, tokens=1, packing=Packing(0, 12)).encode(texts, prompt="")
    assert len(calls) == 1


@pytest.mark.parametrize("size", [1100, 900])
def test_long_text_is_longer_than_a_window_that_is_not_very_wide(size: int, tmp_path: Path) -> None:
    model = load(save_decoder(tmp_path / "model", "Mistral"))
    model[0].model.config.sliding_window, model.max_seq_length = size, 5000
    assert (len(long_text(model, None).split()) > size) == (size == 900)
