"""How fast a model is: percentiles of answers, and nothing said of too little."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.encoding.test_meter import Clock
from tests.models.api.server import NAME, Server, serving, well, with_status
from touchstone.config.options import Options
from touchstone.encoding.canaries import CANARIES
from touchstone.encoding.encoder import SAMPLE_SIZE
from touchstone.encoding.meter import Timed
from touchstone.errors import ModelError
from touchstone.measuring.speed import P50_QUERIES, P95_QUERIES, Latency, make_speed, measure_latency
from touchstone.models.weights.devices import describe_machine
from touchstone.records.outcomes import Speed
from touchstone.session.session import open_session

QUERIES = [f"query {number}" for number in range(30)]


class Answers:
    """Answers queries, each in its own time; a ModelError in the place of seconds is raised."""

    def __init__(self, clock: Clock, taken: list[float | None]) -> None:
        self.clock, self.taken, self.asked = clock, taken, list[str]()

    def __call__(self, query: str) -> None:
        seconds = self.taken[len(self.asked)]
        self.asked.append(query)
        if seconds is None:
            raise ModelError("it does not answer")
        self.clock.now += seconds


@given(st.lists(st.floats(0.001, 0.9), min_size=P95_QUERIES, max_size=30))
def test_percentiles_are_numpys_of_the_seconds_that_each_answer_took(taken: list[float]) -> None:
    clock = Clock()
    answers = Answers(clock, [*taken])
    found = measure_latency(answers, QUERIES[: len(taken)], clock=clock)
    assert answers.asked == QUERIES[: len(taken)]
    assert found.p50 == pytest.approx(np.percentile(taken, 50), rel=1e-3)
    assert found.p95 == pytest.approx(np.percentile(taken, 95), rel=1e-3)


def test_nothing_is_asked_any_more_when_the_time_is_up() -> None:
    clock = Clock()
    answers = Answers(clock, [3.0] * 30)
    assert measure_latency(answers, QUERIES, patience=16, clock=clock) == Latency(p50=3.0, p95=None)
    assert len(answers.asked) == 6


@pytest.mark.parametrize(
    ("whole", "p50", "p95"), [(P50_QUERIES - 1, None, None), (P50_QUERIES, 0.5, None), (P95_QUERIES, 0.5, 0.5)]
)
def test_an_error_ends_it_and_too_few_answers_say_nothing(whole: int, p50: float | None, p95: float | None) -> None:
    clock = Clock()
    answers = Answers(clock, [*[0.5] * whole, None, 0.5])
    assert measure_latency(answers, QUERIES, clock=clock) == Latency(p50=p50, p95=p95)
    assert len(answers.asked) == whole + 1


@pytest.mark.parametrize(
    ("timed", "rates"),
    [
        (Timed(inputs=500, tokens=12345, seconds=2.0), (250.0, 6172.0)),  # of four digits
        (Timed(inputs=500, tokens=None, seconds=2.0), (250.0, None)),
        (Timed(inputs=49, tokens=12345, seconds=2.0), None),
        (Timed(inputs=500, tokens=12345, seconds=0.99), None),
        (Timed(), None),
    ],
)
def test_too_little_says_nothing_of_the_speed(timed: Timed, rates: tuple[float, float | None] | None) -> None:
    found = make_speed(timed, Latency(), machine="here", unit="pair")
    if rates is None:
        assert found is None
        answered = make_speed(timed, Latency(p50=0.5), machine="here")
        assert answered == Speed(machine="here", query_p50=0.5)
    else:
        assert found == Speed(machine="here", unit="pair", texts_per_second=rates[0], tokens_per_second=rates[1])


def test_a_machine_is_another_one_with_other_workers_or_more_requests_at_once() -> None:
    said = [describe_machine("cpu"), describe_machine("cpu", workers=2), describe_machine("api"),
            describe_machine("api", at_once=4)]  # fmt: skip
    assert len(set(said)) == len(said)
    assert said[1] == f"{said[0]}, 1 of 2 workers"
    assert "a server, 4 requests at once from " in said[3]


def run(folder: Path, server: Server, **typed: Any) -> list[Any]:
    typed = {"models": [f"api:{server.url}#{NAME}=served"], "tasks": ["SmokeRetrieval", "SmokeSTS"], **typed}
    session = open_session(Options.parse(typed, root=folder, cwd=folder))
    outcomes = []
    for case in session.plan.cases:
        with session.measure(case, lambda _: None) as measured:
            outcomes.append(measured.outcome)
    return outcomes


def is_tried(text: str) -> bool:
    """Return True for a text that shows what a server does with long ones."""
    return len(text) > 200 and text.startswith(" ".join(CANARIES[:2])[:30])


def test_a_served_model_is_asked_some_queries_alone_once_in_a_process(tmp_path: Path) -> None:
    with serving() as server:
        first, second = run(tmp_path, server)
        sent = [request.body.get("input", []) for request in server.requests]
        alone = [texts for texts in sent if len(texts) == 1 and not is_tried(texts[0])]
        queries = {text for (text,) in alone[-SAMPLE_SIZE:]}
    assert first.speed.query_p95 >= first.speed.query_p50 > 0
    assert first.speed.machine.startswith("a server, 4 requests at once from ")
    assert second.speed is None or second.speed.query_p50 is None
    assert first.encoded is not None
    assert 20 <= len(queries) <= SAMPLE_SIZE


def test_a_server_that_fails_then_costs_no_measurement(tmp_path: Path) -> None:
    def behave(request: Any) -> Any:
        texts = [text for text in request.body.get("input", []) if not is_tried(text)]
        asked.extend(texts)
        seen = len(texts) == 1 and asked.count(texts[0]) > 1
        return with_status(503)(request) if seen and len(asked) > 40 else well(request)

    asked: list[str] = []
    with serving() as server:
        server.always = behave
        (outcome,) = run(tmp_path, server, tasks=["SmokeSTS"])
        sent = [request.body.get("input", []) for request in server.requests]
        tried = [texts for texts in sent if len(texts) == 1 and not is_tried(texts[0])]
    assert outcome.measurement.score > 0.3
    assert outcome.speed is None or outcome.speed.query_p50 is None
    assert len(tried) <= 3, "the one that failed is not sent again"
