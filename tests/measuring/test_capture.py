from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import mteb
import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from mteb import AbsTask
from mteb.mocks.mock_tasks import (
    LegacyMockClusteringFastTask,
    MockBitextMiningTask,
    MockClassificationTask,
    MockInstructionReranking,
    MockInstructionRetrieval,
    MockMultilabelClassification,
    MockMultilingualBitextMiningTask,
    MockMultilingualParallelBitextMiningTask,
    MockMultilingualRetrievalTask,
    MockMultilingualSTSTask,
    MockPairClassificationTask,
    MockRegressionTask,
    MockRerankingTask,
    MockSTSTask,
    MockSummarizationTask,
    MockTextZeroShotClassificationTask,
)
from mteb.mocks.mock_tasks.clustering import MockClusteringTask, MockMultilingualClusteringTask

from tests.builders import FakeEncoder
from touchstone.measuring.capture import Capture
from touchstone.measuring.case import evaluate
from touchstone.records.cases import Case, TaskInfo
from touchstone.records.outcomes import Measurement
from touchstone.records.samples import Samples
from touchstone.task_types.base import Predicted
from touchstone.task_types.sts import STS
from touchstone.tasks.custom import make_task
from touchstone.tasks.opening import OpenTask

pytestmark = pytest.mark.filterwarnings("default")  # mteb and scikit-learn warn about data as small as this


def capture(task: AbsTask) -> Capture:
    """Evaluate a task with a fake encoder and keep its predictions."""
    task.load_data()
    captured = Capture(task)
    mteb.evaluate(
        FakeEncoder(),
        task,
        cache=None,
        prediction_folder=Path("unused"),
        show_progress_bar=False,
        co2_tracker=False,
    )
    return captured


def measured(task: AbsTask, metric: str | None = None) -> Measurement:
    """Measure a fake encoder on a task, by its main score or what is called so."""
    task.load_data()
    info = TaskInfo(
        name=task.metadata.name,
        type=task.metadata.type,
        main_score=metric or task.metadata.main_score,
        splits=tuple(task.eval_splits),
        subsets=tuple(task.hf_subsets),
    )
    opened = OpenTask(task=task, parts=(task,), dataset_revision=None, data_sha256=None)
    return evaluate(Case(alias="fake", task=info, suite="test"), opened, FakeEncoder(), {}).measurement


def kept(captured: Capture) -> Samples:
    """Return samples that must be there."""
    samples = captured.samples()
    assert samples is not None
    return samples


def split(rows: int, **columns: Sequence[Any]) -> Dataset:
    """Make a split of texts with the columns given, each repeated to the length."""
    texts = {"text": [f"text number {i}" for i in range(rows)]}
    return Dataset.from_dict(texts | {name: (list(values) * rows)[:rows] for name, values in columns.items()})


class Uneven(MockClassificationTask):
    """Three of four test items are of one class."""

    def load_data(self, num_proc: int | None = None, **_: Any) -> None:
        self.dataset = DatasetDict({"train": split(8, label=[0, 1]), "test": split(12, label=[1, 0, 1, 1])})
        self.data_loaded = True


class UnevenSplits(Uneven):
    """A second split, half of whose items are of one class."""

    def load_data(self, num_proc: int | None = None, **_: Any) -> None:
        super().load_data()
        self.dataset = DatasetDict({**(self.dataset or {}), "validation": split(4, label=[0, 1])})

    @property
    def eval_splits(self) -> list[str]:
        return ["validation", "test"]


class CrossValidated(MockClassificationTask):
    """Five folds, in each of which every item is predicted once."""

    rows = 20
    is_cross_validation = True
    train_split = "test"
    n_splits = 5

    def load_data(self, num_proc: int | None = None, **_: Any) -> None:
        self.dataset = DatasetDict({"test": split(self.rows, label=[0, 1])})
        self.data_loaded = True


class CrossValidatedUnevenly(CrossValidated):
    rows = 22


class UnevenPairs(MockPairClassificationTask):
    """One of four pairs is positive."""

    pairs: ClassVar[Any] = {
        "sentence1": ["a", "b", "c", "d"] * 2,
        "sentence2": ["e", "f", "g", "h"] * 2,
        "labels": [0, 0, 1, 0] * 2,
    }

    def load_data(self, num_proc: int | None = None, **_: Any) -> None:
        self.dataset = DatasetDict({"test": Dataset.from_dict(self.pairs)})
        self.data_loaded = True


class UnevenPairsInOneRow(UnevenPairs):
    """The same in the layout of older data sets."""

    pairs: ClassVar[Any] = {name: [values] for name, values in UnevenPairs.pairs.items()}


