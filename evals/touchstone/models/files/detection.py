"""What a model's own files say it is: an encoder, a cross-encoder, or what no kind of specification runs yet."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from touchstone.errors import ModelError, TouchstoneError
from touchstone.models.files.listing import ModelFiles, in_folder
from touchstone.models.files.loaded import MODULE_FILES as FILES_OF
from touchstone.models.files.loaded import loaded_files

# The classes of sentence-transformers, which its files name, and the kind of specification that runs one.
DENSE, CROSS, SPARSE, MULTI = "SentenceTransformer", "CrossEncoder", "SparseEncoder", "MultiVectorEncoder"
KINDS = {DENSE: "sentence-transformers", CROSS: "cross-encoder", SPARSE: "sparse", MULTI: "multi-vector"}
# What a model of the class gives in place of a dense vector.
REASONS = {
    SPARSE: "which gives no dense vector of a text",
    MULTI: "which gives a vector for each token, and no single one of a text",
}
# PyLate's name for what sentence-transformers calls a multi-vector encoder.
CLASS_SYNONYMS = {"ColBERT": MULTI}
# Modules that only one of the classes has, for files that do not name the class.
MODULE_CLASSES = {
    "SpladePooling": SPARSE, "MLMTransformer": SPARSE, "SparseAutoEncoder": SPARSE, "CSRSparsity": SPARSE,
    "SparseStaticEmbedding": SPARSE, "MultiVectorMask": MULTI, "LogitScore": CROSS,
}  # fmt: skip
# What PyLate writes beside the settings of sentence-transformers.
PYLATE_KEYS = {"query_prefix", "document_prefix", "attend_to_expansion_tokens", "do_query_expansion", "skiplist_words"}
SCORER_SUFFIX = "ForSequenceClassification"
# ColPali, ColQwen2ForRetrieval, HF_ColBERT and their like.
COLBERT_NAME = re.compile(r"(HF_)?Col[A-Z]\w*")
WEIGHTS_NAME = re.compile(r".*\.safetensors|(pytorch_)?model.*\.bin|adapter_model\.bin")
EXPORT_FORMATS = {".onnx": ("ONNX", "onnx"), ".xml": ("OpenVINO", "openvino")}
ROLES = {DENSE: "encoder", CROSS: "cross-encoder"}


def check_kind(kind: str, files: ModelFiles) -> None:
    """Refuse a model that is of another kind than its specification's; files that say nothing are no reason.

    Args:
        kind: of the specification.
        files: of the model.

    Raises:
        ModelError: naming what the model is and what to write.
    """
    _refuse_what_does_not_load(files)
    cls = detect(files)
    if cls is None or KINDS.get(cls) == kind:
        return
    why = f", {REASONS[cls]}" if cls in REASONS else ""
    raise ModelError(f'{files.place} is a {cls}{why}; write kind = "{KINDS[cls]}" in models.toml')


def check_export(files: ModelFiles, *, role: str | None, local: bool) -> str:
    """Refuse a model of which no graph is run, or that is not what its specification says it is.

    Args:
        files: of the model.
        role: what the specification says, ``encoder`` or ``cross-encoder``.
        local: True if its files lie in a folder, so that its role could be read before it was opened.

    Returns:
        Its role.

    Raises:
        ModelError: naming what the model is and what to write.
    """
    cls, place = detect(files), files.place
    if files.has("adapter_config.json"):
        raise ModelError(f"{place} is an adapter, which cannot be put under a graph; export the merged model")
    if cls in REASONS:
        raise ModelError(f'{place} is a {cls}, of which no graph is run; write kind = "{KINDS[cls]}"')
    claimed = role or (None if local else ROLES[DENSE])
    actual = claimed or ROLES[DENSE] if cls is None else ROLES[cls]
    if claimed not in (None, actual):
        raise ModelError(f'{place} is a {cls}; write role = "{actual}" in models.toml')
    return actual


def check_base(kind: str, files: ModelFiles) -> None:
    """Refuse a base of an adapter that the specification's kind does not load, or loads without what makes its vectors.

    A reranker may have any base, for its adapter brings the head.

    Raises:
        ModelError: naming what the base is.
    """
    _refuse_what_does_not_load(files)
    cls = detect(files)
    if kind == KINDS[DENSE] and cls not in (None, DENSE):
        raise ModelError(f"{files.place} is a {cls}, which an adapter does not make an encoder")


def detect(files: ModelFiles) -> str | None:
    """Return which class of sentence-transformers a model is of, None where its files do not say.

    Raises:
        ModelError: they say a class that is not known, or a classifier's.
    """
    settings = files.table("config_sentence_transformers.json")
    model_type = settings.get("model_type")
    if model_type is not None:
        name = CLASS_SYNONYMS.get(model_type, model_type) if isinstance(model_type, str) else model_type
        if name not in list(KINDS):  # it may be a list
            names = ", ".join(f'"{known_name}"' for known_name in (*KINDS, *CLASS_SYNONYMS))
            raise ModelError(
                f"{files.place}: config_sentence_transformers.json says model_type = {json.dumps(model_type)}; "
                f"known are {names}"
            )
        return str(name)
    return _by_modules(files, settings) or _by_architecture(files)


def kind_at(folder: Path) -> str:
    """Return the kind of a model in a folder without a specification; a reranker needs one.

    A model whose files say nothing, or nothing that can be true, is taken for a dense encoder: measuring finds out.
    """
    cls = None
    with suppress(TouchstoneError):
        cls = detect(in_folder(folder))
    return KINDS[cls] if cls in (SPARSE, MULTI) else KINDS[DENSE]


def source_of(files: ModelFiles) -> str:
    """Return the file, or ``its architecture``, that says which class a model is of."""
    if files.table("config_sentence_transformers.json").get("model_type") is not None:
        return "config_sentence_transformers.json"
    return "modules.json" if isinstance(files.read("modules.json"), list) else "its architecture"


def _by_modules(files: ModelFiles, settings: Mapping[str, Any]) -> str | None:
    """Return the class of a model by its modules; None for one without ``modules.json``."""
    modules = files.read("modules.json")
    if not isinstance(modules, list):
        return None
    types = _types(modules)
    if any(type_.startswith("pylate.") for type_ in types) or PYLATE_KEYS & settings.keys():
        return MULTI
    config = files.table("config.json")
    if any(COLBERT_NAME.fullmatch(name) for name in _architectures(config)):
        return MULTI
    names = [type_.rpartition(".")[2] for type_ in types]
    return next((MODULE_CLASSES[name] for name in names if name in MODULE_CLASSES), DENSE)


def _by_architecture(files: ModelFiles) -> str | None:
    """Return the class of a bare transformer or an adapter, None for one that may become a dense encoder."""
    if files.table("adapter_config.json").get("task_type") == "SEQ_CLS":
        return CROSS
    config = files.table("config.json")
    names = _architectures(config)
    if any(COLBERT_NAME.fullmatch(name) for name in names) or files.has("artifact.metadata"):
        return MULTI
    heads = [name for name in names if name.endswith(SCORER_SUFFIX)]
    auto_map, labels = (item if isinstance(item := config.get(name), dict) else {} for name in ("auto_map", "id2label"))
    if not heads and not (f"AutoModel{SCORER_SUFFIX}" in auto_map and "AutoModel" not in auto_map):
        return None
    if len(labels) > 1:
        what = heads[0] if heads else f"AutoModel{SCORER_SUFFIX}"
        raise ModelError(
            f"{files.place} is a {what}, which gives {len(labels)} numbers; "
            "a cross-encoder gives one, its score, and an encoder a vector"
        )
    return CROSS


def _refuse_what_does_not_load(files: ModelFiles) -> None:
    """Refuse weights in formats that no kind loads."""
    config = files.table("config.json")
    static = config.get("model_type") == "model2vec" or "StaticModel" in _architectures(config)
    if static and not files.has("modules.json"):
        raise ModelError(
            f"{files.place} is a model2vec model without modules.json, which sentence-transformers needs; "
            "save it again with a newer model2vec"
        )
    if any(WEIGHTS_NAME.fullmatch(PurePosixPath(name).name) for name in loaded_files(files)):
        return
    modules = files.read("modules.json")
    names = [type_.rpartition(".")[2] for type_ in _types(modules)] if isinstance(modules, list) else []
    if names and all(name in FILES_OF and not FILES_OF[name][1] for name in names):
        return  # a bag of words has no weights
    exported = [EXPORT_FORMATS[suffix] for suffix in EXPORT_FORMATS if graphs_in(files, suffix)]
    if exported:
        formats = " and ".join(name for name, _ in exported)
        kinds = " or ".join(f'kind = "{kind}"' for _, kind in exported)
        raise ModelError(
            f"{files.place} holds weights for {formats} alone; write {kinds} in models.toml, or give the folder that "
            "has model.safetensors too"
        )


def graphs_in(files: ModelFiles, suffix: str) -> list[str]:
    """Return the names of exported graphs where exporters put them."""
    folders = ("", "onnx/", "openvino/")
    return [folder + name for folder in folders for name in files.names(folder.rstrip("/")) if name.endswith(suffix)]


def _types(modules: list[Any]) -> list[str]:
    return [str(module.get("type", "")) for module in modules if isinstance(module, dict)]


def _architectures(config: Mapping[str, Any]) -> list[str]:
    names = config.get("architectures") or []
    return [str(name) for name in names] if isinstance(names, list) else []
