"""Readers of what people write: suites, models files, EvalScope's configurations, a project's table, options, names."""

import ast
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import cache, partial
from itertools import chain
from pathlib import Path
from pprint import pformat
from typing import Any

import tomli_w
import yaml

from tests.config.configurations import ONE_STAGE, TWO_STAGES, one_stage
from tests.fuzz.law import Place
from tests.fuzz.mutation import Files
from tests.fuzz.reader import ROOT, SHARED, Reader, ensure, ensure_finite
from touchstone import foreign
from touchstone.config.base import Spec
from touchstone.config.evalscope.convert import render_suite_toml
from touchstone.config.models import Model, find_model, load_models
from touchstone.config.options import OPTIONS, Options, load_project
from touchstone.config.suites import NamedSuite, load_suite
from touchstone.errors import TouchstoneError
from touchstone.plugin.nodeids import case_of
from touchstone.records.cases import Policy
from touchstone.records.names import baseline_key, samples_file, slug, snake_case
from touchstone.report.formats import find_target
from touchstone.retrying import retry_after
from touchstone.store.runs import split_alias

PACKAGE = ROOT / "evals" / "touchstone"
SUITE: dict[str, Any] = {
    "models": ["minilm", "bge-large-en@truncate_dim=256"],
    "limit": 100,
    "store": "../stores/one",
    "stage_folders": True,
    "tasks": {
        "benchmark": "MTEB(eng, v2)",
        "types": ["STS", "Retrieval"],
        "languages": ["eng", "deu"],
        "include": ["STS*", "NFCorpus"],
        "exclude": ["STS17"],
        "subsets": {"STS22": ["en", "de"]},
        "splits": {"NFCorpus": ["test"]},
        "custom": [{"name": "Own", "type": "Retrieval", "path": "data/own", "language": "deu-Latn"}],
    },
    "gate": {"margin": 0.01, "alpha": 0.05, "margins": {"Retrieval": 0.02}, "floors": {"NFCorpus": 0.3}},
    "source": {"kind": "mirror", "path": "/"},
}
MODELS: dict[str, Any] = {
    "one": {"id": "org/one", "revision": "a" * 40, "pooling": "mean", "max_seq_length": 512, "normalize": True,
            "prompts": {"query": "q: "}, "model_kwargs": {"attn_implementation": "eager"}, "batch_size": 4,
                "truncate_dim": 64},
    "two": {"kind": "cross-encoder", "path": "models/two", "prompt": "find", "dtype": "float16"},
    "both": {"kind": "pipeline", "retriever": "one", "reranker": "two", "top_k": 50},
    "served": {"kind": "api", "url": "http://127.0.0.1:8000/v1", "name": "m", "api_key_env": "API_KEY", "timeout": 2.5,
               "dimensions": 4, "body": {"user": "x"}, "retries": 0, "patience": 1.0},
    "known": {"kind": "registry", "name": "minishlab/M2V_base_output", "embed_dim": 8, "loader_kwargs": {"a": [1,
        2.5]}},
    "template": {"path": "/models/x", "instruction": "Instruct: {instruction}\nQuery: {query}", "instruct": "queries",
                 "sha256": "0" * 64, "quantize": "int8", "padding_side": "left", "trust_remote_code": True},
}  # fmt: skip
POLICY = Policy()


@cache
def known_models() -> dict[str, Spec]:
    """Return the models that come with the package."""
    return load_models()


def _toml_seeds(name: str, tables: Sequence[Mapping[str, Any]], files: Sequence[Path]) -> Sequence[Files]:
    return [{name: tomli_w.dumps(one).encode()} for one in tables] + [{name: file.read_bytes()} for file in files]


def _suites() -> Sequence[Files]:
    small = [{"models": ["minilm"], "tasks": SUITE["tasks"], key: value} for key, value in SUITE.items()]
    return _toml_seeds("suite.toml", [SUITE, *small], sorted((PACKAGE / "suites").glob("*.toml")))


def read_suite(place: Place, name: str = "suite.toml") -> NamedSuite:
    """Read a suite, and ask it how it judges."""
    found = load_suite(name, place.folder, known_models())
    ensure_finite(found.suite.gate, "gate")
    found.suite.gate.policy("STSBenchmark", "STS")
    return found


