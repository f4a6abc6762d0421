"""Models behind an API of one of three protocols: requests with retries, and a check of every answer."""

from touchstone.models.api.client import ApiClient
from touchstone.models.api.embedding import ApiModel
from touchstone.models.api.reranking import ApiReranker

__all__ = ["ApiClient", "ApiModel", "ApiReranker"]
