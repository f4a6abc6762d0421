"""EvalScope configurations as suites: what a configuration may say, and the cases that a run of one has."""

import re
import subprocess
import sys
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.config.configurations import (
    KNOWN,
    ONE_STAGE,
    RERANKER,
    RETRIEVER,
    TWO_STAGES,
    converted,
    one_stage,
    sentence,
    write,
)
from touchstone.config.evalscope.convert import convert
from touchstone.config.evalscope.schema import read_evalscope
from touchstone.config.models import find_model
from touchstone.config.options import Options
from touchstone.config.specs import EncoderSpec
from touchstone.errors import ConfigError
from touchstone.records.cases import Source
from touchstone.records.names import RENAMED_TASKS
from touchstone.session.plan import find_cases
from touchstone.tasks.catalog import known_tasks

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture(scope="module")
def page() -> str:
    """EvalScope's page about its MTEB tool."""
    path = ROOT.parent / "shared" / "seeds" / "evalscope-mteb.md"
    if not path.is_file():
        pytest.skip(f"no copy of EvalScope's page at {path}")
    return path.read_text()


@pytest.mark.parametrize(("name", "ours"), [("one_stage_task_cfg", ONE_STAGE), ("two_stage_task_cfg", TWO_STAGES)])
def test_the_examples_of_evalscopes_page_mean_what_ours_do(
    tmp_path: Path, page: str, name: str, ours: Mapping[str, Any]
) -> None:
    blocks = [block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "_cfg = {" in block]
    (tmp_path / "page.py").write_text("\n".join(blocks))
    theirs = convert(read_evalscope(tmp_path / "page.py", name), tmp_path / "page.py", KNOWN)
    mine = converted(tmp_path, ours)
    assert theirs.suite == mine.suite
    for reranker in (theirs.models.get("MiniCPM-Reranker", {}), mine.models.get("MiniCPM-Reranker", {})):
        assert reranker.pop("prompt", None) != ""  # theirs is worded otherwise
    assert theirs.models == mine.models


def test_every_task_of_evalscopes_page_is_one_of_mtebs(page: str) -> None:
    names = re.findall(r"^\| \[([\w-]+)\]\(", page, re.M)
    assert len(names) > 25
    known = known_tasks()
    assert [name for name in names if RENAMED_TASKS.get(name, name) not in known] == []
    assert all(name not in known for name in RENAMED_TASKS)


def changed(*path: str | int, value: Any, base: Mapping[str, Any] = ONE_STAGE) -> dict[str, Any]:
    config: Any = deepcopy(dict(base))
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return dict(config)


