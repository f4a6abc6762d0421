"""Searched in arrays, a task of mteb's has the result that mteb gives it, key by key."""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import mteb
import numpy as np
import pytest
import torch
from datasets import Dataset
from mteb.mocks import mock_tasks as mocks
from mteb.models import CompressionWrapper, SearchEncoderWrapper
from mteb.similarity_functions import cos_sim, dot_score, euclidean_sim
from mteb.types import OutputDType

from tests.builders import FakeEncoder, vectors_by_text
from touchstone.measuring.capture import Capture
from touchstone.measuring.retrieval import searched_in_arrays
from touchstone.records.rankings import Ranking

# mteb warns about data as small as this.
pytestmark = pytest.mark.filterwarnings("default")
SIMILARITIES = {"cosine": cos_sim, "dot": dot_score, "euclidean": euclidean_sim}


class Made(FakeEncoder):
    """Vectors by text, in any precision, compared in any way; with whole numbers, many scores are equal."""

    def __init__(self, *, whole: bool = False, dtype: Any = np.float32, similarity: Any = cos_sim) -> None:
        super().__init__(self._make)
        self._whole = whole
        self._dtype = dtype
        self.similarity = similarity  # type: ignore[method-assign]

    def _make(self, texts: Any) -> Any:
        vectors = vectors_by_text(texts)
        if self._whole:
            vectors = np.rint(vectors[:, :3])
        if isinstance(self._dtype, torch.dtype):
            return torch.as_tensor(vectors).to(self._dtype)
        return vectors.astype(self._dtype)


def made_task(seed: int = 0, *, queries: int = 20, documents: int = 60) -> Any:
    """Make a task with equal documents, documents called like queries, and queries that nothing is relevant for.

    No two queries have one text: whether their scores are equal to the last bit depends on the processor.
    """
    chosen = np.random.default_rng(seed)
    texts = [f"text {chosen.integers(documents // 2)}" for _ in range(documents)]
    ids = [f"d{number}" for number in chosen.permutation(documents)]
    ids[:3] = ["q0", "q1", "q5"]
    gold = {
        f"q{query}": {ids[place]: int(chosen.integers(-1, 3)) for place in chosen.choice(documents, 6, replace=False)}
        for query in range(queries)
    }
    gold["q2"], gold["q3"], gold["q4"] = {}, {"d1": 0}, {"gone": 1}
    names = [f"q{query}" for query in chosen.permutation(queries)]
    task: Any = mocks.MockRetrievalTask()
    task.filter_eval_splits(["test"])
    task.load_data()
    task.dataset["default"]["test"] = {
        "corpus": Dataset.from_dict({"id": ids, "title": [["", "title"][n % 2] for n in range(documents)],
                                     "text": texts}),
        "queries": Dataset.from_dict({"id": names, "text": [f"text {n}" for n in
                                                            chosen.choice(99, queries, replace=False)]}),
        "relevant_docs": gold,
        "top_ranked": None,
    }  # fmt: skip
    return task


def loaded(kind: type[Any]) -> Any:
    task = kind()
    task.load_data()
    return task


def evaluate(task: Any, model: Any, *, arrays: bool) -> tuple[Any, Capture]:
    """Return the scores as mteb has them, and what was captured."""
    captured = Capture(task)
    with searched_in_arrays([task]) if arrays else nullcontext():
        result = mteb.evaluate(
            model,
            task,
            cache=None,
            prediction_folder=Path("unused"),
            encode_kwargs={"show_progress_bar": False},
            show_progress_bar=False,
            co2_tracker=False,
        )
    return result.task_results[0].scores, captured


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from flat(inner, f"{path}/{key}")
    else:
        yield path, value


def assert_same(ours: Any, theirs: Any, *, ties: bool = False) -> None:
    """Compare all scores: means exactly, and areas under curves as exactly as the order of a sum allows.

    Where queries have the same scores in another order, mteb adds them up in the order of its heaps, and so the last
    bit of their standard deviations decides which query it abstains from first: that has no value to be compared.
    """
    ours, theirs = dict(flat(ours)), dict(flat(theirs))
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        if ties and name.endswith("_std"):
            continue
        if "nauc" in name:
            assert ours[name] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), name
        else:
            assert ours[name] == value or (math.isnan(value) and math.isnan(ours[name])), name


