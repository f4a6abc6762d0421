"""onnxruntime and OpenVINO: a graph loaded by each, with nothing of it computed elsewhere than was asked."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from touchstone.errors import ModelError, first_line
from touchstone.models.exported.graph import KNOWN_INPUTS, Port
from touchstone.models.files.graphs import import_package, name_dtypes

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
# Prefixes of providers that compute on what torch calls a CUDA device; and options that keep single precision whole.
CUDA_PREFIXES = ("CUDA", "Tensorrt", "NvTensorRT")
CUDA_OPTIONS = {"use_tf32": "0"}
# onnxruntime's names of data types, where numpy has another.
DTYPE_NAMES = {"float": "float32", "double": "float64"}


class OnnxRuntime:
    """A graph that onnxruntime has loaded.

    Args:
        path: of the graph; its data lies beside it.
        dtype: of its numbers.
        providers: that must compute it, the first for what it can.
        device: where the first does, ``cpu`` or ``cuda:N``.
        threads: on a CPU.

    Raises:
        ModelError: the graph is damaged, or a provider is not there or computes nothing of it.
    """

    def __init__(self, path: Path, dtype: str, providers: Sequence[str], *, device: str, threads: int) -> None:
        library = import_package("onnxruntime", "onnx")
        if not hasattr(library.InferenceSession, "get_provider_graph_assignment_info"):
            raise ModelError(
                f"onnxruntime {library.__version__} does not say what computes a graph; install 1.24 or newer"
            )
        check_providers(providers, library.get_available_providers())
        options = library.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3  # what it warns of is looked at here
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        choices = [(name, _options_of(name, device)) for name in providers]
        try:
            self._session = library.InferenceSession(str(path), options, providers=choices)
        except Exception as error:  # it has one for each kind of status
            raise ModelError(f"{path.name} cannot be opened by onnxruntime: {first_line(error)}") from error
        used = {part.ep_name for part in self._session.get_provider_graph_assignment_info()}
        if idle := [name for name in providers if name not in used and name != CPU]:
            raise ModelError(f"{idle[0]} computes nothing of {path.name}, which onnxruntime leaves to {_listed(used)}")
        self.dtype = dtype
        self.computed_by: dict[str, str] = {"onnxruntime": library.__version__, "providers": _listed(used)}
        self.inputs: dict[str, Port] = {port.name: _port(port) for port in self._session.get_inputs()}
        self.outputs: dict[str, Port] = {port.name: _port(port) for port in self._session.get_outputs()}

    def run(self, feeds: Mapping[str, NDArray[Any]], output: str) -> NDArray[Any]:
        """Return one output of the graph."""
        import torch

        try:
            result: NDArray[Any] = self._session.run([output], dict(feeds))[0]
        except Exception as error:
            if "Failed to allocate memory" in str(error):  # then smaller batches are tried
                raise torch.OutOfMemoryError(first_line(error)) from error
            raise
        return result


def check_providers(providers: Sequence[str], available: Sequence[str]) -> None:
    """Refuse providers that this onnxruntime does not have: it would compute by others, with a line in its log.

    Raises:
        ModelError: naming the first.
    """
    if missing := [name for name in providers if name not in available]:
        advice = "; install onnxruntime-gpu in its place, or use --device cpu" if missing[0] == CUDA else ""
        raise ModelError(f"the installed onnxruntime has no {missing[0]}, only {', '.join(available)}{advice}")


def _options_of(provider: str, device: str) -> dict[str, str]:
    number = {"device_id": device.partition(":")[2] or "0"} if provider.startswith(CUDA_PREFIXES) else {}
    return number | (CUDA_OPTIONS if provider == CUDA else {})


def _port(info: Any) -> Port:
    """Return an input or output of onnxruntime's, whose dimensions of any size have a name or None."""
    inside = str(info.type).removeprefix("tensor(").removesuffix(")")
    shape = info.shape and tuple(size if isinstance(size, int) and size > 0 else None for size in info.shape)
    return Port(DTYPE_NAMES.get(inside, inside), shape)


class OpenVino:
    """A graph that OpenVINO has compiled for the CPU, to be computed in the data types that it is written in.

    By default OpenVINO computes in fewer bits where the machine is faster with these.

    Args:
        path: of the graph.
        data: of its numbers.
        threads: on the CPU.

    Raises:
        ModelError: the graph is damaged.
    """

    def __init__(self, path: Path, data: Path, *, threads: int) -> None:
        library = import_package("openvino", "openvino")
        core = library.Core()
        settings = {
            "EXECUTION_MODE_HINT": "ACCURACY",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # several workers would be pinned to the same cores
        }
        try:
            graph = core.read_model(path, data)
            self._compiled = core.compile_model(graph, "CPU", settings)
        except Exception as error:  # of the runtime, with the place in its own code first
            lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
            raise ModelError(f"{path.name} cannot be opened by OpenVINO: {lines[-1]}") from error
        numbers = Counter[str]()
        for node in graph.get_ops():
            if node.get_type_name() == "Constant":
                numbers[_dtype(node.get_element_type())] += prod(node.get_output_shape(0))
        self.dtype = name_dtypes(numbers)
        self.computed_by: dict[str, str] = {"openvino": library.get_version()}
        self.inputs = _ports(self._compiled.inputs)
        self.outputs = _ports(self._compiled.outputs)
        self._places = {_name(port): number for number, port in enumerate(self._compiled.outputs)}

    def run(self, feeds: Mapping[str, NDArray[Any]], output: str) -> NDArray[Any]:
        """Return one output of the graph."""
        return np.array(self._compiled(dict(feeds))[self._places[output]])  # its own memory is used again


def _ports(ports: Sequence[Any]) -> dict[str, Port]:
    return {_name(port): Port(_dtype(port.get_element_type()), _shape(port)) for port in ports}


def _name(port: Any) -> str:
    """Return the name of an input or output of OpenVINO's; of several names one that is known."""
    names = sorted(port.get_names(), key=lambda name: (name not in KNOWN_INPUTS, name))
    return str(names[0]) if names else "an output without a name"


def _dtype(kind: Any) -> str:
    """Return the name of OpenVINO's data type as numpy has it."""
    name = str(kind.get_type_name())
    whole = {"f": "float", "bf": "bfloat", "i": "int", "u": "uint"}
    letters = name.rstrip("0123456789")
    return f"{whole[letters]}{name[len(letters) :]}" if letters in whole else {"boolean": "bool"}.get(name, name)


def _shape(port: Any) -> tuple[int | None, ...] | None:
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        return None
    return tuple(None if size.is_dynamic else size.get_length() for size in shape)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
