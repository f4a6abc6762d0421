"""The examples of shards: an array of Slurm and a matrix of GitHub, played in a shell as their schedulers do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.session.test_shards import project
from touchstone.store.runs import load_runs

__all__ = ["project"]
ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "docs" / "examples" / "shards"


@pytest.fixture
def folder(project: Path, tmp_path: Path) -> Path:
    """A project of one's own with the models, tasks and baselines of the other tests."""
    kept = shutil.ignore_patterns("recorded", "of*", "m1", "m2")
    folder = Path(shutil.copytree(project, tmp_path / "project", ignore=kept))
    (folder / "conftest.py").write_text('pytest_plugins = ["touchstone.plugin"]\n')
    (folder / "evals").mkdir(exist_ok=True)
    shutil.copy(ROOT / "evals" / "test_tasks.py", folder / "evals")
    (folder / "pyproject.toml").write_text('[tool.touchstone]\nsuite = "suite.toml"\nmodels = "models.toml"\n')
    return folder


def environ(**more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SLURM_", "CI_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), own["PATH"]])
    return own | {"PATH": path, "PYTHONPATH": os.pathsep.join([str(ROOT / "evals"), str(ROOT)])} | more


def shell(folder: Path, command: str, **more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", command], cwd=folder, env=environ(**more), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def test_an_array_of_slurm_at_once_on_one_store_and_then_one_verdict(folder: Path) -> None:
    """Two processes share the store, as jobs on a shared file system do; a corpus is divided among them."""
    script = (EXAMPLES / "slurm.sh").read_text().replace("--shard auto", "--shard auto --split-texts 150 --device cpu")
    (folder / "slurm.sh").write_text(script)
    jobs = [
        shell(folder, "bash slurm.sh", SLURM_ARRAY_TASK_ID=str(number), SLURM_ARRAY_TASK_COUNT="2",
              SLURM_ARRAY_TASK_MIN="1")
        for number in (1, 2)
    ]  # fmt: skip
    for job in jobs:
        output, _ = job.communicate(timeout=300)
        assert job.returncode == 0, output
    (last,) = (line for line in script.splitlines() if "touchstone merge" in line)
    merge = shell(folder, last.partition('--wrap "')[2].rstrip('"'))
    output, _ = merge.communicate(timeout=300)
    assert merge.returncode == 0, output
    assert "6 of 6 cases measured, by 2 of 2 shards" in output
    assert (folder / "run.html").is_file()
    assert all(suite.verdict == "PASS" for suite in load_runs(folder / "evals-store")[-1].suites)


def steps(job: dict[str, Any]) -> list[str]:
    """Return what a job runs but for what it installs."""
    return [step["run"] for step in job["steps"] if "run" in step and not step["run"].startswith("pip ")]


def test_a_matrix_of_github_has_a_shard_for_each_job_and_one_that_decides(folder: Path) -> None:
    workflow = yaml.safe_load((EXAMPLES / "github.yml").read_text())
    measure, decide = workflow["jobs"]["measure"], workflow["jobs"]["decide"]
    shards = measure["strategy"]["matrix"]["shard"]
    assert measure["strategy"]["fail-fast"] is False
    assert decide["if"] == "always()"
    for number in shards:
        (command,) = steps(measure)
        job = shell(folder, command.replace("${{ matrix.shard }}", str(number)))
        output, _ = job.communicate(timeout=300)
        assert job.returncode == 0, output
        shutil.move(folder / f"shard-{number}", folder / "shards" / f"shard-{number}")
    (command,) = steps(decide)
    summary = folder / "summary.md"
    job = shell(folder, command, GITHUB_STEP_SUMMARY=str(summary))
    output, _ = job.communicate(timeout=300)
    assert f"by {len(shards)} of {len(shards)} shards" in output
    assert "PASS" in summary.read_text()
    assert (folder / "run.html").is_file()
