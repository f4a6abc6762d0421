"""A model's specification becomes an encoder for mteb, and an identity to file results under.

An object of your own that is a `Retriever`, an `Encoder` or a `Reranker` is a model too, of kind ``python``.
"""

from touchstone.models.python.protocols import Document, Encoder, Reranker, Retriever

__all__ = ["Document", "Encoder", "Reranker", "Retriever"]
