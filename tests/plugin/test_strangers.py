"""The pull request of a stranger, played through in the shell of a CI: nothing of it commands, leads away or leaks."""

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import make_run
from tests.report.suites import SMALL
from touchstone.__main__ import main
from touchstone.report.json import render_json

ROOT = Path(__file__).parent.parent.parent
KEY = "sk-proj-4f9Qa7TzLw0Xc2Vb"
# Of a stranger's: commands to a CI, escape sequences of a terminal, links, markup, and what turns the reading around.
EVIL = (
    "\n::set-env name=PWNED::1\r##[add-mask]PWNED \x1b]52;c;UFdORUQ=\x07\x1b[2J\u2028::error::PWNED%0A::error::PWNED "
    "[PWNED](https://evil.example/x) ![PWNED](https://evil.example/y) https://evil.example/z @evil/team \u202ecba "
    "<script>document.title='PWNED'</script> | PWNED | `PWNED` ``` \0 </details>"
)
OURS = re.compile(r"::(error|warning) title=(touchstone|(minilm|jina)[\w.+-]*%3A\w+ [a-z ]+)::")
# What a project's own conftest does is trusted: here it stands for a library whose exception nobody foresaw.
CONFTEST = f"""
import os
from contextlib import contextmanager
from touchstone.measuring.engines.local import LocalEngine

pytest_plugins = ("touchstone.plugin",)
measure = LocalEngine.measure

def break_one(self, case, progress):
    if case.task.name != "Broken" or "BREAK" not in os.environ:
        return measure(self, case, progress)
    evil, key = {EVIL!r}, os.environ["OPENAI_API_KEY"]
    header = {{"Authorization": "Bearer " + key, "padding": "x" * 300}}
    print(evil, key)
    raise RuntimeError(evil + key)

LocalEngine.measure = break_one

def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line({EVIL!r} + os.environ.get("OPENAI_API_KEY", ""))  # as plug-ins do
"""


@dataclass(frozen=True)
class Shell:
    """A project of a stranger's, and a step of a CI."""

    folder: Path

    def run(self, *words: str, **environment: str) -> str:
        """Run a command of this Python as a CI does; return all that it writes."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
        own = {
            "CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(self.summary), "OPENAI_API_KEY": KEY,
            "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=self.folder,
            env=kept | own | environment,
            capture_output=True,
            check=False,
        )
        return done.stdout.decode() + done.stderr.decode()

    @property
    def summary(self) -> Path:
        return self.folder / "summary.md"

    @property
    def files(self) -> dict[str, bytes]:
        """Everything that lies beside the folder, where nothing may be written."""
        beside = (path for path in self.folder.parent.rglob("*") if not path.is_relative_to(self.folder))
        return {str(path): path.read_bytes() if path.is_file() else b"" for path in beside}


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("stranger") / "project"
    (folder / "evals").mkdir(parents=True)
    (folder / "conftest.py").write_text(CONFTEST)
    shutil.copy(ROOT / "evals" / "test_tasks.py", folder / "evals")
    topics = ["rain and rivers", "bread and butter", "numbers and sums", "late reports"]
    pairs = [
        {"sentence1": f"{EVIL} {topics[i % 4]} {i}", "sentence2": f"{topics[i * 3 % 4]} {i} {EVIL}", "score": i % 6}
        for i in range(60)
    ]
    write_lines(folder / "pairs" / "test.jsonl", pairs)
    labelled = [{"text": f"{topics[i % 4]} number {i} {EVIL}", "label": f"{EVIL}{i % 4}"} for i in range(120)]
    write_lines(folder / "labels" / "train.jsonl", labelled)
    write_lines(folder / "labels" / "test.jsonl", labelled[::-1])
    write_lines(folder / "wrong" / "test.jsonl", [{"sentence1": EVIL, "sentence2": EVIL, "score": EVIL}])
    tasks = {"Pairs": ("STS", "pairs"), "Labels": ("Classification", "labels"), "Broken": ("STS", "pairs"),
             "Wrong": ("STS", "wrong")}  # fmt: skip
    suite = ['models = ["minilm"]']
    suite += [f'[[tasks.custom]]\nname = "{n}"\ntype = "{t}"\npath = "../{p}"' for n, (t, p) in tasks.items()]
    (folder / "evals" / "theirs.toml").write_text("\n".join(suite))
    return Shell(folder)


def is_clean(text: str) -> None:
    """Check that a log of a CI has no command but our annotations, moves no terminal and holds no secret."""
    assert {sign for sign in text if not sign.isprintable()} <= {"\n", "\t"}
    for line in text.splitlines():
        assert not line.lstrip().startswith("::") or OURS.match(line), line
        assert "##[" not in line
    holds_no_secret(text)


def holds_no_secret(text: str) -> None:
    assert not any(KEY[at : at + 12] in text for at in range(len(KEY) - 11))


def is_clean_summary(text: str) -> None:
    """Check that a job's summary leads nowhere and calls nobody, by the parser of Markdown that rich brings."""
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
    assert "PWNED" in text
    tokens = [inner for token in markdown.parse(text) for inner in (token, *(token.children or ()))]
    assert not {"link_open", "image", "hr"} & {token.type for token in tokens}
    for token in tokens:
        if token.type in ("html_block", "html_inline"):
            assert re.fullmatch(r"(</?(details|summary|br)>|[\w ,]+|\s)+", token.content), token.content
        if token.type == "text":
            assert not re.search(r"://|www\.|@\w|#\d", token.content)
    holds_no_secret(text)


