"""The libraries and the machine that a number was measured with."""

import gc
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from operator import attrgetter
from pathlib import Path
from typing import Any

from touchstone.foreign import SECRET, hide_secrets
from touchstone.formatting import render_size, shorten

PACKAGES = ("touchstone-evals", "mteb", "sentence-transformers", "transformers", "torch", "datasets", "scikit-learn",
            "scipy", "numpy", "onnxruntime", "onnxruntime-gpu", "openvino")  # fmt: skip


# Prefixes of environment variables that choose precision, kernels or attention, and the exceptions among their names.
COMPUTE_VARIABLES = (
    "TORCH", "PYTORCH", "NVIDIA_TF32", "CUBLAS", "CUDNN", "MKL_", "ONEDNN", "DNNL", "ATEN_", "XFORMERS",
    "FLASH_ATTENTION", "NPY_", "OPENBLAS_CORETYPE", "ACCELERATE_", "ORT_", "OPENVINO_", "OV_",
)  # fmt: skip
NOT_COMPUTING = {"MKL_NUM_THREADS", "TORCH_HOME", "TORCH_LOGS", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF",
                 "TORCH_SHOW_CPP_STACKTRACES", "TORCHINDUCTOR_CACHE_DIR", "TORCH_EXTENSIONS_DIR"}  # fmt: skip
# Flags of torch, by their place in it, with their defaults.
FLAGS = {
    "get_float32_matmul_precision": "highest",
    "backends.cuda.matmul.allow_tf32": "False",
    "backends.cudnn.allow_tf32": "True",
    "backends.cuda.matmul.allow_fp16_reduced_precision_reduction": "True",
    "backends.cuda.matmul.allow_bf16_reduced_precision_reduction": "True",
    "backends.cuda.flash_sdp_enabled": "True",
    "backends.cuda.mem_efficient_sdp_enabled": "True",
    "backends.cuda.math_sdp_enabled": "True",
    "backends.cudnn.deterministic": "False",
    "backends.cudnn.benchmark": "False",
    "backends.mkldnn.enabled": "True",
    "are_deterministic_algorithms_enabled": "False",
    "get_default_dtype": "torch.float32",
}

# What git is called with, for any repository: no commands of its configuration, no network, no writing, no questions.
GIT_SECONDS = 10
CEILING = "GIT_CEILING_DIRECTORIES"  # the one variable of git that stays: it only limits git's search for a repository
GIT_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "none", "GIT_CONFIG_NOSYSTEM": "1", "GIT_LITERAL_PATHSPECS": "1", "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C",
}  # fmt: skip
GIT_SETTINGS = {
    "core.fsmonitor": "false", "core.hooksPath": os.devnull, "credential.helper": "", "gc.auto": "0",
    "safe.bareRepository": "explicit",
}  # fmt: skip


def available_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_environment() -> dict[str, str]:
    """Return the versions of Python and of every library that can change a score; imports none of them."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def kernel_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of this process that change how numbers are computed, where they are not the default.

    These are environment variables of torch and of the libraries below it, and torch's own flags if torch is loaded:
    code that sets a flag is covered by its own hash. Numbers of threads are not among them.
    """
    names = [name for name in environ if name.startswith(COMPUTE_VARIABLES) and not SECRET.search(name)]
    settings = {name: hide_secrets(environ[name]) for name in names if name not in NOT_COMPUTING}
    torch = sys.modules.get("torch")
    if torch is None:
        return settings
    flags = {path: _flag(torch, path) for path in FLAGS}
    return settings | {path: value for path, value in flags.items() if value not in (None, FLAGS[path])}


def _flag(torch: Any, path: str) -> str | None:
    try:
        value = attrgetter(path)(torch)
        return str(value() if callable(value) else value)
    except (AttributeError, RuntimeError):  # another version of torch, or built without that part
        return None


@cache
def describe_processor() -> str:
    """Return the name of the processor, or of its architecture where the name is not known: ``AMD EPYC 7B13``."""
    name = ""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.partition(":")[2] for line in lines if line.startswith("model name")), "")
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.SubprocessError):
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            name = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    plain = re.sub(r"\((R|TM|r|tm)\)|\bCPU\b|\bProcessor\b|@.*", " ", name or platform.processor())
    return shorten(" ".join(plain.split()), 80) or platform.machine() or "a processor"


def describe_memory() -> str:
    """Return the peak memory of this process and the memory that it may use, as a clause."""
    try:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *resource.getrlimit(resource.RLIMIT_AS)]
        total = min(limit for limit in limits if limit != resource.RLIM_INFINITY)
    except (ImportError, ValueError, OSError):  # not on this system
        return "the size of the memory is not known here"
    return f"this process took up to {render_size(peak)} of {render_size(total)}"


def installed_for_good() -> bool:
    """Return True if no library that can change a score is an editable install."""
    for package in PACKAGES[1:]:
        try:
            if is_editable(distribution(package)):
                return False
        except PackageNotFoundError:
            continue
    return True


def is_editable(package: Distribution) -> bool:
    """Return True if a package is a checkout that may change at any time."""
    origin = package.read_text("direct_url.json")
    return origin is not None and bool(json.loads(origin).get("dir_info", {}).get("editable"))


def find_commit(folder: Path) -> str | None:
    """Return the commit of a folder, 12 hex digits and a plus where files differ from it; None without git.

    A repository's filters would run for files that look changed, so all filters are overridden: git before 2.43 cannot
    ignore attributes. A file that `git lfs` replaced thus counts as changed once its time has changed.
    """
    commit = ask_git(folder, "rev-parse", "--verify", "--quiet", "--short=12", "HEAD")
    if commit is None:
        return None
    names = ask_git(folder, "config", "-z", "--name-only", "--get-regexp", r"^filter\.") or b""
    filters = {os.fsdecode(name).rpartition(".")[0] for name in names.split(b"\0") if name}
    off = {"clean": "", "smudge": "", "process": "", "required": "false"}
    settings = {f"{driver}.{key}": value for driver in filters for key, value in off.items()}
    status = ask_git(
        folder, "status", "--porcelain", "-z", "--untracked-files=no", "--no-renames", "--ignore-submodules=dirty",
        settings=settings,
    )  # fmt: skip
    return None if status is None else commit.decode().strip() + "+" * bool(status)


def ask_git(folder: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> bytes | None:
    """Return the output of git in a folder; None where git fails, takes too long, or is not installed.

    The repository may be a stranger's: nothing that its configuration names is run, nothing is fetched or written.

    Args:
        folder: in the repository.
        arguments: of git.
        settings: of git, over those of the repository.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name == CEILING}
    pairs = {**GIT_SETTINGS, **(settings or {})}
    environ |= GIT_ENVIRONMENT | {"GIT_CONFIG_COUNT": str(len(pairs))}
    for number, (name, value) in enumerate(pairs.items()):
        environ |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    # Not in the folder itself, where a relative place in PATH might find another git.
    command = ["git", "--no-pager", "-C", str(folder), *arguments]
    try:
        process = subprocess.run(
            command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=GIT_SECONDS
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):  # ValueError: an argument with a NUL
        return None
    return process.stdout if process.returncode == 0 else None


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Disable the garbage collector, and enable it again if it was enabled before."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
