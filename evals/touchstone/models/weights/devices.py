"""Devices of models: found, named, and what else decides the rounding of a vector."""

import os

from touchstone.config.models import Model
from touchstone.environment import available_cores, describe_environment, describe_processor, kernel_settings
from touchstone.errors import ModelError
from touchstone.formatting import count

# The device of a model behind an API.
API_DEVICE = "api"


def find_device(_model: Model, device: str) -> str:
    """Return where a model that is loaded here computes: the device asked for, or the one that ``auto`` stands for.

    Raises:
        ModelError: this machine has no such device.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    name, _, number = device.partition(":")
    if name == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"--device {device}: this machine has {torch.cuda.device_count()} such devices; use --device auto"
        )
    if name == "mps" and not torch.backends.mps.is_available():
        raise ModelError("--device mps: this machine has no such device; use --device auto")
    return device


def computed_by(device: str) -> dict[str, str]:
    """Return what decides the rounding of a vector beside its model: a device's kind, and the libraries' versions."""
    import torch

    versions = describe_environment()
    kind = device.partition(":")[0]
    libraries = ["torch", "transformers", "sentence-transformers", "onnxruntime", "onnxruntime-gpu", "openvino"]
    return {
        "device": torch.cuda.get_device_name(device) if kind == "cuda" else kind,
        **{name: versions[name] for name in libraries if name in versions},
        **kernel_settings(os.environ),
    }


def describe_machine(device: str, *, at_once: int = 1, workers: int = 1) -> str:
    """Describe the machine that a speed depends on: two speeds are compared only where this text is the same.

    Args:
        device: where the model computes; an API is seen from where its answers are waited for.
        at_once: requests under way at once, of an API.
        workers: processes that share the machine in this run.
    """
    import torch

    kind = device.partition(":")[0]
    cores = f"{describe_processor()}, {count(available_cores(), 'core')}"
    if kind == "cuda" and torch.cuda.is_available():
        machine = torch.cuda.get_device_name(device)
    elif device == API_DEVICE:
        machine = f"a server, {count(at_once, 'request')} at once from {cores}"
    else:
        machine = f"{cores}, {count(torch.get_num_threads(), 'thread') if kind == 'cpu' else kind}"
    return machine if workers == 1 else f"{machine}, 1 of {workers} workers"
