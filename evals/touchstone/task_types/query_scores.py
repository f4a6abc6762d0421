"""Judge the results of a search in blocks of queries: gains, metrics at every depth, and confidences."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from touchstone.metrics import ranking as formulas
from touchstone.metrics.ranking import Ranked
from touchstone.metrics.resampling import Floats
from touchstone.records.rankings import Ranking

Judgements = Mapping[str, Mapping[str, int]]
QUERIES_AT_ONCE = 1000
Formula = Callable[[Ranked, int], Floats]
# Metrics averaged over queries by the prefix of their names, as of ndcg_at_10, with mteb's name, as in NDCG@10.
PER_QUERY: Mapping[str, tuple[str, Formula]] = {
    "ndcg": ("NDCG", formulas.ndcg),
    "map": ("MAP", formulas.average_precision),
    "recall": ("Recall", formulas.recall),
    "precision": ("P", formulas.precision),
    "hit_rate": ("HitRate", formulas.hit_rate),
    "mrr": ("MRR", formulas.reciprocal_rank),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryBlock:
    """The results of some queries, best first.

    ``ranked`` compares scores in single precision, as trec_eval does, ``exact`` in their own. ``documents`` are the
    numbers of each query's first documents, ``scores`` those of all its documents.
    """

    ranked: Ranked
    exact: Ranked
    documents: Sequence[NDArray[np.int32]]
    scores: Sequence[NDArray[np.floating[Any]]]


def judge(ranking: Ranking, judgements: Judgements, depth: int, *, itself: bool = True) -> Iterator[QueryBlock]:
    """Judge the results of a search.

    Args:
        ranking: each query's documents by (score, name), descending; the names in ascending order, each once.
        judgements: query to document to gain; a negative gain counts as 0.
        depth: the number of ranks to keep.
        itself: whether a document with the name of the query counts.
    """
    numbers = {name: number for number, name in enumerate(ranking.names)}
    grades = np.zeros(len(numbers))
    rows = ranking.rows()
    while block := list(islice(rows, QUERIES_AT_ONCE)):
        if not itself:
            block = [(query, *_without(numbers.get(query), documents, scores)) for query, documents, scores in block]
        golds = [{d: max(grade, 0) for d, grade in judgements[query].items()} for query, _, _ in block]
        exact = [documents[:depth] for _, documents, _ in block]
        single = exact if ranking.scores.dtype == np.float32 else [_rounded(d, s)[:depth] for _, d, s in block]
        ideal = _ideal(golds)
        ranked = Ranked(_gains(single, golds, numbers, grades, depth), ideal)
        yield QueryBlock(
            ranked=ranked,
            exact=ranked if single is exact else Ranked(_gains(exact, golds, numbers, grades, depth), ideal),
            documents=exact,
            scores=[scores for _, _, scores in block],
        )


def all_metrics(block: QueryBlock, depths: Sequence[int]) -> dict[str, Floats]:
    """Return every metric of mteb's at every depth, by mteb's name: one value for each query."""
    return {
        f"{name}@{depth}": metric(block.exact if name == "MRR" else block.ranked, depth)
        for name, metric in PER_QUERY.values()
        for depth in depths
    }


def confidences(block: QueryBlock) -> dict[str, Floats]:
    """Return mteb's measures of a model's confidence in each query (q,), by mteb's name.

    These are the best score, the standard deviation of all scores, and the difference of the best and the second.
    """
    best = np.array([float(scores[0]) if len(scores) else 0.0 for scores in block.scores])
    second = np.array([float(scores[min(1, len(scores) - 1)]) if len(scores) else 0.0 for scores in block.scores])
    spread = np.array([np.std(scores.astype(np.float64)) if len(scores) else 0.0 for scores in block.scores])
    return {"max": best, "std": spread, "diff1": best - second}


def _without(
    number: int | None, documents: NDArray[np.int32], scores: NDArray[Any]
) -> tuple[NDArray[np.int32], NDArray[Any]]:
    mask = documents != (-1 if number is None else number)
    return documents[mask], scores[mask]


def _rounded(documents: NDArray[np.int32], scores: NDArray[Any]) -> NDArray[np.int32]:
    """Return documents in the order of their scores in single precision, where more scores are equal."""
    return documents[np.lexsort((documents, scores.astype(np.float32)))[::-1]]


def _gains(
    rankings: Sequence[NDArray[np.int32]],
    golds: Sequence[Mapping[str, int]],
    numbers: Mapping[str, int],
    grades: Floats,
    depth: int,
) -> Floats:
    """Look up the gains (q, depth) of documents; ``grades``, one for each name, are zero before and after."""
    gains = np.zeros((len(rankings), depth))
    for row, (documents, gold) in enumerate(zip(rankings, golds, strict=True)):
        pairs = [(numbers[name], grade) for name, grade in gold.items() if name in numbers]
        places = [place for place, _ in pairs]
        grades[places] = [grade for _, grade in pairs]
        gains[row, : len(documents)] = grades[documents]
        grades[places] = 0
    return gains


def _ideal(golds: Sequence[Mapping[str, int]]) -> Floats:
    ideal = np.zeros((len(golds), max(map(len, golds), default=0)))
    for row, gold in enumerate(golds):
        ideal[row, : len(gold)] = sorted(gold.values(), reverse=True)
    return ideal
