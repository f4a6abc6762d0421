"""A report of touchstone that goes to MLflow: a run for each model, with scores, terms, verdict and the HTML page."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from touchstone.records.runs import Record, Run
from touchstone.report.formats import ReportFormat
from touchstone.report.html import render_html

# What a name of a metric may not hold, and the longest parameter.
OTHERS, LONGEST = re.compile(r"[^A-Za-z0-9_./ -]"), 500


def write_mlflow(run: Run, folder: Path, _store: Path) -> tuple[str, ...]:
    """Log each model of a run to the server that MLFLOW_TRACKING_URI names, else to a file store in the folder."""
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow.tracking import MlflowClient

    place = os.environ.get("MLFLOW_TRACKING_URI") or folder.resolve().as_uri()
    client = MlflowClient(tracking_uri=place)
    found = client.get_experiment_by_name(run.suite)
    experiment = client.create_experiment(run.suite) if found is None else found.experiment_id
    verdicts = {suite.model: suite for suite in run.suites}
    for alias in dict.fromkeys(record.alias for record in run.records):
        records = [record for record in run.records if record.alias == alias]
        logged = client.create_run(experiment, run_name=alias).info.run_id
        for name, value in _metrics(records):
            client.log_metric(logged, OTHERS.sub("-", name), 100 * value)
        for name, value in _params(records, run):
            client.log_param(logged, name, str(value)[:LONGEST])
        suite = verdicts.get(alias)
        if suite is not None:
            client.set_tag(logged, "touchstone.verdict", suite.verdict)
            client.set_tag(logged, "touchstone.reason", suite.reason)
            if suite.delta is not None:
                client.log_metric(logged, "mean delta", 100 * suite.delta)
        client.log_text(logged, render_html(run), "report.html")
        failed = any(record.outcome != "passed" for record in records)
        client.set_terminated(logged, "FAILED" if failed else "FINISHED")
    return (f"logged to {place}",)


def _metrics(records: list[Record]) -> Iterator[tuple[str, float]]:
    for record in records:
        task = record.task if record.limit is None else f"{record.task} limit {record.limit}"
        if record.score is not None:
            yield f"{task}/{record.metric}", record.score
        if record.delta is not None:
            yield f"{task}/delta", record.delta


def _params(records: list[Record], run: Run) -> Iterator[tuple[str, object]]:
    first = records[0]
    yield from (("suite", run.suite), ("started", run.started), ("model", first.model), ("revision", first.revision))
    yield from (("fingerprint", first.fingerprint), ("commit", run.commit))
    if first.terms is not None:
        yield from (("against", first.terms.against), ("margin", first.terms.margin), ("alpha", first.terms.alpha))
    yield from ((name.replace(" ", "_"), version) for name, version in run.environment.items())


FORMAT = ReportFormat(name="mlruns/", write_folder=write_mlflow)
