"""Without trust no Python of a model's publisher runs and nothing is unpickled, whatever its files say."""

import json
import os
import pickle
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.encoders import open_reranker, save_tiny_cross_encoder, save_tiny_model
from touchstone.config.models import Model
from touchstone.config.specs import CrossEncoderSpec, EncoderSpec
from touchstone.encoding.meter import Meter
from touchstone.errors import ModelError
from touchstone.models.files.listing import in_folder
from touchstone.models.files.trust import SETTINGS_FILE, check_no_code, needs_trust, weights_only
from touchstone.models.kinds import open_encoder
from touchstone.store.folder import Store

TEXTS = ["the quick brown fox", "a b"]
SAFE, PICKLED = "model.safetensors", "pytorch_model.bin"
NOT_RUN = "has a pickle that is damaged or holds more than weights, and is not run; give its weights as safetensors"


class Bomb:
    """What makes a file, once it is unpickled."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> Any:
        return Path.touch, (self.made,)


@pytest.fixture
def bomb(tmp_path: Path) -> Bomb:
    return Bomb(tmp_path / "made-by-a-pickle")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models with every module of sentence-transformers that has weights of its own, as the library saves them."""
    root = tmp_path_factory.mktemp("saved")
    tiny = save_tiny_model(root / "tiny")
    made = {"tiny": tiny, "cross": save_tiny_cross_encoder(root / "cross")}
    for name, modules in _modules(tiny).items():
        from sentence_transformers import SentenceTransformer

        made[name] = root / name
        SentenceTransformer(modules=modules, device="cpu").save(str(made[name]), create_model_card=False)
    return made


def _modules(tiny: Path) -> dict[str, list[Any]]:
    from sentence_transformers.sentence_transformer import modules as of
    from sentence_transformers.sentence_transformer.modules.tokenizer import WhitespaceTokenizer
    from tokenizers import Tokenizer

    def body() -> list[Any]:
        return [of.Transformer(str(tiny), max_seq_length=64), of.Pooling(32)]

    words: Any = Tokenizer.from_file(str(tiny / "tokenizer.json"))
    static: Any = of.StaticEmbedding(words, embedding_dim=8)
    by_word = WhitespaceTokenizer(["the", "quick", "brown", "fox", "a", "b"], stop_words=[])
    embeddings = of.WordEmbeddings(by_word, np.random.default_rng(0).normal(size=(6, 32)))
    routes: Any = {"query": [static], "document": [static]}
    return {
        "Dense": [*body(), of.Dense(32, 8)],
        "LayerNorm": [*body(), of.LayerNorm(32)],
        "CNN": [body()[0], of.CNN(32, 8, kernel_sizes=[1]), of.Pooling(8)],  # wider ones see the padding
        "LSTM": [embeddings, of.LSTM(32, 16), of.Pooling(32)],
        "WordEmbeddings": [embeddings, of.Pooling(32)],
        "StaticEmbedding": [static],
        "Router": [of.Router(routes, default_route="document")],
    }


NAMES = ("tiny", "cross", "Dense", "LayerNorm", "CNN", "LSTM", "WordEmbeddings", "StaticEmbedding", "Router")
OF_A_TRANSFORMER = NAMES[:5]


def copy(saved: dict[str, Path], name: str, tmp_path: Path, files: dict[str, Any] | None = None) -> Path:
    """Copy a model and change its files; what is said of an object is added to it, and None is taken out."""
    folder = shutil.copytree(saved[name], tmp_path / "model")
    for file, said in (files or {}).items():
        path = folder / file
        before = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps({key: value for key, value in (before | said).items() if value is not None}))
    return folder


def pickle_weights(folder: Path, bomb: Bomb | None, *, keep: bool = False) -> None:
    """Put each file of weights into a pickle beside it, or in its place."""
    for safe in sorted(folder.rglob(SAFE)):
        weights: dict[str, Any] = dict(load_file(safe))
        torch.save(weights if bomb is None else weights | {"bomb": bomb}, safe.with_name(PICKLED))
        if not keep:
            safe.unlink()


