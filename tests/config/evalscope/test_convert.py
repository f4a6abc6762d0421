"""What each parameter of an EvalScope configuration becomes."""

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.config.configurations import (
    KNOWN,
    ONE_STAGE,
    RERANKER,
    TWO_STAGES,
    converted,
    one_stage,
    sentence,
    table,
    write,
)
from touchstone.config.evalscope.convert import convert, render_suite_toml
from touchstone.config.evalscope.schema import read_evalscope
from touchstone.config.models import load_models
from touchstone.config.retrievers import PipelineSpec
from touchstone.config.specs import CrossEncoderSpec, EncoderSpec, RegistrySpec
from touchstone.config.suites import NamedSuite, load_suite
from touchstone.errors import ConfigError
from touchstone.records.names import RENAMED_TASKS

if TYPE_CHECKING:
    from touchstone.config.base import Spec


def test_one_stage_becomes_a_model_of_its_own_and_a_suite(tmp_path: Path) -> None:
    found = load_suite(str(write(tmp_path, ONE_STAGE)), tmp_path, KNOWN)
    assert found.models == {
        "m3e-base": EncoderSpec(id="AI-ModelScope/m3e-base", hub="modelscope", max_seq_length=512, batch_size=128)
    }
    assert found.suite.models == ("m3e-base",)
    assert found.suite.tasks.include == ("TNews", "CLSClusteringS2S", "T2Reranking", "T2Retrieval", "ATEC")
    assert (found.suite.limit, found.suite.store, found.suite.source) == (500, tmp_path / "outputs", None)
    assert found.name == "config"


def test_two_stages_become_a_pipeline_of_the_two_models(tmp_path: Path) -> None:
    found = converted(tmp_path, TWO_STAGES)
    assert found.suite["models"] == ["m3e-base+MiniCPM-Reranker"]
    assert found.suite["stage_folders"] is True
    assert found.models == {
        "m3e-base": {
            "id": "AI-ModelScope/m3e-base", "hub": "modelscope", "max_seq_length": 512, "dtype": "auto",
            "batch_size": 64,
        },
        "MiniCPM-Reranker": {
            "kind": "cross-encoder", "id": "OpenBMB/MiniCPM-Reranker", "hub": "modelscope", "max_seq_length": 512,
            "dtype": "auto", "batch_size": 32, "prompt": "Find what answers this",
        },
        "m3e-base+MiniCPM-Reranker": {
            "kind": "pipeline", "retriever": "m3e-base", "reranker": "MiniCPM-Reranker", "top_k": 5,
        },
    }  # fmt: skip
    assert "eval.top_k is not set: 5, EvalScope's default" in found.notes


def test_the_two_stages_are_specifications_like_those_of_a_models_file(tmp_path: Path) -> None:
    found = load_suite(str(write(tmp_path, TWO_STAGES)), tmp_path, KNOWN)
    assert found.suite.models == ("m3e-base+MiniCPM-Reranker",)
    assert found.suite.stage_folders
    assert found.models == {
        "m3e-base": EncoderSpec(id="AI-ModelScope/m3e-base", hub="modelscope", max_seq_length=512, batch_size=64),
        "MiniCPM-Reranker": CrossEncoderSpec(
            id="OpenBMB/MiniCPM-Reranker",
            hub="modelscope",
            max_seq_length=512,
            batch_size=32,
            prompt="Find what answers this",
        ),
        "m3e-base+MiniCPM-Reranker": PipelineSpec(retriever="m3e-base", reranker="MiniCPM-Reranker", top_k=5),
    }


def test_a_named_model_can_retrieve_for_a_pipeline(tmp_path: Path) -> None:
    pair = [{"model_name_or_path": "minilm"}, RERANKER]
    config = {"eval_config": {"tool": "MTEB", "model": pair, "eval": {"tasks": ["T2Retrieval"], "top_k": 7}}}
    found = load_suite(str(write(tmp_path, config)), tmp_path, KNOWN).models
    assert found.keys() == {"MiniCPM-Reranker", "minilm+MiniCPM-Reranker"}
    assert found["minilm+MiniCPM-Reranker"] == PipelineSpec(retriever="minilm", reranker="MiniCPM-Reranker", top_k=7)