def _models_files() -> Sequence[Files]:
    small = [{alias: table} for alias, table in MODELS.items() if alias != "both"]
    return _toml_seeds("models.toml", [MODELS, *small], [PACKAGE / "models.toml"])


def read_models(place: Place) -> None:
    """Read a models file, and name each of its models."""
    models = load_models(place.folder / "models.toml")
    for alias, spec in models.items():
        json.dumps(spec.changes(), default=str, sort_keys=True)
        Model(alias=alias, spec=spec, text=alias).unmodified  # noqa: B018
        find_model(alias, models, place.folder, "--model")


def _configurations() -> list[Any]:
    """Return configurations of tests, and those of EvalScope's own page where that is here."""
    model = {"pooling_mode": "cls", "prompts": {"ATEC": "a: "}, "hub": "huggingface",
        "config_kwargs": {"revision": "x"},
             "encode_kwargs": {"normalize_embeddings": True, "batch_size": 3, "truncate_dim": 9}}  # fmt: skip
    asked = {"languages": ["zho"], "task_types": ["STS"], "limits": 5, "hub": "modelscope", "overwrite_results": False}
    own = [
        ONE_STAGE,
        TWO_STAGES,
        one_stage(model, **asked),
        one_stage({"model_name_or_path": "minilm"}, output_folder="o/p"),
    ]
    page = SHARED / "seeds" / "evalscope-mteb.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL) if page.is_file() else []
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
                own.append(ast.literal_eval(node.value))
    return own


def _evalscope(name: str, write: Callable[[Any], str]) -> Callable[[], Sequence[Files]]:
    return lambda: [{name: write(config).encode()} for config in _configurations()]


def read_configuration(name: str, place: Place) -> None:
    """Read a configuration as a suite, and as the two files that are written of it, which must mean the same."""
    known, file = known_models(), place.folder / name
    found = read_suite(place, name)
    suite, models = render_suite_toml(file, known, into=place.scratch)
    tomllib.loads(suite)
    for stem, text in (("suite", suite), ("models", models)):
        (place.scratch / f"{stem}.toml").write_text(text, encoding="utf-8")
    again = load_suite("suite.toml", place.scratch, known)
    specs = load_models(place.scratch / "models.toml")
    ensure(_plain(again.suite) == _plain(found.suite), f"{again.suite} is not {found.suite}")
    for alias, spec in found.models.items():
        ensure(_plain(specs.get(alias)) == _plain(spec), f"{specs.get(alias)} is not {spec}")


def _plain(value: Any) -> str:
    """Return a dataclass as text in which each path and each table is written in one way."""
    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    return json.dumps(plain, sort_keys=True, default=lambda one: os.path.normpath(str(one)))


def _projects() -> Sequence[Files]:
    tables = [{"suite": "smoke", "models": "models.toml", "source": "hub", "baselines": "base"}, {"suite": "a.toml"}]
    whole = [{"project": {"name": "x"}, "tool": {"touchstone": table, "ruff": {}}} for table in tables]
    files = (ROOT / "pyproject.toml").read_bytes()
    return [{"pyproject.toml": content} for content in (files, *(tomli_w.dumps(one).encode() for one in whole))]


def read_project(place: Place) -> None:
    """Read a project's table, and the options of a run in which nothing is typed."""
    load_project(place.folder)
    options = Options.parse({}, place.folder, place.folder)
    ensure(isinstance(options.baselines, Path), "baselines is no path")


def _typed() -> Sequence[Files]:
    typed: list[dict[str, Any]] = [
        {
            "suites": ["smoke"],
            "models": ["minilm@truncate_dim=256", "org/name=alias"],
            "tasks": ["STS*"],
            "source": "hub",
        },
        {"models_files": "models.toml", "baseline": "update", "margin": "0.02", "alpha": ".01", "limit": "100"},
        {
            "device": "cuda:1",
            "store": "x",
            "gate": "paired",
            "inconclusive": "fail",
            "patience": "30",
            "reports": ["a.html"],
        },
        {"models": ["api:http://127.0.0.1:1/v1#name@v=a@dimensions=4"], "against": "minilm", "source": "mirror:."},
        {"overwrite": True, "offline": True, "reuse_api": True, "baselines": "b", "reports": ["run.json", "github"]},
    ]
    return [{"typed.json": json.dumps(one).encode()} for one in typed]


