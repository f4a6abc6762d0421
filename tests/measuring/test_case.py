"""Measuring: on real data the numbers that others published, on mteb's mock tasks those of a plain `mteb.evaluate`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import write_retrieval
from tests.encoders import open_reranker, save_tiny_cross_encoder, save_tiny_model
from touchstone.config.models import Model, find_model, load_models
from touchstone.config.specs import CrossEncoderSpec
from touchstone.config.suites import Selection
from touchstone.encoding.meter import Meter
from touchstone.errors import ModelError
from touchstone.measuring.case import measure
from touchstone.models.base import OpenModel, OpenReranker
from touchstone.models.kinds import open_encoder
from touchstone.records.cases import Case, Source, TaskInfo
from touchstone.records.outcomes import Outcome
from touchstone.store.folder import Store
from touchstone.tasks.catalog import find_tasks

# all-MiniLM-L6-v2 at revision 8b3219a9 in the public results repository (mteb 1.12.75).
PUBLISHED = {
    "STSBenchmark": {"test/default": 0.8203247283076371},
    "BIOSSES": {"test/default": 0.8164041444909368},
    "SIB200Classification": {"test/eng_Latn": 0.7215686274509805},
    "TweetSentimentClassification": {"test/english": 0.45703125},
    "RTE3": {"test/en": 0.8703366912536314},
    "XQuADRetrieval": {"validation/en": 0.94357},
    "Tatoeba": {"test/deu-eng": 0.07891272250150178},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def minilm(store: Store) -> OpenModel:
    return open_encoder(find_model("minilm", load_models(), Path.cwd(), "--model"), "cpu", store)


@pytest.fixture(scope="module")
def tiny(store: Store, tmp_path_factory: pytest.TempPathFactory) -> OpenModel:
    folder = save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")
    return open_encoder(find_model(f"{folder}=tiny", {}, Path.cwd(), "--model"), "cpu", store)


@pytest.fixture(scope="module")
def reranker_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_cross_encoder(tmp_path_factory.mktemp("rerankers") / "tiny")


@pytest.fixture(scope="module")
def tiny_reranker(store: Store, reranker_folder: Path) -> OpenReranker:
    return open_reranker(Model(alias="tiny", spec=CrossEncoderSpec(path=reranker_folder), text="tiny"), "cpu", store)


def case_of(info: TaskInfo, source: Source, limit: int | None = None) -> Case:
    return Case(alias="minilm", task=info, suite="test", source=source, limit=limit)


def measured(case: Case, model: OpenModel | OpenReranker, store: Store) -> Outcome:
    with measure(case, model, store, lambda _: None) as opened:
        return opened.outcome


@pytest.mark.parametrize("name", PUBLISHED)
def test_real_model_on_real_data_gets_the_published_score(
    name: str, mirror: Path, minilm: OpenModel, store: Store
) -> None:
    expected = PUBLISHED[name]
    (info,) = find_tasks(Selection(include=(name,)), "test")
    splits, subsets = ({stratum.split("/")[part] for stratum in expected} for part in (0, 1))
    info = replace(
        info,
        splits=tuple(split for split in info.splits if split in splits),
        subsets=tuple(subset for subset in info.subsets if subset in subsets),
    )
    outcome = measured(case_of(info, Source(kind="mirror", path=mirror)), minilm, store)
    assert outcome.measurement.subsets == pytest.approx(expected, abs=1e-5)
    assert outcome.measurement.score == pytest.approx(sum(expected.values()) / len(expected), abs=1e-5)


def test_results_are_readable_by_mteb_and_other_subsets_stay(mirror: Path, tiny: OpenModel, store: Store) -> None:
    import mteb

    (info,) = find_tasks(Selection(include=("RTE3",)), "test")
    source = Source(kind="mirror", path=mirror)
    scores = {}
    for subset in ("en", "de"):
        outcome = measured(case_of(replace(info, subsets=(subset,)), source), tiny, store)
        scores[subset] = outcome.measurement.score
    custom = TaskInfo(
        name="MyOwn", type="STS", main_score="cosine_spearman", languages=("eng-Latn",),
        folder=Path(__file__).parent.parent.parent / "evals" / "touchstone" / "data" / "similarity",
    )  # fmt: skip
    mine = measured(case_of(custom, Source()), tiny, store)
    loaded = mteb.ResultCache(cache_path=store.folder).load_results()
    (model,) = [found for found in loaded.model_results if found.model_name.startswith("local/tiny__")]
    results = {result.task_name: result for result in model.task_results}
    read = {entry["hf_subset"]: entry["main_score"] for entry in results["RTE3"].scores["test"]}
    assert read == pytest.approx(scores, abs=1e-6)
    assert results["MyOwn"].get_score() == pytest.approx(mine.measurement.score, abs=1e-6)


def test_a_limit_that_keeps_no_positive_pair_is_a_sentence(tiny: OpenModel, store: Store, tmp_path: Path) -> None:
    pairs = [{"sentence1": f"text {n}", "sentence2": f"other {n}", "label": int(n == 0)} for n in range(60)]
    (tmp_path / "test.jsonl").write_text("".join(f"{json.dumps(pair)}\n" for pair in pairs))
    info = TaskInfo(name="Pairs", type="PairClassification", main_score="max_ap", folder=tmp_path)
    sentence = "max_ap has no value: average precision without a positive; --limit 3 keeps too few samples, take more"
    with pytest.raises(ModelError, match=f"^{sentence}$"):
        measured(case_of(info, Source(), limit=3), tiny, store)
    assert measured(case_of(info, Source(), limit=60), tiny, store).measurement.score > 0


def test_limited_run_is_not_filed_as_a_whole_one(mirror: Path, tiny: OpenModel, tmp_path: Path) -> None:
    (info,) = find_tasks(Selection(include=("BIOSSES",)), "test")
    store = Store(tmp_path)
    outcome = measured(case_of(info, Source(kind="mirror", path=mirror), limit=30), tiny, store)
    assert outcome.measurement.n == 30
    assert not (store.folder / "results").exists()


def mock_tasks() -> list[Any]:
    from mteb.mocks import mock_tasks as mocks
    from mteb.mocks.mock_tasks import clustering, pair_classification

    return [
        mocks.MockBitextMiningTask,
        mocks.MockMultilingualBitextMiningTask,
        mocks.MockMultilingualParallelBitextMiningTask,
        mocks.MockClassificationTask,
        mocks.MockMultilingualClassificationTask,
        mocks.MockMultilabelClassification,
        mocks.MockMultilingualMultilabelClassification,
        mocks.MockRegressionTask,
        clustering.MockClusteringTask,
        clustering.MockMultilingualClusteringTask,
        clustering.LegacyMockClusteringFastTask,
        clustering.MockMultilingualClusteringFastTask,
        pair_classification.MockPairClassificationTask,
        pair_classification.MockMultilingualPairClassificationTask,
        mocks.MockRerankingTask,
        mocks.MockMultilingualRerankingTask,
        mocks.MockInstructionReranking,
        mocks.MockMultilingualInstructionReranking,
        mocks.MockRetrievalTask,
        mocks.MockMultilingualRetrievalTask,
        mocks.MockInstructionRetrieval,
        mocks.MockMultilingualInstructionRetrieval,
        mocks.MockRetrievalDialogTask,
        mocks.MockSTSTask,
        mocks.MockMultilingualSTSTask,
        mocks.MockSummarizationTask,
        mocks.MockMultilingualSummarizationTask,
        mocks.MockTextZeroShotClassificationTask,
        mocks.MockAggregatedTask,
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mock", mock_tasks(), ids=lambda mock: mock.__name__)
def test_every_task_type_scores_what_a_plain_evaluate_scores(
    mock: Any, tiny: OpenModel, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The types without real data here: any that our capture, guard or selection changed would differ."""
    assert_scores_what_mteb_does(mock, tiny, tiny.for_mteb(Meter()), store, monkeypatch)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", ["Reranking", "MultilingualReranking", "InstructionReranking", "MultilingualInstructionReranking"]
)
def test_a_cross_encoder_scores_what_a_plain_evaluate_scores(
    name: str, tiny_reranker: OpenReranker, reranker_folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mock,) = [mock for mock in mock_tasks() if mock.__name__ in (f"Mock{name}", f"Mock{name}Task")]
    from sentence_transformers import CrossEncoder

    plain: Any = CrossEncoder(str(reranker_folder), device="cpu")
    assert_scores_what_mteb_does(mock, tiny_reranker, plain, store, monkeypatch)


