from tests.builders import make_row
from tests.report.suites import SMALL, judged
from touchstone.report.github import render_annotations


def test_what_is_red_is_an_error_and_what_is_open_a_warning() -> None:
    assert render_annotations(SMALL) == (
        "::error title=minilm%3ANFCorpus regressed::ndcg_at_10 is what it is in NFCorpus"
        "%0Apytest evals --model minilm --task NFCorpus",
        "::error title=minilm%3AXNLI error::CUDA | out of <memory>",
        "::error title=jina%3ATatoeba not measured::the run ended before it was measured",
        "::warning title=minilm%3ASTS14 suspect::ndcg_at_10 is what it is in STS14%0A"
        "pytest evals --model minilm --task STS14",
        "::warning title=minilm%3ASTS13 inconclusive::ndcg_at_10 is what it is in STS13"
        "%0Apytest evals --model minilm --task STS13",
    )


def test_a_text_cannot_start_another_command() -> None:
    (line,) = render_annotations([make_row("a,b", outcome="error", error="100 %\r\n::set-output name=x::y")])

    assert line == "::error title=minilm%3Aa%2Cb error::100 %25  ::set-output name=x::y"


def test_more_than_github_shows_are_counted() -> None:
    lines = render_annotations([judged(f"T{i:02}", -0.1 - i / 100, "regressed") for i in range(12)])

    assert len(lines) == 10
    assert lines[0].startswith("::error title=minilm%3AT11 ")
    assert lines[-1] == "::error title=touchstone::3 more cases are in the job summary"
    assert len(render_annotations([judged(f"T{i}", -0.1, "regressed") for i in range(10)])) == 10


def test_nothing_to_say_says_nothing() -> None:
    assert render_annotations([judged("STS16", 0.0, "pass"), judged("SciFact", 0.1, "improved")]) == ()
