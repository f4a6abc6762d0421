"""How fast a model is: what it computes in a second, and how long it takes to answer one query alone."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from touchstone.encoding.meter import Timed
from touchstone.errors import ModelError
from touchstone.records.outcomes import Speed

# Throughput of less than this is noise: what else the machine does changes it by half.
MIN_TEXTS, MIN_SECONDS = 50, 1.0
# Queries are asked one after another until so many seconds are over.
PATIENCE = 30.0
# Queries that a median needs, and a 95th percentile.
P50_QUERIES, P95_QUERIES = 5, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Percentiles of the seconds in which one query alone is answered; None where too few were."""

    p50: float | None = None
    p95: float | None = None


def measure_latency(
    answer: Callable[[str], object],
    queries: Sequence[str],
    *,
    patience: float = PATIENCE,
    clock: Callable[[], float] = time.perf_counter,
) -> Latency:
    """Ask for queries one after another, each once and alone, and time every answer.

    Args:
        answer: answers one query, and has done so when it returns. A ModelError of it ends this: what was timed until
            then counts, for the measurement itself is whole.
        queries: distinct, and not more than are worth asking.
        patience: seconds after which no other query is asked.
        clock: in seconds.
    """
    end = clock() + patience
    seconds: list[float] = []
    for query in queries:
        started = clock()
        if started >= end:
            break
        try:
            answer(query)
        except ModelError:
            break
        seconds.append(clock() - started)
    return Latency(
        p50=_round(float(np.percentile(seconds, 50))) if len(seconds) >= P50_QUERIES else None,
        p95=_round(float(np.percentile(seconds, 95))) if len(seconds) >= P95_QUERIES else None,
    )


def make_speed(timed: Timed, latency: Latency, *, machine: str, unit: Literal["text", "pair"] = "text") -> Speed | None:
    """Return the speed of a measurement; None where nothing is known of it."""
    is_enough = timed.inputs >= MIN_TEXTS and timed.seconds >= MIN_SECONDS
    if not is_enough and latency.p50 is None:
        return None
    return Speed(
        machine=machine,
        unit=unit,
        texts_per_second=_round(timed.inputs / timed.seconds) if is_enough else None,
        tokens_per_second=_round(timed.tokens / timed.seconds) if is_enough and timed.tokens else None,
        query_p50=latency.p50,
        query_p95=latency.p95,
    )


def _round(value: float) -> float:
    """Return a number of four digits: more would be noise."""
    return float(f"{value:.4g}")
