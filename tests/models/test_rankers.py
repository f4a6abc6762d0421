"""Sparse encoders, late interaction, BM25 and hybrids: each scores what a plain run of mteb's own class scores."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.encoders import save_tiny_cross_encoder, save_tiny_model
from touchstone.config.models import Model, check_models, load_models
from touchstone.config.retrievers import Bm25Spec, HybridSpec, PipelineSpec
from touchstone.config.specs import CrossEncoderSpec, EncoderSpec, MultiVectorSpec, SparseSpec
from touchstone.config.suites import load_suite
from touchstone.errors import ConfigError, ModelError
from touchstone.measuring.case import OpenCase
from touchstone.measuring.engines.local import LocalEngine
from touchstone.models.in_memory import make_in_memory, measured_as_is
from touchstone.models.kinds import find_model, identify, kind_of
from touchstone.models.weights.examination import examine
from touchstone.models.weights.fingerprint import take_fingerprint
from touchstone.models.weights.identity import locate
from touchstone.records.cases import Case, TaskInfo
from touchstone.store.folder import Store
from touchstone.tasks.catalog import find_tasks
from touchstone.tasks.opening import open_task

LIMIT = 30


def embedded(name: str) -> TaskInfo:
    (info,) = [task for task in find_tasks(load_suite("smoke", Path.cwd()).suite.tasks, "test") if task.name == name]
    return info


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """SPLADE with random weights: enough of its words are zero that its tensors are sparse."""
    from sentence_transformers import SparseEncoder
    from sentence_transformers.sparse_encoder.modules import MLMTransformer, SpladePooling
    from transformers import BertConfig, BertForMaskedLM

    folder = tmp_path_factory.mktemp("sparse")
    save_tiny_model(folder / "for-words")
    bare = str(folder / "for-words-bare")
    config: Any = BertConfig.from_pretrained(bare)
    BertForMaskedLM(config).save_pretrained(bare)
    modules: Any = [MLMTransformer(bare, max_seq_length=64), SpladePooling()]
    encoder = SparseEncoder(modules=modules, device="cpu", prompts={"query": "find: "}, max_active_dims=20)
    encoder.save_pretrained(str(folder / "model"))
    return Model(alias="sparse", spec=SparseSpec(path=folder / "model"), text="sparse")


@pytest.fixture(scope="module")
def multi(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """ColBERT with random weights."""
    from sentence_transformers import MultiVectorEncoder

    folder = tmp_path_factory.mktemp("multi")
    save_tiny_model(folder / "for-tokens")
    MultiVectorEncoder(str(folder / "for-tokens-bare"), device="cpu").save_pretrained(str(folder / "model"))
    return Model(alias="multi", spec=MultiVectorSpec(path=folder / "model"), text="multi")


@pytest.fixture(scope="module")
def bm25() -> Model:
    return find_model("bm25", load_models(), Path.cwd(), "--model")


@pytest.fixture(scope="module")
def weak(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = save_tiny_model(tmp_path_factory.mktemp("weak") / "tiny")
    return Model(alias="weak", spec=EncoderSpec(path=folder), text="weak")


def run(task: TaskInfo, model: Model, store: Store, limit: int | None = LIMIT) -> OpenCase:
    case = Case(alias=model.alias, task=task, suite="test", limit=limit)
    with LocalEngine({model.alias: model}, "cpu", store).measure(case, lambda _: None) as opened:
        return opened


def plainly(task: TaskInfo, model: Any, store: Store, limit: int | None = LIMIT, **batches: int) -> float:
    import mteb

    with open_task(task, Case(alias="x", task=task, suite="x").source, store, limit=limit) as opened:
        options: Any = {"co2_tracker": False, "show_progress_bar": False, "encode_kwargs": batches}
        result = mteb.evaluate(model, opened.task, cache=None, **options)
        return float(result.task_results[0].get_score())


def mtebs_own(model: Model, store: Store) -> Any:
    """Load a model as mteb does it."""
    import mteb
    from mteb.models.sentence_transformer_wrapper import MultiVectorWrapper, SparseEncoderWrapper
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer, SparseEncoder

    if isinstance(model.spec, Bm25Spec):
        return mteb.get_model("mteb/baseline-bm25s")
    place = locate(model, store).place
    if isinstance(model.spec, SparseSpec):
        return SparseEncoderWrapper(SparseEncoder(place, device="cpu"))
    if isinstance(model.spec, MultiVectorSpec):
        return MultiVectorWrapper(MultiVectorEncoder(place, device="cpu"))
    return SentenceTransformer(place, device="cpu")


@pytest.mark.parametrize("task", ["SmokeRetrieval", "SmokeReranking"])
@pytest.mark.parametrize("kind", ["sparse", "multi", "bm25"])
def test_scores_are_those_of_mtebs_own_run(kind: str, task: str, store: Store, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(kind)
    measured = run(embedded(task), model, store).outcome.measurement
    assert measured.score == pytest.approx(plainly(embedded(task), mtebs_own(model, store), store), abs=1e-6)
    assert measured.recomputed == pytest.approx(measured.score, abs=1e-5)
    assert 0 < measured.score < 1


@pytest.mark.parametrize("kind", ["sparse", "multi"])
def test_in_memory_a_model_scores_what_its_files_score(kind: str, store: Store, request: pytest.FixtureRequest) -> None:
    model, task = request.getfixturevalue(kind), embedded("SmokeRetrieval")
    loaded = mtebs_own(model, store).model
    held = Model(alias="held", spec=make_in_memory(loaded, {}, "test"), text="held")
    with measured_as_is(loaded):
        here, unknown = run(task, held, store).outcome, take_fingerprint(loaded)[1]
    there = run(task, model, store).outcome
    assert (here.measurement.score, here.prompts) == (there.measurement.score, there.prompts)
    assert kind_of(held).why_not(held, "STS") == kind_of(model).why_not(model, "STS")
    assert unknown == ()


def test_a_sparse_encoder_runs_whatever_mteb_runs_it_on(sparse: Model, store: Store) -> None:
    def ours(name: str) -> float:
        return run(embedded(name), sparse, store, limit=None).outcome.measurement.score

    def theirs(name: str, **batches: int) -> float:
        return plainly(embedded(name), mtebs_own(sparse, store), store, limit=None, **batches)

    assert ours("SmokeSTS") == pytest.approx(theirs("SmokeSTS"), abs=1e-6)
    # With random weights a classifier nearly guesses: mteb's own score moves with the size of a batch, by rounding.
    score = ours("SmokeClassification")
    assert min(abs(score - theirs("SmokeClassification", batch_size=size)) for size in (1, 8, 32)) < 1e-3


def test_settings_of_a_sparse_encoder_and_its_prompts_are_said(sparse: Model, store: Store) -> None:
    outcome = run(embedded("SmokeRetrieval"), sparse, store).outcome
    assert outcome.prompts == {"document": ("",), "query": ("find: ",)}
    assert outcome.measurement.settings.prompts == {"query": "find: "}
    fewer = replace(sparse, spec=SparseSpec(path=sparse.spec.path, max_active_dims=3))  # type: ignore[attr-defined]
    assert identify(fewer, store).fingerprint != identify(sparse, store).fingerprint
    assert run(embedded("SmokeRetrieval"), fewer, store).outcome.measurement.score != outcome.measurement.score


def test_no_vectors_are_kept_of_models_whose_do_not_fit_the_store(multi: Model, sparse: Model, tmp_path: Path) -> None:
    store = Store(tmp_path)
    for model in (multi, sparse):
        run(embedded("SmokeRetrieval"), model, store)
    assert not list((tmp_path / "embeddings").glob("*")), "rankings alone are kept"
    assert len([path for path in (tmp_path / "rankings").rglob("*") if path.is_file()]) == 2


def test_types_that_a_kind_cannot_run_are_left_out(multi: Model, bm25: Model, sparse: Model) -> None:
    said = {
        model.alias: [kind_of(model).why_not(model, name) for name in ("Retrieval", "Reranking", "STS")]
        for model in (multi, bm25, sparse)
    }
    assert said == {
        "multi": [None, None, "a late interaction model only ranks documents"],
        "bm25": [None, None, "BM25 only ranks documents"],
        "sparse": [None, None, None],
    }


@pytest.mark.parametrize("kind", ["sparse", "multi"])
def test_weights_that_moved_are_another_model(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    import shutil

    model, store = request.getfixturevalue(kind), Store(tmp_path / "store")
    folder = shutil.copytree(model.spec.path, tmp_path / "copy")
    weights = sorted(Path(folder).rglob("model.safetensors"))[0]
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert identify(replace(model, spec=type(model.spec)(path=Path(folder))), store) != identify(model, store)


def test_missing_tensors_of_a_sparse_encoder_are_refused(sparse: Model, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(sparse.spec.path, tmp_path / "copy"))  # type: ignore[attr-defined]
    (weights,) = folder.rglob("model.safetensors")
    tensors = load_file(weights)
    save_file({name: one for name, one in tensors.items() if "layer.1" not in name}, weights, {"format": "pt"})
    with pytest.raises(ModelError, match="tensors"):
        run(embedded("SmokeRetrieval"), replace(sparse, spec=SparseSpec(path=folder)), Store(tmp_path / "store"))


def hybrid(models: tuple[Model, ...], **said: Any) -> Model:
    spec = HybridSpec(models=tuple(model.alias for model in models), **said)
    return Model(alias="hybrid", spec=spec, text="hybrid", stages=models)


@pytest.mark.parametrize(
    ("said", "theirs"),
    [
        ({}, {"fusion_strategy": "rrf"}),
        ({"weights": (1, 3), "rank_constant": 5}, {"weights": [1, 3], "rrf_k": 5}),
        ({"fusion": "rsf"}, {"fusion_strategy": "rsf"}),
        ({"fusion": "dbsf", "weights": (2.0, 0.5)}, {"fusion_strategy": "dbsf", "weights": [2.0, 0.5]}),
    ],
)
def test_a_hybrid_scores_what_mtebs_own_does(
    said: dict[str, Any], theirs: dict[str, Any], bm25: Model, weak: Model, store: Store
) -> None:
    from mteb.models.hybrid_wrappers import HybridSearch
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper

    task = embedded("SmokeRetrieval")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = [mtebs_own(bm25, store), SentenceTransformerEncoderWrapper(mtebs_own(weak, store))]
    outcome = run(task, hybrid((bm25, weak), **said), store).outcome
    assert outcome.measurement.score == pytest.approx(plainly(task, HybridSearch(parts, **theirs), store), abs=1e-6)
    assert [stage.alias for stage in outcome.stages] == ["bm25", "weak"]
    alone = [run(task, model, store).outcome.measurement.score for model in (bm25, weak)]
    assert [stage.score for stage in outcome.stages] == pytest.approx(alone, abs=1e-9)


def test_nothing_is_searched_again_for_a_hybrid(
    bm25: Model, weak: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, task = Store(tmp_path), embedded("SmokeRetrieval")
    first = run(task, hybrid((bm25, weak)), store).outcome
    for name in ("bm25", "sentence_transformers"):
        monkeypatch.setattr(f"touchstone.models.{name}.KIND", None)
    monkeypatch.setattr("touchstone.models.kinds.open_model", fail_to_open(("hybrid",)))
    again = run(task, hybrid((bm25, weak), weights=(1, 4)), store).outcome
    assert [stage.reused for stage in first.stages] == [False, False]
    assert [stage.reused for stage in again.stages] == [True, True]
    assert again.encoded == 0
    assert again.identity.fingerprint != first.identity.fingerprint


def fail_to_open(but: tuple[str, ...]) -> Callable[..., Any]:
    from touchstone.models.kinds import open_model

    def open_one(model: Model, device: str, store: Store) -> Any:
        if model.alias not in but:
            raise AssertionError(f"{model.alias} was opened")
        return open_model(model, device, store)

    return open_one


def test_weight_on_one_model_alone_gives_its_own_ranking(bm25: Model, weak: Model, store: Store) -> None:
    task = embedded("SmokeRetrieval")
    alone, together = (run(task, model, store) for model in (weak, hybrid((bm25, weak), weights=(0, 1))))
    assert alone.samples is not None
    assert together.samples is not None
    assert together.samples.top == alone.samples.top


def test_only_the_best_of_each_take_part_where_that_is_said(bm25: Model, weak: Model, store: Store) -> None:
    task = embedded("SmokeRetrieval")
    (ranking,) = run(task, hybrid((bm25, weak), top_k=3), store).rankings
    assert max(ranking.counts) <= 6
    parts = [run(task, model, store).rankings[0].best(3) for model in (bm25, weak)]
    for query, documents in ranking.results().items():
        assert set(documents) == {*parts[0][query], *parts[1][query]}


def test_pipelines_of_three_and_of_hybrids_score_each_stage(
    bm25: Model, weak: Model, multi: Model, store: Store, tmp_path: Path
) -> None:
    cross = Model(alias="cross", spec=CrossEncoderSpec(path=save_tiny_cross_encoder(tmp_path / "cross")), text="cross")
    fused = hybrid((bm25, weak))
    spec = PipelineSpec(retriever="hybrid", reranker=("multi", "cross"), top_k=(20, 5))
    pipe = Model(alias="pipe", spec=spec, text="pipe", stages=(fused, multi, cross))
    task = embedded("SmokeRetrieval")
    measured = run(task, pipe, store)
    assert [stage.alias for stage in measured.outcome.stages] == ["hybrid", "multi", "cross"]
    assert measured.outcome.measurement.score == measured.outcome.stages[-1].score
    (last,) = measured.rankings
    two = Model(alias="two", spec=PipelineSpec(retriever="hybrid", reranker="multi", top_k=20), text="two",
                stages=(fused, multi))  # fmt: skip
    (before,) = run(task, two, store).rankings
    assert set(before.counts) == {20}
    assert {query: sorted(found) for query, found in last.results().items()} == {
        query: sorted(best) for query, best in before.best(5).items()
    }


def test_an_encoder_reranks_only_what_it_is_given(bm25: Model, weak: Model, tmp_path: Path) -> None:
    store, task = Store(tmp_path), embedded("SmokeRetrieval")
    pipe = Model(alias="pipe", spec=PipelineSpec(retriever="bm25", reranker="weak", top_k=2), text="pipe",
                 stages=(bm25, weak))  # fmt: skip
    measured = run(task, pipe, store)
    (candidates,) = run(task, bm25, store).rankings
    (alone,) = run(task, weak, store).rankings
    given = candidates.best(2)
    own = alone.results()
    for query, found in measured.rankings[0].results().items():
        assert sorted(found) == sorted(given[query])
        assert [found[name] for name in found] == pytest.approx([own[query][name] for name in found], abs=1e-5)
    texts = {document for documents in given.values() for document in documents}
    assert measured.outcome.encoded is not None
    assert measured.outcome.encoded <= len(texts) + LIMIT + 1000


def test_data_is_as_before_after_a_pipeline(bm25: Model, weak: Model, store: Store) -> None:
    pipe = Model(alias="pipe", spec=PipelineSpec(retriever="bm25", reranker="weak", top_k=2), text="pipe",
                 stages=(bm25, weak))  # fmt: skip
    fused = hybrid((pipe, weak))
    measured = run(embedded("SmokeRetrieval"), fused, store)
    assert [stage.alias for stage in measured.outcome.stages] == ["pipe", "weak"]
    assert measured.outcome.stages[-1].score == run(embedded("SmokeRetrieval"), weak, store).outcome.measurement.score


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"h": {"kind": "hybrid", "models": ["bm25"]}}, "models needs the names of two models or more, each once"),
        ({"h": {"kind": "hybrid", "models": ["bm25", "bm25"]}}, "models needs the names of two models or more"),
        ({"h": {"kind": "hybrid", "models": ["bm25", "minlm"]}}, 'models = "minlm" is not in models.toml; did'),
        ({"h": {"kind": "hybrid", "models": ["bm25", "minilm"], "weights": [1]}}, "weights has 1 numbers for 2 models"),
        ({"h": {"kind": "hybrid", "models": ["bm25", "minilm"], "weights": [0, 0]}}, "not all 0"),
        ({"h": {"kind": "hybrid", "models": ["bm25", "minilm"], "top_k": 0}}, "top_k = 0: must be 1 or more"),
        ({"h": {"kind": "hybrid", "models": ["bm25", "h"]}}, 'models = "h" is made of [h] itself'),
        ({"h": {"kind": "hybrid", "models": ["p", "bm25"]}, "p": {"kind": "pipeline", "retriever": "h",
          "reranker": "minilm"}}, "itself; name another model"),
        ({"p": {"kind": "pipeline", "retriever": "bm25", "reranker": []}}, "reranker = []; expected the name"),
        ({"p": {"kind": "pipeline", "retriever": "bm25", "reranker": ["minilm", "x"], "top_k": [5]}},
         "top_k has 1 numbers for 2 rerankers"),
        ({"p": {"kind": "pipeline", "retriever": "bm25", "reranker": ["minilm", "x"], "top_k": [5, 9]}},
         "no reranker gives more documents than it was given"),
        ({"p": {"kind": "pipeline", "retriever": "minilm", "reranker": "bm25"}}, 'reranker = "bm25" is of kind "bm25"'),
        ({"b": {"kind": "bm25", "b": 1.5}}, "b = 1.5; expected a number from 0 to 1"),
        ({"b": {"kind": "bm25", "stemmers": "x"}}, 'unknown key "stemmers"; did you mean "stemmer"'),
        ({"s": {"kind": "sparse", "path": "x", "max_active_dims": 0}}, "max_active_dims = 0: must be 1 or more"),
        ({"s": {"kind": "sparse", "path": "x", "truncate_dim": 8}}, 'unknown key "truncate_dim"'),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(tables: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_models(tables, "models.toml", Path.cwd(), load_models())
    assert said in str(caught.value)


def test_words_that_bm25_does_not_know_are_one_sentence(bm25: Model, store: Store) -> None:
    for spec, sentence in ((Bm25Spec(stemmer="klingon"), 'stemmer = "klingon"; PyStemmer knows '),
                           (Bm25Spec(stopwords="xx"), 'stopwords = "xx"; expected a code of bm25s')):  # fmt: skip
        with pytest.raises(ModelError, match=f"^bm25: {sentence}"):
            run(embedded("SmokeRetrieval"), replace(bm25, spec=spec), store)


def test_bm25_is_known_by_its_settings_and_libraries(
    bm25: Model, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from touchstone.models import bm25 as module

    identity = identify(bm25, store)
    assert (identity.name, identity.unmodified) == ("mteb/baseline-bm25s", True)
    assert identity.revision == "0_3_0"
    other = replace(bm25, spec=Bm25Spec(k1=1.2))
    assert not identify(other, store).unmodified
    assert identify(other, store).fingerprint != identity.fingerprint
    monkeypatch.setattr(module, "version", lambda name: "9.9")
    assert identify(bm25, store).fingerprint != identity.fingerprint


def test_without_its_packages_bm25_names_the_extra(bm25: Model, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError

    from touchstone.models import bm25 as module

    def lacking(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", lacking)
    with pytest.raises(ModelError, match=r'install it with: pip install "touchstone-evals\[bm25\]"$'):
        identify(bm25, store)


def test_another_kind_of_folder_names_the_right_kind(sparse: Model, multi: Model, store: Store) -> None:
    for model, kind in ((sparse, "sparse"), (multi, "multi-vector")):
        wrong = replace(model, spec=EncoderSpec(path=model.spec.path))  # type: ignore[attr-defined]
        with pytest.raises(ModelError, match=f'write kind = "{kind}" in models.toml$'):
            identify(wrong, store)


def test_doctor_describes_what_a_model_is_made_of(bm25: Model, sparse: Model, multi: Model, store: Store) -> None:
    found = examine(hybrid((bm25, sparse, multi)), "cpu", store)
    assert [one.model.alias for one in found] == ["bm25", "sparse", "multi"]
    alike = [check for one in found[1:] for check in one.checks if check.name.startswith("vectors are the same")]
    assert [check.ok for check in alike] == [True, True]


def test_a_folder_that_is_typed_is_of_the_kind_that_it_is(sparse: Model, multi: Model, weak: Model) -> None:
    for model, kind in ((sparse, "sparse"), (multi, "multi-vector"), (weak, "sentence-transformers")):
        path: Any = model.spec.path  # type: ignore[attr-defined]
        assert find_model(f"{path}=mine", load_models(), Path.cwd(), "--model").spec.kind == kind
    few = find_model(f"{sparse.spec.path}@max_active_dims=3", {}, Path.cwd(), "--model")  # type: ignore[attr-defined]
    assert few.spec.max_active_dims == 3  # type: ignore[attr-defined]


def test_how_many_documents_are_searched_at_once_changes_nothing(
    multi: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from touchstone.models.multi_vector import MtebMultiVector

    whole = run(embedded("SmokeRetrieval"), multi, Store(tmp_path / "whole"))
    monkeypatch.setattr(MtebMultiVector, "corpus_chunk_size", 7)
    blocks = run(embedded("SmokeRetrieval"), multi, Store(tmp_path / "blocks"))
    assert blocks.outcome.measurement.score == whole.outcome.measurement.score
