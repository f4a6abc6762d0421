"""The run record as JSON, which other tools read, and its JSON Schema."""

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
    """Return the JSON Schema of a run record, draft 2020-12, from its classes: ``run.schema.json``."""
    schema = TypeAdapter(flat_twin(Run)).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
