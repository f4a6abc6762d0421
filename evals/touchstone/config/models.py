"""Named models: what ``models.toml`` may say, and how ``--model`` names one."""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from touchstone.config.api import OPENAI, ApiSpec
from touchstone.config.base import Spec
from touchstone.config.retrievers import Bm25Spec, HybridSpec
from touchstone.config.specs import HUB_ID, EncoderSpec, ExportSpec, find_spec_class, known_kinds
from touchstone.errors import ConfigError, suggest
from touchstone.files.validation import check
from touchstone.files.writing import place, read_toml
from touchstone.records.names import NAME, SIGNS, slug

S = TypeVar("S", bound=Spec)
BUILT_IN = Path(__file__).parent.parent / "models.toml"
PREFIX = "api:"
# What follows the address of an API. A name may begin with @; what follows the last one is a setting where it reads
# like one.
NAME_AND_OVERRIDES = re.compile(r"(?P<name>[^=]+?)(?P<equals>=(?P<alias>[^=@]*))?(@(?P<overrides>[a-z_]+=.*))?")
# Among the settings of one, what leaves nothing to guess.
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
        return not variant and not _VARIANT & self.spec.changes().keys()

    def spec_of(self, kind: type[S]) -> S:
        """Return the specification, which is of that class."""
        assert isinstance(self.spec, kind)
        return self.spec

    @property
    def parts(self) -> tuple["Model", ...]:
        """The models that compute: itself, or where it is made of others those, and theirs."""
        return tuple(part for stage in self.stages for part in stage.parts) or (self,)

    @property
    def family(self) -> tuple["Model", ...]:
        """Itself and all models that it is made of, and theirs."""
        return (self, *(one for stage in self.stages for one in stage.family))

    def is_blamed(self, error: str) -> bool:
        """Return whether an error begins with this model's alias, or with that of one that it is made of."""
        return error.startswith(tuple(f"{one.alias}: " for one in self.family))


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What the server at an address that was typed is taken for; ``reason`` is a sentence that begins with it."""

    url: str
    name: str
    protocol: str = OPENAI
    endpoint: str = "embeddings"
    reason: str


GUESS_FIELDS = ("url", "name", "protocol", "endpoint")
# Asks a server, by its base and the name that was typed, if any, what it is. This room asks nobody itself.
Guesser = Callable[[str, str | None], Guess]

_DERIVABLE = {
    "pooling", "padding_side", "max_seq_length", "normalize", "truncate_dim", "quantize", "dtype", "embed_dim", "top_k",
    "trust_remote_code", "batch_size", "dimensions", "max_characters", "batch_characters", "concurrency",
    "max_active_dims", "protocol", "endpoint", "truncate", "file", "threads",
}  # fmt: skip
# What makes another model of a published one, even where models.toml says it.
_VARIANT = {
    "truncate_dim", "quantize", "dtype", "embed_dim", "loader_kwargs", "max_active_dims", "method", "k1", "b", "delta",
    "stopwords", "stemmer", "frequent",
}  # fmt: skip


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
    for alias in models:
        _check_stages(alias, models, lambda name: f"{said_in[name]}: [{name}]")
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
    for alias in models:
        _check_stages(alias, {**known, **models}, lambda name: f"{where}: [{name}]")
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


def _models_file_with(alias: str, folder: Path) -> Path | None:
    """Return the file ``models.toml`` of a folder if it has this alias; it is read only where it is named."""
    file = folder / "models.toml"
    with suppress(ConfigError):
        return file if file.is_file() and alias in read_toml(file) else None
    return None


def _check_stages(alias: str, models: Mapping[str, Spec], where: Callable[[str], str]) -> None:
    """Refuse stages that are not there, that are made of what they are part of, or that cannot do what is asked."""
    spec = models[alias]
    for number, stage in enumerate(spec.stages):
        key = "models" if isinstance(spec, HybridSpec) else "reranker" if number else "retriever"
        said = f'{where(alias)}: {key} = "{stage}"'
        if stage not in models:
            raise ConfigError(f"{said} is not in models.toml{suggest(stage, models)}")
        if alias in _made_of(stage, models):
            raise ConfigError(f"{said} is made of [{alias}] itself; name another model")
        found = models[stage]
        if key == "reranker" and (found.stages or isinstance(found, Bm25Spec)):
            raise ConfigError(f'{said} is of kind "{found.kind}"; expected a cross-encoder, or a model that encodes')
        if key != "reranker" and found.reranks:
            raise ConfigError(f'{said} is of kind "{found.kind}"; expected an encoder, or a model that searches')


def _made_of(alias: str, models: Mapping[str, Spec]) -> set[str]:
    """Return a model's alias and those of all models that it is made of."""
    found: set[str] = set()
    waiting = [alias]
    while waiting:
        name = waiting.pop()
        if name not in found and name in models:
            found.add(name)
            waiting += models[name].stages
    return found