def read_typed(place: Place) -> None:
    """Parse what is typed as the values of options, and what each names."""
    try:
        said = json.loads((place.folder / "typed.json").read_bytes())
    except (ValueError, RecursionError):
        raise TouchstoneError("not a command line") from None
    rows = {row.key: row for row in OPTIONS}
    typed: dict[str, Any] = {}
    for key, value in said.items() if isinstance(said, dict) else ():
        if key in rows and value not in (None, False):
            texts = [_argument(one) for one in (value if isinstance(value, list) else [value])][:20]
            typed[key] = True if rows[key].metavar is None else texts if rows[key].repeat else next(iter(texts), "")
    options = Options.parse(typed, place.folder, place.folder)
    options.override(POLICY)
    readings: list[Callable[[], object]] = [
        *(partial(load_suite, name, place.folder, known_models()) for name in options.suites),
        *(partial(find_model, text, known_models(), place.folder, "--model") for text in options.models),
        *(partial(find_target, "--report", place.folder, text) for text in options.reports),
    ]
    for reading in readings:
        reading()


def _argument(value: Any) -> str:
    """Return a value as a command line holds it: what is no UTF-8 as Python says it, and no NUL."""
    text = value if isinstance(value, str) else json.dumps(value)
    return os.fsdecode(text.encode("utf-8", "surrogatepass").replace(b"\0", b""))


def _names() -> Sequence[Files]:
    lines = ["evals/test_tasks.py::test_task[minilm:STSBenchmark]",
        "evals/test_tasks.py::test_task[a+b-c:NFCorpus?limit=3]",
             "x.py::test_task[]", "120", "Wed, 21 Oct 2026 07:28:00 GMT", "run.json:minilm", "PairClassification",
             "/org/Some Name v1.0", "::error::x ##[group]x https://example.org @x #1 `a` | b"]  # fmt: skip
    return [{"names.txt": line.encode()} for line in lines] + [{"names.txt": "\n".join(lines).encode()}]


def read_names(place: Place) -> None:
    """Take apart node ids, headers, names and texts; all of that is for any text there is."""
    text = (place.folder / "names.txt").read_bytes().decode("utf-8", "surrogateescape")
    for line in chain([text], text.splitlines()[:20]):
        case_of(line)
        split_alias(line)
        snake_case(line)
        samples_file(baseline_key(line, 3), "0" * 64)
        ensure(0 <= retry_after(line) <= 1e9, f"{line!r} asks to wait {retry_after(line)}")
        ensure(re.fullmatch(r"[A-Za-z0-9._-]*", slug(line)), f"{slug(line)!r} is no part of an alias")
        shown = foreign.one_line(line)
        ensure(foreign.one_line(shown) == shown and "\n" not in shown, f"{shown!r} is not one harmless line")
        for other in (
            foreign.lines,
            foreign.in_log,
            foreign.in_html,
            foreign.in_markdown,
            foreign.in_message,
            foreign.in_property,
        ):
            allowed = foreign.JOINERS + foreign.BREAK + "\n\t\r"
            wrong = [sign for sign in other(line) if not sign.isprintable() and sign not in allowed]
            ensure(not wrong or other is foreign.in_log, f"{other.__name__} lets {wrong[:1]!r} through")
        foreign.in_code([line])


READERS = (
    Reader(name="suites", seeds=_suites, read=read_suite),
    Reader(name="models files", seeds=_models_files, read=read_models),
    Reader(name="EvalScope, JSON", seeds=_evalscope("config.json", json.dumps),
           read=lambda place: read_configuration("config.json", place)),
    Reader(name="EvalScope, YAML", seeds=_evalscope("config.yaml", yaml.safe_dump),
           read=lambda place: read_configuration("config.yaml", place)),
    Reader(name="EvalScope, Python", seeds=_evalscope("config.py", lambda config: f"task = {pformat(config)}\n"),
           read=lambda place: read_configuration("config.py", place)),
    Reader(name="project tables", seeds=_projects, read=read_project),
    Reader(name="values of options", seeds=_typed, read=read_typed),
    Reader(name="node ids, names, texts", seeds=_names, read=read_names),
)  # fmt: skip
