import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import touchstone.environment
from touchstone.baselines.files import ENV_NAMES
from touchstone.environment import (
    ask_git,
    available_cores,
    describe_environment,
    describe_processor,
    find_commit,
    kernel_settings,
)
from touchstone.task_types.registry import all_types


def test_the_versions_are_those_of_the_installed_libraries() -> None:
    found = describe_environment()

    assert found["python"] == ".".join(str(part) for part in sys.version_info[:3])
    for package in ("mteb", "torch", "scikit-learn", "numpy", "sentence-transformers", "transformers"):
        assert found[package] == version(package)


def test_everything_that_the_gate_compares_and_a_baseline_keeps_is_described() -> None:
    fitted_by = {library for one in all_types() for library in one.fitted_by}
    assert {"scikit-learn", "numpy", "mteb"} <= fitted_by
    assert {*ENV_NAMES, *fitted_by} <= set(describe_environment())


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


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always"]
    done = subprocess.run([*command, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A repository whose files look changed and are not, so that git must read them again."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.txt").write_text("1")
    (folder / ".gitattributes").write_text('*.txt filter=x diff=x merge=x\n*.json filter="a=b c"\n')
    (folder / "b.json").write_text("{}")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    for name in ("a.txt", "b.json"):
        os.utime(folder / name, (1, 1))
    return folder


COMMANDS = [
    "core.fsmonitor", "core.sshCommand", "core.gitProxy", "core.editor", "core.pager", "core.askPass", "gpg.program",
    "diff.external", "diff.x.textconv", "diff.x.command", "merge.x.driver", "credential.helper", "alias.status",
    "alias.rev-parse", "pager.status", "pager.config", "filter.x.clean", "filter.x.smudge", "filter.x.process",
    "filter.a=b c.clean", "filter.a=b c.process", "uploadpack.packObjectsHook", "core.alternateRefsCommand",
]  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("included", [False, True])
def test_no_command_of_a_repository_runs(hostile: Path, name: str, included: bool) -> None:
    ran = hostile.parent / "ran"
    where = ("--file", str(hostile.parent / "more")) if included else ()
    git(hostile, "config", *where, name, f"touch '{ran}' #")
    if name.startswith("filter."):
        git(hostile, "config", *where, f"{name.rpartition('.')[0]}.required", "true")
    if included:
        git(hostile, "config", "include.path", str(hostile.parent / "more"))

    assert find_commit(hostile) == git(hostile, "rev-parse", "HEAD")[:12]
    assert ask_git(hostile, "cat-file", "blob", "HEAD:a.txt") == b"1"
    assert not ran.exists()


@pytest.mark.parametrize("hook", ["post-index-change", "fsmonitor-watchman", "reference-transaction"])
def test_no_hook_of_a_repository_runs(hostile: Path, hook: str) -> None:
    ran, before = hostile.parent / "ran", (hostile / ".git" / "index").read_bytes()
    for folder in (hostile / ".git" / "hooks", hostile.parent / "hooks"):
        folder.mkdir(exist_ok=True)
        (folder / hook).write_text(f"#!/bin/sh\ntouch '{ran}'\n")
        (folder / hook).chmod(0o755)
    assert find_commit(hostile) is not None
    git(hostile, "config", "core.hooksPath", str(hostile.parent / "hooks"))
    assert find_commit(hostile) is not None
    assert not ran.exists()
    assert (hostile / ".git" / "index").read_bytes() == before, "nothing is written"


@pytest.mark.parametrize("setting", ["core.fsmonitor", "filter.x.clean", "filter.x.process"])
def test_no_command_of_a_submodule_runs(hostile: Path, setting: str) -> None:
    outer, ran = hostile.parent / "outer", hostile.parent / "ran"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "submodule", "--quiet", "add", str(hostile), "inner")
    git(outer, "commit", "-q", "-m", "one")
    git(outer / "inner", "config", setting, f"touch '{ran}' #")
    os.utime(outer / "inner" / "a.txt", (1, 1))
    commit = git(outer, "rev-parse", "HEAD")[:12]
    assert find_commit(outer) == commit
    git(outer / "inner", "update-ref", "HEAD", git(outer / "inner", "commit-tree", "HEAD^{tree}", "-m", "two"))
    assert find_commit(outer) == f"{commit}+"
    assert not ran.exists()


