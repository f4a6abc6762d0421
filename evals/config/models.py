"""Named models: what ``models.toml`` may say, and how ``--model`` names one."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from evals.errors import ConfigError, suggest
from evals.files import NO_OTHER_KEYS, WholeNumber, check, place, read_toml

ALIAS = re.compile(r"[A-Za-z0-9._+-]+")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
BUILT_IN = Path(__file__).parent.parent / "models.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A sentence-transformers model: where its weights are, and every setting that can change its vectors.

    Exactly one place: ``id`` (of a hub), ``path`` (a folder), or ``package`` with ``path`` inside it. ``model``
    and ``revision`` say which published model a folder's or package's weights stand for. ``sha256`` pins
    ``model.safetensors``. ``prompts`` map mteb's prompt names (``query``, ``document``, a task type, a task
    name) to the text put before each input.
    """

    __pydantic_config__: ClassVar[Any] = NO_OTHER_KEYS

    kind: Literal["sentence-transformers"] = "sentence-transformers"
    id: str | None = None
    path: Path | None = None
    package: str | None = None
    model: str | None = None
    revision: str | None = None
    sha256: str | None = None
    hub: Literal["huggingface", "modelscope"] = "huggingface"
    pooling: Literal["cls", "lasttoken", "max", "mean", "mean_sqrt_len_tokens", "weightedmean"] | None = None
    max_seq_length: WholeNumber | None = None
    normalize: bool | None = None
    truncate_dim: WholeNumber | None = None
    quantize: Literal["int8", "binary"] | None = None
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    prompts: Mapping[str, str] = field(default_factory=dict)
    trust_remote_code: bool = False
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    config_kwargs: Mapping[str, Any] = field(default_factory=dict)
    encode_kwargs: Mapping[str, Any] = field(default_factory=dict)
    batch_size: WholeNumber = 32

    def __post_init__(self) -> None:
        for name in ("id", "package", "model", "revision", "sha256"):
            if getattr(self, name) == "":
                raise ValueError(f'{name} = ""; leave the key out, or give it a value')
        if self.path is not None and str(self.path) == ".":
            raise ValueError('path = ""; expected a folder')
        local = self.path is not None or self.package is not None
        if (self.id is None) != local:
            named = "names two" if local else "names none"
            raise ValueError(f'needs one place to load from, "id", "path", or "package" with "path"; it {named}')
        if self.id is not None and not HUB_ID.fullmatch(self.id):
            raise ValueError(f'id = "{self.id}"; expected a name on the hub, as in "org/name"')
        if self.package is not None and self.path is None:
            raise ValueError('"package" needs "path", the folder inside the package')
        for name in ("max_seq_length", "truncate_dim", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} = {value}: must be 1 or more")
        if "batch_size" in self.encode_kwargs:
            raise ValueError("batch_size belongs beside encode_kwargs, not inside")

    @property
    def published(self) -> str | None:
        """The name of the published model that this specification stands for, if it says so."""
        return self.model or self.id

    def changes(self) -> dict[str, Any]:
        """Return the settings that can change a score and are not at their default, by name."""
        kept: dict[str, Any] = {}
        for item in dataclasses.fields(self):
            default = item.default_factory() if callable(item.default_factory) else item.default
            value = getattr(self, item.name)
            if item.name not in _WHERE_AND_HOW_FAST and value != default:
                kept[item.name] = dict(value) if isinstance(value, Mapping) else value
        return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A specification under the alias that this run knows it by.

    ``text`` is what the user wrote, to be written again in a command. ``derived``: made with ``ALIAS@key=value``.
    """

    alias: str
    spec: ModelSpec
    text: str
    derived: bool = False

    @property
    def unmodified(self) -> bool:
        """Whether this computes what the published model computes: its recipe, not a variant of it."""
        return not self.derived and not {"truncate_dim", "quantize", "dtype"} & self.spec.changes().keys()


# What says where the weights are, or how fast they run; the weights themselves are hashed.
_WHERE_AND_HOW_FAST = {"id", "path", "package", "model", "revision", "sha256", "hub", "batch_size"}
_DERIVABLE = {
    "max_seq_length", "normalize", "truncate_dim", "quantize", "dtype", "trust_remote_code", "batch_size",
}  # fmt: skip


def load_models(*files: Path) -> dict[str, ModelSpec]:
    """Read the built-in ``models.toml`` and then each file given; a later name replaces an earlier one.

    Raises:
        ConfigError: a file is missing, is not TOML, or an entry is wrong.
    """
    models: dict[str, ModelSpec] = {}
    for file in (BUILT_IN, *files):
        models |= check_models(read_toml(file), str(file), file.parent)
    return models


def check_models(tables: Mapping[str, Any], where: str, folder: Path) -> dict[str, ModelSpec]:
    """Turn the tables of a models file into specifications, by alias.

    Args:
        tables: the tables by alias.
        where: what they were read from, for errors.
        folder: what relative paths are relative to.

    Raises:
        ConfigError: a name or an entry is wrong.
    """
    models: dict[str, ModelSpec] = {}
    for alias, table in tables.items():
        if not ALIAS.fullmatch(alias):
            raise ConfigError(f"{where}: [{alias}] is not a name that pytest -k can select; use A-Z a-z 0-9 . _ + -")
        if not isinstance(table, dict):
            raise ConfigError(f'{where}: "{alias}" must be a table, [{alias}]')
        spec = check(ModelSpec, table, f"{where}: [{alias}]")
        models[alias] = _relative_to(spec, folder)
    return models


def _relative_to(spec: ModelSpec, folder: Path) -> ModelSpec:
    if spec.path is None or spec.package is not None or spec.path.is_absolute():
        return spec
    return dataclasses.replace(spec, path=place(folder, spec.path))


def find_model(text: str, models: Mapping[str, ModelSpec], folder: Path, where: str) -> Model:
    """Resolve ``ALIAS``, ``PATH[=name]`` or ``HUB-ID[=name]``, each with ``@key=value,…`` behind it.

    Args:
        text: what the user wrote.
        models: the named models.
        folder: what a relative path is relative to.
        where: what wrote it, for errors.

    Raises:
        ConfigError: there is no such model, or an override is wrong.
    """
    target, at, overrides = text.partition("@")
    if at and not overrides:
        raise ConfigError(f'{where} = "{text}" needs a setting behind the @, as in {target}@truncate_dim=256')
    if target in models:
        model = Model(alias=target, spec=models[target], text=target)
    else:
        model = _unnamed(target, models, folder, where)
    if not overrides:
        return model
    derived = _derive(model, overrides, where)
    if derived.alias in models:
        raise ConfigError(f'{where} = "{text}" would be called "{derived.alias}", which models.toml has')
    return derived


def _unnamed(target: str, models: Mapping[str, ModelSpec], folder: Path, where: str) -> Model:
    where_it_is, equals, name = target.partition("=")
    path = place(folder, where_it_is)
    if equals and not name:
        raise ConfigError(f'{where} = "{target}" needs a name behind the =, as in {where_it_is}=NAME')
    if where_it_is and path.is_dir():
        spec = ModelSpec(path=path)
        alias = name or _slug(path.resolve().name)
    elif HUB_ID.fullmatch(where_it_is):
        spec = ModelSpec(id=where_it_is)
        alias = name or _slug(where_it_is.rpartition("/")[2])
    elif where_it_is.startswith((".", "/", "~")):
        raise ConfigError(f'{where} = "{target}": there is no folder {path}')
    else:
        raise ConfigError(f'{where} = "{target}" is not in models.toml{suggest(where_it_is, models)}')
    if not ALIAS.fullmatch(alias):
        raise ConfigError(f'{where}: the name "{alias}" may hold only A-Z a-z 0-9 . _ + -; write {where_it_is}=NAME')
    if alias in models:
        raise ConfigError(
            f'{where} = "{target}" would be called "{alias}", which models.toml has; write {where_it_is}=NAME'
        )
    return Model(alias=alias, spec=spec, text=target)


def _derive(model: Model, overrides: str, where: str) -> Model:
    alias, spec = model.alias, model.spec
    changes: dict[str, Any] = {}
    for part in overrides.split(","):
        key, _, value = part.partition("=")
        if key not in _DERIVABLE:
            raise ConfigError(f'{where}: "@{key}" is not a setting one can derive{suggest(key, _DERIVABLE)}')
        if key in changes:
            raise ConfigError(f'{where}: "@{key}" is set twice')
        if not value:
            raise ConfigError(f'{where}: "@{key}" needs a value, as in {model.alias}@truncate_dim=256')
        changes[key] = value
        alias += f"+{key}-{_slug(value)}"
    plain = {item.name: getattr(spec, item.name) for item in dataclasses.fields(spec)}
    spec = check(ModelSpec, plain | changes, f"{where}: {alias}")
    return Model(alias=alias, spec=spec, text=f"{model.text}@{overrides}", derived=True)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")
