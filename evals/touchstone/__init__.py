"""Touchstone: MTEB tasks as pytest cases, judged against committed baselines.

Commands and hooks drive a session; a session measures, imports or reports; that opens tasks and models and judges by
baselines; these read config, task types, the schedule and the store; everything speaks in records, on a foundation that
knows nothing of runs. ``README.md`` beside this file is the map.
"""

from touchstone.errors import BaselineError, ConfigError, ModelError, SourceError, TouchstoneError
from touchstone.records.cases import Case
from touchstone.records.outcomes import Outcome
from touchstone.records.runs import Record, Run
from touchstone.records.verdicts import Verdict

__version__ = "0.2.0"

__all__ = [
    "BaselineError",
    "Case",
    "ConfigError",
    "ModelError",
    "Outcome",
    "Record",
    "Run",
    "SourceError",
    "TouchstoneError",
    "Verdict",
    "__version__",
]
