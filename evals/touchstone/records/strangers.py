"""Checks of run records and baselines beyond their shape: they may be untrusted, as in a pull request."""

import base64
import math
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain
from statistics import fmean
from typing import Any

from touchstone.records.baselines import Baseline, BaselineFile
from touchstone.records.examples import Shown
from touchstone.records.names import ANCHOR_MOVE, NAME, REVISION, SAMPLES, SHA256, baseline_key
from touchstone.records.outcomes import Settings, Speed
from touchstone.records.runs import Record, Run, Shard, SuiteVerdict
from touchstone.records.verdicts import OK_VERDICTS, SKETCH_HASHES, SKETCH_WIDTH, Anchored, Evidence, Slice, Terms

WORD = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
LANGUAGE = re.compile(r"[A-Za-z0-9-]{1,32}")
HASH = re.compile(r"[0-9a-f]{6,64}")
# Characters of a name, and of a sentence or a prompt.
SHORT_TEXT, LONG_TEXT = 500, 20_000
# Far above the numbers of any run, and far below those with which arithmetic would fail.
MAX_COUNT, MAX_SECONDS, MAX_NUMBER = 10**12, 10.0**9, 1e6
# The spread of samples may be as small as a rounding error, so that the effect is very large.
MAX_EFFECT = 1e20
Fault = Iterator[str]


def find_fault(run: Run) -> str | None:
    """Return the first fault of a run record, which no run of ours writes, with its place; None if there is none."""
    of_records = (f"[records.{at}] {fault}" for at, record in enumerate(run.records) for fault in _of_record(record))
    of_suites = (f"[suites.{at}] {fault}" for at, suite in enumerate(run.suites) for fault in _of_suite(suite, run))
    return next(chain(_of_run(run), of_records, _duplicates(run.records), of_suites), None)


def find_fault_of_baselines(file: BaselineFile) -> str | None:
    """Return the first fault of a file of baselines, with its place; None if there is none."""
    tables = {"tasks": file.tasks, "anchors": file.anchors}
    entries = ((f"{name}.{key}", key, entry) for name, table in tables.items() for key, entry in table.items())
    of_entries = (f"[{place}] {fault}" for place, key, entry in entries for fault in _of_baseline(key, entry))
    of_file = chain(_texts(SHORT_TEXT, model=file.model), _names(REVISION, revision=file.revision))
    return next(chain(of_file, of_entries, _of_anchors(file)), None)


def _of_anchors(file: BaselineFile) -> Fault:
    for name, table in {"anchors": file.anchors, "moved": file.moved}.items():
        for key in sorted(table.keys() - file.tasks.keys()):
            yield f"[{name}.{key}] is of no entry; expected a key of tasks"
    for key, anchor in file.anchors.items():
        if anchor.fingerprint is None:
            yield f"[anchors.{key}] has no fingerprint; expected an entry that a run recorded"
    for key, note in file.moved.items():
        if not ANCHOR_MOVE.fullmatch(note):
            yield f'[moved] {key} = "{note}"; expected a day and a short line, as in 2026-01-31: other data'


def _of_baseline(key: str, entry: Baseline) -> Fault:
    task, _, limit = key.partition("?limit=")
    if not NAME.fullmatch(task) or limit != str(entry.limit or ""):
        yield "is none that a run writes; expected a task, and ?limit=N where the entry has that limit"
    yield from _names(SHA256, samples=entry.samples, data_sha256=entry.data_sha256)
    yield from _names(HASH, fingerprint=entry.fingerprint, plan=entry.plan)
    yield from _names(REVISION, dataset_revision=entry.dataset_revision)
    yield from _texts(SHORT_TEXT, metric=entry.metric, source=entry.source, recorded=entry.recorded)
    yield from _in(0, MAX_COUNT, n=entry.n)
    yield from _in(1, MAX_COUNT, limit=entry.limit, gated=entry.gated)
    yield from _each("env", chain(*entry.env.items()))
    yield from _each("subsets", entry.subsets)
    yield from _of_settings(entry.settings)