def test_runs_on_hostile_data_and_with_an_exception_that_nobody_foresaw(shell: Shell) -> None:
    before = shell.files
    run = ("pytest", "evals", "--suite", "evals/theirs.toml", "--device", "cpu", "-p", "no:cacheprovider")
    first = shell.run(*run, "--baseline", "record", "--task", "Pairs", "--task", "Labels", "-s")
    assert "wrote " in first
    is_clean(first)
    second = shell.run(
        *run, "--model", "minilm@truncate_dim=4", "--against", "minilm", "-vv", "-l", "--tb=long", "--report", "github",
        "--report", "report.html", "--report", "report.json", "--junitxml", "junit.xml", BREAK="1",
    )  # fmt: skip
    assert "RuntimeError" in second
    assert "wrong/test.jsonl:1: score should be a valid number" in second
    assert re.search(r"^::error title=minilm\+truncate_dim-4%3ABroken error::", second, re.MULTILINE)
    is_clean(second)
    is_clean_summary(shell.summary.read_text())
    (suite,) = ET.parse(shell.folder / "junit.xml").getroot()
    assert len(suite.findall("testcase")) == 4
    is_clean(re.sub("::set-env|::error|##", "", "".join(suite.itertext())))
    for path in shell.folder.rglob("*"):
        if path.is_file() and path.name != "conftest.py":
            holds_no_secret(path.read_bytes().decode(errors="replace"))
    assert shell.files == before


def test_a_hostile_run_record_is_shown_and_cannot_write_elsewhere(shell: Shell) -> None:
    before = shell.files
    shown = [replace(one, reason=EVIL if one.reason else None, command=f"{EVIL}`rm -rf /`", metric=EVIL[:200],
                     model=EVIL[-200:], device=EVIL[:200]) for one in SMALL]  # fmt: skip
    file = shell.folder / "theirs.json"
    file.write_text(render_json(replace(make_run(*shown), suite=EVIL[:300], environment={EVIL: EVIL})))
    shell.summary.unlink(missing_ok=True)
    for words in (["report", "theirs.json"], ["report", "theirs.json", "--out", "github"], ["trend", "--store", "."],
                  ["compare", "theirs.json:minilm", "theirs.json:minilm"]):  # fmt: skip
        said = shell.run("touchstone", *words)
        assert "Traceback" not in said
        is_clean(said)
    is_clean_summary(shell.summary.read_text())
    for key, value in {"alias": "../../x", "task": "../../../x", "samples": "../../../../etc/passwd"}.items():
        plain = json.loads(file.read_text())
        for one in plain["records"]:
            one |= {key: value}
        (shell.folder / "worse.json").write_text(json.dumps(plain))
        for words in (["report", "worse.json"], ["baselines", "import", "worse.json"]):
            said = shell.run("touchstone", *words)
            where = f"{shell.folder / 'worse.json'}: [records.0]"
            assert said == f'touchstone: {where} {key} = "{value}" is none that a run writes\n'
    assert shell.files == before


