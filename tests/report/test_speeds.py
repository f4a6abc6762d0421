"""Speeds beside scores: in every report, on whose machine, compared only where they can be, and gone where none is."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.builders import make_row, make_run
from tests.report.outline import outline
from tests.report.suites import judged, small_run
from touchstone.judging.overall import judge_models
from touchstone.records.lineups import line_up
from touchstone.records.outcomes import Speed
from touchstone.records.runs import Record, Run
from touchstone.report.html import render_html
from touchstone.report.leaderboard import side_by_side
from touchstone.report.markdown import render_markdown
from touchstone.report.summary import lineup_lines, speed_word, summarize
from touchstone.report.text import render_board, render_summary

HERE = "AMD EPYC, 2 cores, 1 thread"
SPEED = Speed(machine=HERE, texts_per_second=1240, tokens_per_second=21_300, query_p50=0.012, query_p95=0.0404)
WORD = "1240 texts/s, 21k tokens/s, p50 12 ms, p95 40 ms"


def run_of(*records: Record) -> Run:
    return replace(make_run(*records), suites=judge_models(records))


def timed(task: str = "STS13", alias: str = "minilm", **changes: Any) -> Record:
    return make_row(task, alias=alias, score=0.8, n=500, speed=replace(SPEED, **changes))


def terminal(run: Run, width: int = 80, *, color: bool = False) -> str:
    return render_summary(summarize(run.records), width=width, color=color)


def page(run: Run) -> str:
    return "\n".join(outline(render_html(run, (), side_by_side(run))).lines)


RENDERINGS: dict[str, Callable[[Run], str]] = {"terminal": terminal, "markdown": render_markdown, "page": page}


@pytest.mark.parametrize("form", RENDERINGS)
def test_every_report_has_the_speed_of_a_model_and_its_machine(form: str) -> None:
    shown = " ".join(RENDERINGS[form](run_of(timed(), timed("STS14", texts_per_second=930))).split())
    for part in (HERE, "texts/s", "1240", "930", "1074 texts/s", "p95 40 ms"):  # 1074 is the mean of two cases
        assert part in shown
    assert "*" not in shown.replace("**", "")


def test_a_list_says_of_which_model_the_speed_is_once() -> None:
    assert f"\n- speed of minilm, not gated: {WORD} on" in render_markdown(run_of(timed()))


@pytest.mark.parametrize("form", RENDERINGS)
def test_where_no_speed_is_known_no_report_speaks_of_it(form: str) -> None:
    shown = RENDERINGS[form](small_run())
    assert "texts/s" not in shown
    assert "speed" not in shown


@pytest.mark.parametrize("form", RENDERINGS)
def test_a_case_of_another_machine_has_a_star_and_the_machine_is_named(form: str) -> None:
    other = replace(SPEED, machine="NVIDIA H100", texts_per_second=9000)
    shown = RENDERINGS[form](run_of(timed(), timed("STS14"), make_row("STS15", score=0.8, speed=other)))
    assert "9000*" in shown.replace("\\*", "*")
    assert "NVIDIA H100" in shown
    assert "1240*" not in shown


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("task", ["STS13", "CQADupstackProgrammersRetrieval"])
def test_lines_fit_the_terminal_and_a_column_that_does_not_is_left_out(task: str, color: bool) -> None:
    run = run_of(judged(task, -0.004, "inconclusive", metric="cosine_spearman", speed=SPEED))
    table = terminal(run).splitlines()
    header = next(line for line in table if line.startswith("task"))
    assert max(map(len, table)) <= 80
    assert ("texts/s" in header) == (task == "STS13")
    assert f"speed, not gated: {WORD} on" in " ".join(" ".join(table).split())
    bars = terminal(run, color=color, width=120)
    assert "1240" in bars
    assert ("│" in bars) == color


def board(*records: Record) -> list[str]:
    found = side_by_side(make_run(*records))
    assert found is not None
    return render_board(found, width=100).splitlines()


def test_models_beside_each_other_are_compared_on_one_machine_alone() -> None:
    row = ["STS13", "STS14"]
    lines = board(*(timed(task) for task in row), *(timed(task, "jina", texts_per_second=620) for task in row))
    assert ["texts/s", "(2)", "620", "1240"] in [line.split() for line in lines]
    lines = board(*(timed(task) for task in row), timed(row[0], "jina", texts_per_second=620, machine="elsewhere"))
    assert ["texts/s", "620*", "1240*"] in [line.split() for line in lines]
    assert lines[-1].startswith("* texts/s on another machine")
    assert not any("texts/s" in line for line in board(*(make_row("STS13", alias=a, score=0.8) for a in "ab")))


def test_a_multiple_is_said_only_of_what_can_be_compared() -> None:
    models = {"a": {"x": SPEED}, "b": {"x": replace(SPEED, texts_per_second=2480)}}
    (line,) = lineup_lines(line_up(models))
    assert line.startswith(f"speed, not gated, over 1 task on {HERE}: a {WORD}; b 2480 texts/s, ")
    assert line.endswith(" (2 times as fast)")
    lines = lineup_lines(line_up({**models, "c": {"x": replace(SPEED, machine="there")}}))
    assert lines == [line, f"speed of c, not comparable here: {WORD} on there"]
    apart = lineup_lines(line_up({"a": models["a"], "c": {"x": replace(SPEED, machine="there")}}))
    assert len(apart) == 2
    assert not any("times" in line for line in apart)


def test_pairs_are_called_pairs() -> None:
    assert speed_word(Speed(machine=HERE, unit="pair", texts_per_second=51.26)) == "51 pairs/s"
