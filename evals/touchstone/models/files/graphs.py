"""Exported graphs among a model's files: which one is meant, the files that hold its numbers, and what these are."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

from touchstone.config.specs import ExportSpec
from touchstone.errors import ModelError, first_line
from touchstone.files.inside import is_plain
from touchstone.models.files.detection import graphs_in
from touchstone.models.files.listing import POINTER_START, ModelFiles, refuse_pointer
from touchstone.models.files.loaded import join
from touchstone.store.folder import Store

GRAPH_FILES = {
    "onnx": ("onnx/model.onnx", "model.onnx"),
    "openvino": ("openvino/openvino_model.xml", "openvino_model.xml"),
}
# Data types by their names in ONNX, where torch has another; and the share of numbers from which a type is named.
DTYPE_NAMES = {"float": "float32", "double": "float64"}
MIN_SHARE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphFacts:
    """Facts of a graph for ONNX: the files beside it that hold its numbers, and the data types of these."""

    data: tuple[str, ...]
    dtype: str


def with_graph(spec: ExportSpec, files: ModelFiles, store: Store) -> ModelFiles:
    """Return a model's files with its graph in the place of its weights.

    Raises:
        ModelError: there is no such graph, there are several and none is named, or one of its files is not there.
    """
    graph = _find_graph(spec, files)
    if spec.kind == "openvino":
        data: tuple[str, ...] = (f"{PurePosixPath(graph).stem}.bin",)
    else:
        data = read_facts(graph, files, store).data
    names = [join(str(PurePosixPath(graph).parent), name) for name in data]
    for name in names:
        if not files.has(name):
            raise ModelError(f"{files.place}: {graph} needs {name}, which is not there; fetch it again")
    return replace(files, graph=(graph, *names))


def _find_graph(spec: ExportSpec, files: ModelFiles) -> str:
    graphs = graphs_in(files, spec.suffix)
    if spec.file is not None:
        if not files.has(spec.file):
            others = f"; there are {', '.join(graphs)}" if graphs else ""
            raise ModelError(f'{files.place}: file = "{spec.file}" is not there{others}')
        return spec.file
    candidates = [name for name in GRAPH_FILES[spec.kind] if name in graphs] or graphs
    if not candidates:
        raise ModelError(f'{files.place} holds no graph for kind = "{spec.kind}", such as {GRAPH_FILES[spec.kind][0]}')
    if candidates is graphs and len(graphs) > 1:
        raise ModelError(
            f"{files.place} holds {len(graphs)} graphs, {', '.join(graphs)}; name one in models.toml, as in "
            f'file = "{graphs[0]}"'
        )
    return candidates[0]


def read_facts(graph: str, files: ModelFiles, store: Store) -> GraphFacts:
    """Return the facts of a graph for ONNX without reading its numbers, cached by the file's hash.

    Raises:
        ModelError: it is damaged, names data outside of its folder, or the package onnx is not there.
    """
    path = files.find(graph)
    if path is None:
        raise ModelError(f"{files.place}: {graph} is not there; fetch it again")
    with path.open("rb") as file:
        refuse_pointer(files.place, graph, file.read(len(POINTER_START)))
    place = f"{files.place}: {graph}"
    text = store.remember(
        f"graph {store.file_sha256(path)}", lambda: json.dumps(asdict(_read_facts(path, place)), sort_keys=True)
    )
    assert text is not None
    facts = json.loads(text)
    return GraphFacts(data=tuple(facts["data"]), dtype=facts["dtype"])


def _read_facts(path: Path, place: str) -> GraphFacts:
    onnx = import_package("onnx", "onnx")
    try:
        model = onnx.load_model(path, load_external_data=False)
    except Exception as error:  # protobuf's own, of several classes
        raise ModelError(f"{place} is no graph for ONNX, or damaged ({first_line(error)}); fetch it again") from error
    data, numbers = set(), Counter[str]()
    for message in _walk(model):
        if isinstance(message, onnx.NodeProto) and message.op_type == "EPContext":
            raise ModelError(f"{place} was compiled for one device; give the graph that it was compiled from")
        if isinstance(message, onnx.TensorProto):
            data |= {entry.value for entry in message.external_data if entry.key == "location"}
            name = onnx.TensorProto.DataType.Name(message.data_type).lower()
            numbers[DTYPE_NAMES.get(name, name)] += prod(message.dims)
    if outside := sorted(name for name in data if not is_plain(name)):
        raise ModelError(
            f'{place} names "{outside[0]}" for its numbers, which lies outside of its folder; fetch it again'
        )
    return GraphFacts(data=tuple(sorted(data)), dtype=name_dtypes(numbers))


def name_dtypes(numbers: Mapping[str, int]) -> str:
    """Return the data types of a graph's numbers, joined by +: the most frequent first, without rare ones."""
    whole = sum(numbers.values())
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    return "+".join(name for name, count in ordered if count >= MIN_SHARE * whole) or "float32"


def _walk(message: Any) -> Iterator[Any]:
    """Yield a protobuf message and all that are inside it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in [value] if hasattr(value, "ListFields") else value:
                yield from _walk(item)


def import_package(name: str, kind: str) -> Any:
    """Import a package that a kind of model needs.

    Raises:
        ModelError: it is not there.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ModelError(
            f'kind = "{kind}" needs the package {name}: pip install "touchstone-evals[{kind}]" ({first_line(error)})'
        ) from error
