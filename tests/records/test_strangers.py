import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.builders import make_run
from tests.report.suites import SMALL, evidence
from touchstone.errors import BaselineError
from touchstone.judging.overall import judge_models
from touchstone.judging.units import make_sketch
from touchstone.records.flat import read_run
from touchstone.records.outcomes import Speed
from touchstone.records.runs import Run
from touchstone.records.verdicts import Anchored, Slice
from touchstone.report.json import render_json

HOSTILE = ("../../x", "a/b", "-x", ".", "..", "", "a b", "::error::x", "a\nb", "é", "x" * 200)

EXAMPLE = {"id": "q", "stratum": "test/default", "before": 0, "after": 0, "texts": {}}
CHANGES = ({"before": 1e300}, {"after": -1e9}, {"documents": [{"id": "d", "text": "", "relevant": True, "before": 0}]})


ANCHOR = {"baseline": 0.9, "delta": -0.1, "word": "regressed", "recorded": "2026-01-31"}
SPEED = {"machine": "AMD EPYC, 2 cores", "unit": "text", "texts_per_second": 1240.0, "query_p50": 0.012}
RATES = ("texts_per_second", "tokens_per_second")
SLICE = {"field": "language", "value": "deu", "n": 5, "score": 0.5, "baseline": 0.6, "interval": [-0.2, 0.1]}
NO_SKETCHES = ("x", "é", "A" * 680, "A" * 4000, base64.b64encode(b"\xff" * 512).decode())


def content(place: str = "", value: Any = None) -> dict[str, Any]:
    """Return a run that one could have measured, with another value at a place."""
    plain: Any = json.loads(render_json(replace(make_run(*SMALL), suites=judge_models(SMALL))))
    *inside, last = place.split(".") if place else ["schema"]
    table = plain
    for part in inside:
        table = table[int(part) if isinstance(table, list) else part]
    if place:
        table[int(last) if isinstance(table, list) else last] = value
    return dict(plain)


def read(plain: dict[str, Any]) -> Run:
    return read_run(json.dumps(plain).encode(), "run.json")


def test_what_a_run_writes_is_read() -> None:
    assert json.loads(render_json(read(content()))) == content()


def test_a_speed_is_read_as_it_is_written_and_a_run_from_before_there_were_any_is_one_without() -> None:
    plain = content("records.0.speed", SPEED | {"tokens_per_second": None, "query_p95": None})
    found = read(plain)
    assert json.loads(render_json(found)) == plain
    assert found.records[0].speed == Speed(**SPEED)  # type: ignore[arg-type]
    for record in plain["records"]:
        del record["speed"]
    assert read(plain) == replace(found, records=(replace(found.records[0], speed=None), *found.records[1:]))


def test_what_a_run_writes_of_units_anchors_and_slices_is_read() -> None:
    sketch = make_sketch([["a"], ["b", "a"]], np.array([0.1, -0.2]), 0.1)
    found = replace(evidence(-0.1), units=2, worst=-0.1, best=0.1, skew=-0.5, bias=0.1, effect=-1e16, sketch=sketch)
    anchor = Anchored(baseline=0.9, delta=-0.1, word="regressed", recorded="2026-01-31", evidence=found)
    parts = Slice(field="language", value="", n=1, score=0.5, baseline=0.5, interval=(-0.1, 0.1))
    assert SMALL[0].terms is not None
    terms = replace(SMALL[0].terms, gated=41, plan="0123456789ab", floor=-0.5, anchored=True)
    records = (replace(SMALL[0], evidence=found, anchor=anchor, slices=(parts,), terms=terms), *SMALL[1:])
    run = replace(make_run(*records), suites=judge_models(records))
    assert read(json.loads(render_json(run))) == run


