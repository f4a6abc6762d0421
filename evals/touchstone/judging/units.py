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

Vector = NDArray[np.float64]
Rows = NDArray[np.intp]
Names = Sequence[Sequence[str]]
# Of one sample; those that most samples have. Each set of them is looked at.
MOST = 5
# Numbers of a sketch, and smallest hashes of units that say whether two cases share any.
WIDTH, SMALLEST = 256, 128
AT_ONCE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Which of n samples share units; a sample that shares none is a unit of its own.

    ``members`` has for each number of units that are shared the groups (m,) and the samples in them (m,). ``single`` is
    the group of each sample (n,) where each has one unit, else None. ``count`` is the number of units.
    """

    members: tuple[tuple[Rows, Rows], ...]
    single: Rows | None
    count: int

    def square(self, influences: Vector) -> float:
        """Return the squared error of the sum of influences (n,), for independent units."""
        alone = float(influences @ influences)
        parts = [float((np.bincount(group, influences[rows]) ** 2).sum()) for group, rows in self.members]
        total = sum(part if place % 2 == 0 else -part for place, part in enumerate(parts))
        # By several units it may come out negative: a sample is at least what it is by itself.
        return total if self.single is not None else max(total, alone)

    def largest_square(self, influences: Vector) -> float:
        """Return a bound of `square` that no few units make too small: samples of two units count for both."""
        group, rows = self.members[0]
        return max(float((np.bincount(group, influences[rows]) ** 2).sum()), self.square(influences))

    def count_in(self, rows: Rows) -> int:
        """Return how many units some samples have, at most as many as there are samples."""
        if self.single is not None:
            return len(np.unique(self.single[rows]))
        group, of_group = self.members[0]
        chosen = np.zeros(int(of_group.max()) + 1, dtype=bool)
        chosen[rows] = True
        return min(len(rows), len(np.unique(group[chosen[of_group]])))

    def any_across(self, parts: Sequence[Rows]) -> bool:
        """Return True if samples of two parts, which have all samples among them, share a unit."""
        group, rows = self.members[0]
        part = np.empty(sum(map(len, parts)), dtype=np.intp)
        for place, of_part in enumerate(parts):
            part[of_part] = place
        return len(np.unique(group * len(parts) + part[rows])) > self.count

    def sums(self, values: Vector) -> Vector:
        """Return the sum of values (n,) in each group, where each sample has one."""
        assert self.single is not None
        return np.asarray(np.bincount(self.single, values), dtype=np.float64)


def find_groups(units: Names | None, n: int) -> Groups:
    """Group n samples by the units that they share; without units each is its own."""
    if units is None:
        own = np.arange(n)
        return Groups(members=((own, own),), single=own, count=n)
    often = Counter(unit for of_sample in units for unit in set(of_sample))
    shared = [sorted((unit for unit in set(of) if often[unit] > 1), key=lambda u: (-often[u], u)) for of in units]
    known: dict[str, int] = {}
    table = np.full((n, max(1, min(MOST, max(map(len, shared), default=0)))), -1)
    for row, of_sample in enumerate(shared):
        names = of_sample[: table.shape[1]] or [f"#{row}"]
        table[row, : len(names)] = sorted(known.setdefault(name, len(known)) for name in names)
    members = []
    for size in range(1, table.shape[1] + 1):
        found = [_chosen(table, columns, len(known)) for columns in combinations(range(table.shape[1]), size)]
        codes, rows = (np.concatenate(side) for side in zip(*found, strict=True))
        members.append((np.unique(codes, return_inverse=True)[1], rows))
    return Groups(members=tuple(members), single=table[:, 0] if table.shape[1] == 1 else None, count=len(known))


def _chosen(table: Rows, columns: Sequence[int], known: int) -> tuple[Rows, Rows]:
    """Return the number of the set of units in some columns, and the rows that have so many."""
    rows = np.flatnonzero((table[:, columns] >= 0).all(axis=1))
    code = np.zeros(len(rows), dtype=object if len(columns) * known.bit_length() > 62 else np.int64)
    for column in columns:
        code = code * known + table[rows, column]
    return code, rows


def make_sketch(units: Names, influences: Vector, error: float) -> str | None:
    """Return the sums of influence by unit in little room: random signs of them, and the smallest hashes of units.

    Args:
        units: of each sample.
        influences: of each sample (n,), which sum to the difference.
        error: by which they are divided.
    """
    if not (0 < error < np.inf):
        return None
    sums: dict[str, float] = {}
    for names, influence in zip(units, influences.tolist(), strict=True):
        for name in dict.fromkeys(names):
            sums[name] = sums.get(name, 0.0) + influence
    hashed = np.frombuffer(b"".join(hashlib.sha256(name.encode()).digest() for name in sums), np.uint8).reshape(-1, 32)
    amounts, drawn = np.array(list(sums.values())) / error, np.zeros(WIDTH)
    for start in range(0, len(amounts), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        drawn += amounts[rows] @ (1.0 - 2.0 * np.unpackbits(hashed[rows], axis=1))
    smallest = np.unique(np.ascontiguousarray(hashed[:, :4]).view(">u4").ravel())[:SMALLEST]
    return base64.b64encode(drawn.astype("<f2").tobytes() + smallest.astype("<u4").tobytes()).decode()


def correlations(sketches: Sequence[str | None]) -> Vector:
    """Return the correlations (k, k) of the differences of k cases through the units that they share.

    The product of random signs estimates one (Alon, Matias and Szegedy, Journal of Computer and System Sciences 58,
    1999), to about 0.06 at this width; cases whose smallest hashes have none in common share nothing, and are left at
    0, as are those without a sketch.
    """
    found = np.eye(len(sketches))
    known = [(place, *_read(sketch)) for place, sketch in enumerate(sketches) if sketch is not None]
    for (one, drawn, hashed), (two, others, also) in combinations(known, 2):
        smallest = np.union1d(hashed, also)[:SMALLEST]
        if np.isin(smallest, np.intersect1d(hashed, also, assume_unique=True)).any():
            found[one, two] = found[two, one] = np.clip(drawn @ others / WIDTH, -1, 1)
    return found


def _read(sketch: str) -> tuple[Vector, NDArray[np.uint32]]:
    content = base64.b64decode(sketch)
    return np.frombuffer(content[: 2 * WIDTH], "<f2").astype(np.float64), np.frombuffer(content[2 * WIDTH :], "<u4")
