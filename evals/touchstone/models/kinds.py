"""All kinds of models, by the ``kind`` of their specifications; and a model of any kind identified and opened."""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from touchstone.config import models as models_file
from touchstone.config.base import Spec
from touchstone.config.models import Guesser, Model
from touchstone.config.options import Options
from touchstone.config.specs import GROUP
from touchstone.config.suites import NamedSuite, load_suite
from touchstone.errors import ConfigError, ModelError
from touchstone.extensions import load_extensions
from touchstone.files.writing import place
from touchstone.models import (
    bm25,
    cross_encoders,
    hybrid,
    in_memory,
    multi_vector,
    pipelines,
    registry,
    sentence_transformers,
    sparse,
)
from touchstone.models.api import opening as api
from touchstone.models.base import ModelKind, Opened, OpenModel
from touchstone.models.exported import opening as exported
from touchstone.models.files.detection import kind_at
from touchstone.models.python import opening as python
from touchstone.records.names import NAME
from touchstone.records.outcomes import ModelIdentity
from touchstone.seams import import_libraries
from touchstone.store.folder import Store

_MODULES = (sentence_transformers, cross_encoders, sparse, multi_vector, bm25, pipelines, hybrid, python, api, registry,
            in_memory)  # fmt: skip
KINDS: dict[str, ModelKind] = {kind.name: kind for kind in (*(module.KIND for module in _MODULES), *exported.KINDS)}


def find_model(
    text: str, models: Mapping[str, Spec], folder: Path, where: str, *, guess: Guesser | None = None
) -> Model:
    """Resolve what a user wrote, as `config.models.find_model`; what a folder is decides its kind.

    Raises:
        ConfigError: there is no such model, or an override is wrong.
    """
    return models_file.find_model(text, models, folder, where, kind_at=kind_at, guess=guess)


def find_typed(
    text: str, specs: Mapping[str, Spec], options: Options, where: str, *, guess: Guesser | None = None
) -> Model:
    """Resolve what a user typed, as `find_model`; an alias may be one that a suite of the run or the project's gives.

    Raises:
        ConfigError: there is no such model, an override is wrong, or the suite that may name it is.
    """
    alias, _, overrides = text.partition("@")
    if alias in specs or not NAME.fullmatch(alias):
        return find_model(text, specs, options.cwd, where, guess=guess)
    named, folder = models_of_suites(options, specs), place(options.cwd, alias)
    model = named.get(alias)
    if model is None or folder.is_dir():
        path = None if model is None else getattr(model.spec, "path", None)
        if model is not None and (path is None or path.resolve() != folder.resolve()):
            raise ConfigError(f'{where} = "{alias}" is a folder here and another model in the suite; write ./{alias}')
        return find_model(text, {**{n: m.spec for n, m in named.items()}, **specs}, options.cwd, where, guess=guess)
    return models_file.derive(model, overrides, specs, where) if overrides else model


def models_of_suites(options: Options, specs: Mapping[str, Spec]) -> dict[str, Model]:
    """Return the models that the suites of a run and the project's own name, by alias; the first one counts.

    Raises:
        ConfigError: a suite is wrong, or names a model that is not there.
    """
    names = [name for name in (*options.suites, options.default_suite) if name not in options.inline_suites]
    suites = [load_suite(name, options.cwd, specs) for name in dict.fromkeys(names)]
    models: dict[str, Model] = {}
    for model in [model for suite in suites for model in models_of(suite, {**specs, **suite.models}, options.cwd)]:
        models.setdefault(model.alias, model)
    return models


def models_of(suite: NamedSuite, specs: Mapping[str, Spec], cwd: Path) -> list[Model]:
    """Return the models that a suite names, whose texts can be typed where the user stands.

    Raises:
        ConfigError: there is no such model.
    """
    folder, where = suite.file.parent, f"{suite.file}: models"
    return [_seen_from(cwd, find_model(text, specs, folder, where), folder) for text in suite.suite.models]


def _seen_from(cwd: Path, model: Model, folder: Path) -> Model:
    path, mark, rest = re.fullmatch(r"([^=@]*)([=@]?)(.*)", model.text, re.DOTALL).groups()  # type: ignore[union-attr]
    if getattr(model.spec, "path", None) is None or model.text == model.alias or path.startswith(("/", "~")):
        return model
    here = os.path.relpath(place(folder, path), cwd)
    return replace(model, text=f"{here if here.startswith('..') else f'./{here}'}{mark}{rest}")


def kind_of(model: Model) -> ModelKind:
    """Return the kind of a model: a built-in one, or one that an installed package adds.

    Raises:
        ConfigError: what the package adds is no `ModelKind`.
    """
    name = model.spec.kind
    kind = KINDS.get(name) or load_extensions(GROUP).get(name)
    if not isinstance(kind, ModelKind):
        raise ConfigError(f"{GROUP}: {name} is not a ModelKind; mend or uninstall the package that adds it")
    return kind


def identify(model: Model, store: Store) -> ModelIdentity:
    """Return who a model is, without loading it: name, revision and fingerprint.

    Raises:
        ModelError: the weights are not there, or are not the ones pinned.
    """
    return kind_of(model).identify(model, store)


def open_model(model: Model, device: str, store: Store) -> Opened:
    """Load a model.

    Args:
        model: the specification and its alias.
        device: auto, cpu, cuda, cuda:N or mps; auto is the GPU where there is one.
        store: remembers the hashes of the weights.

    Raises:
        ModelError: it cannot be loaded, or the device is not there; it begins with the alias, or with that of a stage.
    """
    kind = kind_of(model)
    if not kind.served:
        import_libraries()
    try:
        return kind.open(model, device, store)
    except ModelError as error:
        if model.is_blamed(str(error)):
            raise
        raise ModelError(f"{model.alias}: {error}") from error


def open_encoder(model: Model, device: str, store: Store) -> OpenModel:
    """Load a model that encodes texts; arguments as for `open_model`.

    Raises:
        ModelError: it cannot be loaded, or it is no encoder.
    """
    opened = open_model(model, device, store) if kind_of(model).reads(model) == "texts" else None
    if isinstance(opened, OpenModel):
        return opened
    raise ModelError(f"{model.alias}: {_name(model)} is no encoder")


def _name(model: Model) -> str:
    kind = kind_of(model)
    return "a rerank endpoint" if kind.served and model.spec.reranks else f'a model of kind "{kind.name}"'
