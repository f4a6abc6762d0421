"""Touchstone: MTEB tasks as pytest cases, judged against committed baselines.

Commands and hooks drive a session; a session measures, imports or reports; that opens tasks and models and judges by
baselines; these read config, task types, the schedule and the store; everything speaks in records, on a foundation that
knows nothing of runs. ``README.md`` beside this file is the map.
"""

from typing import TYPE_CHECKING, Any

from touchstone.errors import BaselineError, ConfigError, ModelError, SourceError, TouchstoneError
from touchstone.records.cases import Case
from touchstone.records.outcomes import Outcome
from touchstone.records.runs import Record, Run
from touchstone.records.verdicts import Verdict

if TYPE_CHECKING:
    from touchstone.library.arguments import Model, Suite
    from touchstone.library.comparing import compare, judge, load_run, measure
    from touchstone.library.result import Result

__version__ = "0.2.0"

# The modules of lazy names: a program that only reads records does not import more than it needs.
_LAZY = {
    "Model": "arguments", "Result": "result", "Suite": "arguments", "compare": "comparing", "judge": "comparing",
    "load_run": "comparing", "measure": "comparing",
}  # fmt: skip

__all__ = [
    "BaselineError",
    "Case",
    "ConfigError",
    "Model",
    "ModelError",
    "Outcome",
    "Record",
    "Result",
    "Run",
    "SourceError",
    "Suite",
    "TouchstoneError",
    "Verdict",
    "__version__",
    "compare",
    "judge",
    "load_run",
    "measure",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"touchstone.library.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
