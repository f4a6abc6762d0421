"""Models exported as graphs, by torch for ONNX and from there by OpenVINO, and graphs that are wrong in known ways."""

import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def export(
    model: Any, file: Path, *, inputs: Sequence[str] = INPUTS, output: str = "last_hidden_state", dynamo: bool = False
) -> Path:
    """Write a transformer as a graph for ONNX, for any number of texts of any length.

    The exporter of torch that is named ``dynamo`` takes some ten seconds, the older one less than one.
    """

    class Exported(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model.eval()

        def forward(self, *values: torch.Tensor) -> Any:
            return getattr(self.model(**dict(zip(inputs, values, strict=True))), output)

    example = tuple(torch.ones(2, 7, dtype=torch.int64) for _ in inputs)
    named: dict[int, Any] = {0: "batch", 1: "length"}
    sizes = {place: torch.export.Dim(name, max=512) for place, name in named.items()}
    any_size: dict[str, Any] = (
        {"dynamic_shapes": (tuple(sizes for _ in inputs),)}
        if dynamo
        else {"dynamic_axes": dict.fromkeys((*inputs, *([output] if output != "logits" else [])), named)}
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Exported().eval(), example, str(file), dynamo=dynamo, verbose=False, external_data=False, opset_version=18,
            input_names=list(inputs), output_names=[output], **any_size,
        )  # fmt: skip
    return file


def convert(file: Path, target: Path) -> Path:
    """Write a graph for ONNX as one for OpenVINO."""
    import openvino

    target.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(openvino.convert_model(str(file)), str(target), compress_to_fp16=False)
    return target


def quantize(file: Path, target: Path) -> Path:
    """Write a graph for ONNX with weights of eight bits, and activations that are quantized as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(file, target, weight_type=QuantType.QInt8)
    return target


def without_weights(folder: Path, target: Path) -> Path:
    """Copy a model's folder but for its weights."""
    return shutil.copytree(folder, target, ignore=shutil.ignore_patterns("model.safetensors", "pytorch_model.bin"))


def edit(file: Path, change: Callable[[Any], None], target: Path | None = None, **saving: Any) -> Path:
    """Write a graph for ONNX with a change of its protobuf."""
    import onnx

    model = onnx.load(file)
    change(model)
    onnx.save(model, target or file, **saving)
    return target or file


def add(model: Any, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
    """Add a node to a graph, and return the name of its output."""
    import onnx

    model.graph.node.append(onnx.helper.make_node(kind, list(inputs), [output], **attributes))
    return output


def constant(model: Any, name: str, values: Any) -> str:
    """Add a constant to a graph, and return its name."""
    import onnx

    model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(values), name))
    return name


def give(model: Any, name: str, shape: Sequence[Any], *, instead: bool = True) -> None:
    """Make a graph give an output, in the place of those that it has or beside them."""
    import onnx

    if instead:
        del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(shape)))


def need(model: Any, name: str) -> None:
    """Make a graph read one more input of whole numbers."""
    import onnx

    shape = ["batch", "length"]
    model.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, shape))


def fix(model: Any, texts: int | None, tokens: int | None) -> None:
    """Make a graph read so many texts of so many tokens."""
    for port in model.graph.input:
        for place, size in enumerate((texts, tokens)):
            if size is not None:
                port.type.tensor_type.shape.dim[place].dim_value = size


def pool_inside(model: Any, width: int) -> None:
    """Make a graph give the mean of each text's tokens, as ``sentence_embedding``."""
    mask = add(model, "Cast", ["attention_mask"], "mask", to=1)
    column = add(model, "Unsqueeze", [mask, constant(model, "last", np.array([2]))], "column")
    kept = add(model, "Mul", ["last_hidden_state", column], "kept")
    first = constant(model, "tokens_axis", np.array([1]))
    total = add(model, "ReduceSum", [kept, first], "total", keepdims=0)
    count = add(model, "ReduceSum", [column, first], "count", keepdims=0)
    add(model, "Div", [total, count], "sentence_embedding")
    give(model, "sentence_embedding", ["batch", width])


def forget_types(model: Any) -> None:
    """Make a graph read no types of tokens, and take all for the first."""
    shape = add(model, "Shape", ["input_ids"], "shape_of_ids")
    add(model, "ConstantOfShape", [shape], "token_type_ids", value=_zero())
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes[-2:], *nodes[:-2]])
    (port,) = (port for port in model.graph.input if port.name == "token_type_ids")
    model.graph.input.remove(port)


def _zero() -> Any:
    import onnx

    return onnx.numpy_helper.from_array(np.array([0], dtype=np.int64))
