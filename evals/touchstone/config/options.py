"""Options of a run: one table that the pytest plugin, the commands and `Options` read.

Each field of `Options` that `option` makes is one row: its name on the command line, its help, and how its value is
parsed. A new option is one such field.
"""

import argparse
import os
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from touchstone.config.base import Spec
from touchstone.config.models import Guess
from touchstone.config.shards import parse_shard
from touchstone.config.suites import NamedSuite, is_suite_file, parse_source
from touchstone.errors import ConfigError, suggest
from touchstone.files.inside import join_inside
from touchstone.files.validation import Strict, check
from touchstone.files.writing import place, read_toml
from touchstone.records.cases import BaselineMode, GateRule, Policy, Source
from touchstone.records.runs import Shard

STORE, BASELINES = ".touchstone", "baselines"
PATIENCE = 60
SPLIT_TEXTS = 1_000_000
Inconclusive = Literal["warn", "fail", "pass"]
Engine = Literal["local", "ray"]
DEST = "touchstone_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project(Strict):
    """``[tool.touchstone]`` of a project: its defaults. Paths are relative to the root directory."""

    suite: str = "smoke"
    """A suite by name, or a file: the default of ``--suite``."""
    models: str | None = None
    """A TOML file with more named models."""
    source: str | None = None
    """``hub``, ``mirror:DIR`` or ``modelscope:DIR``."""
    baselines: str = BASELINES
    """The project's folder of baselines."""
    costs: str | None = None
    """A file of how long cases take, from ``touchstone plan --write-costs``."""


def load_project(root: Path) -> Project:
    """Read ``[tool.touchstone]`` from the root's pyproject.toml; defaults where there is none.

    Raises:
        ConfigError: the table holds an unknown key or a wrong value.
    """
    file = root / "pyproject.toml"
    tools = read_toml(file).get("tool", {}) if file.is_file() else {}
    if not isinstance(tools, dict) or not isinstance(tools.get("touchstone", {}), dict):
        raise ConfigError(f"{file}: [tool.touchstone] must be a table")
    return check(Project, tools.get("touchstone", {}), f"{file}: [tool.touchstone]")


def find_root(folder: Path) -> Path:
    """Return the nearest folder, this one or one above, whose pyproject.toml has ``[tool.touchstone]``; else this one.

    Raises:
        ConfigError: a pyproject.toml that names Touchstone is no TOML.
    """
    for parent in (folder, *folder.parents):
        file = parent / "pyproject.toml"
        with suppress(OSError):  # another's, which must not be read
            if file.is_file() and b"touchstone" in file.read_bytes():
                tools = read_toml(file).get("tool")
                if isinstance(tools, dict) and "touchstone" in tools:
                    return parent
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the value of an option is parsed against: the option's name, folders, and the project's defaults."""

    name: str
    root: Path
    cwd: Path
    project: Project


Parse = Callable[[Any, Context], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One row of the option table.

    ``key`` is the field of `Options`; ``metavar`` is None for a flag. ``repeat``: may be typed several times.
    ``decides``: part of the printed commands, because it decides what is measured or how it is judged.
    """

    name: str
    key: str
    help: str
    metavar: str | None
    repeat: bool
    decides: bool
    parse: Parse

    @property
    def dest(self) -> str:
        """The attribute of a parsed command line that holds the value."""
        return DEST + self.key

    def settings(self) -> dict[str, Any]:
        """Return the keyword arguments of ``add_argument``."""
        kind: dict[str, Any] = {"action": "store_true"} if self.metavar is None else {"metavar": self.metavar}
        if self.repeat:
            kind |= {"action": "append", "default": []}
        return kind | {"dest": self.dest, "help": self.help + (" (repeatable)" if self.repeat else "")}


def option(
    name: str, parse: Parse, metavar: str | None, help_: str, *, repeat: bool = False, decides: bool = False
) -> Any:
    """Return a dataclass field that is a row of the option table; arguments as in `Option`."""
    row = {"name": name, "help": help_, "metavar": metavar, "repeat": repeat, "decides": decides, "parse": parse}
    return field(metadata={"option": row})


