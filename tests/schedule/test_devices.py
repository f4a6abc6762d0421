from pathlib import Path

import pytest

from touchstone.schedule.devices import THREADS, device_of_worker, share_threads, visible_devices


@pytest.mark.parametrize(
    ("workers", "cores", "share"), [(2, 8, "4"), (3, 8, "2"), (8, 2, "1"), (1, 16, "16"), (0, 4, "4")]
)
def test_each_worker_gets_an_equal_share_of_the_cores_and_at_least_one(workers: int, cores: int, share: str) -> None:
    assert share_threads(workers, cores, {}) == dict.fromkeys(THREADS, share)


def test_a_number_of_threads_that_the_user_set_stays() -> None:
    shared = share_threads(2, 8, {"OMP_NUM_THREADS": "7", "HOME": "/"})
    assert shared == {name: "4" for name in THREADS if name != "OMP_NUM_THREADS"}


@pytest.mark.parametrize(
    ("variable", "devices"),
    [
        ("0,1", ("0", "1")),
        (" 2 , 5 ", ("2", "5")),
        ("GPU-8932f937,MIG-1234", ("GPU-8932f937", "MIG-1234")),
        ("", ()),
        ("-1", ()),
        ("0,-1,1", ("0",)),  # CUDA sees only what stands before the first name that is none
    ],
)
def test_the_environment_decides_which_devices_there_are(variable: str, devices: tuple[str, ...]) -> None:
    assert visible_devices({"CUDA_VISIBLE_DEVICES": variable}) == devices


@pytest.mark.parametrize(
    ("script", "devices"),
    [
        (
            "echo 'GPU 0: H200 (UUID: GPU-a)'; echo '  MIG 1g.18gb Device 0:'; echo 'GPU 1: H200 (UUID: GPU-b)'",
            ("0", "1"),
        ),
        ("echo 'NVIDIA-SMI has failed because it could not communicate with the driver.'; exit 9", ()),
        ("echo 'No devices were found'", ()),
    ],
)
def test_the_drivers_tool_is_asked_where_the_environment_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, devices: tuple[str, ...]
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_devices({}) == devices


def test_there_are_no_devices_where_there_is_no_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_devices({}) == ()


@pytest.mark.parametrize(
    ("worker", "devices", "device"),
    [
        ("gw0", ["2", "5"], "2"),
        ("gw1", ["2", "5"], "5"),
        ("gw2", ["2", "5"], "2"),
        ("gw11", ["0", "1", "2"], "2"),
        ("master", ["4"], "4"),
        ("gw3", [], None),
    ],
)
def test_workers_take_the_devices_in_turn(worker: str, devices: list[str], device: str | None) -> None:
    assert device_of_worker(worker, devices) == device