def opened(folder: Path, store: Path, **settings: Any) -> Any:
    """Open a model and return what it makes of texts, or of a pair."""
    config = folder / "config.json"
    if config.is_file() and "ForSequenceClassification" in config.read_text():
        reranker = Model(alias="x", spec=CrossEncoderSpec(path=folder, **settings), text="x")
        for_mteb: Any = open_reranker(reranker, "cpu", Store(store)).for_mteb(Meter())
        return for_mteb._scorer.score([("a", "b c")])
    model = Model(alias="x", spec=EncoderSpec(path=folder, **settings), text="x")
    module: Any = open_encoder(model, "cpu", Store(store)).module
    return module.encode(TEXTS)


def refusal(folder: Path, store: Path) -> str:
    with pytest.raises(ModelError) as caught:
        opened(folder, store)
    return str(caught.value)


def test_the_pickle_of_these_tests_runs_where_pickles_are_opened(bomb: Bomb, tmp_path: Path) -> None:
    torch.save({"bomb": bomb}, tmp_path / PICKLED)
    torch.load(tmp_path / PICKLED, weights_only=False)
    assert bomb.made.exists()


@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, "float32") for name in NAMES), *((name, None) for name in OF_A_TRANSFORMER)]
)
def test_pickle_is_not_run_where_it_is_all_that_there_is(
    saved: dict[str, Path], name: str, dtype: str | None, bomb: Bomb, tmp_path: Path
) -> None:
    """Without a dtype in its configuration, transformers opens a file of weights to see one."""
    files = {"config.json": {"dtype": dtype}} if name in OF_A_TRANSFORMER else {}
    folder = copy(saved, name, tmp_path, files)
    pickle_weights(folder, bomb)
    assert refusal(folder, tmp_path / "store") == f"x: {folder} {NOT_RUN}"
    assert not bomb.made.exists()


@pytest.mark.parametrize("name", sorted({*NAMES} - {"tiny", "cross", "WordEmbeddings", "StaticEmbedding"}))
def test_pickle_of_a_module_is_not_run_beside_safetensors_of_others(
    saved: dict[str, Path], name: str, bomb: Bomb, tmp_path: Path
) -> None:
    folder = copy(saved, name, tmp_path)
    inside = next(path.parent for path in sorted(folder.rglob(SAFE)) if path.parent != folder)
    pickle_weights(inside, bomb)
    assert refusal(folder, tmp_path / "store") == f"x: {folder} {NOT_RUN}"
    assert not bomb.made.exists()


@pytest.mark.parametrize("name", NAMES)
def test_plain_weights_in_a_pickle_load(saved: dict[str, Path], name: str, tmp_path: Path) -> None:
    folder = copy(saved, name, tmp_path)
    pickle_weights(folder, None)
    np.testing.assert_array_equal(opened(folder, tmp_path / "a"), opened(saved[name], tmp_path / "b"))


@pytest.mark.parametrize("name", NAMES)
def test_safetensors_are_taken_wherever_there_are_any(
    saved: dict[str, Path], name: str, bomb: Bomb, tmp_path: Path
) -> None:
    """Two folders that differ in the pickles beside their safetensors are one model."""
    folder = copy(saved, name, tmp_path)
    pickle_weights(folder, bomb, keep=True)
    np.testing.assert_array_equal(opened(folder, tmp_path / "a"), opened(saved[name], tmp_path / "b"))
    assert not bomb.made.exists()


@pytest.mark.parametrize("name", ["tiny", "cross"])
def test_shards_are_not_unpickled_either(saved: dict[str, Path], name: str, bomb: Bomb, tmp_path: Path) -> None:
    folder = copy(saved, name, tmp_path, {"config.json": {"dtype": None}})
    pickle_weights(folder, bomb)
    (folder / PICKLED).rename(folder / "pytorch_model-00001-of-00001.bin")
    keys = load_file(saved[name] / SAFE)
    index = {"metadata": {}, "weight_map": dict.fromkeys(keys, "pytorch_model-00001-of-00001.bin")}
    (folder / f"{PICKLED}.index.json").write_text(json.dumps(index))
    assert refusal(folder, tmp_path / "a") == f"x: {folder} {NOT_RUN}"
    # an index of safetensors that names a pickle
    (folder / f"{PICKLED}.index.json").rename(folder / f"{SAFE}.index.json")
    assert refusal(folder, tmp_path / "b") == f"x: {folder} {NOT_RUN}"
    assert not bomb.made.exists()


