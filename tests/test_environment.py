import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

import evals.environment
from evals.baselines import ENV_KEPT
from evals.environment import describe_environment
from evals.gate import CLUSTERING_ENV


def test_the_versions_are_those_of_the_installed_libraries() -> None:
    found = describe_environment()

    assert found["python"] == ".".join(str(part) for part in sys.version_info[:3])
    for package in ("mteb", "torch", "scikit-learn", "numpy", "sentence-transformers", "transformers"):
        assert found[package] == version(package)


def test_everything_that_the_gate_compares_and_a_baseline_keeps_is_described() -> None:
    assert {*ENV_KEPT, *CLUSTERING_ENV} <= set(describe_environment())


def test_a_library_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_scipy(package: str) -> str:
        if package == "scipy":
            raise PackageNotFoundError(package)
        return "1.0"

    monkeypatch.setattr(evals.environment, "version", no_scipy)

    found = describe_environment()

    assert "scipy" not in found
    assert found["numpy"] == "1.0"


def test_describing_the_environment_imports_none_of_it() -> None:
    code = (
        "import sys; from evals.environment import describe_environment; assert 'torch' in describe_environment(); "
        "print({'torch', 'mteb', 'sklearn', 'scipy', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
