"""Ways to keep millions of vectors by key, side by side: time to write, size, time to open, look-up, memory.

Run by hand: ``python -m tests.benchmarks.measure_store [--keys 1000000] [--width 384] [--only NAME …]``; needs twice
the disk that the vectors take, and ``pip install lmdb`` for that row. Prints a Markdown table.

*segments* is what the store uses. *numpy pairs* is what it used before: unsorted files with an index in memory. *LMDB*
and *SQLite* keep a checksum and the vector under each key, a transaction for each flush.

Each way writes in one fresh process, in flushes of 8 MB, and is opened in another; *open* ends with the first vector.
Look-ups are of 10 000 keys, half of them known, every vector checked; *cold* is the first after the system was told to
drop the files from memory, *warm* the median of ten others. *Own* memory is what the system cannot drop (RssAnon),
*mapped* is pages of files, which it can (RssFile); both are what is above that after the imports.
"""

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import time
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from touchstone.encoding.base import Vectors
from touchstone.encoding.keys import Keys
from touchstone.store.vectors import PENDING_BYTES, Embeddings

BATCH = 10_000
TIMEOUT = 900


class Segments:
    """The store itself."""

    def __init__(self, folder: Path, width: int) -> None:
        self._store = Embeddings(folder)

    def write(self, keys: Keys, vectors: Vectors) -> None:
        self._store.put(keys, vectors)
        self._store.flush()

    def get(self, keys: Keys) -> tuple[Any, Vectors]:
        return self._store.get(keys)


class NumpyPairs:
    """Two files of numpy's for each flush, in the order of writing; all keys are sorted in memory."""

    def __init__(self, folder: Path, width: int) -> None:
        self._folder = folder
        names = sorted(folder.glob("*.keys.npy"))
        self._keys = [np.load(name) for name in names]
        self._vectors = [np.load(str(name).replace(".keys.", ".vectors."), mmap_mode="r") for name in names]
        self._width, self._count = width, len(names)
        if names:
            first = np.concatenate([keys[:, 0] for keys in self._keys])
            sizes = [len(keys) for keys in self._keys]
            place = np.column_stack(
                [np.repeat(np.arange(len(sizes)), sizes), np.concatenate(list(map(np.arange, sizes)))]
            )
            order = np.argsort(first, kind="stable")
            self._first, self._place = first[order], place[order]

    def write(self, keys: Keys, vectors: Vectors) -> None:
        for what, rows in (("vectors", vectors), ("keys", np.column_stack([keys, sums(keys, vectors)]))):
            with (self._folder / f"{self._count:06}.{what}.npy").open("wb") as file:
                np.save(file, rows)
                file.flush()
                os.fsync(file.fileno())
        self._count += 1

    def get(self, keys: Keys) -> tuple[Any, Vectors]:
        at = np.minimum(np.searchsorted(self._first, keys[:, 0]), len(self._first) - 1)
        known = self._first[at] == keys[:, 0]
        owner, row = self._place[at[known]].T
        found = np.empty((known.sum(), self._width), np.float32)
        for number in np.unique(owner):
            chosen = np.flatnonzero(owner == number)
            found[chosen] = self._vectors[number][row[chosen]]
            check(keys[known][chosen], found[chosen], self._keys[number][row[chosen], 2])
        return known, found


class Lmdb:
    """One B-tree in a mapped file."""

    def __init__(self, folder: Path, width: int) -> None:
        import lmdb  # type: ignore[import-not-found,unused-ignore]

        self._open = lmdb.open(str(folder), map_size=1 << 36)
        self._width = width

    def write(self, keys: Keys, vectors: Vectors) -> None:
        with self._open.begin(write=True) as batch, batch.cursor() as cursor:
            cursor.putmulti(sorted(packed(keys, vectors)))

    def get(self, keys: Keys) -> tuple[Any, Vectors]:
        names = list(map(bytes, keys))
        with self._open.begin(buffers=True) as batch, batch.cursor() as cursor:
            return unpacked(keys, {bytes(key): bytes(row) for key, row in cursor.getmulti(names)}, self._width)


class Sqlite:
    """One B-tree by the standard library."""

    def __init__(self, folder: Path, width: int) -> None:
        self._database = sqlite3.connect(folder / "vectors.db")
        for line in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = NORMAL",
            "PRAGMA mmap_size = 68719476736",
            "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, row BLOB)",
        ):
            self._database.execute(line)
        self._width = width

    def write(self, keys: Keys, vectors: Vectors) -> None:
        with self._database as batch:
            batch.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", sorted(packed(keys, vectors)))

    def get(self, keys: Keys) -> tuple[Any, Vectors]:
        names, found = list(map(bytes, keys)), dict[bytes, bytes]()
        for at in range(0, len(names), 1000):
            some = names[at : at + 1000]
            asked = f"SELECT key, row FROM vectors WHERE key IN ({','.join('?' * len(some))})"
            found.update(self._database.execute(asked, some).fetchall())
        return unpacked(keys, found, self._width)


WAYS: dict[str, type[Segments | NumpyPairs | Lmdb | Sqlite]] = {
    "segments": Segments, "numpy pairs": NumpyPairs, "LMDB": Lmdb, "SQLite": Sqlite,
}  # fmt: skip