@pytest.mark.parametrize("field", ["alias", "task", "type"])
@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_such_as_a_run_writes(field: str, name: str) -> None:
    with pytest.raises(BaselineError, match=rf"^run.json: \[records.0\] {field} = .* is none that a run writes$"):
        read(content(f"records.0.{field}", name))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *(("records.0.samples", name) for name in (*HOSTILE, "samples/../0123456789ab/x.0123456789ab.blob", "/etc/x")),
        *(
            ("records.0.samples", f"samples/0123456789ab/{name}.0123456789ab.blob")
            for name in ("../x", "a/b", "é", "a b")
        ),
        *(("records.0.revision", name) for name in ("../x", "/x", "a..b", "")),
        *(("records.0.fingerprint", name) for name in ("../x", "xyz", "")),
        ("records.0.languages", ["eng", "<b>"]),
        ("records.0.case", "minilm:Other"),
        ("records.0.case", "::error::x"),
        *(("records.0.score", value) for value in (1.5, -2, 0.123)),
        ("records.0.subsets", {}),
        *(("records.0.delta", value) for value in (3, -1e300)),
        *(("records.0.n", value) for value in (-1, 10**13, 2**70)),
        ("records.0.limit", 0),
        ("records.0.seconds", -1),
        ("records.0.phases", {"encode": 1e300}),
        ("records.0.texts", -5),
        *(("records.0.speed", SPEED | {name: value}) for name in RATES for value in (-1, 0, 1e300)),
        *(("records.0.speed", SPEED | {name: value}) for name in ("query_p50", "query_p95") for value in (-1, 1e300)),
        ("records.0.speed", SPEED | {"machine": "x" * 600}),
        ("records.0.reason", "x" * 30_000),
        ("records.0.model", "x" * 600),
        ("records.0.prompts", {"query": ["x" * 30_000]}),
        *(("records.0.outcome", word) for word in ("error", "not measured")),
        ("records.0.verdict", "pass"),
        ("records.0.error", "boom"),
        ("records.0.evidence.p", 2),
        ("records.0.evidence.interval", [0.5, -0.5]),
        ("records.0.evidence.changed", 10**6),
        ("records.0.evidence.detectable", -1),
        *(("records.0.evidence.degrees", value) for value in (-1, 0)),
        *(("records.1.shown", {"measure": "x", "lost": [EXAMPLE | change], "gained": []}) for change in CHANGES),
        ("records.1.shown", {"measure": "x", "lost": [], "gained": [], "losers": -1}),
        ("records.0.settings", {"max_length": 10**13}),
        ("records.0.settings", {"prompts": {"query": "x" * 30_000}}),
        ("records.0.terms.gated", 0),
        ("records.0.terms.plan", "../x"),
        ("records.0.terms.alpha", 7),
        ("records.0.terms.against", "x" * 600),
        ("records.0.terms.bound", 7),
        ("records.0.terms.suite_margin", -1),
        ("records.0.terms.floor", 80),
        *(("records.0.terms.plan", name) for name in ("../x", "xyz", "")),
        *((f"records.0.evidence.{name}", -1e9) for name in ("units", "worst", "best", "skew", "bias")),
        ("records.0.evidence.effect", 1e30),
        *(("records.0.evidence.sketch", text) for text in NO_SKETCHES),
        ("records.0.suspect", True),
        *(("records.0.anchor", ANCHOR | {name: value}) for name, value in (("baseline", 2), ("delta", 3))),
        ("records.0.anchor", ANCHOR | {"recorded": "x" * 600}),
        ("records.0.slices", [SLICE | {"field": "<b>"}]),
        ("records.0.slices", [SLICE | {"value": "x" * 600}]),
        *(("records.0.slices", [SLICE | {name: -2}]) for name in ("n", "score", "baseline")),
        ("records.0.slices", [SLICE | {"interval": [0.5, -0.5]}]),
        ("started", "yesterday"),
        ("started", "2026-01-31T12:00:00"),
        ("suite", "x" * 600),
        ("environment", {"torch": "x" * 30_000}),
        ("commit", "x" * 600),
        ("suites.0.model", "nobody"),
        ("suites.0.cases", 100),
        ("suites.0.verdict", "PASS"),
        ("suites.0.delta", 5),
        ("suites.0.paired", 100),
        ("suites.0.by_type", {"STS": [0, 0, 1e300]}),
        ("suites.0.over_types", [0, 0, 1e300]),
        ("suites.0.anchor", [0, 0, -1e300]),
        ("suites.0.planned", 0),
        ("suites.0.verdicts", {"x" * 30_000: "PASS"}),
    ],
)
def test_what_no_run_writes_is_one_sentence_with_its_place(place: str, value: Any) -> None:
    with pytest.raises(BaselineError) as caught:
        read(content(place, value))
    said = str(caught.value)
    assert said.startswith("run.json: ")
    assert len(said) <= 500
    assert "\n" not in said


@pytest.mark.parametrize("place", ["records.0.evidence.p", "records.0.score", "records.0.delta", "records.0.phases.x"])
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_numbers_are_finite(place: str, number: str) -> None:
    text = json.dumps(content(place, "HERE")).replace('"HERE"', number)
    with pytest.raises(BaselineError, match=r"^run\.json: "):
        read_run(text.encode(), "run.json")


def test_no_case_is_there_twice() -> None:
    plain = content()
    plain["records"].append(plain["records"][0])
    with pytest.raises(BaselineError, match=r"records has minilm:\w+ twice; expected each case once"):
        read(plain)


def test_a_suite_that_passes_has_no_case_that_did_not() -> None:
    plain = content()
    (model,) = {one["alias"] for one in plain["records"] if one["verdict"] == "regressed"}
    for suite in plain["suites"]:
        if suite["model"] == model:
            suite["verdict"] = "PASS"
    with pytest.raises(BaselineError, match=r'verdict = "PASS" of minilm, whose \w+ did not pass'):
        read(plain)
