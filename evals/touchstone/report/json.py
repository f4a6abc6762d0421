"""The run record as JSON: the contract that other tools read, and the schema that says what is in it."""

from typing import Any

from pydantic import TypeAdapter

from touchstone.files.writing import to_json
from touchstone.records.flat import flat_twin, flatten
from touchstone.records.runs import Run
from touchstone.report.formats import ReportFormat


def render_json(run: Run) -> str:
    """Return the run as canonical JSON, scores in full precision."""
    return to_json(flatten(run))


FORMAT = ReportFormat(name=".json", render=lambda run, _: render_json(run))


def make_schema() -> dict[str, Any]:
    """Work out the JSON Schema of a run record, draft 2020-12, from its classes: ``run.schema.json``."""
    found = TypeAdapter(flat_twin(Run)).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}
