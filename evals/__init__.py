"""Touchstone: MTEB tasks as pytest cases, judged against committed baselines.

The map, lowest layer first; a module imports only from the layers below it:

- ``errors`` ``points`` ``naming`` ``environment`` ``metrics``: sentences and names for the user, and formulas
- ``files`` ``strict_yaml`` ``samples`` ``rankings`` ``embeddings`` ``shown`` ``terms`` ``records``: file boundaries,
  and the nouns as frozen data
- ``config`` ``prompts`` ``modelscope`` ``recording`` ``rescore`` ``judging`` ``stats`` ``store`` ``workload``
  ``schedule``: TOML and options, checked; what is put before a text; a second hub; run records; scores again; scores of
  a search; intervals; the ``.evals`` folder; how much text a case has; longest first
- ``pairing`` ``overall`` ``merging`` ``history`` ``costs``: two models' samples; one verdict for a model; two baseline
  files; scores over runs; how long a case takes
- ``baselines`` ``changes`` ``gate`` ``report`` ``runs`` ``stock`` ``workers`` ``progress``: expectations; which samples
  changed most; the judgement (pure); renderings; stored runs; what a store holds; cores and devices; a terminal's line
- ``sources`` ``capture`` ``batching`` ``search`` ``api`` ``tasks`` ``models`` ``encoder`` ``reranker`` ``retrieval``:
  the adapters to mteb, torch and servers
- ``runner`` ``cases`` ``comparing`` ``averages`` ``differing`` ``importing`` ``doctor``: one case measured; which cases
  there are; stored numbers beside others, or from elsewhere; does a model do what its card says
- ``stages`` ``known`` ``reporting`` ``forecast``: one case measured by two models, one after the other; what is known
  from before; a run's reports; what a plan costs
- ``engine`` ``session``: where cases run; one run from its options to its files
- ``commands`` ``distribution`` ``scheduling`` ``marks`` ``plugin`` ``__main__``: the ``evals`` command and the pytest
  hooks
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
