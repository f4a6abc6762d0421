"""A model's specification becomes an encoder for mteb, and an identity to file results under."""

from evals.models.cross_encoders import BatchedReranker, OpenReranker, open_reranker
from evals.models.identity import identify
from evals.models.opening import OpenModel, open_model
from evals.models.prompted import PromptedEncoder, task_text

__all__ = [
    "BatchedReranker",
    "OpenModel",
    "OpenReranker",
    "PromptedEncoder",
    "identify",
    "open_model",
    "open_reranker",
    "task_text",
]