def assert_scores_what_mteb_does(
    mock: Any, model: OpenModel | OpenReranker, plain: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mteb

    found = mteb.evaluate(plain, mock(), cache=None, show_progress_bar=False).task_results[0]
    expected = {f"{split}/{e['hf_subset']}": e["main_score"] for split, es in found.scores.items() for e in es}
    metadata = mock.metadata
    info = TaskInfo(
        name=metadata.name,
        type=metadata.type,
        main_score=metadata.main_score,
        splits=tuple(metadata.eval_splits),
        subsets=tuple(sorted({stratum.split("/")[1] for stratum in expected})),
    )

    def get_task(name: str, **kwargs: Any) -> Any:
        return mock().filter_languages(None, hf_subsets=kwargs.get("hf_subsets"))

    monkeypatch.setattr(mteb, "get_task", get_task)
    outcome = measured(case_of(info, Source()), model, store)
    assert outcome.measurement.subsets == pytest.approx(expected, abs=1e-9)
    assert outcome.measurement.n is not None
    assert outcome.measurement.n > 0


def test_missing_stratum_of_a_result_is_an_error(tiny: OpenModel, store: Store) -> None:
    folder = Path(__file__).parent.parent.parent / "evals" / "touchstone" / "data" / "similarity"
    info = TaskInfo(name="Mine", type="STS", main_score="no_such_score", languages=("eng-Latn",), folder=folder)
    with pytest.raises((ModelError, KeyError)):
        measured(case_of(info, Source()), tiny, store)


def test_aggregate_opens_its_children_with_our_source(tiny: OpenModel, store: Store, tmp_path: Path) -> None:
    import mteb

    children = list(mteb.get_task("CQADupstackRetrieval").metadata.tasks)  # type: ignore[attr-defined]
    for number, child in enumerate(children):
        write_retrieval(tmp_path / "hub" / child.metadata.dataset["path"], queries=8 + number, seed=number)
    source = Source(kind="mirror", path=tmp_path / "hub")
    (whole,) = find_tasks(Selection(include=("CQADupstackRetrieval",)), "test")
    outcome = measured(case_of(whole, source), tiny, store)
    again = measured(case_of(whole, source), tiny, store)
    assert again.measurement == outcome.measurement, "the children are shared by all objects of the aggregate"
    parts = []
    for child in children:
        (info,) = find_tasks(Selection(include=(child.metadata.name,)), "test")
        parts.append(measured(case_of(info, source), tiny, store).measurement)
    assert len(parts) == 12
    assert outcome.measurement.score == pytest.approx(sum(part.score for part in parts) / 12, abs=1e-9)
    assert outcome.measurement.n == sum(part.n or 0 for part in parts)
    assert outcome.measurement.data_sha256 is not None
