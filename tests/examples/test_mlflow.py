"""The example of a report in a package of its own: what it logs is read back by MLflow."""

import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.builders import make_row, make_run
from tests.report.suites import judged
from touchstone.judging.overall import judge_models
from touchstone.records.runs import Run
from touchstone.report import formats
from touchstone.report.formats import ReportFormat, find_target

EXAMPLE = Path(__file__).parents[2] / "docs/examples/touchstone-mlflow"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReportFormat]:
    """Return what the package registers, as its entry point names it."""
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]
    module, name = points["touchstone.reports"]["mlflow"].split(":")
    monkeypatch.syspath_prepend(str(EXAMPLE))
    found = getattr(import_module(module), name)
    monkeypatch.setattr(formats, "load_extensions", lambda group: {"mlflow": found} if group in points else {})
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield found
    sys.modules.pop(module)


def a_run() -> Run:
    records = (
        judged("NFCorpus", -0.02, "regressed", type="Retrieval", metric="ndcg_at_10"),
        judged("SciFact", 0.01, "pass", type="Retrieval", metric="ndcg_at_10", limit=100),
        make_row("STSBenchmark", alias="other", score=0.5),
    )
    run = make_run(*records)
    return Run(suite=run.suite, started=run.started, environment=run.environment, records=records,
               suites=judge_models(records))  # fmt: skip


def test_it_is_a_report_like_any_other(tmp_path: Path, example: ReportFormat) -> None:
    assert find_target("--report", tmp_path, "out/mlruns/").format is example


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_mlflow_reads_back_what_was_logged(tmp_path: Path, example: ReportFormat) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    from mlflow.tracking import MlflowClient

    lines = find_target("--report", tmp_path, "mlruns/").write(a_run(), (), tmp_path)
    place = (tmp_path / "mlruns").as_uri()
    assert lines == (f"logged to {place}",)
    client: Any = MlflowClient(tracking_uri=place)
    experiment = client.get_experiment_by_name("smoke")
    found = {one.info.run_name: one for one in client.search_runs([experiment.experiment_id])}
    assert set(found) == {"minilm", "other"}
    one = found["minilm"]
    assert one.data.metrics == pytest.approx(
        {"NFCorpus/ndcg_at_10": 78.0, "NFCorpus/delta": -2.0, "SciFact limit 100/ndcg_at_10": 81.0,
         "SciFact limit 100/delta": 1.0, "mean delta": -0.5}
    )  # fmt: skip
    assert one.data.params["against"] == "released"
    assert one.data.params["mteb"] == "2.26.1"
    assert one.data.tags["touchstone.verdict"] == "FAIL"
    assert one.info.status == "FAILED"
    assert found["other"].data.metrics == {"STSBenchmark/cosine_spearman": 50.0}
    page = Path(client.download_artifacts(one.info.run_id, "report.html", str(tmp_path)))
    assert "NFCorpus" in page.read_text()
