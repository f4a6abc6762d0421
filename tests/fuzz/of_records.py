"""Readers of what runs left: run records with all that is shown of them, samples and rankings."""

import io
import json
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from tests.builders import FINGERPRINT, make_row, make_run
from tests.fuzz.law import Place
from tests.fuzz.mutation import Files
from tests.fuzz.reader import Reader, ensure, ensure_finite, ensure_harmless
from tests.report.suites import judged, shown
from touchstone.baselines.files import Baselines
from touchstone.errors import TouchstoneError
from touchstone.files.writing import to_json
from touchstone.foreign import BREAK, JOINERS
from touchstone.importing.reading import find_kind, read_source
from touchstone.importing.request import Request
from touchstone.judging.overall import judge_models
from touchstone.judging.pairing import pair
from touchstone.metrics import Undefined
from touchstone.records.flat import flatten
from touchstone.records.flat import read_run as read_run_json
from touchstone.records.outcomes import Stage
from touchstone.records.rankings import Ranking, decode_rankings, encode_rankings
from touchstone.records.runs import Run
from touchstone.records.samples import Samples, decode_samples, encode_samples
from touchstone.report.formats import load_formats
from touchstone.report.leaderboard import side_by_side
from touchstone.report.summary import summarize
from touchstone.report.text import render_board, render_power, render_suite, render_summary
from touchstone.report.trend import render_trend, trace
from touchstone.schedule.estimates import find_loading, find_timings
from touchstone.session.changes import find_changes
from touchstone.session.compare import compare, load_side
from touchstone.session.stored_runs import merge_runs
from touchstone.store.runs import read_run
from touchstone.task_types.registry import rescore


@cache
def _run() -> Run:
    stage = Stage(alias="a", model="org/a", fingerprint=FINGERPRINT, metric="ndcg_at_10", score=0.5)
    records = [
        judged("NFCorpus", -0.02, "regressed", type="Retrieval", shown=shown(), stages=(stage, stage)),
        judged("STS22", 0.001, "pass"),
        judged("ArguAna", 0.03, "improved", alias="other", prompts={"query": ("q: ",)}),
        judged("STSBenchmark", -0.004, "inconclusive", alias="other"),
        make_row("SciFact", score=0.6, limit=5, n=5, fingerprint=FINGERPRINT, samples="samples/0/x.000000000000.blob"),
        make_row("Broken", outcome="error", error="minilm: it does not work"),
    ]
    return replace(make_run(*records), suites=judge_models(records), commit="abc1234+")


def _runs() -> list[Files]:
    runs = [_run(), make_run(), make_run(make_row(score=0.5)), make_run(*_run().records[:2])]
    return [{"run.json": to_json(flatten(run)).encode()} for run in runs]


def read_record(place: Place) -> None:
    """Read a run record, and show it in every way in which it can be."""
    path = place.folder / "run.json"
    run = read_run(path)
    ensure_finite(run, "run")
    again = read_run_json(to_json(flatten(run)).encode(), "written")
    ensure(again == run, "it is another where it was written and read again")
    for name, form in load_formats().items():
        text = form.render(run, (_run(),) if form.history else ())
        if name != ".json":  # which is data, and spells every text as it is
            allowed = f"\n{JOINERS}{BREAK}" + "\t" * (name == ".html")  # which a page shows as a blank
            ensure_harmless(text, f"the report {name}", allowed=allowed)
        for line in form.print(run):
            ensure_harmless(line, f"what {name} prints", allowed=JOINERS)
    _show(run)
    merged, notes = merge_runs([run, _run()])
    for text in (*notes, *_lines(merged)):
        ensure_harmless(text, "a merged run")
    find_timings([run])
    find_loading([run])
    for use in (_import, _compare):
        with suppress(TouchstoneError):  # it measured nothing, or several models
            use(place)


def _lines(run: Run) -> list[str]:
    board = side_by_side(run)
    lines = [render_summary(summarize(run.records), width=100, color=False), render_power(run.records)]
    lines += [render_trend(trace([run]).values(), width=100, color=False), *map(render_suite, run.suites)]
    return lines if board is None else [*lines, render_board(board, width=100)]


def _show(run: Run) -> None:
    for text in _lines(run):
        ensure_harmless(text, "the terminal")
    render_summary(summarize(run.records), width=20, color=True)


def _import(place: Place) -> None:
    request = Request(source=str(place.folder / "run.json"), folder=place.folder)
    find_kind(request)
    for one in read_source(request):
        ensure_finite(dict(one.entries), "entries")


def _compare(place: Place) -> None:
    baselines = Baselines(place.scratch / "own", place.scratch / "none")
    side = load_side("run.json", place.folder, baselines, place.scratch / "store")
    for record in compare(side, side):
        ensure(record.delta is None or math.isfinite(record.delta), f"delta is {record.delta}")


