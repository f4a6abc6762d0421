"""Where the one test is found: in this checkout, in a project of one's own, and from the installed package alone."""

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TEST_FILE = ROOT / "evals" / "test_tasks.py"
PLUGIN = 'pytest_plugins = ("touchstone.plugin",)\n'


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project of one's own: a test file of a few lines, a conftest that loads the plugin, and tests beside."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # of the session that runs this test
    pytester.makeconftest(PLUGIN)
    (pytester.path / "evals").mkdir()
    shutil.copy(TEST_FILE, pytester.path / "evals" / "test_tasks.py")
    (pytester.path / "tests").mkdir()
    (pytester.path / "tests" / "test_own.py").write_text("def test_own(): pass\n")
    return pytester


def collect(project: pytest.Pytester, *arguments: str) -> list[str]:
    result = project.runpytest_subprocess("--collect-only", "-q", *arguments)
    assert result.ret == 0, result.stdout.str() + result.stderr.str()
    return [line for line in result.outlines if "::" in line]


def cases(project: pytest.Pytester, *arguments: str) -> list[str]:
    found = collect(project, *arguments)
    return [line.rpartition("[")[2].removesuffix("]") for line in found if "::test_task[" in line]


SMOKE = [f"minilm:Smoke{name}" for name in
         ("Retrieval", "STS", "Reranking", "Classification", "PairClassification", "Clustering")]  # fmt: skip


@pytest.mark.parametrize("typed", ["evals", "evals/test_tasks.py", ".", "evals/test_tasks.py::test_task"])
def test_a_project_of_ones_own_has_each_case_once(project: pytest.Pytester, typed: str) -> None:
    assert sorted(cases(project, typed)) == sorted(SMOKE)


def test_a_folder_evals_that_is_a_package_itself_changes_nothing(project: pytest.Pytester) -> None:
    (project.path / "evals" / "__init__.py").write_text("")
    assert sorted(cases(project, "evals")) == sorted(SMOKE)


def test_another_package_of_the_name_evals_changes_nothing(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = project.path / "site" / "evals"
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").write_text("raise ImportError('the other package evals')\n")
    monkeypatch.setenv("PYTHONPATH", str(foreign.parent))
    assert sorted(cases(project, "evals")) == sorted(SMOKE)
    assert sorted(cases(project, "-p", "touchstone.plugin", "--pyargs", "touchstone")) == sorted(SMOKE)


def test_a_test_file_of_another_name_is_found_while_collecting(project: pytest.Pytester) -> None:
    (project.path / "evals" / "test_tasks.py").rename(project.path / "tests" / "test_models.py")
    assert sorted(cases(project, "tests")) == sorted(SMOKE)


def test_with_workers_a_test_file_of_another_name_gets_its_verdict(project: pytest.Pytester) -> None:
    (project.path / "evals" / "test_tasks.py").rename(project.path / "tests" / "test_models.py")
    result = project.runpytest_subprocess("tests", "-n", "2", "-m", "sts", "--model", "minilm", "--device", "cpu")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["minilm: PASS of 1 of 6 cases: *"])


def test_in_an_empty_folder_one_command_without_any_file_does(pytester: pytest.Pytester) -> None:
    assert sorted(cases(pytester, "-p", "touchstone.plugin", "--pyargs", "touchstone")) == sorted(SMOKE)


def test_this_checkout_has_each_case_once(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = pytester.run(sys.executable, "-m", "pytest", "evals", "--collect-only", "-q", "-m", "retrieval")
    assert [line for line in found.outlines if "::" in line] == [
        "evals/test_tasks.py::test_task[minilm:SmokeRetrieval]"
    ]


@pytest.mark.parametrize(("folder", "typed", "printed"), [
    (".", "evals", "pytest evals"),
    ("evals", ".", "pytest ."),
    ("evals", "test_tasks.py::test_task[minilm:SmokeSTS]", "pytest test_tasks.py"),
    ("tests", "../evals", "pytest ../evals"),
])  # fmt: skip
def test_printed_commands_work_where_the_user_stands(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, folder: str, typed: str, printed: str
) -> None:
    monkeypatch.chdir(project.path / folder)
    code = (
        "import pytest, sys\n"
        "from touchstone.plugin.arguments import command_of\n"
        "class Show:\n"
        "    def pytest_configure(self, config): print('>', *command_of(config))\n"
        "pytest.main(sys.argv[1:], plugins=[Show()])\n"
    )
    shown = project.run(sys.executable, "-c", code, typed, "--collect-only", "-q", "--rootdir", str(project.path))
    shown.stdout.fnmatch_lines([f"> {printed}"])


@pytest.mark.parametrize("configured", [None, "here", "theirs"])
def test_what_is_behind_an_option_does_not_move_the_root(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, configured: str | None
) -> None:
    """pytest takes it for tests while it looks for its root, and a stranger's suite would lie inside the project."""
    here, theirs = pytester.mkdir("here"), pytester.mkdir("theirs")
    if configured is not None:
        (pytester.path / configured / "pytest.ini").write_text("[pytest]")
    (theirs / "their.toml").touch()
    (here / "evals").mkdir()
    monkeypatch.chdir(here)
    code = (
        "import pytest, sys\n"
        "from touchstone.plugin.arguments import root_of\n"
        "class Show:\n"
        "    def pytest_configure(self, config): print('>', root_of(config))\n"
        "pytest.main(sys.argv[1:], plugins=[Show()])\n"
    )
    typed = ("-p", "touchstone.plugin", "--collect-only", "-q", "--suite", "../theirs/their.toml")
    for tests in ([], ["evals"], ["--pyargs", "touchstone.config"]):
        shown = pytester.run(sys.executable, "-c", code, *typed, *tests)
        shown.stdout.fnmatch_lines([f"> {here}"])
