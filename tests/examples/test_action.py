"""The example of a GitHub Action, its steps played in a shell, with a ``gh`` that keeps comments in a file."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.examples.test_shards import environ

ROOT = Path(__file__).parent.parent.parent
ACTION = ROOT / "docs" / "examples" / "action"
STEPS: list[dict[str, Any]] = yaml.safe_load((ACTION / "action.yml").read_text())["runs"]["steps"]
INPUTS: dict[str, dict[str, str]] = yaml.safe_load((ACTION / "action.yml").read_text())["inputs"]
BASH = str(shutil.which("bash"))
GH = """#!{python}
import json, os, sys
from pathlib import Path
kept = Path(os.environ["COMMENTS"])
comments = json.loads(kept.read_text())
arguments = sys.argv[2:]
method = arguments[arguments.index("--method") + 1] if "--method" in arguments else "GET"
(path,) = (it for it in arguments if it.startswith("repos/"))
assert sys.argv[1] == "api" and os.environ["GH_TOKEN"] == "t0ken"
if method == "GET":
    assert path == "repos/o/r/issues/7/comments?per_page=100" and "--paginate" in arguments
    sys.exit(print("".join(json.dumps([comment]) for comment in comments)))
if "FORK" in os.environ:
    sys.exit("gh: Resource not accessible by integration (HTTP 403)")
body = json.load(sys.stdin)["body"]
if method == "POST":
    assert path == "repos/o/r/issues/7/comments"
    comments.append({{"id": 100 + len(comments), "user": {{"login": "github-actions[bot]"}}, "body": body}})
else:
    (comment,) = (it for it in comments if path == f"repos/o/r/issues/comments/{{it['id']}}")
    comment["body"] = body
kept.write_text(json.dumps(comments))
"""
# Whoever comments can write the hidden line, too.
STRANGER = {"id": 1, "user": {"login": "stranger"}, "body": "<!-- touchstone: evals --> mine"}


@dataclass(frozen=True)
class Job:
    """A runner's folders, and what it knows."""

    folder: Path

    @property
    def comments(self) -> list[dict[str, Any]]:
        comments: list[dict[str, Any]] = json.loads((self.folder / "comments.json").read_text())
        return comments

    def outputs(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in (self.folder / "output").read_text().splitlines())

    def play(self, step: str, known: Mapping[str, str], **more: str) -> "subprocess.CompletedProcess[str]":
        """Run a step as a runner does: expressions are put into its environment, and never into its script."""
        (row,) = (it for it in STEPS if it.get("id") == step)
        inputs = {f"inputs.{name}": entry.get("default", "") for name, entry in INPUTS.items()}
        values = inputs | {"github.token": "t0ken", "github.event.pull_request.number": "7"} | dict(known)
        env = {name: re.sub(r"\$\{\{ (.*?) \}\}", lambda it: values[it[1]], text)
               for name, text in row.get("env", {}).items()}  # fmt: skip
        script = self.folder / "script.sh"
        script.write_text(row["run"])
        given = environ(
            GITHUB_OUTPUT=str(self.folder / "output"), GITHUB_STEP_SUMMARY=str(self.folder / "job.md"),
            GITHUB_ACTION_PATH=str(ACTION), GITHUB_REPOSITORY="o/r", GITHUB_SERVER_URL="https://github.com",
            GITHUB_RUN_ID="5", RUNNER_TEMP=str(self.folder / "temp"), COMMENTS=str(self.folder / "comments.json"),
            PYTEST_ADDOPTS="-p no:cacheprovider", **env,
        )  # fmt: skip
        given["PATH"] = os.pathsep.join([str(self.folder / "bin"), given["PATH"]])
        command = [BASH, "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        return subprocess.run(
            command, cwd=self.folder / "work", env=given | more, capture_output=True, text=True, check=False
        )

    def comment(self, name: str = "evals", **more: str) -> str:
        """Play the step behind the gate, and return what it prints."""
        outputs = {f"steps.gate.outputs.{key}": value for key, value in self.outputs().items()}
        step = self.play("comment", outputs | {"inputs.name": name}, **more)
        assert step.returncode == 0, step.stderr
        return step.stdout


