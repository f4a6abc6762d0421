"""The libraries and the machine that a number was measured with."""

import platform
from importlib.metadata import PackageNotFoundError, version

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
