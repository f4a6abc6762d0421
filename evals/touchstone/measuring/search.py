"""Exact search: the best documents of each query by (score, id), best first, in arrays instead of heaps.

mteb takes the first k + 1 of every chunk of documents, where its library chooses freely between equal scores, and keeps
the k best of them by (score, id). Here the law holds for the choice too, so the order of the documents in their corpus,
and how both sides are cut into blocks, changes nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from touchstone.errors import ModelError

if TYPE_CHECKING:
    import torch


Similarity = Callable[[Any, Any], Any]
# Scores computed at once, by device. What fits is one call, as mteb makes it, so that sums round alike.
BLOCK = {"cpu": 1 << 24, "cuda": 1 << 28}
QUERIES = 1024
# A matrix product may round otherwise in a block whose width is no multiple of what the processor takes at once.
STEP = 64
_SIGN = 0x7FFFFFFF


class Search:
    """Keeps the best documents of each query while the documents go by, chunk after chunk.

    Args:
        similarity: scores all of some queries (q, n) to all of some documents (d, n): (q, d), on any device.
        queries: the embeddings of the queries, in whatever form the model gives them.
        documents: how many documents there will be.
        depth: how many of them to keep for each query.
        device: where to compute, for embeddings that are plain arrays; None to leave them where they are.
        block: how many scores to compute at once; None for what suits the device.
    """

    def __init__(
        self,
        similarity: Similarity,
        queries: Any,
        documents: int,
        depth: int,
        *,
        device: str | None = None,
        block: int | None = None,
    ) -> None:
        self._similarity = similarity
        self._device = device
        self._block = block or BLOCK.get((device or "cpu").partition(":")[0], BLOCK["cpu"])
        self._queries = self._place(queries)
        self._total = documents
        shape = len(queries), min(depth, documents)
        self.places: NDArray[np.int32] = np.empty(shape, np.int32)
        self.scores: NDArray[Any] = np.zeros(shape, np.float32)  # what lay in memory may warn when it is cast
        self._count = 0

    def add(self, documents: Any, places: NDArray[np.int32]) -> None:
        """Look at more documents.

        Args:
            documents: their embeddings, d of them.
            places: (d,), the place of each among the ids of all documents in ascending order, which decides between
                equal scores: the last comes first.

        Raises:
            ModelError: a score is not a number.
        """
        placed = self._place(documents)
        plain = _is_plain(self._queries) and _is_plain(placed)
        for rows, columns in self._blocks(len(self._queries), len(placed), cut=plain):
            is_whole = rows == slice(0, len(self._queries)), columns == slice(0, len(placed))
            scores = self._score(
                self._queries if is_whole[0] else self._queries[rows], placed if is_whole[1] else placed[columns]
            )
            self._keep(scores, places[columns], rows, self._count + columns.start)
        self._count += len(placed)

    def _blocks(self, rows: int, columns: int, *, cut: bool) -> Iterator[tuple[slice, slice]]:
        """Cut a table of scores; what is kept of a row grows from left to right."""
        high, wide = rows, columns
        if cut and rows * columns > self._block:
            high = min(rows, QUERIES)
            wide = max(STEP, self._block // high // STEP * STEP)
        for top in range(0, rows, high):
            for left in range(0, columns, wide):
                yield slice(top, min(top + high, rows)), slice(left, min(left + wide, columns))

    def _place(self, embeddings: Any) -> Any:
        """Put plain arrays where the model computes."""
        # A search on mps has not been tried.
        if self._device in (None, "cpu", "mps") or not _is_plain(embeddings):
            return embeddings
        import torch

        return torch.as_tensor(embeddings).to(self._device)

    def _score(self, queries: Any, documents: Any) -> "torch.Tensor":
        import torch

        scores = torch.as_tensor(self._similarity(queries, documents)).detach()
        if scores.dtype != torch.float64:  # halves are exact in single precision
            scores = scores.float() if scores.is_floating_point() else scores.double()
        if torch.isnan(scores.max()):
            raise ModelError("the similarity of a query and a document is not a number")
        return scores

    def _keep(self, scores: "torch.Tensor", places: NDArray[np.int32], rows: slice, start: int) -> None:
        """Merge a block of scores (r, d) into what is kept of its queries."""
        import torch

        depth = self.places.shape[1]
        filled = min(start, depth)
        if scores.dtype == torch.float64 and self.scores.dtype != np.float64:
            self.scores = self.scores.astype(np.float64)
        earlier = self._best_so_far(rows, filled, scores)
        if filled == depth:
            block = _at_least(scores, earlier[0][:, -1:], places)
        elif scores.shape[1] > depth:
            block = _at_least(scores, scores.topk(depth, dim=1, sorted=False).values.amin(dim=1, keepdim=True), places)
        else:
            block = scores, torch.as_tensor(places, device=scores.device).expand_as(scores)
        merged = [torch.cat(pair, dim=1) for pair in zip(earlier, block, strict=True)] if filled else list(block)
        count = min(filled + scores.shape[1], depth)
        self.scores[rows, :count], self.places[rows, :count] = first(merged[0], merged[1], count)

    def _best_so_far(self, rows: slice, filled: int, like: "torch.Tensor") -> tuple["torch.Tensor", "torch.Tensor"]:
        import torch

        return (
            torch.as_tensor(self.scores[rows, :filled], dtype=like.dtype, device=like.device),
            torch.as_tensor(self.places[rows, :filled], device=like.device),
        )


def first(scores: "torch.Tensor", places: "torch.Tensor", count: int) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Return the first of each row by (score, place), descending.

    Args:
        scores: (r, d), float32 or float64.
        places: (r, d), distinct in a row and at least 0, or -1 beside a score that is to lose against all others.
        count: how many; at most d.

    Returns:
        Scores and places, (r, count).
    """
    import torch

    if scores.dtype == torch.float64:
        plain, numbers = scores.cpu().numpy(), places.cpu().numpy()
        order = np.lexsort((numbers, plain), axis=1)[:, ::-1][:, :count]
        return np.take_along_axis(plain, order, 1), np.take_along_axis(numbers, order, 1).astype(np.int32)
    # One integer says both: the bits of a float are in its order, once those of negative ones are turned round.
    bits = (scores + 0.0).view(torch.int32)  # the sum has no -0
    keys = (bits ^ ((bits >> 31) & _SIGN)).to(torch.int64) << 32
    keys |= places + 1
    if keys.is_cpu:
        ordered = np.sort(keys.numpy(), axis=1)[:, : -count - 1 : -1]
    else:
        ordered = keys.topk(count, dim=1).values.cpu().numpy()
    high = (ordered >> 32).astype(np.int32)
    return (high ^ ((high >> 31) & _SIGN)).view(np.float32), (ordered & 0xFFFFFFFF).astype(np.int32) - 1