MODEL = ("eval_config", "model", 0)
EVAL = ("eval_config", "eval")
T, M, E = "[eval_config] ", "[eval_config.model.0] ", "[eval_config.eval] "


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("eval_backnd",), "x", 'has an unknown key "eval_backnd"; did you mean "eval_backend"?'),
        (("eval_backend",), "OpenCompass",
         'eval_backend = "OpenCompass"; expected "RAGEval", the only one that is run here'),
        (("eval_config",), [], "eval_config = []; expected a table"),
        (("work_dir",), "", 'work_dir = ""; expected a folder'),
        (("eval_config", "tool"), "RAGAS", T + 'tool = "RAGAS"; expected "MTEB", the only one that is run here'),
        (("eval_config", "modle"), [], T + 'has an unknown key "modle"; did you mean "model"?'),
        (("eval_config", "models"), [RETRIEVER], T + "has model and models, two names of one key; keep one"),
        (("eval_config", "model"), [], T + "model must list at least one model, as in "
         '[{"model_name_or_path": "minilm"}]'),
        (("eval_config", "model"), RETRIEVER, T + "model = {…}; expected a list"),
        (("eval_config", "model"), [RETRIEVER, RETRIEVER], T + "model lists one model, or a retriever and then a "
         "cross-encoder with is_cross_encoder = true; it lists 2, of which 0 are cross-encoders"),
        (("eval_config", "model"), [RERANKER, RETRIEVER], T + "model lists one model, or a retriever and then"),
        ((*MODEL, "model_name"), "m", M + "model_name: a configuration's models behind an API are not "
         'run; leave it out and type --model "api:URL#m"'),
        ((*MODEL, "api_key"), "secret", M + "api_key: a configuration's models behind an API are not run; leave it out "
         'and type --model "api:URL#NAME" (a key or a reranker: kind = "api" in models.toml)'),
        ((*MODEL, "model_name_or_path"), "", M + "needs model_name_or_path: a folder, a name in models.toml "
         "or a hub id"),
        ((*MODEL, "model_name_or_path"), "minlm", M + 'model_name_or_path = "minlm" is no folder, no hub id, '
         'and not in models.toml; did you mean "minilm"?'),
        ((*MODEL, "model_name_or_path"), "./nope", M + 'model_name_or_path = "./nope": there is no folder '),
        ((*MODEL, "model_path"), "a/b", M + 'has an unknown key "model_path"; did you mean '
         '"model_name_or_path"?'),
        ((*MODEL, "is_cross_encoder"), "maybe", M + 'is_cross_encoder = "maybe"; expected true or false'),
        ((*MODEL, "pooling_mode"), "avg", M + 'pooling_mode = "avg"; expected one of "cls", "lasttoken", '
         '"max", "mean", "mean_sqrt_len_tokens", "weightedmean"'),
        ((*MODEL, "max_seq_length"), 0, M + "max_seq_length = 0: must be 1 or more"),
        ((*MODEL, "max_seq_length"), True, M + "max_seq_length = true; expected a whole number"),
        ((*MODEL, "prompt"), 5, M + "prompt = 5; expected a string"),
        ((*MODEL, "prompts"), "p", M + 'prompts = "p"; expected a table'),
        ((*MODEL, "model_kwargs"), [], M + "model_kwargs = []; expected a table"),
        ((*MODEL, "model_kwargs"), {"torch_dtype": "auto", "dtype": "float16"},
         M + "says torch_dtype and dtype twice, as auto and as float16; keep one"),
        ((*MODEL, "model_kwargs"), {"torch_dtype": "fp16"},
         'read as models: [m3e-base]: dtype = "fp16"; expected one of '
         '"auto", "float32", "float16", "bfloat16"'),
        ((*MODEL, "config_kwargs"), 3, M + "config_kwargs = 3; expected a table"),
        ((*MODEL, "encode_kwargs"), {"batch_size": 0},
         "read as models: [m3e-base]: batch_size = 0: must be 1 or more"),
        ((*MODEL, "hub"), "hf", M + 'hub = "hf"; expected one of "modelscope", "huggingface"'),
        (EVAL, {"tasks": ["ATEC"], "task_names": ["BQ"]},
         E + "has tasks and task_names, two names of one key; keep one"),
        (EVAL, {}, E + 'selects no task; name some, as in tasks = ["TNews"]'),
        ((*EVAL, "tasks"), [], E + 'selects no task; name some, as in tasks = ["TNews"]'),
        ((*EVAL, "tasks"), "ATEC", E + 'tasks = "ATEC"; expected a list'),
        ((*EVAL, "tasks"), ["STS*"], E + 'tasks: "STS*" is not the name of a task; patterns are include of '
         "a TOML suite"),
        ((*EVAL, "languages"), ["cmn-Hans"], E + 'languages: "cmn-Hans": scripts are not told apart here; '
         'write "cmn"'),
        ((*EVAL, "verbosity"), 4, E + "verbosity = 4; expected 0, 1, 2 or 3"),
        ((*EVAL, "output_folder"), "", E + 'output_folder = ""; expected a folder'),
        ((*EVAL, "overwrite_results"), "perhaps", E + 'overwrite_results = "perhaps"; expected true or false'),
        ((*EVAL, "limits"), 0, E + "limits = 0: must be 1 or more"),
        ((*EVAL, "limits"), 0.5, E + "limits = 0.5; expected a whole number"),
        ((*EVAL, "hub"), "hub", E + 'hub = "hub"; expected one of "modelscope", "huggingface"'),
        ((*EVAL, "top_k"), -1, E + "top_k = -1: must be 1 or more"),
        ((*EVAL, "topk"), 5, E + 'has an unknown key "topk"; did you mean "top_k"?'),
        ((*EVAL, "limit"), 5, E + 'has an unknown key "limit"; did you mean "limits"?'),
        ((*EVAL, "custom_tasks"), ["data"], E + "custom_tasks is not supported: folders of one's own are "
         "[[tasks.custom]] of a TOML suite"),
        ((*EVAL, "splits"), {"ATEC": ["test"]}, E + "splits is not supported: "),
        ((*EVAL, "random_sample"), True, E + "random_sample is not supported: "),
    ],
)  # fmt: skip
def test_a_wrong_configuration_says_what_is_wrong_and_where(
    tmp_path: Path, path: tuple[str | int, ...], value: Any, expected: str
) -> None:
    message = sentence(tmp_path, changed(*path, value=value))
    assert message.startswith(expected)
    assert "secret" not in message


