"""Model specifications, as in ``models.toml``: one dataclass for each ``kind``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from touchstone.config.api import ApiSpec
from touchstone.config.base import Spec, check_counts, check_instruction, check_values
from touchstone.config.retrievers import Bm25Spec, HybridSpec, PipelineSpec, PythonSpec
from touchstone.errors import ConfigError
from touchstone.extensions import load_extensions
from touchstone.files.inside import is_plain
from touchstone.files.validation import Strict, WholeNumber

# Arguments that would load other files than those that identify a model.
FILE_ARGUMENTS = {
    "revision", "code_revision", "subfolder", "cache_dir", "gguf_file", "state_dict", "config", "from_tf", "from_flax",
    "token", "local_files_only", "force_download", "proxies", "trust_remote_code", "adapter_kwargs",
    "transformers_weights",
}  # fmt: skip
HUB_ID = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSpec(Spec, Strict):
    """Weights that are loaded here, from exactly one place: ``id``, ``path``, or ``package`` with ``path``."""

    id: str | None = None
    """The name on a hub, as in ``org/name``."""
    path: Path | None = None
    """A folder, or with ``package`` the folder inside it."""
    package: str | None = None
    """An installed package that holds the weights."""
    model: str | None = None
    """The published model that a folder's or package's weights stand for."""
    revision: str | None = None
    """The commit, branch or tag; of a folder or package, that of ``model``."""
    sha256: str | None = None
    """What ``model.safetensors``, or the graph of an export, must hash to."""
    hub: Literal["huggingface", "modelscope"] = "huggingface"
    """The hub of ``id``."""
    max_seq_length: WholeNumber | None = None
    """Texts are truncated to this number of tokens."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """The data type of the weights."""
    trust_remote_code: bool = False
    """Whether Python that the publisher wrote may run."""
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """More arguments for the library that opens the weights."""
    config_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """More arguments for the model's configuration."""
    encode_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """More arguments for ``encode``."""
    batch_size: WholeNumber | None = None
    """The maximum number of texts in a batch; without it, as many as suit the device."""

    def __post_init__(self) -> None:
        check_values(self)
        if self.path is not None and str(self.path) == ".":
            raise ValueError('path = ""; expected a folder')
        local = self.path is not None or self.package is not None
        if (self.id is None) != local:
            detail = "names two" if local else "names none"
            raise ValueError(f'needs one place to load from, "id", "path", or "package" with "path"; it {detail}')
        if self.id is not None and not HUB_ID.fullmatch(self.id):
            raise ValueError(f'id = "{self.id}"; expected a name on the hub, as in "org/name"')
        if self.package is not None and self.path is None:
            raise ValueError('"package" needs "path", the folder inside the package')
        if self.id is None and self.hub != "huggingface":
            raise ValueError(f'hub = "{self.hub}" needs "id", the name of the model there')
        self._refuse_pickles()

    def _refuse_pickles(self) -> None:
        for table, arguments in (("model_kwargs", self.model_kwargs), ("config_kwargs", self.config_kwargs)):
            if keys := sorted(FILE_ARGUMENTS & arguments.keys()):
                where = '"id", "path" and "revision" say what is loaded'
                raise ValueError(f'{table} holds "{keys[0]}"; leave it out, for {where}')
            if "weights_only" in arguments:
                raise ValueError(f'{table} holds "weights_only"; leave it out, for weights are all that is ever opened')
            if not arguments.get("use_safetensors", True):
                raise ValueError(f"{table} says use_safetensors = false; leave it out, for pickles are the last resort")

    @property
    def published(self) -> str | None:
        """The name of the published model that this specification stands for, None without one."""
        return self.model or self.id

    @property
    def loading(self) -> Mapping[str, Any]:
        """The arguments of the class of sentence-transformers, besides the path of the files."""
        dtype = {} if self.dtype == "auto" else {"dtype": self.dtype}
        return {"model_kwargs": {**self.model_kwargs, **dtype}, "config_kwargs": dict(self.config_kwargs)}


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSpec(WeightsSpec):
    """A dense encoder of sentence-transformers, with every setting that can change its vectors."""

    kind: Literal["sentence-transformers", "onnx", "openvino"] = "sentence-transformers"
    pooling: Literal["cls", "lasttoken", "max", "mean", "mean_sqrt_len_tokens", "weightedmean"] | None = None
    """Replaces the model's own, or is that of a bare transformer, which has none."""
    padding_side: Literal["left", "right"] | None = None
    """On which side short texts are padded."""
    normalize: bool | None = None
    """Whether vectors are scaled to length 1; without it, as the model's files say."""
    truncate_dim: WholeNumber | None = None
    """Vectors are truncated to this number of dimensions."""
    quantize: Literal["float16", "int8", "uint8", "binary", "mteb-int8", "mteb-binary"] | None = None
    """The precision of vectors. ``mteb-int8`` and ``mteb-binary`` are what mteb's ``CompressionWrapper`` does."""
    prompts: Mapping[str, str] | None = None
    """Text before each input, by mteb's prompt names: a task, a task type, ``query``, ``document``, ``NAME-query`` or
    ``NAME-document``. Any replaces all of the model's own; ``{}`` means none.
    """
    instruction: str | None = None
    r"""A template such as ``Instruct: {instruction}\nQuery: {query}``, filled with mteb's instruction of the task where
    there is no prompt.
    """
    instruct: Literal["queries", "symmetric", "all"] = "symmetric"
    """Which texts get the instruction: queries alone, all but documents (``symmetric``), or all."""

    def __post_init__(self) -> None:
        WeightsSpec.__post_init__(self)  # a dataclass with slots has no super() of no arguments
        check_instruction(self.instruction, self.instruct)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossEncoderSpec(WeightsSpec):
    """A cross-encoder, which scores a query and a document together."""

    kind: Literal["cross-encoder"] = "cross-encoder"
    prompt: str | None = None
    """Text before each query."""

    @property
    def reranks(self) -> bool:
        """Whether this scores pairs of texts: it does."""
        return True


