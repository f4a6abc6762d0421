"""What was typed and what the project's pyproject.toml says, checked and put together."""

import os
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from evals.config.suites import is_suite_file, parse_source
from evals.errors import ConfigError, suggest
from evals.files import NO_OTHER_KEYS, check, place, read_toml
from evals.records import BaselineMode, GateRule, Policy, Source

REPORT_SUFFIXES = (".html", ".json", ".md")
# What `--report github` writes to: GitHub Actions names the file of each step here.
GITHUB, GITHUB_SUMMARY = "github", "GITHUB_STEP_SUMMARY"
# What chooses what is measured and how it is judged, for the commands that we print.
AGAIN = {
    "--suite": "suites",
    "--models": "models_file",
    "--source": "source",
    "--gate": "gate",
    "--margin": "margin",
    "--alpha": "alpha",
    "--limit": "limit",
    "--on": "device",
    "--baselines": "baselines",
}
DEFAULTS: Mapping[str, Any] = {
    "suites": [],
    "models": [],
    "models_file": None,
    "tasks": [],
    "source": None,
    "offline": False,
    "baseline": "check",
    "baselines": None,
    "against": None,
    "limit": None,
    "gate": None,
    "margin": None,
    "alpha": None,
    "inconclusive": None,
    "device": "auto",
    "reuse_api": False,
    "overwrite": False,
    "run": None,
    "store": None,
    "reports": [],
    "command": ["pytest", "evals"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """``[tool.touchstone]`` of a project: its defaults. Paths are relative to ``folder``, the root directory."""

    __pydantic_config__: ClassVar[Any] = NO_OTHER_KEYS

    suite: str = "smoke"
    models: str | None = None
    source: str | None = None
    baselines: str = "baselines"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Every option of a run, checked. ``root`` is pytest's root directory, ``cwd`` where it was typed.

    A suite may name another ``store``, which counts unless ``store_typed``. ``job_summary`` is the file of
    ``--report github``. ``run`` is another name for each run, the same in all its processes.
    """

    root: Path
    cwd: Path
    suites: tuple[str, ...]
    models: tuple[str, ...]
    models_files: tuple[Path, ...]
    tasks: tuple[str, ...]
    source: Source | None
    offline: bool
    baseline: BaselineMode
    baselines: Path
    against: str | None
    limit: int | None
    gate: GateRule | None
    margin: float | None
    alpha: float | None
    inconclusive: Literal["warn", "fail"]
    device: str
    reuse_api: bool
    overwrite: bool
    run: str
    store: Path
    store_typed: bool
    reports: tuple[Path, ...]
    job_summary: Path | None
    command: tuple[str, ...]

    @classmethod
    def parse(cls, typed: Mapping[str, Any], root: Path, cwd: Path) -> "Options":
        """Check the values typed on the command line against each other and the project's defaults.

        Args:
            typed: by name, as in `DEFAULTS`; what is not there has its default.
            root: where the project's pyproject.toml is.
            cwd: what relative paths are relative to.

        Raises:
            ConfigError: naming the option and what it may be.
        """
        project = load_project(root)
        typed = {**DEFAULTS, **typed}
        source = None
        if typed["source"] is not None:
            source = parse_source(typed["source"], cwd, "--source")
        elif project.source is not None:
            source = parse_source(project.source, root, "[tool.touchstone] source")
        mode = _one_of("--baseline", typed["baseline"], get_args(BaselineMode))
        if mode in ("record", "update") and typed["against"]:
            raise ConfigError(f"--baseline {mode} writes a model's own scores, --against judges by another's; drop one")
        default = str(root / project.suite) if is_suite_file(project.suite) else project.suite
        files = [place(cwd, typed["models_file"])] if typed["models_file"] else []
        return cls(
            root=root,
            cwd=cwd,
            suites=tuple(dict.fromkeys(typed["suites"] or [default])),
            models=tuple(typed["models"]),
            models_files=tuple([place(root, project.models)] if project.models else []) + tuple(files),
            tasks=tuple(typed["tasks"]),
            source=source,
            offline=bool(typed["offline"]),
            baseline=mode,
            baselines=place(cwd, typed["baselines"]) if typed["baselines"] else place(root, project.baselines),
            against=typed["against"],
            limit=_positive("--limit", typed["limit"]),
            gate=typed["gate"] and _one_of("--gate", typed["gate"], get_args(GateRule)),
            margin=_fraction("--margin", typed["margin"]),
            alpha=_fraction("--alpha", typed["alpha"]),
            inconclusive=_one_of("--inconclusive", typed["inconclusive"] or "warn", ("warn", "fail")),
            device=_device(typed["device"]),
            reuse_api=bool(typed["reuse_api"]),
            overwrite=bool(typed["overwrite"]),
            run=typed["run"] or uuid.uuid4().hex,
            store=place(cwd, typed["store"] or ".evals"),
            store_typed=typed["store"] is not None,
            reports=tuple(report_path("--report", cwd, file) for file in typed["reports"] if file != GITHUB),
            job_summary=_job_summary() if GITHUB in typed["reports"] else None,
            command=_again(typed),
        )

    def override(self, policy: Policy) -> Policy:
        """Return a policy in which what was typed wins."""
        return replace(
            policy,
            margin=policy.margin if self.margin is None else self.margin,
            alpha=policy.alpha if self.alpha is None else self.alpha,
            rule=policy.rule if self.gate is None else self.gate,
        )


def _again(typed: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the command with all that chooses what is measured and how, to be typed again for one case."""
    words: list[str] = list(typed["command"])
    for option, key in AGAIN.items():
        values = typed[key] if isinstance(typed[key], list) else [typed[key]]
        words += [word for value in values if value not in (None, "auto") for word in (option, str(value))]
    return tuple(words + ["--reuse-api"] * bool(typed["reuse_api"]))


def _one_of(option: str, value: str, known: Sequence[str]) -> Any:
    if value not in known:
        raise ConfigError(f'{option} = "{value}" is not one of its values{suggest(value, known)}')
    return value


def _positive(option: str, value: str | None) -> int | None:
    if value is None:
        return None
    if not re.fullmatch("0*[1-9][0-9]{0,8}", value):
        raise ConfigError(f'{option} = "{value}"; expected a whole number of 1 or more')
    return int(value)


def _fraction(option: str, value: str | None) -> float | None:
    """Read a margin or an error rate: a fraction, for 1 meaning one point is the mistake that everyone makes once."""
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]*\.?[0-9]+", value) or not 0 < float(value) < 0.5:
        raise ConfigError(f'{option} = "{value}"; expected a fraction between 0 and 0.5; one point is 0.01')
    return float(value)


def _device(value: str) -> str:
    if not re.fullmatch("auto|cpu|mps|cuda(:[0-9]+)?", value):
        raise ConfigError(f'--on = "{value}"; expected auto, cpu, cuda, cuda:N or mps')
    return value


def report_path(option: str, folder: Path, file: str) -> Path:
    """Return where a report goes.

    Raises:
        ConfigError: its suffix names no format, or there is a folder in its place.
    """
    path = place(folder, file)
    if path.suffix not in REPORT_SUFFIXES:
        raise ConfigError(f'{option} = "{file}"; its suffix says the format, one of {", ".join(REPORT_SUFFIXES)}')
    if path.is_dir():
        raise ConfigError(f'{option} = "{file}" is a folder')
    return path


def _job_summary() -> Path:
    path = os.environ.get(GITHUB_SUMMARY)
    if not path:
        raise ConfigError(f"--report github needs a step of GitHub Actions, which sets {GITHUB_SUMMARY}; it is not set")
    return Path(path)
