import re
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import make_row
from touchstone.records.outcomes import OutcomeWord, Stage
from touchstone.records.runs import Record, SuiteVerdict
from touchstone.records.verdicts import Slice, VerdictWord
from touchstone.report.leaderboard import Average, Board
from touchstone.report.summary import summarize
from touchstone.report.text import render_board, render_suite, render_summary

LONG = "CQADupstackProgrammersRetrieval"
ROWS = [
    make_row(
        score=0.82032, baseline=0.82031, delta=1e-5, n=1379, verdict="pass", rule="reproduce", reason="same",
        phases={"model": 1.04, "data": 0.12, "encode": 2.5}, texts=2758, device="cpu",
    ),
    make_row("STS13", outcome="failed", score=0.7, baseline=0.8, delta=-0.1, n=1500, verdict="regressed"),
    make_row(
        LONG, type="Retrieval", metric="ndcg_at_10", limit=100, score=0.915, baseline=0.9, delta=0.015, n=100,
        verdict="improved", reason="ndcg_at_10 91.50, was 90.00 in minilm (Δ +1.50), more than the margin of 1.00",
    ),
    make_row("Tatoeba", alias="jina", type="BitextMining", metric="f1", outcome="error", error="CUDA out of memory"),
    make_row("XNLI", alias="jina", type="PairClassification", metric="max_ap", outcome="not measured"),
]  # fmt: skip

AT_80 = """\
jina
task     metric  score  baseline  Δ  n  verdict
Tatoeba  f1                             error
XNLI     max_ap                         not measured
minilm
task                   metric           score  baseline       Δ     n  verdict
CQADupstackProgrammer  ndcg_at_10       91.50     90.00   +1.50   100  improved
sRetrieval (limit
100)
STS13                  cosine_spearman  70.00     80.00  −10.00  1500  regressed
STSBenchmark           cosine_spearman  82.03     82.03  +0.001  1379  pass
jina:XNLI not measured: the run ended before it was measured
minilm:CQADupstackProgrammersRetrieval improved: ndcg_at_10 91.50, was 90.00 in
minilm (Δ +1.50), more than the margin of 1.00
5 cases: 1 failed, 1 error, 1 not measured, 2 passed. 2758 texts on cpu; model
1.0 s, data 0.1 s, encode 2.5 s.
"""

AT_120 = """\
jina
task     metric  score  baseline  Δ  n  verdict
Tatoeba  f1                             error
XNLI     max_ap                         not measured
minilm
task                                         metric           score  baseline       Δ     n  verdict
CQADupstackProgrammersRetrieval (limit 100)  ndcg_at_10       91.50     90.00   +1.50   100  improved
STS13                                        cosine_spearman  70.00     80.00  −10.00  1500  regressed
STSBenchmark                                 cosine_spearman  82.03     82.03  +0.001  1379  pass
jina:XNLI not measured: the run ended before it was measured
minilm:CQADupstackProgrammersRetrieval improved: ndcg_at_10 91.50, was 90.00 in minilm (Δ +1.50), more than the margin
of 1.00
5 cases: 1 failed, 1 error, 1 not measured, 2 passed. 2758 texts on cpu; model 1.0 s, data 0.1 s, encode 2.5 s.
"""

IN_COLOUR = """\
<1mminilm<0m
CQADupstackProgrammersRetrieval (limit 100)  ndcg_at_10       91.50     90.00   +1.50   100  <1;32mimproved <0m  <1;32m    │▌   <0m
STS13                                        cosine_spearman  70.00     80.00  −10.00  1500  <1;31mregressed<0m  <1;31m████│    <0m
STSBenchmark                                 cosine_spearman  82.03     82.03  +0.001  1379  <32mpass     <0m  <32m    │    <0m
minilm:CQADupstackProgrammersRetrieval improved: ndcg_at_10 91.50, was 90.00 in minilm (Δ +1.50), more than the margin
of 1.00
3 cases: 1 failed, 2 passed. 2758 texts on cpu; model 1.0 s, data 0.1 s, encode 2.5 s.
"""  # noqa: E501

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def render(*rows: Record, width: int = 120, color: bool = False) -> str:
    return render_summary(summarize(rows), width=width, color=color)


