"""Keys of texts in a store of vectors."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]


def make_keys(texts: Sequence[str]) -> Keys:
    """Return a key for each text, shape (texts, 2): its blake2b, 128 bits."""
    digests = b"".join(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts
    )
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 2)
