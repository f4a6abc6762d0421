import json
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.builders import make_row, make_run
from tests.report.suites import large_run, small_run
from touchstone.files.writing import to_json
from touchstone.records.outcomes import Settings
from touchstone.records.runs import Run
from touchstone.report.json import make_schema, render_json

SHIPPED = files("touchstone.report").joinpath("run.schema.json").read_text(encoding="utf-8")
VALIDATOR = Draft202012Validator(json.loads(SHIPPED))


def faults(run: dict[str, Any]) -> list[str]:
    return [error.json_path for error in VALIDATOR.iter_errors(run)]


def test_the_schema_shipped_is_the_one_that_the_classes_have() -> None:
    Draft202012Validator.check_schema(make_schema())
    assert to_json(make_schema()) == SHIPPED, "write to_json(make_schema()) to evals/report/run.schema.json"


@pytest.mark.parametrize(
    "run",
    [
        small_run(),
        large_run(30),
        make_run(),
        make_run(make_row(settings=Settings(prompts={"query": "q: "}), prompts={"query": ("", "q: ")}, limit=5)),
    ],
)
def test_what_is_written_is_what_the_schema_says(run: Run) -> None:
    assert faults(json.loads(render_json(run))) == []


@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        (lambda run: run.pop("suite"), "$"),
        (lambda run: run.update(schema=2), "$.schema"),
        (lambda run: run["records"][0].update(score="high"), "$.records[0].score"),
        (lambda run: run["records"][0].update(verdict="fine"), "$.records[0].verdict"),
        (lambda run: run["records"][0].pop("task"), "$.records[0]"),
        (lambda run: run["records"][0]["shown"]["lost"][0].pop("id"), "$.records[0].shown"),
    ],
)
def test_what_is_not_a_run_record_is_refused(spoil: Callable[[dict[str, Any]], Any], where: str) -> None:
    run = json.loads(render_json(small_run()))
    spoil(run)

    assert faults(run) == [where]


@settings(max_examples=20)
@given(st.sets(st.sampled_from(["commit", "shown", "command", "prompts", "encoded", "evidence"])))
def test_records_of_older_versions_which_lack_later_fields_are_records(missing: set[str]) -> None:
    run = json.loads(render_json(replace(small_run(), commit=None)))
    for fields in (run, *run["records"]):
        for name in missing:
            fields.pop(name, None)

    assert faults(run) == []