# Of the table: which step has measured it, its name there, and how it is shown.
COLUMNS = {
    "write, s": ("write", "seconds", "{:.0f}"), "own MB, writing": ("write", "own", "{:.0f}"),
    "on disk, MB": ("write", "MB", "{:.0f}"), "files": ("write", "files", "{}"),
    "open, ms": ("read", "open", "{:.0f}"), "cold, us a text": ("read", "cold", "{:.0f}"),
    "warm, us a text": ("read", "warm", "{:.1f}"), "own MB, open": ("read", "own open", "{:.0f}"),
    "own MB, end": ("read", "own end", "{:.0f}"), "mapped MB, open": ("read", "mapped open", "{:.0f}"),
    "mapped MB, end": ("read", "mapped end", "{:.0f}"),
}  # fmt: skip


def sums(keys: Keys, vectors: Vectors) -> np.ndarray[Any, np.dtype[np.uint64]]:
    found = (zlib.crc32(vector, zlib.crc32(key)) for key, vector in zip(keys, vectors, strict=True))
    return np.fromiter(found, np.uint64, len(keys))


def check(keys: Keys, vectors: Vectors, expected: Any) -> None:
    if not np.array_equal(sums(keys, vectors), expected):
        raise ValueError("a damaged vector")


def packed(keys: Keys, vectors: Vectors) -> list[tuple[bytes, bytes]]:
    rows = np.column_stack([sums(keys, vectors).astype(np.uint32), vectors.view(np.uint32)])
    return list(zip(map(bytes, keys), map(bytes, rows), strict=True))


def unpacked(keys: Keys, rows: dict[bytes, bytes], width: int) -> tuple[Any, Vectors]:
    known = np.array([bytes(key) in rows for key in keys])
    found = np.frombuffer(b"".join(rows[bytes(key)] for key in keys[known]), np.uint32).reshape(-1, width + 1)
    vectors = np.ascontiguousarray(found[:, 1:]).view(np.float32)
    check(keys[known], vectors, found[:, 0])
    return known, vectors


def keys_of(numbers: Any) -> Keys:
    """Make keys that look like hashes (the finalizer of splitmix64, for each half)."""
    with np.errstate(over="ignore"):
        mixed = np.column_stack([2 * numbers + 1, 2 * numbers + 2]).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), np.uint64)


def vectors_of(numbers: Any, width: int) -> Vectors:
    pool = np.random.default_rng(0).normal(size=(1000, width)).astype(np.float32)
    vectors = pool[numbers % 1000]
    vectors[:, 0] = numbers
    return np.asarray(vectors, np.float32)


def memory() -> dict[str, float]:
    """Return the megabytes of this process that the system cannot drop, and those that it can."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"own": int(lines["RssAnon"].split()[0]) / 1024, "mapped": int(lines["RssFile"].split()[0]) / 1024}


def write(way: str, folder: Path, keys: int, width: int) -> dict[str, Any]:
    at_once = max(1, PENDING_BYTES // (4 * width))
    parts = [np.arange(at, min(at + at_once, keys)) for at in range(0, keys, at_once)]
    store, spent, most = WAYS[way](folder, width), 0.0, 0.0
    for numbers in parts:
        chosen, vectors = keys_of(numbers), vectors_of(numbers, width)
        begun = time.perf_counter()
        store.write(chosen, vectors)
        spent += time.perf_counter() - begun
        most = max(most, memory()["own"])
    files = [path.stat() for path in folder.iterdir()]
    return {"seconds": spent, "MB": sum(file.st_blocks for file in files) * 512 / 1e6, "files": len(files), "own": most}


def read(way: str, folder: Path, keys: int, width: int) -> dict[str, Any]:
    generator = np.random.default_rng(1)
    asked = [generator.permutation(np.concatenate([generator.integers(0, keys, BATCH // 2),
             generator.integers(keys, 2 * keys, BATCH // 2)])) for _ in range(11)]  # fmt: skip
    given = [(numbers < keys, keys_of(numbers), vectors_of(numbers[numbers < keys], width)) for numbers in asked]
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if way == "LMDB":
        import lmdb  # noqa: F401
    before, begun = memory(), time.perf_counter()
    store = WAYS[way](folder, width)
    store.get(keys_of(np.array([0])))
    opened, after_opening = time.perf_counter() - begun, memory()
    took = []
    for known, chosen, expected in given:
        begun = time.perf_counter()
        found, vectors = store.get(chosen)
        took.append((time.perf_counter() - begun) / BATCH * 1e6)
        if not (np.array_equal(found, known) and np.array_equal(vectors, expected)):
            raise ValueError(f"{way} gives other vectors than were put")
        del found, vectors
    after = memory()
    grown = {f"{kind} {when}": said[kind] - before[kind]
             for when, said in (("open", after_opening), ("end", after)) for kind in before}  # fmt: skip
    return {"open": opened * 1e3, "cold": took[0], "warm": statistics.median(took[1:]), **grown}


def in_fresh_process(step: str, way: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.measure_store", "--step", step, "--only", way,
               "--folder", str(folder), "--keys", str(arguments.keys), "--width", str(arguments.width)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--only", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--folder", type=Path, help="where to write, instead of the folder for temporary files")
    parser.add_argument("--step", choices=("write", "read"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        step = write if arguments.step == "write" else read
        print(json.dumps(step(arguments.only[0], arguments.folder, arguments.keys, arguments.width)))
        return
    print(f"{arguments.keys} keys, width {arguments.width}\n")
    print(f"| | {' | '.join(COLUMNS)} |\n|{'-|' * (len(COLUMNS) + 1)}")
    for way in arguments.only:
        with TemporaryDirectory(dir=arguments.folder) as folder:
            found = {step: in_fresh_process(step, way, Path(folder), arguments) for step in ("write", "read")}
        values = (shown.format(found[step][name]) for step, name, shown in COLUMNS.values())
        print(f"| {way} | {' | '.join(values)} |", flush=True)


if __name__ == "__main__":
    main()
