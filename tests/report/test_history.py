from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import make_row, make_run
from touchstone.records.runs import Run
from touchstone.report.trend import trace


def run_of(day: int, *scores: float | None, commit: str | None = None) -> Run:
    rows = [make_row(f"STS1{i}", score=score) for i, score in enumerate(scores)]
    return replace(make_run(*rows), started=f"2026-11-{day:02}T12:00:00+00:00", commit=commit)


RUNS = [run_of(1, 0.8, 0.7, commit="a"), run_of(2, 0.8003, None, commit="b"), run_of(3, 0.79, 0.7, commit="c")]


def test_a_line_has_the_scores_of_a_case_by_time_with_their_commits() -> None:
    lines = trace(RUNS)

    assert [(key[1], [p.score for p in line.points]) for key, line in lines.items()] == [
        ("STS10", [0.8, 0.8003, 0.79]),
        ("STS11", [0.7, 0.7]),
    ]
    line = lines["minilm", "STS10", "cosine_spearman"]
    assert [point.commit for point in line.points] == ["a", "b", "c"]
    assert line.type == "STS"


def test_a_score_moved_where_it_left_what_a_repetition_gives() -> None:
    assert trace(RUNS)["minilm", "STS10", "cosine_spearman"].moves == (2,)
    assert trace(RUNS)["minilm", "STS11", "cosine_spearman"].moves == ()


def test_another_limit_metric_or_model_is_another_line_and_an_error_is_no_score() -> None:
    rows = [
        make_row(score=0.8),
        make_row(score=0.8, limit=100),
        make_row(score=0.8, metric="pearson"),
        make_row(score=0.8, alias="jina"),
        make_row("STS13", score=0.8, error="teardown broke", outcome="error"),
    ]

    assert set(trace([make_run(*rows)])) == {
        ("jina", "STSBenchmark", "cosine_spearman"),
        ("minilm", "STSBenchmark", "cosine_spearman"),
        ("minilm", "STSBenchmark?limit=100", "cosine_spearman"),
        ("minilm", "STSBenchmark", "pearson"),
    }


@given(st.permutations(RUNS))
def test_the_order_of_runs_does_not_matter(runs: list[Run]) -> None:
    assert list(trace(runs).items()) == list(trace(RUNS).items())