def _as_typed(value: Any, _context: Context) -> Any:
    return tuple(value or ())


def _flag(value: Any, _context: Context) -> bool:
    return bool(value)


def _suites(value: Sequence[str] | None, context: Context) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value or [_default_suite(context.project, context.root)]))


def _default_suite(project: Project, root: Path) -> str:
    return str(root / project.suite) if is_suite_file(project.suite) else project.suite


def _models_files(value: str | None, context: Context) -> tuple[Path, ...]:
    of_project = context.project.models
    files = [place(context.root, of_project)] if of_project else []
    return (*files, place(context.cwd, value)) if value else tuple(files)


def _source(value: str | None, context: Context) -> Source | None:
    if value is not None:
        return parse_source(value, context.cwd, context.name)
    of_project = context.project.source
    return None if of_project is None else parse_source(of_project, context.root, "[tool.touchstone] source")


def _baselines(value: str | None, context: Context) -> Path:
    if value:
        return place(context.cwd, value)
    folder = context.project.baselines
    return join_inside(context.root, folder) if folder == BASELINES else place(context.root, folder)


def _store(value: str | None, context: Context) -> Path | None:
    return None if value is None else place(context.cwd, value)


def _costs(value: str | None, context: Context) -> Path | None:
    if value is not None:
        return place(context.cwd, value)
    of_project = context.project.costs
    return None if of_project is None else place(context.root, of_project)


def _shard(value: str | None, context: Context) -> Shard | None:
    return None if value is None else parse_shard(value, context.name, os.environ)


def _one_of(choices: Sequence[str], default: str | None) -> Parse:
    def parse(value: str | None, context: Context) -> str | None:
        if value is not None and value not in choices:
            raise ConfigError(f'{context.name} = "{value}" is not one of its values{suggest(value, choices)}')
        return default if value is None else value

    return parse


def _matching(pattern: str, expected: str, convert: Callable[[str], Any] = str, default: Any = None) -> Parse:
    def parse(value: str | None, context: Context) -> Any:
        if value is not None and not re.fullmatch(pattern, value):
            raise ConfigError(f'{context.name} = "{value}"; expected {expected}')
        return default if value is None else convert(value)

    return parse


def _fraction(value: str | None, context: Context) -> float | None:
    """Parse a margin or an error rate: a fraction below 0.5, so that 1 in place of one point is refused."""
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]*\.?[0-9]+", value) or not 0 < float(value) < 0.5:
        percent = re.fullmatch(r"([0-9]*\.?[0-9]+) ?%", value)
        if percent is not None and 0 < float(percent[1]) < 50:
            raise ConfigError(f'{context.name} = "{value}"; write {float(percent[1]) / 100:g}, a fraction')
        raise ConfigError(f'{context.name} = "{value}"; expected more than 0 and less than 0.5; one point is 0.01')
    return float(value)


def _positive_or(default: int | None) -> Parse:
    return _matching("0*[1-9][0-9]{0,8}", "a whole number of 1 or more", int, default)


