"""Exact search against a sort in Python; how it is cut into blocks, and the order of the documents, change nothing."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from touchstone.errors import ModelError
from touchstone.measuring.search import QUERIES, Search, first, in_order

DTYPES = [np.float16, np.float32, np.float64]


def dot(queries: Any, documents: Any) -> Any:
    return torch.as_tensor(queries) @ torch.as_tensor(documents).T


@st.composite
def embeddings(draw: st.DrawFn) -> tuple[NDArray[Any], NDArray[Any]]:
    """Vectors of small whole numbers, so that sums are exact and many scores are equal."""
    seed = draw(st.integers(0, 2**32 - 1))
    queries, documents, width = draw(st.integers(1, 5)), draw(st.integers(1, 140)), draw(st.integers(1, 3))
    chosen = np.random.default_rng(seed)
    dtype = draw(st.sampled_from(DTYPES))
    return tuple(chosen.integers(-2, 3, (rows, width)).astype(dtype) for rows in (queries, documents))  # type: ignore[return-value]


def naive(queries: NDArray[Any], documents: NDArray[Any], depth: int) -> tuple[list[list[float]], list[list[int]]]:
    """Sort all documents of each query by (score, place), descending."""
    scores, places = [], []
    for query in queries.astype(np.float64):
        exact = documents.astype(np.float64) @ query
        best = sorted(range(len(documents)), key=lambda place: (exact[place], place), reverse=True)[:depth]
        scores.append([float(exact[place]) for place in best])
        places.append(best)
    return scores, places


def run(
    queries: NDArray[Any], documents: NDArray[Any], depth: int, *, chunk: int, block: int, order: NDArray[Any]
) -> Search:
    search = Search(dot, queries, len(documents), depth, block=block)
    for start in range(0, len(documents), chunk):
        rows = order[start : start + chunk]
        search.add(documents[rows], rows.astype(np.int32))
    return search


@given(
    made=embeddings(),
    depth=st.integers(1, 150),
    chunk=st.integers(1, 150),
    block=st.integers(1, 400),
    seed=st.integers(0, 99),
)
def test_it_is_a_sort_however_it_is_cut_and_in_whatever_order(
    made: tuple[NDArray[Any], NDArray[Any]], depth: int, chunk: int, block: int, seed: int
) -> None:
    queries, documents = made
    order = np.random.default_rng(seed).permutation(len(documents))
    found = run(queries, documents, depth, chunk=chunk, block=block, order=order)
    scores, places = naive(queries, documents, depth)
    assert found.places.tolist() == places
    assert found.scores.tolist() == scores
    assert found.scores.dtype == (np.float64 if queries.dtype == np.float64 else np.float32)


def test_what_memory_held_before_is_never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    # NaNs that warn when they are cast, in a search of doubles
    monkeypatch.setattr(np, "empty", lambda shape, dtype: np.full(shape, 0x7FA00000, np.uint32).view(dtype))
    queries, documents = np.ones((3, 2)), np.arange(20.0).reshape(10, 2)
    found = run(queries, documents, 4, chunk=3, block=64, order=np.arange(10))
    assert found.scores.tolist() == naive(queries, documents, 4)[0]


def test_more_queries_than_are_searched_at_once_and_all_scores_negative() -> None:
    chosen = np.random.default_rng(0)
    queries = chosen.integers(-3, 4, (QUERIES + 7, 4)).astype(np.float32)
    documents = chosen.integers(-3, 4, (300, 4)).astype(np.float32)
    queries[:, 3], documents[:, 3] = 1, -100  # nothing that is no document has so low a score
    found = run(queries, documents, 9, chunk=130, block=1, order=np.arange(300))
    assert found.places.tolist() == naive(queries, documents, 9)[1]


def test_blocks_round_as_the_whole_does() -> None:
    chosen = np.random.default_rng(0)
    queries, documents = (chosen.standard_normal((rows, 96), dtype=np.float32) for rows in (70, 1000))
    whole, cut = (run(queries, documents, 50, chunk=1000, block=size, order=np.arange(1000)) for size in (70_000, 1))
    assert whole.scores.tobytes() == cut.scores.tobytes()
    assert (whole.places == cut.places).all()


@given(
    values=st.lists(
        st.floats(width=32, allow_nan=False) | st.sampled_from([0.0, -0.0, np.inf, -np.inf]), min_size=1, max_size=30
    ),
    double=st.booleans(),
    count=st.integers(1, 30),
)
def test_the_first_of_any_numbers_are_those_of_a_sort(values: list[float], double: bool, count: int) -> None:
    count = min(count, len(values))
    dtype = torch.float64 if double else torch.float32
    places = torch.arange(len(values), dtype=torch.int32)[None]
    scores, found = first(torch.tensor([values], dtype=dtype), places, count)
    best = sorted(range(len(values)), key=lambda place: (values[place], place), reverse=True)[:count]
    assert found.tolist() == [best]
    assert scores.tolist() == [[values[place] for place in best]]


def test_what_fills_a_row_loses_against_every_score() -> None:
    scores = torch.tensor([[-torch.inf, -torch.inf, -torch.inf]])
    _, places = first(scores, torch.tensor([[-1, 0, -1]], dtype=torch.int32), 1)
    assert places.tolist() == [[0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_scores_in_half_precision_stay_what_they_are(dtype: torch.dtype) -> None:
    documents = torch.tensor([[0.1], [0.3], [0.2]], dtype=dtype)
    search = Search(dot, torch.ones((1, 1), dtype=dtype), 3, 2)
    search.add(documents, np.arange(3, dtype=np.int32))
    assert search.scores.tolist() == [documents.float()[[1, 2], 0].tolist()]


@pytest.mark.parametrize("block", [1, 1 << 20])
def test_a_score_that_is_no_number_is_refused_wherever_it_is(block: int) -> None:
    documents = np.ones((200, 1), np.float32)
    search = Search(dot, np.ones((2, 1), np.float32), 400, 3, block=block)
    search.add(documents, np.arange(200, dtype=np.int32))
    documents[150] = np.nan
    with pytest.raises(ModelError, match=r"^the similarity of a query and a document is not a number$"):
        search.add(documents, np.arange(200, 400, dtype=np.int32))


def test_several_vectors_of_a_text_are_given_to_the_model_whole() -> None:
    """A model that compares word by word may pad, or give lists: only it knows how they are cut."""
    seen = []

    def late(queries: Any, documents: Any) -> Any:
        seen.append((len(queries), len(documents)))
        return torch.tensor([[float(max(map(max, document))) for document in documents] for _ in queries])

    search = Search(late, [[[1.0]], [[2.0], [1.0]]], 70, 2, block=1)
    search.add([[[0.5]], [[0.75], [0.25]], [[0.5], [0.5]]] + [[[0.1]]] * 67, np.arange(70, dtype=np.int32))
    assert seen == [(2, 70)]
    assert search.places.tolist() == [[1, 2], [1, 2]]


@pytest.mark.parametrize(("device", "expected"), [(None, "ndarray"), ("cpu", "ndarray"), ("meta", "meta")])
def test_arrays_go_to_the_device_and_other_embeddings_stay(device: str | None, expected: str) -> None:
    where: set[str] = set()

    def similarity(*sides: Any) -> Any:
        where.update(str(side.device.type) if isinstance(side, torch.Tensor) else type(side).__name__ for side in sides)
        return torch.zeros(tuple(map(len, sides)))

    search = Search(similarity, np.ones((2, 3), np.float32), 4, 2, device=device)
    search.add(np.ones((4, 3), np.float32), np.arange(4, dtype=np.int32))
    assert where == {expected}
    assert search.places.tolist() == [[3, 2], [3, 2]]


@given(ids=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), unique=True))
def test_ids_are_in_the_order_of_their_bytes(ids: list[str]) -> None:
    """As trec_eval compares them."""
    assert [ids[number] for number in in_order(ids)] == sorted(ids, key=str.encode)
