"""The base class of model specifications, and checks that several kinds share."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from touchstone.records.names import REVISION, SHA256

# Settings that say where the weights are, or how fast they run; the weights themselves are hashed.
SETTINGS_WITHOUT_EFFECT = {
    "id", "path", "package", "model", "name", "revision", "sha256", "hub", "batch_size", "url", "api_key_env",
    "encoding", "batch_characters", "concurrency", "timeout", "index_timeout", "retries", "patience",
}  # fmt: skip
# Libraries take these among their own arguments too, but a setting in two places can have two values.
OUTER_KEYS = {
    "model_kwargs": {"dtype": "dtype", "torch_dtype": "dtype", "revision": "revision",
                     "trust_remote_code": "trust_remote_code"},
    "config_kwargs": {"revision": "revision", "trust_remote_code": "trust_remote_code"},
    "encode_kwargs": {"batch_size": "batch_size", "prompt": "prompts", "prompt_name": "prompts",
                      "normalize_embeddings": "normalize", "truncate_dim": "truncate_dim"},
    "loader_kwargs": {"revision": "revision", "embed_dim": "embed_dim", "trust_remote_code": "trust_remote_code"},
}  # fmt: skip
# Names that become part of a path, or are looked up on the way to one.
MODEL_NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._+:/ -]{0,199}")
PACKAGE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
EXPECTATIONS = {
    "revision": "expected a commit, branch or tag",
    "model": 'expected the name of a published model, as in "org/name"',
    "package": "expected the name of an importable package",
    "sha256": "expected 64 hexadecimal digits",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A model specification; ``kind`` is its name in ``models.toml``."""

    kind: str

    @property
    def reranks(self) -> bool | None:
        """Whether this scores pairs of texts, and makes no vectors; None where only the model's files can tell."""
        return False

    @property
    def stages(self) -> tuple[str, ...]:
        """The aliases of the models that this one is made of."""
        return ()

    @property
    def published(self) -> str | None:
        """The name of the published model that this specification stands for, None without one."""
        return None

    def explicit_settings(self) -> dict[str, Any]:
        """Return the settings that are not at their default, by name."""
        settings: dict[str, Any] = {}
        for item in dataclasses.fields(self):
            default = item.default_factory() if callable(item.default_factory) else item.default
            if (value := getattr(self, item.name)) != default:
                settings[item.name] = dict(value) if isinstance(value, Mapping) else value
        return settings

    def changes(self) -> dict[str, Any]:
        """Return the settings that are not at their default and can change a score."""
        return {name: value for name, value in self.explicit_settings().items() if name not in SETTINGS_WITHOUT_EFFECT}


def check_values(spec: object) -> None:
    """Refuse values that no kind can have: empty names, counts below one, settings in the wrong table.

    Raises:
        ValueError: naming the key.
    """
    for name in ("id", "package", "model", "name", "revision", "sha256"):
        if getattr(spec, name, None) == "":
            raise ValueError(f'{name} = ""; leave the key out, or give it a value')
    for name, pattern in (("revision", REVISION), ("model", MODEL_NAME), ("package", PACKAGE), ("sha256", SHA256)):
        value = getattr(spec, name, None)
        if value is not None and not pattern.fullmatch(value):
            raise ValueError(f'{name} = "{value}"; {EXPECTATIONS[name]}')
    check_counts(spec, "max_seq_length", "truncate_dim", "embed_dim", "top_k", "batch_size", "dimensions",
                 "max_characters", "batch_characters", "concurrency")  # fmt: skip
    for name, least in (("timeout", 0.0), ("patience", 0.0), ("retries", -1)):
        value = getattr(spec, name, None)
        if value is not None and not least < value < float("inf"):
            raise ValueError(f"{name} = {value}: must be {'0 or more' if least < 0 else 'more than 0'}")
    for table, keys in OUTER_KEYS.items():
        for key in getattr(spec, table, {}):
            if key in keys:
                raise ValueError(f'{table} holds "{key}"; say it with {keys[key]}, beside {table}')


def check_counts(table: object, *names: str) -> None:
    """Refuse counts below one among those of the keys that a table has.

    Raises:
        ValueError: naming the key.
    """
    for name in names:
        value = getattr(table, name, None)
        if value is not None and value < 1:
            raise ValueError(f"{name} = {value}: must be 1 or more")


def check_instruction(instruction: str | None, instruct: str) -> None:
    """Refuse a template that cannot be filled, or one that is missing.

    Raises:
        ValueError: naming the key.
    """
    if instruction is None and instruct != "symmetric":
        raise ValueError(f'instruct = "{instruct}" needs "instruction", the template that it is about')
    if instruction is not None and instruction.count("{instruction}") != 1:
        raise ValueError('instruction needs "{instruction}" once, where mteb\'s instruction of the task goes')
    if instruction is not None and "{query}" in instruction.removesuffix("{query}"):
        raise ValueError('instruction must end in "{query}" or leave it out; nothing can follow the input')
