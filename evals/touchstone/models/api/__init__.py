"""Models behind an OpenAI-compatible API: asked patiently, distrusted in every answer."""

from touchstone.models.api.client import ApiClient
from touchstone.models.api.embedding import ApiModel
from touchstone.models.api.reranking import ApiReranker

__all__ = ["ApiClient", "ApiModel", "ApiReranker"]
