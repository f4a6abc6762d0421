"""What a search found, kept so that a second stage can rerank it without searching again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.errors import EvalsError, first_line

FORMAT = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """What one search of one task, split and subset found.

    ``documents`` and ``scores`` are those of all queries one after the other, in the order that the search gave,
    which decides between equal scores; ``counts`` says how many of them are each query's.
    """

    task: str
    split: str
    subset: str
    queries: Sequence[str]
    counts: NDArray[np.int64]
    documents: Sequence[str]
    scores: NDArray[np.float64]

    @classmethod
    def take(cls, task: str, split: str, subset: str, found: Mapping[str, Mapping[str, float]]) -> "Ranking":
        """Copy what mteb has found: it may still take documents out of it."""
        total = sum(map(len, found.values()))
        scores = (score for documents in found.values() for score in documents.values())
        return cls(
            task=task,
            split=split,
            subset=subset,
            queries=list(found),
            counts=np.array([len(documents) for documents in found.values()], dtype=np.int64),
            documents=[document for documents in found.values() for document in documents],
            scores=np.fromiter(scores, dtype=np.float64, count=total),
        )

    def found(self) -> dict[str, dict[str, float]]:
        """Return each query's documents with their scores, as mteb had them."""
        ends = np.cumsum(self.counts).tolist()
        starts = [0, *ends[:-1]]
        scores = self.scores.tolist()
        return {
            query: dict(zip(self.documents[start:end], scores[start:end], strict=True))
            for query, start, end in zip(self.queries, starts, ends, strict=True)
        }

    def best(self, count: int) -> dict[str, list[str]]:
        """Return each query's best documents, best first; of equal ones, those that the search gave first.

        The choice of `mteb.AbsTaskRetrieval.convert_to_reranking`.
        """
        return {
            query: sorted(documents, key=lambda document: documents[document], reverse=True)[:count]
            for query, documents in self.found().items()
        }


def encode_rankings(rankings: Sequence[Ranking]) -> bytes:
    """Return rankings as Parquet, a row for each query."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ends = np.cumsum(np.concatenate([ranking.counts for ranking in rankings]))
    offsets = pa.array(np.concatenate([[0], ends]), pa.int64())
    documents = pa.array([name for ranking in rankings for name in ranking.documents], pa.large_string())
    table = pa.table(
        {
            **{
                name: [getattr(ranking, name) for ranking in rankings for _ in ranking.queries]
                for name in ("task", "split", "subset")
            },
            "query": [query for ranking in rankings for query in ranking.queries],
            "documents": pa.LargeListArray.from_arrays(offsets, documents),
            "scores": pa.LargeListArray.from_arrays(offsets, _narrow(np.concatenate([r.scores for r in rankings]))),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_statistics=False)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def decode_rankings(content: bytes) -> list[Ranking]:
    """Read what `encode_rankings` returned.

    Raises:
        EvalsError: it is something else.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content)).combine_chunks()
        places = list(zip(*(table[name].to_pylist() for name in ("task", "split", "subset")), strict=True))
        rows: dict[tuple[str, str, str], list[int]] = {}
        for row, place in enumerate(places):
            rows.setdefault(place, []).append(row)
        return [_read(table.take(numbers), *place) for place, numbers in rows.items()]
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise EvalsError(f"not a file of rankings: {first_line(error)}") from None


def _read(table: Any, task: str, split: str, subset: str) -> Ranking:
    documents, scores = (table[name].combine_chunks() for name in ("documents", "scores"))
    return Ranking(
        task=task,
        split=split,
        subset=subset,
        queries=table["query"].to_pylist(),
        counts=documents.value_lengths().to_numpy().astype(np.int64),
        documents=documents.flatten().to_pylist(),
        scores=scores.flatten().to_numpy().astype(np.float64),
    )


def _narrow(scores: NDArray[np.float64]) -> NDArray[Any]:
    """Return the scores in the narrowest type that holds each exactly: similarities are 32-bit to begin with."""
    with np.errstate(over="ignore"):
        narrow = scores.astype(np.float32)
    return narrow if np.array_equal(narrow.astype(np.float64), scores, equal_nan=True) else scores