def _of_shard(shard: Shard, run: Run) -> Fault:
    yield from _in(1, MAX_COUNT, of=shard.of)
    yield from _in(1, shard.of, number=shard.number)
    yield from _names(HASH, plan=shard.plan)
    if absent := sorted({*shard.cases, *shard.parts} - {record.case for record in run.records}):
        yield f'[shard] cases: "{absent[0]}" is none of its records'


def _of_run(run: Run) -> Fault:
    if run.shard is not None:
        yield from _of_shard(run.shard, run)
    yield from _texts(SHORT_TEXT, suite=run.suite, commit=run.commit)
    yield from _each("environment", chain(*run.environment.items()))
    try:
        has_zone = datetime.fromisoformat(run.started).tzinfo is not None
    except ValueError:
        has_zone = False
    if not has_zone:
        yield f'started = "{run.started}"; expected a date and time with its zone, as in 2026-01-31T12:00:00+00:00'


def _of_record(record: Record) -> Fault:
    yield from _names(NAME, alias=record.alias, task=record.task)
    yield from _names(WORD, type=record.type)
    yield from _names(SAMPLES, samples=record.samples)
    yield from _names(HASH, fingerprint=record.fingerprint, data_sha256=record.data_sha256)
    yield from _names(REVISION, revision=record.revision, dataset_revision=record.dataset_revision)
    for language in record.languages:
        yield from _names(LANGUAGE, languages=language)
    if record.case != f"{record.alias}:{record.task}":
        yield f'case = "{record.case}"; expected "{record.alias}:{record.task}", its alias and task'
    yield from _texts(SHORT_TEXT, model=record.model, metric=record.metric, device=record.device)
    yield from _texts(LONG_TEXT, reason=record.reason, error=record.error, command=record.command)
    yield from _each("prompts", chain(record.prompts or (), *(record.prompts or {}).values()))
    yield from _each("phases", record.phases or ())
    yield from _in(0, MAX_SECONDS, seconds=record.seconds, **_prefixed("phases", record.phases))
    yield from _in(0, MAX_COUNT, texts=record.texts, encoded=record.encoded)
    yield from _in(1, MAX_COUNT, limit=record.limit)
    yield from _of_score(record)
    yield from _of_outcome(record)
    yield from _of_evidence("evidence", record.evidence)
    yield from _of_terms(record.terms)
    yield from _of_anchor(record.anchor)
    for slice_ in record.slices:
        yield from _of_slice(slice_)
    yield from _of_shown(record.shown)
    yield from _of_settings(record.settings)
    yield from _of_speed(record.speed)
    for stage in record.stages:
        yield from _names(NAME, stages=stage.alias)
        yield from _texts(SHORT_TEXT, stages=stage.model + stage.metric)
        yield from _names(HASH, stages=stage.fingerprint)
        yield from _in(-1, 1, stages=stage.score)


def _of_score(record: Record) -> Fault:
    subsets = record.subsets or {}
    yield from _in(-1, 1, score=record.score, chance=record.chance, recomputed=record.recomputed)
    yield from _in(-1, 1, baseline=record.baseline, **_prefixed("subsets", subsets))
    yield from _in(-2, 2, delta=record.delta)
    yield from _in(0, MAX_COUNT, n=record.n)
    yield from _each("subsets", subsets)
    if record.score is not None and not (subsets and abs(fmean(subsets.values()) - record.score) <= 1e-9):
        yield f"score = {record.score}; expected the mean of its subsets"


