"""A project of 24 cases, run as a user does, in processes of their own; and whether two of its runs say the same."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.encoders import save_tiny_model
from touchstone.config.suites import BUILT_IN

ROOT = Path(__file__).parent.parent.parent
MODELS = tuple(f"tiny{number}" for number in range(4))
# What no two runs have in common, and what one that goes on has otherwise than one that began anew.
MAY_DIFFER = {"seconds", "phases", "speed", "command", "encoded", "reused", "texts"}


@dataclass(frozen=True)
class Ended:
    """A process that ended: its exit code, all that it printed, and how long it took, in seconds."""

    code: int
    said: str
    seconds: float

    @property
    def traceback(self) -> bool:
        """Whether it ended as no program should."""
        return "Traceback (most recent call last)" in self.said or "INTERNALERROR" in self.said


@dataclass
class Project:
    """A project's folder; ``under`` is a command that its processes are run under."""

    folder: Path
    under: tuple[str, ...] = ()

    @classmethod
    def make(cls, folder: Path) -> "Project":
        """Write models, a suite, the test and the conftest, and record the baselines."""
        folder.mkdir(parents=True, exist_ok=True)
        for seed, name in enumerate(MODELS):
            save_tiny_model(folder / name, seed=seed)
        (folder / "evals").mkdir()
        (folder / "evals" / "test_tasks.py").write_text("from touchstone.test_tasks import *  # noqa: F403\n")
        suite = (BUILT_IN / "smoke.toml").read_text().replace("../data", str(BUILT_IN.parent / "data"))
        models = json.dumps([f"./{name}" for name in MODELS])
        (folder / "suite.toml").write_text(suite.replace('["minilm"]', models))
        shutil.copy(Path(__file__).with_name("beside.py"), folder / "conftest.py")
        (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '-p touchstone.plugin'\n")
        made = cls(folder)
        first = made.run("--baseline", "update", "--store", "first")
        assert first.code == 0, first.said
        return made

    def copy(self, folder: Path, *, store: bool = False) -> "Project":
        """Return another project with the same models and baselines, and with the store of this one if asked."""
        left = () if store else (".touchstone",)
        shutil.copytree(
            self.folder, folder, ignore=shutil.ignore_patterns("first", "struck", "run.json", "__pycache__", *left)
        )
        return Project(folder)

    def start(self, *more: str, **env: str) -> "subprocess.Popen[str]":
        """Start a run."""
        command = [*self.under, sys.executable, "-m", "pytest", "evals", "-p", "no:cacheprovider", "-p", "no:randomly",
                   "--suite", "suite.toml", "--device", "cpu", "--report", "run.json", *more]  # fmt: skip
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, *more: str, timeout: float = 180, **env: str) -> Ended:
        """Run all cases, or those chosen."""
        return self.wait(self.start(*more, **env), timeout)

    def wait(self, process: "subprocess.Popen[str]", timeout: float = 180) -> Ended:
        """Return how a process ended; one that hangs is killed, with all that it started.

        Raises:
            TimeoutError: it hung.
        """
        began = time.monotonic()
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            raise TimeoutError(f"hung: {said[-3000:]}") from None
        return Ended(process.returncode, said, time.monotonic() - began)

    def command(self, *arguments: str, **env: str) -> Ended:
        """Run the command ``touchstone``."""
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "touchstone", *arguments], cwd=self.folder, env=self.environment(env), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, time.monotonic() - began)

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of its processes."""
        quiet = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "TOUCHSTONE"))}
        ours = {"PYTHONPATH": str(ROOT / "evals"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CI": "1"}
        return {**quiet, **ours, **more}

    def report(self) -> dict[str, Any]:
        """Return the report of the last run."""
        said: dict[str, Any] = json.loads((self.folder / "run.json").read_text())
        return said

    def stored(self) -> list[dict[str, Any]]:
        """Return the newest run record of the store, in a list; older ones may be damaged."""
        files = [path for path in sorted((self.folder / ".touchstone/runs").glob("*.json")) if path.is_file()]
        try:
            return [json.loads(path.read_bytes()) for path in files[-1:]]
        except ValueError:  # of an earlier run: this one wrote none
            return [{"records": []}]

    def forget_report(self) -> None:
        """Remove the report of the last run."""
        (self.folder / "run.json").unlink(missing_ok=True)


def essence(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two runs of one project have in common, by case and suite."""
    cases = {row["case"]: {key: value for key, value in row.items() if key not in MAY_DIFFER} for row in run["records"]}
    return cases | {f"suite {suite['model']}": suite for suite in run["suites"]}


def differences(found: Mapping[str, Any], truth: Mapping[str, Any]) -> list[str]:
    """Return a line for each case of which a run says something else than the truth, numbers apart from errors."""
    lines = []
    for name in truth:
        one = found.get(name)
        if one is None:
            lines.append(f"lost: {name}")
        elif one != truth[name]:
            keys = [key for key in truth[name] if one.get(key) != truth[name][key]]
            lines.append(f"other: {name}: {[(key, one.get(key), truth[name][key]) for key in keys][:3]}")
    return lines


def wrong_numbers(found: Mapping[str, Any], truth: Mapping[str, Any]) -> list[str]:
    """Return the cases of which a run says another score or verdict than the truth; an error is neither."""
    return [
        f"wrong: {row['case']}: {row['score']} {row['verdict']}"
        for row in found["records"]
        if row["score"] is not None and row["outcome"] != "error"
        and (row["score"], row["verdict"]) != (truth[row["case"]]["score"], truth[row["case"]]["verdict"])
    ]  # fmt: skip


def unreported(run: Mapping[str, Any], cases: Sequence[str]) -> list[str]:
    """Return the cases that a run says nothing of."""
    return sorted(set(cases) - {row["case"] for row in run["records"]})