def test_a_named_model_of_mtebs_own_code_takes_no_settings_that_it_does_not_have(tmp_path: Path) -> None:
    known: dict[str, Spec] = {"own": RegistrySpec(name="org/own")}
    model = {"model_name_or_path": "own", "model_kwargs": {"torch_dtype": "auto"}, "encode_kwargs": {"batch_size": 4}}
    file = write(tmp_path, one_stage(model))
    assert load_suite(str(file), tmp_path, known).models == {"own": RegistrySpec(name="org/own", batch_size=4)}
    write(tmp_path, one_stage({**model, "max_seq_length": 8}))
    with pytest.raises(ConfigError, match=r'\[own\+max_seq_length-8\]: has an unknown key "max_seq_length"'):
        load_suite(str(file), tmp_path, known)


def test_todays_schema_means_the_same_with_its_own_default_of_top_k(tmp_path: Path) -> None:
    tool = TWO_STAGES["eval_config"]
    asked = {"task_names" if key == "tasks" else key: value for key, value in tool["eval"].items()}
    todays = {"eval_config": {"tool": "mteb", "models": tool["model"][::-1], "eval": asked}}
    old, new = converted(tmp_path, TWO_STAGES), converted(tmp_path, todays)
    assert old.models.pop("m3e-base+MiniCPM-Reranker")["top_k"] == 5
    assert new.models.pop("m3e-base+MiniCPM-Reranker")["top_k"] == 10
    assert (old.suite, old.models) == (new.suite, new.models)
    asked["top_k"] = 50
    assert converted(tmp_path, todays).models["m3e-base+MiniCPM-Reranker"]["top_k"] == 50


def test_several_encoders_of_todays_schema_run_one_by_one(tmp_path: Path) -> None:
    config = one_stage()
    config["eval_config"]["models"] += [{"model_name_or_path": "other/name"}, {"model_name_or_path": "minilm"}]
    found = converted(tmp_path, config)
    assert found.suite["models"] == ["org-name", "other-name", "minilm"]
    assert {alias: entry["id"] for alias, entry in found.models.items()} == {
        "org-name": "org/name", "other-name": "other/name",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({}, {"max_seq_length": 512}),
        ({"max_seq_length": 128}, {"max_seq_length": 128}),
        ({"pooling_mode": "cls"}, {"pooling": "cls"}),
        ({"hub": "huggingface"}, {"hub": None}),
        ({"hub": "modelscope"}, {"hub": "modelscope"}),
        ({"prompt": "q: "}, {"prompts": {"query": "q: "}}),
        ({"prompt": "", "prompts": {"ATEC": "a: "}}, {"prompts": {"ATEC-query": "a: "}}),
        ({"prompts": {}}, {"prompts": {}}),
        ({"prompts": {"CMedQAv1": "a: "}}, {"prompts": {"CMedQAv1-reranking-query": "a: "}}),
        ({"prompt": "q: ", "prompts": {"ATEC": "a: "}}, {"prompts": {"query": "q: "}}),
        ({"model_kwargs": {"torch_dtype": "torch.float16"}}, {"dtype": "float16", "model_kwargs": None}),
        ({"model_kwargs": {"dtype": "bfloat16", "x": 1}}, {"dtype": "bfloat16", "model_kwargs": {"x": 1}}),
        ({"config_kwargs": {"trust_remote_code": True}}, {"trust_remote_code": True, "config_kwargs": None}),
        ({"config_kwargs": {"x": [1]}}, {"config_kwargs": {"x": [1]}}),
        ({"model_kwargs": {"revision": "v1"}}, {"revision": "v1", "model_kwargs": None}),
        ({"encode_kwargs": {"show_progress_bar": True, "batch_size": 7}}, {"batch_size": 7, "encode_kwargs": None}),
        ({"encode_kwargs": {"normalize_embeddings": True}}, {"normalize": True, "encode_kwargs": None}),
        ({"encode_kwargs": {"truncate_dim": 8, "x": 1}}, {"truncate_dim": 8, "encode_kwargs": {"x": 1}}),
        ({"is_cross_encoder": True}, {"kind": "cross-encoder", "prompt": None}),
        ({"is_cross_encoder": True, "prompt": "p"}, {"kind": "cross-encoder", "prompt": "p", "prompts": None}),
    ],
)  # fmt: skip
def test_a_parameter_of_a_model_becomes_a_setting(
    tmp_path: Path, model: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = table(tmp_path, **model)
    assert {key: found.get(key) for key in expected} == expected
    assert found.keys() - expected.keys() <= {"id", "hub", "max_seq_length"}


def test_settings_of_the_run_are_put_over_those_of_the_model(tmp_path: Path) -> None:
    config = one_stage({"encode_kwargs": {"batch_size": 8, "x": 1}}, encode_kwargs={"batch_size": 4})
    assert converted(tmp_path, config).models["name"] == {
        "id": "org/name", "hub": "modelscope", "max_seq_length": 512, "batch_size": 4, "encode_kwargs": {"x": 1},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "suite"),
    [
        ({}, {"tasks": {"include": ["ATEC"]}}),
        ({"limits": 7}, {"limit": 7}),
        ({"limits": None, "hub": "huggingface"}, {"source": {"kind": "hub"}}),
        ({"hub": "modelscope"}, {"source": {"kind": "modelscope"}}),
        ({"output_folder": "o"}, {"store": "o"}),
        ({"task_names": ["CMedQAv2", "BQ", "BQ"]}, {"tasks": {"include": ["CMedQAv2-reranking", "BQ"]}}),
        (
            {"task_names": None, "task_types": ["STS"], "languages": ["cmn"]},
            {"tasks": {"types": ["STS"], "languages": ["cmn"]}},
        ),
    ],
)
def test_a_parameter_of_the_run_becomes_a_key_of_the_suite(
    tmp_path: Path, asked: dict[str, Any], suite: dict[str, Any]
) -> None:
    found = converted(tmp_path, one_stage(**asked)).suite
    assert {key: found.get(key) for key in suite} == suite
    assert found.keys() - suite.keys() <= {"models", "tasks"}


