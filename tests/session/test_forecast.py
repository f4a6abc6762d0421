"""What a plan will cost, put together from the store, the statistics and the models."""

from pathlib import Path

import pytest

from tests.builders import make_row, make_run
from touchstone.config.options import Options
from touchstone.session.forecast import make_forecast
from touchstone.session.plan import Plan, find_cases


def plan_of(tmp_path: Path, *models: str) -> Plan:
    (tmp_path / "my.toml").write_text(
        'models = ["minilm"]\n[tasks]\ninclude = ["BIOSSES", "NFCorpus", "AskUbuntuDupQuestions"]\n'
    )
    (tmp_path / "models.toml").write_text(
        '[cross]\nkind = "cross-encoder"\npath = "cross"\n'
        '[there]\nkind = "api"\nurl = "http://127.0.0.1:9/v1"\nname = "m"\n'
        '[both]\nkind = "pipeline"\nretriever = "minilm"\nreranker = "cross"\n'
    )
    (tmp_path / "cross").mkdir()
    typed = {"suites": ["my.toml"], "models": list(models), "models_files": "models.toml"}
    return find_cases(Options.parse(typed, root=tmp_path, cwd=tmp_path))


def test_timings_of_the_store_win_over_statistics_and_known_cases_cost_nothing(tmp_path: Path) -> None:
    row = make_row("BIOSSES", score=0.8, seconds=42.0, phases={"model": 2.0, "encode": 40.0}, device="cpu", encoded=180)
    found = make_forecast(plan_of(tmp_path), [make_run(row)], "cpu", cached_ids={"minilm:AskUbuntuDupQuestions"})
    assert found.estimates["minilm:BIOSSES"].seconds == 40
    assert found.bases == {"in the store": 1, "timed": 1, "text statistics": 1}
    assert found.estimates["minilm:NFCorpus"].seconds > 40 * 50  # it has a hundred times the text
    assert found.loading == {"minilm": 2.0}
    assert found.seconds(found.cases) == sum(one.seconds for one in found.estimates.values())
    end, bound = found.makespan(1)
    assert end == pytest.approx(bound + 2.0)


def test_everything_known_takes_no_time_and_loads_no_model(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    row = make_row("BIOSSES", score=0.8, seconds=42.0, phases={"model": 2.0}, device="cpu")
    found = make_forecast(plan, [make_run(row)], "cpu", cached_ids={case.id for case in plan.cases})
    assert found.makespan(4) == (0.0, 0.0)


def test_kinds_of_models_read_different_things_in_different_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    plan = plan_of(tmp_path, "minilm", "cross", "both", "there")
    auto, cpu = (make_forecast(plan, (), device).estimates for device in ("auto", "cpu"))
    assert cpu["cross:AskUbuntuDupQuestions"].seconds > 1.5 * cpu["minilm:AskUbuntuDupQuestions"].seconds
    assert cpu["both:NFCorpus"].seconds > 2 * cpu["minilm:NFCorpus"].seconds
    assert auto["minilm:NFCorpus"].seconds < cpu["minilm:NFCorpus"].seconds
    assert auto["there:NFCorpus"] == cpu["there:NFCorpus"]