_seconds = _matching(r"[0-9]{1,6}(\.[0-9]+)?", "a number of seconds", float, float(PATIENCE))
_device = _matching("auto|cpu|mps|cuda(:[0-9]+)?", "auto, cpu, cuda, cuda:N or mps", default="auto")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Every option of a run, checked.

    ``root`` is pytest's root directory, ``cwd`` where the command was typed, ``run`` the unique id of the run, shared
    by its ``workers``, and ``command`` the start of the commands that we print. ``store`` is None unless typed: a suite
    may name another one. ``guesses`` are those of the process that owns the run, about servers that were typed.
    ``objects`` are models that a program passes, by alias, and ``inline_suites`` those that it makes, by name: no
    command can name them.
    """

    suites: tuple[str, ...] = option(
        "--suite", _suites, "NAME|PATH", "a suite by name, or a file, TOML or EvalScope's", repeat=True, decides=True
    )
    models: tuple[str, ...] = option(
        "--model",
        _as_typed,
        "MODEL",
        "ALIAS[@key=value], PATH[=name], hub id or api:URL#NAME; replaces the suite's",
        repeat=True,
    )
    models_files: tuple[Path, ...] = option(
        "--models", _models_files, "FILE", "a TOML file with more named models", decides=True
    )
    tasks: tuple[str, ...] = option("--task", _as_typed, "GLOB", "only these tasks of the suite", repeat=True)
    source: Source | None = option(
        "--source",
        _source,
        "hub|mirror:DIR|modelscope:DIR",
        "where data sets are; replaces the suite's source",
        decides=True,
    )
    offline: bool = option("--offline", _flag, None, "promise no network call: models and data are on this machine")
    patience: float = option(
        "--patience", _seconds, "SECONDS", f"how long transient failures of a hub are retried (default: {PATIENCE})"
    )
    overwrite: bool = option("--overwrite", _flag, None, "measure everything again, whatever the store has cached")
    reuse_api: bool = option(
        "--reuse-api", _flag, None, "send an API only texts that no run has sent it before", decides=True
    )
    allow_python: bool = option(
        "--allow-python", _flag, None, "run Python that a suite outside of this project names", decides=True
    )
    baseline: BaselineMode = option(
        "--baseline",
        _one_of(get_args(BaselineMode), "check"),
        "check|record|update|off",
        "judge by the baselines (default), write the missing or all measured ones, or only measure",
    )
    baselines: Path = option(
        "--baselines", _baselines, "DIR", "the project's folder of baselines (default: baselines)", decides=True
    )
    against: str | None = option("--against", lambda value, _: value, "ALIAS", "judge by another model's baselines")
    gate: GateRule | None = option(
        "--gate",
        _one_of(get_args(GateRule), None),
        "|".join(get_args(GateRule)),
        "the rule to judge by (default: auto)",
        decides=True,
    )
    margin: float | None = option(
        "--margin", _fraction, "FRACTION", "the loss a case may have (default: 0.01, one point)", decides=True
    )
    suite_margin: float | None = option(
        "--suite-margin", _fraction, "FRACTION", "the loss that the mean may have (default: 0.005)", decides=True
    )
    bound: float | None = option(
        "--bound", _fraction, "FRACTION", "how far --gate equivalent lets a case move (default: 0.002)", decides=True
    )
    alpha: float | None = option(
        "--alpha",
        _fraction,
        "FRACTION",
        "the share of false alarms among a model's cases (default: 0.05)",
        decides=True,
    )
    inconclusive: Inconclusive = option(
        "--inconclusive",
        _one_of(get_args(Inconclusive), "warn"),
        "warn|fail|pass",
        "what ends in exit 9: suspect cases (warn, the default); an inconclusive suite, too (fail); neither (pass)",
    )
    limit: int | None = option(
        "--limit", _positive_or(None), "N", "at most N queries, rows or pairs of each split and subset", decides=True
    )
    device: str = option("--device", _device, "auto|cpu|cuda[:N]|mps", "the device (default: auto)", decides=True)
    store: Path | None = option(
        "--store", _store, "DIR", f"folder for results and caches (default: the suite's, else the project's {STORE})"
    )
    reports: tuple[str, ...] = option(
        "--report",
        _as_typed,
        "FILE",
        "write a report; .html, .json or .md, eval_results/ or runs/ (TREC's), or github: the job's summary",
        repeat=True,
    )
    engine: Engine = option(
        "--engine", _one_of(get_args(Engine), "local"), "local|ray", "where cases run: here (default), or on a cluster"
    )
    ray_address: str | None = option(
        "--ray-address", lambda value, _: value, "ADDRESS", "a Ray cluster (default: RAY_ADDRESS, else one made here)"
    )
    ray_cpus: int = option(
        "--ray-cpus",
        _positive_or(1),
        "N",
        "the CPUs of each actor where it has no GPU (default: 1)",
    )
    split_texts: int = option(
        "--split-texts",
        _positive_or(SPLIT_TEXTS),
        "N",
        f"divide a corpus of more documents among actors or shards (default: {SPLIT_TEXTS})",
    )
    shard: Shard | None = option(
        "--shard",
        _shard,
        "K/N|auto",
        "measure one of N parts and decide nothing, which touchstone merge does; auto: by Slurm's or CI's variables",
    )
    costs: Path | None = option(
        "--costs", _costs, "FILE", "how long cases take, by which shards are cut; from touchstone plan --write-costs"
    )
    root: Path
    cwd: Path
    run: str
    command: tuple[str, ...]
    workers: int = 1
    guesses: Mapping[str, Guess] = field(default_factory=dict)
    objects: Mapping[str, Spec] = field(default_factory=dict)
    inline_suites: Mapping[str, NamedSuite] = field(default_factory=dict)

    @classmethod
    def parse(
        cls, typed: Mapping[str, Any], root: Path, cwd: Path, *, run: str | None = None,
        command: Sequence[str] = ("pytest", "evals"),
    ) -> "Options":  # fmt: skip
        """Parse what was typed on the command line against the project's defaults.

        Args:
            typed: values by the field names of options; a missing one has its default.
            root: where the project's pyproject.toml is.
            cwd: what relative paths are relative to.
            run: the id of a run that has begun.
            command: how a run is started, without options.

        Raises:
            ConfigError: naming the option and what it may be.
        """
        if unknown := typed.keys() - {row.key for row in OPTIONS}:
            raise TypeError(f"no option sets {', '.join(sorted(unknown))}")
        project = load_project(root)
        values = {
            row.key: row.parse(typed.get(row.key), Context(name=row.name, root=root, cwd=cwd, project=project))
            for row in OPTIONS
        }
        mode = values["baseline"]
        if mode in ("record", "update") and values["against"]:
            raise ConfigError(f"--baseline {mode} writes a model's own scores, --against judges by another's; drop one")
        if values["shard"] is not None and values["reports"]:
            raise ConfigError("--report with --shard would tell of a part; give it to touchstone merge")
        if values["engine"] != "ray" and (typed.get("ray_address") or typed.get("ray_cpus")):
            raise ConfigError("--ray-address and --ray-cpus belong to --engine ray")
        if values["engine"] == "ray" and ":" in values["device"]:
            raise ConfigError(f"--device {values['device']}: Ray gives each actor its GPU; say --device cuda")
        words = (*command, *_deciding_words(typed))
        return cls(**values, root=root, cwd=cwd, run=run or uuid.uuid4().hex, command=words)

    @property
    def default_suite(self) -> str:
        """The suite of the project, whichever was typed.

        Raises:
            ConfigError: pyproject.toml is wrong.
        """
        return _default_suite(load_project(self.root), self.root)

    @property
    def store_folder(self) -> Path:
        """The store typed, else the one of the project, in whichever of its folders this is.

        Raises:
            ConfigError: the default one is a link to somewhere else.
        """
        return self.store or join_inside(find_root(self.cwd), STORE)

    def override(self, policy: Policy) -> Policy:
        """Return a policy in which what was typed wins."""
        numbers = ("margin", "suite_margin", "bound", "alpha")
        typed: dict[str, Any] = {name: getattr(self, name) for name in numbers} | {"rule": self.gate}
        return replace(policy, **{name: value for name, value in typed.items() if value is not None})


OPTIONS: tuple[Option, ...] = tuple(
    Option(key=item.name, **item.metadata["option"]) for item in fields(Options) if "option" in item.metadata
)


def typed_options(parsed: argparse.Namespace) -> dict[str, Any]:
    """Return the values of our options on a parsed command line, by field name."""
    return {row.key: getattr(parsed, row.dest, None) for row in OPTIONS}


def _deciding_words(typed: Mapping[str, Any]) -> list[str]:
    """Return the typed options that decide what is measured and how, for a command that runs one case."""
    words: list[str] = []
    for row in OPTIONS:
        setting = typed.get(row.key)
        if not row.decides or setting in (None, False, "auto"):
            continue
        values = setting if isinstance(setting, list | tuple) else [setting]
        words += [row.name] if row.metavar is None else [word for value in values for word in (row.name, str(value))]
    return words
