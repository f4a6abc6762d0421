"""A model's specification becomes an encoder for mteb, and an identity to file results under."""

from evals.models.identity import identify
from evals.models.opening import OpenModel, open_model
from evals.models.prompted import PromptedEncoder, task_text

__all__ = ["OpenModel", "PromptedEncoder", "identify", "open_model", "task_text"]
