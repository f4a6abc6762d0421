"""A class of the user's own is evaluated as it says; what it predicts is believed as far as its type goes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import mteb
import pytest
from datasets import Dataset
from mteb import TaskMetadata
from mteb.abstasks import AbsTaskRetrieval, AbsTaskSTS

from tests.builders import FakeEncoder
from touchstone.errors import ModelError, SourceError
from touchstone.measuring.case import Evaluated, evaluate
from touchstone.measuring.retrieval import searched_in_arrays
from touchstone.records.cases import Case
from touchstone.tasks.catalog import describe_class
from touchstone.tasks.opening import OpenTask

pytestmark = pytest.mark.filterwarnings("default")  # mteb and scipy warn about data as small as this
Scores = Mapping[str, Any]


def metadata(name: str, main_score: str = "cosine_spearman", **more: Any) -> TaskMetadata:
    return TaskMetadata(
        name=name,
        description="Made for a test.",
        main_score=main_score,
        eval_langs=["eng-Latn"],
        dataset={"path": "none", "revision": "1"},
        **{"type": "STS"} | more,
    )


class OwnPairs(AbsTaskSTS):
    metadata = metadata("OwnPairs")

    def load_data(self, num_proc: int | None = None, **_: Any) -> None:
        rows = [
            {"sentence1": f"the river {n}", "sentence2": f"rises {n * n % 7}", "score": n * 5 % 11} for n in range(40)
        ]
        self.dataset = {"test": Dataset.from_list(rows), "dev": Dataset.from_list(rows)}
        self.data_loaded = True


class OwnMetric(OwnPairs):
    metadata = metadata("OwnMetric", "share")

    def _calculate_scores(self, scores: Any, normalized_scores: list[float]) -> Any:
        return {**super()._calculate_scores(scores, normalized_scores), "share": 0.25}


class WrongMetric(OwnPairs):
    metadata = metadata("WrongMetric")

    def _calculate_scores(self, scores: Any, normalized_scores: list[float]) -> Any:
        return {**super()._calculate_scores(scores, normalized_scores), "cosine_spearman": 0.25}


class Percent(OwnPairs):
    metadata = metadata("Percent", "share")
    share: Any = 25.0

    def _evaluate_subset(self, model: Any, data_split: Any, **_: Any) -> Any:
        return {"share": self.share}


class OwnEvaluation(Percent):
    metadata = metadata("OwnEvaluation", "share")
    share = 0.25


class OtherPredictions(Percent):
    metadata = metadata("OtherPredictions", "share")
    told: Any = "?"

    def _evaluate_subset(self, model: Any, data_split: Any, **named: Any) -> Any:
        where = {name: named[name] for name in ("hf_split", "hf_subset")}
        for one in self.told:
            self._save_task_predictions(one, model, named["prediction_folder"], **where)
        return {"share": 0.25}


class ToldTwice(OtherPredictions):
    metadata = metadata("ToldTwice", "share")
    told = ({"cosine_scores": [0.5] * 40}, {"cosine_scores": [0.5] * 40})


class ToldInPart(OwnPairs):
    metadata = metadata("ToldInPart", "share", eval_splits=["dev", "test"])

    def _evaluate_subset(self, model: Any, data_split: Any, **named: Any) -> Any:
        found: Any = super()._evaluate_subset(model, data_split, **named) if named["hf_split"] == "dev" else {}
        return {**found, "share": 0.25}


class Raising(OwnPairs):
    metadata = metadata("Raising")

    def _evaluate_subset(self, model: Any, data_split: Any, **_: Any) -> Any:
        raise LookupError("nothing to be found\nat all")


class OwnSearch(AbsTaskRetrieval):
    metadata = metadata("OwnSearch", "ndcg_at_10", type="Retrieval")

    def load_data(self, num_proc: int | None = None, **_: Any) -> None:
        texts = Dataset.from_list([{"id": f"t{n}", "text": f"the river {n % 9} rises {n}"} for n in range(30)])
        judged = {f"t{n}": {f"t{n + 9}": 1} for n in range(20)}
        data: Any = {"corpus": texts, "queries": texts, "relevant_docs": judged, "top_ranked": None}
        self.dataset = {"default": {"test": data}}
        self.data_loaded = True


class OwnWayToSearch(OwnSearch):
    metadata = metadata("OwnWayToSearch", "ndcg_at_10", type="Retrieval")

    def _evaluate_subset(self, model: Any, data_split: Any, **named: Any) -> Any:
        found = super()._evaluate_subset(model, data_split, **named)
        return {**found, "ndcg_at_10": 0.125}


def measured(kind: type[Any], encoder: Any = None) -> Evaluated:
    task = kind()
    task.load_data()
    info = describe_class(f"{__name__}:{kind.__name__}")
    opened = OpenTask(task=task, parts=(task,), dataset_revision=None, data_sha256="ab" * 32)
    with searched_in_arrays(opened.parts):
        return evaluate(Case(alias="fake", task=info, suite="test"), opened, encoder or FakeEncoder(), {})


def score(kind: type[Any]) -> float:
    """Return what plain mteb gives the same class and model."""
    result = mteb.evaluate(FakeEncoder(), kind(), cache=None, show_progress_bar=False, co2_tracker=False)
    return float(result.task_results[0].get_score())


def sentence(kind: type[Any]) -> str:
    with pytest.raises((ModelError, SourceError)) as caught:
        measured(kind)
    return str(caught.value)


@pytest.mark.parametrize("kind", [OwnPairs, OwnSearch, OwnMetric, OwnEvaluation])
def test_a_class_gets_the_score_of_a_plain_evaluation(kind: type[Any]) -> None:
    assert measured(kind).measurement.score == score(kind)


@pytest.mark.parametrize(("kind", "count"), [(OwnPairs, 40), (OwnSearch, 20)])
def test_its_samples_are_those_of_its_type_and_bear_its_score_out(kind: type[Any], count: int) -> None:
    found = measured(kind)
    assert found.measurement.n == count
    assert found.measurement.recomputed == pytest.approx(found.measurement.score, abs=1e-5)


def test_a_metric_of_its_own_has_samples_and_no_second_computation() -> None:
    found = measured(OwnMetric).measurement
    assert (found.metric, found.score, found.n, found.recomputed) == ("share", 0.25, 40, None)


@pytest.mark.parametrize("kind", [OwnEvaluation, OtherPredictions, ToldTwice, ToldInPart])
def test_an_evaluation_that_tells_other_or_fewer_predictions_than_its_type_has_no_samples(kind: type[Any]) -> None:
    found = measured(kind)
    assert (found.samples, found.measurement.score, found.measurement.n) == (None, 0.25, None)


def test_a_known_metric_that_is_computed_otherwise_is_refused() -> None:
    assert sentence(WrongMetric).startswith(f"cosine_spearman of test/default is 0.250000 by {__name__}:WrongMetric, ")
    assert sentence(WrongMetric).endswith("from the predictions it gave; a metric of its own needs a name of its own")


def test_an_own_way_to_search_is_not_replaced_by_ours() -> None:
    assert sentence(OwnWayToSearch).startswith(f"ndcg_at_10 of test/default is 0.125000 by {__name__}:OwnWayToSearch, ")


@pytest.mark.parametrize("wrong", [25.0, -1.5, float("nan"), "high", None])
def test_a_score_that_is_no_fraction_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: Any) -> None:
    monkeypatch.setattr(Percent, "share", wrong)
    expected = {25.0: f"25.0 by {__name__}:Percent; expected a fraction, where larger is better", None: "missing"}
    said = sentence(Percent)
    assert said.startswith("share of test/default is ")
    assert said.endswith(expected.get(wrong, said))


def test_what_an_evaluation_raises_is_one_sentence_with_its_line() -> None:
    said = sentence(Raising)
    assert said.startswith(f"{__name__}:Raising, line ")
    assert said.endswith(": evaluate raised LookupError: nothing to be found")


def test_what_a_model_refuses_stays_what_it_said() -> None:
    def refuse(_texts: Any) -> Any:
        raise ModelError("its vectors are NaN")

    with pytest.raises(ModelError, match=r"^its vectors are NaN$"):
        measured(OwnPairs, FakeEncoder(refuse))


def test_its_results_are_filed_under_its_data() -> None:
    """mteb's files put subsets of one revision together, and that of its metadata says nothing of what was loaded."""
    assert measured(OwnPairs).result.dataset_revision == "ab" * 6


def test_tasks_of_mtebs_own_raise_what_they_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    task: Any = Raising()
    task.load_data()
    info = replace(describe_class(f"{__name__}:Raising"), code=None)
    opened = OpenTask(task=task, parts=(task,), dataset_revision=None, data_sha256=None)
    with pytest.raises(LookupError):
        evaluate(Case(alias="fake", task=info, suite="test"), opened, FakeEncoder(), {})
