import json
from dataclasses import replace
from typing import Any

import pytest

from tests.builders import make_run
from tests.report.suites import SMALL
from touchstone.errors import BaselineError
from touchstone.judging.overall import judge_models
from touchstone.records.flat import read_run
from touchstone.records.runs import Run
from touchstone.report.json import render_json

HOSTILE = ("../../x", "a/b", "-x", ".", "..", "", "a b", "::error::x", "a\nb", "é", "x" * 200)

EXAMPLE = {"id": "q", "stratum": "test/default", "before": 0, "after": 0, "texts": {}}
CHANGES = ({"before": 1e300}, {"after": -1e9}, {"documents": [{"id": "d", "text": "", "relevant": True, "before": 0}]})


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
        ("records.0.terms.alpha", 7),
        ("records.0.terms.against", "x" * 600),
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
