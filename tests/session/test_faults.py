"""A hub that answers badly, in processes of their own: a few rounds of tests/benchmarks/faults.py, and more."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import faults
from tests.benchmarks.faults import TASKS, Fault, install, judge, make_hub, play, run
from tests.hub import Handler, Hub, serve


@pytest.fixture(scope="module")
def hub(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serve() as served:
        make_hub(served, tmp_path_factory.mktemp("hub"))
        yield served


@pytest.fixture(scope="module")
def truth(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = run(hub, tmp_path_factory.mktemp("truth"))
    assert all(isinstance(score, float) for score in found.values()), found
    return found


@pytest.fixture(autouse=True)
def well_again(hub: Hub) -> Iterator[None]:
    hub.requests.clear()
    yield
    hub.fault = None


@pytest.mark.parametrize(
    ("fault", "errors"),
    [
        (Fault("503", "biosses", 10_000, 1.0, 1), 1),  # one case alone
        (Fault("cut", "model.safetensors", 10_000, 1.0, 1), 3),
    ],
)
def test_a_bad_answer_is_an_error_and_then_the_truth(
    hub: Hub, truth: dict[str, Any], fault: Fault, errors: int, tmp_path: Path
) -> None:
    assert play(hub, tmp_path, fault, truth, offline=True) == (f"{errors} of 3 ERROR", [])


@pytest.mark.parametrize("place", ["/api/models/", "/api/datasets/"])
def test_half_a_list_of_files_is_asked_for_again(hub: Hub, truth: dict[str, Any], place: str, tmp_path: Path) -> None:
    """Of a model as of a data set that cannot be read."""
    what, wrong = play(hub, tmp_path, Fault("half a list", place, 10_000, 1.0, 1), truth, offline=True)
    assert (what != "not struck", wrong) == (True, [])


def test_a_model_is_tried_again_after_a_failure_of_the_network(hub: Hub, truth: dict[str, Any], tmp_path: Path) -> None:
    # The first case's patience ends, the next one's question is answered.
    install(hub, Fault("503", "model.safetensors", 1, 1.0, 1))
    found = run(hub, tmp_path, patience=0)
    assert [isinstance(said, str) for said in found.values()] == [True, False, False]
    assert "not model.safetensors: HTTP 503" in next(iter(found.values()))
    assert not judge(found, truth)


def test_two_workers_bring_each_file_once(hub: Hub, truth: dict[str, Any], tmp_path: Path) -> None:
    assert run(hub, tmp_path, "-n", "2") == truth
    given = [path for method, path, status in hub.requests if method == "GET" and status == 200 and "resolve" in path]
    assert len(given) == len(set(given))


def test_a_run_that_is_killed_in_a_download_goes_on_at_the_next_start(
    hub: Hub, truth: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[float] = []

    def dripping(handler: Handler, path: str) -> bool:
        hit = "model.safetensors" in path and handler.command == "GET" and "localhost" in handler.headers["Host"]
        if hit:
            content = handler.content_of(path)
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            started.append(time.monotonic())
            for at in range(0, len(content), 1000):
                handler.wfile.write(content[at : at + 1000])
                time.sleep(0.2)
        return hit

    hub.fault = dripping

    def killed(command: list[str], *, cwd: Path, env: dict[str, str], **_: Any) -> Any:
        with subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.DEVNULL) as process:
            while not started:
                time.sleep(0.05)
            time.sleep(0.5)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr("tests.benchmarks.faults.subprocess.run", killed)
        with pytest.raises(InterruptedError):
            run(hub, tmp_path)
    hub.fault = None
    given = {path for _, path, status in hub.requests if status == 200 and "resolve" in path}
    before = {path for path in given if "safetensors" not in path}
    hub.requests.clear()
    assert run(hub, tmp_path) == truth
    again = {path for method, path, _ in hub.requests if method == "GET"}
    assert before
    assert not before & again


def test_offline_is_offline(hub: Hub, truth: dict[str, Any], tmp_path: Path) -> None:
    """No request, no name looked up: also where the store keeps no outcome, and what is missing is one sentence."""
    assert run(hub, tmp_path) == truth
    hub.requests.clear()
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(
        f"""import socket
def refuse(*asked, **more):
    open({str(tmp_path / "asked")!r}, "a").write(repr(asked))
    raise OSError("no network here")
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
socket.socket.connect = socket.socket.connect_ex = refuse
"""
    )
    path = os.pathsep.join((str(tmp_path / "guard"), str(faults.ROOT / "evals")))
    for more in ((), ("--overwrite",)):
        assert run(hub, tmp_path, "--offline", *more, path=path) == truth
    assert not hub.requests
    assert not (tmp_path / "asked").exists()
    missing = run(hub, tmp_path / "guard", "--offline", path=path)
    assert set(missing) == set(TASKS)
    says = "is not in the cache, or not all of it, and the run is offline; run once online"
    assert all(says in said for said in missing.values())
    assert not (tmp_path / "asked").exists()


def test_the_table_of_faults_counts_what_is_wrong() -> None:
    assert judge({"a": 0.5, "b": "an error"}, {"a": 0.5, "b": 0.1}) == []
    assert judge({"a": 0.6}, {"a": 0.5, "b": 0.1}) == ["a: 0.6, not 0.5", "b: None, not 0.1"]
    assert json.loads(faults.halved(b'{"siblings": [1, 2, 3]}')) == {"siblings": [1, 3]}
    assert faults.halved(b"x") == b"x"
