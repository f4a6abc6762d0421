"""The libraries and the machine that a number was measured with."""

import json
import platform
import subprocess
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path

PACKAGES = ("touchstone-evals", "mteb", "sentence-transformers", "transformers", "torch", "datasets", "scikit-learn",
            "scipy", "numpy")  # fmt: skip


def describe_environment() -> dict[str, str]:
    """Return the versions of Python and of every library that can change a score; imports none of them."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def installed_for_good() -> bool:
    """Say whether every library that can change a score is what its version says: one under development is not."""
    for package in PACKAGES[1:]:
        try:
            if is_editable(distribution(package)):
                return False
        except PackageNotFoundError:
            continue
    return True


def is_editable(package: Distribution) -> bool:
    """Say whether a package is a checkout that may change at any time."""
    said = package.read_text("direct_url.json")
    return said is not None and bool(json.loads(said).get("dir_info", {}).get("editable"))


def find_commit(folder: Path) -> str | None:
    """Return the commit checked out there, 12 hex digits and a plus where files differ from it; None without git."""
    found = ask_git(folder, "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+")
    return found.decode().strip() or None if found else None


def ask_git(folder: Path, *arguments: str) -> bytes | None:
    """Return what git prints in a folder; None where it refuses, or is not there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None
