"""The recipes for GitLab and for a plain shell, their commands played in a shell."""

import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.examples.test_shards import EXAMPLES, folder, project, shell

__all__ = ["folder", "project"]
RECIPES = EXAMPLES.parent


def load(name: str) -> Any:
    return yaml.safe_load((RECIPES / "gitlab" / name).read_text())


def play(folder: Path, command: str, **more: str) -> tuple[int, str]:
    job = shell(folder, command, **more)
    output, _ = job.communicate(timeout=300)
    return job.returncode, output


def test_a_job_of_gitlab_has_its_artifacts_and_a_script_ends_as_its_gate_does(folder: Path) -> None:
    """The second of them takes what the first has measured, as it is in the store."""
    job = load(".gitlab-ci.yml")["evals"]
    (command,) = job["script"]
    code, output = play(folder, f"{command} --device cpu -m sts")
    assert code == 0, output
    assert all((folder / path).is_file() for path in job["artifacts"]["paths"])
    assert job["artifacts"]["when"] == "always"
    cases = ET.parse(folder / job["artifacts"]["reports"]["junit"]).iter("testcase")
    assert {"test_task[one:Pairs]", "test_task[two:Pairs]"} <= {case.get("name") for case in cases}
    assert all((folder / path).is_dir() for path in job["cache"]["paths"] if path != ".hub")

    shutil.copy(RECIPES / "shell" / "gate.sh", folder)
    code, output = play(folder, "./gate.sh two one --device cpu -m sts")
    assert code == 9, output
    assert "unchanged since: all" in output
    assert output.endswith("inconclusive: add samples, or accept it with --inconclusive pass\n")
    assert "two:Pairs" in (folder / "summary.md").read_text()


def test_jobs_of_gitlab_in_parallel_and_one_that_decides(folder: Path) -> None:
    jobs = load("parallel.gitlab-ci.yml")
    measure, decide = jobs["measure"], jobs["decide"]
    assert decide["rules"][0]["when"] == "always"
    for number in range(1, measure["parallel"] + 1):
        nodes = {"CI_NODE_INDEX": str(number), "CI_NODE_TOTAL": str(measure["parallel"])}
        code, output = play(folder, measure["script"][0], **nodes)
        assert code == 0, output
        (kept,) = measure["artifacts"]["paths"]
        assert kept in measure["cache"]["paths"]
        assert (folder / kept.replace("$CI_NODE_INDEX", str(number))).is_dir()
    code, output = play(folder, decide["script"][0])
    assert code == 0, output
    assert "by 4 of 4 shards" in output
    assert all((folder / path).is_file() for path in decide["artifacts"]["paths"])


@pytest.mark.parametrize("name", [".gitlab-ci.yml", "parallel.gitlab-ci.yml"])
def test_jobs_of_gitlab_install_a_cpu_build_first_and_have_their_reports_after_a_failure_too(name: str) -> None:
    pipeline = load(name)
    base = pipeline.get(".evals", {})
    jobs = {key: base | job for key, job in pipeline.items() if isinstance(job, dict) and not key.startswith(".")}
    for job in jobs.values():
        assert [command.split()[2].strip('"') for command in job["before_script"]] == [
            "torch",
            "touchstone-evals",
        ]
        assert job["artifacts"]["when"] == "always"
        assert ("CANDIDATE" in job.get("variables", {})) == any("CANDIDATE" in line for line in job["script"])
        assert job.get("stage", "test") in pipeline.get("stages", ["test"])


def test_the_script_is_one() -> None:
    assert subprocess.run(["bash", "-n", str(RECIPES / "shell" / "gate.sh")], check=False).returncode == 0
