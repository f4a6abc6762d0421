"""Results of a search, stored so that a second stage can rerank them without searching again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from touchstone.errors import TouchstoneError, first_line
from touchstone.files.parquet import is_list, is_text, is_texts, read_bounded

FORMAT = "2"
# Written at once: only the scores and documents of these are held a second time, while they are compressed.
QUERIES_AT_ONCE = 1000
# Of the dictionary of documents; with more bytes, every document would be written as its name.
MAX_NAME_BYTES = 1 << 26
PLACE = ("task", "split", "subset")


def _are_scores(kind: Any) -> bool:
    import pyarrow as pa

    return is_list(kind) and bool(pa.types.is_floating(kind.value_type))


SHAPES = {**dict.fromkeys((*PLACE, "query"), is_text), "documents": is_texts, "scores": _are_scores}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The results of one search of one task, split and subset.

    ``documents`` and ``scores`` are those of all queries one after the other, in the order of the search, which decides
    between equal scores; ``counts`` has the number of documents of each query. A document is an index into ``names``.
    """

    task: str
    split: str
    subset: str
    queries: Sequence[str]
    counts: NDArray[np.int64]
    names: Sequence[str]
    documents: NDArray[np.int32]
    scores: NDArray[np.floating[Any]]

    @classmethod
    def take(cls, task: str, split: str, subset: str, results: Mapping[str, Mapping[str, float]]) -> "Ranking":
        """Copy the results of mteb, which may still remove documents from them."""
        total = sum(map(len, results.values()))
        numbers: dict[str, int] = {}
        documents = (numbers.setdefault(name, len(numbers)) for scored in results.values() for name in scored)
        scores = (score for scored in results.values() for score in scored.values())
        return cls(
            task=task,
            split=split,
            subset=subset,
            queries=list(results),
            counts=np.array([len(scored) for scored in results.values()], dtype=np.int64),
            documents=np.fromiter(documents, dtype=np.int32, count=total),
            scores=np.fromiter(scores, dtype=np.float64, count=total),
            names=list(numbers),
        )

    def results(self) -> dict[str, dict[str, float]]:
        """Return each query's documents with their scores, as mteb has them."""
        return {
            query: {self.names[d]: s for d, s in zip(documents.tolist(), scores.tolist(), strict=True)}
            for query, documents, scores in self.rows()
        }

    def rows(self) -> Iterator[tuple[str, NDArray[np.int32], NDArray[np.floating[Any]]]]:
        """Yield each query with its documents and their scores."""
        ends = np.cumsum(self.counts).tolist()
        for query, start, end in zip(self.queries, [0, *ends[:-1]], ends, strict=True):
            yield query, self.documents[start:end], self.scores[start:end]

    def best(self, count: int) -> dict[str, list[str]]:
        """Return each query's best documents, best first, and those with equal scores in the order of the search.

        `mteb.AbsTaskRetrieval.convert_to_reranking` selects the same.
        """
        return {
            query: [self.names[d] for d in documents[np.argsort(-scores, kind="stable")[:count]]]
            for query, documents, scores in self.rows()
        }


def encode_rankings(rankings: Sequence[Ranking], file: BinaryIO) -> None:
    """Write rankings as Parquet, a row for each query."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    narrow = all(map(_is_single, rankings))
    strings, floats = pa.dictionary(pa.int32(), pa.large_string()), pa.float32() if narrow else pa.float64()
    schema = pa.schema(
        {
            **dict.fromkeys(("task", "split", "subset", "query"), pa.string()),
            "documents": pa.large_list(strings),
            "scores": pa.large_list(floats),
        }
    )
    # Scores do not compress, and the numbers of documents hardly do.
    coded = ["task", "split", "subset", "documents.list.element"]
    with pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        use_dictionary=coded,
        dictionary_pagesize_limit=MAX_NAME_BYTES,
        write_statistics=False,
    ) as writer:
        for ranking in rankings:
            names = pa.array(ranking.names, pa.large_string())
            ends = np.concatenate([[0], np.cumsum(ranking.counts)])
            for start in range(0, len(ranking.queries), QUERIES_AT_ONCE):
                queries = ranking.queries[start : start + QUERIES_AT_ONCE]
                span = slice(ends[start], ends[start + len(queries)])
                offsets = pa.array(ends[start : start + len(queries) + 1] - ends[start], pa.int64())
                documents = pa.DictionaryArray.from_arrays(pa.array(ranking.documents[span]), names)
                scores = pa.array(ranking.scores[span], floats)
                columns = [
                    *(pa.array([name] * len(queries)) for name in (ranking.task, ranking.split, ranking.subset)),
                    pa.array(queries, pa.string()),
                    pa.LargeListArray.from_arrays(offsets, documents),
                    pa.LargeListArray.from_arrays(offsets, scores),
                ]
                writer.write_table(pa.table(columns, schema=schema))


def decode_rankings(content: bytes) -> list[Ranking]:
    """Read the bytes of `encode_rankings`.

    Raises:
        TouchstoneError: the content is not a file of rankings.
    """
    import pyarrow as pa

    try:
        table = read_bounded(content, "not a file of rankings", SHAPES)
        places = list(zip(*(table[name].to_pylist() for name in PLACE), strict=True))
        rows: dict[tuple[str, str, str], list[int]] = {}
        for row, place in enumerate(places):
            rows.setdefault(place, []).append(row)
        return [_decode(table.take(numbers), *place) for place, numbers in rows.items()]
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise TouchstoneError(f"not a file of rankings: {first_line(error)}") from None


def _decode(table: Any, task: str, split: str, subset: str) -> Ranking:
    documents, scores = (table[name].combine_chunks() for name in ("documents", "scores"))
    queries, coded = table["query"].to_pylist(), documents.flatten()
    if len(set(queries)) < len(queries):
        raise ValueError("a query is there twice")
    if not documents.value_lengths().equals(scores.value_lengths()):
        raise ValueError("a query has not as many scores as documents")
    return Ranking(
        task=task,
        split=split,
        subset=subset,
        queries=queries,
        counts=documents.value_lengths().to_numpy().astype(np.int64),
        names=coded.dictionary.to_pylist(),
        documents=coded.indices.to_numpy(),
        scores=scores.flatten().to_numpy(),
    )


def _is_single(ranking: Ranking) -> bool:
    """Return True if single precision holds every score exactly, as it does similarities."""
    if ranking.scores.dtype == np.float32:
        return True
    with np.errstate(over="ignore"):
        narrow = ranking.scores.astype(np.float32)
    return np.array_equal(narrow.astype(np.float64), ranking.scores, equal_nan=True)