def _samples_of(type_name: str, metric: str, **columns: Any) -> Samples:
    ids = np.array([f"{number:03}" for number in range(8)])
    return Samples(type=type_name, metric=metric, stratum=np.array(["test/a"] * 5 + ["test/b"] * 3), id=ids, **columns)


@cache
def _known() -> Sequence[Samples]:
    chosen = np.random.default_rng(3)
    numbers, labels = chosen.random(8), chosen.integers(0, 3, 8)
    return (
        _samples_of("Retrieval", "ndcg_at_10", value=numbers, top=[["a", "b"], ["c"], [], *[["d"]] * 5]),
        _samples_of("STS", "cosine_spearman", prediction=numbers[:, None], gold=labels.astype(float)),
        _samples_of("Classification", "accuracy", prediction=chosen.integers(0, 3, (8, 4)), gold=labels),
        _samples_of("PairClassification", "max_ap", prediction=chosen.random((8, 2)), gold=labels % 2),
        _samples_of("Clustering", "v_measure", value=numbers),
        _samples_of(
            "Regression",
            "kendalltau",
            value=numbers,
            units=[["a1", "b2"], ["b2"], *[[name] for name in "abcdef"]],
            fields={"length": labels, "share": chosen.random(8), "language": np.array(["eng-Latn", "deu-Latn"] * 4)},
        ),
        _samples_of(
            "Classification", "accuracy", prediction=np.array(["x", "y"] * 4)[:, None], gold=np.array(["x"] * 8)
        ),
    )


def _samples() -> list[Files]:
    return [{"samples.parquet": encode_samples(one)} for one in _known()]


def read_samples(place: Place) -> None:
    """Read samples, and use them as those of a baseline and of a run are."""
    path = place.folder / "samples.parquet"
    found = decode_samples(path.read_bytes(), str(path))
    length = len(found)
    columns = {name: getattr(found, name) for name in ("stratum", "id", "value", "prediction", "gold", "top", "units")}
    for name, column in {**columns, **found.fields}.items():
        ensure(column is None or len(column) == length, f"{name} has another length than id")
        if isinstance(column, np.ndarray) and column.dtype.kind == "f":
            ensure(np.isfinite(column).all(), f"{name} holds NaN or infinity")
    found.by_stratum()
    other = next((one for one in _known() if (one.type, one.metric) == (found.type, found.metric)), _known()[0])
    for candidate, reference in ((found, found), (other, found), (found, other)):
        pair(candidate, reference)
        find_changes(candidate, reference)
    with suppress(Undefined, ValueError):  # so few that there is no score, or labels that it has no meaning for
        rescore(found)
    again = decode_samples(encode_samples(found), "written")
    ensure(_alike(again, found), "they are others where they were written and read again")


def _alike(one: Samples, two: Samples) -> bool:
    pairs = [(getattr(one, name), getattr(two, name)) for name in ("stratum", "id", "value", "prediction", "gold")]
    pairs += [(one.fields.get(name), two.fields.get(name)) for name in {*one.fields, *two.fields}]
    return (one.type, one.metric, one.top, one.units) == (two.type, two.metric, two.top, two.units) and all(
        (a is None) == (b is None) and (a is None or np.array_equal(a, b)) for a, b in pairs
    )


def _rankings() -> list[Files]:
    found = {"q1": {"d1": 0.5, "d2": 0.25}, "q2": {}, "q3": {"d2": 1.0, "d3": 0.1}}
    several = [Ranking.take("Task", split, "default", found) for split in ("dev", "test")]
    contents = []
    for rankings in (several, several[:1]):
        file = io.BytesIO()
        encode_rankings(rankings, file)
        contents.append(file.getvalue())
    return [{"rankings.parquet": content} for content in contents]


def read_rankings(place: Place) -> None:
    """Read rankings, and take from them what a reranker is given."""
    rankings = decode_rankings((place.folder / "rankings.parquet").read_bytes())
    for ranking in rankings:
        for documents in ranking.results().values():
            ensure(all(math.isfinite(score) for score in documents.values()), "a score is NaN or infinite")
            ensure(all(isinstance(name, str) for name in documents), "a document has no name")
        for query, best in ranking.best(10).items():
            ensure(isinstance(query, str) and all(isinstance(one, str) for one in best), "a name is no text")
        json.dumps([ranking.task, ranking.split, ranking.subset])
    file = io.BytesIO()
    encode_rankings(rankings, file)
    again = [one.results() for one in decode_rankings(file.getvalue())]
    ensure(again == [one.results() for one in rankings], "they are others where they were written and read again")


READERS = (
    Reader(name="run records", seeds=_runs, read=read_record),
    Reader(name="samples", seeds=_samples, read=read_samples),
    Reader(name="rankings", seeds=_rankings, read=read_rankings),
)
