"""Touchstone: MTEB tasks as pytest cases, judged against committed baselines.

The map, lowest layer first; a module imports only from the layers below it:

- ``errors`` ``points`` ``environment`` ``metrics``: sentences for the user, and formulas
- ``files`` ``samples`` ``records``: file boundaries, and the nouns as frozen data
- ``config`` ``prompts`` ``modelscope`` ``recording`` ``rescore`` ``stats``: TOML and options, checked; what is put
  before a text; a second hub; run records; scores again; intervals
- ``pairing`` ``overall`` ``history``: two models' samples; one verdict for a model; scores over runs
- ``baselines`` ``gate`` ``store`` ``report``: expectations, the judgement (pure), the ``.evals`` folder, renderings
- ``changes`` ``runs``: which samples changed most; stored runs, read and made one
- ``sources`` ``capture`` ``tasks`` ``models`` ``encoder``: the adapters, the only ones to import mteb and torch
- ``runner`` ``cases`` ``doctor``: one case measured; which cases there are; does a model do what its card says
- ``engine`` ``session``: where cases run; one run from its options to its files
- ``plugin`` ``__main__``: the pytest hooks and the ``evals`` command
"""

from evals.errors import BaselineError, ConfigError, EvalsError, ModelError, SourceError
from evals.recording import Record, Run
from evals.records import Case, Outcome, Verdict

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
