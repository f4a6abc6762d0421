"""Touchstone: MTEB tasks as pytest cases, judged against committed baselines.

The map, lowest layer first; a module imports only from the layers below it:

- ``errors`` ``files`` ``records``: sentences for the user, file boundaries, and the nouns as frozen data
- ``config``: TOML and options, checked
- ``baselines`` ``gate`` ``store`` ``report``: expectations, the judgement (pure), the ``.evals`` folder, renderings
- ``tasks`` ``models`` ``encoder`` ``samples``: the adapters, the only ones to import mteb and torch
- ``runner`` ``cases``: one case measured; which cases there are
- ``engine``: where cases run
- ``plugin`` ``__main__``: the pytest hooks and the ``evals`` command
"""

from evals.errors import BaselineError, ConfigError, EvalsError, ModelError, SourceError
from evals.records import Case, Outcome, Record, Run, Verdict

__version__ = "0.1.0"

__all__ = [
    "BaselineError",
    "Case",
    "ConfigError",
    "EvalsError",
    "ModelError",
    "Outcome",
    "Record",
    "Run",
    "SourceError",
    "Verdict",
    "__version__",
]
