"""Turn a run file of TREC and its judgements into the result of a retrieval case: a score, and a sample a query."""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np

from touchstone.errors import ConfigError
from touchstone.files.tables import read_text_lines
from touchstone.formatting import count, render_size, shorten
from touchstone.metrics.ranking import metric_at
from touchstone.records.names import NAME, slug
from touchstone.records.outcomes import Measurement
from touchstone.records.samples import Samples, gather
from touchstone.task_types.base import Predicted
from touchstone.task_types.judgements import COLUMN, read_judgements
from touchstone.task_types.query_scores import PER_QUERY
from touchstone.task_types.retrieval import collect, units

# Bytes of a file, characters of an id, documents that a metric uses.
MAX_FILE_BYTES, MAX_NAME_LENGTH, MAX_DEPTH = 1 << 29, 500, 10_000
TYPE, STRATUM, METRIC = "Retrieval", "test/default", "ndcg_at_10"
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
RANK = re.compile(r"[0-9]{1,9}")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Qrels:
    """Judgements by query and document, with their hash, which does not depend on layout and order."""

    path: Path
    judgements: Mapping[str, Mapping[str, int]]
    sha256: str

    @property
    def task(self) -> str:
        """The task name of a case with these judgements."""
        name = slug(self.path.stem, also="+")
        return name if NAME.fullmatch(name) else "qrels"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrecRun:
    """A run file with its score. ``predicted`` is its ranking by stratum; ``notes`` are its oddities."""

    measurement: Measurement
    samples: Samples
    predicted: Mapping[str, Predicted]
    notes: tuple[str, ...]


class _Columns(dict[str, Any]):
    """Columns of a data set that has no texts."""

    column_names = ()


def read_qrels(path: Path) -> Qrels:
    """Read judgements in columns.

    Raises:
        ConfigError: there is no such file, a line has no judgement, or a judgement occurs twice.
    """
    _refuse_large(path)
    judgements: dict[str, dict[str, int]] = {}
    for number, query, document, score in read_judgements(path, ConfigError):
        _put(judgements, query, document, score, f"{path}:{number}")
    content = json.dumps(judgements, sort_keys=True)
    return Qrels(path=path, judgements=judgements, sha256=hashlib.sha256(content.encode()).hexdigest())


def read_trec_run(path: Path, qrels: Qrels, metric: str, stratum: str = STRATUM) -> TrecRun:
    """Score a run file as ``trec_eval -c`` does: a judged query without documents counts as 0.

    Args:
        path: the run file.
        qrels: its judgements.
        metric: the metric of each query, such as ``ndcg_at_10``.
        stratum: the ``split/subset`` of the result.

    Raises:
        ConfigError: there is no such file, a line is wrong, no query is judged, or the metric is unknown.
    """
    at = metric_at(metric)
    if at is None or not 1 <= at[1] <= MAX_DEPTH:
        names = ", ".join(f"{name}_at_10" for name in PER_QUERY)
        raise ConfigError(f'--metric = "{shorten(metric, 60)}" is none of {names}, or those at 1 to {MAX_DEPTH}')
    results, ranks = _read_results(path)
    if not results.keys() & qrels.judgements.keys():
        raise ConfigError(f"{path}: of {count(len(results), 'query', 'queries')} none is judged in {qrels.path}")
    predicted = _predict({query: results.get(query, {}) for query in qrels.judgements}, qrels, metric, stratum)
    columns = collect(predicted) | {"stratum": np.full(len(qrels.judgements), stratum), "units": units(predicted)}
    samples = gather([Samples(type=TYPE, metric=metric, **columns)])
    predicted.rows()["queries"] = _Columns(id=[], text=[])  # the texts are not known
    score = float(np.mean(columns["value"]))
    return TrecRun(
        measurement=Measurement(metric=metric, score=score, subsets={stratum: score}, n=len(samples), chance=0.0,
                                data_sha256=qrels.sha256),
        samples=samples,
        predicted={stratum: predicted},
        notes=tuple(_find_oddities(results, ranks, qrels, at[1])),
    )  # fmt: skip


