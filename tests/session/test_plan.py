"""Which cases a run has, and which pairs of a model and a task are not made."""

from collections import Counter
from pathlib import Path

import pytest

from touchstone.config.options import Options
from touchstone.session.plan import Plan, find_cases

MODELS = """
[cross]
kind = "cross-encoder"
path = "cross"
[pipe]
kind = "pipeline"
retriever = "minilm"
reranker = "cross"
top_k = 20
"""
SEARCHES = "a cross-encoder cannot search; it can be the second stage of a pipeline"
RERANKS = "a cross-encoder only reranks"
RETRIEVES = "a pipeline only retrieves"
GIVEN = "a pipeline finds its own candidates; its reranker alone can rerank given ones"


def plan_of(folder: Path, *models: str) -> Plan:
    (folder / "models.toml").write_text(MODELS)
    typed = {"models": list(models), "models_files": "models.toml"}
    return find_cases(Options.parse(typed, root=folder, cwd=folder))


def test_a_cross_encoder_gets_reranking_and_the_rest_is_counted(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "cross")
    assert [case.id for case in plan.cases] == ["cross:SmokeReranking"]
    assert plan.left_out == {SEARCHES: 1, RERANKS: 4}


def test_a_pipeline_gets_retrieval_and_the_rest_is_counted(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "pipe")
    assert [case.id for case in plan.cases] == ["pipe:SmokeRetrieval"]
    assert plan.left_out == {GIVEN: 1, RETRIEVES: 4}


def test_impossible_pairs_of_one_model_leave_the_others_alone(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "minilm", "cross", "pipe")
    assert Counter(case.alias for case in plan.cases) == {"minilm": 6, "cross": 1, "pipe": 1}
    assert sum(plan.left_out.values()) == 10


@pytest.mark.parametrize(("model", "alias"), [("pipe@top_k=5", "pipe+top_k-5"), ("pipe", "pipe")])
def test_a_pipelines_stages_come_with_it(tmp_path: Path, model: str, alias: str) -> None:
    plan = plan_of(tmp_path, model)
    found = plan.models[alias]
    assert [stage.alias for stage in found.stages] == ["minilm", "cross"]
    assert found.derived is ("@" in model)
