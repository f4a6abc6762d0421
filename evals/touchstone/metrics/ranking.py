"""Metrics of ranked documents, one value per query; formulas as in trec_eval (github.com/usnistgov/trec_eval).

A query without a relevant document has the value 0, as there. The mean over queries is the caller's. Sums go from the
first rank to the last, as there, so that the values are the same to the last bit.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import nlargest

import numpy as np
from numpy.typing import NDArray

from touchstone.metrics.resampling import Floats, ratio


@dataclass(frozen=True)
class Ranked:
    """What a model found, and what there was to find.

    Attributes:
        gains: (q, d), gain of the document at each rank; 0 for an unjudged or absent one.
        ideal: (q, m), gains of all judged documents in descending order, padded with 0.
    """

    gains: Floats
    ideal: Floats


def rank(scores: Mapping[str, Mapping[str, float]], judgements: Mapping[str, Mapping[str, int]], depth: int) -> Ranked:
    """Sort the documents of each judged query by (score, id), descending, as trec_eval does.

    Python compares the float64 scores themselves; pytrec_eval rounds them to float32 and so sees more ties.

    Args:
        scores: query to document to score; a query that is missing has no documents.
        judgements: query to document to gain; a negative gain counts as 0.
        depth: how many ranks to keep, d.

    Raises:
        ValueError: a score is not a number.
    """
    gains = np.zeros((len(judgements), depth))
    ideal = np.zeros((len(judgements), max(map(len, judgements.values()), default=0)))
    for row, (query, judged) in enumerate(judgements.items()):
        documents = scores.get(query, {})
        if np.isnan(np.fromiter(documents.values(), np.float64)).any():
            raise ValueError(f"query {query}: a score is not a number")
        top = nlargest(depth, documents.items(), key=lambda item: (item[1], item[0]))
        gains[row, : len(top)] = [max(judged.get(document, 0), 0) for document, _ in top]
        ideal[row, : len(judged)] = sorted((max(gain, 0) for gain in judged.values()), reverse=True)
    return Ranked(gains, ideal)


def ndcg(ranked: Ranked, k: int) -> Floats:
    """Normalised discounted cumulative gain (q,): linear gain over log2(rank + 1), trec_eval's ndcg_cut."""
    return ratio(_discounted(_top(ranked, k)), _discounted(ranked.ideal[:, :k]))


def average_precision(ranked: Ranked, k: int) -> Floats:
    """Sum of the precisions at the relevant of the first k, over all relevant (q,): trec_eval's map_cut."""
    hits = _hits(ranked, k)
    precisions = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    return ratio(np.cumsum(precisions * hits, axis=1)[:, -1], _relevant_count(ranked))


def reciprocal_rank(ranked: Ranked, k: int) -> Floats:
    """1 / rank of the first relevant among the first k (q,), or 0."""
    hits = _hits(ranked, k)
    return ratio(hit_rate(ranked, k), np.asarray(1.0 + hits.argmax(axis=1)))


def recall(ranked: Ranked, k: int) -> Floats:
    """Share of the relevant that are among the first k (q,)."""
    return ratio(_hit_count(ranked, k), _relevant_count(ranked))


def precision(ranked: Ranked, k: int) -> Floats:
    """Relevant among the first k over k (q,), however few were retrieved."""
    return np.divide(_hit_count(ranked, k), k)


def hit_rate(ranked: Ranked, k: int) -> Floats:
    """1 where a relevant is among the first k (q,), else 0: trec_eval's success."""
    return np.asarray(_hits(ranked, k).any(axis=1), dtype=np.float64)


def _top(ranked: Ranked, k: int) -> Floats:
    """Return the gains (q, k); beyond the depth nothing is known, so asking for it is an error."""
    depth = ranked.gains.shape[1]
    if not 1 <= k <= depth:
        raise ValueError(f"k is {k}, the ranking has {depth} ranks")
    return ranked.gains[:, :k]


def _hits(ranked: Ranked, k: int) -> NDArray[np.bool_]:
    return _top(ranked, k) > 0


def _hit_count(ranked: Ranked, k: int) -> Floats:
    return np.asarray(_hits(ranked, k).sum(axis=1), dtype=np.float64)


def _relevant_count(ranked: Ranked) -> Floats:
    return np.asarray((ranked.ideal > 0).sum(axis=1), dtype=np.float64)


def _discounted(gains: Floats) -> Floats:
    if not gains.shape[1]:
        return np.zeros(len(gains))
    return np.asarray(np.cumsum(gains / np.log2(np.arange(2, gains.shape[1] + 2)), axis=1)[:, -1], dtype=np.float64)


def metric_at(metric: str) -> tuple[str, int] | None:
    """Split ``ndcg_at_10`` into its name and depth; None for a metric without one."""
    match = re.fullmatch(r"(ndcg|map|mrr|recall|precision|hit_rate)_at_(\d+)", metric)
    return (match[1], int(match[2])) if match else None
