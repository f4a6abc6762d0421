"""The texts of what changed, for every shape of data that mteb's own mock tasks have."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict
from mteb import AbsTask
from mteb.mocks.mock_tasks import (
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
    MockRetrievalDialogTask,
    MockRetrievalTask,
    MockSTSTask,
    MockSummarizationTask,
    MockTextZeroShotClassificationTask,
)
from mteb.mocks.mock_tasks.clustering import MockClusteringTask

from tests.measuring.test_capture import CrossValidated, UnevenPairsInOneRow, UnevenSplits, capture, kept
from touchstone.measuring.capture import Capture
from touchstone.records.examples import Shown
from touchstone.records.samples import Samples
from touchstone.session.examples import show
from touchstone.task_types.classification import CLASSIFICATION

pytestmark = pytest.mark.filterwarnings("default")  # mteb and scikit-learn warn about data as small as this
ROLES = {
    "STS": {"sentence 1", "sentence 2"},
    "PairClassification": {"sentence 1", "sentence 2"},
    "BitextMining": {"sentence"},
    "Retrieval": {"query"},
    "Reranking": {"query"},
    "InstructionRetrieval": {"query"},
    "InstructionReranking": {"query"},
}


def other(samples: Samples) -> Samples:
    """Make a reference that differs in every sample."""
    changes: dict[str, Any] = {}
    if samples.value is not None:
        changes["value"] = samples.value + np.where(np.arange(len(samples)) % 2, 1.0, -1.0)
    if samples.prediction is not None and samples.gold is not None:
        wrong = -1 if samples.gold.dtype.kind in "iu" else "no such label"
        changes["prediction"] = np.where(np.arange(len(samples)) % 2 == 0, samples.gold, wrong)[:, None]
    if samples.top is not None:
        changes["top"] = [list(reversed(top)) for top in samples.top]
    return replace(samples, **changes)


def shown(captured: Capture, reference: Samples | None = None) -> Shown:
    samples = kept(captured)
    found = show(samples, reference or other(samples), captured.predicted())
    assert found is not None
    return found


@pytest.mark.parametrize(
    "kind",
    [
        MockSTSTask, MockMultilingualSTSTask, MockPairClassificationTask, UnevenPairsInOneRow, MockBitextMiningTask,
        MockMultilingualBitextMiningTask, MockMultilingualParallelBitextMiningTask, MockClassificationTask,
        UnevenSplits, CrossValidated, MockMultilabelClassification, MockRegressionTask,
        MockTextZeroShotClassificationTask, MockSummarizationTask, MockRetrievalTask, MockRerankingTask,
        MockMultilingualRetrievalTask, MockInstructionRetrieval, MockInstructionReranking, MockRetrievalDialogTask,
    ],
)  # fmt: skip
def test_every_shape_of_data_gives_its_texts(kind: type[AbsTask]) -> None:
    captured = capture(kind())
    samples = kept(captured)
    if samples.type in ("STS", "Regression", "PairClassification") and samples.prediction is not None:
        wanted = np.arange(len(samples), dtype=float)  # a mock of two samples may have its ranks right in both orders
        samples, reference = replace(samples, prediction=wanted[:, None]), replace(samples, prediction=-wanted[:, None])
    else:
        reference = other(samples)

    found = show(samples, reference, captured.predicted())

    if found is None:
        assert samples.type in ("STS", "Regression", "PairClassification"), "gold labels may all be equal"
        return
    assert found.note is None
    for example in (*found.lost, *found.gained):
        assert example.texts.keys() == ROLES.get(samples.type, {"text"})
        assert all(example.texts.values())
        assert bool(example.documents) == (samples.top is not None)
        assert all(document.text for document in example.documents)


class Labelled(UnevenSplits):
    """Labels with names, and one text longer than is shown."""

    def load_data(self, num_proc: int | None = None, **_: Any) -> None:
        texts = [f"text number {i} " + "x" * 1000 * (i == 1) for i in range(12)]
        columns = {"text": texts, "label": [1, 0, 1, 1] * 3, "label_text": ["yes", "no", "yes", "yes"] * 3}
        rows = Dataset.from_dict(columns)
        self.dataset = DatasetDict({"train": rows, "test": rows, "validation": rows})
        self.data_loaded = True


def test_labels_are_called_by_their_names_and_long_texts_are_cut() -> None:
    captured = capture(Labelled())
    samples = kept(captured)
    gold = np.repeat(np.asarray(samples.gold)[:, None], 10, axis=1)
    right, reference = replace(samples, prediction=gold), replace(samples, prediction=1 - gold)

    found = show(right, reference, captured.predicted())

    assert found is not None
    assert (len(found.lost), len(found.gained)) == (0, 5)
    for example in found.gained:
        assert example.expected in ("yes", "no")
        assert example.now == f"{example.expected} (10 of 10 times)"
        assert example.was == f"{'no' if example.expected == 'yes' else 'yes'} (10 of 10 times)"
        assert len(example.texts["text"]) <= 500
        assert example.texts["text"].startswith("text number ")
        assert (example.before, example.after) == (0.0, 1.0)


class Encoded(Labelled):
    """Labels whose names are those of the column itself."""

    def load_data(self, num_proc: int | None = None, **_: Any) -> None:
        super().load_data()
        names = ClassLabel(names=["no", "yes"])
        loaded = dict(self.dataset or {})
        self.dataset = DatasetDict(
            {split: rows.remove_columns("label_text").cast_column("label", names) for split, rows in loaded.items()}
        )


def test_a_column_of_labels_may_name_them_itself() -> None:
    captured = capture(Encoded())
    samples = kept(captured)
    (of, *_) = captured.predicted().values()

    assert CLASSIFICATION.label_names(of) == {"0": "no", "1": "yes"}
    assert {one.expected for one in shown(captured, other(samples)).gained} <= {"no", "yes"}


def test_relevant_documents_are_cut_later_than_others() -> None:
    captured = capture(MockRetrievalTask())
    samples = kept(captured)
    (of, *_) = captured.predicted().values()
    data = of.task.dataset[of.subset][of.split]
    data["corpus"] = data["corpus"].map(lambda row: {"text": "x" * 2000})
    first = np.where(np.arange(len(samples)) == 0, 1.0, 0.0)

    found = shown(captured, replace(samples, value=np.asarray(samples.value) + first))

    (example,) = found.lost
    documents = example.documents
    assert {one.relevant for one in documents} == {True, False}
    assert all(len(one.text) == (1000 if one.relevant else 300) for one in documents)


def test_a_query_shows_first_documents_of_both_sides_and_relevant_ones_wherever_they_are() -> None:
    captured = capture(MockRetrievalTask())
    samples = kept(captured)
    of = captured.predicted()[str(samples.stratum[0])]
    query = str(samples.id[0])
    chosen = np.arange(len(samples)) == 0
    data = of.task.dataset[of.subset][of.split]
    (relevant, *_) = [d for d, grade in data["relevant_docs"][query].items() if grade > 0]
    (far, *_) = [d for d in data["corpus"]["id"] if d != relevant]
    top = [[far, *(f"absent {i}" for i in range(8)), relevant] if it else [far] for it in chosen]
    before = [[relevant] if it else [far] for it in chosen]

    found = show(
        replace(samples, top=top, value=np.where(chosen, -1.0, 0.0)),
        replace(samples, top=before, value=np.zeros(len(samples))),
        captured.predicted(),
    )

    assert found is not None
    (example,) = found.lost
    documents = {document.id: document for document in example.documents}
    assert (documents[relevant].before, documents[relevant].after, documents[relevant].relevant) == (1, 10, True)
    texts = dict(zip(data["corpus"]["id"], data["corpus"]["text"], strict=True))
    assert documents[relevant].text.endswith(texts[relevant])
    assert (documents[far].before, documents[far].after) == (None, 1)
    assert not documents[far].relevant
    assert example.documents[-1].id == relevant


def test_all_relevant_documents_among_the_best_are_shown_and_two_of_those_that_are_not() -> None:
    captured = capture(MockRetrievalTask())
    samples = kept(captured)
    of = captured.predicted()[str(samples.stratum[0])]
    names = [f"d{i}" for i in range(16)]
    of.task.dataset[of.subset][of.split]["relevant_docs"][str(samples.id[0])] = dict.fromkeys(names[6:], 1)
    chosen = np.arange(len(samples)) == 0

    found = show(
        replace(samples, top=[names[:10]] * len(samples), value=np.where(chosen, -1.0, 0.0)),
        replace(samples, top=[["x"]] * len(samples), value=np.zeros(len(samples))),
        captured.predicted(),
    )

    assert found is not None
    documents = found.lost[0].documents
    assert [(one.id, one.after) for one in documents if one.relevant] == [
        ("d6", 7), ("d7", 8), ("d8", 9), ("d9", 10), ("d10", None), ("d11", None),
    ]  # fmt: skip
    assert [one.id for one in documents if not one.relevant] == ["d0", "d1", "d2", "d3", "d4", "x"]


def test_a_reference_without_rankings_leaves_the_places_before_open() -> None:
    captured = capture(MockRetrievalTask())

    found = shown(captured, replace(other(kept(captured)), top=None))

    for example in (*found.lost, *found.gained):
        assert example.documents
        assert all(document.before is None for document in example.documents)


def test_texts_that_cannot_be_found_are_a_note_and_no_error() -> None:
    captured = capture(MockSummarizationTask())
    samples = kept(captured)
    captured.task.dataset = DatasetDict({"test": Dataset.from_dict({"another column": ["a", "b"]})})

    found = show(samples, other(samples), captured.predicted())

    assert found is not None
    assert found.note is not None
    assert found.note.startswith("the texts could not be read: ")
    assert all(example.texts == {} for example in (*found.lost, *found.gained))


def test_nothing_is_shown_where_nothing_changed_or_samples_are_draws() -> None:
    texts, draws = capture(MockSummarizationTask()), capture(MockClusteringTask())

    assert show(kept(texts), kept(texts), texts.predicted()) is None
    found = shown(draws, replace(kept(draws), value=np.full(len(kept(draws)), 2.0)))
    assert found.lost[0].texts == {}
    assert found.note is not None
    assert "no text of its own" in found.note
