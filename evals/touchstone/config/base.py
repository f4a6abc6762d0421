"""What every kind of model specification can be asked, and the checks that several kinds share."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from touchstone.records.names import REVISION, SHA256

# What says where the weights are, or how fast they run; the weights themselves are hashed.
WHERE_AND_HOW_FAST = {
    "id", "path", "package", "model", "name", "revision", "sha256", "hub", "batch_size", "url", "api_key_env",
    "encoding", "batch_characters", "concurrency", "timeout", "index_timeout", "retries", "patience",
}  # fmt: skip
# A library takes these inside its own arguments too, but one setting said in two places can say two things.
BELONG_OUTSIDE = {
    "model_kwargs": {"dtype": "dtype", "torch_dtype": "dtype", "revision": "revision",
                     "trust_remote_code": "trust_remote_code"},
    "config_kwargs": {"revision": "revision", "trust_remote_code": "trust_remote_code"},
    "encode_kwargs": {"batch_size": "batch_size", "prompt": "prompts", "prompt_name": "prompts",
                      "normalize_embeddings": "normalize", "truncate_dim": "truncate_dim"},
    "loader_kwargs": {"revision": "revision", "embed_dim": "embed_dim", "trust_remote_code": "trust_remote_code"},
}  # fmt: skip
# What becomes part of a path, or is looked for on the way to one.
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
    """What every kind can be asked; ``kind`` is its name in ``models.toml``."""

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
        """The name of the published model that this specification stands for, if it says so."""
        return None

    def said(self) -> dict[str, Any]:
        """Return the settings that are not at their default, by name."""
        kept: dict[str, Any] = {}
        for item in dataclasses.fields(self):
            default = item.default_factory() if callable(item.default_factory) else item.default
            if (value := getattr(self, item.name)) != default:
                kept[item.name] = dict(value) if isinstance(value, Mapping) else value
        return kept

    def changes(self) -> dict[str, Any]:
        """Return those of them that can change a score."""
        return {name: value for name, value in self.said().items() if name not in WHERE_AND_HOW_FAST}


def check_values(spec: object) -> None:
    """Refuse values that no kind can have: empty names, counts below one, settings said in the wrong table.

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
    for table, keys in BELONG_OUTSIDE.items():
        for key in getattr(spec, table, {}):
            if key in keys:
                raise ValueError(f'{table} holds "{key}"; say it with {keys[key]}, beside {table}')


def check_counts(table: object, *names: str) -> None:
    """Refuse counts below one, of those keys that a table has.

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