def in_order(ids: Sequence[str]) -> list[int]:
    """Return the numbers of the documents in ascending order of their ids, by code points as trec_eval has them."""
    return sorted(range(len(ids)), key=ids.__getitem__)


def _at_least(
    scores: "torch.Tensor", threshold: "torch.Tensor", places: NDArray[np.int32]
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Return the scores of each row that are not less than its least, moved to the left, with their places."""
    import torch

    mask = scores >= threshold
    rows, columns = mask.nonzero(as_tuple=True)
    counts = torch.bincount(rows, minlength=len(scores))
    ends = counts.cumsum(0)
    shape = len(scores), int(counts.max())
    offsets = torch.arange(len(rows), device=scores.device) - (ends - counts)[rows]
    top_scores = torch.full(shape, -torch.inf, dtype=scores.dtype, device=scores.device)
    top_scores[rows, offsets] = scores[rows, columns]
    top_places = torch.full(shape, -1, dtype=torch.int32, device=scores.device)
    top_places[rows, offsets] = torch.as_tensor(places, device=scores.device)[columns]
    return top_scores, top_places


def _is_plain(embeddings: Any) -> bool:
    """Return True if these are rows of numbers, one for each text: not sparse, not several vectors of a text."""
    if isinstance(embeddings, np.ndarray):
        return embeddings.ndim == 2
    import torch

    return isinstance(embeddings, torch.Tensor) and embeddings.ndim == 2 and embeddings.layout == torch.strided
