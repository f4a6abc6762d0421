"""Named models: what ``models.toml`` may say, and how ``--model`` names one."""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path
from typing import Any, TypeVar

from touchstone.config.api import OPENAI, ApiSpec
from touchstone.config.base import Spec
from touchstone.config.retrievers import Bm25Spec, HybridSpec
from touchstone.config.specs import HUB_ID, EncoderSpec, ExportSpec, find_spec_class, known_kinds
from touchstone.errors import ConfigError, suggest, suggest_inside
from touchstone.files.validation import check
from touchstone.files.writing import place, read_toml
from touchstone.records.names import NAME, SIGNS, slug

S = TypeVar("S", bound=Spec)
BUILT_IN = Path(__file__).parent.parent / "models.toml"
API_PREFIX = "api:"
# What follows the address of an API. A name may begin with @; what follows the last one is a setting where it reads
# like one.
NAME_AND_OVERRIDES = re.compile(r"(?P<name>[^=]+?)(?P<equals>=(?P<alias>[^=@]*))?(@(?P<overrides>[a-z_]+=.*))?")
# The setting that leaves nothing to guess, among those of an API.
PROTOCOL = re.compile("(^|,)protocol=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A specification under the alias that this run knows it by.

    ``text`` is what the user wrote, to be written again in a command. ``derived``: made with ``ALIAS@key=value``.
    ``stages`` are the models that it is made of, in the order of its specification. ``guess`` is what a server was
    taken for, and why.
    """

    alias: str
    spec: Spec
    text: str
    derived: bool = False
    stages: tuple["Model", ...] = ()
    guess: "Guess | None" = None

    @property
    def unmodified(self) -> bool:
        """Whether this computes what the published model computes: its recipe, not a variant or an export of it."""
        variant = self.derived or isinstance(self.spec, ExportSpec)
        return not variant and not _VARIANT_SETTINGS & self.spec.changes().keys()

    def spec_of(self, kind: type[S]) -> S:
        """Return the specification, which is of that class."""
        assert isinstance(self.spec, kind)
        return self.spec

    @property
    def parts(self) -> tuple["Model", ...]:
        """The models that compute: the model itself, or those that it is made of, recursively."""
        return tuple(part for stage in self.stages for part in stage.parts) or (self,)

    @property
    def family(self) -> tuple["Model", ...]:
        """The model itself and all that it is made of, recursively."""
        return (self, *(model for stage in self.stages for model in stage.family))

    def is_blamed(self, error: str) -> bool:
        """Return True if an error begins with the alias of this model, or of one that it is made of."""
        return error.startswith(tuple(f"{model.alias}: " for model in self.family))


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What the server at an address that was typed is taken for; ``reason`` is a sentence that begins with it."""

    url: str
    name: str
    protocol: str = OPENAI
    endpoint: str = "embeddings"
    reason: str


GUESS_FIELDS = ("url", "name", "protocol", "endpoint")
# Asks the server at a base address, with the model's name if typed, what it is. This package itself asks no server.
Guesser = Callable[[str, str | None], Guess]

_DERIVABLE_SETTINGS = {
    "pooling", "padding_side", "max_seq_length", "normalize", "truncate_dim", "quantize", "dtype", "embed_dim", "top_k",
    "trust_remote_code", "batch_size", "dimensions", "max_characters", "batch_characters", "concurrency",
    "max_active_dims", "protocol", "endpoint", "truncate", "file", "threads",
}  # fmt: skip
# Settings that make another model of a published one, even in models.toml.
_VARIANT_SETTINGS = {
    "truncate_dim", "quantize", "dtype", "embed_dim", "loader_kwargs", "max_active_dims", "method", "k1", "b", "delta",
    "stopwords", "stemmer", "frequent",
}  # fmt: skip


def load_models(*files: Path) -> dict[str, Spec]:
    """Read the built-in ``models.toml`` and then each file given; a later name replaces an earlier one.

    Raises:
        ConfigError: a file is missing, is not TOML, or an entry is wrong.
    """
    models: dict[str, Spec] = {}
    sources: dict[str, Path] = {}
    for file in (BUILT_IN, *files):
        specs = _read_models(read_toml(file), str(file), file.parent)
        models |= specs
        sources |= dict.fromkeys(specs, file)
    for alias in models:
        _check_stages(alias, models, lambda name: f"{sources[name]}: [{name}]")
    return models


def check_models(tables: Mapping[str, Any], where: str, folder: Path, others: Mapping[str, Spec]) -> dict[str, Spec]:
    """Turn the tables that a models file would hold into specifications, by alias.

    Args:
        tables: the tables, by alias.
        where: what the tables were read from, for errors.
        folder: what relative paths are relative to.
        others: the models that a pipeline may name besides.

    Raises:
        ConfigError: a name or an entry is wrong.
    """
    models = _read_models(tables, where, folder)
    for alias in models:
        _check_stages(alias, {**others, **models}, lambda name: f"{where}: [{name}]")
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
    spec_class = find_spec_class(kind) if isinstance(kind, str) else None
    if spec_class is None:
        kinds = ", ".join(f'"{name}"' for name in known_kinds())
        raise ConfigError(f"{where}: kind = {json.dumps(kind, default=str)}; expected one of {kinds}")
    return check(spec_class, table, where)


def _models_file_with(alias: str, folder: Path) -> Path | None:
    """Return the file ``models.toml`` of a folder if it has this alias; it is read only where it is named."""
    file = folder / "models.toml"
    with suppress(ConfigError):
        return file if file.is_file() and alias in read_toml(file) else None
    return None


def _check_stages(alias: str, models: Mapping[str, Spec], where: Callable[[str], str]) -> None:
    """Refuse stages that are missing, that are made of the model itself, or that are of the wrong kind."""
    spec = models[alias]
    for number, stage in enumerate(spec.stages):
        key = "models" if isinstance(spec, HybridSpec) else "reranker" if number else "retriever"
        subject = f'{where(alias)}: {key} = "{stage}"'
        if stage not in models:
            raise ConfigError(f"{subject} is not in models.toml{suggest(stage, models)}")
        if alias in _parts_of(stage, models):
            raise ConfigError(f"{subject} is made of [{alias}] itself; name another model")
        part = models[stage]
        if key == "reranker" and (part.stages or isinstance(part, Bm25Spec)):
            raise ConfigError(f'{subject} is of kind "{part.kind}"; expected a cross-encoder, or a model that encodes')
        if key != "reranker" and part.reranks:
            raise ConfigError(f'{subject} is of kind "{part.kind}"; expected an encoder, or a model that searches')


def _parts_of(alias: str, models: Mapping[str, Spec]) -> set[str]:
    """Return a model's alias and those of all models that it is made of."""
    aliases: set[str] = set()
    queue = [alias]
    while queue:
        name = queue.pop()
        if name not in aliases and name in models:
            aliases.add(name)
            queue += models[name].stages
    return aliases


def _relative_to(spec: Spec, folder: Path) -> Spec:
    path = getattr(spec, "path", None)  # of a kind that has one
    if not isinstance(path, Path) or getattr(spec, "package", None) is not None or path.is_absolute():
        return spec
    changes: dict[str, Any] = {"path": place(folder, path)}
    return dataclasses.replace(spec, **changes)


def find_model(
    text: str,
    models: Mapping[str, Spec],
    folder: Path,
    where: str,
    *,
    kind_at: Callable[[Path], str] = lambda _: "sentence-transformers",
    guess: Guesser | None = None,
) -> Model:
    """Resolve ``ALIAS``, ``PATH[=name]``, ``HUB-ID[=name]`` or ``api:URL#NAME[=name]``, with ``@key=value,…`` behind.

    Args:
        text: what the user wrote.
        models: the named models.
        folder: what a relative path is relative to.
        where: what wrote it, for errors.
        kind_at: returns the kind of a model in a folder.
        guess: asks a server for its protocol, and for its model's name where there is no ``#NAME``. None takes OpenAI's
            protocol, as for files, which mean the same every time.

    Raises:
        ConfigError: there is no such model, or an override is wrong.
    """
    if text.startswith(API_PREFIX):
        model, overrides = _api_model(text, models, where, guess)
    else:
        target, at, overrides = text.partition("@")
        if at and not overrides:
            raise ConfigError(f'{where} = "{text}" needs a setting behind the @, as in {target}@truncate_dim=256')
        alias = target if target in models else _entry_of(target, models, folder)
        model = _unnamed_model(target, models, folder, where, kind_at) if alias is None else _named_model(alias, models)
    return derive(model, overrides, models, where) if overrides else model


def derive(model: Model, overrides: str, models: Mapping[str, Spec], where: str) -> Model:
    """Return a model with other settings, ``key=value,…``, under an alias that names them.

    Raises:
        ConfigError: a setting is wrong, or one of the named models has that alias.
    """
    derived = _derive(model, overrides, where)
    if derived.alias in models:
        raise ConfigError(f'{where} = "{derived.text}" would be called "{derived.alias}", which models.toml has')
    return derived


def _named_model(alias: str, models: Mapping[str, Spec]) -> Model:
    stages = tuple(_named_model(stage, models) for stage in models[alias].stages)
    return Model(alias=alias, spec=models[alias], text=alias, stages=stages)


def _entry_of(hub_id: str, models: Mapping[str, Spec], folder: Path) -> str | None:
    """Return the only alias of a hub id, whose entry has more settings: the revision, pooling, prompts."""
    aliases = [alias for alias, spec in models.items() if getattr(spec, "id", None) == hub_id]
    return aliases[0] if len(aliases) == 1 and not place(folder, hub_id).is_dir() else None


def _api_model(text: str, models: Mapping[str, Spec], where: str, guess: Guesser | None) -> tuple[Model, str]:
    """Read ``api:URL#NAME``, with ``=alias`` and ``@key=value,…`` behind it; what may be a secret is not repeated.

    Returns:
        The model without the settings behind the @, and these.
    """
    url, separator, suffix = text.removeprefix(API_PREFIX).partition("#")
    match = NAME_AND_OVERRIDES.fullmatch(suffix)
    groups = {} if match is None else match.groupdict(default="")
    may_be_asked = guess is not None and not separator
    if not url or (not groups and not may_be_asked) or (groups.get("equals") and not groups["alias"]):
        example = f"{API_PREFIX}http://127.0.0.1:8000/v1#NAME=alias"
        raise ConfigError(f"{where}: what follows {API_PREFIX} is an address, # and the server's name, as in {example}")
    name, overrides = groups.get("name"), groups.get("overrides", "")
    spec, guessed = check(ApiSpec, {"url": url, "name": name or "?"}, where), None
    target = f"{API_PREFIX}{url}" + (f"#{name}{groups['equals']}" if groups else "")
    if guess is not None and not PROTOCOL.search(overrides):
        guessed = _guess(guess, url, name, where)
        spec = check(ApiSpec, {key: getattr(guessed, key) for key in GUESS_FIELDS}, where)
    alias = groups.get("alias") or slug(spec.name.rpartition("/")[2])
    _check_alias(alias, models, target, where, f"{API_PREFIX}URL#{spec.name}=NAME")
    return Model(alias=alias, spec=spec, text=target, guess=guessed), overrides


def _guess(guess: Guesser, url: str, name: str | None, where: str) -> Guess:
    try:
        return guess(url, name)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _unnamed_model(
    target: str, models: Mapping[str, Spec], folder: Path, where: str, kind_at: Callable[[Path], str]
) -> Model:
    location, equals, name = target.partition("=")
    path = place(folder, location)
    if equals and not name:
        raise ConfigError(f'{where} = "{target}" needs a name behind the =, as in {location}=NAME')
    if location and path.is_dir():
        spec = make_spec({"kind": kind_at(path), "path": str(path)}, where)
        alias = name or slug(path.resolve().name)
    elif HUB_ID.fullmatch(location):
        spec = EncoderSpec(id=location)  # its kind shows when it is downloaded
        alias = name or slug(location.rpartition("/")[2])
    elif location.startswith((".", "/", "~")):
        raise ConfigError(f'{where} = "{target}": there is no folder {normpath(path)}')
    else:
        unread = _models_file_with(location, folder)
        if unread is not None:
            raise ConfigError(f'{where} = "{target}" is in {unread}, which is not read: add --models {unread.name}')
        near = suggest_inside(location, models)
        hint = "the path of a folder begins with ./ or ../"
        raise ConfigError(f'{where} = "{target}" is not in models.toml{near}; {hint}')
    _check_alias(alias, models, target, where, f"{location}=NAME")
    return Model(alias=alias, spec=spec, text=target)


def _check_alias(alias: str, models: Mapping[str, Spec], target: str, where: str, instead: str) -> None:
    """Refuse a name that pytest cannot select, or that another model has."""
    if not NAME.fullmatch(alias):
        raise ConfigError(f'{where}: the name "{alias}" may hold only {SIGNS}; write {instead}')
    if alias in models:
        raise ConfigError(f'{where} = "{target}" would be called "{alias}", which models.toml has; write {instead}')


def _derive(model: Model, overrides: str, where: str) -> Model:
    alias, spec = model.alias, model.spec
    settings = {item.name: getattr(spec, item.name) for item in dataclasses.fields(spec)}
    derivable = _DERIVABLE_SETTINGS & settings.keys()
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
    spec = check(type(spec), settings | changes, f"{where}: {alias}")
    text = f"{model.text}{',' if model.derived else '@'}{overrides}"
    return dataclasses.replace(model, alias=alias, spec=spec, text=text, derived=True)