@pytest.mark.parametrize(
    "url", ["ext::sh -c touch% {ran}", "ssh://host/x", "{here}", "touch::x"], ids=["ext", "ssh", "file", "helper"]
)
def test_what_a_repository_lacks_is_not_fetched(hostile: Path, url: str) -> None:
    ran = hostile.parent / "ran"
    for name, value in {
        "remote.origin.url": url.format(ran=ran, here=hostile), "remote.origin.promisor": "true",
        "remote.origin.uploadpack": f"touch '{ran}' #", "extensions.partialClone": "origin",
        "core.sshCommand": f"touch '{ran}' #", "protocol.allow": "always", "core.repositoryFormatVersion": "1",
    }.items():  # fmt: skip
        git(hostile, "config", name, value)
    blob = git(hostile, "rev-parse", "HEAD:a.txt")
    (hostile / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    assert ask_git(hostile, "cat-file", "blob", blob) is None
    assert find_commit(hostile) is not None
    assert not ran.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GIT_DIR", "/nowhere"), ("GIT_WORK_TREE", "/"), ("GIT_INDEX_FILE", "/nowhere"), ("GIT_EXTERNAL_DIFF", "false"),
        ("GIT_OBJECT_DIRECTORY", "/nowhere"), ("GIT_CONFIG_PARAMETERS", "'core.bare'='true'"),
        ("GIT_TRACE", "1"), ("GIT_EXEC_PATH", "/nowhere"),
    ],
)  # fmt: skip
def test_no_variable_that_is_inherited_changes_what_git_says(
    hostile: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    commit = git(hostile, "rev-parse", "HEAD")[:12]
    monkeypatch.setenv(name, value)
    assert find_commit(hostile) == commit


def test_another_git_in_the_folder_is_not_taken(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = hostile.parent / "ran"
    (hostile / "git").write_text(f"#!/bin/sh\ntouch '{ran}'\n")
    (hostile / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.environ['PATH']}")
    assert find_commit(hostile) is not None
    assert not ran.exists()


def test_a_git_that_hangs_is_no_commit(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = hostile.parent / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nsleep 60 & wait\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(touchstone.environment, "GIT_SECONDS", 0.2)
    began = time.monotonic()
    assert find_commit(hostile) is None
    assert time.monotonic() - began < 5


def test_a_repository_inside_that_only_looks_like_one_is_not_taken(hostile: Path) -> None:
    bare = hostile / "data"
    git(hostile.parent, "clone", "-q", "--bare", str(hostile), str(bare))
    assert ask_git(bare, "rev-parse", "--git-dir") is None


@pytest.mark.parametrize("argument", ["a\0b", "\udcff", "x\ny"])
def test_what_is_no_revision_is_none(hostile: Path, argument: str) -> None:
    assert ask_git(hostile, "rev-parse", "--verify", "--quiet", argument) is None


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("TORCH_API_KEY", "0123456789", None),
        ("ACCELERATE_TOKEN", "0123456789", None),
        ("MKL_PASSWORD", "0123456789", None),
        ("TORCH_HUB", "https://user:password@host/x", "https://***@host/x"),
        ("PYTORCH_MIRROR", "see https://u:p@ss@host", "see https://***@host"),
        ("MKL_CBWR", "AVX2", "AVX2"),
    ],
)
def test_no_secret_is_a_setting(name: str, value: str, kept: str | None) -> None:
    assert kernel_settings({name: value}).get(name) == kept


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not confine processes to cores")
def test_only_the_cores_that_this_process_may_use_are_counted() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert available_cores() == len(before)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", "Intel Xeon Platinum 8375C"),
        ("AMD EPYC 7B13 64-Core Processor", "AMD EPYC 7B13 64-Core"),
        ("11th Gen Intel(R) Core(TM) i7-1185G7 @ 3.00GHz", "11th Gen Intel Core i7-1185G7"),
    ],
)
def test_a_processor_has_a_short_name(monkeypatch: pytest.MonkeyPatch, said: str, name: str) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"processor\t: 0\nmodel name\t: {said}\nflags\t: x\n")
    monkeypatch.setattr(sys, "platform", "linux")
    assert describe_processor.__wrapped__() == name


def test_a_processor_of_which_the_system_tells_no_name_has_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "processor", str)
    assert describe_processor.__wrapped__() == platform.machine()
