"""A graph in the place of a transformer: what sentence-transformers calls, and a runtime computes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from touchstone.errors import ModelError, first_line

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

# Outputs of a graph by the task of its model, in the order in which they are looked for.
TASK_OUTPUTS = {
    "feature-extraction": ("last_hidden_state", "token_embeddings", "sentence_embedding"),
    "sequence-classification": ("logits",),
}
IDS, MASK, TYPES, POSITIONS = "input_ids", "attention_mask", "token_type_ids", "position_ids"
KNOWN_INPUTS = {IDS, MASK, TYPES, POSITIONS, *(name for names in TASK_OUTPUTS.values() for name in names)}


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a graph: its data type in numpy, and its shape, None where that is any.

    ``shape`` is None where the graph does not say how many dimensions there are.
    """

    dtype: str
    shape: tuple[int | None, ...] | None


class Runtime(Protocol):
    """A graph that a runtime has loaded.

    ``computed_by`` is what decides its numbers beside the graph, ``dtype`` the data type of the graph's own.
    """

    inputs: dict[str, Port]
    outputs: dict[str, Port]
    dtype: str
    computed_by: dict[str, str]

    def run(self, feeds: Mapping[str, NDArray[Any]], output: str) -> NDArray[Any]:
        """Return one output of the graph."""


class Graph:
    """A graph as sentence-transformers uses a transformer.

    Args:
        runtime: computes it.
        config: of the transformer that was exported.
        task: what that is for, as sentence-transformers names it.
        device: where the other modules of the model compute.

    Raises:
        ModelError: the graph gives nothing that the task needs, or has no input for token ids.
    """

    def __init__(self, runtime: Runtime, config: "PretrainedConfig", task: str, device: str) -> None:
        self.runtime = runtime
        self.config = config
        self.task = task
        self._device = device
        self.output = _find_output(runtime.outputs, task)
        if IDS not in runtime.inputs:
            raise ModelError(f"its graph reads {_listed(runtime.inputs)}, and no {IDS}; export it for {task}")

    @property
    def device(self) -> "torch.device":
        """The device of the model's other modules."""
        import torch

        return torch.device(self._device)

    @property
    def name_or_path(self) -> str:
        """The name of the model, as a transformer has it, which mteb asks for."""
        return str(getattr(self.config, "name_or_path", ""))

    @property
    def weights_dtype(self) -> str:
        """The data types of the graph's numbers, such as ``int8``."""
        return self.runtime.dtype

    @property
    def texts(self) -> int | None:
        """Number of texts that the graph takes at once, None for any number."""
        return _dimension(self.runtime.inputs[IDS], 0)

    @property
    def tokens(self) -> int | None:
        """Number of tokens that the graph takes of a text, None for any number."""
        return _dimension(self.runtime.inputs[IDS], 1)

    def forward(self, **features: Any) -> Any:
        """Return what the graph gives of some texts, under the name that a transformer has for it.

        Args:
            features: of the texts, padded, each of shape (texts, tokens); others are not passed on.

        Raises:
            ModelError: the graph needs what the texts' features are not, fails, or gives something else.
        """
        import torch

        tensors = {name: value for name, value in features.items() if isinstance(value, torch.Tensor)}
        count, length = tensors[IDS].shape
        feeds = {name: self._feed(name, port, tensors) for name, port in self.runtime.inputs.items()}
        step = self.texts or count
        parts = [self._run(feeds, slice(at, at + step), step) for at in range(0, count, step)]
        output = np.concatenate(parts)
        output = output[:, None] if output.ndim == 1 else output  # one number for a pair
        tokens = self.tokens or length
        if len(output) != count or (output.ndim == 3 and output.shape[1] != tokens) or output.ndim not in (2, 3):
            shape = " × ".join(map(str, output.shape))
            raise ModelError(f"its graph gives {self.output} of {shape} for {count} texts of {tokens} tokens")
        output = output[:, :length] if output.ndim == 3 else output
        values = torch.from_numpy(np.ascontiguousarray(output, dtype=np.float32))
        return {TASK_OUTPUTS[self.task][0]: values.to(self._device)}

    __call__ = forward

    def _run(self, feeds: Mapping[str, NDArray[Any]], rows: slice, step: int) -> NDArray[Any]:
        """Return the output of some rows, which are filled up to as many as the graph takes."""
        part = {name: values[rows] for name, values in feeds.items()}
        count = len(part[IDS])
        if count < step:
            part = {name: np.concatenate([rows, rows[-1:].repeat(step - count, axis=0)]) for name, rows in part.items()}
        try:
            output = self.runtime.run(part, self.output)
        except ModelError:
            raise
        except Exception as error:  # each runtime has its own
            shape = " × ".join(map(str, part[IDS].shape))
            raise ModelError(f"its graph cannot be run on {shape} tokens: {first_line(error)}") from error
        return output if len(output) != step else output[:count]

    def _feed(self, name: str, port: Port, tensors: "Mapping[str, torch.Tensor]") -> NDArray[Any]:
        """Return an input of the graph: a feature of the texts, or what transformers would make where there is none."""
        if name in tensors:
            values = tensors[name].cpu().numpy()
        elif name == TYPES:
            values = np.zeros(tensors[IDS].shape)
        elif name == POSITIONS and MASK in tensors:
            values = np.maximum(tensors[MASK].cpu().numpy().cumsum(axis=1) - 1, 0) + self._first_position
        else:
            raise ModelError(f"its graph reads {name}, which its tokenizer does not give; export it without")
        missing = (self.tokens or values.shape[1]) - values.shape[1]
        if missing < 0:
            raise ModelError(f"its graph reads {self.tokens} tokens, and a text has {values.shape[1]}")
        if missing:
            filling = (getattr(self.config, "pad_token_id", None) or 0) if name == IDS else 0
            values = np.pad(values, ((0, 0), (0, missing)), constant_values=filling)
        return values.astype(port.dtype, copy=False)

    @cached_property
    def _first_position(self) -> int:
        """The position of a text's first token: behind the number of the padding in architectures of RoBERTa's kind."""
        import torch
        from transformers import AutoModel

        with torch.device("meta"):
            model: Any = AutoModel.from_config(self.config)  # type: ignore[no-untyped-call]
        for module in model.modules():
            padding, table = (getattr(module, name, None) for name in ("padding_idx", "position_embeddings"))
            if isinstance(padding, int) and isinstance(table, torch.nn.Embedding):
                return padding + 1
        return 0


def _find_output(outputs: Mapping[str, Port], task: str) -> str:
    if task not in TASK_OUTPUTS:
        raise ModelError(f"its transformer is for {task}, of which no graph is run yet")
    names = [name for name in TASK_OUTPUTS[task] if name in outputs]
    if not names and len(outputs) > 1:
        wanted = " or ".join(TASK_OUTPUTS[task])
        raise ModelError(f"its graph gives {_listed(outputs)}, and no {wanted}; export it for {task}")
    return names[0] if names else next(iter(outputs))


def _dimension(port: Port, place: int) -> int | None:
    return port.shape[place] if port.shape is not None and len(port.shape) > place else None


def _listed(ports: Mapping[str, Port]) -> str:
    return ", ".join(ports) or "nothing"