@pytest.mark.parametrize(
    ("kind", "samples", "chance"),
    [
        (MockSTSTask, 2, 0.0),
        (MockMultilingualSTSTask, 4, 0.0),
        (MockSummarizationTask, 2, 0.0),
        (MockRerankingTask, 2, 0.0),
        (MockMultilingualRetrievalTask, 8, 0.0),
        (MockInstructionRetrieval, 2, 0.0),
        (MockInstructionReranking, 2, 0.0),
        (MockBitextMiningTask, 2, 0.0),
        (MockMultilingualBitextMiningTask, 4, 0.0),
        (MockMultilingualParallelBitextMiningTask, 4, 0.0),
        (MockClusteringTask, 1, 0.0),
        (MockMultilingualClusteringTask, 2, 0.0),
        (LegacyMockClusteringFastTask, 3, 0.0),
        (MockClassificationTask, 2, 0.5),
        (Uneven, 12, 0.75),
        (UnevenSplits, 16, 0.625),
        (CrossValidated, 20, 0.5),
        (CrossValidatedUnevenly, 22, 0.5),
        (MockMultilabelClassification, 6, None),
        (MockRegressionTask, 2, 0.0),
        (MockPairClassificationTask, 2, 0.5),
        (UnevenPairs, 8, 0.25),
        (UnevenPairsInOneRow, 8, 0.25),
        (MockTextZeroShotClassificationTask, 2, 0.5),
    ],
)
def test_samples_are_counted_and_guessing_is_known_for_every_shape_of_predictions(
    kind: type[AbsTask], samples: int, chance: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    measurement = measured(kind())

    assert measurement.n == samples
    assert measurement.chance == chance
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "metric", "chance"),
    [
        (UnevenPairs, "max_ap", 0.25),
        (UnevenPairs, "cosine_ap", 0.25),
        (UnevenPairs, "max_f1", None),
        (Uneven, "accuracy", 0.75),
        (Uneven, "f1", None),
    ],
)
def test_what_guessing_gets_depends_on_the_metric(kind: type[AbsTask], metric: str, chance: float | None) -> None:
    assert measured(kind(), metric).chance == chance


def test_predictions_are_kept_by_split_and_subset() -> None:
    retrieval = capture(MockMultilingualRetrievalTask())
    parallel = capture(MockMultilingualParallelBitextMiningTask())

    languages = {f"{part}/{language}" for part in ("val", "test") for language in ("eng", "fra")}
    assert set(kept(retrieval).by_stratum()) == languages
    assert set(kept(parallel).by_stratum()) == {f"test/{pair}" for pair in parallel.task.hf_subsets}


@pytest.mark.parametrize(
    "kind",
    [
        MockSTSTask, MockSummarizationTask, MockRerankingTask, MockMultilingualRetrievalTask, MockInstructionRetrieval,
        MockInstructionReranking, MockBitextMiningTask, MockMultilingualParallelBitextMiningTask,
        MockClassificationTask, CrossValidated, MockMultilabelClassification, MockRegressionTask,
        UnevenPairsInOneRow, MockTextZeroShotClassificationTask,
    ],
)  # fmt: skip
def test_samples_of_texts_have_units_a_length_and_their_languages(kind: type[AbsTask]) -> None:
    samples = kept(capture(kind()))

    assert samples.units is not None
    assert len(samples.units) == len(samples)
    assert samples.fields["length"].min() > 0
    assert {"eng-Latn"} <= {code for text in samples.fields["language"].tolist() for code in text.split(" + ")}


@pytest.mark.parametrize("kind", ["STS", "Retrieval"])
def test_what_else_a_folder_says_of_samples_is_kept_with_them(kind: str, tmp_path: Path) -> None:
    more = ['"topic": "rivers", "length": 7', '"topic": "bread", "length": 8']
    files = {
        "test.jsonl": [
            f'{{"sentence1": "a{n}", "sentence2": "b{n}", "score": {n}, {keys}}}' for n, keys in enumerate(more)
        ],
        "queries.jsonl": [f'{{"_id": "q{n}", "text": "text {n}", {keys}}}' for n, keys in enumerate(more)],
        "corpus.jsonl": [f'{{"_id": "d{n}", "text": "document {n}"}}' for n in range(3)],
        "qrels/test.jsonl": [f'{{"query-id": "q{n}", "corpus-id": "d{n}", "score": 1}}' for n in range(2)],
    }
    for name, lines in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("\n".join(lines))
    metric = "ndcg_at_10" if kind == "Retrieval" else "cosine_spearman"
    info = TaskInfo(name="Mine", type=kind, main_score=metric, languages=("deu-Latn",), folder=tmp_path)
    fields = kept(capture(make_task(info, "0" * 64))).fields

    assert sorted(zip(fields["topic"], fields["length"], strict=True)) == [("bread", 8), ("rivers", 7)]
    assert fields["language"].tolist() == ["deu-Latn"] * 2


def test_draws_have_a_language_and_nothing_that_they_share() -> None:
    samples = kept(capture(MockClusteringTask()))

    assert samples.units is None
    assert samples.fields.keys() == {"language"}


@pytest.mark.parametrize("error", [AttributeError, KeyError, IndexError, TypeError, ValueError])
@pytest.mark.parametrize("what", ["units", "fields"])
def test_a_class_whose_data_lies_elsewhere_is_measured_all_the_same(
    what: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Predicted) -> Any:
        raise error

    failing = replace(STS, units=fail) if what == "units" else replace(STS, fields=fail)
    monkeypatch.setattr("touchstone.measuring.capture.find_type", lambda _: failing)
    samples = kept(capture(MockSTSTask()))

    assert len(samples) == 2
    assert (samples.units is None) == (what == "units")
    assert samples.fields.keys() == ({"language", "length"} if what == "units" else {"language"})


def test_units_and_fields_of_other_rows_than_the_samples_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    short = replace(STS, units=lambda _: [["a"]], fields=lambda _: {"length": np.array([1])})
    monkeypatch.setattr("touchstone.measuring.capture.find_type", lambda _: short)
    samples = kept(capture(MockSTSTask()))

    assert samples.units is None
    assert samples.fields.keys() == {"language"}


def test_two_tasks_captured_at_once_keep_their_predictions_apart() -> None:
    first, second = capture(MockSTSTask()), capture(MockSTSTask())

    assert len(kept(first)) == len(kept(second)) == 2


def test_a_task_that_tells_nobody_its_predictions_has_no_samples() -> None:
    assert Capture(MockSTSTask()).samples() is None
