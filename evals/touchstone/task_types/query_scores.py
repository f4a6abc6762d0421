"""Judge what a search found, for a block of queries at a time: gains, metrics at every depth, and confidences."""

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
# What is averaged over queries, as ndcg_at_10 begins, with mteb's name of it at a depth, as in NDCG@10.
PER_QUERY: Mapping[str, tuple[str, Formula]] = {
    "ndcg": ("NDCG", formulas.ndcg),
    "map": ("MAP", formulas.average_precision),
    "recall": ("Recall", formulas.recall),
    "precision": ("P", formulas.precision),
    "hit_rate": ("HitRate", formulas.hit_rate),
    "mrr": ("MRR", formulas.reciprocal_rank),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What some queries found, best first.

    ``ranked`` compares scores in single precision, as trec_eval does; ``exact`` as they are. ``documents`` are the
    first numbers of each query's, ``scores`` those of all that it found.
    """

    ranked: Ranked
    exact: Ranked
    documents: Sequence[NDArray[np.int32]]
    scores: Sequence[NDArray[np.floating[Any]]]


def judge(ranking: Ranking, judgements: Judgements, depth: int, *, itself: bool = True) -> Iterator[Judged]:
    """Judge what a search found.

    Args:
        ranking: each query's documents by (score, name), descending; the names in ascending order, each once.
        judgements: query to document to gain; a negative gain counts as 0.
        depth: how many ranks to keep.
        itself: whether a document counts that is called like the query.
    """
    numbers = {name: number for number, name in enumerate(ranking.names)}
    grades = np.zeros(len(numbers))
    rows = ranking.rows()
    while block := list(islice(rows, QUERIES_AT_ONCE)):
        if not itself:
            block = [(query, *_without(numbers.get(query), documents, scores)) for query, documents, scores in block]
        judged = [{d: max(grade, 0) for d, grade in judgements[query].items()} for query, _, _ in block]
        exact = [documents[:depth] for _, documents, _ in block]
        single = exact if ranking.scores.dtype == np.float32 else [_rounded(d, s)[:depth] for _, d, s in block]
        ideal = _ideal(judged)
        ranked = Ranked(_gains(single, judged, numbers, grades, depth), ideal)
        yield Judged(
            ranked=ranked,
            exact=ranked if single is exact else Ranked(_gains(exact, judged, numbers, grades, depth), ideal),
            documents=exact,
            scores=[scores for _, _, scores in block],
        )


def all_metrics(judged: Judged, depths: Sequence[int]) -> dict[str, Floats]:
    """Return every metric of mteb's at every depth, by mteb's name for it: one value for each query."""
    return {
        f"{name}@{depth}": metric(judged.exact if name == "MRR" else judged.ranked, depth)
        for name, metric in PER_QUERY.values()
        for depth in depths
    }


def confidences(judged: Judged) -> dict[str, Floats]:
    """Return what mteb takes for a model's confidence in each query (q,), by mteb's name.

    These are the best score, the standard deviation of all scores, and how far the second is behind the best.
    """
    best = np.array([float(scores[0]) if len(scores) else 0.0 for scores in judged.scores])
    second = np.array([float(scores[min(1, len(scores) - 1)]) if len(scores) else 0.0 for scores in judged.scores])
    spread = np.array([np.std(scores.astype(np.float64)) if len(scores) else 0.0 for scores in judged.scores])
    return {"max": best, "std": spread, "diff1": best - second}


def _without(
    number: int | None, documents: NDArray[np.int32], scores: NDArray[Any]
) -> tuple[NDArray[np.int32], NDArray[Any]]:
    kept = documents != (-1 if number is None else number)
    return documents[kept], scores[kept]


def _rounded(documents: NDArray[np.int32], scores: NDArray[Any]) -> NDArray[np.int32]:
    """Put documents in the order of their scores in single precision, where more of them are equal."""
    return documents[np.lexsort((documents, scores.astype(np.float32)))[::-1]]


def _gains(
    found: Sequence[NDArray[np.int32]],
    judged: Sequence[Mapping[str, int]],
    numbers: Mapping[str, int],
    grades: Floats,
    depth: int,
) -> Floats:
    """Look up the gains (q, depth) of documents; ``grades``, one for each name, are zero before and after."""
    gains = np.zeros((len(found), depth))
    for row, (documents, gold) in enumerate(zip(found, judged, strict=True)):
        known = [(numbers[name], grade) for name, grade in gold.items() if name in numbers]
        places = [place for place, _ in known]
        grades[places] = [grade for _, grade in known]
        gains[row, : len(documents)] = grades[documents]
        grades[places] = 0
    return gains


def _ideal(judged: Sequence[Mapping[str, int]]) -> Floats:
    ideal = np.zeros((len(judged), max(map(len, judged), default=0)))
    for row, gold in enumerate(judged):
        ideal[row, : len(gold)] = sorted(gold.values(), reverse=True)
    return ideal
