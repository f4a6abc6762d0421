"""Exported models: opened with the tokenizer and the modules of their folder, and a graph as the transformer."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from touchstone.config.models import Model
from touchstone.config.specs import ExportSpec, OnnxSpec, OpenVinoSpec
from touchstone.encoding.batching import ONE_AT_A_TIME, BatchedModel
from touchstone.errors import ModelError
from touchstone.models import cross_encoders, sentence_transformers
from touchstone.models.base import ModelKind, OpenModel, OpenReranker, only_reranks
from touchstone.models.cross_encoders import BatchedReranker, load_cross_encoder
from touchstone.models.exported.fitting import fit_cross_encoder, fit_encoder
from touchstone.models.exported.graph import Graph, Runtime
from touchstone.models.exported.runtimes import CPU, CUDA, CUDA_PREFIXES, OnnxRuntime, OpenVino, check_providers
from touchstone.models.files.detection import check_export
from touchstone.models.files.graphs import import_package, read_facts, with_graph
from touchstone.models.files.listing import in_folder
from touchstone.models.weights.devices import find_device
from touchstone.models.weights.identity import Weights, folder_of, identify, locate
from touchstone.models.weights.loading import construct
from touchstone.records.cases import Reads
from touchstone.records.outcomes import Settings
from touchstone.seams import exports_loaded_by
from touchstone.store.folder import Store

T = TypeVar("T")
Make = Callable[[], Runtime]


def open_exported(model: Model, device: str, store: Store) -> OpenModel | OpenReranker:
    """Load an exported model, an encoder or a cross-encoder.

    Raises:
        ModelError: it cannot be loaded, its graph gives something else than its modules read, or the device is not
            there.
    """
    spec = model.spec_of(ExportSpec)
    weights = locate(model, store)
    place = DEVICES[spec.kind](model, device)
    folder = Path(weights.place)
    make = partial(_make_runtime, spec, folder, place, store)
    if check_export(in_folder(folder), role=spec.role, local=spec.id is None) == "encoder":
        return _open_encoder(model, weights, make, place, store)
    return _open_cross_encoder(model, weights, make, place)


def _make_runtime(spec: ExportSpec, folder: Path, device: str, store: Store) -> Runtime:
    """Load the graph of a model."""
    import torch

    files = with_graph(spec, in_folder(folder), store)
    graph, *data = files.graph or ()
    threads = spec.threads or torch.get_num_threads()
    if not isinstance(spec, OnnxSpec):
        return OpenVino(folder / graph, folder / data[0], threads=threads)
    providers = spec.providers or ((CUDA, CPU) if device.startswith("cuda") else (CPU,))
    dtype = read_facts(graph, files, store).dtype
    return OnnxRuntime(folder / graph, dtype, providers, device=device, threads=threads)


def _open_encoder(model: Model, weights: Weights, make: Make, device: str, store: Store) -> OpenModel:
    from sentence_transformers import SentenceTransformer

    spec = model.spec_of(ExportSpec)
    load = partial(construct, SentenceTransformer, spec, weights, device=device, truncate_dim=spec.truncate_dim)
    (loaded, _), graph = _load(load, make, device, weights.label)
    fit_encoder(loaded, graph, model, weights)
    at_once, whole = _in_batches(spec, lambda most: BatchedModel(loaded, texts_at_once=most).check())
    space = {**sentence_transformers.space_of(model, weights, loaded), **graph.runtime.computed_by}
    way = sentence_transformers.Way(device=device, space=space, texts_at_once=at_once)
    opened = sentence_transformers.make_open(model, loaded, weights=weights, store=store, way=way)
    width = min(whole.shape[1], loaded.truncate_dim or whole.shape[1])
    return replace(opened, settings=replace(_settings(opened.settings, spec, at_once), dimension=width))


def _open_cross_encoder(model: Model, weights: Weights, make: Make, device: str) -> OpenReranker:
    spec = model.spec_of(ExportSpec)
    loaded, graph = _load(lambda: load_cross_encoder(spec, weights, device), make, device, weights.label)
    fit_cross_encoder(loaded, graph, spec, weights.label)
    at_once, _ = _in_batches(spec, lambda most: BatchedReranker(loaded, pairs_at_once=most).check())
    opened = cross_encoders.make_open(model, loaded, weights=weights, device=device, pairs_at_once=at_once)
    return replace(opened, settings=_settings(opened.settings, spec, at_once))


def _load(load: Callable[[], T], make: Make, device: str, place: str) -> tuple[T, Graph]:
    """Load a model with a graph in the place of its transformer, and return both.

    Raises:
        ModelError: it has no transformer, or several.
    """
    graphs: list[Graph] = []

    def take(config: Any, task: str) -> Graph:
        if graphs:
            raise ModelError(f"{place} has several transformers, and its graph is one")
        graphs.append(Graph(make(), config, task, device))
        return graphs[0]

    with exports_loaded_by(take):
        loaded = load()
    if not graphs:
        raise ModelError(f"{place} has no transformer that a graph could stand for")
    return loaded, graphs[0]


def _in_batches(spec: ExportSpec, check: Callable[[int | None], T]) -> tuple[int | None, T]:
    """Return how many texts may be in a batch, 1 where they change each other, and the result of the check.

    Activations that are quantized as they come have the range of the whole batch.
    """
    try:
        return spec.batch_size, check(spec.batch_size)
    except ModelError:
        return 1, check(1)


def _settings(settings: Settings, spec: ExportSpec, at_once: int | None) -> Settings:
    """Return settings with a note where a model runs one text at a time without being asked to."""
    if at_once == spec.batch_size:
        return settings
    return replace(settings, dtype=f"{settings.dtype}, {ONE_AT_A_TIME}")


def find_onnx_device(model: Model, device: str) -> str:
    """Return where onnxruntime computes: on the device asked for, or that of the providers that are named.

    Raises:
        ModelError: this machine has no such device, onnxruntime has nothing for it, or the providers are for another.
    """
    import torch

    available = import_package("onnxruntime", "onnx").get_available_providers()
    providers = model.spec_of(OnnxSpec).providers
    kind = device.partition(":")[0]
    if providers is not None:
        provider_kind = "cuda" if providers[0].startswith(CUDA_PREFIXES) else "cpu"
        if kind not in ("auto", provider_kind):
            raise ModelError(f"--device {device}, but providers begin with {providers[0]}; use --device auto")
        return find_device(model, provider_kind if kind == "auto" else device)
    if kind == "auto":
        return "cuda" if CUDA in available and torch.cuda.is_available() else "cpu"
    if kind == "mps":
        raise ModelError("--device mps: onnxruntime has no such device; use --device cpu, or name providers")
    check_providers((CUDA,) if kind == "cuda" else (), available)
    return find_device(model, device)


def find_openvino_device(_model: Model, device: str) -> str:
    """Return where OpenVINO computes here: on the CPU.

    Raises:
        ModelError: another device is asked for.
    """
    if device not in ("auto", "cpu"):
        raise ModelError(f'--device {device}: kind = "openvino" computes on the CPU; use --device cpu or auto')
    return "cpu"


def find_input(model: Model) -> Reads:
    """Return what an exported model reads: by its folder, or where that cannot be seen yet by its specification."""
    spec = model.spec_of(ExportSpec)
    role: str | None = spec.role
    with suppress(ModelError):  # opening the model reports it
        if role is None and spec.id is None:
            role = check_export(in_folder(folder_of(spec)), role=None, local=True)
    return "pairs" if role == "cross-encoder" else "texts"


def why_not(model: Model, task_type: str) -> str | None:
    """Return why a model cannot run tasks of a type, None if it can."""
    return only_reranks(model, task_type) if find_input(model) == "pairs" else None


DEVICES = {"onnx": find_onnx_device, "openvino": find_openvino_device}
KINDS = tuple(
    ModelKind(
        name=name,
        spec=spec,
        identify=identify,
        open=open_exported,
        device=DEVICES[name],
        reads=find_input,
        why_not=why_not,
        prompts=lambda model: model.spec_of(ExportSpec).prompts or {},
        divides=True,
    )
    for name, spec in (("onnx", OnnxSpec), ("openvino", OpenVinoSpec))
)