def _of_shown(shown: Shown | None) -> Fault:
    if shown is None:
        return
    yield from _texts(LONG_TEXT, **{"shown.measure": shown.measure, "shown.note": shown.note})
    for name in ("losers", "gainers", "lost_alike", "gained_alike"):
        yield from _in(0, MAX_COUNT, **{f"shown.{name}": getattr(shown, name)})
    for example in (*shown.lost, *shown.gained):
        yield from _in(-MAX_NUMBER, MAX_NUMBER, **{"shown.before": example.before, "shown.after": example.after})
        for document in example.documents:
            yield from _in(1, MAX_COUNT, **{"shown.documents": document.before})
            yield from _in(1, MAX_COUNT, **{"shown.documents": document.after})


def _of_settings(settings: Settings | None) -> Fault:
    if settings is None:
        return
    yield from _each("settings.prompts", chain(*(settings.prompts or {}).items()))
    for name in ("pooling", "dtype", "quantize", "long_texts"):
        yield from _texts(SHORT_TEXT, **{f"settings.{name}": getattr(settings, name)})
    for name in ("max_length", "max_characters", "dimension"):
        yield from _in(0, MAX_COUNT, **{f"settings.{name}": getattr(settings, name)})


def _of_speed(speed: Speed | None) -> Fault:
    if speed is None:
        return
    yield from _texts(SHORT_TEXT, **{"speed.machine": speed.machine})
    for name in ("texts_per_second", "tokens_per_second"):
        yield from _in(1 / MAX_SECONDS, MAX_COUNT, **{f"speed.{name}": getattr(speed, name)})
    for name in ("query_p50", "query_p95"):
        yield from _in(0, MAX_SECONDS, **{f"speed.{name}": getattr(speed, name)})


def _of_outcome(record: Record) -> Fault:
    """Yield the contradictions to the outcome of a case."""
    fails = record.verdict is not None and record.verdict not in OK_VERDICTS
    needed = {
        "passed": record.score is not None and not fails and record.error is None,
        "failed": fails and record.error is None,
        "error": bool(record.error),
        "not measured": record.score is None and record.verdict is None and record.error is None,
    }
    if not needed[record.outcome]:
        yield f'outcome = "{record.outcome}", which its verdict, score and error contradict'
    if record.suspect and record.verdict != "inconclusive":
        yield f"suspect, with {record.verdict or 'no verdict'}; expected the verdict inconclusive"


def _of_evidence(place: str, evidence: Evidence | None) -> Fault:
    if evidence is None:
        return
    ranges: dict[str, tuple[float, float]] = {
        "p": (0, 1),
        "n": (0, MAX_COUNT),
        "changed": (0, evidence.n),
        "units": (0, MAX_COUNT),
        "degrees": (1e-6, MAX_COUNT),
        **dict.fromkeys(("error", "detectable", "best"), (0, MAX_NUMBER)),
        "worst": (-MAX_NUMBER, 0),
        **dict.fromkeys(("skew", "bias"), (-MAX_NUMBER, MAX_NUMBER)),
        "effect": (-MAX_EFFECT, MAX_EFFECT),
    }
    for name, (low, high) in ranges.items():
        yield from _in(low, high, **{f"{place}.{name}": getattr(evidence, name)})
    yield from _of_interval(f"{place}.interval", evidence.interval)
    if evidence.sketch is not None and not _is_sketch(evidence.sketch):
        yield f"{place}.sketch is none that a run writes"


def _of_interval(place: str, interval: tuple[float, float] | None) -> Fault:
    if interval is not None:
        low, high = interval
        yield from _in(-MAX_NUMBER, high, **{f"{place}.0": low})
        yield from _in(low, MAX_NUMBER, **{f"{place}.1": high})


def _is_sketch(text: str) -> bool:
    """Return True for numbers of two bytes and then hashes of four, as `Evidence` has them."""
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        return False
    numbers, hashes = content[: 2 * SKETCH_WIDTH], content[2 * SKETCH_WIDTH :]
    if len(numbers) < 2 * SKETCH_WIDTH or len(hashes) % 4 or len(hashes) > 4 * SKETCH_HASHES:
        return False
    return all(map(math.isfinite, struct.unpack(f"<{SKETCH_WIDTH}e", numbers)))