def _relative_to(spec: Spec, folder: Path) -> Spec:
    path = getattr(spec, "path", None)  # of a kind that has one
    if not isinstance(path, Path) or getattr(spec, "package", None) is not None or path.is_absolute():
        return spec
    changed: dict[str, Any] = {"path": place(folder, path)}
    return dataclasses.replace(spec, **changed)


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
        guess: says what a server is whose protocol nobody said, and its name where there is no ``#NAME``; None where it
            speaks OpenAI's, as in files, which mean the same every time.

    Raises:
        ConfigError: there is no such model, or an override is wrong.
    """
    if text.startswith(PREFIX):
        model, overrides = _behind_api(text, models, where, guess)
    else:
        target, at, overrides = text.partition("@")
        if at and not overrides:
            raise ConfigError(f'{where} = "{text}" needs a setting behind the @, as in {target}@truncate_dim=256')
        alias = target if target in models else _entry_of(target, models, folder)
        model = _unnamed(target, models, folder, where, kind_at) if alias is None else _named(alias, models)
    if not overrides:
        return model
    derived = _derive(model, overrides, where)
    if derived.alias in models:
        raise ConfigError(f'{where} = "{text}" would be called "{derived.alias}", which models.toml has')
    return derived


def _named(alias: str, models: Mapping[str, Spec]) -> Model:
    stages = tuple(_named(stage, models) for stage in models[alias].stages)
    return Model(alias=alias, spec=models[alias], text=alias, stages=stages)


def _entry_of(hub_id: str, models: Mapping[str, Spec], folder: Path) -> str | None:
    """Return the one alias of a hub id, whose entry says more of it: the revision, pooling, prompts."""
    aliases = [alias for alias, spec in models.items() if getattr(spec, "id", None) == hub_id]
    return aliases[0] if len(aliases) == 1 and not place(folder, hub_id).is_dir() else None


def _behind_api(text: str, models: Mapping[str, Spec], where: str, guess: Guesser | None) -> tuple[Model, str]:
    """Read ``api:URL#NAME``, with ``=alias`` and ``@key=value,…`` behind it; what may be a secret is not repeated.

    Returns:
        The model without the settings behind the @, and these.
    """
    url, named, behind = text.removeprefix(PREFIX).partition("#")
    found = NAME_AND_OVERRIDES.fullmatch(behind)
    said = {} if found is None else found.groupdict(default="")
    may_be_asked = guess is not None and not named
    if not url or (not said and not may_be_asked) or (said.get("equals") and not said["alias"]):
        example = f"{PREFIX}http://127.0.0.1:8000/v1#NAME=alias"
        raise ConfigError(f"{where}: what follows {PREFIX} is an address, # and the server's name, as in {example}")
    name, overrides = said.get("name"), said.get("overrides", "")
    spec, guessed = check(ApiSpec, {"url": url, "name": name or "?"}, where), None
    target = f"{PREFIX}{url}" + (f"#{name}{said['equals']}" if said else "")
    if guess is not None and not PROTOCOL.search(overrides):
        guessed = _guess(guess, url, name, where)
        spec = check(ApiSpec, {key: getattr(guessed, key) for key in GUESS_FIELDS}, where)
    alias = said.get("alias") or slug(spec.name.rpartition("/")[2])
    _check_alias(alias, models, target, where, f"{PREFIX}URL#{spec.name}=NAME")
    return Model(alias=alias, spec=spec, text=target, guess=guessed), overrides


def _guess(guess: Guesser, url: str, name: str | None, where: str) -> Guess:
    try:
        return guess(url, name)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _unnamed(
    target: str, models: Mapping[str, Spec], folder: Path, where: str, kind_at: Callable[[Path], str]
) -> Model:
    where_it_is, equals, name = target.partition("=")
    path = place(folder, where_it_is)
    if equals and not name:
        raise ConfigError(f'{where} = "{target}" needs a name behind the =, as in {where_it_is}=NAME')
    if where_it_is and path.is_dir():
        spec = make_spec({"kind": kind_at(path), "path": str(path)}, where)
        alias = name or slug(path.resolve().name)
    elif HUB_ID.fullmatch(where_it_is):
        spec = EncoderSpec(id=where_it_is)  # what it is shows when it is brought
        alias = name or slug(where_it_is.rpartition("/")[2])
    elif where_it_is.startswith((".", "/", "~")):
        raise ConfigError(f'{where} = "{target}": there is no folder {path}')
    else:
        unread = _models_file_with(where_it_is, folder)
        if unread is not None:
            raise ConfigError(f'{where} = "{target}" is in {unread}, which is not read: add --models {unread.name}')
        hint = f"{suggest(where_it_is, models)}; the path of a folder begins with ./ or ../"
        raise ConfigError(f'{where} = "{target}" is not in models.toml{hint}')
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