# Settings that only encoders have, only cross-encoders, and only weights that are not a graph.
ENCODER_SETTINGS = ("pooling", "padding_side", "normalize", "truncate_dim", "quantize", "prompts", "instruction")
CROSS_ENCODER_SETTINGS = ("prompt",)
WEIGHTS_SETTINGS = ("dtype", "model_kwargs", "config_kwargs")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSpec(EncoderSpec):
    """An encoder or a cross-encoder whose transformer was exported: a graph in its folder stands for the weights.

    What the folder holds decides which of the two it is.
    """

    suffix: ClassVar[str]
    role: Literal["encoder", "cross-encoder"] | None = None
    """What the folder holds, where its files cannot be read before they are downloaded."""
    file: str | None = None
    """The graph, by its name in the folder."""
    threads: WholeNumber | None = None
    """Threads that compute it; without it, as many as torch has."""
    prompt: str | None = None
    """Of a cross-encoder: text before each query."""

    def __post_init__(self) -> None:
        EncoderSpec.__post_init__(self)
        check_counts(self, "threads")
        if keys := [key for key in WEIGHTS_SETTINGS if key in self.explicit_settings()]:
            raise ValueError(f'{keys[0]} means nothing for kind = "{self.kind}", whose graph is as it was exported')
        if self.file is not None and not (is_plain(self.file) and self.file.endswith(self.suffix)):
            raise ValueError(f'file = "{self.file}"; expected the name of a {self.suffix} file in the folder')
        if self.role is not None and (key := self.misplaced(self.role)):
            raise ValueError(f'{key} means nothing for role = "{self.role}"; leave it out')

    @property
    def reranks(self) -> bool | None:
        """Whether this scores pairs of texts, None where only its files can tell."""
        return None if self.role is None else self.role == "cross-encoder"

    @property
    def loading(self) -> Mapping[str, Any]:
        """The arguments of the class of sentence-transformers, besides the path of the files."""
        return {"backend": self.kind}

    def changes(self) -> dict[str, Any]:
        """Return the settings that can change a score; the graph itself is hashed."""
        where = ("role", "file", "threads")
        return {key: value for key, value in EncoderSpec.changes(self).items() if key not in where}

    def misplaced(self, role: str) -> str | None:
        """Return a setting that models of the other role have, None where there is none."""
        other = ENCODER_SETTINGS if role == "cross-encoder" else CROSS_ENCODER_SETTINGS
        return next((key for key in other if key in self.explicit_settings()), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxSpec(ExportSpec):
    """A graph that onnxruntime runs."""

    kind: Literal["onnx"] = "onnx"
    suffix: ClassVar[str] = ".onnx"
    providers: tuple[str, ...] | None = None
    """Execution providers of onnxruntime, the first for what it can; without it, that of the device."""

    def __post_init__(self) -> None:
        ExportSpec.__post_init__(self)
        if self.providers is not None and not all(self.providers or [""]):
            raise ValueError('providers: expected names of onnxruntime\'s, such as ["CUDAExecutionProvider"]')


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVinoSpec(ExportSpec):
    """A graph that OpenVINO runs, on the CPU."""

    kind: Literal["openvino"] = "openvino"
    suffix: ClassVar[str] = ".xml"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySpec(Spec, Strict):
    """A model that mteb knows by name and loads by code of its own.

    A loader that runs Python of the model's publisher is refused unless ``trust_remote_code``, and with it loads what
    it always does.
    """

    kind: Literal["registry"] = "registry"
    name: str
    """The name that mteb knows."""
    revision: str | None = None
    """Refuses an mteb that names another one."""
    embed_dim: WholeNumber | None = None
    """The width of vectors, as ``mteb.get_model`` takes it."""
    trust_remote_code: bool = False
    """Whether a loader may run Python that the publisher wrote."""
    loader_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """More arguments for mteb's loader."""
    encode_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """More arguments for ``encode``."""
    batch_size: WholeNumber = 32
    """Texts in a batch."""

    def __post_init__(self) -> None:
        check_values(self)

    @property
    def published(self) -> str | None:
        """The name of the published model that this specification stands for."""
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseSpec(WeightsSpec):
    """A sparse encoder, such as SPLADE: one number for each word of a vocabulary, most of them zero."""

    kind: Literal["sparse"] = "sparse"
    max_active_dims: WholeNumber | None = None
    """How many of the largest numbers of each text are kept."""
    prompts: Mapping[str, str] | None = None
    """As for a dense encoder."""
    instruction: str | None = None
    """As for a dense encoder."""
    instruct: Literal["queries", "symmetric", "all"] = "symmetric"
    """As for a dense encoder."""

    def __post_init__(self) -> None:
        WeightsSpec.__post_init__(self)
        check_instruction(self.instruction, self.instruct)
        check_counts(self, "max_active_dims")


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiVectorSpec(WeightsSpec):
    """A late interaction model, such as ColBERT: a vector for each token, and scores by the sum of the best matches."""

    kind: Literal["multi-vector"] = "multi-vector"
    prompts: Mapping[str, str] | None = None
    """As for a dense encoder."""
    instruction: str | None = None
    """As for a dense encoder."""
    instruct: Literal["queries", "symmetric", "all"] = "symmetric"
    """As for a dense encoder."""

    def __post_init__(self) -> None:
        WeightsSpec.__post_init__(self)
        check_instruction(self.instruction, self.instruct)


# The entry points of other packages' kinds, each a `touchstone.models.base.ModelKind` under its own name.
GROUP = "touchstone.model_kinds"
KINDS: Mapping[str, type[Spec]] = {
    "sentence-transformers": EncoderSpec,
    "registry": RegistrySpec,
    "cross-encoder": CrossEncoderSpec,
    "sparse": SparseSpec,
    "multi-vector": MultiVectorSpec,
    "onnx": OnnxSpec,
    "openvino": OpenVinoSpec,
    "bm25": Bm25Spec,
    "pipeline": PipelineSpec,
    "hybrid": HybridSpec,
    "python": PythonSpec,
    "api": ApiSpec,
}


def known_kinds() -> tuple[str, ...]:
    """Return the names of all kinds, the built-in ones first."""
    return (*KINDS, *(name for name in load_extensions(GROUP) if name not in KINDS))


def find_spec_class(kind: str) -> type[Spec] | None:
    """Return the dataclass of a kind's specifications; None for an unknown kind.

    Raises:
        ConfigError: an installed package adds the kind, but not as a `ModelKind`.
    """
    if kind in KINDS:
        return KINDS[kind]
    added = load_extensions(GROUP).get(kind)
    if added is None:
        return None
    spec_class = getattr(added, "spec", None)
    if not (isinstance(spec_class, type) and issubclass(spec_class, Spec)):
        raise ConfigError(f"{GROUP}: {kind} is not a ModelKind with a spec under Spec; mend its package")
    return spec_class