@pytest.mark.parametrize(("width", "expected"), [(80, AT_80), (120, AT_120)])
def test_a_run_is_a_table_per_model_and_a_closing_line(width: int, expected: str) -> None:
    assert render(*ROWS, width=width) == expected


def test_colour_marks_the_models_and_the_verdicts() -> None:
    title, _, *rest = render(*ROWS[:3], color=True).replace("\x1b[", "<").splitlines()

    assert [title.replace(" ", ""), *rest] == IN_COLOUR.splitlines()


BAR = re.compile(r" +[▐█ ]{4}│[█▌]*$")


@pytest.mark.parametrize("width", [80, 120])
def test_colour_changes_nothing_but_colour_and_bars_where_there_is_room(width: int) -> None:
    plain, coloured = (render(*ROWS, width=width, color=color) for color in (False, True))
    lines = [line.rstrip() for line in ESCAPE.sub("", coloured).splitlines()]

    assert "\x1b" not in plain
    assert [BAR.sub("", line) for line in lines] == plain.splitlines()
    assert any(map(BAR.search, lines)) == (width == 120)


def test_bars_are_drawn_to_one_scale_losses_to_the_left() -> None:
    deltas = {"A": -0.04, "B": 0.02, "C": 0.0, "D": -0.006, "E": None}
    rows = [make_row(name, delta=delta, baseline=0.5) for name, delta in deltas.items()]
    lines = ESCAPE.sub("", render(*rows, color=True)).splitlines()
    drawn = {
        line.split()[0]: re.split("measured|lower|same|higher", line)[-1].strip()
        for line in lines
        if line.split()[0] in deltas
    }

    assert drawn == {"A": "████│", "B": "│██", "C": "│", "D": "▐│", "E": ""}


def test_differences_that_nobody_would_see_have_no_bars() -> None:
    assert "│" not in render(make_row("A", delta=0.0005, baseline=0.5), color=True)


@given(st.permutations(ROWS))
def test_the_order_of_records_does_not_matter(rows: list[Record]) -> None:
    assert render(*rows) == render(*ROWS)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("word", [*get_args(VerdictWord), "error", "not measured", "measured", "same"])
def test_every_verdict_and_every_way_to_have_none_is_told_whole(word: str, width: int) -> None:
    outcome = word if word in ("error", "not measured") else "passed"
    row = make_row(
        LONG, metric="max_accuracy", score=0.5, baseline=0.5, delta=None if word == "measured" else 0.0, n=100_000,
        outcome=outcome, verdict=word if word in get_args(VerdictWord) else None, reason="so",
    )  # fmt: skip

    (line,) = [line for line in render(row, width=width).splitlines() if "100000" in line]

    assert line.endswith(f"  {word}")


@pytest.mark.parametrize("outcome", get_args(OutcomeWord))
def test_every_outcome_is_counted_in_the_closing_line(outcome: OutcomeWord) -> None:
    text = render(make_row("STS13"), make_row("STS16", outcome=outcome), make_row("STS17", outcome=outcome))

    counted = "3 passed" if outcome == "passed" else f"2 {outcome}, 1 passed"
    assert text.splitlines()[-1] == f"3 cases: {counted}."


def test_what_deserves_a_look_but_is_not_red_is_explained() -> None:
    text = render(
        make_row("A", verdict="improved", reason="better than ever"),
        make_row("B", verdict="inconclusive", reason="other environment"),
        make_row("C", outcome="not measured"),
        make_row("D", verdict="pass", reason="nothing to see"),
        make_row("E", outcome="failed", verdict="regressed", reason="pytest has said so"),
    )

    assert "minilm:A improved: better than ever\n" in text
    assert "minilm:B inconclusive: other environment\n" in text
    assert "minilm:C not measured: the run ended before it was measured\n" in text
    assert "nothing to see" not in text
    assert "pytest has said so" not in text


