"""What pytest-xdist's workers need before they import numpy or torch: their share of cores and devices."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from itertools import takewhile

# Two workers with two threads each took 17.5 s where one thread each took 3.4 s, on two cores.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


def share_threads(workers: int, cores: int, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that give each worker its share of the cores; those that are set already stay."""
    share = str(max(1, cores // max(1, workers)))
    return {name: share for name in THREADS if name not in environ}


def visible_devices(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the CUDA devices that this process may use, without importing torch.

    ``CUDA_VISIBLE_DEVICES`` decides where it is set; else the driver's own tool is asked.
    """
    value = environ.get("CUDA_VISIBLE_DEVICES")
    if value is not None:
        names = [name.strip() for name in value.split(",")]
        # CUDA itself stops at the first name that is none.
        return tuple(takewhile(lambda name: name and not name.startswith("-"), names))
    count = sum(line.startswith("GPU ") for line in _ask_driver("-L"))
    return tuple(str(number) for number in range(count))


def _ask_driver(*questions: str) -> list[str]:
    """Return the lines that the driver's own tool prints; none without it, or where it hangs."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        result = subprocess.run([tool, *questions], capture_output=True, text=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:  # a driver that hangs has no device to give
        return []
    return result.stdout.splitlines()


def name_devices(environ: Mapping[str, str], system: str) -> str:
    """Return what ``auto`` can choose among, for a key: another model of GPU computes other last digits.

    Args:
        environ: this process's.
        system: as `platform.system` has it.
    """
    if not visible_devices(environ):
        return "mps or cpu" if system == "Darwin" else "cpu"
    return " + ".join(sorted(set(_ask_driver("--query-gpu=name", "--format=csv,noheader")))) or "cuda"


def device_of_worker(worker: str, devices: Sequence[str]) -> str | None:
    """Return the device of worker ``gw0``, ``gw1``, …: in turn, when there are more workers than devices."""
    digits = "".join(character for character in worker if character.isdigit())
    return devices[int(digits or 0) % len(devices)] if devices else None
