"""Numbers that are published elsewhere become baselines: model cards, result files of mteb, runs of ours."""

from evals.importing.reading import read_source
from evals.importing.request import Imported, Request
from evals.importing.writing import How, import_baselines

__all__ = ["How", "Imported", "Request", "import_baselines", "read_source"]