@pytest.mark.parametrize("text", ["Support[de]", "[/de]", "a:smile:b"])
@pytest.mark.parametrize("field", ["task", "metric", "alias"])
def test_names_are_shown_as_they_are_and_never_read_as_markup(text: str, field: str) -> None:
    changes: dict[str, Any] = {"task": "STS13", "case": "c", field: text}
    row = make_row(**changes)

    assert text in render(row)


BOARD = """\
                        jina  minilm
mean over tasks (1)    80.00   79.00
mean over their types  80.00   79.00
Retrieval                  -       -
  NFCorpus                 -   70.00
STS                    80.00   79.00
  STS13                80.00   79.00
jina has no score for 1 of the tasks, which are in no mean"""


def test_models_side_by_side_are_a_column_each_under_the_means() -> None:
    board = Board(
        models=("jina", "minilm"),
        types={"NFCorpus": "Retrieval", "STS13": "STS"},
        scores={"NFCorpus": {"minilm": 0.7}, "STS13": {"minilm": 0.79, "jina": 0.8}},
        means={
            "jina": Average(tasks=1, average=0.8, by_type={"STS": 0.8}, missing=("NFCorpus",)),
            "minilm": Average(tasks=1, average=0.79, by_type={"STS": 0.79}, missing=()),
        },
        shared=1,
    )

    assert render_board(board, width=100) == BOARD


def test_a_pipeline_shows_the_scores_of_both_its_stages() -> None:
    first = Stage(alias="minilm", model="m", fingerprint="f", metric="ndcg_at_10", score=0.9436, reused=True)
    last = Stage(alias="cross", model="x", fingerprint="g", metric="ndcg_at_10", score=0.9712)
    row = make_row("NFCorpus", alias="both", metric="ndcg_at_10", score=0.9712, stages=(first, last))
    lines = render_summary(summarize([row]), width=120, color=False).splitlines()
    assert lines[3] == "both:NFCorpus: ndcg_at_10 by stage: minilm 94.36 (found before), cross 97.12"


def test_figures_by_slice_stand_under_the_table_of_their_model() -> None:
    known = Slice(field="language", value="deu-Latn", n=120, score=0.7, baseline=0.72, interval=(-0.03, -0.01))
    single = Slice(field="language", value="eng-Latn", n=1, score=1.0, baseline=1.0)
    lines = render(make_row("STS13", score=0.7, slices=(known, single))).splitlines()

    at = lines.index("by slice, not gated")
    assert lines[at + 1].split() == ["task", "slice", "n", "score", "baseline", "Δ", "95", "%"]
    assert lines[at + 2].split() == [
        "STS13",
        "language",
        "deu-Latn",
        "120",
        "70.00",
        "72.00",
        "−2.00",
        "[−3.00,",
        "−1.00]",
    ]
    assert lines[at + 3].split() == ["STS13", "language", "eng-Latn", "1", "100.00", "100.00", "+0.00"]
    assert "slice" not in render(make_row("STS13", score=0.7))


def test_a_part_of_a_suite_says_of_how_many_cases() -> None:
    suite = SuiteVerdict(
        model="minilm", verdict="PASS", reason="as it was", delta=-0.001, interval=(-0.002, 0.0), paired=9, cases=9,
        by_type={"STS": (-0.001, -0.002, 0.0)}, verdicts={"STS": "PASS"}, over_types=(-0.002, -0.003, -0.001),
        anchor=(-0.004, -0.006, -0.002), planned=41,
    )  # fmt: skip

    assert render_suite(suite) == (
        "minilm: PASS of 9 of 41 cases: as it was (mean Δ −0.10, 95 % [−0.20, +0.00] over 9 tasks; over types −0.20 "
        "[−0.30, −0.10]; against the anchors −0.40 [−0.60, −0.20])\nby type: STS PASS −0.10 [−0.20, +0.00]"
    )
    assert render_suite(replace(suite, planned=9)).startswith("minilm: PASS: as it was")