def _of_terms(terms: Terms | None) -> Fault:
    if terms is None:
        return
    yield from _texts(SHORT_TEXT, **{"terms.against": terms.against, "terms.model": terms.model})
    yield from _each("terms.differences", terms.differences)
    for name in ("margin", "alpha", "bound", "suite_margin"):
        yield from _in(0, 1, **{f"terms.{name}": getattr(terms, name)})
    yield from _in(-1, 1, **{"terms.floor": terms.floor})
    yield from _in(1, MAX_COUNT, **{"terms.gated": terms.gated})
    yield from _names(HASH, **{"terms.plan": terms.plan})


def _of_anchor(anchor: Anchored | None) -> Fault:
    if anchor is None:
        return
    yield from _in(-1, 1, **{"anchor.baseline": anchor.baseline})
    yield from _in(-2, 2, **{"anchor.delta": anchor.delta})
    yield from _texts(SHORT_TEXT, **{"anchor.recorded": anchor.recorded})
    yield from _of_evidence("anchor.evidence", anchor.evidence)


def _of_slice(slice_: Slice) -> Fault:
    yield from _names(NAME, **{"slices.field": slice_.field})
    yield from _texts(SHORT_TEXT, **{"slices.value": slice_.value})
    yield from _in(1, MAX_COUNT, **{"slices.n": slice_.n})
    yield from _in(-1, 1, **{"slices.score": slice_.score, "slices.baseline": slice_.baseline})
    yield from _of_interval("slices.interval", slice_.interval)


def _of_suite(suite: SuiteVerdict, run: Run) -> Fault:
    records = [record for record in run.records if record.alias == suite.model]
    if not records or suite.cases != len(records):
        yield f'model = "{suite.model}" with {suite.cases} cases; the record has {len(records)} of it'
    if suite.verdict == "PASS" and (red := [record.task for record in records if record.outcome != "passed"]):
        yield f'verdict = "PASS" of {suite.model}, whose {red[0]} did not pass'
    yield from _texts(LONG_TEXT, reason=suite.reason)
    yield from _in(-2, 2, delta=suite.delta)
    yield from _in(0, suite.cases, paired=suite.paired)
    yield from _in(suite.cases, MAX_COUNT, planned=suite.planned)
    yield from _each("by_type", (*suite.by_type, *suite.verdicts))
    means = {"interval": suite.interval, "over_types": suite.over_types, "anchor": suite.anchor, **suite.by_type}
    for name, values in ((name, values) for name, values in means.items() if values is not None):
        yield from _in(-MAX_NUMBER, MAX_NUMBER, **{f"{name}.{at}": value for at, value in enumerate(values)})


def _duplicates(records: Iterable[Record]) -> Fault:
    seen = set()
    for record in records:
        key = (record.alias, baseline_key(record.task, record.limit))
        if key in seen:
            yield f"records has {record.alias}:{key[1]} twice; expected each case once"
        seen.add(key)


def _names(pattern: re.Pattern[str], **values: str | None) -> Fault:
    for name, value in values.items():
        if value is not None and not pattern.fullmatch(value):
            yield f'{name} = "{value}" is none that a run writes'


def _texts(limit: int, **values: str | None) -> Fault:
    for name, value in values.items():
        if value is not None and len(value) > limit:
            yield f"{name} has {len(value)} characters; expected at most {limit}"


def _each(name: str, values: Iterable[str]) -> Fault:
    for value in values:
        yield from _texts(LONG_TEXT, **{name: value})


def _in(low: float, high: float, **values: float | None) -> Fault:
    for name, value in values.items():
        if value is not None and not low <= value <= high:
            yield f"{name} = {value}; expected {low:g} to {high:g}"


def _prefixed(name: str, values: Mapping[str, Any] | None) -> dict[str, Any]:
    return {f"{name}.{key}": value for key, value in (values or {}).items()}