SUITE = 'models = ["minilm"]\n{}\n[tasks]\ninclude = ["STS12"]\n'
MODELS = ["plan", "--models", "models.toml"]
CARD = """---
model-index:
- name: {evil}
  results:
  - task: {{type: STS}}
    dataset: {{type: mteb/x, name: "MTEB STS12", config: default, split: {evil}, revision: {evil}}}
    metrics: [{{type: cosine_spearman, value: 50.0}}, {{type: {evil}, value: 7.0}}]
  - task: {{type: {evil}}}
    dataset: {{type: {evil}, name: {named}, config: {evil}, split: test, revision: null}}
    metrics: [{{type: accuracy, value: 50.0}}]
---
"""


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("store.toml", SUITE.format('store = "../../out"'),
         ["plan", "--suite", "store.toml"]),
        ("source.toml", SUITE.format('source = {kind = "modelscope", path = "/out"}'),
         ["plan", "--suite", "source.toml"]),
        ("evalscope.json", json.dumps({"eval_config": {"tool": "MTEB", "model": [{"model_name_or_path": "minilm"}],
         "eval": {"tasks": ["STS12"], "output_folder": "/out"}}}), ["plan", "--suite", "evalscope.json"]),
        ("models.toml", f"[{json.dumps(EVIL)}]\nid = 'a/b'\n", MODELS),
        ("models.toml", f"[x]\nid = {json.dumps(EVIL)}\n", [*MODELS, "--model", "x"]),
        ("models.toml", '[x]\nid = "a/b"\nrevision = "../../../x"\n', [*MODELS, "--model", "x"]),
        ("README.md", CARD.format(evil=json.dumps(EVIL), named=json.dumps(f"MTEB {EVIL}")),
         ["baselines", "import", "README.md", "--dry-run"]),
        ("README.md", CARD.format(evil='"../../x"', named='"MTEB ../../x"'), ["baselines", "import", "README.md"]),
        ("run.py", f"x = {{'eval_config': {{'tool': {EVIL!r}, 'model': [], 'eval': {{}}}}}}",
         ["plan", "--suite", "run.py"]),
    ],
)  # fmt: skip
def test_hostile_files_are_one_sentence(
    shell: Shell,
    name: str,
    text: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = shell.files
    (shell.folder / name).write_text(text)
    monkeypatch.chdir(shell.folder)
    main(words)
    said = "".join(capsys.readouterr())
    is_clean(said)
    assert "Traceback" not in said
    if words[0] == "plan":
        assert re.fullmatch(r"touchstone: [^\n]{1,500}\n", said)
    assert shell.files == before


@pytest.mark.parametrize("link", [".touchstone", "baselines", "baselines/samples", "baselines/minilm.json"])
def test_links_of_a_stranger_lead_nothing_outside(shell: Shell, link: str) -> None:
    outside = shell.folder.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "minilm").mkdir(exist_ok=True)
    (outside / "minilm" / "x.0123456789ab.parquet").write_text("precious")
    (outside / "minilm.json").write_text("{}")
    project = shell.folder.parent / "project" / "linked"
    shutil.rmtree(project, ignore_errors=True)
    (project / "baselines").mkdir(parents=True)
    if link == "baselines":
        (project / "baselines").rmdir()
    (project / link).symlink_to(outside / "minilm.json" if link.endswith(".json") else outside)
    before = shell.files
    said = Shell(project).run(
        "pytest", "-p", "touchstone.plugin", "--pyargs", "touchstone", "--task", "SmokeSTS", "--device", "cpu",
        "--baseline", "update", "-p", "no:cacheprovider",
    )  # fmt: skip
    assert "leads out of" in said
    assert shell.files == before
