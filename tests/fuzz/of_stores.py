"""Readers of what lies in a store folder, and of what repairs and prunes it."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

import touchstone.store.hashes
from tests.builders import FINGERPRINT, make_outcome, make_row, make_run
from tests.fuzz.law import Place
from tests.fuzz.mutation import Files
from tests.fuzz.of_records import _rankings, _samples
from tests.fuzz.reader import Reader, ensure, ensure_finite, files_in
from tests.report.suites import judged, shown
from touchstone.encoding.keys import make_keys
from touchstone.errors import BaselineError, ConfigError, TouchstoneError
from touchstone.files.writing import to_json
from touchstone.records.examples import Shown
from touchstone.records.flat import flatten
from touchstone.records.outcomes import Outcome
from touchstone.records.rankings import decode_rankings
from touchstone.records.samples import decode_samples
from touchstone.records.verdicts import Verdict
from touchstone.session.reuse import OutcomeCache, Suites
from touchstone.store.folder import EXAMPLES, OUTCOMES, RANKINGS, VERDICTS, Store
from touchstone.store.pruning import prune, take_stock, unused
from touchstone.store.runs import load_runs, newest_run
from touchstone.store.segments import Segment
from touchstone.store.vectors import Embeddings
from touchstone.store.verifying import verify

SPACE = {"model": "local/a", "fingerprint": FINGERPRINT, "dtype": "float32", "device": "cpu", "torch": "2.13.0"}
CANARIES = np.eye(4, dtype=np.float32)
CONTENT = "c" * 64
KEYS = make_keys([f"text {number}" for number in range(40)])
STORE = "store"


def unhurried() -> pytest.MonkeyPatch:
    """Let nobody wait for the disk, nor until files that were just written are at rest; the caller undoes it."""
    patch = pytest.MonkeyPatch()
    patch.setattr(touchstone.store.hashes, "TICK", 0)
    patch.setattr(os, "fsync", lambda _: None)
    return patch


def _key(name: str) -> dict[str, object]:
    return {"fingerprint": FINGERPRINT, "task": name}


def _write_empty(_: Path, new: Path) -> None:
    new.write_text("{}")


def _fill(folder: Path) -> None:
    """Make a store with a file of each kind."""
    store = Store(folder)
    samples = store.write_samples(FINGERPRINT, "STS22", _samples()[1]["samples.parquet"])
    record = judged("STS22", 0.001, "regressed", samples=samples, shown=shown())
    verdict = Verdict(word="regressed", reason="lower", rule="paired", evidence=record.evidence, terms=record.terms)
    known: dict[tuple[str, str], Any] = {
        (OUTCOMES, "outcome"): make_outcome(0.5, samples_file=samples),
        (VERDICTS, "verdict"): verdict,
        (VERDICTS, "suites"): Suites(suites=()),
        (EXAMPLES, "shown"): shown(),
    }
    for (kind, name), what in known.items():
        store.put(kind, _key(name), to_json(asdict(what)).encode())
    store.put(RANKINGS, _key("rankings"), _rankings()[0]["rankings.parquet"])
    store.remember("files", lambda: "a list")
    store.write_run("20261121T000000.000000Z", flatten(make_run(record)))
    store.write_run("20261122T000000.000000Z", flatten(make_run(make_row("STS22", score=0.5))))
    path = store.result_path("org__m", "main", "STS22")
    store.write_result(path, _write_empty, {"name": "m"})
    cache_, _ = store.data_cache(CONTENT, "all")
    cache_.mkdir(parents=True)
    (cache_ / "rows.arrow").write_bytes(b"rows")
    store.keep_data_cache(cache_)
    vectors = store.embeddings(SPACE, name="a", canaries=CANARIES, within=1e-5, fingerprint=FINGERPRINT)
    vectors.put(KEYS[:9], np.ones((9, 4), np.float32))
    vectors.flush()


@cache
def _stores() -> Sequence[Files]:
    patch = unhurried()
    try:
        with TemporaryDirectory() as folder:
            _fill(Path(folder, STORE))
            return ({name: content for name, content in files_in(Path(folder)).items() if not name.endswith(".lock")},)
    finally:
        patch.undo()


def read_store(place: Place) -> None:
    """Use a store as a run does, then look at it, repair it, prune it: then it is whole."""
    patch = unhurried()
    try:
        _use(Store(place.folder / STORE, run="run"))
        _clean(Store(place.folder / STORE))
    finally:
        patch.undo()


def _use(store: Store) -> None:
    known = OutcomeCache({}, "cpu", store)
    names: dict[type[Any], str] = {Outcome: "outcome", Verdict: "verdict", Suites: "suites", Shown: "shown"}
    for kind, name in names.items():
        found = known.recall(kind, _key(name))
        ensure_finite(found, name)
        if isinstance(found, Outcome):
            _content(partial(known.samples, found))
    ranked = store.get(RANKINGS, _key("rankings"))
    if ranked is not None:
        _content(lambda: decode_rankings(ranked))
    store.remember("files", lambda: "another list")
    store.data_cache(CONTENT, "all")
    vectors = store.embeddings(SPACE, name="a", canaries=CANARIES, within=1e-5, fingerprint=FINGERPRINT)
    _check(vectors)
    try:
        for run in load_runs(store.folder):
            for record in run.records:
                content = None if record.samples is None else store.read_samples(record.samples)
                if content is not None:
                    _content(partial(decode_samples, content, "samples"))
        newest_run(store.folder)
    except BaselineError:
        pass  # one is damaged: the rest of the store can be used
    store.leave()


def _content(read: Callable[[], object]) -> None:
    """Read what the store gave; a damaged one is a sentence, and the case is measured again."""
    with suppress(TouchstoneError):
        read()


def _clean(store: Store) -> None:
    with unused(store):
        for damage in list(verify(store.folder)):
            if damage.mend is not None:
                damage.mend()
    left = [f"{one.path.relative_to(store.folder)} {one.what}" for one in verify(store.folder) if one.mend is not None]
    ensure(not left, f"is damaged after it was repaired: {left}")
    take_stock(store)
    prune(store, 0)
    list(verify(store.folder))


def _check(vectors: Embeddings) -> None:
    known, found = vectors.get(KEYS)
    ensure(int(known.sum()) == len(found), "there are other vectors than known ones")
    ensure(found.shape[1:] in ((0,), (4,)) and bool((found == 1).all()), f"a vector is another: {found[:1]}")


@cache
def _spaces() -> Sequence[Files]:
    """Return folders of one segment, of three, and of one that has lost its end."""
    seeds = []
    for sizes in ((9,), (5, 7, 9), (40,)):
        with TemporaryDirectory() as folder:
            for size in sizes:
                vectors = Embeddings(Path(folder))
                vectors.put(KEYS[:size], np.ones((size, 4), np.float32))
                vectors.flush()
            seeds.append(
                {name: content for name, content in files_in(Path(folder)).items() if name.endswith(".vectors")}
            )
    return tuple(seeds)


def read_vectors(place: Place) -> None:
    """Look up vectors in segments, add some, merge and rewrite: each is what was put, or is not there."""
    patch = unhurried()
    try:
        _read_vectors(place)
    finally:
        patch.undo()


def _read_vectors(place: Place) -> None:
    for path in sorted(place.folder.glob("*.vectors")):
        try:
            segment = Segment(path)
        except (ValueError, OSError):
            continue
        rows = sum(len(keys) for keys, _ in segment.read())
        ensure(rows <= segment.rows, "more rows than there are")
    vectors = Embeddings(place.folder)
    len(vectors)
    known, found = vectors.get(KEYS)
    ensure(int(known.sum()) == len(found), "there are other vectors than known ones")
    ensure(bool((found == 1).all()), "a vector is another")
    for name in sorted(path.name for path in place.folder.glob("*.vectors")):
        vectors.rewrite(name)
    vectors.merge(1)
    width = found.shape[1] or 4
    try:
        vectors.put(KEYS[:1], np.ones((1, width), np.float32))
    except ConfigError:
        return  # those that are there are wider
    vectors.flush()
    again, found = Embeddings(place.folder, width=width).get(KEYS)
    ensure(bool(again[0]) and not (known & ~again).any(), "a vector is lost")


READERS = (
    Reader(name="stores", seeds=_stores, read=read_store, writes=True),
    Reader(name="vectors", seeds=_spaces, read=read_vectors, writes=True),
)