@pytest.fixture
def job(tmp_path: Path) -> Job:
    for name in ("bin", "temp", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin" / "gh").write_text(GH.format(python=sys.executable))
    (tmp_path / "bin" / "gh").chmod(0o755)
    (tmp_path / "comments.json").write_text(json.dumps([STRANGER]))
    return Job(tmp_path)


@pytest.fixture
def judged(job: Job) -> Job:
    """A job whose gate has failed, without the time that it takes."""
    (job.folder / "temp" / "summary.md").write_text("## touchstone: smoke\n\nFAIL\n")
    (job.folder / "output").write_text(f"reports={job.folder / 'temp'}\ncode=1\n")
    return job


def test_a_worse_candidate_fails_with_all_its_reports_and_then_a_good_run_updates_its_comment(job: Job) -> None:
    assert job.play("look", {}).returncode == 0
    assert job.outputs() == {"installed": "true"}
    inputs = {"inputs.suite": "smoke", "inputs.model": "minilm@truncate_dim=16", "inputs.against": "minilm"}
    gate = job.play("gate", inputs | {"inputs.args": "--device cpu -m 'sts or no_such'"})
    assert (gate.returncode, job.outputs()["code"]) == (1, "1"), gate.stdout
    reports = Path(job.outputs()["reports"])
    assert {path.name for path in reports.iterdir()} == {"report.html", "run.json", "summary.md", "junit.xml"}
    assert "SmokeSTS worse than expected" in (job.folder / "job.md").read_text()
    assert job.comment() == ""
    stranger, created = job.comments
    assert "SmokeSTS worse than expected" in created["body"]
    assert "https://github.com/o/r/actions/runs/5" in created["body"]

    gate = job.play("gate", inputs | {"inputs.args": "--device cpu -m sts --margin 0.2"})  # judged anew, as good enough
    assert (gate.returncode, job.outputs()["code"]) == (0, "0"), gate.stdout
    assert job.comment() == ""
    assert job.comments[0] == stranger == STRANGER
    (updated,) = job.comments[1:]
    assert updated["id"] == created["id"]
    assert "PASS of 1 of 6 cases" in updated["body"]
    assert "worse" not in updated["body"]


def test_text_of_inputs_is_never_a_command_or_an_option(job: Job) -> None:
    hostile = "$(touch pwned)`touch pwned`; touch pwned #"
    inputs = {"inputs.suite": hostile, "inputs.model": "--version", "inputs.args": "-m '*' $(touch pwned)"}
    gate = job.play("gate", inputs)
    assert gate.returncode == 4, gate.stdout + gate.stderr
    gate = job.play("gate", {"inputs.args": "'an open quote"})
    assert gate.returncode == 1
    assert "No closing quotation" in gate.stderr
    assert list((job.folder / "work").iterdir()) == []
    job.comment(name="evals --> $(touch pwned)")
    assert "Nothing was judged: exit code 4" in job.comments[-1]["body"]
    assert job.comments[-1]["body"].startswith("<!-- touchstone: evals----")
    assert list((job.folder / "work").iterdir()) == []


def test_two_gates_have_a_comment_each(judged: Job) -> None:
    for name in ("small", "large", "small"):
        judged.comment(name)
    assert [comment["body"].split("\n")[0] for comment in judged.comments[1:]] == [
        "<!-- touchstone: small -->", "<!-- touchstone: large -->",
    ]  # fmt: skip


def test_without_the_right_to_write_it_says_so_and_goes_on(judged: Job) -> None:
    printed = judged.comment(FORK="1")
    assert printed.startswith("::notice title=touchstone::no comment on the pull request: no right to write one")
    assert judged.comments == [STRANGER]


def test_without_gh_it_says_so_and_goes_on(judged: Job) -> None:
    alone = judged.folder / "alone"
    alone.mkdir()
    (alone / "python").symlink_to(sys.executable)
    assert "no comment on the pull request: gh is not installed" in judged.comment(PATH=str(alone))


def test_scripts_have_no_expressions_and_the_reports_come_after_a_failure_too() -> None:
    assert not [step["run"] for step in STEPS if "${{" in step.get("run", "")]
    behind = STEPS[[step.get("id") for step in STEPS].index("gate") + 1 :]
    assert [step.get("uses", step.get("id")) for step in behind] == ["actions/upload-artifact@v4", "comment"]
    assert all(step["if"].startswith("always() && ") for step in behind)


def test_the_workflow_gives_inputs_that_there_are_and_the_right_to_comment() -> None:
    workflow = yaml.safe_load((ACTION / "evals.yml").read_text())
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    *_, step = workflow["jobs"]["evals"]["steps"]
    assert step["uses"] == "./.github/actions/touchstone"
    assert step["with"].keys() <= INPUTS.keys()
