"""Runs on a real cluster of Ray on this machine: the records of a run here, whoever dies meanwhile."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.session.test_shards import project, run, said
from touchstone.measuring.engines.ray import ActorResult, Failed, Lost
from touchstone.plugin.actors import _take_in
from touchstone.records.runs import Run
from touchstone.schedule.dispatch import Job
from touchstone.schedule.spreading import MAX_DEATHS, Spread
from touchstone.store.runs import load_runs

__all__ = ["project"]
ROOT = Path(__file__).parent.parent.parent
LONGEST = 300.0


@pytest.fixture(scope="module")
def whole(project: Path) -> Run:
    """The run in one process."""
    (project / "conftest.py").write_text('pytest_plugins = ["touchstone.plugin"]\n')
    (project / "evals").mkdir(exist_ok=True)
    (project / "evals" / "test_tasks.py").write_text((ROOT / "evals" / "test_tasks.py").read_text())
    return run(project, "whole").run


class Machines:
    """Three machines on one: each has a raylet of its own, with room for one actor."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        self.others = [self.cluster.add_node(num_cpus=1) for _ in range(2)]

    def start(self, project: Path, store: str, *more: str) -> "subprocess.Popen[str]":
        # The last digits of a vector depend on its batch: those of the run here are there, so that all are equal.
        shutil.copytree(project / "whole" / "embeddings", project / store / "embeddings", dirs_exist_ok=True)
        command = [sys.executable, "-m", "pytest", "evals", "--engine", "ray", "--ray-address", self.cluster.address]
        command += ["--suite", "suite.toml", "--models", "models.toml", "--device", "cpu", "--store", store, *more]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_") and name != "CI"}
        environ["COLUMNS"] = "200"
        return subprocess.Popen(command, cwd=project, env=environ, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)  # fmt: skip


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "evals"), str(ROOT)]))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    found = Machines()
    yield found
    found.cluster.shutdown()  # type: ignore[no-untyped-call]


def record_of(project: Path, store: str) -> Run | None:
    runs = load_runs(project / store)
    return runs[-1] if runs else None


def wait_for(project: Path, store: str, enough: Callable[[int], bool], process: "subprocess.Popen[str]") -> None:
    """Wait until so many cases are measured."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end and process.poll() is None:
        found = record_of(project, store)
        if found is not None and enough(sum(record.score is not None for record in found.records)):
            return
        time.sleep(0.2)
    raise AssertionError(f"it did not come so far: {process.communicate()[0]}")


def compare(project: Path, store: str, whole: Run) -> None:
    found = record_of(project, store)
    assert found is not None
    assert [of(record) for record in found.records] == [of(record) for record in whole.records]
    assert found.suites == whole.suites


def of(record: Any) -> dict[str, Any]:
    return {name: value for name, value in said(record).items() if name != "command"}


def test_on_three_machines_the_records_are_those_of_one_process(project: Path, whole: Run, machines: Machines) -> None:
    process = machines.start(project, "three", "--split-texts", "150", "--color=yes")
    output, _ = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, output
    assert "one: PASS" in output
    assert re.search(r"\d of 6 cases done, about \d+ s left; \w+:\w+: [a-z]+", output), "what an actor does is told"
    compare(project, "three", whole)
    again = machines.start(project, "three", "--split-texts", "150")
    output, _ = again.communicate(timeout=LONGEST)
    assert again.returncode == 0, output
    found = record_of(project, "three")
    assert found is not None
    assert all(record.reused for record in found.records)


def test_an_actor_that_is_killed_costs_the_case_that_it_ran(project: Path, whole: Run, machines: Machines) -> None:
    process = machines.start(project, "killed")
    wait_for(project, "killed", lambda done: done >= 1, process)
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    actors = [int(line.split()[0]) for line in listed.splitlines() if "ray::Worker" in line]
    os.kill(actors[0], signal.SIGKILL)
    output, _ = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, output
    compare(project, "killed", whole)


def test_a_machine_that_goes_costs_the_case_that_it_ran(project: Path, whole: Run, machines: Machines) -> None:
    process = machines.start(project, "gone")
    wait_for(project, "gone", lambda done: done >= 1, process)
    machines.cluster.remove_node(machines.others[0])
    output, _ = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, output
    compare(project, "gone", whole)


def test_a_driver_that_is_killed_goes_on_where_it_was(project: Path, whole: Run, machines: Machines) -> None:
    process = machines.start(project, "restarted")
    wait_for(project, "restarted", lambda done: done >= 2, process)
    process.kill()
    process.communicate()
    before = record_of(project, "restarted")
    assert before is not None
    done = {record.case for record in before.records if record.score is not None}
    second = machines.start(project, "restarted")
    output, _ = second.communicate(timeout=LONGEST)
    assert second.returncode == 0, output
    compare(project, "restarted", whole)
    after = record_of(project, "restarted")
    assert after is not None
    assert done <= {record.case for record in after.records if record.reused}


def test_workers_of_xdist_beside_it_are_a_usage_error(project: Path, whole: Run) -> None:
    command = [sys.executable, "-m", "pytest", "evals", "--engine", "ray", "-n", "2", "--suite", "suite.toml"]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "evals"), str(ROOT)])}
    found = subprocess.run(command, cwd=project, env=environ, text=True, capture_output=True, check=False)
    assert found.returncode == 4
    assert "--engine ray spreads cases over a cluster itself; leave out -n and --pdb" in found.stderr


def test_a_case_that_kills_its_actors_is_an_error_in_the_end() -> None:
    job = Job(items=(0,), seconds=1.0)
    spread = Spread([job], {})
    for death in range(1, MAX_DEATHS + 1):
        assert _take_in(spread, 0, None) is None
        assert spread.hand_out(0.0) == [(0, job)]
        found = _take_in(spread, 0, Lost(reason="killed"))
        assert (found is None) == (death < MAX_DEATHS)
    assert found is not None
    assert found[1] == Failed(error="3 actors died while they ran it, the last: killed")
    assert spread.ended


def test_what_comes_back_ends_its_job() -> None:
    job, given = Job(items=(0,), seconds=1.0), ActorResult(outcome=None)
    spread = Spread([job], {})
    _take_in(spread, 0, None)
    spread.hand_out(0.0)
    assert _take_in(spread, 0, given) == (job, given)
    assert _take_in(spread, 0, Lost(reason="it was idle")) is None
