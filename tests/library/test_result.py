"""A result as a table, in a notebook, and as reports."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import make_row, make_run
from touchstone import Result, load_run
from touchstone.errors import ConfigError
from touchstone.records.runs import SuiteVerdict, SuiteWord

HOSTILE = "<script>alert(1)</script>&\"'"


def make_result(*records: object, words: tuple[SuiteWord, ...] = (), store: Path = Path("store")) -> Result:
    suites = tuple(
        SuiteVerdict(
            model=f"m{number}", verdict=word, reason=HOSTILE, delta=None, interval=None, paired=0, cases=1, by_type={}
        )
        for number, word in enumerate(words)
    )
    return Result(run=replace(make_run(*records), suites=suites), store=store)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "expected"),
    [((), None), (("PASS",), "PASS"), (("PASS", "INCONCLUSIVE"), "INCONCLUSIVE"),
     (("INCONCLUSIVE", "FAIL", "INCOMPLETE"), "FAIL")],
)  # fmt: skip
def test_the_verdict_is_the_worst(words: tuple[SuiteWord, ...], expected: str | None) -> None:
    assert make_result(make_row(score=0.5), words=words).verdict == expected


@pytest.mark.parametrize("outcome", ["error", "not measured"])
def test_a_case_without_a_score_leaves_no_pass(outcome: str) -> None:
    result = make_result(make_row(outcome=outcome, error="gone" if outcome == "error" else None), words=("PASS",))
    assert result.verdict == "INCOMPLETE"
    assert result.exit_code == 1


def test_a_table_has_a_row_for_each_case_in_fractions() -> None:
    frame = make_result(
        make_row(score=0.82, baseline=0.8, delta=0.02), make_row("B", outcome="error", error="x")
    ).to_frame()
    assert list(frame["task"]) == ["STSBenchmark", "B"]
    assert frame.loc[0, ["score", "baseline", "delta"]].tolist() == [0.82, 0.8, 0.02]
    assert frame["score"].isna().tolist() == [False, True]
    assert list(frame["why"])[1] == "x"


def test_a_table_has_first_what_one_looks_at() -> None:
    first = ["case", "verdict", "score", "baseline", "delta", "n"]
    assert list(make_result(make_row(score=0.5)).to_frame().columns)[:6] == first


def test_what_is_printed_is_no_wider_than_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    result = make_result(make_row(outcome="error", error="word " * 60), words=("FAIL",))
    (suite,) = result.run.suites
    long = replace(suite, reason="word " * 60, delta=-0.1, interval=(-0.2, 0.0),
                   by_type={f"Type{number}": (-0.1, -0.2, 0.0) for number in range(9)})  # fmt: skip
    print(replace(result, run=replace(result.run, suites=(long,))))

    assert max(map(len, capsys.readouterr().out.splitlines())) <= 120


def test_what_a_report_leaves_out_is_warned_of(tmp_path: Path) -> None:
    result = make_result(make_row(score=0.5, limit=100, fingerprint="f"), store=tmp_path)
    with pytest.warns(UserWarning, match=r"left out, measured in part, 1: ") as caught:
        lines = result.save(f"{tmp_path}/eval_results/")
    assert lines[0].endswith("eval_results: 0")
    assert [str(one.message) for one in caught] == list(lines[1:])


def test_nothing_that_strangers_wrote_is_markup_in_a_notebook() -> None:
    row = make_row(HOSTILE, alias=HOSTILE, metric=HOSTILE, outcome="error", error=HOSTILE)
    result = make_result(row, words=("FAIL",))
    html = Result(run=result.run, store=result.store, notes=(HOSTILE,))._repr_html_()
    tags = set(re.findall(r"<\s*/?\s*([a-zA-Z]+)", html))
    assert tags <= {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 6  # reason, model, task, metric, why, note


def test_what_is_saved_is_loaded_again(tmp_path: Path) -> None:
    result = make_result(make_row(score=0.5), store=tmp_path)
    assert result.save(tmp_path / "run.json") == (f"wrote {tmp_path / 'run.json'}",)
    assert load_run(tmp_path / "run.json", store=tmp_path) == result
    result.save(tmp_path / "run.html")
    assert (tmp_path / "run.html").read_text().lstrip().startswith("<!doctype html>")
    with pytest.raises(ConfigError, match="its suffix says the format"):
        result.save(tmp_path / "run.doc")
