"""The evaluator gives what measuring gives, and only what passes is promoted."""

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from tests.library.changing import shake
from touchstone import ConfigError, Model, Result, TouchstoneError, measure
from touchstone.training import TouchstoneEvaluator, promote

TASKS: dict[str, Any] = {"tasks": "smoke", "select": ["SmokeSTS", "SmokeRetrieval"]}


@pytest.fixture
def project(project: Path, folder: Path) -> Path:
    """A project in which the tiny model is released."""
    measure(Model(folder, "released"), baseline="record", **TASKS)
    return project


def baselines(project: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in (project / "baselines").rglob("*") if path.is_file()}


def test_each_call_measures_the_model_as_it_is_now(project: Path, tiny: Any) -> None:
    from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator

    evaluator = TouchstoneEvaluator(against="released", **TASKS)
    assert isinstance(evaluator, SentenceEvaluator)
    first = evaluator(tiny)
    assert first["touchstone_mean_delta"] == 0.0
    shake(tiny, size=0.1)
    second = evaluator(tiny, epoch=1, steps=4)
    tiny.save(str(project / "trained"), create_model_card=False)
    trained = measure(Model(project / "trained", "t"), baseline="off", **TASKS)
    released = json.loads((project / "baselines" / "released.json").read_text())["tasks"]
    gained = [100 * ((r.score or 0) - released[r.task]["score"]) for r in trained.records]
    assert second["touchstone_mean_delta"] == pytest.approx(fmean(gained), abs=2e-3)
    (suite,) = evaluator.results[1].run.suites
    assert second["touchstone_mean_delta"] == pytest.approx(100 * (suite.delta or 0))
    assert second["touchstone_mean_score"] == pytest.approx(100 * fmean(r.score or 0 for r in trained.records))
    for record in trained.records:
        assert second[f"touchstone_{record.task}_{record.metric}"] == pytest.approx(100 * (record.score or 0))
    assert (evaluator.primary_metric, evaluator.greater_is_better) == ("touchstone_mean_delta", True)
    assert [result.records[0].reused for result in evaluator.results] == [False, False]


def test_a_reference_in_memory_is_the_model_before_it_was_trained(project: Path, tiny: Any) -> None:
    evaluator = TouchstoneEvaluator(against=tiny, name="", **TASKS)
    shake(tiny, size=0.1)
    assert (
        evaluator(tiny)["mean_delta"] == TouchstoneEvaluator(against="released", name="", **TASKS)(tiny)["mean_delta"]
    )


def test_a_checkpoint_that_cannot_be_measured_is_never_the_best(project: Path, tiny: Any) -> None:
    import torch

    evaluator = TouchstoneEvaluator(against="released", **TASKS)
    with torch.no_grad():
        next(tiny.parameters()).fill_(float("nan"))
    metrics = evaluator(tiny)
    assert metrics["touchstone_mean_delta"] == float("-inf")
    assert metrics["touchstone_errors"] == 2
    assert "touchstone_SmokeSTS_cosine_spearman" not in metrics


def test_what_is_wrong_is_said_before_the_training(project: Path) -> None:
    with pytest.raises(ConfigError, match="is not a task of mteb"):
        TouchstoneEvaluator(["Nope"], against="released")
    with pytest.raises(TouchstoneError, match='did you mean "released"'):
        TouchstoneEvaluator(against="relesed", **TASKS)


def test_what_passes_is_the_baseline_now_and_keeps_its_anchor(project: Path, tiny: Any) -> None:
    candidate = measure(Model(tiny, "candidate"), **TASKS)
    done = promote(candidate, "released")
    assert (done.promoted, done.verdict, done.written) == (True, "PASS", project / "baselines" / "released.json")
    assert "promoted to released: wrote" in done.reason
    after = json.loads((project / "baselines" / "released.json").read_text())
    assert after["model"] == "local/candidate"
    assert {entry["fingerprint"] for entry in after["tasks"].values()} == {candidate.records[0].fingerprint}
    assert after["anchors"].keys() == after["tasks"].keys()
    assert measure(tiny, against="released", **TASKS).verdict == "PASS"
    assert "the same already" in promote(candidate, "released").reason


def refused(project: Path, candidate: Result, **options: Any) -> str:
    before = baselines(project)
    done = promote(candidate, "released", **options)
    assert not done.promoted
    assert done.written is None
    assert baselines(project) == before
    return f"{done.verdict}: {done.reason}"


def test_nothing_else_moves_a_baseline(project: Path, tiny: Any) -> None:
    part = measure(Model(tiny, "part"), "smoke", select=["SmokeSTS"])
    assert "SmokeRetrieval of the baseline of released was not measured" in refused(project, part)
    shake(tiny, size=0.1)
    candidate = measure(Model(tiny, "candidate"), **TASKS)
    assert refused(project, candidate).startswith("INCONCLUSIVE: not promoted: candidate INCONCLUSIVE: ")
    assert refused(project, candidate, gate="reproduce").startswith("FAIL: not promoted: candidate FAIL: ")
    with pytest.raises(ConfigError, match=r"expected what touchstone\.measure gives"):
        promote("candidate", "released")  # type: ignore[arg-type]
    with pytest.raises(TouchstoneError, match='did you mean "released"'):
        promote(candidate, "relesed")


def test_an_error_moves_no_baseline(project: Path, tiny: Any) -> None:
    import torch

    with torch.no_grad():
        next(tiny.parameters()).fill_(float("nan"))
    assert refused(project, measure(Model(tiny, "broken"), **TASKS)).startswith("INCOMPLETE: not promoted: ")
