"""The run record as JSON: the contract that other tools read."""

from evals.files import to_json
from evals.recording import Run, to_dict


def render_json(run: Run) -> str:
    """Return the run as canonical JSON, scores in full precision."""
    return to_json(to_dict(run))
