"""Take what a task of mteb's predicts, and its gold labels, and make samples of them."""

from evals.capture.makers import text_ids
from evals.capture.recorder import Capture

__all__ = ["Capture", "text_ids"]