def test_a_folder_a_name_and_a_hub_id_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert table(tmp_path, hub="modelscope") == {"path": "org/name", "max_seq_length": 512}
    assert table(tmp_path, model_name_or_path="org/other")["id"] == "org/other"
    assert converted(tmp_path, one_stage({"model_name_or_path": "minilm"})).models == {}


def test_a_named_model_keeps_its_settings_and_a_changed_one_is_called_so(tmp_path: Path) -> None:
    same = {
        "model_name_or_path": "short",
        "max_seq_length": 64,
        "prompt": "q: ",
        "model_kwargs": {"torch_dtype": "auto"},
    }
    assert converted(tmp_path, one_stage(same)).models == {}
    faster = converted(tmp_path, one_stage({**same, "encode_kwargs": {"batch_size": 9}})).models
    assert faster == {"short": {"id": "org/short", "max_seq_length": 64, "prompts": {"query": "q: "}, "batch_size": 9}}
    other = converted(tmp_path, one_stage({**same, "max_seq_length": 32, "prompt": "other: "}))
    assert other.suite["models"] == ["short+max_seq_length-32+prompts"]
    assert other.models["short+max_seq_length-32+prompts"] == {
        "id": "org/short", "max_seq_length": 32, "prompts": {"query": "other: "}, "batch_size": 8,
    }  # fmt: skip


def test_a_name_of_models_toml_is_had_by_the_same_model_and_another_is_called_by_its_whole_name(tmp_path: Path) -> None:
    model = {"model_name_or_path": "org/short", "hub": "huggingface", "max_seq_length": 64, "prompt": "q: "}
    (spec,) = load_suite(str(write(tmp_path, one_stage(model))), tmp_path, KNOWN).models.values()
    assert isinstance(spec, EncoderSpec)
    assert spec.batch_size is None
    assert converted(tmp_path, one_stage({**model, "max_seq_length": 32})).suite["models"] == ["org-short"]
    taken = {**KNOWN, "org-short": KNOWN["minilm"]}
    file = write(tmp_path, one_stage({**model, "max_seq_length": 32}))
    with pytest.raises(ConfigError) as caught:
        load_suite(str(file), tmp_path, taken)
    assert str(caught.value) == f'{file}: a model would be called "org-short", as another is in models.toml'


def test_a_pipeline_takes_no_name_of_models_toml(tmp_path: Path) -> None:
    name = "m3e-base+MiniCPM-Reranker"
    file = write(tmp_path, TWO_STAGES)
    with pytest.raises(ConfigError) as caught:
        load_suite(str(file), tmp_path, {**KNOWN, name: KNOWN["minilm"]})
    assert str(caught.value) == f'{file}: a model would be called "{name}", as another is in models.toml'


