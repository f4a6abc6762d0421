"""Models behind an OpenAI-compatible API: asked patiently, distrusted in every answer."""

from evals.api.client import ApiClient
from evals.api.embedding import ApiModel
from evals.api.reranking import ApiReranker

__all__ = ["ApiClient", "ApiModel", "ApiReranker"]
