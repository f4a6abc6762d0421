"""An EvalScope configuration as the tables of a suite file and of a models file, with notes on differences."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from touchstone.config.base import Spec
from touchstone.config.evalscope.notes import notes_on_data, notes_on_model, notes_on_run
from touchstone.config.evalscope.schema import MAX_SEQ_LENGTH, TOP_K, EvalScopeConfig, ModelEntry, read_evalscope
from touchstone.config.models import check_models
from touchstone.config.specs import HUB_ID
from touchstone.errors import ConfigError, suggest
from touchstone.files.writing import place
from touchstone.foreign import one_line
from touchstone.records.names import RENAMED_TASKS, slug

Table = dict[str, Any]
# What kinds of models without such a setting do.
_DEFAULTS = {"dtype": "auto"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A converted configuration: ``suite`` as in a suite file, ``models`` as in a models file, by alias.

    Paths are as written, relative to the configuration's folder. ``notes`` say what differs from EvalScope.
    """

    suite: Table
    models: dict[str, Table]
    notes: tuple[str, ...]


def convert(config: EvalScopeConfig, file: Path, specs: Mapping[str, Spec]) -> Converted:
    """Convert a configuration to the tables of a suite and of models.

    Args:
        config: the configuration, checked.
        file: the file that it was read from, for errors and relative paths.
        specs: the models of models.toml, which ``model_name_or_path`` may name.

    Raises:
        ConfigError: a model cannot be found, or two of its settings contradict each other.
    """
    tool = config.eval_config
    places = [f"eval_config.{tool.key}.{number}" for number in range(len(tool.listed))]
    entries = [
        _convert_model(entry, tool.eval.encode_kwargs or {}, f"{file}: [{where}]", file.parent, specs)
        for entry, where in zip(tool.listed, places, strict=True)
    ]
    aliases = _aliases(entries, file, specs)
    models = {alias: table for alias, (_, table) in zip(aliases, entries, strict=True) if table is not None}
    suite_models = aliases
    if tool.two_stages:
        retriever, reranker = sorted(zip(tool.listed, aliases, strict=True), key=lambda pair: pair[0].is_cross_encoder)
        pipeline = f"{retriever[1]}+{reranker[1]}"
        suite_models = [pipeline]
        top_k = tool.eval.top_k or TOP_K[tool.key]
        models[pipeline] = {"kind": "pipeline", "retriever": retriever[1], "reranker": reranker[1], "top_k": top_k}
    notes = [*notes_on_data(tool.eval), *notes_on_run(config)]
    for entry, where in zip(tool.listed, places, strict=True):
        is_folder = place(file.parent, entry.model_name_or_path).is_dir()
        notes += [f"{where}.{note}" for note in notes_on_model(entry, specs, is_folder=is_folder)]
    return Converted(suite={"models": suite_models, **_suite(config)}, models=models, notes=tuple(notes))


def render_suite_toml(
    file: Path, specs: Mapping[str, Spec], *, name: str | None = None, into: Path | None = None
) -> tuple[str, str]:
    """Render a configuration as a suite file and a models file that mean the same.

    Args:
        file: the configuration.
        specs: the models of models.toml.
        name: its variable in a Python file that holds several.
        into: the folder where both files will lie, if not beside the configuration: relative paths begin there.

    Returns:
        The text of the suite and the text of the models, both TOML.

    Raises:
        ConfigError: the configuration cannot be read, or holds a null, for which TOML has no word.
    """
    converted = convert(read_evalscope(file, name), file, specs)
    head = _comment(f"Made from {file.name}, an EvalScope configuration.")
    suite, models = dict(converted.suite), {alias: dict(table) for alias, table in converted.models.items()}
    for table, key in ((suite, "store"), *((table, "path") for table in models.values() if "package" not in table)):
        if key in table and into is not None and not place(Path(), table[key]).is_absolute():
            table[key] = os.path.relpath(place(file.parent, table[key]), into)
    for alias, table in models.items():
        _refuse_null(table, f"{file}: {alias}")
    notes = "".join(map(_comment, converted.notes))
    return head + notes + "\n" + tomli_w.dumps(suite), head + "\n" + tomli_w.dumps(models)


def _suite(config: EvalScopeConfig) -> Table:
    entry = config.eval_config.eval
    suite: Table = {"tasks": {"include": list(dict.fromkeys(RENAMED_TASKS.get(name, name) for name in entry.names))}}
    if not entry.names:
        filters = {"types": entry.task_types, "languages": entry.languages}
        suite["tasks"] = {key: list(values) for key, values in filters.items() if values}
    if entry.limits is not None:
        suite["limit"] = entry.limits
    if config.folder is not None:
        suite["store"] = config.folder
    if config.eval_config.two_stages:
        suite["stage_folders"] = True
    if entry.hub is not None:
        suite["source"] = {"kind": "hub" if entry.hub == "huggingface" else entry.hub}
    return suite


def _convert_model(
    entry: ModelEntry, for_all: Mapping[str, Any], where: str, folder: Path, specs: Mapping[str, Spec]
) -> tuple[str, Table | None]:
    """Return a model's name and its table, None for a model of models.toml that stays as it is."""
    name, settings = entry.model_name_or_path, _settings(entry, for_all, where)
    if name in specs:
        return _convert_named(name, specs[name], entry, settings, where)
    kind = {"kind": "cross-encoder"} if entry.is_cross_encoder else {}
    settings = {"max_seq_length": MAX_SEQ_LENGTH} | settings
    path = place(folder, name)
    if path.is_dir():
        return "/".join(path.resolve().parts[-2:]), {**kind, "path": name, **settings}
    if HUB_ID.fullmatch(name) and not name.startswith("."):
        hub = {} if entry.hub == "huggingface" else {"hub": "modelscope"}
        return name, {**kind, "id": name, **hub, **settings}
    if name.startswith((".", "/", "~")):
        raise ConfigError(f'{where} model_name_or_path = "{name}": there is no folder {path}')
    hint = suggest(name, specs)
    raise ConfigError(f'{where} model_name_or_path = "{name}" is no folder, no hub id, and not in models.toml{hint}')


