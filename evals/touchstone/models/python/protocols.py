"""What an object of the user's own must be, to be measured as a model of kind ``python``: one of three Protocols.

It may also have an attribute ``version``, text that stands for what its files do not show, such as the day of an index.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from numpy.typing import ArrayLike

from touchstone.encoding.prompts import Role


class Document(NamedTuple):
    """A document of a task's corpus.

    ``text`` is what other models read of it, the title and a space before it; ``title`` is that alone, or empty.
    """

    id: str
    text: str
    title: str = ""


# What a search may give for each query, best first: pairs of id and score, a table of them, or for all queries
# together a tuple of two tables, the ids and the scores.
Hits = Sequence[tuple[str, float]] | Mapping[str, float]
Result = Sequence[Hits] | tuple[Sequence[Sequence[str]], Sequence[Sequence[float]]]


@runtime_checkable
class Encoder(Protocol):
    """Encodes texts."""

    def encode(self, texts: Sequence[str], role: Role | None) -> ArrayLike:
        """Return vectors, shape (texts, dimensions), all of one width.

        Args:
            texts: at most ``batch_size`` of them.
            role: ``query``, ``document``, or None for texts that are neither, as those of STS.
        """


@runtime_checkable
class Retriever(Protocol):
    """Finds documents in a corpus that it is given once."""

    def index(self, documents: Sequence[Document]) -> None:
        """Take in all documents of a task, in the place of those before."""

    def search(self, queries: Sequence[str], k: int) -> Result:
        """Return for each query at most ``k`` documents of the corpus by their ids, with scores: more is better."""


@runtime_checkable
class Reranker(Protocol):
    """Scores how well texts answer a query."""

    def rerank(self, query: str, texts: Sequence[str]) -> ArrayLike:
        """Return a score for each text, in their order; more is better."""
