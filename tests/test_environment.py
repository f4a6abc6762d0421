import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import touchstone.environment
from touchstone.baselines.files import ENV_KEPT
from touchstone.environment import describe_environment, find_commit
from touchstone.task_types.registry import all_types


def test_the_versions_are_those_of_the_installed_libraries() -> None:
    found = describe_environment()

    assert found["python"] == ".".join(str(part) for part in sys.version_info[:3])
    for package in ("mteb", "torch", "scikit-learn", "numpy", "sentence-transformers", "transformers"):
        assert found[package] == version(package)


def test_everything_that_the_gate_compares_and_a_baseline_keeps_is_described() -> None:
    fitted_by = {library for one in all_types() for library in one.fitted_by}
    assert {"scikit-learn", "numpy", "mteb"} <= fitted_by
    assert {*ENV_KEPT, *fitted_by} <= set(describe_environment())


def test_a_library_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_scipy(package: str) -> str:
        if package == "scipy":
            raise PackageNotFoundError(package)
        return "1.0"

    monkeypatch.setattr(touchstone.environment, "version", no_scipy)

    found = describe_environment()

    assert "scipy" not in found
    assert found["numpy"] == "1.0"


def test_describing_the_environment_imports_none_of_it() -> None:
    code = (
        "import sys; from touchstone.environment import describe_environment; "
        "assert 'torch' in describe_environment(); "
        "print({'torch', 'mteb', 'sklearn', 'scipy', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def test_a_project_is_at_a_commit_and_a_changed_file_adds_a_plus(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    assert find_commit(tmp_path) is None
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-q", "-m", "one")
    assert find_commit(tmp_path) == git("rev-parse", "HEAD")[:12]
    (tmp_path / "b").write_text("not known to git")
    assert find_commit(tmp_path) == git("rev-parse", "HEAD")[:12]
    (tmp_path / "a").write_text("2")
    assert find_commit(tmp_path) == git("rev-parse", "HEAD")[:12] + "+"


def test_no_repository_or_no_git_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert find_commit(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_commit(Path(__file__).parent) is None
