"""The schema of EvalScope configurations for its MTEB tool.

EvalScope 1.9 renamed ``model`` and ``tasks`` to ``models`` and ``task_names``; both schemas are read. A key that means
something else here, or nothing, gets a note or is refused; none is dropped silently.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from touchstone.config.base import check_counts
from touchstone.files.literals import read_plain
from touchstone.files.validation import Strict, WholeNumber, check

Hub = Literal["modelscope", "huggingface"]
# How many candidates EvalScope reranks by default, in its first schema and in today's.
TOP_K = {"model": 5, "models": 10}
MAX_SEQ_LENGTH = 512
REFUSED_MODEL_KEYS = ("model_name", "api_base", "api_key", "dimension", "dimensions")
REFUSED_KEYS = {
    "custom_tasks": "folders of one's own are [[tasks.custom]] of a TOML suite",
    "dataset_path": "folders of one's own are [[tasks.custom]] of a TOML suite",
    "splits": "splits are [tasks.splits] of a TOML suite",
    "random_sample": "a limit here keeps the same sample on every machine",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry(Strict):
    """One model. ``prompt`` is put before queries, ``prompts`` too, by task name, where there is no ``prompt``."""

    model_name_or_path: str = ""
    is_cross_encoder: bool = False
    pooling_mode: Literal["cls", "lasttoken", "max", "mean", "mean_sqrt_len_tokens", "weightedmean"] | None = None
    max_seq_length: WholeNumber | None = None
    prompt: str | None = None
    prompts: Mapping[str, str] | None = None
    model_kwargs: Mapping[str, Any] | None = None
    config_kwargs: Mapping[str, Any] | None = None
    encode_kwargs: Mapping[str, Any] | None = None
    hub: Hub | None = None
    model_name: Any = None
    api_base: Any = None
    api_key: Any = None
    dimension: Any = None
    dimensions: Any = None

    def __post_init__(self) -> None:
        for name in REFUSED_MODEL_KEYS:
            if getattr(self, name) is not None:
                apart = ' (a key or a reranker: kind = "api" in models.toml)' * bool(
                    self.api_key or self.is_cross_encoder
                )
                raise ValueError(
                    f"{name}: a configuration's models behind an API are not run; leave it out and type "
                    f'--model "{self._typed()}"{apart}'
                )
        if not self.model_name_or_path:
            raise ValueError("needs model_name_or_path: a folder, a name in models.toml or a hub id")
        check_counts(self, "max_seq_length")
        if self.is_cross_encoder and self.pooling_mode is not None:
            raise ValueError(f'pooling_mode = "{self.pooling_mode}": a cross-encoder has no pooling')

    def _typed(self) -> str:
        """Return how a model behind an API is typed; an address that may hold a secret is not repeated."""
        base, model = self.api_base, self.model_name
        is_plain = isinstance(base, str) and not set(base) & set('@?#" ')
        url = str(base).rstrip("/").removesuffix("/embeddings").removesuffix("/rerank") if is_plain else "URL"
        name = model if isinstance(model, str) and not set(model) & set('@=#" ') else "NAME"
        return f"api:{url}#{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalEntry(Strict):
    """The ``eval`` dictionary: which tasks, on how much of their data, and where results go."""

    tasks: tuple[str, ...] | None = None
    task_names: tuple[str, ...] | None = None
    task_types: tuple[str, ...] | None = None
    languages: tuple[str, ...] | None = None
    verbosity: WholeNumber | None = None
    output_folder: str | None = None
    overwrite_results: bool = True
    limits: WholeNumber | None = None
    hub: Hub | None = None
    top_k: WholeNumber | None = None
    encode_kwargs: Mapping[str, Any] | None = None
    custom_tasks: Any = None
    dataset_path: Any = None
    splits: Any = None
    random_sample: Any = None

    def __post_init__(self) -> None:
        for name, why in REFUSED_KEYS.items():
            if getattr(self, name):
                raise ValueError(f"{name} is not supported: {why}")
        if self.tasks is not None and self.task_names is not None:
            raise ValueError("has tasks and task_names, two names of one key; keep one")
        if not (self.names or self.task_types or self.languages):
            raise ValueError('selects no task; name some, as in tasks = ["TNews"]')
        if self.output_folder == "":
            raise ValueError('output_folder = ""; expected a folder')
        self._check_names()
        if self.verbosity is not None and not 0 <= self.verbosity <= 3:
            raise ValueError(f"verbosity = {self.verbosity}; expected 0, 1, 2 or 3")
        check_counts(self, "limits", "top_k")

    def _check_names(self) -> None:
        for name in self.names:
            if not name or set(name) & set("*?["):
                raise ValueError(f'tasks: "{name}" is not the name of a task; patterns are include of a TOML suite')
        for language in self.languages or ():
            if "-" in language:
                code = language.partition("-")[0]
                raise ValueError(f'languages: "{language}": scripts are not told apart here; write "{code}"')

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks named, under either name of the key."""
        return self.tasks or self.task_names or ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEntry(Strict):
    """The ``eval_config`` dictionary."""

    tool: str
    model: tuple[ModelEntry, ...] | None = None
    models: tuple[ModelEntry, ...] | None = None
    eval: EvalEntry

    def __post_init__(self) -> None:
        if self.tool.lower() != "mteb":
            raise ValueError(f'tool = "{self.tool}"; expected "MTEB", the only one that is run here')
        if self.model is not None and self.models is not None:
            raise ValueError("has model and models, two names of one key; keep one")
        if not self.listed:
            raise ValueError(f'{self.key} must list at least one model, as in [{{"model_name_or_path": "minilm"}}]')
        kinds = [model.is_cross_encoder for model in self.listed]
        if self.key == "model" and len(kinds) > 1 and kinds != [False, True]:
            raise ValueError(
                "model lists one model, or a retriever and then a cross-encoder with is_cross_encoder = true; "
                f"it lists {len(kinds)}, of which {sum(kinds)} are cross-encoders"
            )

    @property
    def key(self) -> Literal["model", "models"]:
        """The name under which this schema lists models."""
        return "models" if self.models is not None else "model"

    @property
    def listed(self) -> tuple[ModelEntry, ...]:
        """The models, under either name of the key."""
        return self.model or self.models or ()

    @property
    def two_stages(self) -> bool:
        """Whether one model retrieves and the other reranks."""
        return sorted(model.is_cross_encoder for model in self.listed) == [False, True]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalScopeConfig(Strict):
    """A whole configuration. ``work_dir`` is what later versions call the output folder."""

    eval_backend: str = "RAGEval"
    work_dir: str | None = None
    eval_config: ToolEntry

    def __post_init__(self) -> None:
        if self.eval_backend.lower() != "rageval":
            raise ValueError(f'eval_backend = "{self.eval_backend}"; expected "RAGEval", the only one that is run here')
        if self.work_dir == "":
            raise ValueError('work_dir = ""; expected a folder')

    @property
    def folder(self) -> str | None:
        """Where results go, under either name of the key."""
        return self.eval_config.eval.output_folder or self.work_dir


def read_evalscope(file: Path, name: str | None = None) -> EvalScopeConfig:
    """Read a configuration out of a JSON, YAML or Python file; nothing in it is executed.

    Args:
        file: the file.
        name: the variable of the configuration in a Python file that holds several.

    Raises:
        ConfigError: naming the file, the place in it, and what would be right.
    """
    return check(EvalScopeConfig, read_plain(file, "eval_config", name), str(file))