NEVER_OPENED = (
    "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "scaler.pt", "vocab.pkl", "tokenizer.pkl",
    "adapter_model.bin", "embeddings.npy", ".metadata", "model.joblib", "checkpoint-5/pytorch_model.bin",
)  # fmt: skip


@pytest.mark.parametrize("name", ["tiny", "cross"])
def test_other_pickles_of_a_folder_are_never_opened(
    saved: dict[str, Path], name: str, bomb: Bomb, tmp_path: Path
) -> None:
    folder = copy(saved, name, tmp_path)
    for file in NEVER_OPENED:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_bytes(pickle.dumps(bomb))
    np.testing.assert_array_equal(opened(folder, tmp_path / "a"), opened(saved[name], tmp_path / "b"))
    assert not bomb.made.exists()


@pytest.mark.parametrize(
    "file", ["tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
)
def test_pickle_in_the_place_of_a_file_of_a_tokenizer_is_not_run(
    saved: dict[str, Path], file: str, bomb: Bomb, tmp_path: Path
) -> None:
    folder = copy(saved, "tiny", tmp_path)
    torch.save(bomb, folder / file)
    with suppress(ModelError):  # what no library reads any more may say what it likes
        opened(folder, tmp_path / "store")
    assert not bomb.made.exists()


NO_DTYPE = {"config.json": {"dtype": None}}
NO_SAFETY = {"model_args": {"weights_only": False, "use_safetensors": False}}
ATTACKS: dict[str, tuple[dict[str, Any], str]] = {
    "no dtype, so that a file is opened to see one":
        ({"sentence_bert_config.json": NO_SAFETY, **NO_DTYPE}, "model_args.weights_only = false"),
    "with a dtype":
        ({"sentence_bert_config.json": NO_SAFETY}, "model_args.weights_only = false"),
    "under an old name":
        ({"sentence_bert_config.json": {}, "sentence_roberta_config.json": NO_SAFETY, **NO_DTYPE},
         "model_args.weights_only = false"),
    "under a new name":
        ({"sentence_bert_config.json": {"model_kwargs": {"weights_only": False, "use_safetensors": False}}},
         "model_kwargs.weights_only = false"),
    "another file of weights":
        ({"config.json": {"dtype": None, "transformers_weights": "adapter_model.bin"}},
         'transformers_weights = "adapter_model.bin"'),
}  # fmt: skip


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("attack", ATTACKS)
def test_no_setting_opens_a_pickle_beside_safetensors(
    saved: dict[str, Path], attack: str, seen: bool, bomb: Bomb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused by name; and torch would refuse it if it were not seen."""
    files, says = ATTACKS[attack]
    folder = copy(saved, "tiny", tmp_path, files)
    if files.get("sentence_bert_config.json") == {}:
        (folder / "sentence_bert_config.json").unlink()
    pickle_weights(folder, bomb, keep=True)
    shutil.copy(folder / PICKLED, folder / "adapter_model.bin")
    if not seen:
        monkeypatch.setattr("touchstone.models.weights.identity.check_no_code", lambda files: None)
    message = refusal(folder, tmp_path / "store")
    if seen:
        assert message.startswith(f"x: {folder}: ")
        assert f" says {says}, which would open pickled weights, and so run what is in them; remove it, or" in message
    else:
        assert message == f"x: {folder} {NOT_RUN}"
    assert not bomb.made.exists()


def test_torch_opens_nothing_but_weights_meanwhile(bomb: Bomb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"bomb": bomb}, tmp_path / PICKLED)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    before = dict(os.environ)
    with weights_only(), pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / PICKLED, weights_only=False)
    with pytest.raises(KeyError), weights_only():
        raise KeyError
    assert not bomb.made.exists()
    assert dict(os.environ) == before


BERT_CONFIG, TOKENIZER, MODULES = "sentence_bert_config.json", "tokenizer_config.json", "modules.json"
TRANSFORMER = {"type": "sentence_transformers.models.Transformer", "path": ""}
PICKLES, IMPORTS = "which would open pickled weights", "which would import and run what it names"
KERNELS, FILES = "which would fetch and run kernels of that name", "which would take files from another place"
HUB = "org/kernels"
SAID: list[tuple[str, Any, str, str]] = [
    (BERT_CONFIG, {"model_kwargs": {"use_safetensors": False}}, "model_kwargs.use_safetensors = false", PICKLES),
    ("sentence_xlm-roberta_config.json", {"model_args": {"weights_only": 0}}, "model_args.weights_only = 0", PICKLES),
    ("0_Transformer/" + BERT_CONFIG, {"model_args": {"weights_only": False}}, "weights_only = false", PICKLES),
    ("config.json", {"weights_only": False}, "weights_only = false", PICKLES),
    ("config.json", {"backbone_kwargs": {"weights_only": False}}, "backbone_kwargs.weights_only = false", PICKLES),
    ("config.json", {"transformers_weights": "adapter_model.bin"}, 'transformers_weights = "adapter_model.bin"',
     PICKLES),
    (BERT_CONFIG, {"model_args": {"attn_implementation": HUB}}, f'model_args.attn_implementation = "{HUB}"', KERNELS),
    (BERT_CONFIG, {"config_args": {"attn_implementation": {"text": HUB}}}, "config_args.attn_implementation", KERNELS),
    ("config.json", {"text_config": {"_attn_implementation": HUB}}, "text_config._attn_implementation", KERNELS),
    ("config.json", {"_attn_implementation_internal": HUB}, "_attn_implementation_internal", KERNELS),
    (BERT_CONFIG, {"model_args": {"use_kernels": True}}, "model_args.use_kernels = true", KERNELS),
    (BERT_CONFIG, {"model_args": {"state_dict": {}}}, "model_args.state_dict = {}", "not known to be harmless"),
    (BERT_CONFIG, {"model_args": {"variant": "x"}}, 'model_args.variant = "x"', "not known to be harmless"),
    (BERT_CONFIG, {"model_args": {"quantization_config": {}}}, "quantization_config", "not known to be harmless"),
    (BERT_CONFIG, {"model_args": {"adapter_kwargs": {"a": 1}}}, "adapter_kwargs", "not known to be harmless"),
    (BERT_CONFIG, {"tokenizer_args": {"trust_remote_code": True}}, "trust_remote_code = true", IMPORTS),
    ("config.json", {"backbone_kwargs": {"trust_remote_code": True}}, "trust_remote_code = true", IMPORTS),
    (TOKENIZER, {"trust_remote_code": True}, "trust_remote_code = true", IMPORTS),
    (BERT_CONFIG, {"config_args": {"_configuration_file": "x"}}, "config_args._configuration_file", FILES),
    (BERT_CONFIG, {"processor_kwargs": {"tokenizer_file": "/x"}}, "processor_kwargs.tokenizer_file", FILES),
    (BERT_CONFIG, {"tokenizer_args": {"subfolder": "x"}}, "tokenizer_args.subfolder", FILES),
    (BERT_CONFIG, {"tokenizer_name_or_path": "org/name"}, "tokenizer_name_or_path", FILES),
    (TOKENIZER, {"sudachi_kwargs": {"sudachi_config_path": "x"}}, "sudachi_config_path", FILES),
    ("config.json", {"configuration_files": ["config.4.0.0.json"]}, "configuration_files", FILES),
    ("adapter_config.json", {"megatron_config": {}}, "megatron_config = {}", IMPORTS),
    ("adapter_config.json", {"auto_mapping": {"parent_library": "os"}}, 'parent_library = "os"', IMPORTS),
    ("2_Dense/config.json", {"activation_function": "os.system"}, 'activation_function = "os.system"', IMPORTS),
    ("config_sentence_transformers.json", {"activation_fn": "torch.utils.collect_env.main"}, "activation_fn", IMPORTS),
    ("config.json", {"sentence_transformers": {"activation_fn": "torch.nn.init.warnings"}}, "activation_fn", IMPORTS),
    ("config.json", {"sbert_ce_default_activation_function": "a.B"}, "sbert_ce_default_activation_function", IMPORTS),
]  # fmt: skip


# Files that are read only where modules.json names a module of their class in their folder.
READ_BY = {"sentence_": "Transformer", "2_Dense/": "Dense", "router_config": "Router", "0_Asym/": "Asym",
           "wordembedding": "WordEmbeddings"}  # fmt: skip


def files_of(folder: Path, files: dict[str, Any]) -> Any:
    readers = [
        {"type": f"sentence_transformers.models.{reader}", "path": name.rpartition("/")[0]}
        for name in files
        for start, reader in READ_BY.items()
        if name.removeprefix("0_Transformer/").startswith(start)
    ]
    for name, content in {**({MODULES: readers} if readers else {}), **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return in_folder(folder)


@pytest.mark.parametrize(("file", "content", "says", "why"), SAID)
def test_what_would_run_or_open_something_is_refused_by_name(
    file: str, content: Any, says: str, why: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError) as caught:
        check_no_code(files_of(tmp_path, {file: content}))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: {file} says ")
    assert says in message
    assert why in message
    assert message.endswith("; remove it, or set trust_remote_code = true")


OWN: list[dict[str, Any]] = [
    {"config.json": {"auto_map": {"AutoConfig": "m.C", "AutoModel": "m.M"}}},
    {"config.json": {"auto_map": {"AutoModel": "org/other--m.M"}}},
    {"config.json": {"text_config": {"auto_map": {"AutoModel": "m.M"}}}},
    {"config.json": {"auto_map": {"AutoModelForSequenceClassification": "m.M"}, "id2label": {"0": "LABEL_0"}}},
    {TOKENIZER: {"auto_map": {"AutoTokenizer": ["m.T", None]}}},
    {TOKENIZER: {"auto_map": ["m.T", None]}},
    {"processor_config.json": {"auto_map": {"AutoProcessor": "m.P"}}},
    {BERT_CONFIG: {"config_args": {"auto_map": {"AutoConfig": "m.C"}}}},
    {MODULES: [TRANSFORMER, {"type": "own_module.Pooling", "path": ""}]},
    {MODULES: [TRANSFORMER, {"type": "os.system", "path": ""}]},
    {MODULES: [TRANSFORMER, {"type": "torch.nn.Linear", "path": ""}]},
    {MODULES: [{"type": "sentence_transformers.base.model.pickle", "path": ""}]},
    {MODULES: [{"type": "sentence_transformers_extra.Transformer", "path": ""}]},
    {"router_config.json": {"types": {"query": "own_module.Route"}, "structure": {}}},
    {"0_Asym/config.json": {"types": {"query": "os.system"}, "structure": {}}},
    {"wordembedding_config.json": {"tokenizer_class": "own_module.Tokenizer"}},
    {"wordembedding_config.json": {"tokenizer_class": "sentence_transformers.SentenceTransformer"}},
]


@pytest.mark.parametrize("files", OWN)
def test_classes_of_a_publishers_own_need_trust(files: dict[str, Any], tmp_path: Path) -> None:
    found = files_of(tmp_path, files)
    assert needs_trust(found)
    with pytest.raises(ModelError, match=r" needs Python that its publisher wrote; read it, and set trust_remote_code"):
        check_no_code(found)


# As the files of published models say it.
HARMLESS: list[dict[str, Any]] = [
    {},
    {BERT_CONFIG: {"max_seq_length": 512, "do_lower_case": False}},
    {BERT_CONFIG: {"max_seq_length": 512, "model_args": {"add_pooling_layer": False}}},
    {BERT_CONFIG: {"model_args": {"dtype": "bfloat16", "attn_implementation": "sdpa", "use_safetensors": True}}},
    {BERT_CONFIG: {"model_args": {"torch_dtype": "float16", "attn_implementation": None, "trust_remote_code": False}}},
    {BERT_CONFIG: {"tokenizer_args": {"padding_side": "left", "model_max_length": 8192, "use_fast": True}}},
    {BERT_CONFIG: {"config_args": {"use_memory_efficient_attention": False, "unpad_inputs": False}}},
    {BERT_CONFIG: {"transformer_task": "feature-extraction", "module_output_name": "token_embeddings",
                   "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
                   "processing_kwargs": {"chat_template": {"add_generation_prompt": True}}}},
    {"config.json": {"auto_map": {"AutoModelForMaskedLM": "m.M"}, "model_type": "bert"}},
    {"config.json": {"auto_map": {"AutoModelForSequenceClassification": "m.M"}}, MODULES: [TRANSFORMER]},
    {"preprocessor_config.json": {"auto_map": {"AutoImageProcessor": "m.P"}}},
    {"config.json": {"activation_function": "gelu_new", "_name_or_path": "/home/me/out", "use_safetensors": None}},
    {"config.json": {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}},
    {"2_Dense/config.json": {"activation_function": "torch.nn.modules.activation.Tanh", "bias": True}},
    {TOKENIZER: {"tokenizer_class": "BertTokenizer", "special_tokens_map_file": "/root/x.json", "vocab_file": None}},
    {TOKENIZER: {"mecab_kwargs": {"mecab_dic": "unidic_lite"}, "word_tokenizer_type": "mecab"}},
    {"adapter_config.json": {"base_model_name_or_path": "org/base", "megatron_config": None, "revision": "main",
                             "megatron_core": "megatron.core",
                             "auto_mapping": {"parent_library": "transformers.models.bert.modeling_bert"}}},
    {"vocab.json": {"weights_only": 5, "auto_map": 6, "trust_remote_code": 7}, "tokenizer.json": {"auto_map": 1}},
    {"training_config.json": {"trust_remote_code": True, "attn_implementation": "org/x"}},
    {MODULES: [TRANSFORMER, {"type": "sentence_transformers.models.pooling.Pooling", "path": "1"}]},
    {"router_config.json": {"types": {"query": "sentence_transformers.models.StaticEmbedding"}, "structure": {}}},
]  # fmt: skip


@pytest.mark.parametrize("files", HARMLESS)
def test_what_published_models_say_is_let_through(files: dict[str, Any], tmp_path: Path) -> None:
    check_no_code(files_of(tmp_path, files))


def test_files_that_libraries_read_settings_from_are_all_known(saved: dict[str, Path]) -> None:
    """A new file of settings in a new version of a library is one to look at."""
    import sentence_transformers.sentence_transformer.modules as of
    import transformers.utils
    from sentence_transformers.base.modules import Module

    read = {module.config_file_name for module in _below(Module)} | {"config_sentence_transformers.json"}
    assert of.WordEmbeddings.config_file_name in read
    constants = {name: getattr(transformers.utils, name) for name in dir(transformers.utils) if name.endswith("_NAME")}
    read |= {value for value in constants.values() if "config" in str(value)}
    assert {name for name in read if not SETTINGS_FILE.fullmatch(name)} == set()


def _below(kind: type[Any]) -> set[type[Any]]:
    return {kind, *(lower for one in kind.__subclasses__() for lower in _below(one))}


PROBE = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\nclass Pooling: pass\n"


@pytest.mark.parametrize("name", ["own_module.Pooling", "os.system", "tests.probe.Pooling"])
@pytest.mark.parametrize("place", [MODULES, "2_Dense/config.json", "wordembedding_config.json", "router_config.json"])
def test_class_that_a_file_names_is_not_imported(
    saved: dict[str, Path], name: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {"2_Dense/config.json": "Dense", "wordembedding_config.json": "WordEmbeddings",
             "router_config.json": "Router"}.get(place, "tiny")  # fmt: skip
    folder = copy(saved, model, tmp_path)
    content = json.loads((folder / place).read_text())
    if place == MODULES:
        content[1]["type"] = name
    elif place == "router_config.json":
        content["types"] = dict.fromkeys(content["types"], name)
    else:
        content["activation_function" if model == "Dense" else "tokenizer_class"] = name
    (folder / place).write_text(json.dumps(content))
    (folder / "own_module.py").write_text(PROBE)
    monkeypatch.syspath_prepend(folder)
    message = refusal(folder, tmp_path / "store")
    assert "set trust_remote_code = true" in message
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("said", ["torch.utils.collect_env.main", "os.getcwd", "own_module.Pooling"])
def test_activation_function_of_a_cross_encoder_is_one_of_torch(
    saved: dict[str, Path], said: str, tmp_path: Path
) -> None:
    folder = copy(saved, "cross", tmp_path, {"config.json": {"sentence_transformers": {"activation_fn": said}}})
    assert f'config.json says sentence_transformers.activation_fn = "{said}"' in refusal(folder, tmp_path / "store")


def test_trust_lets_a_publishers_module_run(saved: dict[str, Path], tmp_path: Path) -> None:
    folder = copy(saved, "tiny", tmp_path)
    modules = json.loads((folder / MODULES).read_text())
    modules[1]["type"] = "own_module.Own"
    (folder / MODULES).write_text(json.dumps(modules))
    (folder / "own_module.py").write_text(
        "from sentence_transformers.sentence_transformer.modules import Pooling\nclass Own(Pooling): pass\n"
    )
    assert opened(folder, tmp_path / "store", trust_remote_code=True).shape == (2, 32)


@pytest.mark.parametrize("table", ["model_kwargs", "config_kwargs"])
@pytest.mark.parametrize("kind", [EncoderSpec, CrossEncoderSpec])
def test_specification_does_not_open_pickles_either(kind: Any, table: str) -> None:
    with pytest.raises(ValueError, match=rf'^{table} holds "weights_only"; leave it out'):
        kind(path=Path("m"), **{table: {"weights_only": False}})
    with pytest.raises(ValueError, match=rf"^{table} says use_safetensors = false; leave it out"):
        kind(path=Path("m"), **{table: {"use_safetensors": False}})
    kind(path=Path("m"), **{table: {"use_safetensors": True}})


ASKS = {"model_kwargs": {"attn_implementation": HUB}}


@pytest.mark.parametrize("how", ["the older file of a router", "a whole model in a router"])
def test_files_that_a_router_leads_to_are_looked_at(saved: dict[str, Path], how: str, tmp_path: Path) -> None:
    folder = copy(saved, "Router", tmp_path)
    said = json.loads((folder / "router_config.json").read_text())
    inside = next(iter(said["types"]))
    shutil.rmtree(folder / inside)
    whole = how == "a whole model in a router"
    deep = folder / inside / "0_Transformer" if whole else folder / inside
    shutil.copytree(saved["tiny"], deep)
    if whole:
        modules = [TRANSFORMER | {"path": deep.name, "name": "0"}]
        (folder / inside / MODULES).write_text(json.dumps(modules))
    (deep / BERT_CONFIG).write_text(json.dumps(ASKS))
    said["types"][inside] = f"sentence_transformers.{'SentenceTransformer' if whole else 'models.Transformer'}"
    (folder / ("router_config.json" if whole else "config.json")).write_text(json.dumps(said))
    if not whole:
        (folder / "router_config.json").write_text("{}")
    message = refusal(folder, tmp_path / "store")
    assert (
        f'{deep.relative_to(folder)}/{BERT_CONFIG} says model_kwargs.attn_implementation = "{HUB}", {KERNELS}'
        in message
    )


def test_files_of_a_tokenizer_of_words_are_looked_at(saved: dict[str, Path], tmp_path: Path) -> None:
    wrapper = "sentence_transformers.sentence_transformer.modules.tokenizer.TransformersTokenizerWrapper"
    folder = copy(saved, "WordEmbeddings", tmp_path, {"wordembedding_config.json": {"tokenizer_class": wrapper}})
    (folder / TOKENIZER).write_text(json.dumps({"auto_map": {"AutoTokenizer": ["m.T", None]}}))
    assert needs_trust(in_folder(folder))