def _convert_named(alias: str, spec: Spec, entry: ModelEntry, settings: Table, where: str) -> tuple[str, Table | None]:
    """Apply an entry's settings to a model of models.toml, under an alias that names the changes."""
    if spec.stages or spec.reranks not in (None, entry.is_cross_encoder):
        flag = str(entry.is_cross_encoder).lower()
        raise ConfigError(f'{where} is_cross_encoder = {flag}, but models.toml has "{alias}" as a {spec.kind} model')
    changes = {key: value for key, value in settings.items() if getattr(spec, key, _DEFAULTS.get(key)) != value}
    if not changes:
        return alias, None
    table: Table = {} if spec.kind == "sentence-transformers" else {"kind": spec.kind}
    table |= {
        name: str(value) if isinstance(value, Path) else value for name, value in spec.explicit_settings().items()
    }
    for key, value in changes.items():
        if key != "batch_size":
            alias += f"+{key}" if isinstance(value, Mapping) else f"+{key}-{slug(str(value), also='+')}"
    return alias, table | changes


def _settings(entry: ModelEntry, for_all: Mapping[str, Any], where: str) -> Table:
    """Return all settings of a model's entry, under their names in models.toml."""
    model_kwargs, config_kwargs = dict(entry.model_kwargs or {}), dict(entry.config_kwargs or {})
    encode_kwargs = {**(entry.encode_kwargs or {}), **for_all}
    encode_kwargs.pop("show_progress_bar", None)
    dtype = _take((model_kwargs,), ("torch_dtype", "dtype"), where)
    settings: Table = {
        "max_seq_length": entry.max_seq_length,
        "dtype": dtype.removeprefix("torch.") if isinstance(dtype, str) else dtype,
        "trust_remote_code": _take((model_kwargs, config_kwargs), ("trust_remote_code",), where),
        "revision": _take((model_kwargs, config_kwargs), ("revision",), where),
        "batch_size": encode_kwargs.pop("batch_size", None),
    }
    if entry.is_cross_encoder:
        settings["prompt"] = entry.prompt or None
    else:
        settings["pooling"] = entry.pooling_mode
        settings["normalize"] = encode_kwargs.pop("normalize_embeddings", None)
        settings["truncate_dim"] = encode_kwargs.pop("truncate_dim", None)
        for_queries = {f"{RENAMED_TASKS.get(task, task)}-query": text for task, text in (entry.prompts or {}).items()}
        prompts = None if entry.prompts is None else for_queries  # an empty table means that there are none
        settings["prompts"] = {"query": entry.prompt} if entry.prompt else prompts
    tables = {"model_kwargs": model_kwargs, "config_kwargs": config_kwargs, "encode_kwargs": encode_kwargs}
    settings |= {name: table or None for name, table in tables.items()}
    return {name: value for name, value in settings.items() if value is not None}


def _take(tables: tuple[Table, ...], names: tuple[str, ...], where: str) -> Any:
    """Remove a setting from the tables in which EvalScope reads it, and return its value."""
    values = [table.pop(name) for table in tables for name in names if name in table]
    if any(value != values[0] for value in values):
        first, *_, last = ("null" if value is None else value for value in values)
        raise ConfigError(f"{where} says {' and '.join(names)} twice, as {first} and as {last}; keep one")
    return values[0] if values else None


def _aliases(entries: list[tuple[str, Table | None]], file: Path, specs: Mapping[str, Spec]) -> list[str]:
    """Return the models' aliases: the last parts of their names, or whole names where two would be the same."""
    short_names = [slug(name.rpartition("/")[2], also="+") for name, _ in entries]
    full_names = [slug(name, also="+") for name, _ in entries]
    aliases = [
        full_name if short_names.count(alias) > 1 or _is_taken(alias, table, file, specs) else alias
        for alias, full_name, (_, table) in zip(short_names, full_names, entries, strict=True)
    ]
    for alias, (_, table) in zip(aliases, entries, strict=True):
        if aliases.count(alias) > 1:
            raise ConfigError(f'{file}: two models would be called "{alias}"; list one, and the other in another file')
        if _is_taken(alias, table, file, specs):
            raise ConfigError(f'{file}: a model would be called "{alias}", as another is in models.toml')
    return aliases


def _is_taken(alias: str, table: Table | None, file: Path, specs: Mapping[str, Spec]) -> bool:
    """Return True if models.toml has the alias for a model that differs in more than its batch size."""
    if table is None or alias not in specs:
        return False
    spec = check_models({alias: table}, f"{file}, read as models", file.parent, specs)[alias]
    converted, existing = ({**dataclasses.asdict(model), "batch_size": None} for model in (spec, specs[alias]))
    return converted != existing


def _comment(text: str) -> str:
    """Return a text as one line of comment in TOML."""
    return f"# {one_line(text)}\n"


def _refuse_null(value: Any, where: str) -> None:
    if value is None:
        raise ConfigError(f"{where} = null, for which TOML has no word; leave it out")
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        _refuse_null(item, f"{where}.{key}")
