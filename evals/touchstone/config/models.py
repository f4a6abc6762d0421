"""Named models: what ``models.toml`` may say, and how ``--model`` names one."""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from touchstone.config.api import ApiSpec
from touchstone.config.base import Spec
from touchstone.config.specs import HUB_ID, EncoderSpec, ExportSpec, PipelineSpec, find_spec_class, known_kinds
from touchstone.errors import ConfigError, suggest
from touchstone.files.validation import check
from touchstone.files.writing import place, read_toml
from touchstone.records.names import NAME, SIGNS, slug

S = TypeVar("S", bound=Spec)
BUILT_IN = Path(__file__).parent.parent / "models.toml"
PREFIX = "api:"
# What follows the address of an API. A name may begin with @; what follows the last one is a setting where it reads
# like one.
NAMED = re.compile(r"(?P<name>[^=]+?)(?P<equals>=(?P<alias>[^=@]*))?(@(?P<overrides>[a-z_]+=.*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A specification under the alias that this run knows it by.

    ``text`` is what the user wrote, to be written again in a command. ``derived``: made with ``ALIAS@key=value``.
    ``stages`` are a pipeline's two models, the retriever first.
    """

    alias: str
    spec: Spec
    text: str
    derived: bool = False
    stages: tuple["Model", ...] = ()

    @property
    def unmodified(self) -> bool:
        """Whether this computes what the published model computes: its recipe, not a variant or an export of it."""
        variant = self.derived or isinstance(self.spec, ExportSpec)
        return not variant and not _VARIANT & self.spec.changes().keys()

    def spec_of(self, kind: type[S]) -> S:
        """Return the specification, which is of that class."""
        assert isinstance(self.spec, kind)
        return self.spec

    def is_blamed(self, error: str) -> bool:
        """Return whether an error begins with this model's alias, or with that of one of its stages."""
        return error.startswith(tuple(f"{one.alias}: " for one in (self, *self.stages)))


_DERIVABLE = {
    "pooling", "padding_side", "max_seq_length", "normalize", "truncate_dim", "quantize", "dtype", "embed_dim", "top_k",
    "trust_remote_code", "batch_size", "dimensions", "max_characters", "batch_characters", "concurrency", "file",
    "threads",
}  # fmt: skip
# What makes another model of a published one, even where models.toml says it.
_VARIANT = {"truncate_dim", "quantize", "dtype", "embed_dim", "loader_kwargs"}


def load_models(*files: Path) -> dict[str, Spec]:
    """Read the built-in ``models.toml`` and then each file given; a later name replaces an earlier one.

    Raises:
        ConfigError: a file is missing, is not TOML, or an entry is wrong.
    """
    models: dict[str, Spec] = {}
    said_in: dict[str, Path] = {}
    for file in (BUILT_IN, *files):
        found = _read_models(read_toml(file), str(file), file.parent)
        models |= found
        said_in |= dict.fromkeys(found, file)
    for alias, spec in models.items():
        if isinstance(spec, PipelineSpec):
            _check_pipeline(spec, models, f"{said_in[alias]}: [{alias}]")
    return models


def check_models(tables: Mapping[str, Any], where: str, folder: Path, known: Mapping[str, Spec]) -> dict[str, Spec]:
    """Turn the tables that a models file would hold into specifications, by alias.

    Args:
        tables: by alias.
        where: what they were read from, for errors.
        folder: what relative paths are relative to.
        known: the models that a pipeline may name beside them.

    Raises:
        ConfigError: a name or an entry is wrong.
    """
    models = _read_models(tables, where, folder)
    for alias, spec in models.items():
        if isinstance(spec, PipelineSpec):
            _check_pipeline(spec, {**known, **models}, f"{where}: [{alias}]")
    return models


def _read_models(tables: Mapping[str, Any], where: str, folder: Path) -> dict[str, Spec]:
    models: dict[str, Spec] = {}
    for alias, table in tables.items():
        if not NAME.fullmatch(alias):
            raise ConfigError(f"{where}: [{alias}] is not a name that pytest -k can select; use {SIGNS}")
        if not isinstance(table, dict):
            raise ConfigError(f'{where}: "{alias}" must be a table, [{alias}]')
        models[alias] = _relative_to(make_spec(table, f"{where}: [{alias}]"), folder)
    return models


def make_spec(table: Mapping[str, Any], where: str) -> Spec:
    """Turn one table into the specification of its ``kind``; without one it is ``sentence-transformers``.

    Raises:
        ConfigError: beginning with ``where``, naming the key and what it may be.
    """
    kind = table.get("kind", "sentence-transformers")
    found = find_spec_class(kind) if isinstance(kind, str) else None
    if found is None:
        known = ", ".join(f'"{name}"' for name in known_kinds())
        raise ConfigError(f"{where}: kind = {json.dumps(kind, default=str)}; expected one of {known}")
    return check(found, table, where)


def _check_pipeline(spec: PipelineSpec, models: Mapping[str, Spec], where: str) -> None:
    """Refuse stages that are not there, or not of the kind that their place needs."""
    for key, alias in (("retriever", spec.retriever), ("reranker", spec.reranker)):
        if alias not in models:
            raise ConfigError(f'{where}: {key} = "{alias}" is not in models.toml{suggest(alias, models)}')
        if isinstance(models[alias], PipelineSpec) or models[alias].reranks not in (None, key == "reranker"):
            right = "a cross-encoder" if key == "reranker" else "an encoder"
            raise ConfigError(f'{where}: {key} = "{alias}" is of kind "{models[alias].kind}"; expected {right}')


def _relative_to(spec: Spec, folder: Path) -> Spec:
    path = getattr(spec, "path", None)  # of a kind that has one
    if not isinstance(path, Path) or getattr(spec, "package", None) is not None or path.is_absolute():
        return spec
    changed: dict[str, Any] = {"path": place(folder, path)}
    return dataclasses.replace(spec, **changed)


def find_model(text: str, models: Mapping[str, Spec], folder: Path, where: str) -> Model:
    """Resolve ``ALIAS``, ``PATH[=name]``, ``HUB-ID[=name]`` or ``api:URL#NAME[=name]``, with ``@key=value,…`` behind.

    Args:
        text: what the user wrote.
        models: the named models.
        folder: what a relative path is relative to.
        where: what wrote it, for errors.

    Raises:
        ConfigError: there is no such model, or an override is wrong.
    """
    if text.startswith(PREFIX):
        model, overrides = _behind_api(text, models, where)
    else:
        target, at, overrides = text.partition("@")
        if at and not overrides:
            raise ConfigError(f'{where} = "{text}" needs a setting behind the @, as in {target}@truncate_dim=256')
        if target in models:
            spec = models[target]
            named = (spec.retriever, spec.reranker) if isinstance(spec, PipelineSpec) else ()
            stages = tuple(Model(alias=alias, spec=models[alias], text=alias) for alias in named)
            model = Model(alias=target, spec=spec, text=target, stages=stages)
        else:
            model = _unnamed(target, models, folder, where)
    if not overrides:
        return model
    derived = _derive(model, overrides, where)
    if derived.alias in models:
        raise ConfigError(f'{where} = "{text}" would be called "{derived.alias}", which models.toml has')
    return derived


def _behind_api(text: str, models: Mapping[str, Spec], where: str) -> tuple[Model, str]:
    """Read ``api:URL#NAME``, with ``=alias`` and ``@key=value,…`` behind it; what may be a secret is not repeated.

    Returns:
        The model without the settings behind the @, and these.
    """
    url, _, behind = text.removeprefix(PREFIX).partition("#")
    found = NAMED.fullmatch(behind)
    if not url or found is None or (found["equals"] and not found["alias"]):
        example = f"{PREFIX}http://127.0.0.1:8000/v1#NAME=alias"
        raise ConfigError(f"{where}: what follows {PREFIX} is an address, # and the server's name, as in {example}")
    spec = check(ApiSpec, {"url": url, "name": found["name"]}, where)
    target = f"{PREFIX}{url}#{spec.name}{found['equals'] or ''}"
    alias = found["alias"] or slug(spec.name.rpartition("/")[2])
    _check_alias(alias, models, target, where, f"{PREFIX}URL#{spec.name}=NAME")
    return Model(alias=alias, spec=spec, text=target), found["overrides"] or ""


def _unnamed(target: str, models: Mapping[str, Spec], folder: Path, where: str) -> Model:
    where_it_is, equals, name = target.partition("=")
    path = place(folder, where_it_is)
    if equals and not name:
        raise ConfigError(f'{where} = "{target}" needs a name behind the =, as in {where_it_is}=NAME')
    if where_it_is and path.is_dir():
        spec = EncoderSpec(path=path)
        alias = name or slug(path.resolve().name)
    elif HUB_ID.fullmatch(where_it_is):
        spec = EncoderSpec(id=where_it_is)
        alias = name or slug(where_it_is.rpartition("/")[2])
    elif where_it_is.startswith((".", "/", "~")):
        raise ConfigError(f'{where} = "{target}": there is no folder {path}')
    else:
        raise ConfigError(f'{where} = "{target}" is not in models.toml{suggest(where_it_is, models)}')
    _check_alias(alias, models, target, where, f"{where_it_is}=NAME")
    return Model(alias=alias, spec=spec, text=target)


def _check_alias(alias: str, models: Mapping[str, Spec], target: str, where: str, instead: str) -> None:
    """Refuse a name that pytest cannot select, or that another model has."""
    if not NAME.fullmatch(alias):
        raise ConfigError(f'{where}: the name "{alias}" may hold only {SIGNS}; write {instead}')
    if alias in models:
        raise ConfigError(f'{where} = "{target}" would be called "{alias}", which models.toml has; write {instead}')


def _derive(model: Model, overrides: str, where: str) -> Model:
    alias, spec = model.alias, model.spec
    plain = {item.name: getattr(spec, item.name) for item in dataclasses.fields(spec)}
    derivable = _DERIVABLE & plain.keys()
    changes: dict[str, Any] = {}
    for part in overrides.split(","):
        key, _, value = part.partition("=")
        if key not in derivable:
            raise ConfigError(f'{where}: "@{key}" is not a setting one can derive{suggest(key, derivable)}')
        if key in changes:
            raise ConfigError(f'{where}: "@{key}" is set twice')
        if not value:
            raise ConfigError(f'{where}: "@{key}" needs a value, as in {model.alias}@truncate_dim=256')
        changes[key] = value
        alias += f"+{key}-{slug(value)}"
    spec = check(type(spec), plain | changes, f"{where}: {alias}")
    return dataclasses.replace(model, alias=alias, spec=spec, text=f"{model.text}@{overrides}", derived=True)
