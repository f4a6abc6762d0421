"""Code of the project that is loaded in a run can change how a model computes: what it gave is not taken for ours."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from touchstone.environment import kernel_settings

TEST_FILE = Path(__file__).parent.parent.parent / "evals" / "test_tasks.py"
COARSE = """
import torch

def forward(self, values):
    return torch.nn.functional.linear(values, (self.weight * 8).round() / 8, self.bias)

torch.nn.Linear.forward = forward
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # of the session that runs this test
    pytester.makeini("[pytest]\n")
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> dict[str, Any]:
    ours = () if "test_tasks.py" in arguments else ("--pyargs", "touchstone")
    done = project.runpytest_subprocess(
        "-p", "touchstone.plugin", "-p", "no:randomly", *ours, "-m", "sts", "--baseline", "off", "--device", "cpu",
        "--report", "run.json", *arguments,
    )  # fmt: skip
    done.assert_outcomes(passed=1)
    (record,) = json.loads((project.path / "run.json").read_text())["records"]
    return dict(record)


def test_what_was_measured_under_a_conftest_is_not_taken_for_what_is_without(project: pytest.Pytester) -> None:
    project.makeconftest(COARSE)
    shutil.copy(TEST_FILE, project.path / "test_tasks.py")
    coarse = run(project, "test_tasks.py")
    assert (coarse["reused"], round(100 * coarse["score"], 2)) != (False, 77.31)
    assert run(project, "test_tasks.py")["score"] == coarse["score"]
    (project.path / "conftest.py").unlink()
    clean = run(project, "test_tasks.py")
    assert round(100 * clean["score"], 2) == 77.31
    assert (clean["reused"], clean["encoded"]) == (False, clean["texts"])
    assert run(project, "test_tasks.py")["reused"], "and that is cached for itself"


def test_variables_and_flags_that_choose_kernels_are_part_of_the_key() -> None:
    import torch

    variables = {"NVIDIA_TF32_OVERRIDE": "1", "MKL_NUM_THREADS": "2", "HOME": "/", "ATEN_CPU_CAPABILITY": "default"}
    plain = kernel_settings(variables)
    assert plain == {"NVIDIA_TF32_OVERRIDE": "1", "ATEN_CPU_CAPABILITY": "default"}
    torch.backends.cudnn.deterministic = True
    torch.set_float32_matmul_precision("medium")
    try:
        found = kernel_settings({})
    finally:
        torch.backends.cudnn.deterministic = False
        torch.set_float32_matmul_precision("highest")
    assert found["backends.cudnn.deterministic"] == "True"
    assert found["get_float32_matmul_precision"] == "medium"
    assert kernel_settings({}) == {}, "defaults are not written down"


def test_a_plug_in_that_is_named_counts_as_well(project: pytest.Pytester) -> None:
    (project.path / "mine.py").write_text("")
    first = run(project, "-p", "mine")
    assert run(project, "-p", "mine")["reused"]
    (project.path / "mine.py").write_text("# changed\n")
    second = run(project, "-p", "mine")
    assert (first["reused"], second["reused"]) == (False, False)
    assert second["encoded"] == 0, "the model computes as before, so its vectors are those in the store"
