"""Every tensor that can reach a vector comes from the files: what the library would draw at random is an error."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from tests.encoders import save_tiny_cross_encoder, save_tiny_model
from tests.folders import save_dense
from touchstone.config.models import Model
from touchstone.config.specs import CrossEncoderSpec, EncoderSpec
from touchstone.errors import ModelError
from touchstone.models.base import OpenModel
from touchstone.models.kinds import open_model
from touchstone.store.folder import Store

Tensors = dict[str, Any]
NORM = "encoder.layer.0.output.LayerNorm.weight"
WIDE = "encoder.layer.0.output.dense.weight"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[type[Any], Path]:
    folder = tmp_path_factory.mktemp("saved")
    return {
        EncoderSpec: save_tiny_model(folder / "encoder"),
        CrossEncoderSpec: save_tiny_cross_encoder(folder / "cross"),
    }


def opened_with(change: Callable[[Tensors], Tensors], folder: Path, to: Path, kind: type[Any], **more: Any) -> Any:
    """Open a copy of a model whose tensors are changed."""
    shutil.copytree(folder, to / "model")
    file = to / "model" / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})
    return open_model(Model(alias="x", spec=kind(path=to / "model", **more), text="x"), "cpu", Store(to / "store"))


def without(part: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if part not in name}


def under(prefix: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {prefix + name: tensor for name, tensor in tensors.items()}


def narrower(part: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {
        name: tensor[:, :5].contiguous() if name == part else tensor for name, tensor in tensors.items()
    }


@pytest.mark.parametrize(
    ("kind", "change", "lacks"),
    [
        (EncoderSpec, without("layer.1."), "16 of its 39 tensors, first encoder.layer.1.attention.self.query.weight"),
        (EncoderSpec, without(NORM), f"1 of its 39 tensors, first {NORM}"),  # the library makes it of ones, not random
        (EncoderSpec, narrower(WIDE), f"1 of its 39 tensors, first {WIDE}"),
        (EncoderSpec, under("module."),
         "39 of its 39 tensors, first embeddings.word_embeddings.weight; it has 39 that it does not know, first m"),
        (CrossEncoderSpec, without("classifier"), "2 of its 41 tensors, first classifier.weight"),
        (CrossEncoderSpec, without("pooler"), "2 of its 41 tensors, first bert.pooler.dense.weight"),
    ],
)  # fmt: skip
def test_tensors_that_can_reach_what_a_model_computes_must_be_there(
    saved: dict[type[Any], Path], kind: Any, change: Any, lacks: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError) as caught:
        opened_with(change, saved[kind], tmp_path, kind)
    message = str(caught.value)
    assert message.startswith(f"x: {tmp_path / 'model'} lacks {lacks}")
    assert message.endswith("; save it again, whole and by its own class")


@pytest.mark.parametrize("pooling", [None, "cls"])
@pytest.mark.parametrize(
    "change", [without("pooler"), narrower("pooler.dense.weight"), under(""), lambda t: {**t, "other": t[WIDE].clone()}]
)
def test_tensors_that_cannot_may_be_missing(
    saved: dict[type[Any], Path], change: Any, pooling: Any, tmp_path: Path
) -> None:
    opened = opened_with(change, saved[EncoderSpec], tmp_path / "one", EncoderSpec, pooling=pooling)
    whole = opened_with(lambda tensors: tensors, saved[EncoderSpec], tmp_path / "two", EncoderSpec, pooling=pooling)
    for one in (opened, whole):
        assert isinstance(one, OpenModel)
        assert one.encoder is not None
    assert np.array_equal(opened.encoder.encode(["a text"]), whole.encoder.encode(["a text"]))


def test_a_prefix_that_the_library_knows_is_none(saved: dict[type[Any], Path], tmp_path: Path) -> None:
    opened_with(under("bert."), saved[EncoderSpec], tmp_path, EncoderSpec)


def test_a_module_that_lacks_tensors_is_told_with_the_first(tmp_path: Path) -> None:
    folder = save_dense(tmp_path / "dense")
    file = folder / "2_Dense" / "model.safetensors"
    save_file(without("bias")(load_file(file)), file)
    with pytest.raises(ModelError, match=r'Missing key\(s\) in state_dict: "linear.bias"'):
        open_model(Model(alias="x", spec=EncoderSpec(path=folder), text="x"), "cpu", Store(tmp_path / "store"))


def test_weights_that_were_cut_are_told(saved: dict[type[Any], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(saved[EncoderSpec], tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"the file is cut or damaged, fetch it again$"):
        open_model(Model(alias="x", spec=EncoderSpec(path=folder), text="x"), "cpu", Store(tmp_path / "store"))