@pytest.mark.parametrize("key", ["tool", "eval"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    config = deepcopy(ONE_STAGE)
    del config["eval_config"][key]
    assert sentence(tmp_path, config) == T + f'needs a key "{key}"'


def test_a_named_model_of_another_kind_and_a_pooling_cross_encoder_are_refused(tmp_path: Path) -> None:
    assert sentence(tmp_path, one_stage({"model_name_or_path": "minilm", "is_cross_encoder": True})) == (
        '[eval_config.models.0] is_cross_encoder = true, but models.toml has "minilm" as a sentence-transformers model'
    )
    assert sentence(tmp_path, one_stage({"pooling_mode": "cls", "is_cross_encoder": True})) == (
        '[eval_config.models.0] pooling_mode = "cls": a cross-encoder has no pooling'
    )


def options(folder: Path, **typed: Any) -> Options:
    return Options.parse(typed, root=folder, cwd=folder)


def test_cases_of_a_configuration_have_its_limit_its_store_and_its_models(tmp_path: Path) -> None:
    (tmp_path / "stand-in").mkdir()
    asked = {"output_folder": "outputs", "limits": 50, "task_names": ["NFCorpus", "STSBenchmark"]}
    file = write(tmp_path, one_stage({"model_name_or_path": "stand-in", "max_seq_length": 64}, **asked))
    plan = find_cases(options(tmp_path, suites=[file.name]))
    assert {case.id for case in plan.cases} == {"stand-in:NFCorpus", "stand-in:STSBenchmark"}
    assert {case.key for case in plan.cases} == {"NFCorpus?limit=50", "STSBenchmark?limit=50"}
    assert plan.models["stand-in"].spec == EncoderSpec(path=tmp_path / "stand-in", max_seq_length=64)
    assert plan.store == tmp_path / "outputs"
    assert plan.notes
    assert all(note.startswith("config.json: ") for note in plan.notes)


def test_what_is_typed_goes_before_what_the_configuration_says(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    file = write(tmp_path, one_stage({}, output_folder="outputs", limits=50, hub="huggingface"))
    typed = {"limit": "7", "store": "mine", "source": "mirror:hub", "models": ["minilm", "name"]}
    plan = find_cases(options(tmp_path, suites=[file.name], **typed))
    assert plan.store == tmp_path / "mine"
    assert {case.limit for case in plan.cases} == {7}
    assert {case.source for case in plan.cases} == {Source(kind="mirror", path=tmp_path / "hub")}
    assert [case.id for case in plan.cases] == ["minilm:ATEC", "name:ATEC"], "its own models can be typed, too"


def test_two_suites_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "stand-in").mkdir()
    model = {"model_name_or_path": "stand-in", "max_seq_length": 64}
    write(tmp_path, one_stage(model, output_folder="a"), "a.json")
    write(tmp_path, one_stage(model, output_folder="b"), "b.json")
    write(tmp_path, one_stage(model, limits=5), "c.json")
    write(tmp_path, one_stage({**model, "max_seq_length": 32}), "d.json")
    for second, expected in (
        ("b.json", f"the suites name two stores, {tmp_path / 'a'} and {tmp_path / 'b'}; say one with --store"),
        ("c.json", "suites a and c both have stand-in:ATEC, with other subsets, splits, source, margin or"),
        ("d.json", f'{tmp_path / "d.json"}: another suite of this run has another model "stand-in"; run one by one'),
    ):  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            find_cases(options(tmp_path, suites=["a.json", second]))
        assert str(caught.value).startswith(expected)


def test_a_superseded_task_is_found_by_its_exact_name_and_a_wrong_one_brings_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "stand-in").mkdir()
    file = write(tmp_path, one_stage({"model_name_or_path": "stand-in"}, task_names=["TNews"]))
    assert [case.id for case in find_cases(options(tmp_path, suites=[file.name])).cases] == ["stand-in:TNews"]
    write(tmp_path, one_stage({"model_name_or_path": "stand-in"}, task_names=["TNew"]))
    with pytest.raises(ConfigError, match='"TNew" is not a task of mteb; did you mean "TNews"'):
        find_cases(options(tmp_path, suites=[file.name]))


def test_a_project_can_have_a_configuration_as_its_suite(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.touchstone]\nsuite = "sub/config.py:one"\n')
    assert Options.parse({}, root=tmp_path, cwd=tmp_path / "sub").suites == (str(tmp_path / "sub" / "config.py:one"),)


@pytest.mark.parametrize(
    ("base", "typed"),
    [
        ("http://127.0.0.1:8000/v1", "api:http://127.0.0.1:8000/v1#some-model"),
        ("https://host.example/v1/embeddings", "api:https://host.example/v1#some-model"),
        ("http://user:hunter2@host/v1", "api:URL#some-model"),
        ("http://host/v1?key=hunter2", "api:URL#some-model"),
    ],
)
def test_a_model_behind_an_api_is_told_as_it_is_typed_without_secrets(tmp_path: Path, base: str, typed: str) -> None:
    said = sentence(tmp_path, one_stage({"model_name": "some-model", "api_base": base, "api_key": "hunter2"}))
    assert f'type --model "{typed}" (' in said
    assert "hunter2" not in said
    if "URL" not in typed:
        model = find_model(typed, {}, tmp_path, "--model")
        assert (model.alias, model.spec.kind) == ("some-model", "api")


def test_two_stages_on_reranking_alone_say_why_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = deepcopy(TWO_STAGES)
    config["eval_config"]["eval"]["tasks"] = ["T2Reranking"]
    file = write(tmp_path, config)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", str(ROOT / "evals"), "--suite", str(file), "--store", str(tmp_path / "store")],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 4
    assert "INTERNALERROR" not in ran.stdout + ran.stderr
    why = "a pipeline finds its own candidates; its reranker alone can rerank given ones"
    assert f"no case is left to run: 1 left out: {why}" in ran.stdout + ran.stderr
