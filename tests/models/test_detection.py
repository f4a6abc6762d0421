"""What a folder or an id is decides its kind: another kind than the specification's is one sentence, not a score."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from tests.encoders import open_reranker, save_tiny_cross_encoder, save_tiny_model
from tests.folders import save_bag_of_words
from touchstone.config.base import Spec
from touchstone.config.models import Model, load_models
from touchstone.config.specs import CrossEncoderSpec, EncoderSpec
from touchstone.errors import ModelError
from touchstone.models.files.detection import check_kind, detect
from touchstone.models.files.listing import in_folder
from touchstone.models.files.trust import needs_trust
from touchstone.models.kinds import open_encoder
from touchstone.models.weights.examination import examine
from touchstone.store.folder import Store

COMMIT = "0123456789abcdef0123456789abcdef01234567"
DENSE, CROSS = "sentence-transformers", "cross-encoder"


def write(folder: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def save_sparse(folder: Path) -> Path:
    from sentence_transformers import SparseEncoder
    from sentence_transformers.sparse_encoder.modules import MLMTransformer, SpladePooling
    from transformers import BertConfig, BertForMaskedLM

    encoder = save_tiny_model(folder.with_name("for-sparse"))
    bare = folder.with_name("for-sparse-bare")
    config: Any = BertConfig.from_pretrained(bare)
    BertForMaskedLM(config).save_pretrained(bare)
    modules: Any = [MLMTransformer(str(bare), max_seq_length=64), SpladePooling()]
    SparseEncoder(modules=modules, device="cpu").save_pretrained(str(folder))
    assert encoder.is_dir()
    return folder


def save_cross(folder: Path) -> Path:
    from sentence_transformers import CrossEncoder

    bare = save_tiny_cross_encoder(folder.with_name("for-cross"))
    CrossEncoder(str(bare), device="cpu").save_pretrained(str(folder))
    return folder


def save_static(folder: Path) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    words: Any = Tokenizer.from_file(str(save_tiny_model(folder.with_name("for-static")) / "tokenizer.json"))
    SentenceTransformer(modules=[StaticEmbedding(words, embedding_dim=8)], device="cpu").save(str(folder))
    return folder


def save_multi(folder: Path) -> Path:
    """As sentence-transformers saves one, the file that says so on a folder that would load as a mean-pooled BERT."""
    folder = save_tiny_model(folder)
    file = folder / "config_sentence_transformers.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_type": "MultiVectorEncoder"}))
    return folder


SPARSE = 'is a SparseEncoder, which gives no dense vector of a text; write kind = "sparse" in models.toml'
MULTI = (
    "is a MultiVectorEncoder, which gives a vector for each token, and no single one of a text; "
    'write kind = "multi-vector" in models.toml'
)
WRITE_CROSS = 'is a CrossEncoder; write kind = "cross-encoder" in models.toml'
REAL: dict[str, tuple[Callable[[Path], Path], str | None]] = {
    "sparse": (save_sparse, SPARSE),
    "cross": (save_cross, WRITE_CROSS),
    "bare cross": (save_tiny_cross_encoder, WRITE_CROSS),
    "multi": (save_multi, MULTI),
    "static": (save_static, None),
    "dense": (save_tiny_model, None),
}


@pytest.fixture(scope="module", params=REAL)
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str | None]:
    """A folder that the library itself wrote, and what is wrong with it for an encoder."""
    save, wrong = REAL[request.param]
    return save(tmp_path_factory.mktemp("real") / "model"), wrong


def refusal(spec: Spec, store: Path, open_it: Callable[..., Any] = open_encoder) -> str | None:
    """Return why a model is not opened, without its alias."""
    try:
        open_it(Model(alias="x", spec=spec, text="x"), "cpu", Store(store))
    except ModelError as error:
        return str(error).removeprefix("x: ")
    return None


@pytest.mark.parametrize("how", ["folder", "package", "doctor"])
def test_what_a_folder_is_decides_whether_an_encoder_opens(
    real: tuple[Path, str | None], how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, wrong = real
    spec, place = EncoderSpec(path=folder), folder
    if how == "package":
        write(tmp_path / "site" / f"pack_{folder.parent.name}", {"__init__.py": ""})
        place = shutil.copytree(folder, tmp_path / "site" / f"pack_{folder.parent.name}" / "model")
        monkeypatch.syspath_prepend(tmp_path / "site")
        spec = EncoderSpec(package=f"pack_{folder.parent.name}".replace("-", "_"), path=Path("model"))
    found = refusal(spec, tmp_path / "store", examine if how == "doctor" else open_encoder)
    assert found == (None if wrong is None else f"{place} {wrong}")


def test_a_pooling_makes_no_encoder_of_another_kind(real: tuple[Path, str | None], tmp_path: Path) -> None:
    folder, wrong = real
    if wrong is not None:
        assert refusal(EncoderSpec(path=folder, pooling="mean"), tmp_path) == f"{folder} {wrong}"


def test_a_cross_encoder_opens_as_one_and_nothing_else_does(real: tuple[Path, str | None], tmp_path: Path) -> None:
    folder, wrong = real
    expected = {
        WRITE_CROSS: None,
        SPARSE: f"{folder} {SPARSE}",
        MULTI: f"{folder} {MULTI}",
        None: f'{folder} is a SentenceTransformer; write kind = "sentence-transformers" in models.toml',
    }
    assert refusal(CrossEncoderSpec(path=folder), tmp_path, open_reranker) == expected[wrong]


MODULE = "sentence_transformers.models."
TRANSFORMER, POOLING = {"type": f"{MODULE}Transformer"}, {"type": f"{MODULE}Pooling"}
BERT = {"model_type": "bert", "architectures": ["BertModel"]}
SETTINGS, MODULES, CONFIG = "config_sentence_transformers.json", "modules.json", "config.json"
FILES: dict[str, tuple[dict[str, Any], str | None]] = {
    "nothing": ({}, None),
    "bare transformer": ({CONFIG: BERT}, None),
    "masked language model": ({CONFIG: {"architectures": ["BertForMaskedLM"]}}, None),
    "before model_type": ({MODULES: [TRANSFORMER, POOLING], SETTINGS: {"__version__": {}}}, "SentenceTransformer"),
    "without settings": ({MODULES: [TRANSFORMER, POOLING]}, "SentenceTransformer"),
    "dense on a classifier's body":
        ({MODULES: [TRANSFORMER, POOLING], CONFIG: {"architectures": ["XForSequenceClassification"]}},
         "SentenceTransformer"),
    "model2vec": ({MODULES: [{"type": f"{MODULE}StaticEmbedding"}], CONFIG: {"model_type": "model2vec"}},
                  "SentenceTransformer"),
    "a publisher's module": ({MODULES: [{"type": "custom_st.Transformer"}, POOLING]}, "SentenceTransformer"),
    "splade before model_type":
        ({MODULES: [TRANSFORMER, {"type": "sentence_transformers.sparse_encoder.models.SpladePooling"}]},
         "SparseEncoder"),
    "PyLate 1": ({MODULES: [TRANSFORMER, {"type": "pylate.models.Dense.Dense"}]}, "MultiVectorEncoder"),
    "PyLate 2": ({MODULES: [TRANSFORMER], SETTINGS: {"query_prefix": "[Q] "}}, "MultiVectorEncoder"),
    "PyLate 3": ({MODULES: [TRANSFORMER], SETTINGS: {"model_type": "ColBERT"}}, "MultiVectorEncoder"),
    "Stanford's ColBERT": ({CONFIG: {"architectures": ["HF_ColBERT"]}, "artifact.metadata": {}}, "MultiVectorEncoder"),
    "ColPali": ({CONFIG: {"architectures": ["ColPaliForRetrieval"]}}, "MultiVectorEncoder"),
    "cross-encoder": ({CONFIG: {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}},
                      "CrossEncoder"),
    "cross-encoder of a publisher's Python":
        ({CONFIG: {"auto_map": {"AutoModelForSequenceClassification": "m.M"}, "id2label": {"0": "LABEL_0"}}},
         "CrossEncoder"),
    "decoder as cross-encoder": ({MODULES: [TRANSFORMER, {"type": f"{MODULE}LogitScore"}]}, "CrossEncoder"),
    "adapter of an encoder": ({"adapter_config.json": {"task_type": "FEATURE_EXTRACTION"}}, None),
    "adapter of a cross-encoder": ({"adapter_config.json": {"task_type": "SEQ_CLS"}}, "CrossEncoder"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_files_say_which_class_a_model_is_of(name: str, tmp_path: Path) -> None:
    files, expected = FILES[name]
    assert detect(in_folder(write(tmp_path, files))) == expected


def test_a_model_of_the_hub_is_refused_before_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    write(tmp_path / "models--org--name" / "snapshots" / COMMIT, {SETTINGS: {"model_type": "SparseEncoder"}})
    listed = json.dumps({SETTINGS: [None, 0]})  # as a run with a network once heard it
    Store(tmp_path / "store").remember(f"files of model:org/name@{COMMIT}", lambda: listed)
    spec = EncoderSpec(id="org/name", revision=COMMIT, pooling="mean")
    assert refusal(spec, tmp_path / "store") == f"org/name {SPARSE}"


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({SETTINGS: {"model_type": "TensorEncoder"}},
         'config_sentence_transformers.json says model_type = "TensorEncoder"; known are "SentenceTransformer", '
         '"CrossEncoder", "SparseEncoder", "MultiVectorEncoder", "ColBERT"'),
        ({SETTINGS: {"model_type": 3}}, "says model_type = 3; known are"),
        ({SETTINGS: {"model_type": ["SentenceTransformer"]}}, 'says model_type = ["SentenceTransformer"]; known are'),
        ({SETTINGS: "version https://git-lfs.github.com/spec/v1"},
         "config_sentence_transformers.json is a Git LFS pointer, not the file itself; run git lfs pull"),
        ({SETTINGS: "<html>"}, "config_sentence_transformers.json: not JSON: "),
        ({CONFIG: {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "1": "b", "2": "c"}}},
         "is a BertForSequenceClassification, which gives 3 numbers; a cross-encoder gives one, its score, and an "
         "encoder a vector"),
        ({CONFIG: {"model_type": "model2vec", "architectures": ["StaticModel"]}},
         "is a model2vec model without modules.json, which sentence-transformers needs; save it again with a newer "),
        ({CONFIG: BERT, "onnx/model.onnx": ""}, 'holds weights for ONNX alone; write kind = "onnx" in models.toml'),
        ({CONFIG: BERT, "openvino/openvino_model.xml": "", "openvino/openvino_model.bin": ""},
         'holds weights for OpenVINO alone; write kind = "openvino" in models.toml, or '),
        ({CONFIG: BERT, "model.onnx": "", "openvino/openvino_model.xml": ""},
         'holds weights for ONNX and OpenVINO alone; write kind = "onnx" or kind = "openvino" in models.toml, or '),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [DENSE, CROSS])
def test_what_cannot_be_told_or_run_is_one_sentence(
    files: dict[str, Any], sentence: str, kind: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError) as caught:
        check_kind(kind, in_folder(write(tmp_path, files)))
    assert str(caught.value).startswith(str(tmp_path))
    assert sentence in str(caught.value)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "modules.json"])
def test_pointer_to_a_file_that_git_did_not_fetch_is_told_by_name(name: str, tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "model")
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    expected = f"{folder}: {name} is a Git LFS pointer, not the file itself; run git lfs pull"
    assert refusal(EncoderSpec(path=folder), tmp_path / "store") == expected


@pytest.mark.parametrize("name", ["cross", "sparse", "pickle", "python", "pointer"])
def test_a_folder_of_modelscope_is_refused_like_any_other(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = {"cross": save_tiny_cross_encoder, "sparse": save_sparse}.get(name, save_tiny_model)(tmp_path / "model")
    own = {"auto_map": {"AutoModel": "m.M"}}
    said = {"pickle": {"model_args": {"weights_only": False}}, "python": {"config_args": own}}
    if name in said:
        write(folder, {"sentence_bert_config.json": said[name]})
    if name == "pointer":
        write(folder, {"model.safetensors": "version https://git-lfs.github.com/spec/v1"})
    monkeypatch.setattr("touchstone.models.weights.identity.fetch_model", lambda *_: (folder, "master"))
    words = {"cross": WRITE_CROSS, "sparse": SPARSE, "pickle": "which would open pickled weights",
             "python": "needs Python that its publisher wrote", "pointer": "is a Git LFS pointer"}  # fmt: skip
    found = refusal(EncoderSpec(id="org/name", hub="modelscope", pooling="mean"), tmp_path / "store")
    assert found is not None
    assert words[name] in found


# What the repositories of models.toml hold of what decides a kind, as they are published.
ST = [{"type": "sentence_transformers.models.Transformer", "path": ""},
      {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]  # fmt: skip
JINA = {"AutoConfig": "jinaai/jina-bert-implementation--configuration_bert.JinaBertConfig",
        "AutoModel": "jinaai/jina-bert-implementation--modeling_bert.JinaBertModel"}  # fmt: skip
CPM = {"AutoConfig": "configuration_minicpm.MiniCPMConfig", "AutoModel": "modeling_minicpm.MiniCPMModel",
       "AutoModelForSequenceClassification": "modeling_minicpm.MiniCPMForSequenceClassification"}  # fmt: skip
XLM = {"AutoConfig": "configuration_xlm_roberta.XLMRobertaFlashConfig",
       "AutoModelForSequenceClassification": "modeling_xlm_roberta.XLMRobertaForSequenceClassification"}  # fmt: skip
SCORE = {"id2label": {"0": "LABEL_0"}}
PUBLISHED: dict[str, dict[str, Any]] = {
    "minilm": {MODULES: ST, CONFIG: BERT},
    "all-minilm-l6-v2": {MODULES: ST, CONFIG: BERT},
    "all-mpnet-base-v2": {MODULES: ST, CONFIG: {"architectures": ["MPNetForMaskedLM"]}},
    "bge-large-en": {MODULES: ST, CONFIG: BERT},
    "sfr-embedding-mistral": {MODULES: ST, CONFIG: {"architectures": ["MistralModel"]}},
    "jina-embeddings-v2-small-en": {MODULES: ST, CONFIG: {"architectures": ["JinaBertForMaskedLM"], "auto_map": JINA}},
    "m3e-base": {MODULES: ST, CONFIG: BERT},
    "minicpm-reranker": {CONFIG: {"architectures": ["MiniCPM"], "auto_map": CPM, **SCORE}},
    "jina-reranker-v2-base-multilingual":
        {CONFIG: {"architectures": ["XLMRobertaForSequenceClassification"], "auto_map": XLM, **SCORE}},
}  # fmt: skip


def test_every_named_model_is_of_the_kind_that_its_files_say(tmp_path: Path) -> None:
    kinds = EncoderSpec | CrossEncoderSpec
    named: Any = {name: spec for name, spec in load_models().items() if isinstance(spec, kinds)}
    assert named.keys() == PUBLISHED.keys()
    for name, spec in named.items():
        files = in_folder(write(tmp_path / name, {**PUBLISHED[name], "model.safetensors": "x"}))
        check_kind(spec.kind, files)
        assert needs_trust(files) == spec.trust_remote_code, name


def test_weights_beside_an_export_are_loaded(tmp_path: Path) -> None:
    files = {CONFIG: BERT, "onnx/model.onnx": "", "pytorch_model.bin": ""}
    check_kind(DENSE, in_folder(write(tmp_path, files)))


def test_a_model_without_weights_may_have_an_export_beside(tmp_path: Path) -> None:
    folder = save_bag_of_words(tmp_path / "model")
    check_kind(DENSE, in_folder(write(folder, {"onnx/model.onnx": ""})))


def test_names_that_no_file_can_have_and_deep_nesting_are_sentences(tmp_path: Path) -> None:
    files = in_folder(write(tmp_path, {"config.json": "[" * 100_000}))
    assert files.find("a" * 5000) is None
    assert files.names("a" * 5000) == []
    with pytest.raises(ModelError, match="is nested too deeply"):
        files.read("config.json")


@pytest.mark.parametrize("name", ["/proc/self/mem", "../x.json", "1_Pooling/../../x", "/"])
def test_files_outside_of_the_folder_are_not_looked_for(tmp_path: Path, name: str) -> None:
    files = in_folder(tmp_path)
    for look in (files.find, files.names, files.read):
        with pytest.raises(ModelError, match=r'its files name ".*", which lies outside of it; fetch the model again$'):
            look(name)