def assert_arrays(captured: Capture, *, expected: bool = True) -> None:
    assert captured._predicted
    assert all(isinstance(one.found, Ranking) == expected for one in captured._predicted)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let mteb encode seven documents at a time."""
    monkeypatch.setattr(SearchEncoderWrapper.__init__, "__defaults__", (7, None))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("whole", [False, True])
def test_every_score_is_mtebs(seed: int, similarity: str, whole: bool) -> None:
    model = Made(whole=whole, similarity=SIMILARITIES[similarity])
    ours, captured = evaluate(made_task(seed), model, arrays=True)
    theirs, _ = evaluate(made_task(seed), model, arrays=False)
    assert_arrays(captured)
    assert_same(ours, theirs, ties=whole)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, torch.float16, torch.bfloat16, torch.float32])
def test_every_score_is_mtebs_in_every_precision(dtype: Any) -> None:
    model = Made(dtype=dtype, similarity=dot)
    ours, captured = evaluate(made_task(), model, arrays=True)
    assert_arrays(captured)
    assert_same(ours, evaluate(made_task(), model, arrays=False)[0])


def dot(queries: Any, documents: Any) -> Any:
    """Multiply in the precision given."""
    return queries @ documents.T


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("kind", [OutputDType.INT8, OutputDType.BINARY])
def test_quantized_vectors_are_those_of_mtebs_chunks(kind: OutputDType) -> None:
    ours, captured = evaluate(made_task(), CompressionWrapper(Made(), kind), arrays=True)
    assert_arrays(captured)
    assert_same(ours, evaluate(made_task(), CompressionWrapper(Made(), kind), arrays=False)[0])


@pytest.mark.usefixtures("small_chunks")
def test_a_query_does_not_find_itself_where_the_task_says_so() -> None:
    scores = []
    for arrays in (True, False):
        task = made_task()
        task.ignore_identical_ids = True
        scores.append(evaluate(task, Made(), arrays=arrays)[0])
    assert_same(*scores)
    assert scores[0] != evaluate(made_task(), Made(), arrays=True)[0]


def test_the_best_few_of_a_corpus() -> None:
    scores = []
    for arrays in (True, False):
        task = made_task(documents=200)
        task.k_values, task._top_k = (1, 3, 10), 10
        task.dataset["default"]["test"]["corpus"] = (
            task.dataset["default"]["test"]["corpus"]
            .remove_columns("text")
            .add_column("text", [f"text of its own {n}" for n in range(200)])
        )
        scores.append(evaluate(task, Made(), arrays=arrays)[0])
    assert_same(*scores)


def test_at_the_cut_too_the_last_id_of_equal_ones_is_kept() -> None:
    """Where mteb's library chooses as it likes."""
    orders = []
    for seed in range(4):
        task = made_task(documents=200)
        task.k_values, task._top_k = (1, 3, 10), 10
        data = task.dataset["default"]["test"]
        data["corpus"] = data["corpus"].select(np.random.default_rng(seed).permutation(200))
        _, captured = evaluate(task, Made(whole=True), arrays=True)
        found = captured.rankings[0].results()
        orders.append({query: list(documents.items()) for query, documents in found.items()})
    assert orders[0] == orders[1] == orders[2] == orders[3]
    query, kept = next(iter(orders[0].items()))
    assert kept == sorted(kept, key=lambda item: (item[1], item[0]), reverse=True), query


@pytest.mark.parametrize(
    ("kind", "arrays"),
    [
        (mocks.MockRetrievalTask, True),
        (mocks.MockMultilingualRetrievalTask, True),
        (mocks.MockInstructionRetrieval, True),
        (mocks.MockRerankingTask, False),
        (mocks.MockInstructionReranking, False),
    ],
)
def test_mtebs_own_examples(kind: type[Any], arrays: bool) -> None:
    ours, captured = evaluate(loaded(kind), Made(), arrays=True)
    assert_arrays(captured, expected=arrays)
    theirs, plain = evaluate(loaded(kind), Made(), arrays=False)
    assert_same(ours, theirs)
    assert_samples(captured, plain)


def assert_samples(ours: Capture, theirs: Capture) -> None:
    one, other = ours.samples(), theirs.samples()
    assert one is not None
    assert other is not None
    assert one.id.tolist() == other.id.tolist()
    assert one.top == other.top
    assert one.value is not None
    assert other.value is not None
    assert one.value.tolist() == pytest.approx(other.value.tolist(), abs=1e-12)


