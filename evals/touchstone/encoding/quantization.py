"""Vectors in fewer bits, as an index keeps them: what is left of them when they are read back.

One way for queries and documents alike: ranges come from one sample of texts for each model, and not from the texts
that are encoded together.
"""

from dataclasses import dataclass

import numpy as np

from touchstone.encoding.base import Vectors

# Bits of a number, in an index.
BITS = {"float32": 32, "float16": 16, "int8": 8, "uint8": 8, "binary": 1}
INTEGER_PRECISIONS = frozenset({"int8", "uint8"})
LEVELS = 255


@dataclass(frozen=True, slots=True, eq=False)
class Quantizer:
    """Quantizes vectors and reads them back.

    ``float16`` rounds each number. ``int8`` and ``uint8`` keep the number of its step, of 256 between the least and the
    largest of its dimension in a sample, and read back the middle of the step; what lies beyond is taken for the
    outermost, as by ``ScalarQuantizer.QT_8bit`` of faiss. ``binary`` keeps the sign, read back as 1 or -1, whose
    products rank as the Hamming distance does.

    Args:
        precision: one of `BITS`.
        least: of each dimension in the sample, shape (dimensions,); for integers only.
        span: from the least to the largest of each dimension, shape (dimensions,); for integers only.
    """

    precision: str
    least: Vectors | None = None
    span: Vectors | None = None

    def __call__(self, vectors: Vectors) -> Vectors:
        """Return what is left of vectors, shape (n, dimensions)."""
        if self.precision == "float16":
            with np.errstate(over="ignore"):  # what is infinite then is refused as such
                return vectors.astype(np.float16).astype(np.float32)
        if self.precision == "binary":
            return np.where(vectors > 0, np.float32(1), np.float32(-1))
        if self.least is None or self.span is None:
            return vectors
        shares = (vectors - self.least) / np.where(self.span > 0, self.span, 1)
        steps = np.floor(np.clip(shares, 0, 1) * np.float32(LEVELS))
        values: Vectors = self.least + (steps + np.float32(0.5)) / np.float32(LEVELS) * self.span
        return values.astype(np.float32)


def calibrate(precision: str, sample: Vectors) -> Quantizer:
    """Make a quantizer whose ranges are those of a sample, shape (n, dimensions) with n at least 1."""
    if precision not in INTEGER_PRECISIONS:
        return Quantizer(precision)
    least = sample.min(axis=0)
    return Quantizer(precision, least, sample.max(axis=0) - least)
