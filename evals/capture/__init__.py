"""Take what a task of mteb's predicts, and its gold labels, and make samples of them."""

from evals.capture.makers import Predicted, text_ids
from evals.capture.recorder import Capture
from evals.capture.showing import show

__all__ = ["Capture", "Predicted", "show", "text_ids"]