@pytest.mark.parametrize("metric", ["ndcg_at_10", "mrr_at_5", "map_at_1000", "accuracy"])
def test_samples_are_those_of_dictionaries(metric: str) -> None:
    captures = []
    for arrays in (True, False):
        task = made_task()
        task.ignore_identical_ids = True
        task.metadata = task.metadata.model_copy(update={"main_score": metric})
        captures.append(evaluate(task, Made(), arrays=arrays)[1])
    assert_arrays(captures[0])
    one, other = (capture.samples() for capture in captures)
    assert one is not None
    assert other is not None
    assert (one.value is None) == (metric == "accuracy")
    if metric != "accuracy":
        assert_samples(*captures)
    assert one.top == other.top
    assert captures[0].rankings[0].results() == captures[1].rankings[0].results()


class WithItsOwn(mocks.MockRetrievalTask):
    """Computes a score from mteb's dictionaries."""

    def task_specific_scores(self, scores: Any, qrels: Any, results: Any, hf_split: str, hf_subset: str) -> Any:
        del hf_split, hf_subset
        return {"mine": sum(scores[query]["ndcg_cut_3"] + max(results[query].values()) for query in qrels)}


def test_a_task_that_computes_scores_of_its_own_gets_dictionaries() -> None:
    ours, captured = evaluate(loaded(WithItsOwn), Made(), arrays=True)
    assert_arrays(captured, expected=False)
    assert_same(ours, evaluate(loaded(WithItsOwn), Made(), arrays=False)[0])
    assert "mine" in ours["test"][0]


class Searching:
    """A search of its own, as BM25 is."""

    mteb_model_meta = Made().mteb_model_meta

    def index(self, corpus: Any, **_: Any) -> None:
        self.ids = corpus["id"][:]

    def search(self, queries: Any, **_: Any) -> Any:
        return {query: {name: float(len(name)) for name in self.ids} for query in queries["id"]}


def twice(task: Any) -> None:
    data = task.dataset["default"]["test"]
    data["corpus"] = data["corpus"].select([*range(60), 4])


def skipping(task: Any) -> None:
    task.skip_first_result = True


@pytest.mark.parametrize(
    ("change", "model"),
    [(twice, Made()), (skipping, Made()), (lambda _: None, Searching())],
    ids=["id", "skip", "bm25"],
)
def test_what_is_not_this_search_goes_mtebs_way(change: Any, model: Any) -> None:
    tasks = [made_task(), made_task()]
    for task in tasks:
        change(task)
    ours, captured = evaluate(tasks[0], model, arrays=True)
    assert_arrays(captured, expected=False)
    assert_same(ours, evaluate(tasks[1], model, arrays=False)[0])


def test_the_search_is_where_it_is_told_to_be() -> None:
    where: set[str] = set()

    def similarity(*sides: Any) -> Any:
        where.update(str(side.device.type) for side in sides)
        return torch.zeros(tuple(map(len, sides)))

    task = made_task()
    with searched_in_arrays([task], "meta"):
        mteb.evaluate(Made(similarity=similarity), task, cache=None, show_progress_bar=False, co2_tracker=False)
    assert where == {"meta"}


def test_a_task_is_as_it_was_afterwards() -> None:
    task: Any = made_task()
    with searched_in_arrays([task, mocks.MockSTSTask()]):
        assert "_evaluate_subset" in vars(task)
    assert "_evaluate_subset" not in vars(task)


def test_texts_are_those_that_mteb_makes() -> None:
    seen: list[list[dict[str, Any]]] = []
    for arrays in (True, False):

        class Seeing(Made):
            rows: list[dict[str, Any]] = []  # noqa: RUF012

            def encode(self, inputs: Any, **named: Any) -> Any:
                self.rows += [{k: list(v) for k, v in batch.items()} for batch in inputs]
                return super().encode(inputs, **named)

        evaluate(made_task(), Seeing(), arrays=arrays)
        seen.append(Seeing.rows)
    assert seen[0] == seen[1]


def test_real_questions(mirror: Path) -> None:
    from touchstone.config.suites import Selection
    from touchstone.records.cases import Source
    from touchstone.store.folder import Store
    from touchstone.tasks.catalog import find_tasks
    from touchstone.tasks.opening import open_task

    (info,) = find_tasks(Selection(include=("XQuADRetrieval",), subsets={"XQuADRetrieval": ("en",)}), "test")
    scores = []
    for arrays in (True, False):
        with open_task(info, Source(kind="mirror", path=mirror), Store(Path("/nonexistent"))) as opened:
            scores.append(evaluate(opened.task, Made(), arrays=arrays)[0])
    assert_same(*scores)