def _read_results(path: Path) -> tuple[dict[str, dict[str, float]], dict[str, list[str]]]:
    """Return the scores of documents by query, in single precision like trec_eval, and their ranks."""
    _refuse_large(path)
    results: dict[str, dict[str, float]] = {}
    ranks: dict[str, list[str]] = {}
    for number, line in read_text_lines(path, ConfigError):
        where, cells = f"{path}:{number}", COLUMN.findall(line)
        if not cells:
            continue
        if len(cells) != 6:
            raise ConfigError(f"{where}: has {len(cells)} columns; expected query, Q0, document, rank, score and tag")
        query, _, document, rank, text, _ = cells
        with np.errstate(over="ignore"):
            score = float(np.float32(float(text))) if NUMBER.fullmatch(text) and len(text) < 100 else math.nan
        if not math.isfinite(score):
            raise ConfigError(f'{where}: the score "{shorten(text, 60)}" is not a number that single precision holds')
        _put(results, query, document, score, where)
        ranks.setdefault(query, []).append(rank)
    if not results:
        raise ConfigError(f"{path}: holds no line of a run")
    return results, ranks


def _refuse_large(path: Path) -> None:
    if path.is_file() and path.stat().st_size > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: is larger than {render_size(MAX_FILE_BYTES)}")


def _put(table: dict[str, dict[str, Value]], query: str, document: str, value: Value, where: str) -> None:
    if max(len(query), len(document)) > MAX_NAME_LENGTH or "\0" in query + document:
        raise ConfigError(f"{where}: an id is longer than {MAX_NAME_LENGTH} characters, or holds NUL")
    documents = table.setdefault(query, {})
    if document in documents:
        raise ConfigError(f'{where}: the document "{shorten(document, 60)}" is there twice for its query')
    documents[document] = value


def _find_oddities(
    results: Mapping[str, Mapping[str, float]], ranks: Mapping[str, Sequence[str]], qrels: Qrels, depth: int
) -> Iterator[str]:
    """Yield a sentence on each oddity that trec_eval passes over, with the number of queries."""
    common = results.keys() & qrels.judgements.keys()
    best = {query: sorted(results[query].values(), reverse=True)[: depth + 1] for query in common}
    ties = f"with equal scores, to single precision, that the first {depth} depend on, of which the last id goes first"
    counts = {
        "not judged, and left out": len(results.keys() - common),
        "judged and not in the run, counted as 0 (its option -c)": len(qrels.judgements.keys() - common),
        "without a relevant document, counted as 0": sum(max(d.values()) <= 0 for d in qrels.judgements.values()),
        ties: sum(any(left == right for left, right in pairwise(scores)) for scores in best.values()),
        "with ranks that contradict the scores, which count": sum(_contradict(results[q], ranks[q]) for q in common),
    }
    for description, number in counts.items():
        if number:
            yield f"{count(number, 'query', 'queries')} {description}, as in trec_eval"


def _contradict(scores: Mapping[str, float], ranks: Sequence[str]) -> bool:
    """Return True if a document of a better rank has a lower score; ranks that are not numbers are ignored."""
    if not all(RANK.fullmatch(rank) for rank in ranks):
        return False
    placed = sorted((int(rank), -score) for rank, score in zip(ranks, scores.values(), strict=True))
    return any(later < earlier for (_, earlier), (_, later) in pairwise(placed))


def _predict(results: Mapping[str, Mapping[str, float]], qrels: Qrels, metric: str, stratum: str) -> Predicted:
    """Return a run as the predictions of a task of mteb's without texts: the text of a query is its id."""
    ids, (split, _, subset) = list(results), stratum.partition("/")
    rows = {"relevant_docs": qrels.judgements, "queries": _Columns(id=ids, text=ids), "corpus": _Columns(id=[])}
    task = SimpleNamespace(dataset={subset: {split: rows}}, metadata=SimpleNamespace(dataset={"path": ""}),
                           hf_subsets=None, ignore_identical_ids=False, skip_first_result=False)  # fmt: skip
    return Predicted(task=task, split=split, subset=subset, metric=metric, found=results, sampled=(), drawn=())
