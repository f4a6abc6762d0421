"""An EvalScope configuration as the tables of a suite file and of a models file, with notes on what is otherwise."""

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
# What a kind of model that has no such setting does anyway.
_UNSAID = {"dtype": "auto"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What a configuration means: ``suite`` as a suite file would say it, ``models`` as a models file, by alias.

    Paths are as written, relative to the configuration's folder. ``notes`` say what differs from EvalScope.
    """

    suite: Table
    models: dict[str, Table]
    notes: tuple[str, ...]


def convert(config: EvalScopeConfig, file: Path, known: Mapping[str, Spec]) -> Converted:
    """Say a configuration in our words.

    Args:
        config: checked.
        file: where it was read, for errors and relative paths.
        known: the models of models.toml, which ``model_name_or_path`` may name.

    Raises:
        ConfigError: a model is nowhere, or two settings of one contradict each other.
    """
    tool = config.eval_config
    places = [f"eval_config.{tool.key}.{number}" for number in range(len(tool.listed))]
    entries = [
        _convert_model(entry, tool.eval.encode_kwargs or {}, f"{file}: [{where}]", file.parent, known)
        for entry, where in zip(tool.listed, places, strict=True)
    ]
    aliases = _aliases(entries, file, known)
    models = {alias: table for alias, (_, table) in zip(aliases, entries, strict=True) if table is not None}
    chosen = aliases
    if tool.two_stages:
        retriever, reranker = sorted(zip(tool.listed, aliases, strict=True), key=lambda pair: pair[0].is_cross_encoder)
        chosen = [f"{retriever[1]}+{reranker[1]}"]
        top_k = tool.eval.top_k or TOP_K[tool.key]
        models[chosen[0]] = {"kind": "pipeline", "retriever": retriever[1], "reranker": reranker[1], "top_k": top_k}
    notes = [*notes_on_data(tool.eval), *notes_on_run(config)]
    for entry, where in zip(tool.listed, places, strict=True):
        is_folder = place(file.parent, entry.model_name_or_path).is_dir()
        notes += [f"{where}.{note}" for note in notes_on_model(entry, known, is_folder=is_folder)]
    return Converted(suite={"models": chosen, **_suite(config)}, models=models, notes=tuple(notes))


def render_suite_toml(
    file: Path, known: Mapping[str, Spec], *, name: str | None = None, into: Path | None = None
) -> tuple[str, str]:
    """Write a configuration as a suite file and a models file that mean the same.

    Args:
        file: the configuration.
        known: the models of models.toml.
        name: what it is called in a Python file that holds several.
        into: the folder where both files will lie, if not beside the configuration: relative paths begin there.

    Returns:
        The text of the suite and the text of the models, both TOML.

    Raises:
        ConfigError: it cannot be read, or holds a null, for which TOML has no word.
    """
    converted = convert(read_evalscope(file, name), file, known)
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
    asked = config.eval_config.eval
    suite: Table = {"tasks": {"include": list(dict.fromkeys(RENAMED_TASKS.get(name, name) for name in asked.names))}}
    if not asked.names:
        chosen = {"types": asked.task_types, "languages": asked.languages}
        suite["tasks"] = {key: list(values) for key, values in chosen.items() if values}
    if asked.limits is not None:
        suite["limit"] = asked.limits
    if config.folder is not None:
        suite["store"] = config.folder
    if config.eval_config.two_stages:
        suite["stage_folders"] = True
    if asked.hub is not None:
        suite["source"] = {"kind": "hub" if asked.hub == "huggingface" else asked.hub}
    return suite


def _convert_model(
    entry: ModelEntry, for_all: Mapping[str, Any], where: str, folder: Path, known: Mapping[str, Spec]
) -> tuple[str, Table | None]:
    """Return what a model is called, and its table; None for a model of models.toml that stays as it is."""
    said, settings = entry.model_name_or_path, _settings(entry, for_all, where)
    if said in known:
        return _known(said, known[said], entry, settings, where)
    kind = {"kind": "cross-encoder"} if entry.is_cross_encoder else {}
    settings = {"max_seq_length": MAX_SEQ_LENGTH} | settings
    path = place(folder, said)
    if path.is_dir():
        return "/".join(path.resolve().parts[-2:]), {**kind, "path": said, **settings}
    if HUB_ID.fullmatch(said) and not said.startswith("."):
        hub = {} if entry.hub == "huggingface" else {"hub": "modelscope"}
        return said, {**kind, "id": said, **hub, **settings}
    if said.startswith((".", "/", "~")):
        raise ConfigError(f'{where} model_name_or_path = "{said}": there is no folder {path}')
    near = suggest(said, known)
    raise ConfigError(f'{where} model_name_or_path = "{said}" is no folder, no hub id, and not in models.toml{near}')


def _known(alias: str, spec: Spec, entry: ModelEntry, settings: Table, where: str) -> tuple[str, Table | None]:
    """Put what is said over a model of models.toml, under a name that says so."""
    if spec.stages or spec.reranks not in (None, entry.is_cross_encoder):
        said = str(entry.is_cross_encoder).lower()
        raise ConfigError(f'{where} is_cross_encoder = {said}, but models.toml has "{alias}" as a {spec.kind} model')
    changed = {key: value for key, value in settings.items() if getattr(spec, key, _UNSAID.get(key)) != value}
    if not changed:
        return alias, None
    table: Table = {} if spec.kind == "sentence-transformers" else {"kind": spec.kind}
    table |= {name: str(value) if isinstance(value, Path) else value for name, value in spec.said().items()}
    for key, value in changed.items():
        if key != "batch_size":
            alias += f"+{key}" if isinstance(value, Mapping) else f"+{key}-{slug(str(value), also='+')}"
    return alias, table | changed


def _settings(entry: ModelEntry, for_all: Mapping[str, Any], where: str) -> Table:
    """Return every setting that a model's entry says, under the name that models.toml has for it."""
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
        said = None if entry.prompts is None else for_queries  # an empty table says that there are none
        settings["prompts"] = {"query": entry.prompt} if entry.prompt else said
    tables = {"model_kwargs": model_kwargs, "config_kwargs": config_kwargs, "encode_kwargs": encode_kwargs}
    settings |= {name: table or None for name, table in tables.items()}
    return {name: value for name, value in settings.items() if value is not None}


def _take(tables: tuple[Table, ...], names: tuple[str, ...], where: str) -> Any:
    """Take a setting out of the places in which EvalScope reads it."""
    found = [table.pop(name) for table in tables for name in names if name in table]
    if any(value != found[0] for value in found):
        raise ConfigError(f"{where} says {' and '.join(names)} twice, as {found[0]} and as {found[-1]}; keep one")
    return found[0] if found else None


def _aliases(entries: list[tuple[str, Table | None]], file: Path, known: Mapping[str, Spec]) -> list[str]:
    """Call models by the last part of their names, or by the whole where that is what another is called."""
    short = [slug(name.rpartition("/")[2], also="+") for name, _ in entries]
    whole = [slug(name, also="+") for name, _ in entries]
    aliases = [
        long if short.count(alias) > 1 or _is_anothers(alias, table, file, known) else alias
        for alias, long, (_, table) in zip(short, whole, entries, strict=True)
    ]
    for alias, (_, table) in zip(aliases, entries, strict=True):
        if aliases.count(alias) > 1:
            raise ConfigError(f'{file}: two models would be called "{alias}"; list one, and the other in another file')
        if _is_anothers(alias, table, file, known):
            raise ConfigError(f'{file}: a model would be called "{alias}", as another is in models.toml')
    return aliases


def _is_anothers(alias: str, table: Table | None, file: Path, known: Mapping[str, Spec]) -> bool:
    """Return True if models.toml has the alias for a model that differs in more than how fast it runs."""
    if table is None or alias not in known:
        return False
    spec = check_models({alias: table}, f"{file}, read as models", file.parent, known)[alias]
    one, other = ({**dataclasses.asdict(each), "batch_size": None} for each in (spec, known[alias]))
    return one != other


def _comment(text: str) -> str:
    """Return a line that TOML reads over, whatever the text holds."""
    return f"# {one_line(text)}\n"


def _refuse_null(value: Any, where: str) -> None:
    if value is None:
        raise ConfigError(f"{where} = null, for which TOML has no word; leave it out")
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        _refuse_null(item, f"{where}.{key}")
