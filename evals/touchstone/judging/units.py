"""Samples that depend on each other because they share units: texts, paragraphs, rows of one source.

The squared error of a sum of influences is then the sum of the products of all pairs of samples that have a unit in
common. It is worked out by inclusion and exclusion over the sets of units that samples share, so that two samples with
the same two texts count once (Cameron, Gelbach and Miller, Journal of Business & Economic Statistics 29, 2011; for
pairs of texts: Aronow, Samii and Assenova, Political Analysis 23, 2015).
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from touchstone.records.verdicts import SKETCH_HASHES, SKETCH_WIDTH

Vector = NDArray[np.float64]
Rows = NDArray[np.intp]
Names = Sequence[Sequence[str]]
# Only the units of a sample that most others have count: the work grows with the number of sets of them.
UNITS_PER_SAMPLE = 5
HASHES_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Groups of n samples that share units; a sample that shares none is a unit of its own.

    ``members`` has for each number of shared units the groups (m,) and the samples in them (m,). ``single`` is the
    group of each sample (n,) if each has one unit, else None. ``count`` is the number of units.
    """

    members: tuple[tuple[Rows, Rows], ...]
    single: Rows | None
    count: int

    def square(self, influences: Vector) -> float:
        """Return the squared error of the sum of influences (n,), for independent units."""
        diagonal = float(influences @ influences)
        parts = [float((np.bincount(group, influences[rows]) ** 2).sum()) for group, rows in self.members]
        total = sum(part if place % 2 == 0 else -part for place, part in enumerate(parts))
        # With several units per sample it may come out negative: a sample is at least what it is by itself.
        return total if self.single is not None else max(total, diagonal)

    def largest_square(self, influences: Vector) -> float:
        """Return an upper bound of `square` that few units do not make too small: samples of two units count twice."""
        group, rows = self.members[0]
        return max(float((np.bincount(group, influences[rows]) ** 2).sum()), self.square(influences))

    def count_in(self, rows: Rows) -> int:
        """Return the number of units of some samples, at most that of the samples."""
        if self.single is not None:
            return len(np.unique(self.single[rows]))
        group, of_group = self.members[0]
        mask = np.zeros(int(of_group.max()) + 1, dtype=bool)
        mask[rows] = True
        return min(len(rows), len(np.unique(group[mask[of_group]])))

    def any_across(self, parts: Sequence[Rows]) -> bool:
        """Return True if samples of two parts, which have all samples among them, share a unit."""
        group, rows = self.members[0]
        part = np.empty(sum(map(len, parts)), dtype=np.intp)
        for place, of_part in enumerate(parts):
            part[of_part] = place
        return len(np.unique(group * len(parts) + part[rows])) > self.count

    def sums(self, values: Vector) -> Vector:
        """Return the sum of values (n,) in each group, if each sample has one."""
        assert self.single is not None
        return np.asarray(np.bincount(self.single, values), dtype=np.float64)


def find_groups(units: Names | None, n: int) -> Groups:
    """Group n samples by the units that they share; without units each sample is its own group."""
    if units is None:
        rows = np.arange(n)
        return Groups(members=((rows, rows),), single=rows, count=n)
    often = Counter(unit for of_sample in units for unit in set(of_sample))
    shared = [sorted((unit for unit in set(of) if often[unit] > 1), key=lambda u: (-often[u], u)) for of in units]
    numbers: dict[str, int] = {}
    table = np.full((n, max(1, min(UNITS_PER_SAMPLE, max(map(len, shared), default=0)))), -1)
    for row, of_sample in enumerate(shared):
        names = of_sample[: table.shape[1]] or [f"#{row}"]
        table[row, : len(names)] = sorted(numbers.setdefault(name, len(numbers)) for name in names)
    members = []
    for size in range(1, table.shape[1] + 1):
        sets = [_unit_sets(table, columns, len(numbers)) for columns in combinations(range(table.shape[1]), size)]
        codes, rows = (np.concatenate(side) for side in zip(*sets, strict=True))
        members.append((np.unique(codes, return_inverse=True)[1], rows))
    return Groups(members=tuple(members), single=table[:, 0] if table.shape[1] == 1 else None, count=len(numbers))


def _unit_sets(table: Rows, columns: Sequence[int], count: int) -> tuple[Rows, Rows]:
    """Return a code for each set of units in some columns, and the rows that have so many."""
    rows = np.flatnonzero((table[:, columns] >= 0).all(axis=1))
    code = np.zeros(len(rows), dtype=object if len(columns) * count.bit_length() > 62 else np.int64)
    for column in columns:
        code = code * count + table[rows, column]
    return code, rows


def make_sketch(units: Names, influences: Vector, error: float) -> str | None:
    """Return a compressed form of the influence by unit: sums under random signs, and the smallest hashes of units.

    Args:
        units: of each sample.
        influences: of each sample (n,), which sum to the difference.
        error: the divisor of the sums.
    """
    if not (0 < error < np.inf):
        return None
    sums: dict[str, float] = {}
    for names, influence in zip(units, influences.tolist(), strict=True):
        for name in dict.fromkeys(names):
            sums[name] = sums.get(name, 0.0) + influence
    hashed = np.frombuffer(b"".join(hashlib.sha256(name.encode()).digest() for name in sums), np.uint8).reshape(-1, 32)
    amounts, projection = np.array(list(sums.values())) / error, np.zeros(SKETCH_WIDTH)
    for start in range(0, len(amounts), HASHES_AT_ONCE):
        rows = slice(start, start + HASHES_AT_ONCE)
        projection += amounts[rows] @ (1.0 - 2.0 * np.unpackbits(hashed[rows], axis=1))
    smallest = np.unique(np.ascontiguousarray(hashed[:, :4]).view(">u4").ravel())[:SKETCH_HASHES]
    return base64.b64encode(projection.astype("<f2").tobytes() + smallest.astype("<u4").tobytes()).decode()


def correlations(sketches: Sequence[str | None]) -> Vector:
    """Return the correlations (k, k) of the differences of k cases through the units that they share.

    The product of random signs estimates one (Alon, Matias and Szegedy, Journal of Computer and System Sciences 58,
    1999), to about 0.06 at this width; cases whose smallest hashes have none in common share nothing, and are left at
    0, as are those without a sketch.
    """
    matrix = np.eye(len(sketches))
    decoded = [(place, *_decode(sketch)) for place, sketch in enumerate(sketches) if sketch is not None]
    for (i, left, left_hashes), (j, right, right_hashes) in combinations(decoded, 2):
        smallest = np.union1d(left_hashes, right_hashes)[:SKETCH_HASHES]
        if np.isin(smallest, np.intersect1d(left_hashes, right_hashes, assume_unique=True)).any():
            matrix[i, j] = matrix[j, i] = np.clip(left @ right / SKETCH_WIDTH, -1, 1)
    return matrix


def _decode(sketch: str) -> tuple[Vector, NDArray[np.uint32]]:
    content = base64.b64decode(sketch)
    end = 2 * SKETCH_WIDTH
    return np.frombuffer(content[:end], "<f2").astype(np.float64), np.frombuffer(content[end:], "<u4")
