"""Touchstone: text-embedding models on tasks of MTEB and on your own data, judged against baselines.

`measure` runs a model on tasks and judges it, `judge` judges a run again, `compare` puts two models or runs side by
side, and `load_run` reads a run record. Each returns a `Result`: verdicts, a record of each case, tables and reports.
What is wrong with an argument is a `TouchstoneError`; a case that could not be measured has an error in its record.
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
