from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import make_row, make_run
from touchstone.records.runs import Run
from touchstone.report.trend import VISIBLE_CHANGE, blocks, render_trend, trace

FORTNIGHT = [0.8, 0.8001, 0.8, 0.7, 0.7, 0.75]


def runs(scores: list[float], **changes: object) -> list[Run]:
    return [
        replace(
            make_run(
                make_row(score=score, fingerprint="a" if score > 0.72 else "b"),
                make_row("NFCorpus", type="Retrieval", metric="ndcg_at_10", score=0.3),
            ),
            started=f"2026-11-{day:02}T12:00:00+00:00",
            commit=f"commit{day}" if day != 6 else None,
        )
        for day, score in enumerate(scores, start=1)
    ]


GOLDEN = """\
case                 metric           runs          first   last      Δ
minilm:NFCorpus      ndcg_at_10          6  ▄▄▄▄▄▄  30.00  30.00  +0.00
minilm:STSBenchmark  cosine_spearman     6  ███▁▁▄  80.00  75.00  −5.00

moved
minilm:STSBenchmark cosine_spearman
  2026-11-04 12:00  −10.00  80.00 -> 70.00  commit commit4, other weights or settings
  2026-11-06 12:00  +5.00  70.00 -> 75.00  no commit known, other weights or settings"""


def test_each_case_is_a_line_and_each_move_is_told_with_its_commit() -> None:
    assert render_trend(trace(runs(FORTNIGHT)).values(), width=100, color=False) == GOLDEN


def test_a_move_of_the_same_model_is_told_as_such() -> None:
    text = render_trend(trace(runs([0.8, 0.81])).values(), width=100, color=False)

    assert "  2026-11-02 12:00  +1.00  80.00 -> 81.00  commit commit2, the same model" in text


def test_colour_tells_losses_from_gains_and_nothing_else_changes() -> None:
    plain, coloured = (render_trend(trace(runs(FORTNIGHT)).values(), width=100, color=c) for c in (False, True))

    assert "\x1b[31m−10.00\x1b[0m" in coloured
    assert "\x1b[32m+5.00\x1b[0m" in coloured
    assert "\x1b" not in plain


def test_a_case_of_one_run_has_not_moved() -> None:
    text = render_trend(trace(runs([0.8])).values(), width=100, color=False)

    assert "moved" not in text
    assert [line.split() for line in text.splitlines()][2] == [
        "minilm:STSBenchmark", "cosine_spearman", "1", "▄", "80.00", "80.00",
    ]  # fmt: skip


def test_only_the_latest_moves_are_told() -> None:
    text = render_trend(trace(runs([0.8, 0.9] * 5)).values(), width=100, color=False)

    assert text.count(" -> ") == 5
    assert "  4 earlier moves are left out" in text


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.5], "▄"),
        ([0.5, 0.5 + VISIBLE_CHANGE / 2], "▄▄"),
        ([0.1, 0.9], "▁█"),
        ([0.9, 0.5, 0.1], "█▅▁"),
        ([0.0, 0.1, 0.7], "▁▂█"),
    ],
)
def test_the_lowest_score_is_the_lowest_block(scores: list[float], expected: str) -> None:
    assert blocks(scores) == expected


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=50))
def test_a_higher_score_is_never_a_lower_block(scores: list[float]) -> None:
    drawn = blocks(scores)

    assert len(drawn) == len(scores)
    assert [block for _, block in sorted(zip(scores, drawn, strict=True))] == sorted(drawn)


def test_a_long_history_is_cut_to_its_end() -> None:
    text = render_trend(trace(runs([0.5] * 9 + [0.8] * 30)[:28]).values(), width=100, color=False)

    assert "28" in text.splitlines()[2]