@pytest.mark.parametrize("config", [ONE_STAGE, TWO_STAGES])
def test_beside_the_models_that_are_built_in_the_same_tasks_run(tmp_path: Path, config: dict[str, Any]) -> None:
    found = load_suite(str(write(tmp_path, config)), tmp_path, load_models())
    (chosen,) = found.suite.models
    assert chosen.partition("+")[0] == "AI-ModelScope-m3e-base"
    assert found.models["AI-ModelScope-m3e-base"].published == "AI-ModelScope/m3e-base"


def test_the_same_model_twice_has_no_two_names(tmp_path: Path) -> None:
    config = one_stage()
    config["eval_config"]["models"] *= 2
    assert (
        sentence(tmp_path, config) == 'two models would be called "org-name"; list one, and the other in another file'
    )


KWARGS = st.dictionaries(
    st.sampled_from(["x", "y"]), st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.text(), max_size=2
)
MODELS = st.fixed_dictionaries(
    {"model_name_or_path": st.sampled_from(["org/name", "folder", "minilm", "short", "./folder"])},
    optional={
        "pooling_mode": st.sampled_from([None, "cls", "mean"]),
        "max_seq_length": st.integers(1, 999),
        "prompt": st.none() | st.text(),
        "prompts": st.none() | st.dictionaries(st.sampled_from(["ATEC", "BQ"]), st.text()),
        "model_kwargs": KWARGS | st.fixed_dictionaries({"torch_dtype": st.sampled_from(["auto", "float16"])}),
        "config_kwargs": KWARGS,
        "encode_kwargs": KWARGS | st.fixed_dictionaries({"batch_size": st.integers(1, 99)}),
        "hub": st.sampled_from(["modelscope", "huggingface"]),
    },
)
ASKED = st.fixed_dictionaries(
    {"tasks": st.lists(st.sampled_from(["ATEC", "BQ", "CMedQAv1"]), min_size=1)},
    optional={
        "verbosity": st.integers(0, 3),
        "output_folder": st.sampled_from(["outputs", "/tmp/outputs", "../outputs"]),
        "overwrite_results": st.booleans(),
        "limits": st.none() | st.integers(1, 99),
        "hub": st.just("huggingface"),
        "top_k": st.integers(1, 99),
    },
)
CONFIGS = st.builds(
    lambda model, asked: {"eval_config": {"tool": "MTEB", "model": [model], "eval": asked}}, MODELS, ASKED
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("configurations")
    (folder / "folder").mkdir()
    (folder / "into").mkdir()
    return folder


def anonymous(suite: NamedSuite) -> NamedSuite:
    return dataclasses.replace(suite, file=Path("x"), name="x")


@settings(max_examples=50)
@given(config=CONFIGS)
def test_json_yaml_and_python_give_the_same_suite(place: Path, config: dict[str, Any]) -> None:
    (place / "a.json").write_text(json.dumps(config))
    (place / "a.yaml").write_text(yaml.safe_dump(config))
    (place / "a.py").write_text(f"# -*- coding: utf-8 -*-\ntask_cfg = {config!r}\n", encoding="utf-8")
    one, *others = (load_suite(name, place, KNOWN) for name in ("a.json", "a.yaml", "a.py", "a.py:task_cfg"))
    assert all(anonymous(other) == anonymous(one) for other in others)


@settings(max_examples=50)
@given(config=CONFIGS, elsewhere=st.booleans())
def test_the_toml_made_of_a_configuration_means_the_same(place: Path, config: dict[str, Any], elsewhere: bool) -> None:
    file = write(place, config)
    known = {**KNOWN, **load_models()}
    into = place / "into" if elsewhere else place
    suite, models = render_suite_toml(file, known, into=into)
    (into / "made.toml").write_text(suite)
    (into / "models.toml").write_text(models)
    direct, made = load_suite(str(file), place, known), load_suite(str(into / "made.toml"), place)
    specs = {**known, **load_models(into / "models.toml")}
    assert normal(made.suite.store) == normal(direct.suite.store)
    assert dataclasses.replace(made.suite, store=None) == dataclasses.replace(direct.suite, store=None)
    for alias in direct.suite.models:
        one, other = specs[alias], {**known, **direct.models}[alias]
        assert isinstance(one, EncoderSpec)
        assert isinstance(other, EncoderSpec)
        assert normal(one.path) == normal(other.path)
        assert dataclasses.replace(one, path=other.path) == other


def normal(path: Path | None) -> Path | None:
    return None if path is None else path.resolve()


def test_two_stages_are_rendered_too_with_the_notes_on_top(tmp_path: Path) -> None:
    suite, models = render_suite_toml(write(tmp_path, TWO_STAGES), KNOWN)
    assert suite.startswith("# Made from config.json, an EvalScope configuration.\n# eval.limits = 100 keeps")
    assert 'models = [\n    "m3e-base+MiniCPM-Reranker",\n]\nlimit = 100\nstore = "outputs"\n' in suite
    assert '["m3e-base+MiniCPM-Reranker"]\nkind = "pipeline"\nretriever = "m3e-base"\n' in models


HOSTILE = [
    "a\nlimit = 1\n", "a\r\n[tasks]\ninclude = []", 'a"\n"b', "\x00\x1b[2J\x7f", "\u2028limit = 1\x85x = 1\x0b",
    '"""\\', "\u202e\u200b]]", "# x", "~nobody/x",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_configuration_becomes_more_than_a_value(tmp_path: Path, text: str) -> None:
    check_written(tmp_path, text, text)


@settings(max_examples=100)
@given(st.text(min_size=1), st.text(min_size=1))
def test_no_text_at_all_does(place: Path, text: str, key: str) -> None:
    check_written(place, text, key)


def check_written(folder: Path, text: str, key: str) -> None:
    (folder / "folder").mkdir(exist_ok=True)
    task = "x" + text.translate(dict.fromkeys(map(ord, "*?[")))
    model = {
        "model_name_or_path": "folder", "prompts": {key: text}, "hub": "modelscope",
        "model_kwargs": {f"x{key}": {key: [text]}}, "config_kwargs": {"revision": text},
    }  # fmt: skip
    file = write(folder, one_stage(model, output_folder=text, task_names=[task]))
    meant = convert(read_evalscope(file), file, KNOWN)
    suite, models = (written.encode().decode() for written in render_suite_toml(file, KNOWN))
    assert tomllib.loads(suite) == meant.suite
    assert tomllib.loads(models) == meant.models
    assert (meant.suite["store"], meant.suite["tasks"]["include"]) == (text, [task])
    assert meant.models["folder"]["prompts"] == {f"{RENAMED_TASKS.get(key, key)}-query": text}
    head = suite.partition("\n\n")[0].split("\n")
    assert len(head) == len(meant.notes) + 1
    assert all(
        line.startswith("# ") and line.replace("\u200c", "").replace("\u200d", "").isprintable() for line in head
    )


@pytest.mark.parametrize("name", ["a\nx = 1.json", "\x1b[2J.json", "a\u2028b.json", "\udcff.json"])
def test_the_name_of_the_file_stays_in_its_comment(tmp_path: Path, name: str) -> None:
    for text in render_suite_toml(write(tmp_path, one_stage(), name), KNOWN):
        assert text.encode().startswith(b"# Made from ")
        assert "x" not in tomllib.loads(text)


@pytest.mark.parametrize(
    ("config", "where"),
    [
        (one_stage(output_folder="a\ud800"), "[eval_config.eval] output_folder holds"),
        (one_stage({"prompt": "\udfff"}), "[eval_config.models.0] prompt holds"),
        (one_stage({"model_kwargs": {"a": ["\ud800"]}}), "[eval_config.models.0.model_kwargs.a] 0 holds"),
        (one_stage({"model_kwargs": {"\ud800": 1}}), "[eval_config.models.0] model_kwargs has a key with"),
    ],
)
def test_half_a_character_is_one_sentence(tmp_path: Path, config: dict[str, Any], where: str) -> None:
    file = write(tmp_path, config)
    with pytest.raises(ConfigError) as caught:
        render_suite_toml(file, KNOWN)
    assert str(caught.value).startswith(f"{file}: {where} half of a surrogate pair, ")


def test_toml_has_no_word_for_null(tmp_path: Path) -> None:
    file = write(tmp_path, one_stage({"model_kwargs": {"deep": [{"x": None}]}}))
    with pytest.raises(ConfigError) as caught:
        render_suite_toml(file, KNOWN)
    assert str(caught.value) == f"{file}: name.model_kwargs.deep.0.x = null, for which TOML has no word; leave it out"
