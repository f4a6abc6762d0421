"""What a plan could detect, put together from baselines, earlier runs, statistics and times."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import make_baseline, make_baseline_file, make_row, make_run
from touchstone.baselines.files import Baselines, render_baseline_file
from touchstone.config.options import Options
from touchstone.records.runs import Record
from touchstone.records.samples import Samples
from touchstone.records.verdicts import Evidence
from touchstone.session.plan import find_cases
from touchstone.session.power import CasePower, ModelPower, find_goal, find_power

SUITE = 'models = ["minilm"]\n[tasks]\ninclude = ["STSBenchmark", "Banking77Classification", "SCIDOCS"]\n'


def powers(folder: Path, *records: Record, suite: str = SUITE, **typed: Any) -> tuple[ModelPower, ...]:
    (folder / "my.toml").write_text(suite)
    options = Options.parse({"suites": ["my.toml"], **typed}, root=folder, cwd=folder)
    baselines = Baselines(folder / "baselines", folder / "none")
    return find_power(find_cases(options), [make_run(*records)], baselines=baselines, device="cpu", change="fine-tune")


def only(folder: Path, task: str, *records: Record, **typed: Any) -> CasePower:
    (model,) = powers(folder, *records, **typed)
    return next(one for one in model.cases if one.case.task.name == task)


def row(task: str, error: float, n: int, **changes: Any) -> Record:
    evidence = Evidence(error=error, degrees=None, interval=(-0.1, 0.1), p=0.5, n=n, changed=9, detectable=0.1)
    defaults: dict[str, Any] = {"rule": "paired", "seconds": 9.0}
    return make_row(task, score=0.8, evidence=evidence, **defaults | changes)


def test_spread_is_the_median_of_own_comparisons_then_of_others_then_of_the_change(tmp_path: Path) -> None:
    own = [row("STSBenchmark", error, 400) for error in (0.002, 0.004, 0.05, 0.004)]
    useless = [row("STSBenchmark", 0.0, 400), row("STSBenchmark", 0.9, 400, rule="reproduce"), make_row()]
    other = row("STSBenchmark", 0.01, 100, alias="other")
    found = only(tmp_path, "STSBenchmark", *own, *useless, other)
    assert found.spread is not None
    assert found.spread.value == pytest.approx(0.08)
    assert found.spread.source == "3 earlier comparisons"
    found = only(tmp_path, "STSBenchmark", other, *useless)
    assert found.spread is not None
    assert found.spread.value == pytest.approx(0.1)
    assert found.spread.source == "1 earlier comparison of other models"
    assert not found.spread.rough
    found = only(tmp_path, "STSBenchmark", *useless)
    assert found.spread is not None
    assert (found.spread.value, found.spread.source, found.spread.rough) == (0.112, "fine-tune", True)
    retrieval = only(tmp_path, "SCIDOCS")
    assert retrieval.spread is not None
    assert not retrieval.spread.rough


def test_samples_are_those_of_the_baseline_of_any_model_then_those_of_statistics(tmp_path: Path) -> None:
    assert only(tmp_path, "STSBenchmark").sizes == (1379,)
    (tmp_path / "baselines").mkdir()
    for alias, n in (("other", 900), ("minilm", 800)):
        text = render_baseline_file(make_baseline_file({"STSBenchmark": make_baseline(n=n)}))
        (tmp_path / "baselines" / f"{alias}.json").write_text(text)
        assert only(tmp_path, "STSBenchmark").sizes == (n,)
    found = only(tmp_path, "STSBenchmark", limit="100")
    assert found.sizes == (100,)
    assert found.now is not None
    assert (found.now.n, found.choices[-1].n) == (100, 800)
    assert found.now.error == pytest.approx(0.112 / math.sqrt(100))
    assert found.now.seconds < found.choices[-1].seconds


def test_strata_count_each_by_its_own_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = 'models = ["minilm"]\n[tasks]\ninclude = ["MTOPDomainClassification"]\n'
    suite += '[tasks.subsets]\nMTOPDomainClassification = ["en", "de"]\n'
    suite += '[tasks.splits]\nMTOPDomainClassification = ["test"]\n'
    entry = make_baseline({"test/en": 0.8, "test/de": 0.7, "test/fr": 0.6}, n=560)
    (tmp_path / "baselines").mkdir()
    text = render_baseline_file(make_baseline_file({"MTOPDomainClassification": entry}))
    (tmp_path / "baselines" / "minilm.json").write_text(text)
    assert only(tmp_path, "MTOPDomainClassification", suite=suite).sizes == (186, 186)
    strata = np.array(["test/de"] * 50 + ["test/en"] * 450 + ["test/fr"] * 60)
    samples = Samples(type="Classification", metric="accuracy", stratum=strata, id=np.arange(560).astype(str))
    monkeypatch.setattr(Baselines, "load_samples", lambda *_: samples)
    found = only(tmp_path, "MTOPDomainClassification", suite=suite)
    assert found.sizes == (50, 450)
    assert found.lacking == (100, 265)  # twice the smaller one
    assert found.now is not None
    assert found.now.error == pytest.approx(0.112 * math.sqrt(1 / 50 + 1 / 450) / 2)


def test_goal_is_reached_at_less_cost_and_no_case_falls_below_what_can_pass(tmp_path: Path) -> None:
    (model,) = powers(tmp_path)
    assert {one.case.policy.gated for one in model.cases} == {3}
    chosen = find_goal([model], 0.0085)
    assert chosen is not None
    picked = [chosen[one.case.id] for one in model.known]
    assert model.detects(picked) <= 0.0085
    assert all(choice.n >= 265 for choice in picked)
    assert sum(choice.seconds for choice in picked) < sum(one.seconds for one in model.cases)
    # A query of SCIDOCS is dear as long as a limit makes its corpus smaller, and cheap beyond.
    scidocs = next(one for one in model.known if one.case.task.name == "SCIDOCS")
    first, last = scidocs.choices[0], scidocs.choices[-1]
    assert last.seconds < 1.2 * first.seconds
    assert last.n > 3 * first.n


def test_goal_that_no_samples_reach_is_told_with_how_many_would(tmp_path: Path) -> None:
    (model,) = powers(tmp_path)
    assert find_goal([model], 0.006) is None
    times = model.times_needed(0.006)
    assert times > 1
    errors = [one.choices[-1].error / math.sqrt(times) for one in model.known]
    assert math.hypot(*errors) / 3 == pytest.approx((0.006 - 0.005) / 0.8416, rel=1e-3)
    assert model.times_needed(0.005) == math.inf
    assert model.times_needed(0.03) < 1


def test_goal_within_the_margin_of_the_mean_has_a_margin_that_finds_it(tmp_path: Path) -> None:
    (model,) = powers(tmp_path)
    fitted = model.fitted(0.005)
    # 1.960 of 2.801 errors are the level's, the others the power's: 0.35 of half a point.
    assert fitted.criterion.margin == 0.0034
    assert math.isfinite(fitted.times_needed(0.005))
    assert model.fitted(0.006) == model


def test_two_models_have_the_larger_limit_of_both(tmp_path: Path) -> None:
    loud = [row(name, 0.02, 100, alias="minilm+truncate_dim-64") for name in ("STSBenchmark", "SCIDOCS")]
    models = powers(tmp_path, *loud, row("STSBenchmark", 0.001, 100), models=["minilm", "minilm@truncate_dim=64"])
    chosen = find_goal(models, 0.012)
    assert chosen is not None
    for task in ("STSBenchmark", "SCIDOCS", "Banking77Classification"):
        assert len({chosen[f"{model.alias}:{task}"].limit for model in models}) == 1
    alone = find_goal(models[:1], 0.012)
    assert alone is not None
    assert alone["minilm:STSBenchmark"].n < chosen["minilm:STSBenchmark"].n


def test_draws_have_no_spread_before_they_were_compared_and_no_limit(tmp_path: Path) -> None:
    (tmp_path / "baselines").mkdir()
    text = render_baseline_file(make_baseline_file({"TwentyNewsgroupsClustering.v2": make_baseline(n=10)}))
    (tmp_path / "baselines" / "minilm.json").write_text(text)
    suite = SUITE.replace("SCIDOCS", "TwentyNewsgroupsClustering.v2")
    found = only(tmp_path, "TwentyNewsgroupsClustering.v2", suite=suite)
    assert (found.spread, found.choices, found.lacking) == (None, (), None)
    compared = row("TwentyNewsgroupsClustering.v2", 0.003, 10)
    found = only(tmp_path, "TwentyNewsgroupsClustering.v2", compared, suite=suite)
    assert [(choice.limit, choice.n) for choice in found.choices] == [(None, 10)]
    assert found.choices[0].error == pytest.approx(0.003)


def test_without_statistics_seconds_go_with_the_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("touchstone.session.forecast.statistics_folder", lambda: None)
    found = only(tmp_path, "STSBenchmark", row("STSBenchmark", 0.01, 1379, device="cpu", seconds=1379.0))
    assert found.seconds == 1379
    assert [choice.seconds for choice in found.choices] == pytest.approx([choice.n for choice in found.choices])
