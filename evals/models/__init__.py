"""A model's specification becomes an encoder for mteb, and an identity to file results under."""

from evals.models.cross_encoders import BatchedReranker, OpenReranker, open_reranker
from evals.models.identity import identify
from evals.models.opening import OpenModel, computed_by, device_of, make_meta, open_model, resolve_device
from evals.models.prompted import PromptedEncoder, task_text

__all__ = [
    "BatchedReranker",
    "OpenModel",
    "OpenReranker",
    "PromptedEncoder",
    "computed_by",
    "device_of",
    "identify",
    "make_meta",
    "open_model",
    "open_reranker",
    "resolve_device",
    "task_text",
]
