import json
import math

import pytest

from tests.builders import ENV, make_row, make_run
from touchstone.records.flat import read_run
from touchstone.records.outcomes import Settings
from touchstone.report.json import render_json

RUN_FIELDS = {"shard", "schema", "suite", "started", "environment", "records", "suites", "commit"}
RECORD_FIELDS = {"evidence", "recomputed", "samples", "command", "shown", "reused", "terms", "suspect",
    "anchor", "slices",
    "case", "alias", "model", "revision", "task", "type", "languages", "outcome", "metric", "limit", "score", "subsets",
    "n", "chance", "baseline", "delta", "verdict", "rule", "reason", "error", "seconds", "phases", "prompts",
    "encoded", "texts", "dataset_revision", "data_sha256", "fingerprint", "settings", "device", "stages", "speed",
}  # fmt: skip
SETTINGS_FIELDS = {"prompts", "pooling", "max_length", "max_characters", "dtype", "dimension", "quantize"}

FULL = make_row(
    "Tatoeba",
    score=0.1 + 0.2,
    subsets={"test/de": 0.1, "test/en": 0.5},
    settings=Settings(prompts={"query": "Frage: ä"}, pooling="mean"),
    phases={"model": 1.25, "encode": 2.5},
)
RUN = make_run(FULL, make_row(outcome="not measured"))


def test_the_fields_are_those_that_other_tools_read() -> None:
    run = json.loads(render_json(RUN))

    assert run.keys() == RUN_FIELDS
    assert [record.keys() for record in run["records"]] == [RECORD_FIELDS, RECORD_FIELDS]
    assert run["records"][0]["settings"].keys() == SETTINGS_FIELDS
    assert (run["schema"], run["environment"]) == (1, ENV)


def test_what_was_not_reached_is_null() -> None:
    record = json.loads(render_json(RUN))["records"][1]

    assert [record[name] for name in ("score", "subsets", "verdict", "error", "settings", "seconds")] == [None] * 6


def test_the_text_is_canonical_and_the_run_comes_back_from_it() -> None:
    text = render_json(RUN)

    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert "Frage: ä" in text
    again = read_run(text.encode(), "run.json")
    assert again == RUN
    assert render_json(again) == text


def test_a_number_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        render_json(make_run(make_row(score=math.nan)))
