"""Run files of TREC with their judgements become what a measured retrieval case has: a score and a sample a query."""

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

# Bytes of a file, characters of a name, documents that one metric looks at.
LARGEST_FILE, LONGEST_NAME, DEEPEST = 1 << 29, 500, 10_000
TYPE, STRATUM, METRIC = "Retrieval", "test/default", "ndcg_at_10"
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
RANK = re.compile(r"[0-9]{1,9}")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Qrels:
    """Judgements by query and document, with their hash, which is one for all layouts and orders of the same."""

    path: Path
    judged: Mapping[str, Mapping[str, int]]
    sha256: str

    @property
    def task(self) -> str:
        """What a case that is judged by them is called."""
        name = slug(self.path.stem, also="+")
        return name if NAME.fullmatch(name) else "qrels"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrecRun:
    """A run file with its score. ``predicted`` is its ranking by stratum; ``notes`` say what is not as it should be."""

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
        ConfigError: there is no such file, or a line of it is no judgement, or one is there twice.
    """
    _refuse_large(path)
    judged: dict[str, dict[str, int]] = {}
    for number, query, document, score in read_judgements(path, ConfigError):
        _put(judged, query, document, score, f"{path}:{number}")
    content = json.dumps(judged, sort_keys=True)
    return Qrels(path=path, judged=judged, sha256=hashlib.sha256(content.encode()).hexdigest())


def read_trec_run(path: Path, qrels: Qrels, metric: str, stratum: str = STRATUM) -> TrecRun:
    """Score a run file as ``trec_eval -c`` does: a judged query without documents counts as 0.

    Args:
        path: of the run file.
        qrels: its judgements.
        metric: of each query, such as ``ndcg_at_10``.
        stratum: the ``split/subset`` that it is called by.

    Raises:
        ConfigError: there is no such file, a line of it is wrong, nothing of it is judged, or the metric is unknown.
    """
    at = metric_at(metric)
    if at is None or not 1 <= at[1] <= DEEPEST:
        known = ", ".join(f"{name}_at_10" for name in PER_QUERY)
        raise ConfigError(f'--metric = "{shorten(metric, 60)}" is none of {known}, or those at 1 to {DEEPEST}')
    found, ranks = _read_found(path)
    if not found.keys() & qrels.judged.keys():
        raise ConfigError(f"{path}: of {count(len(found), 'query', 'queries')} none is judged in {qrels.path}")
    predicted = _predict({query: found.get(query, {}) for query in qrels.judged}, qrels, metric, stratum)
    columns = collect(predicted) | {"stratum": np.full(len(qrels.judged), stratum), "units": units(predicted)}
    samples = gather([Samples(type=TYPE, metric=metric, **columns)])
    predicted.rows()["queries"] = _Columns(id=[], text=[])  # no text is known that could be shown
    score = float(np.mean(columns["value"]))
    return TrecRun(
        measurement=Measurement(metric=metric, score=score, subsets={stratum: score}, n=len(samples), chance=0.0,
                                data_sha256=qrels.sha256),
        samples=samples,
        predicted={stratum: predicted},
        notes=tuple(_find_odd(found, ranks, qrels, at[1])),
    )  # fmt: skip


def _read_found(path: Path) -> tuple[dict[str, dict[str, float]], dict[str, list[str]]]:
    """Return the scores of documents by query, in single precision as trec_eval has them, and the ranks beside."""
    _refuse_large(path)
    found: dict[str, dict[str, float]] = {}
    ranks: dict[str, list[str]] = {}
    for number, line in read_text_lines(path, ConfigError):
        where, cells = f"{path}:{number}", COLUMN.findall(line)
        if not cells:
            continue
        if len(cells) != 6:
            raise ConfigError(f"{where}: has {len(cells)} columns; expected query, Q0, document, rank, score and tag")
        query, _, document, rank, said, _ = cells
        with np.errstate(over="ignore"):
            score = float(np.float32(float(said))) if NUMBER.fullmatch(said) and len(said) < 100 else math.nan
        if not math.isfinite(score):
            raise ConfigError(f'{where}: the score "{shorten(said, 60)}" is not a number that single precision holds')
        _put(found, query, document, score, where)
        ranks.setdefault(query, []).append(rank)
    if not found:
        raise ConfigError(f"{path}: holds no line of a run")
    return found, ranks


def _refuse_large(path: Path) -> None:
    if path.is_file() and path.stat().st_size > LARGEST_FILE:
        raise ConfigError(f"{path}: is larger than {render_size(LARGEST_FILE)}")


def _put(table: dict[str, dict[str, Value]], query: str, document: str, value: Value, where: str) -> None:
    if max(len(query), len(document)) > LONGEST_NAME or "\0" in query + document:
        raise ConfigError(f"{where}: an id is longer than {LONGEST_NAME} characters, or holds NUL")
    known = table.setdefault(query, {})
    if document in known:
        raise ConfigError(f'{where}: the document "{shorten(document, 60)}" is there twice for its query')
    known[document] = value


def _find_odd(
    found: Mapping[str, Mapping[str, float]], ranks: Mapping[str, Sequence[str]], qrels: Qrels, depth: int
) -> Iterator[str]:
    """Yield a sentence on whatever trec_eval passes over, with the number of queries."""
    both = found.keys() & qrels.judged.keys()
    best = {query: sorted(found[query].values(), reverse=True)[: depth + 1] for query in both}
    ties = f"with equal scores, to single precision, that the first {depth} depend on, of which the last id goes first"
    counts = {
        "not judged, and left out": len(found.keys() - both),
        "judged and not in the run, counted as 0 (its option -c)": len(qrels.judged.keys() - both),
        "without a relevant document, counted as 0": sum(max(one.values()) <= 0 for one in qrels.judged.values()),
        ties: sum(any(one == two for one, two in pairwise(scores)) for scores in best.values()),
        "with ranks that contradict the scores, which count": sum(_contradict(found[q], ranks[q]) for q in both),
    }
    for what, number in counts.items():
        if number:
            yield f"{count(number, 'query', 'queries')} {what}, as in trec_eval"


def _contradict(scores: Mapping[str, float], ranks: Sequence[str]) -> bool:
    """Return True if a document of a better rank has a lower score; ranks that are no numbers say nothing."""
    if not all(RANK.fullmatch(rank) for rank in ranks):
        return False
    placed = sorted((int(rank), -score) for rank, score in zip(ranks, scores.values(), strict=True))
    return any(later < earlier for (_, earlier), (_, later) in pairwise(placed))


def _predict(found: Mapping[str, Mapping[str, float]], qrels: Qrels, metric: str, stratum: str) -> Predicted:
    """Return a run as what a task of mteb's predicted, of which no texts are known: each query's is its id."""
    ids, (split, _, subset) = list(found), stratum.partition("/")
    rows = {"relevant_docs": qrels.judged, "queries": _Columns(id=ids, text=ids), "corpus": _Columns(id=[])}
    task = SimpleNamespace(dataset={subset: {split: rows}}, metadata=SimpleNamespace(dataset={"path": ""}),
                           hf_subsets=None, ignore_identical_ids=False, skip_first_result=False)  # fmt: skip
    return Predicted(task=task, split=split, subset=subset, metric=metric, found=found, sampled=(), drawn=())
