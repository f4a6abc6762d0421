"""How long exact search takes through vectors of one width and precision, measured on vectors made for that."""

import time
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from touchstone.encoding.quantization import BITS

MILLION = 1_000_000
# So many bytes of vectors are looked through; time is proportional to them beyond any cache.
SEARCHED_BYTES = 64 << 20
QUERIES, DEPTH, BLOCK = 16, 10, 1 << 14
STORAGE_DTYPES = {"float32": np.float32, "float16": np.float16, "int8": np.int8, "uint8": np.uint8}


def bytes_of(dimensions: int, precision: str) -> int:
    """Return the bytes that a vector takes in an index."""
    return -(-dimensions * BITS[precision] // 8)


@cache
def search_seconds(dimensions: int, precision: str) -> float:
    """Return the seconds that the ten best of a million vectors take one query, of sixteen at a time, in this process.

    Numbers of few bits are made single ones block by block and multiplied; signs are compared by their bits.
    """
    random = np.random.default_rng(1)
    rows = max(BLOCK, min(MILLION, SEARCHED_BYTES // bytes_of(dimensions, precision)))
    if precision == "binary":
        words = -(-dimensions // 64)
        documents: NDArray[Any] = random.integers(0, 1 << 63, (rows, words), np.uint64)
        queries: NDArray[Any] = random.integers(0, 1 << 63, (QUERIES, words), np.uint64)
    else:
        block = random.integers(0, 100, (BLOCK, dimensions)).astype(STORAGE_DTYPES[precision])
        documents = np.concatenate([block] * (rows // BLOCK))
        queries = random.random((dimensions, QUERIES), np.float32)
    _search(documents[:BLOCK], queries, precision)  # the first call of a library is slower than the others
    started = time.perf_counter()
    _search(documents, queries, precision)
    return (time.perf_counter() - started) / QUERIES * MILLION / len(documents)


def _search(documents: NDArray[Any], queries: NDArray[Any], precision: str) -> None:
    for at in range(0, len(documents), BLOCK):
        block = documents[at : at + BLOCK]
        if precision == "binary":
            distances = np.stack([np.bitwise_count(block ^ query).sum(axis=1) for query in queries], axis=1)
            np.argpartition(distances, DEPTH, axis=0)
        else:
            similarities = block.astype(np.float32, copy=False) @ queries
            np.argpartition(-similarities, DEPTH, axis=0)
